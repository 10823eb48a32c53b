"""Transformer networks: one forward pass instead of hundreds of optimisation steps.

>>> net = TransformerNet.load("waves.safetensors").for_inference()
>>> painted = stylize(net, "photo.jpg")

The architecture is that of Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and
Super-Resolution" (2016, supplementary material), with the padding and the upsampling of pytorch/examples. Several
styles in one network: Dumoulin, Shlens and Kudlur, "A Learned Representation for Artistic Style" (2017).
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ImageError, SettingError, WeightsError, check_type, whole_number
from ..files import as_path, quoted, write_atomically
from ..images import Picture, Source, as_image
from ..images import load as load_image
from ..runtime import Precision, pick_device, pick_precision
from .layers import ConvLayer, InstanceNorm, Norm, ResidualBlock, StyleWeights, Upsample, reflect_conv_four_at_once
from .noise import position_noise

Pixels = Literal["unit", "byte"]
Noise = Literal["none", "input", "bottleneck"]
Style = int | Sequence[int] | Sequence[float] | Tensor

CHOICES: dict[str, tuple[str, ...]] = {
    "norm": get_args(Norm),
    "upsample": get_args(Upsample),
    "pixels": get_args(Pixels),
    "noise": get_args(Noise),
}
"""Settings of ``TransformerNet`` that are names, with their values."""

MINIMUM = {"styles": 1, "width": 1, "blocks": 0}
MAXIMUM = 4096
"""Settings of ``TransformerNet`` that are whole numbers: the least value of each, and the greatest of all."""

FORMAT, FORMAT_WITHOUT_CHECKSUM = "nstlib.transformer/2", "nstlib.transformer/1"
"""Names of the file formats, in the metadata of each file: the present one, and an earlier one that is still read."""

NOISE_SCALES: dict[str, tuple[int, ...]] = {"none": (), "input": (1, 4, 16), "bottleneck": (1, 2, 4, 16)}
"""Scales of the maps of noise for each value of ``noise``, in positions of the maps that they lie beside; a position of
the bottleneck is 4 pixels wide."""

MIN_SIDE = 5
"""A 9 x 9 kernel reflects 4 pixels, so a side needs 5; smaller pictures are padded to this size internally."""


class TransformerNet(nn.Module):
    """Johnson's image transformation network: pictures (N, 3, H, W) in [0, 1] to pictures of the same shape and range.

    Parameters are float32 and trainable; ``for_inference`` makes a faster copy.

    Args:
        norm: "instance", "batch" (as in Johnson's paper) or "conditional" (instance normalisation with a scale and a
            shift per style).
        styles: Number of styles that share the convolutions; more than one needs "conditional".
        width: Feature maps of the first layer; after the two strides there are 2 and 4 times as many.
        blocks: Number of residual blocks.
        upsample: "nearest" (repeat pixels, then convolve: Odena et al. 2016), "bilinear" (interpolate, then convolve:
            no steps from which a weave of four pixels could be made) or "transposed" (as in the paper; it produces
            checkerboards).
        pixels: Range of the pixels inside the network.
            "unit": the first layer receives 2x - 1, and the output is 0.5 + 0.6 tanh(y), clamped to [0, 1]. The tanh
            bounds every pixel. Its range is wider than [0, 1], like Johnson's 150 tanh, because a range of exactly
            [0, 1] reaches black and white only at infinity, which gives a grey cast. The input is only centred: the
            normalisation after the first layer removes any other scale and shift.
            "byte": [0, 255], and the output is unbounded before the clamp, as the checkpoints of pytorch/examples
            expect it.
        noise: Where maps of noise lie beside the maps that are computed from the picture, so that flat areas are
            painted with strokes and not with one tile that repeats: "none", "input" (beside the picture) or
            "bottleneck" (before the residual blocks: a sixteenth of the positions). See ``position_noise``.
        sizes: Long sides of pictures, increasing, for which each style has a scale and a shift of its own in every
            normalisation; between them both are interpolated over the logarithm of the long side. So strokes grow with
            the picture. Empty: the same for all sizes.

    Attributes:
        config: The arguments above by name, as stored in files.
        card: What is known about the training; ``save`` writes it, ``load`` reads it.

    Raises:
        SettingError: An argument has a value that does not exist or does not fit the others.
    """

    def __init__(
        self,
        norm: Norm = "instance",
        styles: int = 1,
        width: int = 32,
        blocks: int = 5,
        upsample: Upsample = "nearest",
        pixels: Pixels = "unit",
        noise: Noise = "none",
        sizes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {
            "norm": norm,
            "styles": styles,
            "width": width,
            "blocks": blocks,
            "upsample": upsample,
            "pixels": pixels,
            "noise": noise,
            "sizes": list(sizes),
        }
        _check_config(self.config)
        self.card: dict[str, Any] = {}
        self.styles = styles
        self.pixels = pixels
        self.noise = noise
        self.sizes = tuple(sizes)
        rows = styles * max(1, len(sizes))  # of scales and shifts: the sizes of the first style, of the second ...
        maps = len(NOISE_SCALES[noise])
        self.first = ConvLayer(3 + (maps if noise == "input" else 0), width, 9, norm, rows)
        self.down1 = ConvLayer(width, 2 * width, 3, norm, rows, stride=2)
        self.down2 = ConvLayer(2 * width, 4 * width, 3, norm, rows, stride=2)
        self.mix = nn.Conv2d(4 * width + maps, 4 * width, 1) if noise == "bottleneck" else None
        self.blocks = nn.ModuleList(ResidualBlock(4 * width, norm, rows) for _ in range(blocks))
        self.up1 = ConvLayer(4 * width, 2 * width, 3, norm, rows, upsample=upsample)
        self.up2 = ConvLayer(2 * width, width, 3, norm, rows, upsample=upsample)
        self.last = nn.Conv2d(width, 3, 9, padding=4, padding_mode="reflect")

    @classmethod
    def slim(cls, **settings: Any) -> TransformerNet:
        """Return a network of half the width: a quarter of the parameters, about a third of the time.

        Args:
            **settings: Arguments of ``TransformerNet``.
        """
        return cls(**{"width": 16, "blocks": 5, **settings})

    def forward(
        self, images: Tensor, style: Style = 0, size: float | Tensor | None = None, offsets: Tensor | None = None
    ) -> Tensor:
        """Return stylised pictures.

        Args:
            images: Floats (N, 3, H, W) in [0, 1]. Their range is not checked, for which each step of a training, and
                each frame of a video, would wait for the GPU; ``stylize`` checks it.
            style: An index for the whole batch, an index for each picture (N,), or weights (styles,) or (N, styles)
                that are not negative and sum to one. Weights mix scales and shifts, which mixes the styles.
            size: Long side of the whole picture in pixels, if the images are parts of it, or another one for larger or
                smaller strokes; a number or (N,). It matters for networks with several ``sizes`` only.
            offsets: Where the noise of each image begins, whole numbers (N, 2); by default all begin at zero, and the
                same picture is always painted in the same way.

        Returns:
            (N, 3, H, W), float32 in [0, 1].

        Raises:
            ImageError: The images have another shape or type.
            SettingError: The style does not exist.
        """
        check_type("the images", images, Tensor, "give a tensor (N, 3, H, W), or use stylize", ImageError)
        if images.dim() != 4 or images.shape[1] != 3 or 0 in images.shape or not images.is_floating_point():
            raise ImageError(f"images are floats (N, 3, H, W) in [0, 1], not {images.dtype} {tuple(images.shape)}.")
        style_weights = self._style_weights(style, images)
        h, w = images.shape[2:]
        if min(h, w) < MIN_SIDE:
            images = F.pad(images, (0, max(0, MIN_SIDE - w), 0, max(0, MIN_SIDE - h)), mode="replicate")
        return self.run(images, style_weights, size, offsets)[:, :, :h, :w]

    def run(
        self,
        images: Tensor,
        style_weights: StyleWeights = 0,
        size: float | Tensor | None = None,
        offsets: Tensor | None = None,
    ) -> Tensor:
        """Return stylised pictures, without the checks of ``forward``.

        Args:
            images: Floats (N, 3, H, W) in [0, 1] with H and W of at least ``MIN_SIDE``.
            style_weights: An index for the whole batch, or weights (1, styles) or (N, styles).
            size: See ``forward``.
            offsets: See ``forward``.
        """
        h, w = images.shape[2:]
        style_weights = self._row_weights(style_weights, images, size)
        x = images * 2 - 1 if self.pixels == "unit" else images * 255
        if self.noise == "input":
            x = self._with_noise(x, offsets)  # (N, 6, H, W)
        x = x.to(self.last.weight.dtype).contiguous(memory_format=torch.channels_last)
        # Each stride rounds odd sides up, so for sides that are no multiple of 4 the result has up to 3 rows and
        # columns too many at the far end; they are cut off.
        x = self.first(x, style_weights)  # (N, width, H, W)
        x = self.down1(x, style_weights)  # (N, 2 * width, H/2, W/2)
        x = self.down2(x, style_weights)  # (N, 4 * width, H/4, W/4)
        if self.mix is not None:
            x = self.mix(self._with_noise(x, offsets))  # (N, 4 * width, H/4, W/4)
        for block in self.blocks:
            x = block(x, style_weights)
        x = self.up1(x, style_weights)  # (N, 2 * width, H/2, W/2)
        x = self.up2(x, style_weights)  # (N, width, H, W)
        y = reflect_conv_four_at_once(x, self.last)  # (N, 3, H, W)
        y = y[:, :, :h, :w].float()
        y = 0.5 + 0.6 * torch.tanh(y) if self.pixels == "unit" else y / 255
        clamped = y.clamp(0, 1)
        if not y.requires_grad:
            return clamped
        # In training the clamp passes gradients unchanged; otherwise a pixel beyond white could never come back.
        return clamped.detach() + (y - y.detach())

    def _with_noise(self, x: Tensor, offsets: Tensor | None) -> Tensor:
        """Return maps (N, C, H, W) with those of the noise behind them."""
        n, _, h, w = x.shape
        noise = position_noise(h, w, NOISE_SCALES[self.noise], offsets).to(x.device, x.dtype)
        return torch.cat([x, noise.expand(n, -1, -1, -1)], 1)

    def _row_weights(self, style_weights: StyleWeights, images: Tensor, size: float | Tensor | None) -> StyleWeights:
        """Return weights of the rows of scales and shifts, (1 or N, styles * sizes), from those of the styles."""
        if len(self.sizes) < 2:
            return style_weights
        by_style = style_weights
        if isinstance(by_style, int):
            by_style = F.one_hot(torch.tensor([by_style], device=images.device), self.styles).float()  # (1, styles)
        if size is None:
            size = torch.stack([_as_tensor(side, images) for side in images.shape[2:]]).max()
        by_size = _interpolation_weights(self.sizes, torch.as_tensor(size, device=images.device).reshape(-1))
        return (by_style[:, :, None] * by_size[:, None]).flatten(1)

    def _style_weights(self, style: Style, images: Tensor) -> StyleWeights:
        """Check a style; return an index for the whole batch as it is, and all others as weights (1 or N, styles)."""
        try:
            given = torch.as_tensor(style, device=images.device)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise SettingError(f"a style is a number or weights, not {style!r:.60}; use style_weights(...).") from error
        if given.is_floating_point():
            weights = given
        else:
            if not ((given >= 0) & (given < self.styles)).all():
                raise SettingError(f"there is no style {style}; this network holds {self.styles}, counted from 0.")
            if isinstance(style, int):
                return style
            weights = F.one_hot(given.long(), self.styles).float()  # (styles,) or (N, styles)
        shapes = [(self.styles,), (1, self.styles), (len(images), self.styles)]
        if tuple(weights.shape) not in shapes:
            raise SettingError(f"style weights have one of the shapes {shapes}, not {tuple(weights.shape)}.")
        if not ((weights >= 0).all() and ((weights.sum(-1) - 1).abs() < 1e-3).all()):
            raise SettingError("style weights must not be negative and must sum to one.")
        return weights.float().reshape(-1, self.styles)

    def for_inference(self, precision: Precision = "auto", device: str | torch.device | None = None) -> TransformerNet:
        """Return a frozen, faster copy in eval mode.

        Args:
            precision: Of the convolutions; see ``runtime.pick_precision``. The rest stays float32.
            device: Where the copy goes, see ``runtime.pick_device``; by default where the network is.

        Raises:
            SettingError: The precision or the device cannot be used.
        """
        device = pick_device(device) if device is not None else self.last.weight.device
        dtype = pick_precision(precision, device)
        net = copy.deepcopy(self).eval().requires_grad_(False).to(device)
        for module in net.modules():
            if isinstance(module, InstanceNorm):
                module.outlier_threshold = None
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                module.to(dtype).to(memory_format=torch.channels_last)
        return net

    @torch.no_grad()
    def single(self, style: int) -> TransformerNet:
        """Return a network, without card, with one of the styles; its output is the same as with that style here.

        Raises:
            SettingError: The style does not exist, or the network uses batch normalisation.
        """
        if self.config["norm"] == "batch":
            raise SettingError("a network with batch normalisation has one style only; use the network as it is.")
        self._style_weights(style, self.last.weight)  # checks it
        net = TransformerNet(**{**self.config, "norm": "instance", "styles": 1})
        shapes = {name: value.shape for name, value in net.state_dict().items()}
        rows = max(1, len(self.sizes))
        state = {}
        for name, value in self.state_dict().items():
            shared = value.shape == shapes[name]
            state[name] = value if shared else value[style * rows :][:rows]  # scales and shifts: (.., C) -> (rows, C)
        net.load_state_dict(state)
        return net

    @torch.no_grad()
    def activation_sizes(self, height: int = 256, width: int = 256) -> list[tuple[str, tuple[int, int, int]]]:
        """Run the network on one empty picture and return (name, (C, H, W)) of each layer's output, in order."""
        sizes = [("input", (3, height, width))]

        def add_size(layer: nn.Module, _: object, output: Tensor) -> None:
            _, c, h, w = output.shape
            sizes.append((str(layer.name), (c, h, w)))

        net = self.for_inference("float32", "cpu")  # a copy: the statistics of a batch normalisation must not change
        for layer in (net.first, net.down1, net.down2, *net.blocks, net.up1, net.up2):
            layer.register_forward_hook(add_size)
        _, c, h, w = net(torch.zeros(1, 3, height, width)).shape
        return [*sizes, ("3 x 9 x 9 conv, stride 1", (c, h, w))]

    def save(self, path: str | Path, card: Mapping[str, Any] | None = None, half: bool = False) -> Path:
        """Write weights, configuration and card as one safetensors file, whole or not at all.

        Args:
            path: Where to write.
            card: What is known about the training; by default ``self.card``.
            half: Store float16 instead of float32.

        Returns:
            The path.

        Raises:
            FileError: The file cannot be written.
        """
        from safetensors.torch import save

        source = copy.deepcopy(self).half() if half else self
        state = {name: value.cpu().contiguous() for name, value in source.state_dict().items()}
        metadata = {
            "format": FORMAT,
            "config": json.dumps(self.config),
            "card": json.dumps(dict(self.card if card is None else card)),
        }
        metadata["sha256"] = _checksum(state, metadata)
        return write_atomically(path, save(state, metadata))

    @classmethod
    def load(cls, path: str | Path) -> TransformerNet:
        """Return the network, in float32, and its card (``net.card``) from a file that ``save`` wrote.

        Raises:
            WeightsError: The file does not exist, is damaged or was not written by ``save``.
            FileError: The path is none.
        """
        from safetensors import safe_open

        if not as_path(path, "the network's file").is_file():
            raise WeightsError(f"the network {quoted(path)} does not exist; check the path.")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except Exception as error:  # safetensors raises many types for a broken file
            raise WeightsError(f"'{path}' is damaged or no safetensors file; get a complete copy of it.") from error
        if metadata.get("format") not in (FORMAT, FORMAT_WITHOUT_CHECKSUM):
            raise WeightsError(f"'{path}' holds no transformer network of this library; use one that 'save' wrote.")
        if metadata["format"] == FORMAT and metadata.get("sha256") != _checksum(state, metadata):
            raise WeightsError(f"'{path}' is damaged; get a complete copy of it.")
        try:
            net = cls(**json.loads(metadata["config"]))
            net.card = dict(json.loads(metadata["card"]))
            net.load_state_dict(state)
        except Exception as error:  # a file that has the format's name but was not written by save()
            raise WeightsError(f"the weights in '{path}' do not fit its own description; get it again.") from error
        if not all(value.isfinite().all() for value in state.values()):
            raise WeightsError(f"'{path}' holds weights that are not finite; get a complete copy of it.")
        return net

    @classmethod
    def from_pytorch_examples(cls, state: Mapping[str, Tensor]) -> TransformerNet:
        """Return the network in a checkpoint of fast_neural_style of pytorch/examples.

        Pictures are in [0, 1] here too, although that network works in [0, 255] internally.

        Args:
            state: The checkpoint as ``torch.load`` returns it.

        Raises:
            WeightsError: The checkpoint lacks a key, has an unknown one or one of another shape, or is not finite.
        """
        try:
            blocks = len({key.split(".")[0] for key in state if key.startswith("res")})
            net = cls(width=len(state["conv1.conv2d.weight"]), blocks=blocks, pixels="byte")
            net.load_state_dict(_convert_examples_state(state, blocks))
        except Exception as error:
            raise WeightsError("this is not a complete state dict of fast_neural_style of pytorch/examples.") from error
        if not all(value.isfinite().all() for value in net.state_dict().values()):
            raise WeightsError("the checkpoint holds weights that are not finite; get a complete copy of it.")
        return net


def _as_tensor(side: int, like: Tensor) -> Tensor:
    """Return a side of a picture as a float, in a way that ONNX keeps free."""
    return torch.arange(side, device=like.device).max().float() + 1


def _interpolation_weights(sizes: Sequence[int], long_sides: Tensor) -> Tensor:
    """Return weights of ``sizes``, (N, len(sizes)), that interpolate linearly over the logarithm of long sides (N,)."""
    nodes = torch.tensor(sizes, dtype=torch.float32, device=long_sides.device).log2()
    at = long_sides.float().log2().clamp(nodes[0], nodes[-1])[:, None]  # (N, 1)
    gaps = nodes.diff()  # (len(sizes) - 1,)
    rising = torch.cat(
        [torch.ones_like(at), ((at - nodes[:-1]) / gaps).clamp(0, 1)], 1
    )  # how much each node is reached
    return rising - torch.cat([rising[:, 1:], torch.zeros_like(at)], 1)


def _checksum(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Return the SHA-256 of weights, configuration and card; safetensors files have no checksum of their own."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(f"{name} {state[name].dtype} {tuple(state[name].shape)}".encode())
        digest.update(state[name].cpu().reshape(-1).view(torch.uint8).numpy().tobytes())  # of any dtype
    digest.update(f"{metadata.get('config')} {metadata.get('card')}".encode())
    return digest.hexdigest()


@torch.no_grad()
def stylize(net: TransformerNet, image: Picture | Source, style: Style = 0) -> Tensor:
    """Return a picture stylised by a network.

    Args:
        net: The network; ``net.for_inference()`` makes a faster one.
        image: (N, 3, H, W) in [0, 1], or another picture that ``images.as_image`` or ``nstlib.load`` takes.
        style: See ``TransformerNet.forward``.

    Returns:
        (N, 3, H, W), float32 in [0, 1], of the picture's size and on its device.

    Raises:
        ImageError: The picture cannot be used.
        SettingError: The style does not exist, or the network is none.
    """
    check_network(net)
    is_file = isinstance(image, (str, os.PathLike)) or hasattr(image, "read")
    picture = load_image(cast(Source, image)) if is_file else as_image(cast(Picture, image))
    if net.training:  # batch normalisation must use the statistics that it learnt
        net = net.for_inference("float32")
    painted: Tensor = net(picture.to(net.last.weight.device), style)
    return painted.to(picture.device)


def check_network(net: object) -> None:
    """Raise SettingError if an argument that shall be a ``TransformerNet`` is something else."""
    check_type("the network", net, TransformerNet, "make one, such as load_model('waves')")


def _check_config(config: dict[str, Any]) -> None:
    """Raise SettingError for a value that cannot be used; whole numbers become ints."""
    for name, known in CHOICES.items():
        if config[name] not in known:
            raise SettingError(f"{name} {config[name]!r} is unknown; use one of {', '.join(known)}.")
    for name, least in MINIMUM.items():
        config[name] = whole_number(name, config[name], least, MAXIMUM)
    sizes = config["sizes"]
    if not all(isinstance(size, int) and size > 0 for size in sizes) or sorted(set(sizes)) != sizes:
        raise SettingError(f"sizes are {sizes!r:.60}; use whole numbers above 0 that increase.")
    if len(sizes) > 1 and config["norm"] == "batch":
        raise SettingError("norm 'batch' has one scale and shift; use norm 'instance' or 'conditional' with sizes.")
    if config["styles"] > 1 and config["norm"] != "conditional":
        raise SettingError(f"norm {config['norm']!r} holds one style, not {config['styles']}; use norm='conditional'.")


EXAMPLES_LAYERS = {
    "conv1.conv2d": "first.conv",
    "in1": "first.norm",
    "conv2.conv2d": "down1.conv",
    "in2": "down1.norm",
    "conv3.conv2d": "down2.conv",
    "in3": "down2.norm",
    "deconv1.conv2d": "up1.conv",
    "in4": "up1.norm",
    "deconv2.conv2d": "up2.conv",
    "in5": "up2.norm",
    "deconv3.conv2d": "last",
}
"""Layers of fast_neural_style in pytorch/examples, except the residual blocks, and their names here."""


def _convert_examples_state(state: Mapping[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """Return a state dict of pytorch/examples with the keys and the shapes of ``TransformerNet``."""
    layers = dict(EXAMPLES_LAYERS)
    for i in range(blocks):
        for number, ours in ((1, "first"), (2, "second")):
            layers[f"res{i + 1}.conv{number}.conv2d"] = f"blocks.{i}.{ours}.conv"
            layers[f"res{i + 1}.in{number}"] = f"blocks.{i}.{ours}.norm"
    converted = {}
    for key, value in state.items():
        layer, _, parameter = key.rpartition(".")
        if parameter in ("running_mean", "running_var"):
            continue  # in checkpoints of PyTorch 0.3; the examples' own code drops them too
        ours = layers[layer]
        is_norm = ours.endswith(".norm")
        converted[f"{ours}.{parameter}"] = value[None] if is_norm else value  # (C,) -> (styles, C) with one style
    return converted
