"""The trained networks of this package: ``load_model("waves")``, ``model_names()``."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from ..errors import SettingError, check_type, did_you_mean
from .transformer import TransformerNet, check_network

PACKAGE = "nstlib.weights.networks"
SUFFIX = ".safetensors"


def model_names() -> list[str]:
    """Return the names of the networks in the package, sorted; the card beside each (``.md``) describes it."""
    files = (file.name for file in resources.files(PACKAGE).iterdir())
    return sorted(name.removesuffix(SUFFIX) for name in files if name.endswith(SUFFIX))


def load_model(name: str | Path) -> TransformerNet:
    """Return a network in float32, with its card as ``net.card``.

    Args:
        name: One of ``model_names()``, or the path of a safetensors file.

    Raises:
        SettingError: There is no network of this name.
        WeightsError: The file does not exist or contains no network.
    """
    check_type("the network's name", name, (str, os.PathLike), "give one of model_names(), or the path of a file")
    if Path(name).suffix == SUFFIX:
        return TransformerNet.load(name)
    known = model_names()
    if name not in known:
        guess = did_you_mean(str(name), known)
        raise SettingError(f"there is no network {str(name)!r}; {guess}There are: {', '.join(known) or 'none'}.")
    with resources.as_file(resources.files(PACKAGE).joinpath(f"{name}{SUFFIX}")) as path:
        return TransformerNet.load(path)


def styles_of(net: TransformerNet) -> list[str]:
    """Return the names of a network's styles by index, from its card; without a card "0", "1", ...

    Raises:
        SettingError: The network is none.
    """
    check_network(net)
    names = [str(style) for style in net.card.get("config", {}).get("styles", [])]
    return names if len(names) == net.styles else [str(i) for i in range(net.styles)]


def style_weights(net: TransformerNet, mix: str = "") -> int | Tensor:
    """Return the ``style`` argument of a network for a style or a mixture of styles, given by name.

    Args:
        net: The network.
        mix: "waves", or "waves=2,golden=1" for two thirds of one style and one third of another. "" is the first style.

    Returns:
        The index of a single style, or weights (styles,) that sum to one.

    Raises:
        SettingError: The network has no style of this name, or a share is not a number, is negative, or all are zero;
            or no style is named although ``mix`` is not "".
    """
    names = styles_of(net)
    check_type("the style", mix, str, "name one, such as 'waves', or a mixture, such as 'waves=2,golden=1'")
    parts = [part.strip() for part in mix.split(",") if part.strip()]
    if not mix:
        return 0
    if not parts:
        raise SettingError(f"{mix!r:.60} names no style; the network holds {', '.join(names)}.")
    weights = torch.zeros(net.styles)
    for part in parts:
        name, _, share = part.partition("=")
        if name not in names:
            raise SettingError(f"the network holds no style {name!r}; it holds {', '.join(names)}.")
        try:
            weights[names.index(name)] += float(share or 1)
        except ValueError:
            raise SettingError(f"{share!r} is not a number; write a mixture as 'waves=2,golden=1'.") from None
    if not (weights >= 0).all() or not weights.sum() > 0 or not torch.isfinite(weights).all():
        raise SettingError(f"the shares of {','.join(parts)!r} must not be negative and not all zero.")
    if (weights > 0).sum() == 1:
        return int(weights.argmax())
    return weights / weights.sum()


def describe_model(name: str) -> dict[str, str]:
    """Return a short description of a network in the package: styles, size, training.

    Args:
        name: One of ``model_names()``.
    """
    net = load_model(name)
    config = net.card.get("config", {})
    with resources.as_file(resources.files(PACKAGE).joinpath(f"{name}{SUFFIX}")) as path:
        megabytes = path.stat().st_size / 1e6
    return {
        "name": name,
        "styles": ", ".join(styles_of(net)),
        "width": str(net.config["width"]),
        "parameters": f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} million",
        "file": f"{megabytes:.1f} MB",
        "trained": f"{net.card.get('pictures', '?')} crops of {config.get('size', '?')} px",
    }
