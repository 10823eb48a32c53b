"""Pictures larger than memory: the same loss and the same gradient, computed tile by tile.

All that style transfer measures is a function of sums over positions: the Gram matrices of the whole picture, squared
differences from the content, differences between neighbours. One pass over the tiles adds up the sums, the loss is
computed from them as usual, and a second pass propagates its gradient back through each tile in turn.

Nothing is approximated and there are no seams, because each tile is read with a margin as wide as half the network's
field of view, so that its activations are those of the whole picture. A step costs more than one of the whole picture:
activations are computed twice, those of the margins several times. Memory grows with the picture alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise, product
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .errors import whole_number
from .images import Picture
from .losses import EPSILON, gram_divisor, gram_matrix, style_loss
from .objective import Objective, Targets, Terms, style_layer_factor
from .presets import OptimizerName, Preset
from .runtime import return_freed_memory
from .vgg import PREPROCESSING, VGGFeatures

MIN_TILE = 64

TILE_OPTIMIZER: OptimizerName = "adam"
"""The optimizer of a tiled picture, unless another is asked for by name.

L-BFGS keeps two pictures for every step of its history and four besides: at 4000 x 3000, where a picture takes
144 MB, 3.5 GB with a history of 10 and more than 1 GB with one of 2. Adam always keeps two pictures.
"""

KEPT_VALUES_PER_PIXEL = 4
"""Content targets are kept if they take at most this many values per pixel; else each tile's are computed again."""


class Span(NamedTuple):
    """Positions from ``start`` to ``stop`` along one dimension."""

    start: int
    stop: int

    def slice(self, stride: int = 1) -> slice:
        """Return the slice of a map that is smaller by ``stride``."""
        return slice(self.start // stride, self.stop // stride)


class Tile(NamedTuple):
    """A tile without its margin."""

    number: int
    rows: Span
    columns: Span


class Reach(NamedTuple):
    """How a layer relates to the pixels."""

    stride: int
    """Pixels per position."""

    margin: int
    """Pixels around a position that its activation depends on."""


def check_tile(tile: int | None) -> None:
    """Raise SettingError for a tile that is too small; None means no tiles."""
    if tile is not None:
        whole_number("the side of a tile", tile, least=MIN_TILE)


def layer_reach(names: Iterable[str]) -> dict[str, Reach]:
    """Return stride and margin of each layer: every 3 x 3 convolution sees one position further."""
    reach, margin, stride = {}, 0, 1
    for name in names:
        if name.startswith("conv"):
            margin += stride
        elif name.startswith("pool"):
            stride *= 2
        reach[name] = Reach(stride, margin)
    return reach


class TiledObjective(Objective):
    """An ``Objective`` that holds the activations of one tile at a time: same losses, same gradient.

    With the compact extractor in float32 a tile of 512 takes 430 MB, one of 256 takes 250 MB at 1.5 times the work.
    The gradient can be computed, but not differentiated again.

    Args:
        preset: See ``Objective``.
        features: See ``Objective``.
        content: See ``Objective``.
        style: See ``Objective``.
        tile: Side of a tile in pixels without its margin, at least 64. Tiles are of equal size, their corners on the
            grid of the poolings. The margin follows from the deepest layer: 12 pixels for relu3_1, 80 for relu5_1.

    Raises:
        SettingError: The tile is too small, or there is nothing to match.
    """

    def __init__(
        self,
        preset: str | Preset,
        features: VGGFeatures,
        content: Picture | None = None,
        style: Picture | None = None,
        tile: int = 512,
    ) -> None:
        check_tile(tile)
        self.tile = tile  # the base class computes the targets, for which it is needed
        super().__init__(preset, features, content, style)

    def _set_targets(self, content: Tensor | None, style: Tensor | None) -> None:
        wanted = [*self.content_layers, *self.style_layers]
        self.features.check(wanted)
        reach = layer_reach(self.features.names)
        self.stride = {layer: reach[layer].stride for layer in wanted}
        self.grid = max(self.stride.values())
        self.margin = math.ceil(max(reach[layer].margin for layer in wanted) / self.grid) * self.grid
        self.targets = Targets({}, {})  # content targets are kept by tile, below
        self.content = content
        self.content_by_tile: list[dict[str, Tensor]] = []
        self.content_energy: dict[str, Tensor] = {}
        if content is not None and self.content_layers:
            self._set_content_targets(content)
        if style is not None and self.style_layers:
            self._set_style_targets(style)

    def _set_content_targets(self, content: Tensor) -> None:
        values = sum(self.features.channels(n) / self.stride[n] ** 2 for n in self.content_layers)
        for tile in self.tiles(content):
            found = self._inner_features(content, tile, self.content_layers)
            for layer, features in found.items():
                energy = features.float().square().flatten(1).sum(1)  # (N,)
                self.content_energy[layer] = self.content_energy.get(layer, 0) + energy
            if values <= KEPT_VALUES_PER_PIXEL:
                self.content_by_tile.append({layer: features.clone() for layer, features in found.items()})

    def _set_style_targets(self, style: Tensor) -> None:
        for tile in self.tiles(style):
            for layer, features in self._inner_features(style, tile, self.style_layers).items():
                part = gram_matrix(features, "none") / self._gram_divisor(layer, style)
                self.targets.style[layer] = self.targets.style.get(layer, 0) + part

    def terms(self, images: Tensor) -> Terms:
        """Return the terms of images (N, 3, H, W) in [0, 1], as ``Objective.terms``."""
        preset = self.preset
        sums = iter(_Sums.apply(images, self))  # in the order of ``measure``
        style = {}
        for layer in self.style_layers:
            gram = next(sums) / self._gram_divisor(layer, images)
            loss = style_loss(gram, self.targets.style[layer], preset.style_reduction)
            style[layer] = style_layer_factor(preset, channels=gram.shape[-1]) * loss
        content = {}
        for layer in self.content_layers:
            divisor = self._content_divisor(layer, images)
            content[layer] = preset.content_factor * next(sums) / divisor
        if not preset.tv_weight:
            return Terms(content, style, images.new_zeros(len(images)))
        vertical, horizontal = next(sums), next(sums)
        if preset.tv_reduction == "mean":
            h, w = images.shape[2:]
            vertical, horizontal = vertical / (3 * (h - 1) * w), horizontal / (3 * h * (w - 1))
        return Terms(content, style, vertical + horizontal)

    def measure(self, pixels: Tensor, images: Tensor, tile: Tile) -> list[Tensor]:
        """Return what one tile adds to each sum: Gram matrices, squared content differences, variation.

        Args:
            pixels: The tile with its margin, cut from ``images``; gradients flow to it.
            images: The whole pictures.
            tile: Which tile it is.
        """
        found = self._inner_features(images, tile, [*self.content_layers, *self.style_layers], pixels)
        sums = [gram_matrix(found[layer], "none") for layer in self.style_layers]
        if self.content_layers:
            target = self._content_target(tile)
            for layer in self.content_layers:
                difference = found[layer].float() - target[layer].float()
                sums.append(difference.square().flatten(1).sum(1))
        if self.preset.tv_weight:
            sums += self._variation(pixels, images, tile)
        return sums

    def _content_target(self, tile: Tile) -> dict[str, Tensor]:
        if self.content_by_tile:
            return self.content_by_tile[tile.number]
        assert self.content is not None
        return self._inner_features(self.content, tile, self.content_layers)

    def _variation(self, pixels: Tensor, images: Tensor, tile: Tile) -> list[Tensor]:
        """Return the vertical and the horizontal variation of a tile, with the neighbours beyond its far edges."""
        rows, columns = self._inner(images, tile)
        pixels = pixels * PREPROCESSING[self.preset.preprocessing].factor
        vertical = pixels[:, :, rows.start : rows.stop + 1, columns.slice()].diff(dim=2)
        horizontal = pixels[:, :, rows.slice(), columns.start : columns.stop + 1].diff(dim=3)
        return [d.abs().pow(self.preset.tv_power).flatten(1).sum(1) for d in (vertical, horizontal)]

    def tiles(self, images: Tensor) -> Iterator[Tile]:
        """Yield the tiles of images of this size, row by row."""
        rows, columns = (self._cut(length) for length in images.shape[2:])
        for number, (row, column) in enumerate(product(rows, columns)):
            yield Tile(number, row, column)

    def _cut(self, length: int) -> list[Span]:
        """Return equal spans of at most about ``tile`` pixels whose borders lie on the grid of the poolings."""
        count = math.ceil(length / self.tile)
        starts = [round(i * length / count / self.grid) * self.grid for i in range(count)]
        return [Span(start, stop) for start, stop in pairwise([*starts, length])]

    def window(self, images: Tensor, tile: Tile) -> tuple[Any, ...]:
        """Return the index of a tile with its margin, which ends at the picture's border, as the zero padding does."""
        return (..., self._with_margin(tile.rows, images.shape[2]), self._with_margin(tile.columns, images.shape[3]))

    def _with_margin(self, span: Span, length: int) -> slice:
        return slice(max(0, span.start - self.margin), min(length, span.stop + self.margin))

    def _inner(self, images: Tensor, tile: Tile) -> tuple[Span, Span]:
        """Return where a tile lies within its window."""
        _, rows, columns = self.window(images, tile)
        return (
            Span(tile.rows.start - rows.start, tile.rows.stop - rows.start),
            Span(tile.columns.start - columns.start, tile.columns.stop - columns.start),
        )

    def _inner_features(
        self, images: Tensor, tile: Tile, layers: Iterable[str], pixels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the activations of a tile without those of its margin; ``pixels`` is its window, if cut already."""
        rows, columns = self._inner(images, tile)
        window = images[self.window(images, tile)] if pixels is None else pixels
        found = dict(self.features.iter_features(window, layers))
        return {n: f[:, :, rows.slice(self.stride[n]), columns.slice(self.stride[n])] for n, f in found.items()}

    def _positions(self, layer: str, images: Tensor) -> int:
        return (images.shape[2] // self.stride[layer]) * (images.shape[3] // self.stride[layer])

    def _gram_divisor(self, layer: str, images: Tensor) -> int:
        return gram_divisor(self.preset.gram_divisor, self.features.channels(layer), self._positions(layer, images))

    def _content_divisor(self, layer: str, images: Tensor) -> Tensor | int:
        if self.preset.content_reduction == "sum":
            return 1
        if self.preset.content_reduction == "mean":
            return self.features.channels(layer) * self._positions(layer, images)
        return self.content_energy[layer].clamp_min(EPSILON)

    def sums(self, images: Tensor) -> list[Tensor]:
        """Return the sums of ``measure`` over all tiles."""
        totals: list[Tensor] = []
        for tile in self.tiles(images):
            found = self.measure(images[self.window(images, tile)], images, tile)
            totals = [a + b for a, b in zip(totals, found)] if totals else found
        return totals

    def sums_gradient(self, images: Tensor, grads: tuple[Tensor, ...]) -> Tensor:
        """Return the gradient of the sums with respect to ``images``, given the gradients of the loss by each sum."""
        gradient = torch.zeros_like(images)
        for tile in self.tiles(images):
            window = self.window(images, tile)
            with torch.enable_grad():
                pixels = images[window].detach().requires_grad_()
                found = self.measure(pixels, images, tile)
            gradient[window] += torch.autograd.grad(found, pixels, grads)[0]
        return gradient


class _Sums(torch.autograd.Function):
    """``TiledObjective.sums`` with its gradient, one tile at a time in both directions."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, objective: TiledObjective) -> tuple[Tensor, ...]:
        ctx.save_for_backward(images)
        ctx.objective = objective
        return tuple(objective.sums(images))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (images,) = ctx.saved_tensors
        gradient = ctx.objective.sums_gradient(images, grads)
        return_freed_memory()  # the optimizer comes next: it needs pictures, not activations
        return gradient, None
