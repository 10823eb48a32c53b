"""The drawing of a hill town: houses, towers, trees and boats, from back to front.

It consists of a label for every pixel (the face that is visible there) and the ink
of the contours; :mod:`painting.hatching` shades the faces and adds the colour.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from . import colour, fields, pen
from .colour import lch

PEAK = 0.56
WATER = 0.845


@dataclass
class Face:
    """One flat or round object: wash, tone 0..1, hatching angle or centre."""

    wash: np.ndarray
    tone: float
    angle: float
    centre: tuple[float, float] = (0.0, 0.0)
    round: bool = False
    slope: float = 0.0  # how much the tone grows over 0.1 of height, downwards
    pitch: float = 1.0


@dataclass
class Drawing:
    """Labels of faces and the ink of contours, both drawn back to front."""

    width: int
    height: int
    rng: np.random.Generator
    faces: list[Face] = field(default_factory=list)
    river: int = 0

    def __post_init__(self) -> None:
        self.label_image = Image.new("I", (self.width, self.height), 0)
        self.label_draw = ImageDraw.Draw(self.label_image)
        self.ink = pen.Mask(self.width, self.height)
        self.faces.append(Face(lch(0.9, 0.02, 90), 0.0, 0.0))

    def face(self, points, face: Face, line: float = 0.0019, closed: bool = True) -> None:
        """Draw a face: it hides what is behind, then gets its own contour."""
        points = np.asarray(points, float)
        self.faces.append(face)
        self.label_draw.polygon([tuple(p) for p in (points * self.height).tolist()], fill=len(self.faces) - 1)
        self.ink.polygon(points, 0)
        if line:
            ring = np.concatenate([points, points[:1]]) if closed else points
            for start, end in zip(ring[:-1], ring[1:], strict=True):
                self.line(start, end, line)

    def line(self, start, end, width: float) -> None:
        """A pen stroke between two points: a little bowed, swelling, overshooting."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        along = end - start
        length = float(np.hypot(*along))
        if length < 1e-5:
            return
        count = int(np.clip(length * 120, 3, 14))
        t = np.linspace(-0.02, 1.02, count)[:, None]
        normal = np.array([-along[1], along[0]]) / length
        bow = self.rng.normal(0, 0.010) * length * np.sin(np.pi * t)
        shake = self.rng.normal(0, 0.00035, (count, 1))
        weight = width * self.rng.uniform(0.6, 1.35, count) * np.linspace(1.25, 0.75, count)
        self.ink.contour(start + along * t + normal * (bow + shake), weight)


def _hill(x):
    return (
        0.70
        - 0.37 * np.exp(-(((x - PEAK) / 0.30) ** 2))
        - 0.13 * np.exp(-(((x - 1.13) / 0.16) ** 2))
        - 0.07 * np.exp(-(((x - 0.1) / 0.16) ** 2))
    )


WALLS = [
    lch(0.90, 0.055, 85),
    lch(0.86, 0.085, 72),
    lch(0.83, 0.075, 45),
    lch(0.88, 0.04, 30),
    lch(0.80, 0.09, 60),
    lch(0.86, 0.035, 220),
    lch(0.84, 0.07, 105),
    lch(0.78, 0.085, 28),
]
ROOFS = [
    lch(0.60, 0.155, 38),
    lch(0.55, 0.155, 32),
    lch(0.66, 0.145, 50),
    lch(0.52, 0.12, 25),
    lch(0.50, 0.07, 262),
]
SHUTTERS = [
    lch(0.50, 0.10, 200),
    lch(0.48, 0.11, 150),
    lch(0.50, 0.13, 265),
    lch(0.50, 0.14, 25),
    lch(0.6, 0.12, 75),
]


def _window(drawing: Drawing, x: float, y: float, w: float, h: float, shutter) -> None:
    for side in (-1, 1):
        if shutter is not None:
            left = x + side * w * 0.78 - w * 0.26
            drawing.face(
                [(left, y), (left + w * 0.52, y), (left + w * 0.52, y + h), (left, y + h)],
                Face(shutter, 0.30, 0.0, pitch=0.7),
                0.0011,
            )
    drawing.face(
        [(x - w / 2, y), (x + w / 2, y), (x + w / 2, y + h), (x - w / 2, y + h)],
        Face(lch(0.36, 0.06, 262), 0.92, 0.9, pitch=0.75),
        0.0013,
    )


def _arch(drawing: Drawing, x: float, foot: float, half: float, tall: float) -> None:
    t = np.linspace(np.pi, 2 * np.pi, 9)
    top = np.stack([x + half * np.cos(t), foot - tall + half + half * np.sin(t)], 1)
    door = colour.jitter(SHUTTERS[drawing.rng.integers(len(SHUTTERS))], drawing.rng)
    drawing.face(
        np.concatenate([top, [(x + half, foot + 0.02), (x - half, foot + 0.02)]]),
        Face(door, 0.55, np.pi / 2, pitch=0.7),
        0.0015,
    )


def _boat(drawing: Drawing, x: float, y: float, size: float, hull, sail) -> None:
    mast = x + 0.04 * size
    bow = np.array([(0.0, -0.95), (0.16, -0.6), (0.36, -0.16), (0.0, -0.16)])
    drawing.face(np.array([mast, y]) + size * bow, Face(sail, 0.22, 1.1, slope=0.1), 0.0017)
    jib = np.array([(-0.03, -0.80), (-0.03, -0.18), (-0.30, -0.16)])
    drawing.face(np.array([mast, y]) + size * jib, Face(lch(0.94, 0.03, 85), 0.16, -0.8, slope=0.1), 0.0017)
    drawing.line((mast, y - size), (mast, y - 0.1 * size), 0.003)
    t = np.linspace(0, np.pi, 12)
    keel = np.stack([x + 0.46 * size * np.cos(t), y - 0.12 * size + 0.17 * size * np.sin(t) ** 0.6], 1)
    drawing.face(keel, Face(hull, 0.55, 0.1), 0.0022)
    for _ in range(4):
        w = size * drawing.rng.uniform(0.2, 0.5)
        low = y + size * drawing.rng.uniform(0.08, 0.22)
        drawing.line((x - w, low), (x + w, low), 0.0022)


def _house(drawing: Drawing, x: float, foot: float, w: float, h: float) -> None:
    rng = drawing.rng
    depth, rise = w * rng.uniform(0.35, 0.6), w * rng.uniform(0.20, 0.34)
    wall, roof = WALLS[rng.integers(len(WALLS))], ROOFS[rng.integers(len(ROOFS)) if rng.random() < 0.5 else 0]
    wall = colour.jitter(wall, rng, 0.025, 0.012, 6)
    roof = colour.jitter(roof, rng, 0.03, 0.012, 7)
    shutter = SHUTTERS[rng.integers(len(SHUTTERS))] if rng.random() < 0.75 else None
    top, back, bottom = foot - h, -0.28 * depth, foot + 0.05
    right = x + w
    shade = colour.mix(wall, lch(0.52, 0.10, 285), 0.55)
    drawing.face(
        [(right, top), (right + depth, top + back), (right + depth, bottom), (right, bottom)],
        Face(shade, 0.62, rng.uniform(1.0, 1.25), slope=0.10),
    )
    drawing.face(
        [(x, top), (right, top), (right, bottom), (x, bottom)],
        Face(wall, 0.20, rng.uniform(-0.9, -0.6), slope=0.15),
    )
    eave = w * 0.06
    if rng.random() < 0.5:
        # Ridge runs along the front: the roof slope faces us.
        drawing.face(
            [
                (x - eave, top + eave * 0.6),
                (right + eave * 0.3, top + eave * 0.6),
                (right + depth * 0.55, top + back - rise),
                (x + depth * 0.5, top + back - rise),
            ],
            Face(roof, 0.30, np.pi / 2 - 0.45, pitch=0.95),
        )
        drawing.face(
            [
                (right + eave * 0.3, top + eave * 0.6),
                (right + depth, top + back),
                (right + depth * 0.55, top + back - rise),
            ],
            Face(shade, 0.62, 1.1),
        )
    else:
        # Gable to the front: lit slope hidden, the right one recedes.
        mid = x + w / 2
        drawing.face(
            [
                (mid, top - rise),
                (mid + depth, top - rise + back),
                (right + depth + eave, top + back + eave),
                (right + eave, top + eave),
            ],
            Face(roof, 0.46, 0.75, pitch=0.95),
        )
        drawing.face([(x, top), (right, top), (mid, top - rise)], Face(wall, 0.16, -0.75), 0.0012)
        drawing.face(
            [
                (x - eave, top + eave),
                (x - eave * 0.4, top + eave * 1.2),
                (mid, top - rise * 0.86),
                (right + eave * 0.4, top + eave * 1.2),
                (right + eave, top + eave),
                (mid, top - rise * 1.1),
            ],
            Face(roof, 0.35, 0.4),
        )
    if rng.random() < 0.55:
        cx, cy = x + w * rng.uniform(0.55, 0.8), top + back - rise * 0.8
        cw, ch = w * 0.10, w * 0.24
        drawing.face(
            [(cx, cy - ch), (cx + cw, cy - ch), (cx + cw, cy + ch * 0.7), (cx, cy + ch * 0.7)],
            Face(shade, 0.4, 0.0),
        )
    columns = max(1, int(round(w / 0.030)))
    rows = max(1, int(h / 0.036))
    for i in range(columns):
        for j in range(rows):
            if foot > 0.70 and j == rows - 1 and i % 2 == 0:
                _arch(drawing, x + w * (i + 0.5) / columns, foot, 0.0105, 0.036)
            elif rng.random() < 0.88:
                _window(
                    drawing,
                    x + w * (i + 0.5) / columns,
                    top + h * 0.12 + j * h / rows,
                    0.0085,
                    min(0.017, h / rows * 0.52),
                    shutter,
                )


def _tree(drawing: Drawing, x: float, foot: float, size: float, tall: bool) -> None:
    rng = drawing.rng
    hue = rng.uniform(115, 165)
    t = np.linspace(0, 2 * np.pi, 34)
    wobble = 1 + 0.10 * np.sin(t * 6 + rng.uniform(0, 6)) + 0.07 * rng.standard_normal(34)
    if tall:
        points = np.stack(
            [
                x + 0.20 * size * np.sin(t) * wobble * (1.0 + 0.4 * np.cos(t)) ** 0.7,
                foot - size * 0.5 + size * 0.55 * -np.cos(t + np.pi),
            ],
            1,
        )
        drawing.face(points, Face(lch(0.42, 0.10, hue + 10), 0.70, 1.35, slope=0.05, pitch=0.8), 0.0017)
    else:
        for share, light in ((1.0, 0.0), (0.66, 0.12)):
            cx, cy = x - 0.13 * size * (light > 0), foot - size * (0.55 + 0.18 * (light > 0))
            points = np.stack(
                [
                    cx + 0.55 * share * size * np.cos(t) * wobble,
                    cy + 0.50 * share * size * np.sin(t) * wobble,
                ],
                1,
            )
            drawing.face(
                points,
                Face(
                    lch(0.52 + light * 1.4, 0.13, hue - 120 * light),
                    0.60 - 3 * light,
                    0.0,
                    (cx - 0.35 * size, cy - 0.4 * size),
                    True,
                    slope=0.25,
                ),
                0.0015,
            )


def _tower(drawing: Drawing, x: float, foot: float, w: float, h: float, dome: bool) -> None:
    wall, shade = lch(0.88, 0.06, 80), lch(0.60, 0.08, 300)
    top = foot - h
    drawing.face([(x, top), (x + w, top), (x + w, foot), (x, foot)], Face(wall, 0.14, -0.8, slope=0.03), 0.0024)
    drawing.face(
        [(x + w, top), (x + w * 1.5, top - 0.008), (x + w * 1.5, foot), (x + w, foot)],
        Face(shade, 0.66, 1.15),
        0.0024,
    )
    for level in (0.0, 0.30, 0.62):
        y = top + h * level
        drawing.face(
            [
                (x - 0.004, y),
                (x + w * 1.5 + 0.004, y - 0.006),
                (x + w * 1.5 + 0.004, y + 0.003),
                (x - 0.004, y + 0.009),
            ],
            Face(lch(0.80, 0.08, 60), 0.3, 0.0),
            0.0014,
        )
        t = np.linspace(np.pi, 2 * np.pi, 9)
        cx, cy, r = x + w * 0.5, y + h * 0.13, w * 0.2
        arch = np.concatenate(
            [
                np.stack([cx + r * np.cos(t), cy + r * np.sin(t)], 1),
                [(cx + r, cy + h * 0.09), (cx - r, cy + h * 0.09)],
            ]
        )
        drawing.face(arch, Face(lch(0.33, 0.07, 270), 0.95, 0.8, pitch=0.75), 0.0016)
    t = np.linspace(np.pi, 2 * np.pi, 24)
    if dome:
        cap = np.stack([x + w * 0.75 + w * 0.85 * np.cos(t), top + w * 1.15 * np.sin(t)], 1)
        drawing.face(cap, Face(lch(0.62, 0.11, 185), 0.42, 0.0, (x - w * 0.2, top - w), True), 0.0024)
        drawing.line((x + w * 0.75, top - w * 1.15), (x + w * 0.75, top - w * 1.9), 0.003)
    else:
        drawing.face(
            [(x - 0.005, top), (x + w * 1.5 + 0.005, top - 0.006), (x + w * 0.75, top - w * 1.9)],
            Face(lch(0.57, 0.15, 35), 0.42, 1.0),
            0.0022,
        )


def draw_town(drawing: Drawing, seed: int) -> None:
    rng, aspect = drawing.rng, drawing.width / drawing.height
    x = np.linspace(-0.05, aspect + 0.05, 90)
    # Sky, then mountains paling with distance.
    drawing.face([(-1, -1), (3, -1), (3, 2), (-1, 2)], Face(lch(0.80, 0.075, 238), 0.30, 0.0, pitch=1.15), 0)
    for base, swing, wash, tone, angle in (
        (0.46, 0.16, lch(0.72, 0.075, 262), 0.34, 0.9),
        (0.55, 0.13, lch(0.66, 0.085, 235), 0.42, -0.75),
        (0.63, 0.10, lch(0.68, 0.10, 165), 0.45, 0.6),
    ):
        ridge = base - swing * (0.5 + fields.fractal(x, x * 0, 2.6, seed + int(base * 100), 4))
        drawing.face(
            np.concatenate([np.stack([x, ridge], 1), [(3, 2), (-1, 2)]]),
            Face(wash, tone, angle, slope=-0.05),
            0.0018,
        )
    drawing.face(
        np.concatenate([np.stack([x, _hill(x)], 1), [(3, 2), (-1, 2)]]),
        Face(lch(0.70, 0.11, 120), 0.40, 0.5),
        0.002,
    )
    things = [
        (0.345, "tower", (PEAK - 0.035, 0.062, 0.20, True)),
        (0.43, "tower", (0.355, 0.040, 0.17, False)),
        (0.60, "tower", (1.10, 0.042, 0.19, False)),
        (0.455, "tower", (0.80, 0.036, 0.15, False)),
    ]
    y = 0.36
    while y < 0.83:
        scale = 0.042 + 0.075 * (y - 0.33) / 0.5
        for cx in np.arange(-0.1, aspect + 0.05, scale * 1.12) + rng.uniform(0, scale):
            cx += rng.normal(0, scale * 0.15)
            if y < _hill(cx + scale / 2) + 0.012:
                continue
            foot = y + rng.normal(0, 0.008)
            draw = rng.random()
            if draw < 0.76:
                things.append((foot, "house", (cx, scale * rng.uniform(0.75, 1.1), scale * rng.uniform(0.75, 1.5))))
            else:
                things.append((foot + 0.004, "tree", (cx, scale * rng.uniform(0.9, 1.7), draw > 0.88)))
        y += scale * 0.60
    for foot, kind, rest in sorted(things, key=lambda thing: thing[0]):
        if kind == "house":
            _house(drawing, rest[0], foot, rest[1], rest[2])
        elif kind == "tree":
            _tree(drawing, rest[0], foot, rest[1], rest[2])
        else:
            _tower(drawing, rest[0], foot, rest[1], rest[2], rest[3])
    # The quay wall and the river.
    drawing.face(
        [(-1, WATER - 0.035), (3, WATER - 0.035), (3, WATER), (-1, WATER)],
        Face(lch(0.72, 0.06, 60), 0.5, 0.1),
        0.0022,
    )
    drawing.face([(-1, WATER), (3, WATER), (3, 2), (-1, 2)], Face(lch(0.66, 0.09, 225), 0.45, 0.0, slope=0.05), 0.0022)
    drawing.river = len(drawing.faces) - 1
    for cx, foot, size, hull, sail in (
        (0.30, 0.895, 0.085, lch(0.52, 0.15, 28), lch(0.90, 0.06, 85)),
        (0.97, 0.925, 0.115, lch(0.46, 0.11, 250), lch(0.76, 0.14, 55)),
        (0.62, 0.965, 0.13, lch(0.50, 0.10, 160), lch(0.70, 0.15, 35)),
    ):
        _boat(drawing, cx, foot, size, hull, sail)
