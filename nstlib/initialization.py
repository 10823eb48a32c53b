"""The first picture of a synthesis."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from .errors import ImageError, SettingError, whole_number
from .images import Picture, as_image, resize
from .presets import InitName
from .vgg import PREPROCESSING, leaves_range

INITS: tuple[InitName, ...] = get_args(InitName)

CONTENT_SHARE = 0.6
"""Share of the content in "content+noise"."""

LARGEST_SEED = 2**63 - 1


def make_init(init: str | Picture, content: Tensor | None, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Return the first picture.

    Args:
        init: "content", "content+noise", "noise" (uniform), "grey", "mean" (the mean color of ImageNet), or a picture,
            which is resized; see ``as_start``.
        content: (N, 3, H, W) or (1, 3, H, W); needed where ``init`` names it.
        shape: (N, 3, H, W) of the result.
        seed: Seed of the noise, which is drawn on the CPU, so that a seed means the same picture on every device.

    Returns:
        A new tensor of ``shape``, float32.

    Raises:
        SettingError: ``init`` is unknown, or needs a content that is not there.
        ImageError: The picture cannot be used.
    """
    if not isinstance(init, str):
        picture = as_start(init)
        if len(picture) not in (1, shape[0]):
            raise ImageError(f"there are {len(picture)} first pictures for {shape[0]}; give one, or one per picture.")
        return resize(picture.float(), (shape[2], shape[3])).expand(shape).clone()
    if init not in INITS:
        raise SettingError(f"init {init!r} is unknown; use one of {', '.join(INITS)}, or a picture.")
    if init == "grey":
        return torch.full(shape, 0.5)
    if init == "mean":
        return torch.tensor(PREPROCESSING["caffe255"].mean).div(255).view(1, 3, 1, 1).expand(shape).clone()
    if init == "noise":
        return _noise(shape, seed)
    if content is None:
        raise SettingError(f"init {init!r} needs a content picture; use 'noise' or 'grey'.")
    picture = content.detach().float().cpu().expand(shape).clone()
    if init == "content":
        return picture
    return CONTENT_SHARE * picture + (1 - CONTENT_SHARE) * _noise(shape, seed)


def _noise(shape: tuple[int, ...], seed: int) -> Tensor:
    whole_number("seed", seed, least=0, most=LARGEST_SEED)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def as_start(picture: Picture) -> Tensor:
    """Return a first picture as a checked tensor, (N, 3, H, W) in [0, 1].

    Floats in a tensor may leave the range, as Gaussian noise does, which the PyTorch tutorial starts from; they are
    clamped.

    Raises:
        ImageError: The picture cannot be used.
    """
    if isinstance(picture, Tensor) and picture.is_floating_point() and not leaves_range(picture):
        picture = picture.clamp(0, 1)  # NaN stays, and is refused
    return as_image(picture, "the first picture")
