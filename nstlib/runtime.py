"""What this machine is and how big the work may be: scale, device, precision, memory.

Everything that depends on the machine is decided here, once, and can be printed by ``describe``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys

import torch

from .errors import SettingError

if os.environ.get("NST_KEEP_MEMORY") == "0":
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # PyTorch's: pages of 2 MiB, which are quicker to take anew

SCALES = ("smoke", "cpu", "gpu")
PRECISIONS = ("auto", "float32", "bfloat16")


def scale() -> str:
    """The scale of the work: "smoke" (CI, seconds), "cpu" (the default) or "gpu" (the papers' settings).

    Taken from the environment variable ``NST_SCALE``; nothing else decides it.
    """
    value = os.environ.get("NST_SCALE", "cpu").strip().lower() or "cpu"
    if value not in SCALES:
        raise SettingError(f"NST_SCALE is {value!r}; use one of {', '.join(SCALES)}.")
    return value


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for, or the first CUDA GPU, or the CPU.

    Raises SettingError if the device does not exist here.
    """
    if device is None or device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except Exception as error:  # torch raises half a dozen types here, all of which mean "not usable"
        raise SettingError(f"device {str(device)!r} cannot be used here; use 'cpu' or leave it out.") from error
    return chosen


def has_bfloat16(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 are fast on this device (AVX-512 BF16 or AMX, or a recent GPU)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if device.type != "cpu":
        return False
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in tests)


def pick_precision(precision: str, device: torch.device) -> torch.dtype:
    """torch.float32 or torch.bfloat16 for "auto", "float32" or "bfloat16".

    "auto" is bfloat16 where it is fast. Gram matrices and losses are float32 whatever is picked.
    """
    if precision not in PRECISIONS:
        raise SettingError(f"precision {precision!r} is unknown; use one of {', '.join(PRECISIONS)}.")
    if precision == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    return torch.float32 if precision == "float32" else torch.bfloat16


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed blocks for the next step instead of handing them back to the system.

    Each step of a synthesis frees and takes the same few dozen megabyte-sized blocks; with glibc's
    defaults each comes back as fresh pages that the kernel must zero first, which took a third of a
    step's time where we measured. The process then holds on to its peak memory (at most 1 GiB more), and
    to gaps between blocks of different sizes. NST_KEEP_MEMORY=0 does the opposite: blocks above 4 MiB go
    back at once, for half the memory and, at 512 x 512, a quarter more time (benchmarks/). Returns whether freed
    memory is kept; on other systems it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
        if os.environ.get("NST_KEEP_MEMORY") == "0":
            libc.mallopt(mmap_threshold, 4 << 20)
            return False
        return bool(libc.mallopt(trim_threshold, 1 << 30) & libc.mallopt(mmap_threshold, 1 << 30))
    return False


def give_back_freed_memory() -> None:
    """Hand freed blocks back to the system once, where glibc can; for pictures as large as memory."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def describe(weights: str | None = None) -> dict[str, str]:
    """Device, scale, extractor and versions, for the first line of every notebook and for ``nst info``."""
    from . import __version__
    from .vgg import default_weights

    device = pick_device()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"
    return {
        "device": f"{device.type} ({name})",
        "precision": str(pick_precision("auto", device)).removeprefix("torch."),
        "scale": scale(),
        "extractor": weights or default_weights(),
        "nstlib": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
