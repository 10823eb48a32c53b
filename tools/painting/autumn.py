"""Birches in October, laid on with the palette knife.

A wet lane runs to a pale light between the trees and mirrors it.  Warm foliage,
yellow to crimson, against violet and turquoise distances; white trunks and their
dark marks are the strongest light and dark.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import colour, fields
from .brush import Brush, Canvas
from .colour import lch

GLOW = (0.66, 0.47)
HORIZON = 0.60
TRUNKS = [  # x at the foot, foot, width, lean
    (0.45, 0.645, 0.012, 0.03),
    (0.53, 0.635, 0.009, -0.02),
    (0.80, 0.640, 0.011, 0.02),
    (0.88, 0.655, 0.014, -0.03),
    (0.36, 0.685, 0.018, 0.02),
    (0.97, 0.690, 0.020, 0.03),
    (0.245, 0.745, 0.026, -0.03),
    (1.085, 0.765, 0.029, -0.02),
    (0.105, 0.850, 0.040, 0.04),
    (1.19, 0.875, 0.036, 0.05),
    (0.175, 0.830, 0.027, -0.07),
]
LEAVES = [
    (0.0, lch(0.34, 0.12, 345)),
    (0.22, lch(0.48, 0.165, 24)),
    (0.45, lch(0.62, 0.175, 42)),
    (0.68, lch(0.75, 0.165, 66)),
    (0.88, lch(0.86, 0.165, 90)),
    (1.0, lch(0.93, 0.12, 102)),
]


def _forest(x, y, seed: int):
    """Everything above the lane: light, far trees and foliage."""
    away = np.hypot((x - GLOW[0]) * 1.15, (y - GLOW[1]) * 0.75)
    picture = colour.ramp(
        away,
        [
            (0.0, lch(0.965, 0.07, 100)),
            (0.12, lch(0.91, 0.09, 95)),
            (0.26, lch(0.80, 0.075, 190)),
            (0.42, lch(0.64, 0.095, 235)),
            (0.7, lch(0.47, 0.12, 275)),
        ],
    )
    # Far trunks: violet uprights, denser away from the light.
    uprights = fields.noise(x, y * 0.10, 44, seed) + 0.6 * fields.noise(x, y * 0.2, 90, seed + 1)
    far = fields.smoothstep(0.25, 0.55, uprights) * fields.smoothstep(0.05, 0.2, away)
    picture = colour.mix(picture, lch(0.42, 0.12, 300), 0.70 * far)
    # Foliage in masses, torn open towards the light.
    mass = fields.fractal(x, y * 1.15, 5.0, seed + 3, 4)
    light = 0.56 + 0.42 * fields.fractal(x + 0.02, y + 0.03, 8.0, seed + 7, 3) - 0.75 * (away - 0.30)
    cover = fields.smoothstep(-0.30, 0.10, mass + 1.35 * (away - 0.20) - 1.6 * np.clip(y - 0.44, 0, 1))
    picture = colour.mix(picture, colour.ramp(light, LEAVES), 0.96 * cover)
    # Low bushes close the wood at the ground.
    brush = (
        HORIZON
        - 0.05
        - 0.09 * fields.fractal(x, x * 0, 6, seed + 11, 3)
        - 0.16 * np.clip(np.abs(x - GLOW[0]) - 0.10, 0, 1)
    )
    low = fields.smoothstep(-0.02, 0.03, y - brush)
    tone = colour.ramp(
        0.45 + 0.5 * fields.fractal(x, y, 13, seed + 13, 3) + 0.3 * (brush - y + 0.04) * 8,
        [
            (0, lch(0.29, 0.09, 290)),
            (0.3, lch(0.42, 0.11, 330)),
            (0.55, lch(0.56, 0.16, 32)),
            (0.8, lch(0.70, 0.16, 60)),
            (1.0, lch(0.80, 0.14, 100)),
        ],
    )
    return colour.mix(picture, tone, low)


def _trunks(x, y):
    """For each birch: where it stands, -1..1 across it, height above its foot, width."""
    for cx, foot, width, lean in TRUNKS:
        rise = foot - y
        middle = cx + lean * rise + 0.006 * np.sin(rise * 16 + cx * 40)
        taper = 1.0 - 0.45 * np.clip(rise, 0, 1) + 0.7 * np.exp(-np.clip(rise, 0, 1) / 0.02)
        side = (x - middle) / (0.5 * width * taper)
        ragged = 0.12 * fields.noise(x, y, 60, 77)
        yield (np.abs(side) + ragged < 1) & (rise > 0), side, rise, width


def _plan(canvas: Canvas, seed: int):
    x, y = canvas.x, canvas.y
    picture = _forest(x, y, seed)
    angle = 0.9 * fields.noise(x, y, 5, seed + 20) - 0.75 * np.sign(x - GLOW[0]) * fields.smoothstep(
        0, 0.15, np.abs(x - GLOW[0])
    )

    # Ground: fallen leaves, lit in streaks, violet in the trunks' shadows.
    depth = np.clip((y - HORIZON) / (1 - HORIZON), 0, 1)
    litter = 0.55 + 0.45 * fields.fractal(x * 0.55, y * 1.6, 11, seed + 30, 3) - 0.12 * depth
    ground = colour.ramp(litter, LEAVES)
    streak = fields.fractal((x - GLOW[0]) / (0.25 + depth), y * 2.4, 5, seed + 33, 3)
    ground = colour.mix(ground, lch(0.36, 0.13, 300), 0.78 * fields.smoothstep(0.05, 0.45, streak))
    on_ground = y > HORIZON + 0.012 * fields.noise(x, y * 0, 14, seed + 34)
    picture = np.where(on_ground[..., None], ground, picture)
    angle = np.where(on_ground, 0.35 * (x - GLOW[0]) + 0.35 * fields.noise(x, y, 6, seed + 35), angle)

    # The wet lane: the wood upside down, pulled into uprights, cut by level strokes.
    bend = GLOW[0] - 0.03 * depth + 0.05 * np.sin(3.4 * depth)
    half = 0.022 + 0.30 * depth**1.15
    ragged = 0.05 * fields.fractal(x, y * 2, 12, seed + 36, 2)
    lane = fields.smoothstep(1.06, 0.94, np.abs(x - bend) / half + ragged)
    ripple = fields.fractal(x * 0.5, y * 3.5, 10, seed + 37, 3)
    mirror = _forest(
        x + 0.012 * ripple,
        np.clip(2 * HORIZON - HORIZON - (y - HORIZON) * 1.25, -0.2, 1) + 0.015 * ripple,
        seed,
    )
    mirror = mirror * np.array([0.86, 1, 1], np.float32) + np.array([0.035, 0, 0], np.float32)
    # Either the sky's blue or the wood's gold: blended outright they would turn grey.
    blue = colour.ramp(
        ripple, [(-0.5, lch(0.40, 0.14, 290)), (0.1, lch(0.53, 0.135, 262)), (0.6, lch(0.70, 0.10, 215))]
    )
    mirror = colour.mix(
        mirror,
        blue,
        0.92 * fields.smoothstep(-0.12, 0.05, fields.noise(x * 0.55, y * 3.2, 12, seed + 38) + 0.4 * ripple + 0.06),
    )
    glint = np.exp(-(((x - GLOW[0] - 0.01) / (0.03 + 0.11 * depth)) ** 2)) * fields.smoothstep(-0.35, 0.2, ripple)
    mirror = colour.mix(mirror, lch(0.93, 0.085, 95), 0.88 * glint)
    lane = lane * on_ground
    picture = colour.mix(picture, mirror, lane)
    angle = np.where(lane > 0.5, 0.10 * ripple, angle)

    return picture.astype(np.float32), angle.astype(np.float32)


def _birches(canvas: Canvas, seed: int):
    """Colour, direction and number of the trunk at every pixel; the number is 0 where there is none."""
    x, y = canvas.x, canvas.y
    picture, angle = np.zeros_like(canvas.lab), np.full_like(x, np.pi / 2)
    number = np.zeros(x.shape, np.int32)
    # Birches: cool white, warm where the light grazes, violet in shade, black scars.
    bark = fields.fractal(x * 0.35, y * 1.8, 26, seed + 40, 2)
    for index, (inside, side, rise, width) in enumerate(_trunks(x, y)):
        towards = np.where(x < GLOW[0], side, -side)
        tone = colour.ramp(
            0.5 * towards + 0.16 * bark,
            [
                (-0.5, lch(0.47, 0.095, 290)),
                (-0.1, lch(0.70, 0.055, 275)),
                (0.2, lch(0.90, 0.03, 95)),
                (0.5, lch(0.94, 0.065, 85)),
            ],
        )
        scar = (
            fields.smoothstep(0.20, 0.42, fields.noise(x * 0.28, y, 52 - 600 * width, seed + 45))
            + fields.smoothstep(0.05, -0.02, rise) * 0.7
        )
        tone = colour.mix(tone, lch(0.24, 0.045, 300), 0.92 * np.clip(scar, 0, 1))
        if width < 0.016:
            tone = colour.mix(tone, lch(0.72, 0.08, 310), 0.45)
        picture = np.where(inside[..., None], tone, picture)
        angle = np.where(inside, np.where(scar > 0.5, 0.1, np.pi / 2 - 0.25 * side), angle)
        number[inside] = index + 1
    return picture.astype(np.float32), angle.astype(np.float32), number


def paint(size: int, seed: int) -> NDArray[np.uint8]:
    """Paint it; ``size`` is the long side in pixels."""
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, int(size * 0.8125), lch(0.44, 0.12, 25))
    plan, angle = _plan(canvas, seed)
    knife = Brush(dry=0.10, bristles=22, shape="flat", relief=1.1, tint=0.06, seed=6)
    edge = Brush(dry=0.24, bristles=16, shape="flat", relief=1.5, tint=0.085, seed=7)
    leaf = Brush(dry=0.16, bristles=10, shape="flat", relief=1.8, tint=0.085, seed=8)
    petal = Brush(dry=0.05, bristles=6, relief=1.9, tint=0.04, seed=9)
    for count, length, width, brush, spread, tolerance, turn in (
        (1800, 76, 44, knife, (0.03, 0.014, 8), 0.40, 0.3),
        (4200, 62, 22, edge, (0.040, 0.018, 10), 0.34, 0.4),
        (6000, 44, 13, edge, (0.045, 0.02, 11), 0.28, 0.5),
        (4200, 30, 8.5, leaf, (0.05, 0.022, 12), 0.24, 0.6),
    ):
        starts = fields.scatter(count, canvas.aspect, rng)
        tones = colour.jitter(canvas.pick(plan, starts), rng, *spread)
        scale = np.exp(0.2 * rng.standard_normal((2, len(starts))))
        # The hand turns a little with every touch.
        wrist = angle + turn * fields.noise(canvas.x, canvas.y, 12, int(count))
        canvas.strokes(starts, wrist, length * scale[0], width * scale[1], tones, brush, rng, plan, tolerance)
    # Birches, over the wood: broad pulls of the knife, then its edge for bark and scars.
    bark, along, number = _birches(canvas, seed)
    for count, length, width, brush in ((26000, 34, 12, edge), (42000, 17, 6, edge)):
        starts = fields.scatter(count, canvas.aspect, rng)
        starts = starts[canvas.pick(number, starts) > 0]
        tones = colour.jitter(canvas.pick(bark, starts), rng, 0.035, 0.012, 12)
        canvas.strokes(starts, along, length, width, tones, brush, rng, bark, 0.2, number)
    # Falling and clinging leaves: thick pure touches over trunks and air.
    starts = fields.scatter(1300, canvas.aspect, rng)
    wanted = fields.fractal(starts[:, 0], starts[:, 1], 5, seed + 60, 2) > 0.05
    starts = starts[wanted & (starts[:, 1] < 0.9)]
    tones = colour.jitter(colour.ramp(rng.uniform(0.15, 1.0, len(starts)), LEAVES), rng, 0.03, 0.015, 8)
    canvas.strokes(
        starts,
        angle + 0.8,
        rng.uniform(10, 20, len(starts)),
        rng.uniform(5, 9, len(starts)),
        tones,
        petal,
        rng,
    )
    return canvas.finish(relief=0.12, weave=0.15, gloss=0.03)
