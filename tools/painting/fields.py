"""Smooth functions of the plane: noise, vortices, and the way strokes should run.

Points are in picture units: the height of a picture is 1 and its width is its
aspect, so a small painting has the arrangement of the large one (details may differ).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]


def grid(width: int, height: int) -> tuple[Array, Array]:
    """x and y of every pixel's centre, in picture units."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return (x + 0.5) / height, (y + 0.5) / height


def noise(x: ArrayLike, y: ArrayLike, frequency: float, seed: int) -> Array:
    """Gradient noise in about -1..1, ``frequency`` bumps over the picture's height."""
    table = np.random.default_rng(seed).uniform(0, 2 * np.pi, (128, 128))
    east, south = np.cos(table).astype(np.float32), np.sin(table).astype(np.float32)
    px = np.asarray(x, np.float32) * frequency + 17.0
    py = np.asarray(y, np.float32) * frequency + 31.0
    ix, iy = np.floor(px).astype(np.int32), np.floor(py).astype(np.int32)
    fx, fy = px - ix, py - iy
    # A quintic fade has no creases at the lattice lines, which relief would show.
    wx = fx * fx * fx * (fx * (fx * 6 - 15) + 10)
    wy = fy * fy * fy * (fy * (fy * 6 - 15) + 10)

    def corner(dx: int, dy: int) -> Array:
        row, column = (iy + dy) & 127, (ix + dx) & 127
        return east[row, column] * (fx - dx) + south[row, column] * (fy - dy)

    top = corner(0, 0) * (1 - wx) + corner(1, 0) * wx
    bottom = corner(0, 1) * (1 - wx) + corner(1, 1) * wx
    return ((top * (1 - wy) + bottom * wy) * 1.5).astype(np.float32)


def fractal(x: ArrayLike, y: ArrayLike, frequency: float, seed: int, octaves: int = 4) -> Array:
    """Noise summed over octaves, each twice as fine and half as strong."""
    total = np.zeros(np.broadcast(x, y).shape, np.float32)
    for octave in range(octaves):
        total += noise(x, y, frequency * 2**octave, seed + octave) * 0.5**octave
    return total


def smoothstep(low: float, high: float, value: ArrayLike) -> Array:
    """0 below ``low``, 1 above ``high``, an S-curve between (either may be larger)."""
    t = np.clip((np.asarray(value, np.float32) - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def vortex(x: Array, y: Array, cx: float, cy: float, radius: float, turn: float) -> tuple[Array, Array]:
    """Velocity of one whirl: largest near ``radius``, falling to zero outside.

    ``turn`` is its strength; the sign gives the sense of rotation.
    """
    dx, dy = x - cx, y - cy
    distance2 = (dx * dx + dy * dy) / radius**2
    strength = turn * np.exp(-0.5 * distance2) * 1.65 / radius
    return -dy * strength, dx * strength


def curl(x: Array, y: Array, frequency: float, seed: int) -> tuple[Array, Array]:
    """A velocity without sources: the curl of noise, so flow lines never pile up."""
    step = 0.02 / frequency
    east = noise(x, y + step, frequency, seed) - noise(x, y - step, frequency, seed)
    south = noise(x + step, y, frequency, seed) - noise(x - step, y, frequency, seed)
    return east / (2 * step * frequency), -south / (2 * step * frequency)


def scatter(count: int, aspect: float, rng: np.random.Generator, margin: float = 0.03) -> Array:
    """``count`` points spread evenly but irregularly over the picture, in random order.

    One point is drawn inside each cell of a grid (a jittered grid): strokes then
    cover the ground without the clumps and holes of purely random placing.
    """
    width, height = aspect + 2 * margin, 1 + 2 * margin
    columns = max(1, int(np.sqrt(count * width / height)))
    rows = max(1, -(-count // columns))
    iy, ix = np.divmod(np.arange(rows * columns), columns)
    points = np.stack(
        [
            (ix + rng.random(ix.size)) / columns * width - margin,
            (iy + rng.random(iy.size)) / rows * height - margin,
        ],
        axis=1,
    )
    return points[rng.permutation(len(points))].astype(np.float32)
