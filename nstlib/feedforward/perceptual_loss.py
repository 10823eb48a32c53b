"""The perceptual loss of Johnson, Alahi and Fei-Fei (2016), equations 2 to 5, for a batch with several styles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import gram_matrix
from ..objective import IterFeatures, Targets, loss_terms, weighted_terms
from ..presets import Preset
from ..vgg import VGGFeatures


class PerceptualLoss:
    """The preset's loss of painted pictures, each against its own photo and its own style.

    Args:
        preset: Layers, weights and conventions.
        features: The extractor.
        styles: Style pictures, (1, 3, h, w) each, RGB in [0, 1].
        compile: Whether the extractor runs through torch.compile; ``features`` itself is not changed.

    Attributes:
        grams: Gram matrices of all styles by layer, (styles, C, C).
    """

    def __init__(self, preset: Preset, features: VGGFeatures, styles: Sequence[Tensor], compile: bool = False) -> None:
        self.preset = preset
        self.iter_features: IterFeatures = _compiled(features) if compile else features.iter_features
        with torch.no_grad():
            by_style = [self._grams_of(features, style) for style in styles]
        self.grams = {layer: torch.cat([grams[layer] for grams in by_style]) for layer in preset.style_layers}

    def _grams_of(self, features: VGGFeatures, style: Tensor) -> dict[str, Tensor]:
        found = features.iter_features(style, self.preset.style_layers)
        return {layer: gram_matrix(f, self.preset.gram_divisor) for layer, f in found}

    def __call__(self, painted: Tensor, photos: Tensor, styles: Tensor) -> Tensor:
        """Return the weighted content, style and variation terms, (3, N).

        Args:
            painted: (N, 3, H, W) in [0, 1]; gradients flow to it.
            photos: (N, 3, H, W) in [0, 1].
            styles: Index of each picture's style, (N,).
        """
        with torch.no_grad():
            content = dict(self.iter_features(photos, self.preset.content_layers))
        targets = Targets(content, {layer: grams[styles] for layer, grams in self.grams.items()})
        return weighted_terms(self.preset, loss_terms(self.preset, self.iter_features, painted, targets))


def _compiled(features: VGGFeatures) -> IterFeatures:
    forward = torch.compile(features.forward)

    def iter_features(images: Tensor, layers: Iterable[str]) -> Iterable[tuple[str, Tensor]]:
        return forward(images, list(layers)).items()

    return iter_features


def identity_loss(painted: Tensor, photos: Tensor) -> Tensor:
    """Return the mean squared difference of pixels as a content term, beside empty style and variation, (3, N)."""
    difference = (painted - photos).square().flatten(1).mean(1)  # (N,)
    nothing = torch.zeros_like(difference)
    return torch.stack([difference, nothing, nothing])


WINDOW, PERIOD = 32, 4
"""Side of the windows in which ``grid_share`` searches, and the distance in pixels that it searches for."""

LUMINANCE = (0.299, 0.587, 0.114)


def grid_share(images: Tensor) -> Tensor:
    """Return how much of the fine structure is one tile that repeats every four pixels, (N,): 0 nothing, 1 all of it.

    Two strides and two upsamplings make such a weave, and neither the content nor the style term minds it much. In
    windows of 32 x 32 pixels the luminance, less its mean over 4 x 4, is averaged over its 8 x 8 repetitions. The share
    is the variance of this tile, less what chance leaves in it, over the variance of the window; mean over the windows.

    Args:
        images: (N, 3, H, W) with sides of at least ``WINDOW``.
    """
    n, _, h, w = images.shape
    grey = (images * images.new_tensor(LUMINANCE).view(1, 3, 1, 1)).sum(1, keepdim=True)  # (N, 1, H, W)
    fine = grey - F.avg_pool2d(F.pad(grey, (2, 1, 2, 1), mode="replicate"), PERIOD, 1)
    rows, columns, repeats = h // WINDOW, w // WINDOW, WINDOW // PERIOD
    windows = fine[:, :, : rows * WINDOW, : columns * WINDOW].reshape(
        n, rows, repeats, PERIOD, columns, repeats, PERIOD
    )
    variance = windows.var((2, 3, 5, 6), unbiased=False)  # (N, rows, columns)
    tile = windows.mean((2, 5)).var((2, 4), unbiased=False)  # (N, rows, columns)
    chance = (variance - tile) / repeats**2
    share = F.relu(tile - chance) / (variance + FLAT_VARIANCE)
    return share.mean((1, 2))


FLAT_VARIANCE = 1e-5
"""Added to the variance of a window, so that the weave of a flat one does not count as much as a visible one."""
