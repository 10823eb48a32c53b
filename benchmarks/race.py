"""A whole transfer, with the loss after its evaluations in float32: ``python -m benchmarks.race '{...}'``.

The measured time begins with the two pictures in memory and ends with the painting; it includes making the network and
its targets. Copying pictures and computing their losses afterwards are not counted.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import nstlib
from nstlib import get_preset
from nstlib.initialization import make_init
from nstlib.runtime import pick_device

from .plain import PlainTransfer
from .worker import pictures, weights_of


class SnapshotRecorder:
    """Copies of every ``every``-th picture of the final size, with the seconds that led to it.

    Attributes:
        snapshots: The copies, as (seconds, picture).
        calls: Number of evaluations so far.
    """

    def __init__(self, size: tuple[int, int], every: int) -> None:
        self.size, self.every = size, every
        self.snapshots: list[tuple[float, Tensor]] = []
        self.calls = 0
        self.own_seconds = 0.0
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the start, without the recorder's own work."""
        return time.perf_counter() - self.started - self.own_seconds

    def add(self, get_picture: Callable[[], Tensor]) -> None:
        """Count an evaluation, and copy its picture if it is due and has the final size."""
        now = time.perf_counter()
        self.calls += 1
        if self.calls % self.every == 0:
            picture = get_picture()
            if tuple(picture.shape[2:]) == self.size:
                self.snapshots.append((now - self.started - self.own_seconds, picture.detach().clone()))
        self.own_seconds += time.perf_counter() - now


def race(
    how: str,
    weights: str,
    size: tuple[int, int],
    steps: int,
    device: torch.device,
    *,
    scales: int = 1,
    every: int = 4,
    init: str = "content",
    float32_until: str | None = None,
    extra_steps: int = 0,
    pair: tuple[str, str] = ("chelsea", "waves"),
) -> dict[str, Any]:
    """Paint a picture and return its seconds, evaluations and losses.

    Args:
        how: "plain" for the code as taught, "ours" for the library.
        weights: "full" or "compact".
        size: (height, width).
        steps: Evaluations; with several scales, of the first one.
        device: Where it runs.
        scales: Number of sizes, coarse to fine; "ours" only.
        every: Evaluations between two losses.
        init: The first picture.
        float32_until: See ``VGGFeatures``; "ours" only.
        extra_steps: Evaluations at the full size that continue from the painting; "ours" only.
        pair: Names of the content and the style.

    Returns:
        "seconds", "evaluations" and "losses", a list of (seconds, loss).
    """
    if min(size) > 64:
        # the first run in a process loads libraries, which must not be counted
        race(how, weights, (64, 64), 3, device, float32_until=float32_until)
    content, style = pictures(size, torch.device("cpu"), pair)
    state, preset = weights_of(weights), get_preset("course")
    recorder = SnapshotRecorder(size, every)
    if how == "plain":
        plain = PlainTransfer(state, content.to(device), style.to(device))
        first = make_init(init, content, tuple(content.shape)).to(device)
        plain.run(first, steps, lambda _, picture: recorder.add(lambda: picture))
    else:
        features = nstlib.VGGFeatures(weights=state, pooling=preset.pooling, device=device, float32_until=float32_until)
        options = {"features": features, "callback": lambda record: recorder.add(lambda: record.image)}
        painted = nstlib.transfer(content, style, "course", steps=steps, scales=scales, init=init, **options)
        if extra_steps:
            nstlib.transfer(content, style, "course", steps=extra_steps, init=painted.image, **options)
    seconds = recorder.seconds
    losses = float32_losses(recorder.snapshots, state, content.to(device), style.to(device))
    return {"seconds": seconds, "evaluations": recorder.calls, "losses": losses}


@torch.no_grad()
def float32_losses(
    snapshots: list[tuple[float, Tensor]], state: dict[str, Tensor], content: Tensor, style: Tensor
) -> list[tuple[float, float]]:
    """Return (seconds, loss of the course preset in float32) of each snapshot."""
    preset, device = get_preset("course"), content.device
    features = nstlib.VGGFeatures(weights=state, pooling=preset.pooling, precision="float32", device=device)
    objective = nstlib.Objective(preset, features, content, style)
    return [(round(seconds, 4), objective(image.clamp(0, 1).to(device)).item()) for seconds, image in snapshots]


if __name__ == "__main__":
    spec = json.loads(sys.argv[1])
    spec["size"], spec["device"] = tuple(spec["size"]), pick_device(spec.get("device"))
    print(json.dumps(race(**spec)))
