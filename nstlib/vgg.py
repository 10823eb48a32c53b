"""VGG features by layer name: ``VGGFeatures()(images, ["relu1_1", "relu4_2"])``.

Layers are called as the field calls them: ``conv4_2`` is the second convolution of the fourth block,
``relu4_2`` what comes out of its ReLU, ``pool4`` the pooling behind the block. Simonyan and Zisserman,
"Very Deep Convolutional Networks for Large-Scale Image Recognition" (2015), configurations D and E.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .errors import ImageError, LayerError, SettingError, WeightsError
from .runtime import pick_precision, scale

BLOCKS: dict[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions in each of the five blocks."""

PREPROCESSING: dict[str, tuple[float, tuple[float, ...], tuple[float, ...]]] = {
    # name: (factor, mean, std); the network sees (image * factor - mean) / std, RGB
    "imagenet": (1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # torchvision's weights
    "imagenet255": (255.0, (123.675, 116.28, 103.53), (1.0, 1.0, 1.0)),
    "caffe255": (255.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
    "caffe256": (256.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
}

EXACT = {True: "conv2_2", False: "conv4_1"}  # whether the network is as wide as VGG: the last exact convolution
"""Up to where a network in bfloat16 computes its values in float32. Rounding moves the sums before the ReLUs by a few
thousandths, which opens or closes about as many, and each lets all of its gradient through or none: the gradient then
points elsewhere (cosine with float32's 0.985 to 0.998, compact). Gradients themselves may be rounded (0.99999). Most of
the harm is done early, so that a float32 start suffices; narrow layers average less of it away and need more. Found
by trying with the compact network and the real VGG-19 up to conv3_4; held by tests/test_accuracy.py."""

COMPACT = "compact"
IMAGENET = "imagenet"


def default_weights() -> str:
    """ "imagenet" at the scale "gpu", else "compact": the scale alone decides, never what lies in a cache."""
    return IMAGENET if scale() == "gpu" else COMPACT


def layer_names(arch: str = "vgg19") -> list[str]:
    """All layer names of an architecture in their order: conv1_1, relu1_1, ..., pool5."""
    if arch not in BLOCKS:
        raise SettingError(f"architecture {arch!r} is unknown; use one of {', '.join(BLOCKS)}.")
    names = []
    for block, count in enumerate(BLOCKS[arch], start=1):
        for i in range(1, count + 1):
            names += [f"conv{block}_{i}", f"relu{block}_{i}"]
        names.append(f"pool{block}")
    return names


class VGGFeatures(nn.Module):
    """The convolutional part of VGG-16 or VGG-19; answers with the activations of named layers.

    arch: "vgg19" or "vgg16".
    weights: "compact" (the thin VGG-19 in this package), "imagenet" (torchvision's, fetched once and
        checked by hash), a path to a safetensors or .pth file with torchvision's key names
        (``features.0.weight`` ...), or such a dictionary. The file may hold only the first layers.
        None takes ``default_weights()``.
    pooling: "max" (as trained) or "avg" (Gatys 2015: smoother gradients).
    rescale: with "avg", multiply the output of every pooling by a constant, measured on a test picture,
        so that activations keep the size that they have with max pooling.
    precision: "auto", "float32" or "bfloat16"; see ``runtime.pick_precision``.
    preprocessing: a key of ``PREPROCESSING``. Images always come in as RGB in [0, 1].
    exact: in bfloat16, the last convolution whose values are computed in float32 all the same; None takes ``EXACT``.

    Parameters are frozen; gradients flow to the images.
    """

    def __init__(
        self,
        arch: str = "vgg19",
        weights: str | Path | Mapping[str, Tensor] | None = None,
        pooling: str = "max",
        rescale: bool = False,
        precision: str = "auto",
        device: str | torch.device = "cpu",
        preprocessing: str = "imagenet",
        exact: str | None = None,
    ) -> None:
        super().__init__()
        self.names = layer_names(arch)
        if pooling not in ("max", "avg"):
            raise SettingError(f"pooling {pooling!r} is unknown; use 'max' or 'avg'.")
        if preprocessing not in PREPROCESSING:
            raise SettingError(f"preprocessing {preprocessing!r} is unknown; use one of {', '.join(PREPROCESSING)}.")
        weights = default_weights() if weights is None else weights
        self.arch, self.pooling, self.preprocessing = arch, pooling, preprocessing
        self.source = weights if isinstance(weights, str) else "a file" if isinstance(weights, Path) else "a dictionary"
        device = torch.device(device)
        self.dtype = pick_precision(precision, device)
        factor, mean, std = PREPROCESSING[preprocessing]
        self.register_buffer("gain", factor / torch.tensor(std).view(1, 3, 1, 1))
        self.register_buffer("shift", torch.tensor(mean).view(1, 3, 1, 1) / torch.tensor(std).view(1, 3, 1, 1))
        self.convs = _convolutions(arch, load_state(arch, weights))
        self.convs.requires_grad_(False)
        self.to(device)
        self.exact = EXACT[self.convs["conv1_1"].out_channels >= 64] if exact is None else exact
        if self.exact not in self.names:
            raise LayerError(f"exact is {exact!r}; name a convolution such as 'conv2_2', or leave it out.")
        for name, conv in self.convs.items():
            conv.to(torch.float32 if self._is_exact(name) else self.dtype).to(memory_format=torch.channels_last)
        self.pool_gain = {f"pool{b}": 1.0 for b in range(1, 6)}
        if pooling == "avg" and rescale:
            self._measure_pool_gain()

    @property
    def available(self) -> list[str]:
        """The layers that the weights at hand reach, in order."""
        missing = [n for n in self.names if n.startswith("conv") and n not in self.convs]
        return self.names[: self.names.index(missing[0])] if missing else list(self.names)

    def channels(self, layer: str) -> int:
        """Number of feature maps at a layer."""
        self.check([layer])
        block = layer[4]
        last = [n for n in self.available[: self.names.index(layer) + 1] if n.startswith(f"conv{block}")][-1]
        return self.convs[last].out_channels

    def check(self, layers: Iterable[str]) -> None:
        """Raise LayerError for a name that does not exist or that the weights do not reach."""
        reach = self.available
        for name in layers:
            if name not in self.names:
                near = difflib.get_close_matches(str(name).lower(), self.names, n=1, cutoff=0.0)
                raise LayerError(f"{self.arch} has no layer {name!r}; did you mean {near[0]!r}?")
            if name not in reach:
                raise LayerError(
                    f"these weights end at {reach[-1]!r} and do not reach {name!r}; ask for an earlier layer or use "
                    "weights='compact' or 'imagenet'."
                )

    def forward(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Activations of ``layers`` for images of shape (N, 3, H, W), RGB in [0, 1].

        One pass, cut behind the deepest layer asked for. Each answer has the shape (N, C, H/2^k, W/2^k),
        k being the poolings before it, is in the precision of the network, and is never overwritten by
        a later layer. Raises LayerError for names and ImageError for shapes that cannot be used.
        """
        layers = list(dict.fromkeys(layers))
        found = dict(self.walk(images, layers))
        return {name: found[name] for name in layers}

    def walk(self, images: Tensor, layers: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
        """As ``forward``, one (name, activation) after the other in the network's order.

        A loss that is computed here and now finds the activation in the cache; and autograd, which goes backwards
        through what was done last, takes each layer's gradient when its turn comes instead of all of them first.
        """
        wanted = set(layers)
        if not wanted:
            raise LayerError("no layer was asked for; name at least one, for example 'relu4_2'.")
        self.check(wanted)
        if images.dim() != 4 or images.shape[1] != 3:
            raise ImageError(f"images have the shape (N, 3, H, W), not {tuple(images.shape)}.")
        depth = max(self.names.index(n) for n in wanted)
        least = 2 ** sum(n.startswith("pool") for n in self.names[: depth + 1])
        if min(images.shape[2:]) < least:
            raise ImageError(
                f"{self.names[depth]} needs pictures of at least {least} pixels a side, not "
                f"{images.shape[3]} x {images.shape[2]}; use a larger picture or an earlier layer."
            )
        x = images * self.gain - self.shift
        x = x.to(memory_format=torch.channels_last)
        value, x = x.detach(), x.to(self.dtype)  # value: in float32 as far as ``exact`` goes; x: as autograd sees it
        conv = None  # a convolution whose ReLU is still to come
        for name in self.names[: depth + 1]:
            kept = name in wanted
            if name.startswith("pool"):
                x, value = self._pool(x, value, name)
            elif name.startswith("conv"):
                conv = self.convs[name]
                with torch.no_grad():
                    value = conv(value.to(conv.weight.dtype))
                if kept:
                    x, conv = _Answer.apply(x, value.to(self.dtype), conv.weight.to(self.dtype), False), None
            elif conv is None:
                x, value = F.relu(x), F.relu(value)
            else:
                value = value.relu_()
                x = _Answer.apply(x, value.to(self.dtype), conv.weight.to(self.dtype), True)
            if kept:
                yield name, x

    def _is_exact(self, name: str) -> bool:
        """Whether values at a layer are float32 though the network is bfloat16."""
        return self.dtype == torch.bfloat16 and self.names.index(name) <= self.names.index(self.exact) + 1

    def _pool(self, x: Tensor, value: Tensor, name: str) -> tuple[Tensor, Tensor]:
        if self.pooling == "max":
            x = F.max_pool2d(x, 2)
            return x, F.max_pool2d(value, 2) if value.dtype != x.dtype else x.detach()
        value, gain = F.avg_pool2d(value, 2), self.pool_gain[name]
        if gain != 1.0:
            value *= gain
        return _AveragePool.apply(x, value.to(self.dtype), gain), value

    @torch.no_grad()
    def _measure_pool_gain(self) -> None:
        reach = self.available
        images = _dead_leaves().to(self.gain.device)
        for name in [n for n in reach if n.startswith("pool")]:
            before = self.names[self.names.index(name) - 1]
            x = self(images, [before])[before].float()
            average = F.avg_pool2d(x, 2).mean()
            self.pool_gain[name] = (F.max_pool2d(x, 2).mean() / average.clamp_min(1e-12)).item()

    def extra_repr(self) -> str:
        return f"{self.arch}, weights={self.source}, pooling={self.pooling}, {self.dtype}"


class _Answer(torch.autograd.Function):
    """What a convolution of x, or its ReLU, answered: the value is given, this is its gradient with respect to x.

    Values may so be more precise than gradients, and neither x nor anything else of its size is kept for the way back
    but the answer. Differentiable twice: the backward pass consists of PyTorch's own functions.
    """

    @staticmethod
    def forward(ctx, x: Tensor, value: Tensor, weight: Tensor, relu: bool) -> Tensor:  # noqa: ANN001
        ctx.save_for_backward(weight, *([value] if relu else []))
        return value.detach()

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN001
        weight, *value = ctx.saved_tensors
        if value:
            grad = torch.ops.aten.threshold_backward(grad, value[0], 0)
        return F.conv_transpose2d(grad, weight, padding=1), None, None, None


class _AveragePool(torch.autograd.Function):
    """F.avg_pool2d(x, 2) * gain as a function of x; its value is given, as above. Back goes a quarter of the gradient,
    enlarged, in a third of the time of PyTorch's own."""

    @staticmethod
    def forward(ctx, x: Tensor, value: Tensor, gain: float) -> Tensor:  # noqa: ANN001
        ctx.size, ctx.gain = x.shape[2:], gain
        return value.detach()

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN001
        grad = F.interpolate(grad * (ctx.gain / 4), scale_factor=2.0)
        odd = [a - b for a, b in zip(ctx.size, grad.shape[2:])]  # a last row or column that no pool reaches
        return F.pad(grad, (0, odd[1], 0, odd[0])) if any(odd) else grad, None, None


def _dead_leaves(size: int = 160, seed: int = 0) -> Tensor:
    """A test picture with the statistics of photos: discs of all sizes that hide each other."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    image = torch.full((3, size, size), 0.5)
    for _ in range(400):
        r = 3.0 / torch.rand(1, generator=generator).clamp_min(0.05)  # few large, many small
        cy, cx = (torch.rand(2, generator=generator) * size).tolist()
        disc = (y - cy) ** 2 + (x - cx) ** 2 < r**2
        image[:, disc] = torch.rand(3, 1, generator=generator)
    return image[None]


def _convolutions(arch: str, state: Mapping[str, Tensor]) -> nn.ModuleDict:
    convs = nn.ModuleDict()
    before = 3
    for index, name in enumerate(layer_names(arch)):
        if name.startswith("conv"):
            weight, bias = state.get(f"features.{index}.weight"), state.get(f"features.{index}.bias")
            if weight is None or bias is None:
                break  # a file may hold only the first layers
            if weight.dim() != 4 or weight.shape[1:] != (before, 3, 3) or bias.shape != weight.shape[:1]:
                raise WeightsError(
                    f"features.{index} has the shape {tuple(weight.shape)}, but {name} of {arch} needs "
                    f"(C, {before}, 3, 3); these weights belong to another network."
                )
            conv = nn.Conv2d(before, weight.shape[0], 3, padding=1)
            conv.weight.data, conv.bias.data = weight.float(), bias.float()
            convs[name], before = conv, weight.shape[0]
    if not convs:
        raise WeightsError("the weights hold no 'features.0.weight'; use torchvision's key names for a VGG.")
    return convs


def load_state(arch: str, weights: str | Path | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The state dict behind "compact", "imagenet", a path or a dictionary, with torchvision's keys."""
    if isinstance(weights, Mapping):
        return weights
    if weights == COMPACT:
        if arch != "vgg19":
            raise WeightsError(f"the compact extractor is a vgg19, not a {arch}; use weights='imagenet' for a {arch}.")
        return compact_state()[0]
    if weights == IMAGENET:
        return _fetch_imagenet(arch)
    path = Path(weights)
    if not path.is_file():
        raise WeightsError(f"weights '{path}' do not exist; use 'compact', 'imagenet' or the path of a file.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both loaders raise many types for a broken file
        raise WeightsError(
            f"'{path}' holds no weights that can be read; use safetensors or a plain state dict."
        ) from error


def _imagenet_entry(arch: str):  # noqa: ANN202 - a member of torchvision's enumeration
    from torchvision.models import VGG16_Weights, VGG19_Weights

    return {"vgg16": VGG16_Weights, "vgg19": VGG19_Weights}[arch].IMAGENET1K_V1


def _fetch_imagenet(arch: str) -> Mapping[str, Tensor]:
    try:
        return _imagenet_entry(arch).get_state_dict(progress=True, check_hash=True)
    except Exception as error:  # no network, no space, wrong hash: the way out is the same
        reason = getattr(error, "reason", error)
        raise WeightsError(
            f"the ImageNet weights of {arch} could not be fetched ({reason}); use weights='compact', which comes "
            "with the package, or try again with internet."
        ) from error


@cache
def compact_state() -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights and metadata of the compact VGG-19 that this package carries."""
    from safetensors import safe_open

    path = resources.files("nstlib.weights").joinpath("compact_vgg19.safetensors")
    with resources.as_file(path) as file, safe_open(file, framework="pt") as opened:
        # rounded to what bfloat16 can hold, so that it is the same network in both precisions
        return {k: opened.get_tensor(k).bfloat16() for k in opened.keys()}, opened.metadata() or {}  # noqa: SIM118


@torch.no_grad()
def classify(image: Tensor, weights: str | None = None, top: int = 5) -> list[tuple[str, float]]:
    """What the network says about a picture (1, 3, H, W): the ``top`` classes, each with its probability.

    "compact" knows the 202 classes that it was trained on, at 64 x 64; "imagenet" is torchvision's
    whole VGG-19 with its thousand classes, at 224 x 224.
    """
    weights = default_weights() if weights is None else weights
    if weights == COMPACT:
        state, metadata = compact_state()
        small = F.interpolate(image[:1], (64, 64), mode="bicubic", antialias=True).clamp(0, 1)
        deepest = VGGFeatures(weights=COMPACT)(small, ["relu5_4"])["relu5_4"].float().mean((2, 3))
        scores = deepest @ state["head.weight"].float().T + state["head.bias"].float()
        names = json.loads(metadata["classes"])
    elif weights == IMAGENET:
        from torchvision.models import vgg19

        entry = _imagenet_entry("vgg19")
        network = vgg19()
        network.load_state_dict(_fetch_imagenet("vgg19"))
        scores = network.eval()(entry.transforms()(image[:1]))
        names = entry.meta["categories"]
    else:
        raise WeightsError(f"only 'compact' and 'imagenet' name pictures, not {weights!r}.")
    chances, found = scores.softmax(1)[0].topk(top)
    return [(names[i], p) for i, p in zip(found.tolist(), chances.tolist())]
