"""Sheets of painted sample photos, as a training writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..images import side_by_side
from .transformer import TransformerNet

MAX_STYLES = 6


@torch.no_grad()
def paint_sheet(net: TransformerNet, photos: Sequence[Tensor], styles: Sequence[str], height: int = 256) -> Image.Image:
    """Return photos beside their paintings, in up to six styles.

    Args:
        net: A network ready for inference.
        photos: (1, 3, H, W) each, in [0, 1].
        styles: Names or paths of the network's styles, in order.
        height: Of each picture, in pixels.
    """
    names = [Path(style).stem for style in styles[:MAX_STYLES]]
    device = net.last.weight.device
    shown: list[Tensor] = []
    for photo in photos:
        painted = [net(photo.to(device), index).float().cpu() for index in range(len(names))]
        shown += [photo, *painted]
    return side_by_side(shown, ["photo", *names] * len(photos), height)
