"""The first picture of a synthesis."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from .errors import SettingError
from .images import resize
from .presets import InitName

INITS: tuple[InitName, ...] = get_args(InitName)

CONTENT_SHARE = 0.6
"""Share of the content in "content+noise"."""


def make_init(init: str | Tensor, content: Tensor | None, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Return the first picture.

    Args:
        init: "content", "content+noise", "noise" (uniform), "grey", or a picture (N, 3, h, w), which is resized.
        content: (N, 3, H, W) or (1, 3, H, W); needed where ``init`` names it.
        shape: (N, 3, H, W) of the result.
        seed: Seed of the noise, which is drawn on the CPU, so that a seed means the same picture on every device.

    Returns:
        A new tensor of ``shape``, float32.

    Raises:
        SettingError: ``init`` is unknown, or needs a content that is not there.
    """
    if isinstance(init, Tensor):
        return resize(init.float(), (shape[2], shape[3])).expand(shape).clone()
    if init not in INITS:
        raise SettingError(f"init {init!r} is unknown; use one of {', '.join(INITS)}, or a picture.")
    if init == "grey":
        return torch.full(shape, 0.5)
    if init == "noise":
        return _noise(shape, seed)
    if content is None:
        raise SettingError(f"init {init!r} needs a content picture; use 'noise' or 'grey'.")
    picture = content.detach().float().cpu().expand(shape).clone()
    if init == "content":
        return picture
    return CONTENT_SHARE * picture + (1 - CONTENT_SHARE) * _noise(shape, seed)


def _noise(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))
