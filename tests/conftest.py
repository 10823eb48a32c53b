"""Small random networks and pictures that the tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from nstlib.vgg import BLOCKS, layer_names

os.environ.setdefault("NST_SCALE", "smoke")
ROOT = Path(__file__).resolve().parent.parent


def random_state(arch: str = "vgg19", widths: tuple[int, ...] = (4, 5, 6, 7, 8), seed: int = 0) -> dict:
    """A state dict with torchvision's key names and our widths, He-initialised."""
    generator = torch.Generator().manual_seed(seed)
    state, before = {}, 3
    for index, name in enumerate(layer_names(arch)):
        if name.startswith("conv"):
            width = widths[int(name[4]) - 1]
            scale = (2 / (9 * before)) ** 0.5
            state[f"features.{index}.weight"] = scale * torch.randn(width, before, 3, 3, generator=generator)
            state[f"features.{index}.bias"] = 0.1 * torch.randn(width, generator=generator)
            before = width
    assert sum(k.endswith("weight") for k in state) == sum(BLOCKS[arch])
    return state


@pytest.fixture
def state() -> dict:
    return random_state()


@pytest.fixture
def photo() -> torch.Tensor:
    """A small smooth picture with edges, (1, 3, 48, 64)."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 64), indexing="ij")
    disc = ((x - 0.4) ** 2 + (y - 0.5) ** 2 < 0.08).float()
    return torch.stack([x, 0.3 + 0.5 * disc, y]).unsqueeze(0)


@pytest.fixture
def painting() -> torch.Tensor:
    """A small striped picture of another size, (1, 3, 40, 56)."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(56.0), indexing="ij")
    waves = torch.stack([(x * 0.9 + y * 0.4).sin(), (x * 0.3 - y * 0.8).sin(), (y * 0.5).cos()])
    return (0.5 + 0.45 * waves).unsqueeze(0)
