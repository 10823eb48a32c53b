"""The total loss of style transfer: what a picture is measured against, with targets computed once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .errors import SettingError
from .losses import content_loss, gram_matrix, style_loss, total_variation
from .presets import Preset
from .vgg import PREPROCESSING, VGGFeatures


class Objective:
    """The total loss of a preset for given targets; call it with images (N, 3, H, W) in [0, 1].

    Targets are computed once, here. ``content`` (N, 3, H, W) or (1, 3, H, W) and ``style`` (any size) may each
    be None, which leaves that term out.
    """

    def __init__(
        self,
        preset: Preset,
        features: VGGFeatures,
        content: Tensor | None = None,
        style: Tensor | None = None,
    ) -> None:
        self.preset, self.features = preset, features
        self.content_layers = dict(preset.content_layers) if content is not None else {}
        self.style_layers = dict(preset.style_layers) if style is not None else {}
        if not self.content_layers and not self.style_layers:
            raise SettingError("there is nothing to match; give a content, a style or both, with at least one layer.")
        with torch.no_grad():
            self._aim(content, style)
        self.style_factors = {
            n: preset.style_factor / features.channels(n) ** preset.channel_power for n in self.style_layers
        }

    def _aim(self, content: Tensor | None, style: Tensor | None) -> None:
        found = self.features.walk(style, self.style_layers) if self.style_layers else ()
        self.style_targets = {n: gram_matrix(f, self.preset.gram_divisor) for n, f in found}
        self.content_targets = self.features(content, self.content_layers) if self.content_layers else {}

    def terms(self, images: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
        """Content losses and style losses by layer, and total variation: each (N,), before any weight."""
        p = self.preset
        content, style = {}, {}
        for n, x in self.features.walk(images, [*self.content_layers, *self.style_layers]):
            if n in self.content_layers:
                content[n] = p.content_factor * content_loss(x, self.content_targets[n], p.content_reduction)
            if n in self.style_layers:
                distance = style_loss(gram_matrix(x, p.gram_divisor), self.style_targets[n], p.style_reduction)
                style[n] = self.style_factors[n] * distance
        if p.tv_weight:
            tv = total_variation(images * PREPROCESSING[p.preprocessing][0], p.tv_power, p.tv_reduction)
        else:
            tv = images.new_zeros(images.shape[0])
        return content, style, tv

    def __call__(self, images: Tensor) -> Tensor:
        """Total loss of each picture, (N,)."""
        return self.weigh(*self.terms(images)).sum(0)

    def weigh(self, content: Mapping[str, Tensor], style: Mapping[str, Tensor], tv: Tensor) -> Tensor:
        """The three weighted parts of the total, (3, N)."""
        p, zero = self.preset, torch.zeros_like(tv)
        weighted_content = sum((w * content[n] for n, w in self.content_layers.items()), zero)
        weighted_style = sum((w * style[n] for n, w in self.style_layers.items()), zero)
        return torch.stack([p.content_weight * weighted_content, p.style_weight * weighted_style, p.tv_weight * tv])
