"""Names and order of VGG's layers.

Layers are called as the field calls them: ``conv4_2`` is the second convolution of the fourth block, ``relu4_2`` the
activation after its ReLU, ``pool4`` the pooling after the block. Simonyan and Zisserman, "Very Deep Convolutional
Networks for Large-Scale Image Recognition" (2015), configurations D (VGG-16) and E (VGG-19).
"""

from __future__ import annotations

from collections.abc import Iterable

from .errors import LayerError, SettingError, shown

BLOCKS: dict[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions in each of the five blocks."""

WIDTHS = (64, 128, 256, 512, 512)
"""Channels of each block in the published networks."""


def layer_names(arch: str = "vgg19") -> list[str]:
    """Return all layer names of an architecture in order: conv1_1, relu1_1, ..., pool5.

    Raises:
        SettingError: The architecture is unknown.
    """
    if not isinstance(arch, str) or arch not in BLOCKS:
        raise SettingError(f"architecture {shown(arch)} is unknown; use one of {', '.join(BLOCKS)}.")
    names = []
    for block, convolutions in enumerate(BLOCKS[arch], start=1):
        for i in range(1, convolutions + 1):
            names += [f"conv{block}_{i}", f"relu{block}_{i}"]
        names.append(f"pool{block}")
    return names


def as_names(layers: str | Iterable[str]) -> list[str]:
    """Return the names of layers, given as one or several, without repetitions; whether they exist is not checked.

    Raises:
        LayerError: They are no texts.
    """
    names = list(layers) if isinstance(layers, Iterable) and not isinstance(layers, str) else [layers]
    if not all(isinstance(name, str) for name in names):
        raise LayerError(f"layers are names such as 'relu4_2', one or several, not {shown(layers)}.")
    return list(dict.fromkeys(names))
