"""Crisp shapes: polygons, contours whose width swells and thins, and paper.

Shapes are drawn oversampled with Pillow as masks; the pictures fill the masks with
OKLab colour.  Points are in picture units (height 1), as everywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from . import fields

Array = NDArray[np.float32]


class Mask:
    """An 8-bit drawing surface in picture units."""

    def __init__(self, width: int, height: int) -> None:
        self.height = height
        self.image = Image.new("L", (width, height), 0)
        self.draw = ImageDraw.Draw(self.image)

    def polygon(self, points: Array, value: int = 255) -> None:
        """Fill a polygon."""
        if len(points) > 2:
            self.draw.polygon(
                [tuple(p) for p in (np.asarray(points, float) * self.height).tolist()],
                fill=value,
            )

    def disc(self, x: float, y: float, radius: float, value: int = 255) -> None:
        """Fill a disc."""
        h = self.height
        self.draw.ellipse(
            [(x - radius) * h, (y - radius) * h, (x + radius) * h, (y + radius) * h],
            fill=value,
        )

    def contour(self, points: Array, width: ArrayLike, value: int = 255) -> None:
        """A line along ``points`` whose width may vary from point to point."""
        self.polygon(outline(points, width), value)

    def array(self) -> Array:
        """The surface as values 0..1."""
        return np.asarray(self.image, np.float32) / 255

    def box(self) -> tuple[slice, slice]:
        """Rows and columns that hold anything."""
        box = self.image.getbbox() or (0, 0, 1, 1)
        return slice(box[1], box[3]), slice(box[0], box[2])


def outline(points: Array, width: ArrayLike) -> Array:
    """Polygon around a line of varying width."""
    points = np.asarray(points, np.float64)
    tangent = np.gradient(points, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-12)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    half = 0.5 * np.broadcast_to(np.asarray(width, np.float64), len(points))[:, None]
    return np.concatenate([points + normal * half, (points - normal * half)[::-1]])


def smooth(points: ArrayLike, count: int = 60) -> Array:
    """A Catmull-Rom curve through the given points."""
    p = np.asarray(points, np.float64)
    p = np.concatenate([[2 * p[0] - p[1]], p, [2 * p[-1] - p[-2]]])
    t = np.linspace(0, len(p) - 3 - 1e-9, count)
    i = t.astype(int)
    t = (t - i)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def swell(count: int, widest: float, thinnest: float, at: float = 0.5) -> Array:
    """Widths of a brush line: thin at both ends, widest at ``at``."""
    t = np.linspace(0, 1, count)
    t = np.where(t < at, t / max(at, 1e-6), (1 - t) / max(1 - at, 1e-6))
    return thinnest + (widest - thinnest) * np.sin(np.pi / 2 * t) ** 1.3


def paper(width: int, height: int, seed: int, fibres: int = 500) -> Array:
    """Paper in about -1..1: mottled pulp, grain and a few long fibres."""
    x, y = fields.grid(width, height)
    rng = np.random.default_rng(seed)
    tooth = 0.5 * fields.fractal(x, y, 110, seed, 2) + 0.35 * fields.fractal(x, y, 9, seed + 7, 3)
    sheet = Mask(width, height)
    for _ in range(fibres):
        start = rng.random(2) * [width / height, 1]
        bend = np.cumsum(rng.normal(rng.uniform(-1, 1, 2), 0.5, (9, 2)) * 0.004, axis=0)
        sheet.contour(start + bend, 0.0011, int(rng.integers(60, 255)))
    return tooth + 0.5 * ndimage.gaussian_filter(sheet.array(), 0.7)
