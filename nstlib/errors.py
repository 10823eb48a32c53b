"""One family of errors for what a user can mend. Each message is a single clear sentence that says
what was wrong and what to do; the command line prints it and nothing else."""

from __future__ import annotations


class NstError(ValueError):
    """Bad input: the message says what is wrong and what to do."""


class ImageError(NstError):
    """A picture could not be read, written or used."""


class LayerError(NstError):
    """A layer name is unknown, or the weights at hand do not reach it."""


class WeightsError(NstError):
    """Network weights could not be fetched or do not fit."""


class SettingError(NstError):
    """A setting (size, weight, preset, device, scale) has a value that cannot be used."""


class TrainingError(NstError):
    """A training cannot go on."""
