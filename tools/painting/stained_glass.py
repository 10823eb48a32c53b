"""Sun, hills, river and flowers in leaded glass.

The cartoon divides the window into objects; each object is cut into pieces that
follow its form (rings of the sun, furrows of the hills, petals).  Every piece
is one sheet of glass: its own tone, streaks drawn in one direction, seeds and
bubbles, a brighter middle where light floods through, and rounded lead around it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from . import colour, fields
from .brush import shrink
from .colour import lch

FACTOR = 2
SUN = (0.84, 0.285)
FLOWERS = [  # x, y, radius, hue, petals
    (0.16, 0.755, 0.125, 18, 7),
    (0.50, 0.835, 0.110, 345, 6),
    (1.02, 0.80, 0.130, 40, 8),
    (0.335, 0.60, 0.062, 330, 6),
    (0.765, 0.685, 0.070, 62, 7),
    (1.19, 0.615, 0.062, 350, 6),
    (0.73, 0.955, 0.075, 25, 6),
    (0.30, 0.965, 0.07, 55, 6),
]


class Window:
    """A cartoon in the making: integer label of the piece at every pixel."""

    def __init__(self, width: int, height: int, rng: np.random.Generator) -> None:
        self.x, self.y = fields.grid(width, height)
        self.labels = np.zeros((height, width), np.int32)
        self.colours: list[np.ndarray] = [lch(0.5, 0, 0)]
        self.rng = rng

    def cut(self, inside: NDArray[np.bool_], u, v, count: int, tone, jitter=(0.05, 0.02, 8)) -> None:
        """Cut the region ``inside`` into about ``count`` pieces.

        (u, v) are coordinates natural to the region; pieces are Voronoi cells there,
        relaxed a little so that none is a splinter.  ``tone(x, y)`` gives colours at
        the pieces' centres.
        """
        where = np.flatnonzero(inside)
        if len(where) == 0:
            return
        uv = np.stack(
            [
                np.broadcast_to(u, inside.shape).reshape(-1)[where],
                np.broadcast_to(v, inside.shape).reshape(-1)[where],
            ],
            1,
        )
        sample = uv[self.rng.integers(0, len(uv), 6000)]
        seeds = uv[self.rng.integers(0, len(uv), count)]
        for _ in range(5):
            owner = cKDTree(seeds).query(sample)[1]
            total = np.bincount(owner, minlength=count)
            for axis in (0, 1):
                mean = np.bincount(owner, sample[:, axis], count) / np.maximum(total, 1)
                seeds[:, axis] = np.where(total > 0, mean, seeds[:, axis])
        owner = cKDTree(seeds).query(uv)[1]
        xy = np.stack([self.x.reshape(-1)[where], self.y.reshape(-1)[where]], 1)
        total = np.maximum(np.bincount(owner, minlength=count), 1)
        centre = [np.bincount(owner, xy[:, axis], count) / total for axis in (0, 1)]
        tones = colour.jitter(tone(*centre), self.rng, *jitter)
        self.labels.reshape(-1)[where] = owner + len(self.colours)
        self.colours.extend(tones)

    def pieces(self, inside: NDArray[np.bool_], ids: NDArray[np.int32], tones) -> None:
        """Make the pieces ``ids`` (0, 1, ...) of the region, each with one of the given tones."""
        self.labels[inside] = ids[inside] + len(self.colours)
        self.colours.extend(tones)


def _cartoon(window: Window, seed: int) -> None:
    x, y = window.x, window.y
    aspect = x.shape[1] / x.shape[0]
    radius, turn = np.hypot(x - SUN[0], y - SUN[1]), np.arctan2(y - SUN[1], x - SUN[0])
    everywhere = np.ones(x.shape, bool)

    def sky(px, py):
        away = np.hypot(px - SUN[0], py - SUN[1])
        warm = fields.smoothstep(0.52, 0.20, away)
        deep = lch(0.42 + 0.14 * np.sin(9 * away + 2 * np.arctan2(py - SUN[1], px - SUN[0])), 0.15, 258 - 40 * py)
        # From gold over rose and violet to deep blue: the long way round the circle.
        return colour.ramp(
            away + 0 * warm,
            [
                (0.17, lch(0.84, 0.15, 82)),
                (0.26, lch(0.72, 0.17, 48)),
                (0.36, lch(0.58, 0.18, 8)),
                (0.47, lch(0.50, 0.16, 320)),
                (0.60, lch(0.45, 0.15, 280)),
            ],
        ) * warm[..., None] + deep * (1 - warm[..., None])

    # Sky: pieces longer around the sun than outwards, so they surround it like ripples.
    window.cut(everywhere, radius * 2.1, turn * (radius + 0.15) * 0.9 + 0.5 * radius, 210, sky)
    # A stream of wind, pale blue, winds across the sky.
    wind = y - (0.20 + 0.10 * np.sin(x * 5.2 + 0.6) + 0.06 * np.sin(x * 11))
    for offset, tone in (
        (0.0, lch(0.78, 0.09, 215)),
        (0.055, lch(0.66, 0.12, 235)),
        (-0.05, lch(0.55, 0.14, 262)),
    ):
        inside = (np.abs(wind - offset) < 0.026) & (radius > 0.23)
        window.cut(inside, x, wind * 0.8, 15, lambda px, py, t=tone: np.repeat(t[None], len(px), 0))
    # Sun: heart, ring of rays, outer flames.
    flame = 0.195 + 0.022 * np.cos(turn * 14)
    window.cut(
        radius < flame,
        turn * 0.5,
        radius * 0.12,
        28,
        lambda px, py: lch(0.76 + 0 * px, 0.175, 62),
        (0.04, 0.01, 9),
    )
    window.cut(
        radius < 0.135,
        turn * 0.5,
        radius * 0.1,
        16,
        lambda px, py: lch(0.86 + 0 * px, 0.165, 90),
        (0.03, 0.01, 6),
    )
    window.cut(radius < 0.072, x, y, 6, lambda px, py: lch(0.93 + 0 * px, 0.11, 100), (0.02, 0.01, 5))
    # Hills, back to front, in furrows.
    hills = [
        (0.50, 0.055, 5.0, 0.2, (0.57, 0.12, 200), 46),
        (0.57, 0.06, 4.1, 2.2, (0.74, 0.15, 142), 60),
        (0.66, 0.05, 5.6, 4.0, (0.55, 0.14, 162), 90),
    ]
    for base, swing, frequency, phase, tone, count in hills:
        top = base + swing * np.sin(x * frequency + phase)

        def shade(px, py, tone=tone, top0=base):
            return lch(tone[0] + 0.11 * np.sin(31 * py + 6 * px), tone[1], tone[2] - 26 * np.sin(17 * py - 5 * px))

        window.cut(y > top, x * 0.75, (y - top) * 1.7, count, shade)
    # River: bands of blue and turquoise widening towards us.
    depth = np.clip((y - 0.56) / 0.44, 0, 1)
    middle = 0.60 + 0.16 * np.sin(5.2 * depth + 0.4) * (1 - 0.2 * depth)
    across = (x - middle) / (0.02 + 0.17 * depth)
    inside = (np.abs(across) < 1) & (y > 0.575)
    window.cut(
        inside,
        (x - middle) * 0.9,
        depth * 0.42,
        34,
        lambda px, py: lch(0.60 + 0.14 * np.sin(40 * py + 9 * px), 0.115, 232 + 26 * np.sin(23 * px)),
        (0.05, 0.02, 10),
    )
    # Leaves and flowers in front.
    for number, (cx, cy, size, hue, petals) in enumerate(FLOWERS):
        dx, dy = x - cx, y - cy
        for side in (-1, 1):
            turned = 0.75 + 0.12 * np.sin(7 * cx + side)
            ex = side * (dx - side * 0.82 * size) * np.cos(turned) + (dy - 1.02 * size) * np.sin(turned)
            ey = -side * (dx - side * 0.82 * size) * np.sin(turned) + (dy - 1.02 * size) * np.cos(turned)
            blade = np.clip(1 - (ex / (0.62 * size)) ** 2, 0, None)
            leaf = np.abs(ey) < 0.27 * size * blade
            lean, dy_ = (ey > 0) * 3.0, ex
            window.cut(leaf, lean, dy_, 4, lambda px, py: lch(0.64 + 0 * px, 0.17, 135), (0.07, 0.02, 12))
        r, a = np.hypot(dx, dy), np.arctan2(dy, dx) + 0.4 * number
        petal = np.cos(a * petals / 2) ** 2
        for scale, lift, spin in ((1.0, -0.02, 0.0), (0.66, 0.12, np.pi / petals)):
            petal = np.abs(np.cos((a + spin) * petals / 2)) ** 0.7
            inside = r < size * scale * (0.55 + 0.45 * petal)
            sector = (np.round((a + spin) * petals / (2 * np.pi)) % petals).astype(np.int32)
            light = 0.60 + 0.11 * (30 < hue < 90) + lift
            tones = colour.jitter(lch(np.full(petals, light), 0.185, hue + 60 * lift), window.rng, 0.05, 0.012, 9)
            # The large petals are cut once across, where they leave the small ones.
            tip = ((r > size * 0.80) & (scale == 1.0) & (size > 0.1)).astype(np.int32)
            tips = tones + np.array([0.09, 0.0, 0.02], np.float32)
            window.pieces(inside, sector + petals * tip, [*tones, *tips])
        window.cut(
            r < size * 0.27,
            a * 0.02,
            r,
            1 if size < 0.08 else 4,
            lambda px, py: lch(0.86 + 0 * px, 0.16, 92),
            (0.04, 0.01, 8),
        )
    # A border of alternating panes frames the light.
    rim = np.minimum(np.minimum(x, aspect - x), np.minimum(y, 1 - y))
    along = np.where(np.minimum(x, aspect - x) < np.minimum(y, 1 - y), y, x)
    for low, high, count, choices in (
        (-1, 0.030, 62, ((0.45, 0.17, 24), (0.40, 0.14, 268), (0.50, 0.12, 165))),
        (0.030, 0.042, 60, ((0.84, 0.15, 85),) * 3),
    ):
        side = np.argmin(np.stack([x, aspect - x, y, 1 - y]), 0)

        def pick(px, py, c=choices):
            return np.array([lch(*c[i]) for i in window.rng.integers(0, 3, len(px))])

        window.cut((rim >= low) & (rim < high), along, side * 5.0, count, pick, (0.05, 0.015, 8))


def paint(size: int, seed: int) -> NDArray[np.uint8]:
    """Glaze the window; ``size`` is the long side in pixels."""
    rng = np.random.default_rng(seed)
    width, height = size * FACTOR, int(size * 0.8125) * FACTOR
    window = Window(width, height, rng)
    _cartoon(window, seed)
    x, y, labels = window.x, window.y, window.labels
    # Cut lines are never ruler-straight: warp the cartoon a little by noise.
    shift = 0.0045 * height
    rows = np.arange(height)[:, None] + shift * fields.fractal(x, y, 12, seed + 1, 2)
    columns = np.arange(width)[None, :] + shift * fields.fractal(x, y, 12, seed + 4, 2)
    labels = labels[
        np.clip(rows.round(), 0, height - 1).astype(np.intp),
        np.clip(columns.round(), 0, width - 1).astype(np.intp),
    ]
    tones = np.array(window.colours, np.float32)
    count = len(tones)

    edge = np.zeros(labels.shape, bool)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    distance = ndimage.distance_transform_edt(~edge).astype(np.float32) / height

    # --- glass
    lab = tones[labels]
    angle = rng.uniform(0, np.pi, count).astype(np.float32)[labels]
    offset = rng.uniform(0, 9, count).astype(np.float32)[labels]
    along = np.cos(angle) * x + np.sin(angle) * y
    across = -np.sin(angle) * x + np.cos(angle) * y
    streak = fields.fractal(along * 0.22 + offset, across * 1.5, 34, seed + 11, 3)
    ripple = fields.noise(along * 0.7 + offset, across, 60, seed + 15)
    wisp = fields.smoothstep(
        0.15, 0.75, fields.fractal(along * 0.35 + offset, across + 0.03 * ripple, 11, seed + 17, 3)
    )
    shift_tone = (rng.normal(0, 1, count).astype(np.float32))[labels]
    lab[..., 0] += 0.085 * streak + 0.030 * ripple
    bright = lab + np.array([0.17, 0, 0], np.float32)
    bright[..., 1:] *= 0.72
    lab = colour.mix(lab, bright, 0.60 * wisp)
    # Every sheet drifts in hue from one end to the other.
    swing = 0.28 * shift_tone * np.sin(along * 14 + offset)
    a, b = lab[..., 1].copy(), lab[..., 2].copy()
    lab[..., 1], lab[..., 2] = a * np.cos(swing) - b * np.sin(swing), a * np.sin(swing) + b * np.cos(swing)
    # Light floods the middle of a piece; its rim, and old putty, stay darker.
    lab[..., 0] += 0.075 * fields.smoothstep(0.0, 0.030, distance) - 0.02
    lab[..., 0] -= 0.16 * np.exp(-distance / 0.0055)
    lab[..., 0] += 0.035 * fields.fractal(x, y, 2.2, seed + 21, 2)
    # Seeds: tiny bubbles with a dark rim and a bright heart.
    seeds = fields.noise(x, y, 130, seed + 23)
    lab[..., 0] += 0.10 * fields.smoothstep(0.62, 0.78, seeds) - 0.06 * np.exp(-(((seeds - 0.56) / 0.05) ** 2))
    relief = 0.6 * streak + 0.5 * ripple
    dy, dx = np.gradient(ndimage.gaussian_filter(relief, 1.2))
    lab[..., 0] += 0.05 * np.tanh(-(dx + dy) * 6 * height / 1560)

    # --- bloom: bright glass shines over its neighbours and over the lead
    linear = np.clip(lab[..., 0], 0, 1)[..., None] ** 3 * np.concatenate([np.ones_like(lab[..., :1]), lab[..., 1:]], -1)
    glow = ndimage.gaussian_filter(linear, (0.012 * height, 0.012 * height, 0))

    # --- lead: rounded came with a highlight on the upper left, solder at the joints
    joints = ndimage.gaussian_filter((distance < 0.0035).astype(np.float32), 0.006 * height)
    half = 0.0032 + 0.0012 * fields.noise(x, y, 8, seed + 31) + 0.0032 * fields.smoothstep(0.55, 0.85, joints)
    t = np.clip(distance / np.maximum(half, 1e-4), 0, 1)
    came = np.sqrt(np.clip(1 - t * t, 0, 1))
    dy, dx = np.gradient(ndimage.gaussian_filter(came, 0.9) * half * height)
    shine = np.clip(-(dx + dy) * 0.8, -1, 1)
    lead = lch(0.215 + 0.11 * shine + 0.02 * fields.noise(x, y, 90, seed + 33), 0.015, 265)
    cover = fields.smoothstep(1.0, 0.82, distance / np.maximum(half, 1e-4))
    lab = colour.mix(lab, lead, cover)
    lab[..., 0] += 0.10 * glow[..., 0]
    lab[..., 1:] += 0.10 * glow[..., 1:]
    return colour.to_bytes(shrink(lab, FACTOR))
