"""A golden tree of spirals over a meadow of ornament: gold leaf and enamel.

Branches wind into spirals before a field of gold; under it lie a carpet of
flowers, triangles and eyes.  Gold leaf comes in squares whose seams show, it is
worn and lit from one side; enamel tesserae carry the full colours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from . import colour, fields, pen
from .brush import shrink
from .colour import lch

FACTOR = 2
ENAMEL = [
    lch(0.36, 0.13, 268),
    lch(0.52, 0.13, 245),
    lch(0.62, 0.11, 200),
    lch(0.52, 0.12, 155),
    lch(0.68, 0.15, 130),
    lch(0.55, 0.19, 28),
    lch(0.68, 0.17, 50),
    lch(0.60, 0.16, 350),
    lch(0.44, 0.14, 320),
    lch(0.93, 0.03, 95),
    lch(0.22, 0.03, 290),
]
GOLD = [
    (0.0, lch(0.40, 0.085, 62)),
    (0.35, lch(0.60, 0.115, 76)),
    (0.65, lch(0.76, 0.135, 85)),
    (1.0, lch(0.92, 0.12, 97)),
]
BLACK = lch(0.21, 0.03, 50)
BARK = lch(0.25, 0.055, 335)


class Panel:
    """Colour, relief and gilding of the panel, with ways to inlay shapes."""

    def __init__(self, width: int, height: int, rng: np.random.Generator) -> None:
        self.width, self.height, self.rng = width, height, rng
        self.x, self.y = fields.grid(width, height)
        self.lab = np.zeros((height, width, 3), np.float32)
        self.relief = np.zeros((height, width), np.float32)
        self.gilt = np.ones((height, width), np.float32)

    def inlay(self, mask: pen.Mask, tone=None, raised: float = 0.0) -> None:
        """Fill a mask with enamel of one tone, or with gold if no tone is given."""
        rows, columns = mask.box()
        share = np.asarray(mask.image.crop((columns.start, rows.start, columns.stop, rows.stop)), np.float32)
        share = share / 255
        if tone is not None:
            self.lab[rows, columns] = colour.mix(self.lab[rows, columns], tone, share)
        self.gilt[rows, columns] = self.gilt[rows, columns] * (1 - share) + (tone is None) * share
        self.relief[rows, columns] += raised * share

    def mask(self) -> pen.Mask:
        """A fresh mask."""
        return pen.Mask(self.width, self.height)


def _spiral(centre, radius: float, turns: float, start: float, sense: int, count: int = 150) -> np.ndarray:
    """A spiral that ends in its centre."""
    t = np.linspace(0, 1, count)
    angle = start + sense * 2 * np.pi * turns * t
    r = radius * (1 - t) ** 0.85
    return np.stack([centre[0] + r * np.cos(angle), centre[1] + r * np.sin(angle)], 1)


def _tree(panel: Panel) -> None:
    """Trunk and branches; every branch winds up in a spiral with smaller ones on it."""
    rng, lines = panel.rng, []
    aspect = panel.width / panel.height
    foot = np.array([aspect * 0.5, 0.78])
    spirals = [
        ((0.20, 0.22), 0.150, 1, 0.036), ((0.47, 0.16), 0.125, -1, 0.030), ((0.78, 0.175), 0.135, 1, 0.032),
        ((1.05, 0.235), 0.150, -1, 0.036), ((0.30, 0.50), 0.120, -1, 0.030), ((0.93, 0.52), 0.125, 1, 0.030),
        ((0.075, 0.46), 0.085, 1, 0.022), ((1.165, 0.48), 0.080, -1, 0.022), ((0.62, 0.36), 0.085, 1, 0.026),
        ((0.06, 0.07), 0.070, -1, 0.02), ((1.18, 0.07), 0.070, 1, 0.02), ((0.625, 0.055), 0.062, -1, 0.018),
        ((0.335, 0.045), 0.052, 1, 0.015), ((0.925, 0.05), 0.052, -1, 0.015),
        ((0.48, 0.62), 0.062, 1, 0.018), ((0.755, 0.64), 0.062, -1, 0.018),
    ]  # fmt: skip
    for centre, radius, sense, width in spirals:
        centre = np.array(centre)
        # The branch must run into its spiral without a corner: begin the coil where
        # its own direction is the branch's.
        fork = foot + np.array([(centre[0] - foot[0]) * 0.12, -0.10 - 0.30 * np.clip(0.62 - centre[1], 0, 1)])
        away = (centre - fork) / np.hypot(*(centre - fork))
        begin = np.arctan2(-sense * away[0], sense * away[1])
        coil = _spiral(centre, radius, 2.5, begin, sense)
        side = np.array([-away[1], away[0]]) * sense * 0.05
        arm = pen.smooth([foot, fork, (fork + coil[0]) / 2 + side, coil[0] - away * 0.02, coil[0]], 80)
        path = np.concatenate([arm[:-1], coil])
        taper = np.linspace(1, 0.16, len(path))
        lines.append((path, width * taper))
        for place in rng.choice(np.arange(82, 175), 4, replace=False):
            out = (path[place] - centre) / max(np.hypot(*(path[place] - centre)), 1e-6)
            small = radius * rng.uniform(0.20, 0.30)
            hub = path[place] + out * small * 0.9
            bud = _spiral(hub, small, 1.6, np.arctan2(*(-out)[::-1]), -sense, 60)
            lines.append((bud, width * 0.42 * np.linspace(1, 0.25, 60)))
    trunk = pen.smooth([foot + [0, 0.26], foot, foot + [0.004, -0.16], foot + [0, -0.34]], 60)
    lines.append((trunk, np.linspace(0.175, 0.030, 60)))
    edge, wood, grain = panel.mask(), panel.mask(), panel.mask()
    for path, width in lines:
        edge.contour(path, width + 0.0075)
    for path, width in lines:
        wood.contour(path, width)
    panel.inlay(edge, None, 1.2)
    panel.inlay(wood, BARK, -0.5)
    # Enamel stones are set along every branch, close together but never one on another.
    cells: dict[tuple[int, ...], list[tuple[float, float, float]]] = {}

    def near(spot: np.ndarray) -> list[tuple[float, float, float]]:
        column, row = (spot / 0.02).astype(int)
        around = [(column + i, row + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        return [stone for cell in around for stone in cells.get(cell, [])]

    for path, width in lines:
        run = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
        place = 0.01
        while place < run[-1]:
            i = int(np.searchsorted(run, place))
            stone = min(float(width[i]) * 0.30, 0.0080)
            if stone > 0.0016:
                spot = path[i] + rng.uniform(-0.5, 0.5, 2) * max(float(width[i]) - 2.6 * stone, 0)
                if all(np.hypot(x - spot[0], y - spot[1]) > r + stone for x, y, r in near(spot)):
                    grain.disc(*spot, stone, 1 + int(rng.integers(250)))
                    cells.setdefault(tuple((spot / 0.02).astype(int)), []).append((*spot, stone + 0.0012))
            place += max(stone * 2.7 * min(1.0, 0.018 / float(width[i])), 0.003)
    values = (grain.array() * 255).astype(np.int32)
    chosen = np.array(ENAMEL)[(values * 7) % len(ENAMEL)]
    share = (values > 0).astype(np.float32)
    ring = ndimage.maximum_filter(share, size=max(3, int(0.0042 * panel.height)))
    panel.lab = colour.mix(panel.lab, BARK, ring)
    panel.gilt *= 1 - ring
    panel.lab = colour.mix(panel.lab, chosen, share)
    panel.relief += 0.8 * share


def _eye(panel: Panel, x: float, y: float, size: float, lean: float, tones) -> None:
    """An almond in an almond around a disc."""
    t = np.linspace(0, 2 * np.pi, 40)
    shape = np.stack([np.cos(t), 0.52 * np.sin(t) * np.abs(np.sin(t)) ** 0.35], 1)
    turn = np.array([[np.cos(lean), np.sin(lean)], [-np.sin(lean), np.cos(lean)]])
    for scale, tone, raised in ((1.12, BLACK, 0.0), (1.0, tones[0], 0.6), (0.70, tones[1], 0.3)):
        mask = panel.mask()
        mask.polygon(np.array([x, y]) + size * scale * (shape @ turn))
        panel.inlay(mask, tone, raised)
    for radius, tone in ((0.30, BLACK), (0.24, tones[2]), (0.11, None)):
        mask = panel.mask()
        mask.disc(x, y, size * radius)
        panel.inlay(mask, tone, 0.5)


def _flower(panel: Panel, x: float, y: float, size: float, petals: int, tones) -> None:
    """A round flower of petals about a golden heart."""
    start = panel.rng.uniform(0, 6.28)
    edge, bloom, core = panel.mask(), panel.mask(), panel.mask()
    for angle in start + np.arange(petals) * 2 * np.pi / petals:
        px, py = x + 0.62 * size * np.cos(angle), y + 0.62 * size * np.sin(angle)
        edge.disc(px, py, size * 0.40 + 0.0020)
        bloom.disc(px, py, size * 0.38)
        core.disc(px, py, size * 0.15)
    panel.inlay(edge, BLACK)
    panel.inlay(bloom, tones[0], 0.7)
    panel.inlay(core, tones[1], 0.5)
    for radius, tone in ((0.40, BLACK), (0.33, None), (0.15, tones[2])):
        mask = panel.mask()
        mask.disc(x, y, size * radius)
        panel.inlay(mask, tone, 0.6)


def _ground(panel: Panel, seed: int) -> None:
    """Gold sky of squares and circles; a meadow of mosaic below."""
    rng, x, y = panel.rng, panel.x, panel.y
    aspect = panel.width / panel.height
    # Sky: tesserae of many golds, some of them enamel.
    centres = fields.scatter(4200, aspect, rng, 0.05)
    distance, owner = cKDTree(centres).query(np.stack([x.reshape(-1), y.reshape(-1)], 1), k=2)
    owner = owner[:, 0].reshape(x.shape)
    gap = (distance[:, 1] - distance[:, 0]).reshape(x.shape).astype(np.float32)
    hill = 0.735 + 0.035 * np.sin(x * 4.2 + 0.4) + 0.02 * np.sin(x * 9)
    low = y > hill
    dice = rng.random(len(centres))
    pick = rng.integers(0, len(ENAMEL), len(centres))
    near = centres[:, 1] > 0.72
    enamel = np.where(near, dice < 0.86, dice < 0.07)
    tones = colour.jitter(np.array(ENAMEL)[pick], rng, 0.035, 0.015, 8)
    meadow = np.array([3, 4, 2, 1, 3, 4, 0])
    tones[near] = colour.jitter(np.array(ENAMEL)[meadow[pick[near] % 7]], rng, 0.05, 0.02, 10)
    panel.lab[...] = tones[owner]
    panel.gilt = 1 - enamel[owner].astype(np.float32)
    joint = fields.smoothstep(0.0030, 0.0013, gap)
    panel.relief += 0.5 * (1 - joint) + 0.25 * rng.random(len(centres)).astype(np.float32)[owner]
    panel.lab = colour.mix(panel.lab, lch(0.27, 0.05, 60), joint)
    panel.gilt *= 1 - joint * np.where(low, 1.0, 0.6)


def paint(size: int, seed: int) -> NDArray[np.uint8]:
    """Gild and inlay it; ``size`` is the long side in pixels."""
    rng = np.random.default_rng(seed)
    width, height = size * FACTOR, int(size * 0.8125) * FACTOR
    panel = Panel(width, height, rng)
    aspect, x, y = width / height, panel.x, panel.y
    _ground(panel, seed)
    _tree(panel)
    # Eyes and small discs hang among the branches.
    for _ in range(30):
        px, py = rng.uniform(0.03, aspect - 0.03), rng.uniform(0.04, 0.66)
        tones = [ENAMEL[i] for i in rng.choice([0, 1, 2, 5, 7, 9], 3, replace=False)]
        _eye(panel, px, py, rng.uniform(0.015, 0.024), rng.uniform(-0.9, 0.9), tones)
    # The meadow: rows of flowers, larger towards us, and triangles between them.
    for row, level in enumerate(np.linspace(0.76, 0.985, 5)):
        step = 0.062 + 0.018 * row
        for px in np.arange(-0.02, aspect + 0.05, step) + rng.uniform(0, step):
            py = level + rng.normal(0, 0.012)
            kind = rng.random()
            tones = [ENAMEL[i] for i in rng.choice([5, 6, 7, 8, 9, 1], 3, replace=False)]
            big = (0.021 + 0.007 * row) * rng.uniform(0.8, 1.15)
            if kind < 0.62:
                _flower(panel, px, py, big, int(rng.integers(5, 9)), tones)
            elif kind < 0.82:
                _eye(panel, px, py, big * 0.95, np.pi / 2 + rng.normal(0, 0.3), tones)
            else:
                for part, tone in ((1.15, BLACK), (1.0, None), (0.55, tones[0])):
                    mask = panel.mask()
                    mask.polygon(np.array([px, py]) + big * part * np.array([(0, -1), (0.9, 0.7), (-0.9, 0.7)]))
                    panel.inlay(mask, tone, 0.4)

    # Gold leaf: laid in squares, each with its own sheen; worn to the red clay beneath.
    leaf = 0.085
    sheet = np.floor(x / leaf + 0.06 * fields.noise(x, y, 20, seed + 1)) * 57 + np.floor(
        y / leaf + 0.06 * fields.noise(x, y, 20, seed + 2)
    )
    sheen = np.random.default_rng(seed + 3).random(4096).astype(np.float32)[sheet.astype(np.intp) % 4096]
    crumple = fields.fractal(x, y, 34, seed + 4, 3)
    relief = ndimage.gaussian_filter(panel.relief, 0.0013 * height) + 0.10 * crumple
    dy, dx = np.gradient(relief)
    light = np.tanh(-(dx + 1.2 * dy) * 2.6 * height / 1560)
    shine = 0.56 + 0.22 * (sheen - 0.5) + 0.13 * crumple + 0.30 * light
    shine += 0.16 * fields.fractal(x * 0.8, y, 2.3, seed + 8, 2)
    gold = colour.ramp(shine, GOLD)
    worn = fields.smoothstep(0.55, 0.85, fields.fractal(x, y, 46, seed + 10, 3))
    gold = colour.mix(gold, lch(0.44, 0.11, 38), 0.75 * worn)
    lab = panel.lab.copy()
    lab[..., 0] += 0.085 * light + 0.030 * crumple
    lab = colour.mix(lab, gold, np.clip(panel.gilt, 0, 1))
    return colour.to_bytes(shrink(lab, FACTOR))
