"""Noise that depends on the position alone: the same photo always gives the same picture, in every runtime.

A network that sees only the photo paints a flat area with one tile that repeats; noise beside the photo tells each
position from the next (Ulyanov et al. 2016, "Texture Networks", feed noise at several scales).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

PERIOD = 1021
"""The noise repeats after this many positions. It is prime and so small that all sums below are whole numbers that
float32 holds exactly, which makes the noise equal in PyTorch, in ONNX and in a browser."""

SMOOTH_GAIN = 1.5
"""Makes up for the deviation that bilinear interpolation takes: (2/3) per axis of the variance."""


def position_noise(height: int, width: int, scales: Sequence[int], offsets: Tensor | None = None) -> Tensor:
    """Return one map of noise per scale, with mean 0 and standard deviation about 1.

    Args:
        height: Height H of the maps.
        width: Width W of the maps.
        scales: Distance in positions between independent values of each map; between them, the map is interpolated.
        offsets: Where each map begins, whole numbers (N, 2); None begins one map at zero.

    Returns:
        (N, len(scales), H, W), float32.
    """
    maps = []
    for channel, scale in enumerate(scales):
        if scale == 1:
            maps.append(_white_noise(height, width, channel, offsets))
        else:
            rows, columns = (height - 1) // scale + 2, (width - 1) // scale + 2
            coarse = _white_noise(rows, columns, channel, offsets)  # (N, 1, rows, columns)
            down, across = _interpolation(height, rows, scale, coarse), _interpolation(width, columns, scale, coarse)
            maps.append(SMOOTH_GAIN * (down @ coarse @ across.T))
    return torch.cat(maps, 1)


def _interpolation(length: int, count: int, scale: int, like: Tensor) -> Tensor:
    """Return the matrix (length, count) of a linear interpolation from values ``scale`` positions apart.

    The same numbers as ``F.interpolate`` with mode "bilinear"; its result would have to be cut to size, which the
    exporter of ONNX cannot do for free sizes.
    """
    places = (torch.arange(length, dtype=torch.float32, device=like.device) + 0.5) / scale - 0.5
    values = torch.arange(count, dtype=torch.float32, device=like.device)
    return (1 - (places.clamp(min=0)[:, None] - values).abs()).clamp(min=0)


def _white_noise(height: int, width: int, channel: int, offsets: Tensor | None) -> Tensor:
    """Return independent values, (N, 1, height, width): a hash of the position, by squares modulo ``PERIOD``."""
    device = None if offsets is None else offsets.device
    start = torch.zeros(1, 2, device=device) if offsets is None else offsets.float()
    rows = torch.arange(height, dtype=torch.float32, device=device)
    columns = torch.arange(width, dtype=torch.float32, device=device)
    y = _modulo(start[:, 0].view(-1, 1, 1, 1) + rows.view(1, 1, -1, 1))  # (N, 1, height, 1)
    x = _modulo(start[:, 1].view(-1, 1, 1, 1) + columns.view(1, 1, 1, -1))  # (N, 1, 1, width)
    value = _modulo(x * x + 131 * (channel + 1) * y + 17)  # (N, 1, height, width), as all that follow
    value = _modulo(value * value + 157 * x + 61 * channel)
    value = _modulo(value * value + 113 * y + 11)
    value = _modulo(value * value + 71 * x + 5)
    return (value / (PERIOD // 2) - 1) * 3**0.5  # uniform from -sqrt(3) to sqrt(3), which has deviation 1


def _modulo(x: Tensor) -> Tensor:
    """Return whole numbers from 0 up to 2^22 modulo ``PERIOD``; the half keeps inexact divisions on the right side."""
    return x - PERIOD * torch.floor((x + 0.5) / PERIOD)
