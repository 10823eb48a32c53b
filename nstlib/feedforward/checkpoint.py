"""Checkpoints of a training: everything that is needed to continue it to the same bits."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import SettingError, TrainingError
from ..files import write_atomically
from ..records import Record
from .config import TrainingConfig

CHECKPOINT = "checkpoint.pt"
FORMAT = "nstlib.training/2"

RESUME_MAY_CHANGE = {"output", "device", "compile", "workers", "checkpoint_every", "picture_every"}
"""Settings that may differ when a training is resumed: they do not change what is learnt."""


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        step: Steps done.
        seconds: Time spent in steps.
        skipped: Steps without an update because the loss was not finite.
        broken: Indices of photos that could not be read.
        records: One per step.
    """

    step: int = 0
    seconds: float = 0.0
    skipped: int = 0
    broken: set[int] = field(default_factory=set)
    records: list[Record] = field(default_factory=list)


@dataclass
class Checkpoint:
    """Progress, and the state of everything that changes while training."""

    progress: Progress
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    generator: Tensor

    def save(self, folder: Path, config: TrainingConfig) -> None:
        """Write ``folder/checkpoint.pt``, whole or not at all: a kill at any moment leaves the one before."""
        state = {
            "format": FORMAT,
            "config": config.as_dict(),
            "step": self.progress.step,
            "seconds": self.progress.seconds,
            "skipped": self.progress.skipped,
            "broken": sorted(self.progress.broken),
            "records": [record.as_dict() for record in self.progress.records],
            "network": self.network,
            "optimizer": self.optimizer,
            "generator": self.generator,
            "torch": str(torch.__version__),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(folder / CHECKPOINT, buffer.getvalue())

    @classmethod
    def load(cls, folder: Path, config: TrainingConfig) -> Checkpoint:
        """Read ``folder/checkpoint.pt``.

        Raises:
            SettingError: There is no checkpoint, or it was trained with other settings than ``config``.
            TrainingError: It is damaged or of another version.
        """
        path = folder / CHECKPOINT
        if not path.is_file():
            raise SettingError(f"there is no checkpoint in '{folder}'; start without resuming.")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many types for a broken file
            raise TrainingError(f"the checkpoint '{path}' is damaged; start again without resuming.") from error
        if state.get("format") != FORMAT:
            raise TrainingError(f"'{path}' is not a checkpoint of this version; start again without resuming.")
        _check_same_settings(state["config"], config)
        progress = Progress(
            step=state["step"],
            seconds=state["seconds"],
            skipped=state["skipped"],
            broken=set(state["broken"]),
            records=[Record(**record) for record in state["records"]],
        )
        return cls(progress, state["network"], state["optimizer"], state["generator"])


def _check_same_settings(saved: dict[str, Any], config: TrainingConfig) -> None:
    for name, value in config.as_dict().items():
        if name not in RESUME_MAY_CHANGE and saved.get(name) != value:
            raise SettingError(f"the checkpoint was trained with {name} = {saved.get(name)!r}, not {value!r}.")
