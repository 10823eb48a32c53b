"""Colour in OKLab: a space where equal steps look equally large.

Painters mix by lightness, strength and hue; OKLCH names exactly these three, so
the pictures state their palettes as ``lch(lightness, chroma, hue)``.  All the
arrays end in an axis of three.  OKLab is by Bjoern Ottosson (2020).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]

_RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LMS_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_LMS_TO_RGB = np.linalg.inv(_RGB_TO_LMS).astype(np.float32)
_LAB_TO_LMS = np.linalg.inv(_LMS_TO_LAB).astype(np.float32)


def lch(lightness: ArrayLike, chroma: ArrayLike, hue_degrees: ArrayLike) -> Array:
    """OKLab colours from lightness (0..1), chroma (0..0.35) and hue in degrees."""
    lightness, chroma, hue = np.broadcast_arrays(lightness, chroma, hue_degrees)
    angle = np.deg2rad(hue)
    return np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=-1).astype(np.float32)


def to_lch(lab: Array) -> tuple[Array, Array, Array]:
    """Lightness, chroma and hue (degrees) of OKLab colours."""
    return (
        lab[..., 0],
        np.hypot(lab[..., 1], lab[..., 2]),
        np.rad2deg(np.arctan2(lab[..., 2], lab[..., 1])),
    )


def hex_lab(code: str) -> Array:
    """OKLab colour of an sRGB hex code such as ``"#1f3a5f"``."""
    rgb = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255
    return rgb_to_lab(rgb)


def rgb_to_lab(rgb: Array) -> Array:
    """OKLab of sRGB values in 0..1."""
    rgb = np.asarray(rgb, np.float32)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return (np.cbrt(linear @ _RGB_TO_LMS.T) @ _LMS_TO_LAB.T).astype(np.float32)


def _linear_rgb(lab: Array) -> Array:
    return ((lab @ _LAB_TO_LMS.T) ** 3) @ _LMS_TO_RGB.T


def lab_to_rgb(lab: Array) -> Array:
    """sRGB in 0..1; colours that a screen cannot show lose chroma, not hue."""
    lab = np.asarray(lab, np.float32).copy()
    lab[..., 0] = np.clip(lab[..., 0], 0.0, 1.0)
    linear = _linear_rgb(lab)
    # A few rounds of fading towards grey bring nearly everything into the gamut;
    # the rest is clipped, by too little to see.
    for _ in range(4):
        outside = (linear.min(-1) < -0.002) | (linear.max(-1) > 1.002)
        if not outside.any():
            break
        faded = lab[outside]
        faded[:, 1:] *= 0.88
        lab[outside] = faded
        linear[outside] = _linear_rgb(faded)
    linear = np.clip(linear, 0.0, 1.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)


def to_bytes(lab: Array) -> NDArray[np.uint8]:
    """8-bit sRGB picture of an OKLab one."""
    return (lab_to_rgb(lab) * 255 + 0.5).astype(np.uint8)


def mix(first: Array, second: Array, share: ArrayLike) -> Array:
    """Blend of two colours or pictures; ``share`` of the second, per pixel or one."""
    share = np.asarray(share, np.float32)[..., None]
    return (first * (1 - share) + second * share).astype(np.float32)


def ramp(position: ArrayLike, stops: list[tuple[float, Array]]) -> Array:
    """Colours along a scale, given as (position, colour) stops in rising order."""
    places = [place for place, _ in stops]
    colours = np.array([colour for _, colour in stops])
    return np.stack([np.interp(position, places, colours[:, i]) for i in range(3)], axis=-1).astype(np.float32)


def jitter(
    lab: Array,
    rng: np.random.Generator,
    lightness: float = 0.03,
    chroma: float = 0.02,
    hue: float = 10.0,
) -> Array:
    """Broken colour: the colour of every stroke differs a little from the given one."""
    light, strength, angle = to_lch(np.asarray(lab, np.float32))
    shape = light.shape
    return lch(
        light + lightness * rng.standard_normal(shape),
        np.maximum(strength + chroma * rng.standard_normal(shape), 0.0),
        angle + hue * rng.standard_normal(shape),
    )


def harmony(hue: float, kind: str) -> tuple[float, ...]:
    """Hues of a classical harmony on the colour circle, beginning with ``hue``."""
    steps = {
        "complement": (0, 180),
        "split": (0, 150, 210),
        "triad": (0, 120, 240),
        "tetrad": (0, 60, 180, 240),
        "analogous": (0, 30, -30, 60, -60),
    }[kind]
    return tuple((hue + step) % 360 for step in steps)
