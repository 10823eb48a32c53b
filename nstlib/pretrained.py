"""Where VGG's weights come from: the compact network of this package, torchvision, a file, or a random generator.

All are state dicts with torchvision's keys: ``features.0.weight``, ``features.0.bias``, ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .architecture import WIDTHS, layer_names
from .errors import WeightsError, shown
from .files import quoted
from .runtime import profile

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

COMPACT = "compact"
IMAGENET = "imagenet"

StateDict = Mapping[str, Tensor]
Weights = str | Path | StateDict | nn.Module


def default_weights() -> str:
    """Return "imagenet" with the profile "gpu", else "compact"; what lies in a cache never decides it."""
    return IMAGENET if profile() == "gpu" else COMPACT


def load_state(arch: str, weights: Weights) -> StateDict:
    """Return a VGG's weights with torchvision's keys.

    Args:
        arch: "vgg19" or "vgg16".
        weights: "compact", "imagenet", the path of a safetensors or .pth file, or a state dict, returned as it is;
            of a network its state dict is taken.

    Raises:
        WeightsError: The weights do not exist, cannot be downloaded or cannot be read.
    """
    if isinstance(weights, nn.Module):
        return weights.state_dict()
    if isinstance(weights, Mapping):
        return weights
    if not isinstance(weights, str | Path):
        raise WeightsError(f"weights are 'compact', 'imagenet', a path or a state dict, not {shown(weights)}.")
    if weights == COMPACT:
        if arch != "vgg19":
            raise WeightsError(
                f"the compact extractor is a vgg19, not a {arch}; use weights='imagenet' or arch='vgg19', in a preset "
                "get_preset(name).replace(arch='vgg19')."
            )
        return compact_state()[0]
    if weights == IMAGENET:
        return download_imagenet(arch)
    if not Path(weights).is_file():
        raise WeightsError(f"weights {quoted(weights)} do not exist; use 'compact', 'imagenet' or the path of a file.")
    return _read_file(Path(weights))


def _read_file(path: Path) -> StateDict:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state: StateDict = dict(torch.load(path, map_location="cpu", weights_only=True))
        return state
    except Exception as error:  # both loaders raise many types for a broken file
        raise WeightsError(
            f"'{path}' contains no weights that can be read; use safetensors or a plain state dict."
        ) from error


@cache
def compact_state() -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return weights and metadata of the compact VGG-19 in this package."""
    from safetensors import safe_open

    path = resources.files("nstlib.weights").joinpath("compact_vgg19.safetensors")
    with resources.as_file(path) as file, safe_open(file, framework="pt") as opened:
        # rounded to what bfloat16 can represent, so that both precisions run the same network
        state = {key: opened.get_tensor(key).bfloat16() for key in opened.keys()}  # noqa: SIM118
        return state, opened.metadata() or {}


def imagenet_entry(arch: str) -> WeightsEnum:
    """Return torchvision's entry for the ImageNet weights of an architecture."""
    from torchvision.models import VGG16_Weights, VGG19_Weights

    return VGG16_Weights.IMAGENET1K_V1 if arch == "vgg16" else VGG19_Weights.IMAGENET1K_V1


def download_imagenet(arch: str) -> StateDict:
    """Return torchvision's ImageNet weights, downloaded once and checked by hash.

    Raises:
        WeightsError: They cannot be downloaded.
    """
    try:
        state: StateDict = imagenet_entry(arch).get_state_dict(progress=True, check_hash=True)
    except Exception as error:  # no network, no space, wrong hash: the remedy is the same
        reason = getattr(error, "reason", error)
        raise WeightsError(
            f"the ImageNet weights of {arch} could not be downloaded ({reason}); use weights='compact', which comes "
            "with the package, or try again with internet."
        ) from error
    return state


def random_state(
    arch: str = "vgg19", widths: Sequence[int] = WIDTHS, seed: int = 0, last: str | None = None
) -> dict[str, Tensor]:
    """Return random weights (He initialisation, biases of 0.1 normal noise) for tests, lessons and benchmarks.

    Args:
        arch: "vgg19" or "vgg16".
        widths: Channels of each of the five blocks.
        seed: Seed of the generator.
        last: The layer after which the weights end; None keeps all.
    """
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    in_channels = 3
    names = layer_names(arch)
    if last is not None:
        names = names[: names.index(last) + 1]
    for index, name in enumerate(names):
        if name.startswith("conv"):
            out_channels = widths[int(name[4]) - 1]
            deviation = (2 / (9 * in_channels)) ** 0.5
            kernel = torch.randn(out_channels, in_channels, 3, 3, generator=generator)
            state[f"features.{index}.weight"] = deviation * kernel
            state[f"features.{index}.bias"] = 0.1 * torch.randn(out_channels, generator=generator)
            in_channels = out_channels
    return state
