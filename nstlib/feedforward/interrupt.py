"""Ctrl-C between the steps of a training, never within one."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class DeferredInterrupt:
    """Within ``with``, Ctrl-C sets ``requested`` and does nothing else; a second Ctrl-C raises KeyboardInterrupt.

    An interrupt within a step could leave some parameters updated and others not. Python delivers signals to the main
    thread only: in another thread ``requested`` stays False.
    """

    def __init__(self) -> None:
        self.requested = False
        self._earlier: Any = None
        self._active = False

    def __enter__(self) -> DeferredInterrupt:
        if threading.current_thread() is threading.main_thread():
            self._earlier = signal.getsignal(signal.SIGINT)
            if callable(self._earlier):  # not where the parent process ignores it
                signal.signal(signal.SIGINT, self._handle)
                self._active = True
        return self

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._active:
            signal.signal(signal.SIGINT, self._earlier)


def ignore_interrupts(worker: int) -> None:
    """Let a process that reads photos ignore Ctrl-C, which reaches it too; the training ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
