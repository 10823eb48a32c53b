"""A training that takes a second: pictures made from noise and stripes, settings, and what its files hold."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from nstlib import TrainingConfig, TransformerNet, images
from nstlib.feedforward.checkpoint import CHECKPOINT


def make_pictures(root: Path) -> Path:
    """Write seven photos of several shapes and two styles; return the folder."""
    generator = torch.Generator().manual_seed(3)
    for i in range(7):
        small = torch.rand(1, 3, 6 + i, 9, generator=generator)
        images.save(images.resize(small, (40 + 3 * i, 60)).clamp(0, 1), root / "photos" / f"{i}.png")
    colours = torch.tensor([0.5, 0.3, 0.05]).view(1, 3, 1, 1)
    stripes = 0.25 + colours * (torch.arange(48) // 4 % 2).float().expand(1, 3, 48, 48)
    images.save(stripes, root / "stripes.png")
    images.save(stripes.transpose(2, 3).flip(1), root / "bars.png")
    return root


def small_config(root: Path, output: Path) -> TrainingConfig:
    """Return the settings of six steps with the pictures in ``root``."""
    return TrainingConfig(
        photos=str(root / "photos"),
        styles=(str(root / "stripes.png"),),
        output=str(output),
        content_layers=("relu2_1",),
        style_layers=("relu1_1", "relu2_1"),
        width=4,
        blocks=1,
        size=32,
        style_size=48,
        batch=2,
        steps=6,
        precision="float32",
        device="cpu",
        checkpoint_every=2,
        picture_every=0,
    )


def weights(net_or_path: TransformerNet | Path) -> dict[str, Tensor]:
    """Return the weights of a network or of a network's file."""
    net = net_or_path if isinstance(net_or_path, TransformerNet) else TransformerNet.load(net_or_path)
    return net.state_dict()


def same_bits(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Return whether two networks have the same weights."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def steps_in_checkpoint(folder: Path) -> int:
    """Return the steps done; 0 without a checkpoint."""
    path = folder / CHECKPOINT
    return torch.load(path, weights_only=True)["step"] if path.exists() else 0
