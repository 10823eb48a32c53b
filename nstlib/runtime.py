"""What this machine can do and how large the work may be: profile, device, precision, memory.

Everything that depends on the machine is decided here; ``info.describe`` prints it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from typing import Literal, get_args

import torch
from torch import Tensor

from .errors import SettingError

Profile = Literal["smoke", "cpu", "gpu"]
Precision = Literal["auto", "float32", "bfloat16"]

PROFILES: tuple[Profile, ...] = get_args(Profile)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def profile() -> Profile:
    """Return how large the work is: "smoke" (CI, seconds), "cpu" (the default) or "gpu" (the papers' settings).

    It is taken from the environment variable ``NST_PROFILE``; nothing else decides it.

    Raises:
        SettingError: ``NST_PROFILE`` has another value.
    """
    value = os.environ.get("NST_PROFILE", "cpu").strip().lower() or "cpu"
    if value not in PROFILES:
        raise SettingError(f"NST_PROFILE is {value!r}; use one of {', '.join(PROFILES)}.")
    return value


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """Return the device asked for; for None or "auto" the first CUDA GPU, or the CPU.

    Raises:
        SettingError: The device does not exist on this machine.
    """
    if device is None or device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).item()  # "meta" takes a tensor, but holds no values
    except Exception as error:  # torch raises half a dozen types here, all of which mean "not usable"
        raise SettingError(f"device {str(device)!r} cannot be used here; use 'cpu' or leave it out.") from error
    return chosen


def holds_values(tensor: Tensor) -> bool:
    """Return whether the values of a tensor can be read and computed with: it is dense and not on "meta"."""
    return tensor.layout == torch.strided and not tensor.is_meta and not tensor.is_nested


def has_bfloat16(device: torch.device) -> bool:
    """Return whether convolutions in bfloat16 are fast on this device (AVX-512 BF16, AMX, or a recent GPU)."""
    if device.type == "cuda":
        return cuda_has_native_bfloat16(torch.cuda.get_device_capability(device))
    if device.type != "cpu" or torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "NO AVX", "AVX2"):
        return False  # also where the environment variable ATEN_CPU_CAPABILITY restricts PyTorch
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in tests)


def cuda_has_native_bfloat16(capability: tuple[int, int]) -> bool:
    """Return whether a GPU of this compute capability computes bfloat16 itself: Ampere (8, 0) or later.

    Earlier ones, such as a T4 (7, 5), emulate it, which ``torch.cuda.is_bf16_supported`` also counts.
    """
    return capability >= (8, 0)


def pick_precision(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype for "auto", "float32" or "bfloat16"; "auto" is bfloat16 where that is fast.

    Gram matrices and losses are float32 whatever is picked.

    Raises:
        SettingError: The precision is unknown.
    """
    if precision not in PRECISIONS:
        raise SettingError(f"precision {precision!r} is unknown; use one of {', '.join(PRECISIONS)}.")
    if precision == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    return torch.float32 if precision == "float32" else torch.bfloat16


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed blocks for the next step instead of returning them to the system.

    Each step of a synthesis frees and allocates the same few dozen megabyte-sized blocks. With glibc's
    defaults each comes back as fresh pages that the kernel must zero first, which took a third of a
    step's time where we measured. The process then holds on to its peak memory (at most 1 GiB more), and
    to gaps between blocks of different sizes. NST_KEEP_MEMORY=0 does the opposite: blocks above 4 MiB are
    returned at once, which halves the memory and, at 512 x 512, costs a quarter more time (benchmarks/).

    Returns:
        Whether freed memory is kept. On systems other than Linux nothing happens.
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


def leave_dynamo_unloaded() -> None:
    """Keep the first optimizer of a process from importing ``torch._dynamo``: about 2 s and 160 MB.

    Only ``torch.compile`` needs it. PyTorch wraps some methods of its optimizers in a function that imports it and
    keeps what to call in an attribute; this fills the attribute with the plain method. Where a release has no such
    wrapper, or the module is loaded already, nothing changes. The library itself does not call this: ``nst`` and the
    lessons do, which never compile.
    """
    if "torch._dynamo" in sys.modules:
        return
    for method in vars(torch.optim.Optimizer).values():
        plain = getattr(method, "__wrapped__", None)
        if plain is not None:
            setattr(plain, "__dynamo_disable", plain)


def return_freed_memory() -> None:
    """Return freed blocks to the system once, where glibc can; for pictures that nearly fill the memory."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
