"""One summary of machine, profile and versions, for notebooks and for ``nst info``."""

from __future__ import annotations

import platform

import torch

from .pretrained import default_weights
from .runtime import pick_device, pick_precision, profile
from .version import __version__


def describe() -> dict[str, str]:
    """Return device, precision, profile, extractor and versions as text."""
    device = pick_device()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    return {
        "device": f"{device.type} ({name})",
        "precision": str(pick_precision("auto", device)).removeprefix("torch."),
        "profile": profile(),
        "extractor": default_weights(),
        "nstlib": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
