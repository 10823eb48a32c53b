"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .errors import FileError


def write_atomically(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file beside its place, then rename it; missing folders are made.

    A reader never meets half a file, and an existing file survives a failure.

    Args:
        path: Where the file goes.
        data: Its whole content.

    Returns:
        The path.

    Raises:
        FileError: The path is a folder, or the file cannot be written there.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise FileError(f"'{path}' is a folder; give the name of a file.")
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, 0o666 & ~_umask())  # mkstemp lets only the owner read
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise FileError(f"'{path}' cannot be written ({reason}); choose another place.") from error
    return path


def _umask() -> int:
    umask = os.umask(0)  # it can only be read by setting it
    os.umask(umask)
    return umask
