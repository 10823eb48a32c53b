"""Time of a direct convolution and of Winograd's algorithm for the shapes of VGG: ``python -m benchmarks.winograd``.

From this table come the conditions of ``nstlib.winograd.pays``. Each way gets the layout that suits it; changing the
layout costs about as much as a wide layer gains at full size, which is why VGG's first layer is among the wide ones.
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from nstlib import winograd
from nstlib.architecture import WIDTHS
from nstlib.pretrained import compact_state

from .floor import best_time


def layers(widths: list[int], size: int) -> list[tuple[int, int, int]]:
    """Return (in_channels, out_channels, side) of the different 3 x 3 convolutions up to relu5_1."""
    found, in_channels = [], 3
    for block, width in enumerate(widths):
        found += [(in_channels, width, size >> block), (width, width, size >> block)]
        in_channels = width
    return found[:-1]


def direct(x: Tensor, weight: Tensor) -> Tensor:
    """Return the convolution as oneDNN computes it."""
    return F.conv2d(x, weight, padding=1)


@torch.inference_mode()
def compare(in_channels: int, out_channels: int, side: int, repeats: int = 5) -> tuple[float, float, bool]:
    """Return the seconds of the direct convolution and of Winograd's, and whether the library takes the second."""
    x, weight = torch.rand(1, in_channels, side, side), torch.rand(out_channels, in_channels, 3, 3)
    last = [t.contiguous(memory_format=torch.channels_last) for t in (x, weight)]
    taken = winograd.pays(x, in_channels, out_channels)
    one = best_time(partial(direct, *last), repeats)
    other = best_time(partial(torch._nnpack_spatial_convolution, x, weight, None, padding=1), repeats)
    return one, other, taken


def main() -> None:
    """Print a table for the full and for the compact VGG-19."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="side of the picture in pixels (default: %(default)s)")
    size = parser.parse_args().size
    if not winograd.is_available():
        raise SystemExit("this PyTorch or this processor has no NNPACK.")
    compact = [compact_state()[0][f"features.{index}.weight"].shape[0] for index in (0, 5, 10, 19, 28)]
    print(f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    print(f"{'channels':>12} {'side':>5} {'direct':>10} {'Winograd':>10}   taken")
    for shape in layers(list(WIDTHS), size) + layers(compact, size):
        one, other, taken = compare(*shape)
        channels = f"{shape[0]} -> {shape[1]}"
        way = "Winograd" if taken else "direct"
        print(f"{channels:>12} {shape[2]:5d} {1e3 * one:7.1f} ms {1e3 * other:7.1f} ms   {way}")


if __name__ == "__main__":
    main()
