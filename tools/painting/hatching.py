"""A hill town by a river: pen hatching over watercolour.

The town is a pile of little houses drawn from back to front.  Each face has a wash,
a tone and a direction of hatching; where it is darker, a second and a third set of
lines cross the first.  The wash under the ink is loose: it pools at its edges,
granulates in the paper's tooth and does not quite meet the lines.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from . import colour, fields, pen
from .brush import shrink
from .colour import lch
from .town import WATER, Drawing, draw_town

FACTOR = 2


def _lines(phase, tone, start: float, x, y, seed: int):
    """Ink of one set of hatching lines: broader where the tone is darker."""
    distance = np.abs(phase - np.floor(phase) - 0.5) * 2
    breath = 0.10 * fields.noise(x, y, 70, seed)
    width = np.clip((tone - start) * 0.62 + 0.15, 0, 0.62) + breath * 0.6
    shown = fields.smoothstep(start - 0.03, start + 0.07, tone + 0.10 * fields.noise(x, y, 26, seed + 1))
    return fields.smoothstep(0.16, -0.10, distance - width) * shown


def paint(size: int, seed: int) -> NDArray[np.uint8]:
    """Draw and wash it; ``size`` is the long side in pixels."""
    rng = np.random.default_rng(seed)
    width, height = size * FACTOR, int(size * 0.8125) * FACTOR
    drawing = Drawing(width, height, rng)
    draw_town(drawing, seed)
    x, y = fields.grid(width, height)
    label = np.asarray(drawing.label_image)
    faces = drawing.faces
    look = lambda name: np.array([getattr(f, name) for f in faces], np.float32)[label]  # noqa: E731
    centre = np.array([f.centre for f in faces], np.float32)[label]
    water = label == drawing.river
    sky = label == 1

    foot = np.array([f.slope for f in faces], np.float32)
    # Tones deepen towards the foot of a face, where houses shade each other.
    middle = np.zeros(len(faces) + 1, np.float32)
    total = np.maximum(np.bincount(label.reshape(-1), minlength=len(faces)), 1)
    middle[1:] = np.bincount(label.reshape(-1), y.reshape(-1), len(faces)) / total
    tone = look("tone") + foot[label] * (y - middle[1:][label]) * 10
    cloud = fields.fractal(x * 0.7, y * 1.6, 3.6, seed + 60, 4)
    puffs = fields.smoothstep(-0.02, 0.26, cloud + 0.16 * fields.fractal(x, y, 17, seed + 61, 3))
    tone = np.where(
        sky,
        0.36
        - 0.38 * puffs
        + 0.30
        * fields.smoothstep(0.0, 0.5, cloud)
        * fields.smoothstep(0.7, 0.1, fields.fractal(x * 0.7, (y - 0.03) * 1.6, 3.6, seed + 60, 4))
        - 0.15 * y,
        tone,
    )
    # The river carries the town's tones upside down, broken by ripples.
    ripple = fields.fractal(x * 0.5, y * 3.5, 12, seed + 65, 2)
    mirror = np.clip((2 * WATER - y) * height - 0.5 + 14 * ripple * height / 780, 0, height - 1).astype(np.intp)
    column = np.clip(np.arange(width)[None, :] + (9 * ripple * height / 780).astype(np.intp), 0, width - 1)
    tone = np.where(water, 0.30 + 0.45 * tone[mirror, column] + 0.12 * ripple, tone)
    tone += 0.09 * fields.fractal(x, y, 9, seed + 66, 3)

    # --- ink
    pitch = 0.0067 * look("pitch")
    angle = look("angle")
    bend = 0.010 * fields.noise(x, y, 5, seed + 70) + 0.0011 * fields.noise(x, y, 30, seed + 71)
    sets = []
    for number, (turn, start) in enumerate(((0.0, 0.20), (1.05, 0.47), (-0.75, 0.72))):
        a = angle + turn
        straight = np.cos(a) * y - np.sin(a) * x + bend
        ring = np.hypot(x - centre[..., 0], y - centre[..., 1]) + bend * 0.4
        level = y + 0.085 * fields.noise(x, y, 2.2, seed + 73) + 0.016 * cloud
        phase = np.where(look("round") > 0.5, ring if number == 0 else straight, straight)
        phase = np.where(sky & (number == 0), level, phase)
        phase = np.where(water & (number == 0), y + 0.0035 * fields.noise(x, y * 2, 16, seed + 74), phase)
        sets.append(_lines(phase / pitch, tone, start, x, y, seed + 80 + 5 * number))
    hatch = 1 - (1 - 0.80 * sets[0]) * (1 - 0.75 * sets[1]) * (1 - 0.75 * sets[2])
    ink = np.maximum(hatch, drawing.ink.array() * (0.93 + 0.1 * fields.noise(x, y, 90, seed + 95)))

    # --- wash: slightly displaced from the drawing, pooling at its edges
    tooth = pen.paper(width, height, seed + 90, 150)
    slip = 0.0030 * height
    row = np.clip(np.arange(height)[:, None] + slip * fields.fractal(x, y, 18, seed + 91, 2), 0, height - 1).astype(
        np.intp
    )
    line = np.clip(np.arange(width)[None, :] + slip * fields.fractal(x, y, 18, seed + 93, 2), 0, width - 1).astype(
        np.intp
    )
    slipped = label[row, line]
    wash = np.array([f.wash for f in faces], np.float32)[slipped]
    skies = colour.ramp(
        puffs + 0.5 * (y - 0.2),
        [
            (-0.1, lch(0.69, 0.105, 246)),
            (0.5, lch(0.84, 0.060, 225)),
            (0.8, lch(0.94, 0.035, 80)),
            (1.1, lch(0.90, 0.065, 55)),
        ],
    )
    wash = np.where((slipped == 1)[..., None], skies, wash)
    under = colour.mix(wash[mirror, column], lch(0.60, 0.105, 232), 0.28)
    wash = np.where((slipped == drawing.river)[..., None], under, wash)
    soft = np.stack([ndimage.gaussian_filter(wash[..., i], 0.0018 * height) for i in range(3)], -1)
    sheet = lch(0.965, 0.022, 88)
    edge = np.zeros(label.shape, np.float32)
    edge[1:] += slipped[1:] != slipped[:-1]
    edge[:, 1:] += slipped[:, 1:] != slipped[:, :-1]
    rim = np.clip(ndimage.gaussian_filter(edge, 0.0016 * height) * 3.0 * height / 780, 0, 1)
    pool = fields.fractal(x, y, 6, seed + 97, 4)
    bloom = fields.fractal(x, y, 21, seed + 99, 3)
    strength = 0.90 + 0.50 * pool + 0.34 * bloom + 0.26 * tooth + 0.26 * rim
    shadow = fields.smoothstep(0.38, 0.85, tone)
    lab = sheet + (soft - sheet) * np.clip(strength, 0.25, 1.5)[..., None]
    lab = colour.mix(
        lab,
        lab * np.array([0.80, 0.8, 1.0], np.float32) + np.array([0, 0.012, -0.035], np.float32),
        0.75 * shadow,
    )
    lab[..., 0] += 0.012 * tooth
    ink_tone = lch(0.245, 0.035, 285) + 0.04 * np.stack([tooth, 0 * tooth, 0 * tooth], -1)
    lab = colour.mix(lab, ink_tone, np.clip(ink * (0.96 - 0.08 * np.clip(tooth, 0, 1)), 0, 1))
    return colour.to_bytes(shrink(lab, FACTOR))
