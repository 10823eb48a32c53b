"""Transformer networks: one pass instead of hundreds of steps.

>>> net = TransformerNet.load("waves.safetensors").for_inference()
>>> painted = stylize(net, nstlib.load("photo.jpg"))

Architecture: Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution"
(2016, supplementary), padded and upsampled as in pytorch/examples. Instance normalisation: Ulyanov, Vedaldi and
Lempitsky (2016). Many styles in one: Dumoulin, Shlens and Kudlur, "A Learned Representation for Artistic Style" (2017).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import images as pictures
from .errors import ImageError, SettingError, WeightsError
from .runtime import pick_precision

CHOICES = {"norm": ("instance", "batch", "conditional"), "upsample": ("nearest", "transposed"),
           "pixels": ("unit", "byte")}  # fmt: skip
FORMAT = "nstlib.transformer/1"

MIN_SIDE = 5
"""A kernel of 9 reflects 4 pixels, which must be there; smaller pictures are repeated to this size inside."""

Style = int | Sequence[int] | Sequence[float] | Tensor


class InstanceNorm(nn.Module):
    """Each map of (N, C, H, W) to mean 0 and variance 1, then scale and shift: a row per style, see ``run``.

    limit: in training, how many deviations a value may lie from the mean of its map before ``excess``, the mean
        square of what is beyond, grows. Left alone, a network learns to make one huge value where nobody sees it (in
        a black corner), and sets the scale of the whole map with it: a spot (Karras and others 2020, section 2).
    """

    limit = 0.0

    def __init__(self, channels: int, styles: int = 1) -> None:
        super().__init__()
        self.excess: Tensor | None = None
        self.weight = nn.Parameter(torch.ones(styles, channels))
        self.bias = nn.Parameter(torch.zeros(styles, channels))

    def forward(self, x: Tensor, rows: int | Tensor) -> Tensor:
        # As many groups as channels is instance normalisation. PyTorch's own instance_norm copies
        # channels_last pictures twice and took 4 to 10 times as long on the CPU.
        # With gradients in float32: the CPU's bfloat16 gradient of it made a step twice as long.
        y = x.float() if x.requires_grad else x
        if isinstance(rows, int) and not self.limit:
            scale, shift = self.weight[rows].to(y.dtype), self.bias[rows].to(y.dtype)
            return F.group_norm(y, y.shape[1], scale, shift).to(x.dtype)
        if isinstance(rows, int):
            scale, shift = self.weight[rows][None].to(y.dtype), self.bias[rows][None].to(y.dtype)
        else:
            scale, shift = (rows @ self.weight).to(y.dtype), (rows @ self.bias).to(y.dtype)
        y = F.group_norm(y, y.shape[1])
        if self.limit:
            self.excess = F.relu(y.abs() - self.limit).square().mean()
        return torch.addcmul(shift[:, :, None, None], y, scale[:, :, None, None]).to(x.dtype)


class Layer(nn.Module):
    """Upsampling where asked for, reflection padding, convolution, normalisation, and a ReLU."""

    def __init__(self, before: int, after: int, kernel: int, config: Mapping, stride: int = 1, up: str = "") -> None:
        super().__init__()
        self.up = up
        self.name = f"{after} x {kernel} x {kernel} conv, stride {'1/2' if up else stride}"
        if up == "transposed":  # reflection is not possible here: the overlap is part of the operation
            self.conv = nn.ConvTranspose2d(before, after, kernel, 2, kernel // 2, output_padding=1)
        else:
            self.conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, padding_mode="reflect")
        self.norm = nn.BatchNorm2d(after) if config["norm"] == "batch" else InstanceNorm(after, config["styles"])

    def forward(self, x: Tensor, rows: int | Tensor, relu: bool = True) -> Tensor:
        if self.up == "nearest":
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = self.conv(x)
        x = self.norm(x) if isinstance(self.norm, nn.BatchNorm2d) else self.norm(x, rows)
        return F.relu_(x) if relu else x  # in place: the norm's gradient needs its input, not its output


class Residual(nn.Module):
    """x + f(x) with two 3 x 3 layers; no ReLU behind the sum (Gross and Wilber 2016, as Johnson has it)."""

    def __init__(self, channels: int, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.name = f"residual block, {channels} filters"
        self.first = Layer(channels, channels, 3, config)
        self.second = Layer(channels, channels, 3, config)

    def forward(self, x: Tensor, rows: int | Tensor) -> Tensor:
        return x + self.second(self.first(x, rows), rows, relu=False)


class TransformerNet(nn.Module):
    """Johnson's image transformation network: pictures (N, 3, H, W) in [0, 1] to the same shape and range.

    norm: "instance", "batch" (as the paper has it), or "conditional" (instance, with a row per style).
    styles: how many styles share the convolutions; more than one with "conditional" only.
    width: feature maps of the first layer; 2 and 4 times as many behind the two strides.
    blocks: residual blocks.
    upsample: "nearest" (repeat pixels, then convolve: Odena 2016) or "transposed" (the paper's; checkerboards).
    pixels: "unit" or "byte". "unit": the first layer sees 2x - 1, and 0.5 + 0.6 tanh(y) comes out, cut to
        [0, 1]. Bounded, so that no pixel can run away; wider than the range, as Johnson's 150 tanh is,
        because tanh alone reaches black and white at infinity only, which gives a grey cast. Centred,
        because the normalisation behind the first layer takes out any other scale and shift. "byte": [0, 255]
        inside and nothing bounds the output before the cut; what the published checkpoints expect.

    Parameters are float32 and can be trained; ``for_inference`` makes a faster copy.
    """

    def __init__(
        self, norm: str = "instance", styles: int = 1, width: int = 32, blocks: int = 5, upsample: str = "nearest",
        pixels: str = "unit",
    ) -> None:  # fmt: skip
        super().__init__()
        self.config: dict[str, Any] = {
            "norm": norm, "styles": styles, "width": width, "blocks": blocks, "upsample": upsample, "pixels": pixels
        }  # fmt: skip
        for name, known in CHOICES.items():
            if self.config[name] not in known:
                raise SettingError(f"{name} {self.config[name]!r} is unknown; use one of {', '.join(known)}.")
        for name, least in (("styles", 1), ("width", 1), ("blocks", 0)):
            if not isinstance(self.config[name], int) or not least <= self.config[name] <= 4096:
                raise SettingError(f"{name} is {self.config[name]!r}; use a whole number from {least} to 4096.")
        if styles > 1 and norm != "conditional":
            raise SettingError(f"norm {norm!r} holds one style, not {styles}; use norm='conditional'.")
        self.card: dict[str, Any] = {}
        self.styles, self.pixels, c = styles, pixels, self.config
        self.first = Layer(3, width, 9, c)
        self.down1 = Layer(width, 2 * width, 3, c, stride=2)
        self.down2 = Layer(2 * width, 4 * width, 3, c, stride=2)
        self.blocks = nn.ModuleList(Residual(4 * width, c) for _ in range(blocks))
        self.up1 = Layer(4 * width, 2 * width, 3, c, up=upsample)
        self.up2 = Layer(2 * width, width, 3, c, up=upsample)
        self.last = nn.Conv2d(width, 3, 9, padding=4, padding_mode="reflect")

    @classmethod
    def slim(cls, **settings: Any) -> TransformerNet:
        """A network of half the width: a quarter of the weights, about a third of the time. Settings as above."""
        return cls(**{"width": 16, "blocks": 5, **settings})

    def forward(self, images: Tensor, style: Style = 0) -> Tensor:
        """Painted pictures (N, 3, H, W), float32 in [0, 1], for pictures of the same shape and range.

        style: an index for the whole batch, an index for each picture (N,), or weights (styles,) or (N, styles)
            that are not negative and sum to one: scales and shifts are mixed, which mixes the styles.

        Raises ImageError for other shapes or types, SettingError for a style that is not there.
        """
        if images.dim() != 4 or images.shape[1] != 3 or 0 in images.shape or not images.is_floating_point():
            raise ImageError(f"images are floats (N, 3, H, W) in [0, 1], not {images.dtype} {tuple(images.shape)}.")
        rows = self._rows(style, images)
        h, w = images.shape[2:]
        if min(h, w) < MIN_SIDE:
            images = F.pad(images, (0, max(0, MIN_SIDE - w), 0, max(0, MIN_SIDE - h)), mode="replicate")
        return self.run(images, rows)[:, :, :h, :w]

    def run(self, images: Tensor, rows: int | Tensor = 0) -> Tensor:
        """``forward`` without its checks, for sides of at least 5 pixels; ``rows``: an index or weights (N, styles)."""
        h, w = images.shape[2:]
        x = images * 2 - 1 if self.pixels == "unit" else images * 255
        x = x.to(self.last.weight.dtype).contiguous(memory_format=torch.channels_last)
        # Sides that are no multiple of 4: each stride reflects what it lacks and rounds up, so that the
        # result has up to 3 rows and columns too many at the far end; they are cut off.
        x = self.down2(self.down1(self.first(x, rows), rows), rows)
        for block in self.blocks:
            x = block(x, rows)
        x = self.up2(self.up1(x, rows), rows)
        y = _four_at_once(x, self.last)[:, :, :h, :w].float()
        y = 0.5 + 0.6 * torch.tanh(y) if self.pixels == "unit" else y / 255
        cut = y.clamp(0, 1)
        # In training the cut passes gradients straight on: a pixel beyond white could never come back.
        return cut.detach() + (y - y.detach()) if y.requires_grad else cut

    def _rows(self, style: Style, images: Tensor) -> int | Tensor:
        tensor = torch.as_tensor(style, device=images.device)
        if not tensor.is_floating_point():
            if not ((tensor >= 0) & (tensor < self.styles)).all():
                raise SettingError(f"there is no style {style}; this network holds {self.styles}, counted from 0.")
            if isinstance(style, int):
                return style
            tensor = F.one_hot(tensor.long(), self.styles).float()
        shapes = [(self.styles,), (1, self.styles), (len(images), self.styles)]
        if tuple(tensor.shape) not in shapes:
            raise SettingError(f"style weights have one of the shapes {shapes}, not {tuple(tensor.shape)}.")
        if not ((tensor >= 0).all() and ((tensor.sum(-1) - 1).abs() < 1e-3).all()):
            raise SettingError("style weights must not be negative and must sum to one.")
        return tensor.float().reshape(-1, self.styles)

    def for_inference(self, precision: str = "auto", device: str | torch.device | None = None) -> TransformerNet:
        """A frozen, faster copy in eval mode: channels_last, and convolutions as ``pick_precision`` says."""
        device = torch.device(device) if device is not None else self.last.weight.device
        dtype = pick_precision(precision, device)
        net = copy.deepcopy(self).eval().requires_grad_(False).to(device)
        for module in net.modules():
            if isinstance(module, InstanceNorm):
                module.limit = 0.0
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                module.to(dtype).to(memory_format=torch.channels_last)
        return net

    @torch.no_grad()
    def single(self, style: int) -> TransformerNet:
        """A network of one style out of a conditional one: the same answers with that row alone."""
        self._rows(style, self.last.weight)
        net = TransformerNet(**{**self.config, "norm": "instance", "styles": 1})
        own = net.state_dict()
        net.load_state_dict({k: v if v.shape == own[k].shape else v[style][None] for k, v in self.state_dict().items()})
        return net

    @torch.no_grad()
    def activation_sizes(self, height: int = 256, width: int = 256) -> list[tuple[str, tuple[int, int, int]]]:
        """What each layer gives for one picture: (name, (C, H, W)) in order, as in the papers' table."""
        net = self.for_inference("float32", "cpu")  # a copy: statistics of a batch norm stay as they are
        layers = [net.first, net.down1, net.down2, *net.blocks, net.up1, net.up2]
        sizes = [(3, height, width)]
        for layer in layers:
            layer.register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape[1:])))
        sizes.append(tuple(net(torch.zeros(1, 3, height, width)).shape[1:]))
        return list(zip(["input", *(layer.name for layer in layers), "3 x 9 x 9 conv, stride 1"], sizes))

    def save(self, path: str | Path, card: Mapping[str, Any] | None = None, half: bool = False) -> Path:
        """Write weights, configuration and card as one safetensors file, whole or not at all; ``half``: float16."""
        from safetensors.torch import save

        source = copy.deepcopy(self).half() if half else self
        state = {name: value.cpu().contiguous() for name, value in source.state_dict().items()}
        card = json.dumps(dict(self.card if card is None else card))
        data = save(state, {"format": FORMAT, "config": json.dumps(self.config), "card": card})
        try:
            pictures.write_atomically(Path(path), data)
        except ImageError as error:
            raise WeightsError(str(error)) from error
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> TransformerNet:
        """The network of a file that ``save`` wrote, in float32, its card as ``net.card``; else WeightsError."""
        from safetensors import safe_open

        if not Path(path).is_file():
            raise WeightsError(f"the network '{path}' does not exist; check the path.")
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except Exception as error:  # the reader raises many types for a broken file
            raise WeightsError(f"'{path}' is damaged or no safetensors file; get a complete copy of it.") from error
        if metadata.get("format") != FORMAT:
            raise WeightsError(f"'{path}' holds no transformer network of this library; use one that 'save' wrote.")
        try:
            net = cls(**json.loads(metadata["config"]))
            net.card = dict(json.loads(metadata["card"]))
            net.load_state_dict(state)
        except Exception as error:  # whoever wrote it did not write it with save()
            raise WeightsError(f"the weights in '{path}' do not fit its own description; get it again.") from error
        return net

    @classmethod
    def from_pytorch_examples(cls, state: Mapping[str, Tensor]) -> TransformerNet:
        """The network in a checkpoint of pytorch/examples' fast_neural_style, as ``torch.load`` reads it.

        Pictures go in and come out in [0, 1] here too; inside, that network works in [0, 255]. Running
        statistics in old checkpoints are dropped, as the examples' own code does.
        """
        try:  # a missing, unknown or misshapen key: all mean the same to the reader
            state = {k: v for k, v in state.items() if not k.endswith(("running_mean", "running_var"))}
            blocks = len({key.split(".")[0] for key in state if key.startswith("res")})
            keys = _examples_keys(blocks)
            net = cls(width=len(state["conv1.conv2d.weight"]), blocks=blocks, pixels="byte")
            # their norms are vectors, ours have a row per style
            net.load_state_dict({keys[k]: v[None] if ".norm." in keys[k] else v for k, v in state.items()})
        except Exception as error:
            raise WeightsError("this is no whole state dict of pytorch/examples' fast_neural_style.") from error
        return net


def _examples_keys(blocks: int) -> dict[str, str]:
    """Key in a checkpoint of pytorch/examples -> key in ours."""
    names = {"deconv3.conv2d": "last"}
    stages = ("first", "down1", "down2", "up1", "up2")
    for i, (conv, ours) in enumerate(zip(("conv1", "conv2", "conv3", "deconv1", "deconv2"), stages), start=1):
        names |= {f"{conv}.conv2d": f"{ours}.conv", f"in{i}": f"{ours}.norm"}
    for i in range(blocks):
        for number, ours in ((1, "first"), (2, "second")):
            names[f"res{i + 1}.conv{number}.conv2d"] = f"blocks.{i}.{ours}.conv"
            names[f"res{i + 1}.in{number}"] = f"blocks.{i}.{ours}.norm"
    return {f"{theirs}.{kind}": f"{ours}.{kind}" for theirs, ours in names.items() for kind in ("weight", "bias")}


def _four_at_once(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """A convolution with reflection padding for even sides: the same sums, arranged for speed.

    Three output channels leave most of a vector unit idle. So the kernel is laid into a larger one at four
    offsets, one for each pixel of a 2 x 2 square, and moves two pixels a step.
    """
    pad = conv.kernel_size[0] // 2
    kernels = [F.pad(conv.weight, (dx, 1 - dx, dy, 1 - dy)) for dy in (0, 1) for dx in (0, 1)]
    weight = torch.stack(kernels, 1).flatten(0, 1)
    y = F.conv2d(F.pad(x, (pad,) * 4, mode="reflect"), weight, conv.bias.repeat_interleave(4), stride=2)
    return F.pixel_shuffle(y, 2)


@torch.no_grad()
def stylize(net: TransformerNet, image: Tensor | pictures.Source, style: Style = 0) -> Tensor:
    """A picture painted by a network: (N, 3, H, W), float32 in [0, 1], of the picture's size.

    image: a tensor (N, 3, H, W) in [0, 1], or what ``nstlib.load`` takes. style: see ``TransformerNet.forward``.
    """
    image = image if isinstance(image, Tensor) else pictures.load(image)
    net = net.for_inference("float32") if net.training else net  # a batch norm must use what it learnt
    return net(image.to(net.last.weight.device), style).to(image.device)
