"""Pictures larger than memory: the same total loss and the same gradient, computed tile by tile.

All that style transfer measures is a function of sums over positions: the Gram matrices of the whole picture,
squared differences from the content, differences between neighbours. One pass over the tiles adds up the sums,
the loss is computed from them as usual, and a second pass sends its gradient back through each tile in turn.
Nothing is approximated and there are no seams to hide, because each tile is read with a margin as wide as the
network's field of view, so that its activations are those of the whole picture. A step costs more than a whole
one: activations are computed twice, those of the margins several times. Memory then grows with the picture alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise, product

import torch
from torch import Tensor

from .errors import SettingError
from .losses import gram_matrix, style_loss
from .objective import Objective
from .presets import Preset
from .runtime import give_back_freed_memory
from .vgg import PREPROCESSING, VGGFeatures

MIN_TILE = 64

OPTIMIZER = "adam"
"""The optimiser of a tiled picture, unless another is asked for by name.

L-BFGS keeps two pictures for every step of its history and four besides: at 4000 x 3000, where a picture takes
144 MB, 3.5 GB with a history of 10 and more than 1 GB with one of 2. Adam keeps two pictures, whatever comes.
"""

KEPT_VALUES = 4
"""Content targets are kept where that takes at most so many values a pixel, else computed anew for every tile."""

Place = tuple[tuple[int, int], tuple[int, int]]


def check_tile(tile: int | None) -> None:
    """Raise SettingError for a tile that is too small; None is no tile."""
    if tile is not None and tile < MIN_TILE:
        raise SettingError(f"a tile must be at least {MIN_TILE} pixels a side, not {tile}.")


class TiledObjective(Objective):
    """An ``Objective`` that never holds the activations of more than one tile: same losses, same gradient.

    tile: side of a tile in pixels without its margin, at least 64. Tiles are cut equal, their corners on the grid
        of the poolings. The margin follows from the deepest layer: 16 pixels for relu3_1, 80 for relu5_1.
    Other arguments: see ``Objective``.

    With the compact extractor in float32 a tile of 512 takes 430 MB, one of 256 250 MB, at 1.5 times the work.
    Its gradient can be taken, but not differentiated again. Raises SettingError for a tile that is too small.
    """

    def __init__(
        self,
        preset: Preset,
        features: VGGFeatures,
        content: Tensor | None = None,
        style: Tensor | None = None,
        tile: int = 512,
    ) -> None:
        check_tile(tile)
        self.tile = tile
        super().__init__(preset, features, content, style)

    def _aim(self, content: Tensor | None, style: Tensor | None) -> None:
        wanted = {*self.content_layers, *self.style_layers}
        self.features.check(wanted)
        self.stride: dict[str, int] = {}
        reach, stride = 0, 1  # each 3 x 3 convolution sees one position further
        for name in self.features.names:
            reach += stride * name.startswith("conv")
            stride *= 2 if name.startswith("pool") else 1
            if name in wanted:
                self.stride[name], self.unit = stride, stride
                self.margin = -(-reach // stride) * stride
        self.content, self.kept, energy = content, [], {}
        few = sum(self.features.channels(n) / self.stride[n] ** 2 for n in self.content_layers) <= KEPT_VALUES
        for place in self._places(content) if self.content_layers else ():
            found = self._core(content, place, self.content_layers)
            for n, f in found.items():
                energy[n] = energy.get(n, 0) + f.float().square().flatten(1).sum(1)
            if few:
                self.kept.append({n: f.clone() for n, f in found.items()})
        self.energy = energy
        self.style_targets = {}
        for place in self._places(style) if self.style_layers else ():
            for n, f in self._core(style, place, self.style_layers).items():
                self.style_targets[n] = self.style_targets.get(n, 0) + gram_matrix(f, "none") / self._divisor(n, style)

    def terms(self, images: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
        """As ``Objective.terms``, for images (N, 3, H, W) in [0, 1]."""
        p, (n, _, h, w) = self.preset, images.shape
        sums = iter(_Sums.apply(images, self))
        style = {
            name: self.style_factors[name]
            * style_loss(next(sums) / self._divisor(name, images), self.style_targets[name], p.style_reduction)
            for name in self.style_layers
        }
        content = {}
        for name in self.content_layers:
            elements = self.features.channels(name) * self._positions(name, images)
            by = {"sum": 1, "mean": elements, "relative": self.energy[name].clamp_min(1e-12)}[p.content_reduction]
            content[name] = p.content_factor * next(sums) / by
        tv = images.new_zeros(n)
        if p.tv_weight:
            by = (3 * (h - 1) * w, 3 * h * (w - 1)) if p.tv_reduction == "mean" else (1, 1)
            tv = next(sums) / by[0] + next(sums) / by[1]
        return content, style, tv

    def measure(self, pixels: Tensor, images: Tensor, place: Place, index: int) -> list[Tensor]:
        """What one tile adds to each sum: Gram matrices, squared content differences, differences of neighbours."""
        p = self.preset
        found = self._core(images, place, [*self.content_layers, *self.style_layers], pixels)
        sums = [gram_matrix(found[n], "none") for n in self.style_layers]
        if self.content_layers:
            target = self.kept[index] if self.kept else self._core(self.content, place, self.content_layers)
            sums += [(found[n].float() - target[n].float()).square().flatten(1).sum(1) for n in self.content_layers]
        if p.tv_weight:
            (top, bottom), (left, right) = self._inside(images, place)
            pixels = pixels * PREPROCESSING[p.preprocessing][0]
            down = pixels[:, :, top : bottom + 1, left:right].diff(dim=2)
            across = pixels[:, :, top:bottom, left : right + 1].diff(dim=3)
            sums += [d.abs().pow(p.tv_power).flatten(1).sum(1) for d in (down, across)]
        return sums

    def _places(self, images: Tensor) -> Iterator[Place]:
        """The tiles without their margins: rows from and to, columns from and to."""
        cuts = []
        for length in images.shape[2:]:
            count = -(-length // self.tile)
            starts = (round(i * length / count / self.unit) * self.unit for i in range(count))
            cuts.append(pairwise([*starts, length]))
        return product(*cuts)

    def _window(self, images: Tensor, place: Place) -> tuple[slice, ...]:
        """Where a tile lies with its margin, which ends at the picture's border: there the zero padding is real."""
        spans = zip(place, images.shape[2:])
        return (..., *(slice(max(0, a - self.margin), min(size, b + self.margin)) for (a, b), size in spans))

    def _inside(self, images: Tensor, place: Place) -> Place:
        """Where a tile lies in its window."""
        return tuple((a - s.start, b - s.start) for (a, b), s in zip(place, self._window(images, place)[1:]))

    def _core(
        self, images: Tensor, place: Place, layers: Iterable[str], pixels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Activations of a tile without those of its margin; ``pixels`` are its window, if there is one already."""
        (top, bottom), (left, right) = self._inside(images, place)
        found = self.features(images[self._window(images, place)] if pixels is None else pixels, layers)
        stride = self.stride
        return {
            n: f[:, :, top // stride[n] : bottom // stride[n], left // stride[n] : right // stride[n]]
            for n, f in found.items()
        }

    def _positions(self, layer: str, images: Tensor) -> int:
        return (images.shape[2] // self.stride[layer]) * (images.shape[3] // self.stride[layer])

    def _divisor(self, layer: str, images: Tensor) -> int:
        positions = self._positions(layer, images)
        return {"hw": positions, "chw": positions * self.features.channels(layer), "none": 1}[self.preset.gram_divisor]


class _Sums(torch.autograd.Function):
    """The sums of a picture over all its tiles, and their gradient, one tile at a time in both directions."""

    @staticmethod
    def forward(ctx, images: Tensor, objective: TiledObjective) -> tuple[Tensor, ...]:  # noqa: ANN001
        ctx.save_for_backward(images)
        ctx.objective = objective
        totals: list[Tensor] = []
        for index, place in enumerate(objective._places(images)):
            found = objective.measure(images[objective._window(images, place)], images, place, index)
            totals = [a + b for a, b in zip(totals, found)] if totals else found
        return tuple(totals)

    @staticmethod
    def backward(ctx, *slopes: Tensor) -> tuple[Tensor, None]:  # noqa: ANN001
        (images,), objective = ctx.saved_tensors, ctx.objective
        gradient = torch.zeros_like(images)
        for index, place in enumerate(objective._places(images)):
            window = objective._window(images, place)
            with torch.enable_grad():
                pixels = images[window].detach().requires_grad_()
                found = objective.measure(pixels, images, place, index)
            gradient[window] += torch.autograd.grad(found, pixels, slopes)[0]
        give_back_freed_memory()  # the optimiser's turn: it wants pictures, not activations
        return gradient, None
