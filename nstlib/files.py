"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .errors import FileError, check_type


def quoted(path: str | os.PathLike[str]) -> str:
    """Return a path in quotes for a message; characters that cannot be printed are escaped."""
    text = str(path)
    return f"'{text}'" if text.isprintable() else repr(text)


def as_path(path: str | os.PathLike[str], name: str = "the place to write to") -> Path:
    """Return a path as a ``Path``.

    Raises:
        FileError: It is something else.
    """
    check_type(name, path, (str, os.PathLike), "give a path, as a text or a Path", FileError)
    return Path(path)


def check_place(path: str | os.PathLike[str]) -> Path:
    """Return the file that a path stands for, symbolic links followed, after a check that it can be written.

    Args:
        path: Where a file shall go; it and its folders need not exist.

    Returns:
        The absolute path without symbolic links.

    Raises:
        FileError: It is a folder, a device or another path to which no file can be written.
    """
    as_path(path)  # checks its type
    kind = stat.S_IFREG
    try:
        target = Path(os.path.realpath(path))
        with contextlib.suppress(FileNotFoundError):  # other errors: a name that is too long, a file used as a folder
            kind = stat.S_IFMT(os.lstat(target).st_mode)
        folder = next((parent for parent in target.parents if parent.exists()), target)
        for place in (folder, target):
            if place.exists() and not os.access(place, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (OSError, ValueError) as error:  # ValueError: a null byte, or characters that the system cannot encode
        raise _not_writable(path, error) from error
    if kind != stat.S_IFREG:  # a rename would replace a device, too
        raise FileError(f"{quoted(path)} is a folder or a device; give the name of a file.")
    return target


def try_place(path: str | os.PathLike[str]) -> Path:
    """Return what ``check_place`` returns, after a trial: a file is written beside the place and removed again.

    Some places say that they can be written and cannot, such as /proc. Folders made for the trial are removed, too.

    Args:
        path: Where a file shall go; it and its folders need not exist.

    Raises:
        FileError: No file can be written there.
    """
    target = check_place(path)
    missing = missing_folders(target.parent)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        check_place(path)  # now that there are folders, a name that is too long shows
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".trial.") as trial:
            trial.write(b"trial")
    except OSError as error:
        raise _not_writable(path, error) from error
    finally:
        remove_empty(missing)
    return target


def missing_folders(folder: Path) -> list[Path]:
    """Return those of a folder and the folders that it lies in that do not exist, the innermost first."""
    return [place for place in (folder, *folder.parents) if not place.exists()]


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders that are empty, the innermost first; others stay."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def write_atomically(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file beside its place, then rename it; missing folders are made.

    A reader never meets half a file, and an existing file survives a failure. A symbolic link stays one: the file that
    it names is written.

    Args:
        path: Where the file goes.
        data: Its whole content.

    Returns:
        The path.

    Raises:
        FileError: The path is a folder or a device, or the file cannot be written there.
    """
    target = check_place(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # the temporary name must not be too long for the file system where the file's own is not
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:40]}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, _mode(target))  # mkstemp lets only the owner read
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _not_writable(path, error) from error
    return Path(path)


def _not_writable(path: str | os.PathLike[str], error: Exception) -> FileError:
    reason = getattr(error, "strerror", None) or error
    return FileError(f"{quoted(path)} cannot be written ({reason}); choose another place.")


def _mode(target: Path) -> int:
    """Return the permissions of the file, or those of a new one."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    umask = os.umask(0)  # it can only be read by setting it
    os.umask(umask)
    return 0o666 & ~umask
