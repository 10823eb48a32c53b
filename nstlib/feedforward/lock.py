"""One training at a time in a folder."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import IO

from ..errors import FileError, TrainingError
from ..files import missing_folders, remove_empty

LOCK = "training.lock"

_held: set[Path] = set()
"""Folders that this process has locked: the system's locks tell processes apart, not two trainings in one."""


class FolderLock:
    """Within ``with``, no other training can lock the folder, which is made if it is missing.

    The file ``training.lock`` holds the number of the process and is locked by the system, which releases it however
    the process ends: a file left behind by a killed process does no harm, and a number that another program has by now
    is not mistaken for a training. Where the system has no locks (some network drives) nothing is locked.

    Raises:
        TrainingError: Another training has locked the folder.
        FileError: The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / LOCK
        self._key = folder.resolve()
        self._file: IO[bytes] | None = None
        self._made: list[Path] = []

    def __enter__(self) -> FolderLock:
        if self._key in _held:
            raise self._taken(str(os.getpid()))
        try:
            self._made = missing_folders(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = self._open()
        except OSError as error:
            reason = error.strerror or str(error)
            remove_empty(self._made)
            raise FileError(f"the folder '{self.folder}' cannot be written ({reason}); choose another one.") from error
        _held.add(self._key)
        return self

    def _open(self) -> IO[bytes]:
        """Return the locked file, with the number of this process in it."""
        for attempt in range(10):
            file = self.path.open("ab+")
            if not _lock(file):
                file.seek(0)
                number = file.read(20).decode("ascii", "replace").strip()
                file.close()
                raise self._taken(number)
            if self._is_current(file) or attempt == 9:  # or the drive does not know its own files again
                break
            file.close()  # the training before has just ended and removed it
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        return file

    def _is_current(self, file: IO[bytes]) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False

    def _taken(self, number: str) -> TrainingError:
        return TrainingError(
            f"another training (process {number or 'unknown'}) writes to '{self.folder}'; end it, or choose another "
            "output."
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None
        _held.discard(self._key)
        if sys.platform == "win32":  # an open file cannot be removed there
            self._file.close()
        with contextlib.suppress(OSError):
            self.path.unlink()
            remove_empty(self._made)
        self._file.close()


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> bool:
        """Return whether a file could be locked; the byte is far behind the number, which stays readable."""
        file.seek(1 << 20)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EDEADLK)
        return True

else:
    import fcntl

    def _lock(file: IO[bytes]) -> bool:
        """Return whether a file could be locked; processes that this one starts do not inherit the lock."""
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EAGAIN)
        return True
