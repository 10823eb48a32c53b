"""VGG features by layer name: ``VGGFeatures()(images, ["relu1_1", "relu4_2"])``.

Layer names are explained in ``architecture``. ``VGGFeatures`` runs the layers on the fast path (``fast``) or, with
``fast=False``, as the plain loop in ``_iter_plain``; both return the same activations and gradients, up to rounding.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import fast as fast_path
from .architecture import BLOCKS, WIDTHS, as_names, layer_names
from .errors import ImageError, LayerError, SettingError, WeightsError, check_type, did_you_mean
from .images import Picture, as_image
from .pretrained import COMPACT, IMAGENET, StateDict, Weights, default_weights, load_state
from .runtime import Precision, holds_values, pick_device, pick_precision

Pooling = Literal["max", "avg"]
Preprocessing = Literal["imagenet", "imagenet255", "caffe255"]
ChannelOrder = Literal["rgb", "bgr"]


class Normalization(NamedTuple):
    """What a network receives for an image, RGB in [0, 1]: (image * factor - mean) / std."""

    factor: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


PREPROCESSING: dict[str, Normalization] = {
    "imagenet": Normalization(1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # torchvision's weights
    "imagenet255": Normalization(255.0, (123.675, 116.28, 103.53), (1.0, 1.0, 1.0)),
    "caffe255": Normalization(255.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
}

CHOICES: dict[str, tuple[str, ...]] = {
    "pooling": get_args(Pooling),
    "preprocessing": get_args(Preprocessing),
    "channel_order": get_args(ChannelOrder),
}
"""Settings of ``VGGFeatures`` that are names, with their values."""

FLOAT32_UNTIL = {"wide": "conv2_2", "narrow": "conv4_1"}
"""With average pooling, the last convolution whose values a network in bfloat16 computes in float32: for VGG's widths,
and for narrower ones. With max pooling it is the last one before pool4.

Rounding moves the sums before the ReLUs by a few thousandths, which opens or closes about as many ReLUs, and each
passes all of its gradient or none: the gradient then points elsewhere (cosine with float32's 0.985 to 0.998, compact
network). Gradients themselves may be rounded (0.99999). Most of the error arises early, so float32 in the first layers
suffices; narrow layers average less of it away and need more of them. Max pooling adds a decision of the same kind,
which of four values is the largest, and needs float32 wherever a pooling follows. Found by trying with the compact
network, random weights of full width, and the real VGG-19 up to conv3_4; held by tests/test_accuracy.py.
"""

LARGEST_PIXEL = 10.0
"""A picture with a larger value is not in [0, 1] but in [0, 255]; an optimizer leaves [0, 1] by less."""


class VGGFeatures(nn.Module):
    """The convolutional part of VGG-16 or VGG-19; returns the activations of named layers.

    Parameters are frozen; gradients flow to the images. Where a convolution has hooks or a parameter that requires a
    gradient, the plain loop runs in place of the fast path, so that both work as in any module. ``.to``, ``.half()``
    and ``.double()`` change ``dtype``; in a precision of 16 bits, convolutions up to ``float32_until`` stay float32.

    Args:
        arch: "vgg19" or "vgg16".
        weights: "compact" (the narrow VGG-19 in this package), "imagenet" (torchvision's, downloaded once and checked
            by hash), the path of a safetensors or .pth file with torchvision's keys (``features.0.weight`` ...), or
            such a state dict; what ``state_dict()`` of a ``VGGFeatures`` returns; or a network with such a state dict,
            for example torchvision's. It may end after any layer. None takes ``default_weights()``.
        pooling: "max" (as trained) or "avg" (Gatys 2015: smoother gradients).
        rescale: With "avg", multiply the output of each pooling by a constant, measured on a test picture, so that
            activations keep the size that they have with max pooling.
        precision: "auto", "float32" or "bfloat16"; see ``runtime.pick_precision``.
        device: Where the network runs; see ``runtime.pick_device``.
        preprocessing: A key of ``PREPROCESSING``. Images are always passed as RGB in [0, 1].
        float32_until: In bfloat16, the last convolution whose values are computed in float32; None takes
            what keeps the gradient right, see ``FLOAT32_UNTIL``.
        fast: Whether to run the fast path; see ``fast``. Inside ``torch.func.vmap`` and ``jvp``, for which it has no
            rules, the plain loop runs in its place.
        channel_order: "bgr" for weights that expect BGR, such as the files of neural-style-pt, which come from Caffe
            and have the same keys as torchvision's; they also need preprocessing "caffe255". The input channels of the
            first convolution are reversed on loading, so ``state_dict()`` holds weights for RGB. "compact", "imagenet"
            and what a ``VGGFeatures`` has saved are for RGB, and "bgr" is refused for them.

    Attributes:
        weights_name: "compact", "imagenet", the name of the file, or "a dictionary".
        names: All layer names of the architecture, in order.
        convs: The convolutions by layer name.
        pool_gain: Factor of each average pooling; 1 without ``rescale``.
        dtype: Precision of the activations that are returned.

    Raises:
        SettingError: A choice is unknown or does not fit the weights, or the device cannot be used.
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
        channel_order: ChannelOrder = "rgb",
    ) -> None:
        super().__init__()
        self.names = layer_names(arch)
        choices = {"pooling": pooling, "preprocessing": preprocessing, "channel_order": channel_order}
        for name, known in CHOICES.items():
            if choices[name] not in known:
                raise SettingError(f"{name} {choices[name]!r:.60} is unknown; use one of {', '.join(known)}.")
        weights = default_weights() if weights is None else weights
        self.arch, self.pooling, self.rescale = arch, pooling, rescale
        self.preprocessing, self.fast = preprocessing, fast
        self.weights_name = _name_of(weights)
        device = pick_device(device)
        factor, mean, std = PREPROCESSING[preprocessing]
        scale = factor / torch.tensor(std).view(1, 3, 1, 1)
        offset = torch.tensor(mean).view(1, 3, 1, 1) / torch.tensor(std).view(1, 3, 1, 1)
        self.register_buffer("input_scale", scale, persistent=False)
        self.register_buffer("input_offset", offset, persistent=False)
        state = load_state(arch, weights)
        if channel_order == "bgr" and (weights in (COMPACT, IMAGENET) or "convs.conv1_1.weight" in state):
            raise SettingError("these weights are for RGB already; leave out channel_order='bgr'.")
        self.convs = _convolutions(arch, state, channel_order)
        self.convs.requires_grad_(False)
        self.float32_until = self._check_float32_until(float32_until)
        self.dtype = torch.float32
        self.to(device, pick_precision(precision, device))
        self.pool_gain = {f"pool{block}": 1.0 for block in range(1, 6)}
        if pooling == "avg" and rescale:
            self._measure_pool_gain()

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self.input_scale.device

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> VGGFeatures:
        """Move or convert the network: ``.to``, ``.half()``, ``.cuda()`` ... end here, with a function of tensors."""
        self.dtype = fn(torch.empty(0, dtype=self.dtype, device=self.device)).dtype
        super()._apply(lambda tensor: tensor.to(fn(tensor).device), recurse)  # type: ignore[no-untyped-call]
        at_least_float32 = torch.promote_types(self.dtype, torch.float32)
        self.input_scale = self.input_scale.to(at_least_float32)
        self.input_offset = self.input_offset.to(at_least_float32)
        for name, conv in self.convs.items():
            early = self._index(name) <= self._index(self.float32_until)
            conv.to(at_least_float32 if early else self.dtype).to(memory_format=torch.channels_last)
        return self

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

    def check(self, layers: str | Iterable[str]) -> None:
        """Raise LayerError for a name that does not exist or that the weights do not reach."""
        available = self.available
        for name in as_names(layers):
            if name not in self.names:
                raise LayerError(f"{self.arch} has no layer {name!r}; {did_you_mean(name, self.names)}".rstrip())
            if name not in available:
                raise LayerError(
                    f"these weights end at {available[-1]!r} and do not reach {name!r}; ask for an earlier layer or "
                    "use weights='compact' or 'imagenet'."
                )

    def forward(self, images: Picture, layers: str | Iterable[str]) -> dict[str, Tensor]:
        """Return the activations of ``layers``, computed in one pass that ends at the deepest of them.

        Args:
            images: (N, 3, H, W), RGB in [0, 1], on the network's device; or a picture that ``images.as_image`` takes.
                What an optimizer has moved may leave the range.
            layers: Layer names, in any order, or one name.

        Returns:
            Activations by layer, in the order asked for: (N, C, H/2^k, W/2^k) with k poolings before the layer, in
            the precision of the network. Later layers do not modify them in place.

        Raises:
            LayerError: A name is unknown or not available.
            ImageError: The images have another shape, type or device, are not finite, or are plainly not in [0, 1].
        """
        if not isinstance(images, Tensor) or images.layout != torch.strided:  # as_image refuses other layouts
            images = as_image(images).to(self.device)
        layers = as_names(layers)
        if leaves_range(images):
            raise ImageError(
                "the images hold values that are not finite or above 10; bring them into [0, 1], from "
                "0..255 divide by 255."
            )
        found = dict(self.iter_features(images, layers))
        return {name: found[name] for name in layers}

    def iter_features(self, images: Tensor, layers: str | Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield (name, activation) in the network's order; as ``forward``, but the range of pixels is not checked.

        A loss that is computed at once finds the activation in the cache. And the backward pass, which runs in the
        opposite order, then computes each layer's gradient when it reaches the layer, not all of them at its start.
        """
        wanted = set(as_names(layers))
        names = self._names_until_deepest(wanted)
        self._check_images(images, names)
        pixels = images * self.input_scale - self.input_offset
        if not self.fast or self._needs_plain_loop() or fast_path.is_transformed(images):
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

    def _needs_plain_loop(self) -> bool:
        """Return whether a convolution is watched by hooks or is trained, for which the fast path has no place."""
        return any(
            conv._forward_hooks
            or conv._forward_pre_hooks
            or conv._backward_hooks
            or conv._backward_pre_hooks
            or any(p.requires_grad for p in conv.parameters(recurse=False))
            for conv in self.convs.values()
        )

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
        if images.dim() != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ImageError(f"images are floats (N, 3, H, W) in [0, 1], not {images.dtype} {tuple(images.shape)}.")
        if images.device != self.device:
            raise ImageError(f"the images are on {images.device}, the network on {self.device}; use images.to(...).")
        min_side = 2 ** sum(n.startswith("pool") for n in names)
        if min(images.shape[2:]) < min_side:
            raise ImageError(
                f"{names[-1]} needs pictures of at least {min_side} pixels a side, not "
                f"{images.shape[3]} x {images.shape[2]}; use a larger picture or an earlier layer."
            )

    def _check_float32_until(self, name: str | None) -> str:
        if name is None:
            if self.pooling == "max":
                return [n for n in self.names if n.startswith("conv4")][-1]
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


def check_features(features: object) -> None:
    """Raise SettingError if an argument that shall be a ``VGGFeatures`` is something else."""
    check_type("features", features, VGGFeatures, "make a network, such as VGGFeatures('vgg19')")


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


def leaves_range(images: Tensor) -> bool:
    """Return whether images are plainly not in [0, 1]: whether a value is NaN or beyond ``LARGEST_PIXEL``."""
    with contextlib.suppress(RuntimeError):  # there are no values, or none that can be read, as in torch.func.vmap
        return not torch.compiler.is_compiling() and not images.detach().abs().max() <= LARGEST_PIXEL
    return False


def _convolutions(arch: str, state: StateDict, channel_order: ChannelOrder) -> nn.ModuleDict:
    """Return the convolutions by layer name, as far as the weights reach."""
    convs = nn.ModuleDict()
    in_channels = 3
    for name, key in _keys_of(arch, state).items():
        weight, bias = state[f"{key}.weight"], state[f"{key}.bias"]
        if weight.dim() != 4 or weight.shape[1:] != (in_channels, 3, 3) or bias.shape != weight.shape[:1]:
            raise WeightsError(
                f"{key} has the shape {tuple(weight.shape)}, but {name} of {arch} needs "
                f"(C, {in_channels}, 3, 3); these weights belong to another network."
            )
        for values in (weight, bias):
            if not holds_values(values) or not values.isfinite().all():
                raise WeightsError(f"the weights of {name} are not finite numbers; get a complete copy of them.")
        conv = nn.Conv2d(in_channels, weight.shape[0], 3, padding=1)
        if name == "conv1_1" and channel_order == "bgr":
            weight = weight.flip(1)
        conv.weight.data, conv.bias.data = weight.float().clone(), bias.float().clone()  # type: ignore[union-attr]
        convs[name], in_channels = conv, weight.shape[0]
    return convs


def _keys_of(arch: str, state: StateDict) -> dict[str, str]:
    """Return the key of each convolution in a state dict, without ".weight", as far as the weights reach.

    Which layers have weights tells VGG-16 from VGG-19, unless the weights end before conv3_4.
    """
    tensors = [str(key) for key, value in state.items() if isinstance(value, Tensor)]
    prefix = "convs." if any(key.startswith("convs.") for key in tensors) else "features."
    found = {key.removesuffix(".bias") for key in tensors if key.startswith(prefix) and key.endswith(".bias")}
    if not found:
        raise WeightsError("the weights have no 'features.0.weight'; use torchvision's key names for a VGG.")
    fitting = {}
    for known in BLOCKS:
        convs = [(index, name) for index, name in enumerate(layer_names(known)) if name.startswith("conv")]
        keys = {name: f"{prefix}{name if prefix == 'convs.' else index}" for index, name in convs[: len(found)]}
        if found == set(keys.values()) and all(f"{key}.weight" in tensors for key in found):
            fitting[known] = keys
    if arch not in fitting:
        owner = f"a {next(iter(fitting))}" if fitting else "another network"
        raise WeightsError(f"these weights are of {owner}, not of a {arch}; choose the arch that they belong to.")
    return fitting[arch]
