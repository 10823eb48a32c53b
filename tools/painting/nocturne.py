"""River valley at night: whirling sky, lamps on the far shore, their light in water.

Arrangement: a dark diagonal of hills parts a moving blue sky from the river; warm
lights repeat in three sizes (moon, stars, lamps) and again, broken, in the water.
Colours: blues from violet to teal against their complement, yellow to orange.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import colour, fields
from .brush import Brush, Canvas
from .colour import lch

WHIRLS = [  # x, y, radius, turn
    (0.40, 0.27, 0.125, 1.25),
    (0.74, 0.40, 0.085, -1.05),
    (0.13, 0.46, 0.075, -0.8),
    (1.10, 0.50, 0.08, 0.9),
]
STARS = [  # x, y, radius of the glow
    (0.10, 0.10, 0.060),
    (0.27, 0.055, 0.040),
    (0.62, 0.10, 0.055),
    (0.80, 0.20, 0.036),
    (0.20, 0.30, 0.042),
    (0.585, 0.30, 0.034),
    (0.95, 0.36, 0.045),
    (1.17, 0.33, 0.048),
    (0.045, 0.335, 0.030),
    (0.79, 0.055, 0.034),
    (0.335, 0.45, 0.034),
    (0.56, 0.47, 0.028),
]
MOON = (1.02, 0.155, 0.120)
LAMPS = [0.06, 0.15, 0.215, 0.33, 0.42, 0.475, 0.60, 0.70, 0.765, 0.86, 0.985, 1.05, 1.16]
SHORE = 0.695


def _ridge(x, base: float, swing: float, frequency: float, seed: int):
    return base + swing * fields.fractal(x, x * 0 + 0.5, frequency, seed, 3)


def _scene(canvas: Canvas, seed: int):
    """The picture's plan: colour and stroke direction at every pixel."""
    x, y = canvas.x, canvas.y
    # --- sky: a westward breeze that the whirls catch and wind up
    flow_x = 0.55 + 0 * x
    flow_y = 0.22 * np.sin(x * 5.0 + 1.0) + 0 * y
    wave = fields.curl(x, y, 3.2, seed)
    flow_x, flow_y = flow_x + 0.25 * wave[0], flow_y + 0.25 * wave[1]
    bands = 0.8 * fields.fractal(x * 0.6, y * 1.6, 5, seed + 9, 3)
    glow = np.zeros_like(x)
    for cx, cy, radius, turn in WHIRLS:
        vx, vy = fields.vortex(x, y, cx, cy, radius, turn)
        flow_x, flow_y = flow_x + vx * 2.2, flow_y + vy * 2.2
        dx, dy = x - cx, y - cy
        distance = np.hypot(dx, dy) / radius
        # Two arms of light wind out of every whirl.
        arm = np.sin(2 * np.arctan2(dy, dx) - np.sign(turn) * 5.2 * np.sqrt(distance + 0.02))
        bands = bands + 1.25 * arm * np.exp(-0.30 * distance**2) * fields.smoothstep(0.0, 0.4, distance)
        glow += 0.9 * np.exp(-((distance / 0.42) ** 2))
    for cx, cy, radius in STARS + [MOON]:
        dx, dy = x - cx, y - cy
        distance = np.hypot(dx, dy) / radius
        pull = np.exp(-0.5 * (distance / 1.25) ** 2) * 3.2
        flow_x, flow_y = flow_x - dy / radius * pull, flow_y + dx / radius * pull
    sky_light = 0.40 + 0.145 * bands + 0.05 * (y / 0.6) ** 2
    hue = 268 - 44 * fields.smoothstep(-0.5, 1.2, bands) + 12 * fields.noise(x, y, 4, seed + 3)
    sky = lch(sky_light, 0.128 - 0.02 * fields.smoothstep(0.3, 1.5, bands), hue)
    # Towards the hills the sky turns a little green-gold: air lit by the town.
    sky = colour.mix(sky, lch(0.70, 0.085, 160), 0.75 * fields.smoothstep(0.36, 0.60, y))
    sky = colour.mix(sky, lch(0.70, 0.07, 205), np.clip(glow, 0, 1) * 0.75)
    for cx, cy, radius in STARS:
        distance = np.hypot(x - cx, y - cy) / radius
        rings = 0.5 + 0.5 * np.cos(distance * 9.0)
        halo = np.exp(-0.9 * distance**2)
        # By way of turquoise: blue and yellow mixed outright would give grey.
        sky = colour.mix(sky, lch(0.70, 0.105, 190), 0.85 * np.exp(-0.55 * distance**2))
        sky = colour.mix(sky, lch(0.86, 0.155, 104), halo**1.6 * (0.70 + 0.30 * rings))
        sky = colour.mix(sky, lch(0.93, 0.13, 96), np.exp(-((distance / 0.36) ** 2)))
        sky = colour.mix(sky, lch(0.80, 0.165, 72), 0.8 * np.exp(-((distance / 0.13) ** 2)))
    cx, cy, radius = MOON
    distance = np.hypot(x - cx, y - cy) / radius
    rings = 0.5 + 0.5 * np.cos(distance * 11.0)
    sky = colour.mix(sky, lch(0.69, 0.10, 185), 0.85 * np.exp(-0.45 * distance**2))
    sky = colour.mix(sky, lch(0.86, 0.155, 104), np.exp(-1.5 * distance**2) * (0.65 + 0.35 * rings))
    disc = fields.smoothstep(0.50, 0.44, distance)
    bite = fields.smoothstep(0.44, 0.38, np.hypot(x - cx - 0.028, y - cy + 0.016) / radius)
    sky = colour.mix(sky, lch(0.90, 0.14, 92), disc)
    sky = colour.mix(sky, lch(0.78, 0.165, 68), disc * bite * 0.9)
    picture, angle = sky, np.arctan2(flow_y, flow_x)

    # --- three ranges of hills, darker towards us, then the shore
    plans = [
        (
            _ridge(x, 0.575, 0.07, 2.2, seed + 20) + 0.05 * np.cos(x * 3.0),
            (0.43, 0.10, 240),
            (0.56, 0.10, 195),
        ),
        (
            _ridge(x, 0.575, 0.06, 3.1, seed + 24) + 0.085 * np.sin(x * 2.6 - 0.6),
            (0.29, 0.09, 272),
            (0.42, 0.10, 235),
        ),
        (_ridge(x, 0.665, 0.03, 5.0, seed + 28), (0.19, 0.065, 285), (0.33, 0.09, 165)),
    ]
    for number, (top, dark, light) in enumerate(plans):
        depth = (y - top) / 0.07
        roll = fields.noise(x, y * 1.8, 9, seed + 40 + number)
        hill = colour.mix(lch(*dark), lch(*light), np.clip(0.5 + 0.9 * roll - 0.35 * depth, 0, 1))
        hill = colour.mix(hill, lch(0.60, 0.10, 150), 0.60 * np.exp(-(((depth - 0.08) / 0.14) ** 2)))
        inside = y > top
        slope = np.arctan(np.gradient(top, axis=1) * canvas.height)
        picture = np.where(inside[..., None], hill, picture)
        angle = np.where(inside, slope + 0.7 * roll + 0.25 * (-1) ** number, angle)

    # --- river: the sky's blues upside down, crossed by columns of lamp light
    inside = y > SHORE
    depth = np.clip((y - SHORE) / (1 - SHORE), 0, 1)
    ripple = fields.noise(x * 0.45, y * 2.6 / (0.5 + depth), 9, seed + 50)
    fine = fields.noise(x * 0.8, y * 5.5 / (0.6 + depth), 10, seed + 51)
    water = lch(
        0.36 + 0.07 * ripple + 0.07 * fine + 0.05 * depth,
        0.105 + 0.01 * ripple,
        250 - 24 * ripple + 16 * fine,
    )
    water = colour.mix(water, lch(0.24, 0.07, 275), 0.75 * np.exp(-depth * 9))
    for number, lamp in enumerate(LAMPS):
        reach = 0.55 + 0.5 * ((number * 5) % 7) / 7
        wander = 0.012 * fields.noise(y * 0 + number * 0.37, y, 14, seed + 60)
        spread = 0.010 + 0.015 * depth
        column = np.exp(-(((x - lamp - wander) / spread) ** 2))
        column *= fields.smoothstep(reach + 0.25, reach - 0.35, depth)
        column *= fields.smoothstep(-0.25, 0.25, fine + 0.45 - 0.5 * depth)
        tone = lch(0.84 - 0.12 * depth, 0.155, 90 - 30 * ((number * 3) % 5) / 5)
        picture_gold = np.broadcast_to(tone, water.shape)
        water = colour.mix(water, picture_gold, fields.smoothstep(0.12, 0.62, column))
    silver = np.exp(-(((x - MOON[0] - 0.02) / (0.03 + 0.05 * depth)) ** 2))
    water = colour.mix(
        water,
        lch(0.84, 0.095, 112),
        fields.smoothstep(0.25, 0.5, silver * fields.smoothstep(-0.2, 0.4, fine)),
    )
    picture = np.where(inside[..., None], water, picture)
    angle = np.where(inside, 0.30 * ripple + 0.12 * np.sin(x * 9 + 14 * depth), angle)
    return picture.astype(np.float32), angle.astype(np.float32)


def paint(size: int, seed: int) -> NDArray[np.uint8]:
    """Paint it; ``size`` is the long side in pixels."""
    rng = np.random.default_rng(seed)
    canvas = Canvas(size, int(size * 0.8125), lch(0.28, 0.07, 285))
    plan, angle = _scene(canvas, seed)
    canvas.lab[...] = colour.mix(canvas.lab, plan, 0.85)
    flat, short = (
        Brush(dry=0.12, bristles=12, shape="flat"),
        Brush(dry=0.24, bristles=10, relief=1.25, tint=0.07),
    )
    loaded = Brush(dry=0.10, bristles=8, relief=1.7, tint=0.07, seed=4)

    def layer(count, length, width, brush, spread, tolerance):
        starts = fields.scatter(count, canvas.aspect, rng)
        colours = canvas.pick(plan, starts)
        colours = colour.jitter(colours, rng, *spread)
        size_jitter = np.exp(0.22 * rng.standard_normal((2, len(starts))))
        canvas.strokes(
            starts,
            angle,
            length * size_jitter[0],
            width * size_jitter[1],
            colours,
            brush,
            rng,
            guide=plan,
            tolerance=tolerance,
        )

    layer(1500, 110, 34, flat, (0.03, 0.012, 10), 0.30)
    layer(4600, 66, 16, short, (0.045, 0.016, 13), 0.16)
    layer(8000, 48, 10, short, (0.055, 0.018, 15), 0.13)
    layer(4200, 34, 7.5, loaded, (0.06, 0.02, 16), 0.10)

    # Last, thick accents: lamps on the shore, cores of the stars.
    lamps = np.array([(lamp, SHORE - 0.008 - 0.012 * (i % 3)) for i, lamp in enumerate(LAMPS)])
    cores = np.array([star[:2] for star in STARS])
    for points, wide, tone in (
        (lamps, 17, lch(0.80, 0.165, 66)),
        (lamps, 9, lch(0.95, 0.11, 98)),
        (cores, 13, lch(0.97, 0.07, 100)),
        (np.array([MOON[:2]]), 30, lch(0.84, 0.16, 76)),
        (np.array([MOON[:2]]) + [-0.004, -0.003], 15, lch(0.95, 0.10, 98)),
    ):
        points = (points - [wide / 1920, 0]).astype(np.float32)
        canvas.strokes(
            points,
            angle * 0,
            wide,
            wide,
            np.repeat(tone[None], len(points), 0),
            Brush(dry=0.02, relief=2.2, shape="dab", bristles=5),
            rng,
        )
    return canvas.finish(relief=0.12, weave=0.2, gloss=0.03)
