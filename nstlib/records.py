"""What a run reports: one ``Record`` per evaluation, and a ``Result`` at the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from .errors import SettingError


@dataclass
class Record:
    """One evaluation of the loss.

    Attributes:
        step: Number of the evaluation, counted from 1.
        seconds: Time since the run began.
        total: Total loss, the sum of the next three. Over a batch, losses are summed.
        content_total: Weighted content loss.
        style_total: Weighted style loss.
        tv_total: Weighted total variation.
        content: Content loss by layer, before layer weights and content weight.
        style: Style loss by layer, before layer weights and style weight.
        note: What else happened, for example that the loss diverged.
        size: (width, height) of the picture in pixels; smaller than the result at coarse scales.
        get_image: Returns ``image``; None outside the callback.
    """

    step: int
    seconds: float
    total: float
    content_total: float
    style_total: float
    tv_total: float
    content: dict[str, float]
    style: dict[str, float]
    note: str = ""
    size: tuple[int, int] = (0, 0)
    get_image: Callable[[], Tensor] | None = field(default=None, repr=False, compare=False)

    @property
    def image(self) -> Tensor:
        """A copy of the measured picture, (N, 3, H, W) on the CPU; available inside the callback only.

        Raises:
            SettingError: The callback has returned.
        """
        if self.get_image is None:
            raise SettingError("the picture of a record is only there inside the callback; copy it there.")
        return self.get_image()

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as plain data, without the picture."""
        data = asdict(replace(self, get_image=None))
        del data["get_image"]
        return data


Callback = Callable[[Record], object]
"""Called once per evaluation or training step; returning False stops the run."""


def check_callback(callback: Callback | None) -> None:
    """Raise SettingError for a callback that cannot be called; None means that there is none."""
    if callback is not None and not callable(callback):
        raise SettingError(
            f"callback is of the type {type(callback).__name__}; give a function of one Record, or None."
        )


def call_with_image(callback: Callback, record: Record, get_image: Callable[[], Tensor]) -> bool:
    """Call ``callback`` while ``record.image`` is available; return whether the run should go on."""
    record.get_image = get_image
    try:
        return callback(record) is not False
    finally:
        record.get_image = None


def offset_callback(callback: Callback | None, steps: int, seconds: float) -> Callback:
    """Return a callback that adds the steps and seconds of the earlier runs to each record, then calls ``callback``."""

    def call(record: Record) -> object:
        record.step += steps
        record.seconds += seconds
        return None if callback is None else callback(record)

    return call


@dataclass
class Result:
    """The best picture of a run and how it came about.

    Attributes:
        image: The picture with the smallest loss, (N, 3, H, W), RGB in [0, 1], on the CPU. In a batch each picture is
            the one with its own smallest loss, while a record sums over the batch.
        records: One per evaluation, in order.
        seconds: Duration of the run.
        stopped: "finished", "interrupted" (Ctrl-C), "callback" (it returned False) or "diverged" (the guard gave up).
        rollbacks: How often the guard returned to the best picture.
        settings: What ran, as plain data; optimizer and learning rate are those of the last scale.
    """

    image: Tensor
    records: list[Record]
    seconds: float
    stopped: str
    rollbacks: int
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def best(self) -> Record:
        """The record with the smallest total at the last scale; totals of different sizes do not compare.

        Raises:
            SettingError: The run ended before its first evaluation.
        """
        if not self.records:
            raise SettingError("the run ended before its first evaluation, so there is no best record; run it again.")
        last = [r for r in self.records if r.size == self.records[-1].size]
        return min(last, key=lambda r: r.total if math.isfinite(r.total) else math.inf)

    def report(self) -> dict[str, Any]:
        """Return settings, losses and seconds as plain data, ready for JSON."""
        return {
            "settings": self.settings,
            "seconds": round(self.seconds, 3),
            "evaluations": len(self.records),
            "stopped": self.stopped,
            "rollbacks": self.rollbacks,
            "best": self.best.as_dict() if self.records else None,
            "records": [r.as_dict() for r in self.records],
        }
