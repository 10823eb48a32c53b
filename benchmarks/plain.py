"""Style transfer as it is taught: the plain baseline of the benchmark.

VGG-19 is one ``nn.Sequential`` with content and style loss layers after the layers that they measure, cut after the
last of them. It computes in float32, on tensors in PyTorch's default memory format (NCHW), with PyTorch's L-BFGS and a
clamp in its closure. This is the form of the code in the public tutorials. Layers, pooling and losses are those of the
preset ``course``, so the baseline and the library compute the same loss and can be compared at equal loss. Where
tutorials differ, the baseline takes the faster way: weights are frozen, targets are computed once, the network is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from nstlib import get_preset, layer_names
from nstlib.vgg import PREPROCESSING


def gram(x: Tensor) -> Tensor:
    """Return the Gram matrix (C, C) of activations (1, C, H, W), divided by H*W."""
    n, c, h, w = x.shape
    features = x.view(c, h * w)
    return torch.mm(features, features.t()) / (h * w)


def batch_gram(x: Tensor) -> Tensor:
    """Return the Gram matrices (N, C, C) of activations (N, C, H, W), divided by H*W."""
    n, c, h, w = x.shape
    features = x.view(n, c, h * w)
    return features.bmm(features.transpose(1, 2)) / (h * w)


def relative_loss(x: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared difference, divided by the mean square of the target."""
    return nn.functional.mse_loss(x, target) / target.square().mean()


def total_variation(x: Tensor) -> Tensor:
    """Return the mean squared difference of neighbouring pixels, over both directions."""
    return (x[:, :, 1:] - x[:, :, :-1]).pow(2).mean() + (x[:, :, :, 1:] - x[:, :, :, :-1]).pow(2).mean()


class Normalization(nn.Module):
    """Subtract ImageNet's mean and divide by its standard deviation."""

    def __init__(self) -> None:
        super().__init__()
        _, mean, std = PREPROCESSING["imagenet"]
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class ContentLoss(nn.Module):
    """Return the activations unchanged and store their distance from the target in ``loss``."""

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.target = target.detach()

    def forward(self, x: Tensor) -> Tensor:
        self.loss = relative_loss(x, self.target)
        return x


class StyleLoss(nn.Module):
    """As ``ContentLoss``, for Gram matrices."""

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.target = gram(target).detach()

    def forward(self, x: Tensor) -> Tensor:
        self.loss = relative_loss(gram(x), self.target)
        return x


class PlainTransfer:
    """The network with its loss layers, for one content and one style, both (1, 3, H, W) in [0, 1]."""

    def __init__(self, state: Mapping[str, Tensor], content: Tensor, style: Tensor, preset: str = "course") -> None:
        self.preset = get_preset(preset)
        self.content_losses: list[tuple[float, ContentLoss]] = []
        self.style_losses: list[tuple[float, StyleLoss]] = []
        device = content.device
        self.model = nn.Sequential(Normalization()).to(device)
        content, style = self.model(content), self.model(style)
        loss_count = len({*self.preset.content_layers, *self.preset.style_layers})
        for index, name in enumerate(layer_names("vgg19")):
            layer = vgg_layer(name, index, state).to(device).requires_grad_(False)
            self.model.add_module(name, layer)
            with torch.no_grad():
                content, style = layer(content), layer(style)
            if name in self.preset.content_layers:
                content_loss = ContentLoss(content)
                self.model.add_module(f"content_{name}", content_loss)
                self.content_losses.append((self.preset.content_layers[name], content_loss))
            if name in self.preset.style_layers:
                style_loss = StyleLoss(style)
                self.model.add_module(f"style_{name}", style_loss)
                self.style_losses.append((self.preset.style_layers[name], style_loss))
            if len(self.content_losses) + len(self.style_losses) == loss_count:
                break

    def loss(self, x: Tensor) -> Tensor:
        """Return the total loss of a picture (1, 3, H, W) in [0, 1]."""
        self.model(x)
        p = self.preset
        content = sum(weight * layer.loss for weight, layer in self.content_losses)
        style = sum(weight * layer.loss for weight, layer in self.style_losses)
        return p.content_weight * content + p.style_weight * style + p.tv_weight * total_variation(x)

    def step(self, x: Tensor) -> Tensor:
        """Return the loss of ``x`` and compute its gradient: one evaluation for the optimizer."""
        x.grad = None
        loss = self.loss(x)
        loss.backward()
        return loss

    def run(self, init: Tensor, steps: int, callback: Callable[[int, Tensor], object] | None = None) -> Tensor:
        """Run the tutorials' loop for at least ``steps`` evaluations: L-BFGS with PyTorch's defaults, clamped pixels.

        ``callback`` is called with the number of each evaluation and the picture.
        """
        x = init.clone().requires_grad_()
        optimizer = torch.optim.LBFGS([x])
        evaluations = 0

        def closure() -> Tensor:
            nonlocal evaluations
            with torch.no_grad():
                x.clamp_(0, 1)
            optimizer.zero_grad()
            loss = self.loss(x)
            loss.backward()
            evaluations += 1
            if callback is not None:
                callback(evaluations, x)
            return loss

        while evaluations < steps:
            optimizer.step(closure)
        with torch.no_grad():
            return x.clamp_(0, 1).detach()


def vgg_layer(name: str, index: int, state: Mapping[str, Tensor]) -> nn.Module:
    """Return a layer of VGG-19 by its name and its index in torchvision's ``features``."""
    if name.startswith("relu"):
        return nn.ReLU(inplace=False)  # in place, it would overwrite the activations that a loss layer measures
    if name.startswith("pool"):
        return nn.AvgPool2d(2)
    weight, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
    conv.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return conv


class PlainConv(nn.Module):
    """A convolution after reflection padding and, with ``up``, after nearest-neighbour upsampling by 2."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, up: bool = False) -> None:
        super().__init__()
        self.up = nn.Upsample(scale_factor=2, mode="nearest") if up else nn.Identity()
        self.pad = nn.ReflectionPad2d(kernel // 2)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.pad(self.up(x)))


class PlainResidual(nn.Module):
    """A residual block with instance normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            PlainConv(channels, channels, 3),
            nn.InstanceNorm2d(channels, affine=True),
            nn.ReLU(),
            PlainConv(channels, channels, 3),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def plain_network(width: int = 32, blocks: int = 5) -> nn.Sequential:
    """Return Johnson's network with instance normalisation as it is taught: padding layers, PyTorch's norm, float32."""

    def layer(in_channels: int, out_channels: int, kernel: int, stride: int = 1, up: bool = False) -> list[nn.Module]:
        conv = PlainConv(in_channels, out_channels, kernel, stride, up)
        return [conv, nn.InstanceNorm2d(out_channels, affine=True), nn.ReLU()]

    return nn.Sequential(
        *layer(3, width, 9),
        *layer(width, 2 * width, 3, stride=2),
        *layer(2 * width, 4 * width, 3, stride=2),
        *(PlainResidual(4 * width) for _ in range(blocks)),
        *layer(4 * width, 2 * width, 3, up=True),
        *layer(2 * width, width, 3, up=True),
        PlainConv(width, 3, 9),
        nn.Tanh(),
    )


class PlainTraining:
    """Johnson's training as it is taught, with the layers and weights of the preset ``course_network``."""

    def __init__(self, state: Mapping[str, Tensor], style: Tensor, width: int = 32) -> None:
        self.preset = get_preset("course_network")
        self.net = plain_network(width).to(style.device)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=1e-3)
        self.vgg = PlainTransfer(state, style, style, "course_network").model.eval()
        with torch.no_grad():
            activations = self.activations(style, self.preset.style_layers)
            self.targets = {name: batch_gram(x) for name, x in activations.items()}

    def activations(self, x: Tensor, layers: Mapping[str, float]) -> dict[str, Tensor]:
        """Return the activations of ``layers`` for pictures (N, 3, H, W) in [0, 1]."""
        found = {}
        for name, layer in self.vgg.named_children():
            if not name.startswith(("content", "style")):
                x = layer(x)
                if name in layers:
                    found[name] = x
        return found

    def step(self, photos: Tensor) -> None:
        """Do one step of Adam on photos (N, 3, H, W) in [0, 1]."""
        p = self.preset
        painted = (self.net(photos) + 1) / 2
        found = self.activations(painted, {**p.content_layers, **p.style_layers})
        with torch.no_grad():
            content_targets = self.activations(photos, p.content_layers)
        content = sum(w * relative_loss(found[n], content_targets[n]) for n, w in p.content_layers.items())
        style = sum(
            w * relative_loss(batch_gram(found[n]), self.targets[n].expand(len(photos), -1, -1))
            for n, w in p.style_layers.items()
        )
        loss = p.content_weight * content + p.style_weight * style + p.tv_weight * total_variation(painted)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
