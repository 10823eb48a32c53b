"""Breaking waves in the manner of a woodblock print.

Rows of breakers overlap like scales, large ones in front; each has flat graded
blocks of blue that follow its hollow, a key-block contour that swells and thins,
and a crest that breaks into forked fingers of foam.  The sky is wiped (bokashi).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import colour, fields, pen
from .brush import shrink
from .colour import lch

FACTOR = 3
INK = lch(0.255, 0.075, 268)
FOAM = lch(0.955, 0.018, 95)
BLUES = [
    lch(0.30, 0.105, 264),
    lch(0.42, 0.115, 256),
    lch(0.56, 0.10, 244),
    lch(0.70, 0.075, 226),
    lch(0.83, 0.05, 205),
]


class Print:
    """The sheet: colour blocks are pressed on it one after another."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width * FACTOR, height * FACTOR
        self.x, self.y = fields.grid(self.width, self.height)
        self.lab = np.empty((self.height, self.width, 3), np.float32)

    def mask(self) -> pen.Mask:
        """A fresh block."""
        return pen.Mask(self.width, self.height)

    def press(self, mask: pen.Mask, ink, fade=1.0) -> None:
        """Print a block in one ink (or an ink per pixel), perhaps wiped thin."""
        rows, columns = mask.box()
        share = np.asarray(mask.image.crop((columns.start, rows.start, columns.stop, rows.stop)), np.float32) / 255
        ink = np.asarray(ink)
        if ink.ndim == 3:
            ink = ink[rows, columns]
        if np.ndim(fade) == 2:
            fade = fade[rows, columns]
        self.lab[rows, columns] = colour.mix(self.lab[rows, columns], ink, share * fade)


def _breaker() -> tuple[np.ndarray, np.ndarray]:
    """Back and hollow of a unit breaker that rolls to the right; crest near (0.3, -1).

    Both run from the water line to the tip of the curling lip.
    """
    back = pen.smooth(
        [
            (-2.15, 1.10),
            (-1.55, 0.40),
            (-1.17, 0.02),
            (-0.80, -0.38),
            (-0.42, -0.78),
            (0.02, -1.0),
            (0.42, -0.98),
            (0.70, -0.78),
            (0.80, -0.52),
        ],
        90,
    )
    hollow = pen.smooth(
        [
            (2.9, 0.95),
            (1.95, 0.46),
            (1.15, 0.28),
            (0.55, 0.18),
            (0.16, -0.06),
            (0.04, -0.36),
            (0.18, -0.62),
            (0.42, -0.70),
            (0.66, -0.62),
            (0.80, -0.52),
        ],
        90,
    )
    return back, hollow


def _finger(base, direction: float, length: float, rng) -> np.ndarray:
    """One claw of foam: a tapering hook."""
    t = np.linspace(0, 1, 16)
    bend = direction + rng.uniform(0.8, 1.4) * t * t * 1.9
    step = length / 16
    path = np.asarray(base) + np.cumsum(np.stack([np.cos(bend), np.sin(bend)], 1) * step, 0)
    return pen.outline(path, length * (0.42 * (1 - t) ** 0.75 + 0.02))


def _wave(sheet: Print, cx: float, cy: float, size: float, flip: int, rng) -> None:
    """Print one breaker of the given size with its water line at (cx, cy)."""
    line = 0.0026 + 0.0030 * min(size / 0.3, 1.2)
    stretch = rng.uniform(0.92, 1.12)
    unit_back, unit_hollow = _breaker()
    lean = rng.uniform(-0.08, 0.12)

    def place(points):
        points = np.asarray(points)
        x = points[:, 0] * stretch + lean * -points[:, 1]
        return np.stack([cx + flip * size * x, cy + size * points[:, 1]], 1)

    back, hollow = place(unit_back), place(unit_hollow)
    foot = np.array([[cx + flip * size * 2.6, 1.4], [cx - flip * size * 2.6, 1.4]])
    body = np.concatenate([back, hollow[::-1], foot])
    shape = sheet.mask()
    shape.polygon(body)
    # Body: deep blue wiped lighter towards the water line.
    fade = fields.smoothstep(cy - size * 0.9, cy + size * 0.9, sheet.y)
    sheet.press(shape, BLUES[1])
    sheet.press(shape, BLUES[3], fade * 0.85)

    # Stripes sweep up from the water and follow the hollow into the lip.
    for index, low in enumerate(np.linspace(0.04, 0.92, 11)):
        high = low + 0.055 + 0.02 * rng.random()
        t = np.linspace(0, 1, 90)[:, None]
        pinch = t**1.4
        inner = hollow * (1 - low * (1 - 0.25 * pinch)) + back * low * (1 - 0.25 * pinch)
        outer = hollow * (1 - high * (1 - 0.25 * pinch)) + back * high * (1 - 0.25 * pinch)
        last = int(90 * rng.uniform(0.74, 0.93))
        taper = np.sin(np.pi * np.linspace(0, 1, last)) ** 0.6
        broad = np.linalg.norm(outer - inner, axis=1)[:last]
        taper *= np.minimum(1, 0.085 * size / np.maximum(broad, 1e-6))
        far = inner[:last] + (outer - inner)[:last] * taper[:, None]
        stripe = sheet.mask()
        stripe.polygon(np.concatenate([inner[:last], far[::-1]]))
        tone = (FOAM, BLUES[0], BLUES[4], BLUES[0])[index % 4]
        sheet.press(stripe, tone)
    # Ripples in front of the hollow run along with its foot.
    for index in range(9):
        begin = int(rng.integers(0, 16))
        run = hollow[begin : begin + int(rng.integers(24, 44))] + [0, size * (0.05 + 0.105 * index)]
        ripple = sheet.mask()
        ripple.contour(run, pen.swell(len(run), size * rng.uniform(0.03, 0.055), 0.0006))
        sheet.press(ripple, (BLUES[4], BLUES[0], FOAM)[index % 3])
    # The dark hollow's rim and the key-block contours.
    key = sheet.mask()
    key.contour(hollow, pen.swell(90, line * 1.5, line * 0.45, 0.6))
    key.contour(back, pen.swell(90, line * 1.7, line * 0.5, 0.65))
    sheet.press(key, INK)

    # Foam cap: a scalloped band along the crest, then claws reaching out of it.
    crest = np.concatenate([back[40:], hollow[::-1][:34]])
    tangent = np.gradient(crest, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    outward = np.stack([tangent[:, 1], -tangent[:, 0]], 1) * flip
    white, edge = sheet.mask(), sheet.mask()
    count = int(15 + 26 * size / 0.3)
    for i in np.linspace(0, len(crest) - 1, count).astype(int):
        share = i / (len(crest) - 1)
        bulk = size * (0.035 + 0.05 * np.sin(np.pi * np.clip(share * 1.05, 0, 1))) * rng.uniform(0.75, 1.25)
        spot = crest[i] + outward[i] * bulk * rng.uniform(-0.5, 0.15)
        edge.disc(spot[0], spot[1], bulk + line)
        white.disc(spot[0], spot[1], bulk)
    sheet.press(edge, INK)
    sheet.press(white, FOAM)
    for i in np.linspace(10, len(crest) - 3, int(9 + 12 * size / 0.3)).astype(int):
        reach = size * rng.uniform(0.17, 0.29)
        base = crest[i] + outward[i] * size * 0.05
        heading = np.arctan2(outward[i, 1], outward[i, 0]) + rng.normal(0, 0.2)
        white, edge = sheet.mask(), sheet.mask()
        for fork in (-0.75, 0.0, 0.75):
            claw = _finger((0, 0), 0, reach * (1 if fork == 0 else 0.72), rng)
            # Claws always hook downwards, the way the wave rolls.
            claw[:, 1] *= flip
            angle = heading + fork
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            claw = claw @ turn + base
            white.polygon(claw)
            closed = np.concatenate([claw, claw[:1]])
            edge.draw.line(
                [tuple(p) for p in (closed * sheet.height).tolist()],
                fill=255,
                width=max(1, int(round(2 * line * sheet.height * 0.7))),
                joint="curve",
            )
            edge.polygon(claw)
            white.disc(*base, size * 0.05)
        sheet.press(edge, INK)
        sheet.press(white, FOAM)
    # Shadows inside the foam: small blue crescents.
    shade = sheet.mask()
    for i in np.linspace(4, len(crest) - 5, int(14 + 24 * size / 0.3)).astype(int):
        spot = crest[i] + outward[i] * size * rng.uniform(-0.05, 0.11)
        arc = np.linspace(0.3, 2.4, 9) + rng.uniform(-0.4, 0.4)
        radius = size * rng.uniform(0.03, 0.055)
        curve = spot + radius * np.stack([np.cos(arc), np.sin(arc)], 1)
        shade.contour(curve, pen.swell(9, size * 0.022, 0.0006))
    sheet.press(shade, lch(0.74, 0.07, 232))
    # Spray thrown ahead of the lip.
    drops, rims = sheet.mask(), sheet.mask()
    for _ in range(int(16 + 40 * size / 0.3)):
        i = rng.integers(10, len(crest))
        spot = crest[i] + outward[i] * size * (0.16 + rng.exponential(0.13)) + rng.normal(0, 0.04, 2) * size
        radius = size * rng.uniform(0.007, 0.019)
        rims.disc(*spot, radius + line * 0.55)
        drops.disc(*spot, radius)
    sheet.press(rims, INK)
    sheet.press(drops, FOAM)


def _sky(sheet: Print, seed: int, rng) -> None:
    y = sheet.y
    sheet.lab[...] = colour.ramp(
        y,
        [
            (0.0, lch(0.50, 0.085, 250)),
            (0.07, lch(0.66, 0.06, 235)),
            (0.20, lch(0.885, 0.045, 90)),
            (0.36, lch(0.86, 0.075, 70)),
            (0.5, lch(0.78, 0.105, 45)),
            (1.0, lch(0.74, 0.1, 40)),
        ],
    )
    sun = sheet.mask()
    sun.disc(0.93, 0.245, 0.105)
    sheet.press(sun, colour.ramp(y, [(0.14, lch(0.60, 0.195, 29)), (0.35, lch(0.73, 0.165, 48))]))
    # Long flat clouds with rounded ends, two tones, thin contour.
    for cx, cy, half, thick in [
        (0.20, 0.10, 0.22, 0.030),
        (0.38, 0.145, 0.20, 0.024),
        (0.99, 0.075, 0.24, 0.026),
        (0.80, 0.125, 0.15, 0.020),
        (1.06, 0.295, 0.20, 0.022),
        (0.08, 0.235, 0.17, 0.024),
        (0.62, 0.215, 0.13, 0.018),
        (0.84, 0.335, 0.16, 0.018),
    ]:
        edge, fill, low = sheet.mask(), sheet.mask(), sheet.mask()
        for _ in range(9):
            t = rng.uniform(-1, 1)
            wide = half * rng.uniform(0.35, 0.6) * (1 - 0.5 * abs(t))
            spot = np.array([cx + t * half * 0.6, cy + rng.uniform(-0.5, 0.5) * thick * 1.5])
            ends = np.linspace(-1, 1, 30)
            bar = spot + np.stack([ends * wide, 0 * ends], 1)
            roll = thick * 0.8 * np.sqrt(np.clip(1 - np.abs(ends) ** 8, 0, 1)) + 1e-4
            edge.contour(bar, roll + 0.004)
            fill.contour(bar, roll)
            low.contour(bar + [wide * 0.1, thick * 0.22], roll * 0.35)
        sheet.press(edge, lch(0.42, 0.09, 262))
        sheet.press(fill, lch(0.945, 0.022, 90))
        sheet.press(low, lch(0.79, 0.085, 55), 0.85)
    # Far islands.
    for cx, top, half, tone in [
        (0.30, 0.285, 0.26, lch(0.60, 0.075, 250)),
        (0.52, 0.315, 0.20, lch(0.50, 0.085, 258)),
        (0.13, 0.325, 0.2, lch(0.46, 0.09, 262)),
    ]:
        ends = np.linspace(-1, 1, 80)
        ridge = top + 0.2 * np.abs(ends) ** 0.8 + 0.012 * fields.fractal(ends + cx, ends * 0, 9, seed + 3, 3)
        island = np.stack([cx + ends * half, ridge], 1)
        shape, key = sheet.mask(), sheet.mask()
        shape.polygon(np.concatenate([island, [[cx + half, 0.9], [cx - half, 0.9]]]))
        sheet.press(shape, tone)
        sheet.press(shape, lch(0.86, 0.06, 75), fields.smoothstep(top + 0.05, top + 0.17, y) * 0.8)
        key.contour(island, pen.swell(80, 0.0045, 0.002))
        sheet.press(key, INK)


def paint(size: int, seed: int) -> NDArray[np.uint8]:
    """Print it; ``size`` is the long side in pixels."""
    rng = np.random.default_rng(seed)
    width, height = size, int(size * 0.8125)
    sheet = Print(width, height)
    _sky(sheet, seed, rng)
    aspect = width / height
    # Back to front: rows of growing waves, then the great breaker.
    rows = [(0.455, 0.065, 9), (0.53, 0.095, 7), (0.625, 0.135, 6)]
    for level, scale, count in rows:
        order = np.linspace(-0.05, aspect + 0.05, count) + rng.normal(0, 0.3 / count, count)
        for cx in order[rng.permutation(count)]:
            _wave(sheet, cx, level + rng.normal(0, 0.012), scale * rng.uniform(0.8, 1.2), 1, rng)
    for cx, cy, scale, flip in [
        (1.02, 0.76, 0.22, -1),
        (0.28, 0.76, 0.42, 1),
        (0.80, 0.87, 0.15, 1),
        (1.16, 0.93, 0.19, -1),
        (0.05, 0.97, 0.20, 1),
        (0.52, 0.985, 0.15, 1),
        (0.84, 1.03, 0.15, 1),
    ]:
        _wave(sheet, cx, cy, scale, flip, rng)
    # The wood's grain and the paper's tooth show through every block.
    x, y = sheet.x, sheet.y
    rings = y * 150 + 9 * fields.fractal(x * 0.35, y * 1.5, 3, seed + 70, 3)
    grain = np.sin(rings * 2.2) * (0.6 + 0.4 * fields.noise(x * 0.3, y * 3, 14, seed + 71))
    sheet.lab[..., 0] += (0.009 + 0.019 * fields.smoothstep(0.5, 0.2, y)) * grain + 0.016 * pen.paper(
        sheet.width, sheet.height, seed + 72
    )
    wash = fields.fractal(x, y, 5, seed + 75, 3)
    sheet.lab[..., 0] += 0.018 * wash
    # Old paper: slightly warmer overall.
    sheet.lab[..., 2] += 0.010
    return colour.to_bytes(shrink(sheet.lab, FACTOR))
