"""Style transfer as it is taught: the plain baseline of the benchmark.

A VGG-19 as one ``nn.Sequential``, with content and style loss layers put in behind the layers that they listen to,
cut behind the last of them; float32, tensors as they come (NCHW), PyTorch's L-BFGS with a clamp in its closure. That
is the shape of the code in the public tutorials. Layers, pooling and losses are those of the preset ``course``, so
that plain and ours compute the same number and may be compared at equal loss. Where tutorials differ we take the
faster way for the baseline: weights are frozen, targets are computed once, the network is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from nstlib import get_preset
from nstlib import layer_names
from nstlib.vgg import PREPROCESSING


def gram(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    features = x.view(c, h * w)
    return torch.mm(features, features.t()) / (h * w)


def relative(x: Tensor, target: Tensor) -> Tensor:
    return nn.functional.mse_loss(x, target) / target.square().mean()


class Normalization(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        _, mean, std = PREPROCESSING["imagenet"]
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class ContentLoss(nn.Module):
    """Lets activations through and notes how far they are from the target."""

    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.target = target.detach()

    def forward(self, x: Tensor) -> Tensor:
        self.loss = relative(x, self.target)
        return x


class StyleLoss(nn.Module):
    def __init__(self, target: Tensor) -> None:
        super().__init__()
        self.target = gram(target).detach()

    def forward(self, x: Tensor) -> Tensor:
        self.loss = relative(gram(x), self.target)
        return x


class PlainTransfer:
    """The model with its loss layers for one content and one style; ``loss(x)`` is the course's total."""

    def __init__(self, state: Mapping[str, Tensor], content: Tensor, style: Tensor, preset: str = "course") -> None:
        self.preset = get_preset(preset)
        self.content_losses: list[tuple[float, ContentLoss]] = []
        self.style_losses: list[tuple[float, StyleLoss]] = []
        device = content.device
        self.model = nn.Sequential(Normalization()).to(device)
        content, style = self.model(content), self.model(style)
        wanted = len({*self.preset.content_layers, *self.preset.style_layers})
        for index, name in enumerate(layer_names("vgg19")):
            if name.startswith("conv"):
                weight, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
                layer = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
                layer.load_state_dict({"weight": weight.float(), "bias": bias.float()})
            elif name.startswith("relu"):
                layer = nn.ReLU(inplace=False)  # in place would change what the loss layers listen to
            else:
                layer = nn.AvgPool2d(2)
            self.model.add_module(name, layer.to(device).requires_grad_(False))
            with torch.no_grad():
                content, style = layer(content), layer(style)
            if name in self.preset.content_layers:
                loss = ContentLoss(content)
                self.model.add_module(f"content_{name}", loss)
                self.content_losses.append((self.preset.content_layers[name], loss))
            if name in self.preset.style_layers:
                loss = StyleLoss(style)
                self.model.add_module(f"style_{name}", loss)
                self.style_losses.append((self.preset.style_layers[name], loss))
            if len(self.content_losses) + len(self.style_losses) == wanted:
                break

    def loss(self, x: Tensor) -> Tensor:
        self.model(x)
        p = self.preset
        content = sum(weight * layer.loss for weight, layer in self.content_losses)
        style = sum(weight * layer.loss for weight, layer in self.style_losses)
        variation = (x[:, :, 1:] - x[:, :, :-1]).pow(2).mean() + (x[:, :, :, 1:] - x[:, :, :, :-1]).pow(2).mean()
        return p.content_weight * content + p.style_weight * style + p.tv_weight * variation

    def step(self, x: Tensor) -> Tensor:
        """Loss and gradient with respect to the picture, as one evaluation of the optimiser needs them."""
        x.grad = None
        loss = self.loss(x)
        loss.backward()
        return loss

    def run(self, start: Tensor, steps: int, callback: Callable[[int, Tensor], object] | None = None) -> Tensor:
        """The tutorials' loop: L-BFGS with PyTorch's defaults, clamped in the closure, so many evaluations."""
        x = start.clone().requires_grad_()
        optimizer = torch.optim.LBFGS([x])
        done = [0]

        def closure() -> Tensor:
            with torch.no_grad():
                x.clamp_(0, 1)
            optimizer.zero_grad()
            loss = self.loss(x)
            loss.backward()
            done[0] += 1
            if callback is not None:
                callback(done[0], x)
            return loss

        while done[0] < steps:
            optimizer.step(closure)
        with torch.no_grad():
            return x.clamp_(0, 1).detach()


class PlainConv(nn.Module):
    """Reflection padding and a convolution, with upsampling where asked for."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1, up: bool = False) -> None:
        super().__init__()
        self.up = nn.Upsample(scale_factor=2, mode="nearest") if up else nn.Identity()
        self.pad = nn.ReflectionPad2d(kernel // 2)
        self.conv = nn.Conv2d(before, after, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.pad(self.up(x)))


class PlainResidual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            PlainConv(channels, channels, 3), nn.InstanceNorm2d(channels, affine=True), nn.ReLU(),
            PlainConv(channels, channels, 3), nn.InstanceNorm2d(channels, affine=True),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def plain_network(width: int = 32, blocks: int = 5) -> nn.Sequential:
    """Johnson's network with instance normalisation, as it is taught: padding layers, PyTorch's own norm, float32."""

    def layer(*shape: int, up: bool = False) -> list[nn.Module]:
        return [PlainConv(*shape, up=up), nn.InstanceNorm2d(shape[1], affine=True), nn.ReLU()]

    w = width
    down = [*layer(3, w, 9), *layer(w, 2 * w, 3, 2), *layer(2 * w, 4 * w, 3, 2)]
    up = [*layer(4 * w, 2 * w, 3, up=True), *layer(2 * w, w, 3, up=True)]
    return nn.Sequential(*down, *(PlainResidual(4 * w) for _ in range(blocks)), *up, PlainConv(w, 3, 9), nn.Tanh())


class PlainTraining:
    """One step of Johnson's training as it is taught, with the layers and weights of ``course_network``."""

    def __init__(self, state: Mapping[str, Tensor], style: Tensor, width: int = 32) -> None:
        self.preset = get_preset("course_network")
        self.net = plain_network(width).to(style.device)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=1e-3)
        self.vgg = PlainTransfer(state, style, style, "course_network").model.eval()
        with torch.no_grad():
            self.targets = {n: self.gram(x) for n, x in self.activations(style, self.preset.style_layers).items()}

    @staticmethod
    def gram(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        features = x.view(n, c, h * w)
        return features.bmm(features.transpose(1, 2)) / (h * w)

    def activations(self, x: Tensor, layers: Mapping[str, float]) -> dict[str, Tensor]:
        found = {}
        for name, layer in self.vgg.named_children():
            if not name.startswith(("content", "style")):
                x = layer(x)
                if name in layers:
                    found[name] = x
        return found

    def step(self, photos: Tensor) -> None:
        p = self.preset
        painted = (self.net(photos) + 1) / 2
        found = self.activations(painted, {**p.content_layers, **p.style_layers})
        with torch.no_grad():
            wanted = self.activations(photos, p.content_layers)
        content = sum(w * relative(found[n], wanted[n]) for n, w in p.content_layers.items())
        style = sum(
            w * relative(self.gram(found[n]), self.targets[n].expand(len(photos), -1, -1))
            for n, w in p.style_layers.items()
        )
        x = painted
        variation = (x[:, :, 1:] - x[:, :, :-1]).pow(2).mean() + (x[:, :, :, 1:] - x[:, :, :, :-1]).pow(2).mean()
        self.adam.zero_grad()
        (p.content_weight * content + p.style_weight * style + p.tv_weight * variation).backward()
        self.adam.step()
