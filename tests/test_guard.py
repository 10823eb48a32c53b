"""The spike of a loss curve: what brings it about, and a hundred starts that survive it.

The PyTorch tutorial's loop runs L-BFGS with full steps, no line search, and clamps the picture inside the closure.
L-BFGS trusts the curvature that it saw in a tiny step, or in one that the clamp has cut short behind its back, and
turns the whole picture over at once: the loss jumps by a factor of a thousand to a million.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median

import pytest
import torch

from nstlib import Objective, VGGFeatures, get_preset, resize, synthesize
from nstlib.data import gallery
from nstlib.initialization import make_init
from nstlib.optimize import MAX_STEP

SIDE, STEPS, HISTORY, SEEDS = 32, 40, 10, 100


@pytest.fixture(scope="module")
def objective() -> Objective:
    preset = get_preset("pytorch_tutorial")
    features = VGGFeatures(weights="compact", pooling=preset.pooling, precision="float32")
    content, style = gallery.content("chelsea", SIDE), resize(gallery.style("stained_glass"), SIDE)
    return Objective(preset, features, content, style)


def first_picture(seed: int) -> torch.Tensor:
    content = gallery.content("chelsea", SIDE)
    return make_init("content+noise", content, tuple(content.shape), seed)


def by_torch(objective: Objective, start: torch.Tensor, line_search: str | None = None, clamp: bool = True) -> list:
    """The loop of the tutorial: torch's L-BFGS as it comes, and a clamp where the loss is computed."""
    x = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([x], history_size=HISTORY, line_search_fn=line_search)
    losses: list[float] = []

    def closure() -> torch.Tensor:
        if clamp:
            with torch.no_grad():
                x.clamp_(0, 1)
        optimizer.zero_grad()
        loss = objective(x).sum()
        loss.backward()
        losses.append(loss.item())
        return loss

    while len(losses) < STEPS:
        optimizer.step(closure)
    return losses[:STEPS]


def by_us(objective: Objective, start: torch.Tensor, guard: bool = True) -> list:
    result = synthesize(objective, start, steps=STEPS, history=HISTORY, guard=guard)
    return [r.total for r in result.records]


def highest_jump(losses: list[float]) -> float:
    """The largest factor by which a loss exceeds the best before it."""
    return max(loss / min(losses[:i]) for i, loss in enumerate(losses) if i)


def test_the_condition_brings_the_spike(objective):
    """Full steps spike from nearly every start; a line search alone makes them calm."""
    spiked = [highest_jump(by_torch(objective, first_picture(seed))) for seed in range(10)]
    assert sum(jump > 100 for jump in spiked) >= 8, spiked
    calm = [highest_jump(by_torch(objective, first_picture(s), "strong_wolfe", clamp=False)) for s in range(10)]
    assert max(calm) < 10, calm


def test_a_hundred_starts_survive(objective):
    """None ends non-finite, none spikes, and the median final loss is that of the calm runs, or better."""
    guarded = [by_us(objective, first_picture(seed)) for seed in range(SEEDS)]
    assert all(math.isfinite(loss) for losses in guarded for loss in losses)
    assert max(highest_jump(losses) for losses in guarded) < 10
    calm = [by_torch(objective, first_picture(s), "strong_wolfe", clamp=False)[-1] for s in range(0, SEEDS, 5)]
    assert median(losses[-1] for losses in guarded) <= 1.1 * median(calm)


@pytest.mark.parametrize("guard", [True, False])
def test_the_guard_shortens_steps_that_turn_the_picture_over(objective, guard):
    seen = []
    synthesize(objective, first_picture(0), steps=6, guard=guard, callback=lambda r: seen.append(r.image))
    steps = [(b - a).abs().mean().item() for a, b in pairwise(seen)]
    assert max(steps) <= 1.01 * MAX_STEP if guard else max(steps) > 0.3, steps
