"""Run a student's function for a limited time."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any


class TimeLimitError(Exception):
    """A function did not return in time."""


def call_with_limit(function: Callable[..., object], arguments: tuple[Any, ...], seconds: float) -> object:
    """Return ``function(*arguments)``, or end it after some seconds.

    The function runs in a thread, which works in notebooks on every system; at the limit an exception is raised in
    that thread. An operator of PyTorch that is running ends first, but no loop of Python code goes on.

    Raises:
        TimeLimitError: The function did not return in time.
        Exception: What the function raised. ``SystemExit`` becomes a ``RuntimeError``.
    """
    results: list[object] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function(*arguments))
        except BaseException as error:  # SystemExit as well: exit() in a cell must not end the kernel
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        _raise_in(thread)
        raise TimeLimitError(f"no result after {seconds:g} seconds")
    if errors:
        if isinstance(errors[0], Exception):
            raise errors[0]
        raise RuntimeError(f"it ends the program ({type(errors[0]).__name__})") from errors[0]
    return results[0]


def _raise_in(thread: threading.Thread) -> None:
    """Raise TimeLimitError in a thread, again if the student's code catches it."""
    for _ in range(20):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(TimeLimitError))
        thread.join(0.05)
        if not thread.is_alive():
            return
