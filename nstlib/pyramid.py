"""Coarse to fine: the sizes at which a picture is painted, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .errors import SettingError, whole_number
from .images import MIN_SIDE

STEPS_RATIO = 2.5
"""Ratio of the steps at one scale to those at the next larger one."""

MAX_SCALES = 20


class Scale(NamedTuple):
    """One size of a coarse-to-fine synthesis."""

    size: tuple[int, int]
    """Height and width in pixels."""

    steps: int
    """Evaluations at this size."""


def coarse_to_fine(size: tuple[int, int], steps: int, scales: int | Sequence[int] = 1) -> list[Scale]:
    """Return the sizes to paint one after the other; the last is ``size``.

    Large forms are painted where that is cheap, and where they lie within the network's field of view; a larger
    scale starts from the enlarged painting and only adds detail, so it needs fewer steps (Gatys et al. 2017,
    "Controlling Perceptual Factors in Neural Style Transfer", section 6; Snelgrove 2017, "High-Resolution
    Multi-Scale Neural Texture Synthesis"). This is for forms larger than the field of view: starting from the
    content, at 512 pixels and to the same loss, it saves no time.

    Args:
        size: (height, width) of the final picture.
        steps: Evaluations at the first scale; each later one has ``STEPS_RATIO`` times fewer.
        scales: Number of sizes, each twice the one before, or the long sides of the smaller ones in rising order.

    Raises:
        SettingError: There are too many scales, or they are not in rising order.
    """
    long_side = max(size)
    sides = _long_sides(long_side, scales)
    smaller = [(max(1, round(size[0] * s / long_side)), max(1, round(size[1] * s / long_side))) for s in sides]
    if smaller and min(smaller[0]) < MIN_SIDE:
        raise SettingError(
            f"{len(smaller) + 1} scales would start at {smaller[0][1]} x {smaller[0][0]} pixels, but the network needs "
            f"{MIN_SIDE} a side; use fewer scales."
        )
    return [Scale(s, max(1, round(steps / STEPS_RATIO**i))) for i, s in enumerate([*smaller, size])]


def _long_sides(long_side: int, scales: int | Sequence[int]) -> list[float]:
    """Return the long sides of the scales below the last."""
    if isinstance(scales, str) or not isinstance(scales, Sequence):
        whole_number("scales", scales, most=MAX_SCALES)
        return [long_side / 2**i for i in reversed(range(1, int(scales)))]
    for side in scales:
        whole_number("the long side of a scale", side)
    sides: list[float] = [s for s in scales if s != long_side]
    if sides != sorted(set(sides)) or not all(0 < s < long_side for s in sides):
        raise SettingError(f"scales must be rising long sides below {long_side}, not {list(scales)}.")
    return sides
