"""The trained networks that come with the package: ``load_model("waves")``, ``model_names()``."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from .errors import SettingError
from .transformer import TransformerNet

FOLDER = "nstlib.weights.networks"


def model_names() -> list[str]:
    """Names of the networks in the package, in alphabetical order. What each is: its card beside it (``.md``)."""
    return sorted(p.name.removesuffix(".safetensors") for p in resources.files(FOLDER).iterdir()
                  if p.name.endswith(".safetensors"))  # fmt: skip


def load_model(name: str | Path) -> TransformerNet:
    """A network of the package by its name, or any other by its path; float32, its card as ``net.card``.

    Raises SettingError for a name that does not exist, WeightsError for a file that is no network.
    """
    if Path(name).suffix == ".safetensors":
        return TransformerNet.load(name)
    if name not in model_names():
        near = difflib.get_close_matches(str(name), model_names(), n=1, cutoff=0.0)
        guess = f"did you mean {near[0]!r}? " if near else ""
        raise SettingError(
            f"there is no network {str(name)!r}; {guess}There are: {', '.join(model_names()) or 'none'}."
        )
    with resources.as_file(resources.files(FOLDER).joinpath(f"{name}.safetensors")) as path:
        return TransformerNet.load(path)


def styles_of(net: TransformerNet) -> list[str]:
    """The styles that a network holds, in the order of its rows, as its card names them."""
    names = [str(s) for s in net.card.get("config", {}).get("styles", [])]
    return names if len(names) == net.styles else [str(i) for i in range(net.styles)]


def mixture(net: TransformerNet, words: str | Sequence[str] = ()) -> int | Tensor:
    """Rows of a network from names: "waves", or "waves=2,golden=1" for two thirds of one and a third of the other.

    Nothing means the first style. The answer is what ``TransformerNet.forward`` takes as ``style``.
    """
    names, weights = styles_of(net), torch.zeros(net.styles)
    parts = [p.strip() for p in (words.split(",") if isinstance(words, str) else words) if p.strip()]
    for part in parts:
        name, _, share = part.partition("=")
        if name not in names:
            raise SettingError(f"the network holds no style {name!r}; it holds {', '.join(names)}.")
        try:
            weights[names.index(name)] += float(share or 1)
        except ValueError:
            raise SettingError(f"{share!r} is no number; write a mixture as 'waves=2,golden=1'.") from None
    if not parts:
        return 0
    if not (weights >= 0).all() or not weights.sum() > 0 or not torch.isfinite(weights).all():
        raise SettingError(f"the shares of {','.join(parts)!r} must not be negative and not all zero.")
    return weights / weights.sum() if (weights > 0).sum() > 1 else int(weights.argmax())


def describe_model(name: str) -> dict[str, str]:
    """One line's worth about a network of the package: styles, size, training."""
    net = load_model(name)
    config = net.card.get("config", {})
    file = resources.files(FOLDER).joinpath(f"{name}.safetensors")
    with resources.as_file(file) as path:
        megabytes = path.stat().st_size / 1e6
    return {
        "name": name,
        "styles": ", ".join(styles_of(net)),
        "width": str(net.config["width"]),
        "parameters": f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} million",
        "file": f"{megabytes:.1f} MB",
        "trained": f"{net.card.get('pictures', '?')} crops of {config.get('size', '?')} px",
    }
