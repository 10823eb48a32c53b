"""The card of a trained network: what was trained on what, for how long, and how the losses ended."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..records import Record
from .checkpoint import RESUME_MAY_CHANGE, Progress
from .config import TrainingConfig

KEPT_FROM_EARLIER = ("steps", "pictures", "seconds", "size", "styles")
"""What a card keeps of the trainings before the last one."""

LAST_STEPS = 100
"""Losses on a card are means over this many last steps."""


def make_card(
    config: TrainingConfig,
    progress: Progress,
    photos: int,
    extractor: str,
    processes: int,
    earlier: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return the card as plain data; nothing in it tells where the training ran.

    Args:
        config: The settings.
        progress: How far the training has come.
        photos: Number of photos.
        extractor: Name of the extractor's weights.
        processes: Number of processes that trained together.
        earlier: Cards' extracts of the trainings that the network started from; see ``earlier_trainings``.
    """
    settings = {k: v for k, v in config.as_dict().items() if k not in RESUME_MAY_CHANGE}
    settings |= {
        "photos": photos,
        "styles": [Path(style).stem for style in config.styles],
        "samples": [],
        "start": Path(config.start).stem,
        "arch": config.loss_preset().arch,
        "weights": Path(config.weights).name if config.weights else config.weights,
    }
    return {
        "config": settings,
        "extractor": extractor,
        "steps": progress.step,
        "seconds": round(progress.seconds),
        "pictures": progress.step * config.batch * processes,
        "losses": mean_losses(progress.records[-LAST_STEPS:]),
        "broken": len(progress.broken),
        "skipped": progress.skipped,
        "size": config.size,
        "styles": len(config.styles),
        "before": earlier,
    }


def mean_losses(records: list[Record]) -> dict[str, float]:
    """Return the mean weighted content, style and variation terms of the records that are finite."""
    finite = [r for r in records if math.isfinite(r.total)]
    count = max(1, len(finite))
    return {
        "content": sum(r.content_total for r in finite) / count,
        "style": sum(r.style_total for r in finite) / count,
        "tv": sum(r.tv_total for r in finite) / count,
    }


def earlier_trainings(card: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the trainings behind a network with this card, the oldest first."""
    return [*card.get("before", []), {key: card.get(key) for key in KEPT_FROM_EARLIER}]
