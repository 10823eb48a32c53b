"""Settings that libraries under PyTorch read while it is loaded; ``nstlib`` imports this module first.

A value that the environment holds already stays. Nothing happens where PyTorch was imported before ``nstlib``.
"""

from __future__ import annotations

import os

os.environ.setdefault("GOMP_SPINCOUNT", "10000")
"""How long OpenMP's threads wait in a loop for the next operator. The default, 300,000, takes the cores from NNPACK's
threads and from other programs: a step in float32 at 512 x 512 took 211 ms on two cores, with this value 165."""

if os.environ.get("NST_KEEP_MEMORY") == "0":
    # allocate in pages of 2 MiB, which the kernel zeroes faster
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
