"""The canvas and the brush: opaque bristle strokes, laid in order, lit as relief.

A stroke is a ribbon along a path.  Its ribbon is sampled finely along and across;
each sample lands on one pixel of a canvas that is twice as large as the picture,
and a later sample simply covers an earlier one, as thick paint does.  Bristles
leave gaps where the brush runs dry, so the layers below show through.  Shrinking
the canvas at the end smooths the edges, so no other anti-aliasing is needed, and
thousands of strokes take only a few array operations.

Lengths and widths of strokes are in *units* of 1/960 of the picture's height.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from . import colour, fields

Array = NDArray[np.float32]
OVERSAMPLE = 2
_PATH_POINTS = 14


@dataclass
class Brush:
    """How a brush lays paint.

    dry: share of the ribbon left bare by the bristles, growing towards the tail.
    bristles: number of separate hair tracks across the ribbon.
    relief: how high the ridges of paint stand.
    tint: how much the tracks differ in lightness (paint not fully mixed).
    shape: "round" (tapering ends), "flat" (blunt ends) or "dab" (a disc or ellipse).
    """

    dry: float = 0.15
    bristles: int = 9
    relief: float = 1.0
    tint: float = 0.02
    shape: str = "round"
    seed: int = 1
    bank: tuple[Array, Array, Array] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.bank = _make_bank(self)


def _make_bank(brush: Brush, copies: int = 20) -> tuple[Array, Array, Array]:
    """Textures (along, across) of ribbons: where paint is, its height, its tint."""
    rng = np.random.default_rng(brush.seed)
    along, across = 64, 32
    u = np.linspace(0, 1, along, dtype=np.float32)[:, None]
    v = np.linspace(-1, 1, across, dtype=np.float32)[None, :]
    masks, heights, tints = [], [], []
    for _ in range(copies):
        # Each hair keeps its own load of paint, wavering slowly along the stroke.
        knots = rng.random((6, brush.bristles)).astype(np.float32)
        knots = 0.75 * knots[:1] + 0.25 * knots
        hairs = ndimage.zoom(
            knots,
            (along / 6, across / brush.bristles),
            order=1,
            grid_mode=True,
            mode="nearest",
        )[:along, :across]
        ragged = ndimage.gaussian_filter1d(rng.random(across), 1.0)[None, :]
        if brush.shape == "dab":
            wobble = 0.10 * np.sin(3 * np.arctan2(v, 2 * u - 1) + rng.uniform(0, 6.28))
            inside = (2 * u - 1) ** 2 + v**2 < (0.95 + wobble) ** 2
            bulge = np.sqrt(np.clip(1 - ((2 * u - 1) ** 2 + v**2) * 0.9, 0, 1))
        else:
            blunt = 0.24 if brush.shape == "flat" else 0.28
            end = np.minimum(u / blunt, (1 - u) / (blunt * 1.3))
            outline = np.sqrt(np.clip(end * (2 - np.minimum(end, 1)), 0, 1))
            if brush.shape == "flat":
                outline = np.where(outline > 2.2 * (ragged - 0.2), 1.0, 0.0)
            inside = np.abs(v) <= outline
            bulge = np.sqrt(np.clip(1 - 0.75 * v**2, 0, 1))
        dryness = brush.dry * (0.35 + 1.3 * u**1.5)
        masks.append(inside & (hairs + 0.12 * (ragged - 0.5) >= dryness))
        # Paint piles up in a ridge along each hair, at the rim and where it stops.
        rim = smooth_edge(np.abs(v), 0.55, 0.95) * 0.35 + smooth_edge(u, 0.8, 0.97) * 0.4
        heights.append(0.45 * bulge + 0.75 * hairs * bulge + rim)
        tints.append(hairs - hairs.mean())
    return np.array(masks), np.array(heights, np.float32), np.array(tints, np.float32)


def smooth_edge(value: Array, low: float, high: float) -> Array:
    """Shorthand for a rising S-curve of ``value``."""
    return fields.smoothstep(low, high, value)


class Canvas:
    """An OKLab picture and the height of its paint, both oversampled."""

    def __init__(self, width: int, height: int, ground: Array) -> None:
        self.size = (width, height)
        self.width, self.height = width * OVERSAMPLE, height * OVERSAMPLE
        self.unit = self.height / 960.0
        self.x, self.y = fields.grid(self.width, self.height)
        self.lab = np.empty((self.height, self.width, 3), np.float32)
        self.lab[...] = ground
        self.relief = np.zeros((self.height, self.width), np.float32)

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height

    def pick(self, picture: Array, points: Array) -> Array:
        """Values of an oversampled picture at points in picture units."""
        column = np.clip(points[..., 0] * self.height, 0, self.width - 1).astype(np.intp)
        row = np.clip(points[..., 1] * self.height, 0, self.height - 1).astype(np.intp)
        return picture[row, column]

    def trace(
        self,
        starts: Array,
        angle: Array,
        length: Array,
        guide: Array | None,
        tolerance: float,
    ) -> tuple[Array, Array]:
        """Follow the angle field from each start; return paths and their usable share.

        A path ends early where the colour of the ``guide`` picture changes, so
        strokes bend along the edges of things and do not smear across them.
        """
        step = (length / 960.0 / (_PATH_POINTS - 1))[:, None]
        position = starts.copy()
        path = [position]
        alive = np.ones(len(starts), bool)
        share = np.zeros(len(starts), np.float32)
        first = None if guide is None else self.pick(guide, starts)
        heading = self.pick(angle, position)
        for _ in range(_PATH_POINTS - 1):
            position = position + step * np.stack([np.cos(heading), np.sin(heading)], axis=1)
            path.append(position)
            turned = self.pick(angle, position)
            # A field of directions may flip by half a turn: keep going forwards.
            flip = np.cos(turned - heading) < 0
            heading = np.where(flip, turned + np.pi, turned).astype(np.float32)
            if first is not None:
                there = self.pick(guide, position)
                alive &= np.sqrt(((there - first) ** 2).sum(-1)) < tolerance
            share += alive
        share = np.maximum(share / (_PATH_POINTS - 1), 0.16)
        return np.stack(path, axis=1).astype(np.float32), share.astype(np.float32)

    def strokes(
        self,
        starts: Array,
        angle: Array,
        length: ArrayLike,
        width: ArrayLike,
        colours: Array,
        brush: Brush,
        rng: np.random.Generator,
        guide: Array | None = None,
        tolerance: float = 0.12,
        stencil: NDArray[np.int32] | None = None,
    ) -> None:
        """Lay one stroke for every start, in order, along the angle field.

        With a ``stencil`` (a label at every pixel) a stroke paints only where the
        label is that of its start: crisp edges, as along masking tape.
        """
        count = len(starts)
        length = np.broadcast_to(np.asarray(length, np.float32), count)
        width = np.broadcast_to(np.asarray(width, np.float32), count)
        paths, share = self.trace(starts, angle, length, guide, tolerance)
        labels = None if stencil is None else self.pick(stencil, starts)
        self.ribbons(paths, share, width, length * share, colours, brush, rng, stencil, labels)

    def ribbons(
        self,
        paths: Array,
        share: Array,
        width: Array,
        length: Array,
        colours: Array,
        brush: Brush,
        rng: np.random.Generator,
        stencil: NDArray[np.int32] | None = None,
        labels: NDArray[np.int32] | None = None,
    ) -> None:
        """Rasterise ribbons along given paths of shape (count, points, 2)."""
        masks, heights, tints = brush.bank
        which = rng.integers(0, len(masks), len(paths))
        mirror = rng.random(len(paths)) < 0.5
        lab, relief = self.lab.reshape(-1, 3), self.relief.reshape(-1)
        chunk = 256
        for begin in range(0, len(paths), chunk):
            part = slice(begin, begin + chunk)
            samples_u = int(length[part].max() * self.unit * 1.35) + 3
            samples_v = int(width[part].max() * self.unit * 1.35) + 3
            u = np.linspace(0, 1, samples_u, dtype=np.float32)
            v = np.linspace(-0.5, 0.5, samples_v, dtype=np.float32)
            points, normal = _resample(paths[part], share[part], u)
            offset = v[None, :] * (width[part, None] / 960.0)
            x = points[:, :, None, 0] + normal[:, :, None, 0] * offset[:, None, :]
            y = points[:, :, None, 1] + normal[:, :, None, 1] * offset[:, None, :]
            column = np.floor(x * self.height).astype(np.int32)
            row = np.floor(y * self.height).astype(np.int32)
            tex_u = (u * (masks.shape[1] - 1) + 0.5).astype(np.intp)
            tex_v = ((v + 0.5) * (masks.shape[2] - 1) + 0.5).astype(np.intp)
            tex_v = np.where(mirror[part, None], masks.shape[2] - 1 - tex_v, tex_v)
            place = (which[part, None, None], tex_u[None, :, None], tex_v[:, None, :])
            keep = masks[place] & (column >= 0) & (column < self.width)
            keep &= (row >= 0) & (row < self.height)
            index = (row.astype(np.intp) * self.width + column)[keep]
            owner = np.broadcast_to(np.arange(keep.shape[0])[:, None, None], keep.shape)[keep]
            place = tuple(np.broadcast_to(p, keep.shape)[keep] for p in place)
            if stencil is not None and labels is not None:
                within = stencil.reshape(-1)[index] == labels[part][owner]
                index, owner = index[within], owner[within]
                place = tuple(p[within] for p in place)
            paint = colours[part][owner]
            paint[:, 0] += brush.tint * 2.0 * tints[place]
            lab[index] = paint
            relief[index] = 0.35 * relief[index] + brush.relief * heights[place]

    def glaze(self, picture: Array, share: ArrayLike) -> None:
        """Blend a thin transparent layer over everything, keeping the relief."""
        self.lab = colour.mix(self.lab, picture, share)

    def finish(
        self,
        relief: float = 0.06,
        weave: float = 0.25,
        gloss: float = 0.02,
        contrast: float = 1.0,
    ) -> NDArray[np.uint8]:
        """Light the paint from the upper left, shrink, and return 8-bit sRGB."""
        height = self.relief
        if weave:
            # Plain weave: two sets of threads, each hidden where the other passes.
            pitch = 960 / 3.4 * np.pi
            wobble = 0.4 * fields.noise(self.x, self.y, 40, 5)
            warp = np.sin(self.x * pitch + wobble)
            weft = np.sin(self.y * pitch + wobble)
            height = height + weave * np.maximum(warp, -weft) / (1 + 1.5 * height)
        height = ndimage.gaussian_filter(height, 0.45 * self.unit)
        dy, dx = np.gradient(height)
        slope = -(dx + 1.1 * dy) * self.unit * 1.6
        light = np.tanh(slope)
        shine = np.clip(light - 0.55, 0, 1) ** 2
        lab = self.lab.copy()
        lab[..., 0] += relief * light + gloss * 4 * shine
        lab[..., 0] = 0.5 + (lab[..., 0] - 0.5) * contrast
        return colour.to_bytes(shrink(lab))


def _resample(paths: Array, share: Array, u: Array) -> tuple[Array, Array]:
    """Points and unit normals at parameters ``u`` of the usable part of each path."""
    last = paths.shape[1] - 1
    place = u[None, :] * share[:, None] * last
    left = np.minimum(place.astype(np.intp), last - 1)
    blend = (place - left)[..., None]
    row = np.arange(len(paths))[:, None]
    points = paths[row, left] * (1 - blend) + paths[row, left + 1] * blend
    tangent = np.gradient(points, axis=1)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=-1, keepdims=True), 1e-9)
    normal = np.stack([-tangent[..., 1], tangent[..., 0]], axis=-1)
    return points.astype(np.float32), normal.astype(np.float32)


def shrink(picture: Array, factor: int = OVERSAMPLE) -> Array:
    """Average blocks of pixels: from the oversampled canvas to the picture."""
    height, width = picture.shape[0] // factor, picture.shape[1] // factor
    shape = (height, factor, width, factor) + picture.shape[2:]
    return picture[: height * factor, : width * factor].reshape(shape).mean((1, 3))
