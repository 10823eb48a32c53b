"""Checkpoints of a training: everything that is needed to continue it to the same bits."""

from __future__ import annotations

import hashlib
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
from .sources import Sources

CHECKPOINT = "checkpoint.pt"
FORMAT = "nstlib.training/3"

SEAL = b"nstlib-sha256:"
"""Between the file that ``torch.save`` writes (``torch.load`` reads it, and ignores the rest) and its SHA-256."""

SEAL_BYTES = len(SEAL) + hashlib.sha256().digest_size

RESUME_MAY_CHANGE = {"output", "device", "compile", "workers", "checkpoint_every", "picture_every"}
"""Settings that may differ when a training is resumed: they do not change what is learnt."""

PATHS = {"photos", "styles", "samples", "start", "weights"}
"""Settings that are paths, which may have moved: what they lead to is compared; see ``sources``."""


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
    """Progress, the state of everything that changes while training, and what the training is made from."""

    progress: Progress
    network: dict[str, Tensor]
    optimizer: dict[str, Any]
    generator: Tensor
    config: dict[str, Any]
    sources: Sources

    def save(self, folder: Path) -> None:
        """Write ``folder/checkpoint.pt``, whole or not at all: a kill at any moment leaves the one before."""
        state = {
            "format": FORMAT,
            "config": self.config,
            "sources": vars(self.sources),
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
        data = buffer.getvalue()
        write_atomically(folder / CHECKPOINT, data + SEAL + hashlib.sha256(data).digest())

    @classmethod
    def load(cls, folder: Path) -> Checkpoint:
        """Read ``folder/checkpoint.pt``.

        Raises:
            SettingError: There is no checkpoint.
            TrainingError: It is damaged, of another version, or no checkpoint.
        """
        path = folder / CHECKPOINT
        if not path.is_file():
            raise SettingError(f"there is no checkpoint in '{folder}'; start without resuming.")
        try:
            state = _unsealed(path.read_bytes())
            progress = Progress(
                step=state["step"],
                seconds=state["seconds"],
                skipped=state["skipped"],
                broken=set(state["broken"]),
                records=[Record(**record) for record in state["records"]],
            )
            sources = Sources(**state["sources"])
            return cls(progress, state["network"], state["optimizer"], state["generator"], state["config"], sources)
        except Exception as error:  # of many types, if the file is not the one that was written
            raise TrainingError(
                f"the checkpoint '{path}' is damaged, of another version, or none; start again with overwrite in place "
                "of resume."
            ) from error

    def check_same_settings(self, config: TrainingConfig) -> None:
        """Raise SettingError if ``config`` would change what is learnt."""
        defaults = TrainingConfig().as_dict()  # of settings that are younger than the checkpoint
        for name, value in config.as_dict().items():
            saved = self.config.get(name, defaults[name])
            if name not in RESUME_MAY_CHANGE | PATHS and saved != value:
                raise SettingError(
                    f"the checkpoint was trained with {name} = {saved!r}, not {value!r}; resume with the same, or "
                    "begin a new training with its network as 'start' and another output."
                )


def _unsealed(data: bytes) -> dict[str, Any]:
    """Return the state in a checkpoint's bytes; raise ValueError if they are not those that were written."""
    content, seal = data[:-SEAL_BYTES], data[-SEAL_BYTES:]
    if seal != SEAL + hashlib.sha256(content).digest():
        raise ValueError("the checksum differs")
    state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if state["format"] != FORMAT:
        raise ValueError(f"the format is {state['format']}")
    return state
