"""Poplars by the water at evening, in dots of pure colour.

No dot has the planned colour.  Every dot is one of a few pure pigments, drawn at
random so that together they average to the plan; some are its complement, which
makes the rest vibrate.  Large dots first, small ones last, on a warm ground.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import colour, fields
from .brush import Brush, Canvas
from .colour import lch

# Pigments as lightness, chroma and hue: the colour circle twice, and some tints.
PIGMENTS = np.array(
    [
        lch(light, strength, hue)
        for light, strength, hue in [
            (0.95, 0.07, 100),
            (0.90, 0.15, 98),
            (0.83, 0.165, 80),
            (0.76, 0.165, 62),
            (0.70, 0.18, 46),
            (0.62, 0.20, 30),
            (0.56, 0.18, 12),
            (0.72, 0.13, 5),
            (0.82, 0.085, 15),
            (0.60, 0.16, 340),
            (0.48, 0.16, 318),
            (0.66, 0.11, 310),
            (0.80, 0.065, 305),
            (0.42, 0.16, 290),
            (0.36, 0.14, 278),
            (0.45, 0.16, 265),
            (0.58, 0.145, 255),
            (0.70, 0.105, 240),
            (0.82, 0.065, 230),
            (0.55, 0.10, 215),
            (0.72, 0.10, 195),
            (0.42, 0.085, 190),
            (0.86, 0.065, 180),
            (0.38, 0.09, 160),
            (0.52, 0.13, 150),
            (0.66, 0.16, 142),
            (0.78, 0.17, 128),
            (0.88, 0.15, 115),
            (0.28, 0.07, 275),
            (0.30, 0.06, 170),
        ]
    ]
)
HORIZON = 0.575
TREES = [  # x, foot, height, half width, hue of its light side
    (0.085, 0.600, 0.52, 0.050, 112),
    (0.215, 0.595, 0.40, 0.040, 100),
    (0.30, 0.590, 0.47, 0.040, 120),
    (0.955, 0.595, 0.35, 0.034, 118),
    (1.045, 0.600, 0.56, 0.055, 92),
    (1.165, 0.605, 0.45, 0.050, 78),
]
BUSHES = [
    (0.40, 0.585, 0.085, 140),
    (0.50, 0.585, 0.05, 110),
    (0.85, 0.583, 0.07, 62),
    (0.15, 0.60, 0.07, 45),
    (0.76, 0.582, 0.045, 130),
    (0.62, 0.580, 0.04, 150),
    (1.11, 0.60, 0.06, 145),
]
SUN = (0.655, 0.475)


def _land(x, y, seed: int):
    """Sky, hills, trees and bank above the horizon; also used, mirrored, below it."""
    away = np.hypot((x - SUN[0]) * 0.85, y - SUN[1])
    picture = colour.ramp(
        y + 0.035 * fields.fractal(x * 0.7, y * 2, 4, seed, 3),
        [
            (0.0, lch(0.60, 0.12, 262)),
            (0.14, lch(0.71, 0.09, 248)),
            (0.27, lch(0.81, 0.065, 300)),
            (0.38, lch(0.86, 0.09, 40)),
            (0.48, lch(0.89, 0.12, 75)),
            (0.58, lch(0.88, 0.14, 88)),
        ],
    )
    cloud = fields.fractal(x * 0.55, y * 2.4, 4.2, seed + 5, 4)
    lit = fields.smoothstep(0.10, 0.60, cloud) * fields.smoothstep(0.53, 0.35, y)
    picture = colour.mix(picture, lch(0.90, 0.085, 45), 0.85 * lit)
    under = fields.smoothstep(0.10, 0.5, fields.fractal(x * 0.55, (y - 0.022) * 2.4, 4.2, seed + 5, 4)) * (1 - lit)
    picture = colour.mix(picture, lch(0.64, 0.11, 312), 0.75 * under * fields.smoothstep(0.53, 0.35, y))
    picture = colour.mix(picture, lch(0.93, 0.13, 92), np.exp(-((away / 0.17) ** 2)) * 0.9)
    picture = colour.mix(picture, lch(0.97, 0.08, 100), fields.smoothstep(0.058, 0.045, away))
    for base, swing, tone, seed_ in (
        (0.515, 0.03, lch(0.66, 0.10, 290), 1),
        (0.545, 0.02, lch(0.52, 0.115, 265), 2),
    ):
        ridge = base + swing * fields.fractal(x, x * 0, 3.4, seed + seed_, 3)
        hill = colour.mix(tone, lch(0.74, 0.13, 60), 0.55 * np.exp(-(((x - SUN[0]) / 0.2) ** 2)))
        picture = np.where((y > ridge)[..., None], hill, picture)
    rough = fields.fractal(x, y, 26, seed + 7, 2)
    clumps = fields.fractal(x, y, 15, seed + 8, 2)

    def foliage(inside, side, hue):
        """Leaves lit from the sun's side, violet-blue in the shade."""
        light = np.clip(0.5 + 0.55 * side + 0.55 * clumps, 0, 1)
        return np.where(
            inside[..., None],
            colour.ramp(
                light,
                [
                    (0.0, lch(0.33, 0.105, 275)),
                    (0.35, lch(0.44, 0.11, 170)),
                    (0.65, lch(0.66, 0.155, hue + 18)),
                    (1.0, lch(0.86, 0.155, hue - 10)),
                ],
            ),
            picture,
        )

    for cx, foot, radius, hue in BUSHES:
        r = np.hypot(x - cx, (y - foot) * 1.25)
        picture = foliage(r < radius * (1 + 0.25 * rough), np.sign(SUN[0] - cx) * (x - cx) / radius, hue)
    for cx, foot, tall, half, hue in TREES:
        t = np.clip((foot - y) / tall, 0, 1)
        profile = half * np.clip(np.sin(np.pi * np.clip(t * 0.93 + 0.07, 0, 1)), 0, 1) ** 0.65 * (1.18 - 0.55 * t)
        dx = x - cx
        inside = (np.abs(dx) < profile * (1 + 0.30 * rough)) & (y < foot) & (t < 1)
        picture = foliage(inside, np.sign(SUN[0] - cx) * dx / half, hue)
    # A low bank separates the trees from their mirror images.
    shore = (HORIZON - 0.010 - y) / (0.015 + 0.008 * clumps) + 0.9 * rough
    shade = lch(0.36 + 0.10 * clumps, 0.115, 230 + 110 * rough)
    picture = colour.mix(
        picture,
        shade,
        0.9
        * fields.smoothstep(0.6, -0.1, np.abs(shore + 0.4) - 0.3)
        * fields.smoothstep(0.04, 0.30, np.abs(x - SUN[0])),
    )
    return picture


def _plan(canvas: Canvas, seed: int):
    x, y = canvas.x, canvas.y
    picture = _land(x, y, seed)
    depth = np.clip((y - HORIZON) / (1 - HORIZON), 0, 1)
    ripple = fields.fractal(x * 0.4, y * 3.2 / (0.45 + depth), 9, seed + 20, 3)
    mirrored = _land(x + 0.018 * ripple * (0.3 + depth), 2 * HORIZON - y + 0.05 * ripple * depth, seed)
    water = mirrored.copy()
    water[..., 0] = water[..., 0] * 0.90 - 0.01
    water = colour.mix(water, lch(0.50, 0.13, 255), 0.22 + 0.30 * fields.smoothstep(0.0, 0.7, ripple) + 0.15 * depth)
    path = np.exp(-(((x - SUN[0]) / (0.025 + 0.10 * depth)) ** 2)) * fields.smoothstep(-0.3, 0.35, ripple)
    water = colour.mix(water, lch(0.92, 0.14, 88), 0.85 * path)
    picture = np.where((y > HORIZON)[..., None], water, picture)
    # Near bank with grass and flowers, cut by a curve from the lower left.
    bank = (
        0.865
        + 0.15 * fields.smoothstep(0.25, 0.95, x)
        - 0.05 * np.sin(x * 3)
        + 0.012 * fields.noise(x, y, 22, seed + 31)
    )
    tuft = fields.fractal(x, y * 0.55, 20, seed + 33, 2)
    grass = colour.ramp(
        tuft,
        [
            (-0.7, lch(0.36, 0.10, 265)),
            (-0.15, lch(0.47, 0.12, 158)),
            (0.25, lch(0.68, 0.16, 132)),
            (0.8, lch(0.87, 0.15, 105)),
        ],
    )
    bloom = fields.noise(x, y, 34, seed + 35)
    grass = colour.mix(grass, lch(0.66, 0.19, 25), fields.smoothstep(0.40, 0.52, bloom))
    grass = colour.mix(grass, lch(0.80, 0.10, 330), fields.smoothstep(0.40, 0.52, fields.noise(x, y, 30, seed + 36)))
    picture = np.where((y > bank)[..., None], grass, picture)
    return picture.astype(np.float32)


def _pigments(plan, rng: np.random.Generator, purity: float, opposite: float):
    """Draw one pigment for each planned colour; nearer ones are more likely."""
    difference = plan[:, None, :] - PIGMENTS[None]
    # Lightness counts more than hue, because forms are recognised by it.
    distance = (difference**2 * np.array([2.6, 1.0, 1.0], np.float32)).sum(-1)
    chance = np.exp(-distance / purity**2)
    turned = plan * np.array([1, -0.9, -0.9], np.float32)
    against = ((turned[:, None, :] - PIGMENTS[None]) ** 2 * np.array([5, 1, 1], np.float32)).sum(-1)
    against = np.exp(-against / purity**2)
    chance = chance / chance.sum(1, keepdims=True)
    chance = (1 - opposite) * chance + opposite * against / against.sum(1, keepdims=True)
    cumulative = np.cumsum(chance, 1)
    chosen = (cumulative < rng.random((len(plan), 1)) * cumulative[:, -1:]).sum(1)
    return PIGMENTS[np.minimum(chosen, len(PIGMENTS) - 1)]


def paint(size: int, seed: int) -> NDArray[np.uint8]:
    """Paint it; ``size`` is the long side in pixels."""
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, int(size * 0.8125), lch(0.86, 0.045, 80))
    plan = _plan(canvas, seed)
    # Dots are a little longer across the water, and lean with the leaves elsewhere.
    angle = 1.2 * fields.noise(canvas.x, canvas.y, 5, seed + 50)
    angle = np.where(canvas.y > HORIZON, angle * 0.15, angle)
    for count, across, purity, opposite, load in (
        (5200, 19, 0.10, 0.05, 0.6),
        (11000, 12.5, 0.105, 0.07, 0.8),
        (19000, 9.4, 0.115, 0.08, 1.1),
        (15000, 7.0, 0.10, 0.07, 1.4),
    ):
        dots = Brush(dry=0.03, bristles=5, relief=load, tint=0.012, shape="dab", seed=count)
        starts = fields.scatter(count, canvas.aspect, rng)
        tones = _pigments(canvas.pick(plan, starts), rng, purity, opposite)
        tones = colour.jitter(tones, rng, 0.034, 0.012, 6)
        breadth = across * np.exp(0.14 * rng.standard_normal(len(starts)))
        canvas.strokes(starts, angle, breadth * rng.uniform(1.0, 1.35, len(starts)), breadth, tones, dots, rng)
    # The sun itself, set last: a pale disc in a ring of orange, and its glitter.
    starts = fields.scatter(26000, canvas.aspect, rng)
    away = np.hypot(starts[:, 0] - SUN[0], starts[:, 1] - SUN[1])
    glitter = (starts[:, 1] > HORIZON + 0.01) & (rng.random(len(starts)) < 0.07)
    glitter &= starts[:, 1] < 0.83
    glitter &= np.abs(starts[:, 0] - SUN[0]) < 0.012 + 0.20 * (starts[:, 1] - HORIZON)
    ring = (away >= 0.052) & (away < 0.072) & (rng.random(len(starts)) < 0.6)
    ring &= starts[:, 1] < 0.52
    shown = ((away < 0.052) & (starts[:, 1] < 0.514)) | ring | glitter
    tones = np.where(ring[:, None], lch(0.80, 0.165, 68), lch(0.975, 0.055, 100))[shown]
    dots = Brush(dry=0.02, bristles=5, relief=1.6, tint=0.012, shape="dab", seed=99)
    tones = colour.jitter(tones, rng, 0.012, 0.012, 8)
    canvas.strokes(starts[shown], angle, 9.5, 8.0, tones, dots, rng)
    return canvas.finish(relief=0.085, weave=0.0, gloss=0.015)
