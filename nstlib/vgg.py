"""VGG features by layer name: ``VGGFeatures()(images, ["relu1_1", "relu4_2"])``.

Layer names are explained in ``architecture``. ``VGGFeatures`` runs the layers on the fast path (``fast``) or, with
``fast=False``, as the plain loop in ``_iter_plain``; both return the same activations and gradients, up to rounding.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import fast as fast_path
from .architecture import WIDTHS, layer_names
from .errors import ImageError, LayerError, SettingError, WeightsError, did_you_mean
from .pretrained import StateDict, Weights, default_weights, load_state
from .runtime import Precision, pick_precision

Pooling = Literal["max", "avg"]
Preprocessing = Literal["imagenet", "imagenet255", "caffe255", "caffe256"]


class Normalization(NamedTuple):
    """What a network receives for an image, RGB in [0, 1]: (image * factor - mean) / std."""

    factor: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


PREPROCESSING: dict[str, Normalization] = {
    "imagenet": Normalization(1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # torchvision's weights
    "imagenet255": Normalization(255.0, (123.675, 116.28, 103.53), (1.0, 1.0, 1.0)),
    "caffe255": Normalization(255.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
    "caffe256": Normalization(256.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
}

FLOAT32_UNTIL = {"wide": "conv2_2", "narrow": "conv4_1"}
"""The last convolution whose values a network in bfloat16 computes in float32: for VGG's widths, and for narrower ones.

Rounding moves the sums before the ReLUs by a few thousandths, which opens or closes about as many ReLUs, and each
passes all of its gradient or none: the gradient then points elsewhere (cosine with float32's 0.985 to 0.998, compact
network). Gradients themselves may be rounded (0.99999). Most of the error arises early, so float32 in the first layers
suffices; narrow layers average less of it away and need more of them. Found by trying with the compact network and the
real VGG-19 up to conv3_4; held by tests/test_accuracy.py.
"""


class VGGFeatures(nn.Module):
    """The convolutional part of VGG-16 or VGG-19; returns the activations of named layers.

    Parameters are frozen; gradients flow to the images.

    Args:
        arch: "vgg19" or "vgg16".
        weights: "compact" (the narrow VGG-19 in this package), "imagenet" (torchvision's, downloaded once and checked
            by hash), the path of a safetensors or .pth file with torchvision's keys (``features.0.weight`` ...), or
            such a state dict. The file may end after any layer. None takes ``default_weights()``.
        pooling: "max" (as trained) or "avg" (Gatys 2015: smoother gradients).
        rescale: With "avg", multiply the output of each pooling by a constant, measured on a test picture, so that
            activations keep the size that they have with max pooling.
        precision: "auto", "float32" or "bfloat16"; see ``runtime.pick_precision``.
        device: Where the network runs.
        preprocessing: A key of ``PREPROCESSING``. Images are always passed as RGB in [0, 1].
        float32_until: In bfloat16, the last convolution whose values are computed in float32; None takes
            ``FLOAT32_UNTIL``.
        fast: Whether to run the fast path; see ``fast``.

    Attributes:
        weights_name: "compact", "imagenet", the name of the file, or "a dictionary".
        names: All layer names of the architecture, in order.
        convs: The convolutions by layer name.
        pool_gain: Factor of each average pooling; 1 without ``rescale``.
        dtype: Precision of the activations that are returned.

    Raises:
        SettingError: A choice is unknown.
        LayerError: ``float32_until`` is not a convolution.
        WeightsError: The weights do not exist or do not fit.
    """

    input_scale: Tensor
    input_offset: Tensor

    def __init__(
        self,
        arch: str = "vgg19",
        weights: Weights | None = None,
        pooling: Pooling = "max",
        rescale: bool = False,
        precision: Precision = "auto",
        device: str | torch.device = "cpu",
        preprocessing: Preprocessing = "imagenet",
        float32_until: str | None = None,
        fast: bool = True,
    ) -> None:
        super().__init__()
        self.names = layer_names(arch)
        if pooling not in ("max", "avg"):
            raise SettingError(f"pooling {pooling!r} is unknown; use 'max' or 'avg'.")
        if preprocessing not in PREPROCESSING:
            raise SettingError(f"preprocessing {preprocessing!r} is unknown; use one of {', '.join(PREPROCESSING)}.")
        weights = default_weights() if weights is None else weights
        self.arch, self.pooling, self.rescale = arch, pooling, rescale
        self.preprocessing, self.fast = preprocessing, fast
        self.weights_name = _name_of(weights)
        device = torch.device(device)
        self.dtype = pick_precision(precision, device)
        factor, mean, std = PREPROCESSING[preprocessing]
        self.register_buffer("input_scale", factor / torch.tensor(std).view(1, 3, 1, 1))
        self.register_buffer("input_offset", torch.tensor(mean).view(1, 3, 1, 1) / torch.tensor(std).view(1, 3, 1, 1))
        self.convs = _convolutions(arch, load_state(arch, weights))
        self.convs.requires_grad_(False)
        self.to(device)
        self.float32_until = self._check_float32_until(float32_until)
        for name, conv in self.convs.items():
            in_float32 = self.dtype == torch.float32 or self._index(name) <= self._index(self.float32_until)
            conv.to(torch.float32 if in_float32 else self.dtype).to(memory_format=torch.channels_last)
        self.pool_gain = {f"pool{block}": 1.0 for block in range(1, 6)}
        if pooling == "avg" and rescale:
            self._measure_pool_gain()

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self.input_scale.device

    @property
    def available(self) -> list[str]:
        """The layers that the weights reach, in order."""
        missing = [n for n in self.names if n.startswith("conv") and n not in self.convs]
        return self.names[: self._index(missing[0])] if missing else list(self.names)

    def channels(self, layer: str) -> int:
        """Return the number of feature maps of a layer."""
        self.check([layer])
        block = layer[4]
        convs = [n for n in self.available[: self._index(layer) + 1] if n.startswith(f"conv{block}")]
        return self._conv(convs[-1]).out_channels

    def check(self, layers: Iterable[str]) -> None:
        """Raise LayerError for a name that does not exist or that the weights do not reach."""
        available = self.available
        for name in layers:
            if name not in self.names:
                raise LayerError(f"{self.arch} has no layer {name!r}; {did_you_mean(name, self.names)}".rstrip())
            if name not in available:
                raise LayerError(
                    f"these weights end at {available[-1]!r} and do not reach {name!r}; ask for an earlier layer or "
                    "use weights='compact' or 'imagenet'."
                )

    def forward(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return the activations of ``layers``, computed in one pass that ends at the deepest of them.

        Args:
            images: (N, 3, H, W), RGB in [0, 1].
            layers: Layer names, in any order.

        Returns:
            Activations by layer, in the order asked for: (N, C, H/2^k, W/2^k) with k poolings before the layer, in
            the precision of the network. Later layers do not modify them in place.

        Raises:
            LayerError: A name is unknown or not available.
            ImageError: The shape cannot be used.
        """
        layers = list(dict.fromkeys(layers))
        found = dict(self.iter_features(images, layers))
        return {name: found[name] for name in layers}

    def iter_features(self, images: Tensor, layers: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield (name, activation) in the network's order; arguments and errors as in ``forward``.

        A loss that is computed at once finds the activation in the cache. And the backward pass, which runs in the
        opposite order, then computes each layer's gradient when it reaches the layer, not all of them at its start.
        """
        wanted = set(layers)
        names = self._names_until_deepest(wanted)
        self._check_images(images, names)
        pixels = (images * self.input_scale - self.input_offset).to(memory_format=torch.channels_last)
        if not self.fast:
            return self._iter_plain(pixels, names, wanted)
        pool_gain = self.pool_gain if self.pooling == "avg" else None
        convs = {name: self._conv(name) for name in names if name.startswith("conv")}
        return fast_path.iter_features(pixels, names, wanted, convs, pool_gain, self.dtype)

    def _iter_plain(self, x: Tensor, names: Iterable[str], wanted: Collection[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield the same from a straightforward forward pass; the fast path is tested against it."""
        for name in names:
            if name.startswith("conv"):
                conv = self._conv(name)
                x = conv(x.to(conv.weight.dtype))  # (N, C, H, W)
            elif name.startswith("relu"):
                x = F.relu(x)
            elif self.pooling == "max":
                x = F.max_pool2d(x, 2)  # (N, C, H/2, W/2)
            else:
                x = F.avg_pool2d(x, 2) * self.pool_gain[name]
            if name in wanted:
                yield name, x.to(self.dtype)

    def _conv(self, name: str) -> nn.Conv2d:
        conv = self.convs[name]
        assert isinstance(conv, nn.Conv2d)
        return conv

    def _index(self, name: str) -> int:
        return self.names.index(name)

    def _names_until_deepest(self, wanted: Collection[str]) -> list[str]:
        if not wanted:
            raise LayerError("no layer was asked for; name at least one, for example 'relu4_2'.")
        self.check(wanted)
        return self.names[: max(self._index(n) for n in wanted) + 1]

    def _check_images(self, images: Tensor, names: list[str]) -> None:
        if images.dim() != 4 or images.shape[1] != 3:
            raise ImageError(f"images have the shape (N, 3, H, W), not {tuple(images.shape)}.")
        min_side = 2 ** sum(n.startswith("pool") for n in names)
        if min(images.shape[2:]) < min_side:
            raise ImageError(
                f"{names[-1]} needs pictures of at least {min_side} pixels a side, not "
                f"{images.shape[3]} x {images.shape[2]}; use a larger picture or an earlier layer."
            )

    def _check_float32_until(self, name: str | None) -> str:
        if name is None:
            return FLOAT32_UNTIL["wide" if self.channels("conv1_1") >= WIDTHS[0] else "narrow"]
        if name not in self.names or not name.startswith("conv"):
            raise LayerError(f"float32_until is {name!r}; name a convolution such as 'conv2_2', or leave it out.")
        return name

    @torch.no_grad()
    def _measure_pool_gain(self) -> None:
        """Set each pooling's gain to the ratio of mean activations, max over average pooling."""
        images = _dead_leaves().to(self.device)
        for pool in [n for n in self.available if n.startswith("pool")]:
            before = self.names[self._index(pool) - 1]
            x = self(images, [before])[before].float()
            average = F.avg_pool2d(x, 2).mean()
            self.pool_gain[pool] = (F.max_pool2d(x, 2).mean() / average.clamp_min(1e-12)).item()

    def extra_repr(self) -> str:
        """Return what ``print`` shows besides the convolutions."""
        return f"{self.arch}, weights={self.weights_name}, pooling={self.pooling}, {self.dtype}"


def _name_of(weights: Weights) -> str:
    return Path(weights).name if isinstance(weights, str | Path) else "a dictionary"


def _dead_leaves(size: int = 160, seed: int = 0) -> Tensor:
    """Return a test picture with the statistics of photos, (1, 3, size, size): discs of all sizes that overlap."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    image = torch.full((3, size, size), 0.5)
    for _ in range(400):
        radius = 3.0 / torch.rand(1, generator=generator).clamp_min(0.05)  # few large, many small
        cy, cx = (torch.rand(2, generator=generator) * size).tolist()
        disc = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
        image[:, disc] = torch.rand(3, 1, generator=generator)
    return image[None]


def _convolutions(arch: str, state: StateDict) -> nn.ModuleDict:
    """Return the convolutions by layer name, as far as the weights reach."""
    convs = nn.ModuleDict()
    in_channels = 3
    for index, name in enumerate(layer_names(arch)):
        if not name.startswith("conv"):
            continue
        weight, bias = state.get(f"features.{index}.weight"), state.get(f"features.{index}.bias")
        if weight is None or bias is None:
            break  # a file may end after any layer
        if weight.dim() != 4 or weight.shape[1:] != (in_channels, 3, 3) or bias.shape != weight.shape[:1]:
            raise WeightsError(
                f"features.{index} has the shape {tuple(weight.shape)}, but {name} of {arch} needs "
                f"(C, {in_channels}, 3, 3); these weights belong to another network."
            )
        conv = nn.Conv2d(in_channels, weight.shape[0], 3, padding=1)
        conv.weight.data, conv.bias.data = weight.float(), bias.float()  # type: ignore[union-attr]
        convs[name], in_channels = conv, weight.shape[0]
    if not convs:
        raise WeightsError("the weights have no 'features.0.weight'; use torchvision's key names for a VGG.")
    return convs
