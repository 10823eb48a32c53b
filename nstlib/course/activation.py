"""What one channel of a layer responds to: pictures that maximize it, and the patches of photos that excite it most.

>>> from nstlib import VGGFeatures
>>> from nstlib.course import activation
>>> features = VGGFeatures()
>>> pictures = activation.maximize(features, "relu3_1", [0, 5], size=128)  # (2, 3, 128, 128)
>>> patches = activation.exciting_patches(features, "relu3_1", [0, 5], activation.library())
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..architecture import layer_names
from ..data import gallery
from ..errors import LayerError, SettingError, did_you_mean
from ..images import load
from ..losses import total_variation
from ..vgg import VGGFeatures

FURTHER_PHOTOS = ("brick.png", "grass.png", "gravel.png", "coins.png", "motorcycle_left.png", "hubble_deep_field.jpg")
"""Photos of scikit-image besides the gallery's; which of them are installed depends on its version."""

LEAK = 0.02
"""Slope of the ReLU below zero in ``maximize``."""


# --- a picture for a channel ---------------------------------------------------------------------------


def maximize(
    features: VGGFeatures,
    layer: str,
    channels: Sequence[int],
    size: int = 128,
    steps: int = 50,
    rate: float = 0.05,
    prior: float = 8.0,
    jitter: int = 8,
    seed: int = 0,
) -> Tensor:
    """Return for each channel a picture that maximizes the channel's mean activation, by gradient ascent.

    The loss is prior * TV(x) - log(2 + mean(a) / unit). Here a are the activations after the ReLU, and the unit is the
    mean of abs(a) for the first picture, noise around gray; the 2 keeps the argument positive. Because of the logarithm
    ``prior`` means about the same for all channels. Below zero the ReLU keeps a slope of ``LEAK``: a channel that noise
    does not excite at all has a gradient, too.

    Args:
        features: The network.
        layer: Name of the layer, such as "relu3_1".
        channels: The channels; there is one picture for each.
        size: Side of the pictures in pixels.
        steps: Number of steps of Adam.
        rate: Learning rate of Adam.
        prior: Weight of the total variation, which makes the pictures smooth.
        jitter: Largest shift in pixels, new in each step; it breaks patterns that depend on the grid of the poolings.
        seed: Of the noise and the shifts.

    Returns:
        The pictures, (len(channels), 3, size, size) in [0, 1].

    Raises:
        LayerError: The layer is not one of ReLUs.
    """
    if not layer.startswith("relu"):
        raise LayerError(f"activation maximization needs a layer of ReLUs such as 'relu3_1', not {layer!r}.")
    before = layer.replace("relu", "conv")
    of_each = torch.arange(len(channels)), torch.as_tensor(channels)

    def activations(images: Tensor) -> Tensor:
        return F.leaky_relu(features(images, before)[before][of_each].float(), LEAK)  # (channels, h, w)

    random = torch.Generator().manual_seed(seed)
    noise = torch.randn((1, 3, size, size), generator=random)
    x = (0.5 + 0.05 * noise).repeat(len(channels), 1, 1, 1).to(features.device).requires_grad_()
    with torch.no_grad():
        unit = activations(x).abs().mean((1, 2)) + 1e-9
    optimizer = torch.optim.Adam([x], lr=rate)
    for _ in range(steps):
        down, right = torch.randint(-jitter, jitter + 1, (2,), generator=random).tolist()
        shifted = x.roll((down, right), (2, 3))
        gain = activations(shifted).mean((1, 2)) / unit  # (channels,)
        loss = prior * total_variation(x) - torch.log(2 + gain)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        with torch.no_grad():
            x.clamp_(0, 1)
    return x.detach().cpu()


# --- patches of photos ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """The receptive fields of a layer: the part of the picture that each activation depends on.

    Attributes:
        size: Side in pixels.
        jump: Distance in pixels between the fields of two neighboring activations.
        start: First pixel of the first activation's field; negative, because it reaches into the padding.
    """

    size: int
    jump: int
    start: int


def receptive_field(layer: str, arch: str = "vgg19") -> Field:
    """Return the receptive field of a layer of VGG.

    Raises:
        LayerError: There is no such layer.
    """
    names = layer_names(arch)
    if layer not in names:
        raise LayerError(f"{arch} has no layer {layer!r}; {did_you_mean(layer, names)}".rstrip())
    size, jump, start = 1, 1, 0
    for name in names[: names.index(layer) + 1]:
        if name.startswith("conv"):
            size, start = size + 2 * jump, start - jump
        elif name.startswith("pool"):
            size, jump = size + jump, 2 * jump
    return Field(size, jump, start)


def library(size: int = 256) -> dict[str, Tensor]:
    """Return photos and paintings, (1, 3, H, W) by name: those of the gallery, and scikit-image's that are installed.

    Args:
        size: Long side in pixels.
    """
    pictures = {name: gallery.content(name, size) for name in gallery.content_names()}
    pictures |= {name: gallery.style(name, size) for name in gallery.style_names()}
    return pictures | _further_photos(size)


def _further_photos(size: int) -> dict[str, Tensor]:
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return {Path(name).stem: load(folder / name, size) for name in FURTHER_PHOTOS if (folder / name).is_file()}


@torch.no_grad()
def exciting_patches(
    features: VGGFeatures,
    layer: str,
    channels: Sequence[int],
    pictures: Mapping[str, Tensor],
    count: int = 9,
    each: int = 2,
) -> list[list[Patch]]:
    """Return for each channel the patches of pictures where its activation is largest, in descending order.

    A patch is as large as the receptive field of the layer, so it contains all that the activation depends on.

    Args:
        features: The network.
        layer: Name of the layer.
        channels: The channels.
        pictures: Pictures (1, 3, H, W) by name.
        count: Number of patches for each channel, at most.
        each: Largest number of patches of one picture; two of them overlap by less than half of their sides.
    """
    field = receptive_field(layer, features.arch)
    found: list[list[Patch]] = [[] for _ in channels]
    for name, picture in pictures.items():
        maps = features(picture.to(features.device), layer)[layer][0].float().cpu()  # (C, h, w)
        for patches, channel in zip(found, channels):
            patches.extend(_peaks(maps[channel], picture, name, field, each))
    return [sorted(patches, key=lambda patch: -patch.activation)[:count] for patches in found]


@dataclass(frozen=True)
class Patch:
    """A part of a picture that excites a channel.

    Attributes:
        pixels: The part, (1, 3, f, f).
        activation: The activation of the channel.
        picture: Name of the picture.
        corner: Row and column of its upper left pixel.
    """

    pixels: Tensor
    activation: float
    picture: str
    corner: tuple[int, int]


def _peaks(values: Tensor, picture: Tensor, name: str, field: Field, count: int) -> Iterable[Patch]:
    """Return the largest activations of a map (h, w) whose field is inside the picture, not two beside each other."""
    values = values.clone()
    corners = [torch.arange(n) * field.jump + field.start for n in values.shape]
    for corner, side, along in zip(corners, picture.shape[2:], (0, 1)):
        outside = (corner < 0) | (corner + field.size > side)
        values.index_fill_(along, outside.nonzero().flatten(), -torch.inf)
    for _ in range(count):
        row, column = divmod(int(values.argmax()), values.shape[1])
        largest = values[row, column].item()
        if largest == -torch.inf:
            return
        top, left = int(corners[0][row]), int(corners[1][column])
        pixels = picture[:1, :, top : top + field.size, left : left + field.size]
        yield Patch(pixels, largest, name, (top, left))
        near = -(-field.size // (2 * field.jump))
        values[max(0, row - near) : row + near + 1, max(0, column - near) : column + near + 1] = -torch.inf


def mosaic(patches: Sequence[Patch], columns: int = 3, side: int = 96, gap: int = 4) -> Tensor:
    """Return patches as one picture (1, 3, H, W), each enlarged to ``side`` pixels, with white gaps between them.

    Raises:
        SettingError: There is no patch.
    """
    if not patches:
        raise SettingError("there is no patch to show; the pictures are smaller than the receptive field.")
    mode = "nearest" if patches[0].pixels.shape[-1] < 12 else "bicubic"  # the pixels of a tiny patch stay squares
    large = [F.interpolate(patch.pixels, (side, side), mode=mode).clamp(0, 1) for patch in patches]
    rows = -(-len(large) // columns)
    canvas = torch.ones(1, 3, rows * (side + gap) - gap, columns * (side + gap) - gap)
    for i, tile in enumerate(large):
        top, left = (i // columns) * (side + gap), (i % columns) * (side + gap)
        canvas[:, :, top : top + side, left : left + side] = tile
    return canvas


def beside(left: Tensor, right: Tensor, gap: int = 12) -> Tensor:
    """Return two pictures (1, 3, H, W) as one, the left one enlarged to the height of the right one."""
    height = right.shape[2]
    left = F.interpolate(left, (height, round(height * left.shape[3] / left.shape[2])), mode="bicubic").clamp(0, 1)
    return torch.cat([left, torch.ones(1, 3, height, gap), right], 3)
