"""Where a painting starts: its first picture, and the smaller paintings that may come before it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .errors import SettingError
from .images import MIN_SIDE, resize

STARTS = ("content", "content+noise", "noise", "grey")

FEWER_STEPS = 2.5
"""By how much the steps fall from one scale to the next."""


def make_start(start: str | Tensor, content: Tensor | None, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """The first picture, (N, 3, H, W): "content", "content+noise", "noise" (uniform), "grey", or a picture.

    Noise comes from a generator on the CPU, so that a seed means the same picture on every device.
    """
    if isinstance(start, Tensor):
        picture = resize(start.float(), tuple(shape[2:]))
        return picture.expand(shape).clone()
    if start not in STARTS:
        raise SettingError(f"start {start!r} is unknown; use one of {', '.join(STARTS)}, or a picture.")
    if start.startswith("content") and content is None:
        raise SettingError(f"start {start!r} needs a content picture; use 'noise' or 'grey'.")
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) if "noise" in start else None
    if start == "noise":
        return noise
    if start == "grey":
        return torch.full(shape, 0.5)
    picture = content.detach().float().cpu().expand(shape).clone()
    return picture if start == "content" else 0.6 * picture + 0.4 * noise


def coarse_to_fine(
    size: tuple[int, int], steps: int, scales: int | Sequence[int] = 1
) -> list[tuple[tuple[int, int], int]]:
    """Sizes (height, width) to paint one after the other, the last of them ``size``, each with its steps.

    scales: how many sizes, each twice the one before, or the long sides of the smaller ones in rising order.

    Large forms are laid down where they are cheap, and where they lie within the network's field of view; a larger
    scale starts from the enlarged painting and only adds detail, so that it needs fewer steps (Gatys et al. 2017,
    "Controlling Perceptual Factors in Neural Style Transfer", section 6; Snelgrove 2017, "High-Resolution
    Multi-Scale Neural Texture Synthesis"). The first scale takes ``steps``, each later one 2.5 times fewer. That is
    for forms larger than the field of view: from the content, at 512 pixels and to the same loss, it saves no time.
    Raises SettingError for scales that are too many, or in no order.
    """
    long_side = max(size)
    if isinstance(scales, int):
        if scales < 1:
            raise SettingError(f"scales must be at least 1, not {scales}.")
        sides = [long_side / 2**i for i in reversed(range(1, scales))]
    else:
        sides = [s for s in scales if s != long_side]
        if sides != sorted(set(sides)) or not all(0 < s < long_side for s in sides):
            raise SettingError(f"scales must be rising long sides below {long_side}, not {list(scales)}.")
    sizes = [tuple(max(1, round(n * side / long_side)) for n in size) for side in sides]
    if sizes and min(sizes[0]) < MIN_SIDE:
        raise SettingError(
            f"{len(sizes) + 1} scales would start at {sizes[0][1]} x {sizes[0][0]} pixels, but the network needs "
            f"{MIN_SIDE} a side; use fewer scales."
        )
    return [(s, max(min(1, steps), round(steps / FEWER_STEPS**i))) for i, s in enumerate([*sizes, tuple(size)])]
