"""The total loss of style transfer: its targets, its terms, and their weighted sum.

>>> objective = Objective(get_preset("course"), VGGFeatures(pooling="avg"), content=photo, style=painting)
>>> loss = objective(picture).sum()

``loss_terms`` is the pure function underneath; the training of networks uses it with targets of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from .errors import SettingError
from .images import Picture, as_image
from .losses import content_loss, gram_matrix, style_loss, total_variation
from .presets import Preset, get_preset
from .vgg import PREPROCESSING, VGGFeatures, check_features


class Targets(NamedTuple):
    """What a picture is compared with, by layer; a layer that is absent adds no loss."""

    content: dict[str, Tensor]
    """Activations, (N, C, H, W) or (1, C, H, W)."""

    style: dict[str, Tensor]
    """Gram matrices, (N, C, C) or (1, C, C)."""


class Terms(NamedTuple):
    """The terms of the loss, each (N,), before any weight."""

    content: dict[str, Tensor]
    style: dict[str, Tensor]
    tv: Tensor


IterFeatures = Callable[[Tensor, Iterable[str]], Iterable[tuple[str, Tensor]]]
"""``VGGFeatures.iter_features``, or a function that does the same: (images, layers) -> (name, activation) pairs."""


def loss_terms(preset: Preset, iter_features: IterFeatures, images: Tensor, targets: Targets) -> Terms:
    """Return the content, style and variation terms of images, layer by layer.

    Args:
        preset: Conventions of the losses.
        iter_features: The extractor's forward pass.
        images: (N, 3, H, W), RGB in [0, 1].
        targets: Activations P and Gram matrices A, with which the images' F and G are compared.

    Raises:
        NstError: What the extractor and the losses raise for layers, shapes and conventions.
    """
    content, style = {}, {}
    for layer, features in iter_features(images, [*targets.content, *targets.style]):
        if layer in targets.content:
            loss = content_loss(features, targets.content[layer], preset.content_reduction)
            content[layer] = preset.content_factor * loss
        if layer in targets.style:
            gram = gram_matrix(features, preset.gram_divisor)
            loss = style_loss(gram, targets.style[layer], preset.style_reduction)
            style[layer] = style_layer_factor(preset, channels=gram.shape[-1]) * loss
    return Terms(content, style, variation_term(preset, images))


def style_layer_factor(preset: Preset, channels: int) -> float:
    """Return the constant of a style layer with this number of channels."""
    return preset.style_factor / float(channels**preset.channel_power)


def variation_term(preset: Preset, images: Tensor) -> Tensor:
    """Return the total variation of images on the preset's pixel scale, (N,); zero where it has no weight."""
    if not preset.tv_weight:
        return images.new_zeros(len(images))
    pixel_factor = PREPROCESSING[preset.preprocessing].factor
    return total_variation(images * pixel_factor, preset.tv_power, preset.tv_reduction)


def weighted_terms(preset: Preset, terms: Terms) -> Tensor:
    """Return the three weighted parts of the total (content, style, total variation), (3, N)."""
    content = _weighted_sum(preset.content_layers, terms.content, terms.tv)
    style = _weighted_sum(preset.style_layers, terms.style, terms.tv)
    return torch.stack([preset.content_weight * content, preset.style_weight * style, preset.tv_weight * terms.tv])


def _weighted_sum(weights: Mapping[str, float], losses: Mapping[str, Tensor], like: Tensor) -> Tensor:
    return sum((w * losses[layer] for layer, w in weights.items() if layer in losses), torch.zeros_like(like))


class Loss(Protocol):
    """What ``synthesize`` minimises: the terms of a picture's loss and their weighted parts."""

    def terms(self, images: Tensor) -> Terms:
        """Return the unweighted terms of images (N, 3, H, W)."""
        ...

    def weighted_terms(self, terms: Terms) -> Tensor:
        """Return the weighted parts, (3, N); their sum is minimised."""
        ...


class Objective:
    """The total loss of a preset for given targets; call it with images (N, 3, H, W) in [0, 1].

    Args:
        preset: Layers, weights and conventions, or the name of a preset.
        features: The network; its pooling and preprocessing should be the preset's.
        content: (N, 3, H, W) or (1, 3, H, W) in [0, 1], of the images' size, or another picture that ``as_image``
            takes; None leaves the content term out.
        style: (N, 3, h, w) or (1, 3, h, w) in [0, 1], of any size, or another picture; None leaves the style term out.

    Attributes:
        targets: Activations and Gram matrices, computed once, here.

    Raises:
        SettingError: The preset is unknown, the network is none, or there is neither a content nor a style to match.
        ImageError: A picture cannot be used.
    """

    targets: Targets

    def __init__(
        self,
        preset: str | Preset,
        features: VGGFeatures,
        content: Picture | None = None,
        style: Picture | None = None,
    ) -> None:
        check_features(features)
        self.preset, self.features = get_preset(preset), features
        content = None if content is None else as_image(content, "the content").to(features.device)
        style = None if style is None else as_image(style, "the style").to(features.device)
        self.content_layers = dict(self.preset.content_layers) if content is not None else {}
        self.style_layers = dict(self.preset.style_layers) if style is not None else {}
        if not self.content_layers and not self.style_layers:
            raise SettingError("there is nothing to match; give a content, a style or both, with at least one layer.")
        with torch.no_grad():
            self._set_targets(content, style)

    def _set_targets(self, content: Tensor | None, style: Tensor | None) -> None:
        self.targets = Targets({}, {})
        if style is not None and self.style_layers:
            for layer, features in self.features.iter_features(style, self.style_layers):
                self.targets.style[layer] = gram_matrix(features, self.preset.gram_divisor)
        if content is not None and self.content_layers:
            self.targets.content.update(self.features(content, self.content_layers))

    def terms(self, images: Tensor) -> Terms:
        """Return content and style losses by layer, and total variation: each (N,), before any weight."""
        return loss_terms(self.preset, self.features.iter_features, images, self.targets)

    def weighted_terms(self, terms: Terms) -> Tensor:
        """Return the three weighted parts of the total (content, style, total variation), (3, N)."""
        return weighted_terms(self.preset, terms)

    def __call__(self, images: Tensor) -> Tensor:
        """Return the total loss of each picture, (N,)."""
        return self.weighted_terms(self.terms(images)).sum(0)
