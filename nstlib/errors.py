"""Errors that a user can fix, and the checks of numbers that raise them.

Each message is one line that says what was wrong and what to do. The command line prints the
message and nothing else; in Python every one of them is an ``NstError``.
"""

from __future__ import annotations

import contextlib
import difflib
import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

OUT_OF_MEMORY = "there is not enough memory for this size; use a smaller size, or tiles where the command has them."
"""The one sentence for a picture that does not fit into memory."""


class NstError(ValueError):
    """Bad input: the message says what is wrong and what to do."""

    def __str__(self) -> str:
        return " ".join(line.strip() for line in super().__str__().splitlines())  # a value shown in it may have several


class ImageError(NstError):
    """A picture could not be read or used."""


class FileError(NstError):
    """A file could not be written."""


class LayerError(NstError):
    """A layer name is unknown, or the weights do not reach it."""


class WeightsError(NstError):
    """Network weights could not be downloaded or do not fit."""


class SettingError(NstError):
    """A setting (size, weight, preset, device, profile) has a value that cannot be used."""


class TrainingError(NstError):
    """A training cannot go on."""


class ExportError(NstError):
    """A network could not be exported, or its file could not be run."""


class GalleryError(NstError):
    """A picture of the gallery is unknown or not available."""


class CocoError(NstError):
    """Pictures of COCO could not be selected or downloaded."""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """Return "did you mean 'x'? " with the known word nearest to ``word``; "" if nothing is known."""
    near = difflib.get_close_matches(str(word).lower(), list(known), n=1, cutoff=0.0)
    return f"did you mean {near[0]!r}? " if near else ""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out; PyTorch raises a plain RuntimeError for it on the CPU."""
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    phrases = ("out of memory", "not enough memory", "allocate memory")  # of CUDA, and of the CPU's allocator
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in phrases)


def shown(value: object, length: int = 60) -> str:
    """Return a value for a message, cut to a length."""
    try:
        return repr(value)[:length]
    except ValueError:  # Python does not print integers of more than 4300 digits
        return f"a {type(value).__name__} that is too long to show"


def check_type(
    name: str,
    value: object,
    kinds: type | tuple[type, ...],
    advice: str,
    error: type[NstError] | None = None,
) -> None:
    """Raise an error, by default a ``SettingError``, if a value is of another type.

    Args:
        name: What the message calls the value.
        value: The value.
        kinds: The types that it may have.
        advice: What to give instead, as the end of the sentence.
        error: The error to raise.
    """
    if not isinstance(value, kinds):
        raise (error or SettingError)(f"{name} is of the type {type(value).__name__}; {advice}.")


def whole_number(name: str, value: Any, least: int = 1, most: int = 10**9) -> int:
    """Return a setting that is a whole number as an int.

    Raises:
        SettingError: It is not a whole number, or not from ``least`` to ``most``.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) <= most:
        raise SettingError(f"{name} must be a whole number, at least {least} and at most {most}, not {shown(value)}.")
    return int(value)


def finite_number(name: str, value: Any, above_zero: bool = False) -> float:
    """Return a setting that is a number as a float.

    Raises:
        SettingError: It is not a number, not finite, too large for a float, or negative; or 0 with ``above_zero``.
    """
    number = math.nan
    if isinstance(value, Real) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # a whole number beyond the range of floats
            number = float(value)
    if not math.isfinite(number) or number < 0 or (above_zero and number == 0):
        raise SettingError(f"{name} must be a number {'>' if above_zero else '>='} 0, not {shown(value)}.")
    return number
