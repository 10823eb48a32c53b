"""3 x 3 convolutions in float32 on the CPU by Winograd's algorithm, where that is faster.

PyTorch carries NNPACK, whose transforms of 8 x 8 tiles replace most of the multiplications of a direct convolution
(Lavin and Gray 2016), at the price of a rounding error ten times as large (1e-5 of the values), which also reaches
places of the same tile outside the receptive field. It works on contiguous maps only, needs enough channels to pay for
the transforms, and is slower on small maps. Which way a layer takes follows from its shape alone and not from a
measurement at run time, so that the same program returns the same bits again. ``python -m benchmarks.winograd``
measures both ways for the shapes of VGG.
"""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_SIDE = 32
"""Below this side of the maps the direct convolution is faster."""


@cache
def is_available() -> bool:
    """Return whether this PyTorch has NNPACK and the processor can run it; asking also sets it up."""
    found = hasattr(torch.backends, "nnpack") and hasattr(torch, "_nnpack_spatial_convolution")
    return found and bool(torch.backends.nnpack.is_available())  # type: ignore[no-untyped-call]


def pays(x: Tensor, in_channels: int, out_channels: int) -> bool:
    """Return whether a convolution of ``x`` (N, in_channels, H, W) is faster by Winograd's algorithm."""
    fewest, most = sorted((in_channels, out_channels))
    return (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and min(x.shape[2:]) >= MIN_SIDE
        and most >= 64
        # VGG's first layer gains nothing itself, but starts and ends in the layout that the next one needs
        and (fewest >= 32 or fewest == 3)
        and not torch.compiler.is_compiling()
        and is_available()
    )


def conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``F.conv2d(x, weight, bias, padding=1)`` for kernels of 3 x 3: (N, out_channels, H, W)."""
    out_channels, in_channels = weight.shape[:2]
    if pays(x, in_channels, out_channels):
        return _nnpack(x.contiguous(), weight.contiguous(), bias)
    return direct_conv3x3(x, weight, bias)


def direct_conv3x3(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return the same, always computed directly."""
    return F.conv2d(x, weight, bias, padding=1)


def conv3x3_transposed(grad: Tensor, weight: Tensor) -> Tensor:
    """Return ``F.conv_transpose2d(grad, weight, padding=1)``, the gradient of ``conv3x3``: (N, in_channels, H, W)."""
    out_channels, in_channels = weight.shape[:2]
    if pays(grad, in_channels, out_channels):
        flipped = weight.contiguous().transpose(0, 1).flip(2, 3).contiguous()  # (in_channels, out_channels, 3, 3)
        return _nnpack(grad.contiguous(), flipped, None)
    return F.conv_transpose2d(grad, weight, padding=1)


def _nnpack(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # one picture at a time: NNPACK's code for batches is slower
    pictures = [torch._nnpack_spatial_convolution(picture, weight, bias, padding=1) for picture in torch.split(x, 1)]
    return pictures[0] if len(pictures) == 1 else torch.cat(pictures)
