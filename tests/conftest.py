"""What the tests share: one thread each, small random networks and pictures, and the default reaction to Ctrl-C."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("NST_PROFILE", "smoke")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # make test runs a process per core; for the tests' processes, too

import torch  # noqa: E402

from nstlib.pretrained import random_state  # noqa: E402

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # something may have imported torch before
ROOT = Path(__file__).resolve().parent.parent

NARROW = (4, 5, 6, 7, 8)
"""Channels of the five blocks in the small networks of the tests."""


def narrow_state(arch: str = "vgg19", seed: int = 0) -> dict[str, torch.Tensor]:
    """Return random VGG weights, so narrow that a pass takes milliseconds."""
    return random_state(arch, NARROW, seed)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    """Random weights of a narrow VGG-19."""
    return narrow_state()


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


@pytest.fixture
def default_sigint() -> Iterator[None]:
    """Let child processes react to SIGINT, also where the tests run in a background job, in which it is ignored.

    A child inherits "ignore", while a handler of this process becomes the default action in the child.
    """
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)
