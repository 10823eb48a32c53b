"""A whole transfer, with the loss after each evaluation judged in float32: ``python -m benchmarks.race '{...}'``.

Time runs from the two pictures in memory to the painting, with the network and its targets; copying pictures for the
judge and judging them are not counted.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from torch import Tensor

import nstlib
from nstlib import get_preset
from nstlib.runtime import pick_device
from nstlib.initialization import make_init

from .plain import PlainTransfer
from .worker import pictures, weights_of


class Watch:
    """Keeps every ``every``-th picture of the full size with the seconds that led to it."""

    def __init__(self, size: tuple[int, int], every: int) -> None:
        self.size, self.every = size, every
        self.kept: list[tuple[float, Tensor]] = []
        self.calls, self.lost, self.begin = 0, 0.0, time.perf_counter()

    def see(self, picture: Tensor) -> None:
        now = time.perf_counter()
        self.calls += 1
        if tuple(picture.shape[2:]) == self.size and self.calls % self.every == 0:
            self.kept.append((now - self.begin - self.lost, picture.detach().clone()))
        self.lost += time.perf_counter() - now


def race(
    how: str, which: str, size: tuple[int, int], steps: int, device: torch.device,
    scales: int = 1, every: int = 4, start: str = "content", exact: str | None = None,
    more: int = 0, pair: tuple[str, str] = ("chelsea", "waves"),
) -> dict:  # fmt: skip
    """``more``: evaluations at the full size that follow, from the painting of the ones before."""
    if min(size) > 64:
        race(how, which, (64, 64), 3, device, float32_until=exact)  # loads what only the first run of a process loads
    content, style = pictures(size, torch.device("cpu"), pair)
    state, preset = weights_of(which), get_preset("course")
    watch = Watch(size, every)
    if how == "plain":
        there = content.to(device)
        first = make_init(start, content, tuple(content.shape)).to(device)
        PlainTransfer(state, there, style.to(device)).run(first, steps, lambda _, x: watch.see(x))
    else:
        features = nstlib.VGGFeatures(weights=state, pooling=preset.pooling, device=device, float32_until=exact)
        options = {"features": features, "callback": lambda record: watch.see(record._picture())}
        painted = nstlib.transfer(content, style, "course", steps=steps, scales=scales, init=start, **options)
        if more:
            nstlib.transfer(content, style, "course", steps=more, init=painted.image, **options)
    seconds = time.perf_counter() - watch.begin - watch.lost
    float32 = nstlib.VGGFeatures(weights=state, pooling=preset.pooling, precision="float32", device=device)
    judge = nstlib.Objective(preset, float32, content.to(device), style.to(device))
    with torch.no_grad():
        losses = [(round(t, 4), judge(x.clamp(0, 1).to(device)).item()) for t, x in watch.kept]
    return {"seconds": seconds, "evaluations": watch.calls, "losses": losses}


if __name__ == "__main__":
    spec = json.loads(sys.argv[1])
    spec["size"], spec["device"] = tuple(spec["size"]), pick_device(spec.get("device"))
    print(json.dumps(race(**spec)))
