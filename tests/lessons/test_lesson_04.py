"""Lesson 04: right and wrong answers of its exercises, and that its claims fail on numbers that contradict them."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nstlib.course.checks import Check
from nstlib.course.claims import lesson_04 as claims
from nstlib.course.tasks import lesson_04 as solved
from nstlib.losses import gram_matrix, style_loss
from nstlib.records import Record


@pytest.fixture
def check() -> Check:
    """Checks without earlier verdicts."""
    return Check()


# --- texture loop --------------------------------------------------------------------------------------


def mean_loss(maps: Any, targets: Any, layers: Any = None) -> Tensor:
    """Return the mean relative style loss of some layers."""
    names = list(targets) if layers is None else layers
    return torch.stack([style_loss(gram_matrix(maps[n]), targets[n], "relative").sum() for n in names]).mean()


def adam_without_gradients_kept(extract: Any, targets: Any, start: Tensor, steps: int, rate: float) -> Tensor:
    """Right: autograd.grad in place of backward, and a sum in place of the mean."""
    picture = start.detach().clone()
    optimizer = torch.optim.Adam([picture.requires_grad_()], lr=rate)
    for _ in range(steps):
        loss = len(targets) * mean_loss(extract(picture), targets)
        picture.grad = torch.autograd.grad(loss, picture)[0]
        optimizer.step()
        picture.data = picture.data.clamp(0, 1)
    return picture.detach()


def lbfgs_with_closure(extract: Any, targets: Any, start: Tensor, steps: int, rate: float) -> Tensor:
    """Right: L-BFGS with a line search; the rate scales its first step."""
    picture = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([picture], lr=rate, max_iter=2)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = mean_loss(extract(picture), targets)
        torch.autograd.backward(loss)
        return loss

    for _ in range(steps):
        optimizer.step(closure)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            picture.clamp_(0, 1)
    return picture.detach()


def loop(**change: Any) -> Callable[..., Any]:
    """Return a loop that is wrong in one way."""

    def function(extract: Any, targets: Any, start: Tensor, steps: int, rate: float) -> Any:
        picture = start if "in_place" in change else start.clone()
        picture = picture.requires_grad_()
        optimizer = torch.optim.Adam([picture], lr=change.get("rate", rate))
        for _ in range(change.get("steps", steps) if "steps" in change else steps - change.get("fewer", 0)):
            loss = mean_loss(extract(picture), targets, change.get("layers"))
            optimizer.zero_grad()
            (change.get("sign", 1) * loss).backward()
            if "no_step" not in change:
                optimizer.step()
            if "no_clamp" not in change:
                with torch.no_grad():
                    picture.clamp_(0, 1)
        if "attached" in change:
            return picture
        return change["result"](picture.detach(), start) if "result" in change else picture.detach()

    return function


RIGHT_LOOPS = [solved.paint_texture, adam_without_gradients_kept, lbfgs_with_closure, loop()]

WRONG_LOOPS = {
    "changes the start": loop(in_place=True),
    "has not changed": loop(no_step=True),
    "outside [0, 1]": loop(no_clamp=True, rate=0.5),
    "'high' only went": loop(layers=["low"]),
    "only went": loop(sign=-1),
    "still requires a gradient": loop(attached=True),
    "computed activations 10 times": loop(steps=10),
    "computed activations 0 times": loop(fewer=1),
    "large steps": loop(rate=0.05),
    "a tuple": loop(result=lambda picture, start: (picture, 0.0)),
    "the shape (3,": loop(result=lambda picture, start: picture[0]),
}


@pytest.mark.parametrize("function", RIGHT_LOOPS)
def test_right_loops(check: Check, function: Callable[..., Any]) -> None:
    verdict = check.function("texture loop", function)
    assert verdict.ok, verdict.message


@pytest.mark.parametrize("words", WRONG_LOOPS)
def test_wrong_loops(check: Check, words: str) -> None:
    verdict = check.function("texture loop", WRONG_LOOPS[words])
    assert verdict.state == "wrong"
    assert words in verdict.message


def test_loops_that_are_not_written_or_return_constants(check: Check) -> None:
    assert check.function("texture loop", lambda *_: None).state == "not done yet"
    assert check.function("texture loop", lambda e, t, start, n, r: torch.full_like(start, 0.4)).state == "wrong"
    assert "raises KeyError" in check.function("texture loop", lambda e, t, s, n, r: e(s)["relu1_1"]).message


# --- copy distance -------------------------------------------------------------------------------------


def by_unfold(patches: Tensor, source: Tensor) -> Tensor:
    """Right: all places as rows."""
    side = patches.shape[-1]
    places = F.unfold(source, side)[0].T
    copies = [patches.rot90(k, (2, 3)) for k in range(4)]
    copies += [copy.flip(3) for copy in copies]
    nearest = [torch.cdist(copy.flatten(1), places).amin(1) for copy in copies]
    return torch.stack(nearest).amin(0) / math.sqrt(3 * side * side)


def by_turning_the_source(patches: Tensor, source: Tensor) -> Tensor:
    """Right: the source is turned, patch by patch."""
    side = patches.shape[-1]
    best = []
    for patch in patches:
        found = []
        for mirrored in (source, source.transpose(2, 3)):
            for k in range(4):
                places = mirrored.rot90(k, (2, 3)).unfold(2, side, 1).unfold(3, side, 1)[0]  # (3, h, w, s, s)
                found.append((places - patch[:, None, None]).square().mean((0, 3, 4)).min().sqrt())
        best.append(min(found))
    return torch.stack(best)


def copies(**change: Any) -> Callable[[Tensor, Tensor], Any]:
    """Return a copy distance that is wrong in one way."""

    def function(patches: Tensor, source: Tensor) -> Any:
        side = patches.shape[-1]
        source = source[:, :, : change.get("rows"), : change.get("columns")]
        places = F.unfold(source, side, stride=change.get("stride", 1))[0].T
        turned = [patches.rot90(k, (2, 3)) for k in change.get("turns", range(4))]
        turned += [t.flip(3) for t in turned] if change.get("mirror", True) else []
        nearest = [change.get("least", torch.amin)(torch.cdist(t.flatten(1), places), 1) for t in turned]
        found = torch.stack(nearest).amin(0) / change.get("divisor", lambda s: (3 * s * s) ** 0.5)(side)
        return change["result"](found) if "result" in change else found

    return function


WRONG_COPIES = {
    "does not recognize a quarter turn": copies(turns=[0]),
    "does not recognize a mirror image": copies(mirror=False),
    "lower right corner": copies(rows=-1),
    "right corner gets": copies(columns=-1),
    "a patch cut out": copies(least=torch.mean),
    "in the middle": copies(stride=2),
    "same factor": copies(divisor=lambda s: float(s)),
    "lacks the square root": copies(result=torch.square),
    "one number for each patch": copies(result=torch.mean),
    "a float": copies(result=lambda found: found.mean().item()),
    "the shape is": copies(result=lambda found: found[:, None]),
}


@pytest.mark.parametrize("function", [solved.copy_distance, by_unfold, by_turning_the_source, copies()])
def test_right_copy_distances(check: Check, function: Callable[..., Any]) -> None:
    verdict = check.function("copy distance", function)
    assert verdict.ok, verdict.message


@pytest.mark.parametrize("words", WRONG_COPIES)
def test_wrong_copy_distances(check: Check, words: str) -> None:
    verdict = check.function("copy distance", WRONG_COPIES[words])
    assert verdict.state == "wrong"
    assert words in verdict.message


def test_more_wrong_copy_distances(check: Check) -> None:
    def in_place(patches: Tensor, source: Tensor) -> Tensor:
        source -= 0.5
        patches -= 0.5
        return by_unfold(patches, source)

    assert "in place" in check.function("copy distance", in_place).message
    assert check.function("copy distance", lambda p, s: torch.zeros(len(p))).state == "wrong"
    assert check.function("copy distance", lambda p, s: by_unfold(p[:, :1].expand(-1, 3, -1, -1), s)).state == "wrong"
    assert check.function("copy distance", lambda p, s: ...).state == "not done yet"


def test_nearest_patch() -> None:
    source = torch.rand((1, 3, 20, 16), generator=torch.Generator().manual_seed(1))
    for copy in solved.symmetries(source[:, :, 3:9, 5:11]):
        assert torch.equal(solved.nearest_patch(copy, source), copy)


# --- shifted Gram matrix -------------------------------------------------------------------------------


def shifted_by_einsum(x: Tensor, down: int, right: int) -> Tensor:
    h, w = x.shape[2:]
    return torch.einsum("nihw,njhw->nij", x[..., : h - down, : w - right], x[..., down:, right:]) / (
        (h - down) * (w - right)
    )


def shifted_by_narrow(x: Tensor, down: int, right: int) -> Tensor:
    h, w = x.shape[2] - down, x.shape[3] - right
    here = x.narrow(2, 0, h).narrow(3, 0, w).reshape(*x.shape[:2], -1)
    there = x.narrow(2, down, h).narrow(3, right, w).reshape(*x.shape[:2], -1)
    return here.matmul(there.mT).div(h * w)


def shifted_by_products(x: Tensor, down: int, right: int) -> Tensor:
    h, w = x.shape[2:]
    here, there = x[:, :, None, : h - down, : w - right], x[:, None, :, down:, right:]
    return (here * there).mean((3, 4))


def wrong_border(x: Tensor, down: int, right: int) -> Tensor:
    here, there = x[:, :, :-down, :-right], x[:, :, down:, right:]
    return here.flatten(2) @ there.flatten(2).mT / here[0, 0].numel()


def all_positions(x: Tensor, down: int, right: int) -> Tensor:
    return shifted_by_narrow(x, down, right) * (x.shape[2] - down) * (x.shape[3] - right) / x[0, 0].numel()


WRONG_SHIFTS: dict[str, Callable[[Tensor, int, int], Any]] = {
    "raises RuntimeError": wrong_border,
    "divides by H*W": all_positions,
    "i and j are swapped": lambda x, y, z: shifted_by_narrow(x, y, z).mT,
    "down and right are swapped": lambda x, y, z: shifted_by_narrow(x, z, y),
    "nothing is shifted": lambda x, y, z: gram_matrix(x),
    "wraps around": lambda x, y, z: x.flatten(2) @ x.roll((-y, -z), (2, 3)).flatten(2).mT / x[0, 0].numel(),
    "does not divide": lambda x, y, z: shifted_by_narrow(x, y, z) * (x.shape[2] - y) * (x.shape[3] - z),
    "no gradient": lambda x, y, z: shifted_by_narrow(x.detach(), y, z),
    "shape": lambda x, y, z: shifted_by_narrow(x, y, z).sum(0),
}


@pytest.mark.parametrize("function", [shifted_by_einsum, shifted_by_narrow, shifted_by_products])
def test_right_shifts(check: Check, function: Callable[..., Any]) -> None:
    verdict = check.shifted_gram(function)
    assert verdict.ok, verdict.message


@pytest.mark.parametrize("words", WRONG_SHIFTS)
def test_wrong_shifts(check: Check, words: str) -> None:
    verdict = check.shifted_gram(WRONG_SHIFTS[words])
    assert verdict.state == "wrong"
    assert words in verdict.message


# --- choices and numbers -------------------------------------------------------------------------------

ANSWERS = {
    "what comes out of noise": "b",
    "strokes on a larger canvas": "b",
    "painted with sums": "b",
    "a very small painting": "b",
    "a start without noise": "c",
    "order of the board": "b",
    "the best optimizer": "a",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_choices(check: Check, name: str) -> None:
    for answer in "abc":
        assert check.choice(name, answer).ok == (answer == ANSWERS[name]), answer
    assert check.choice(name, "d").state == "wrong"
    assert check.choice(name, ...).state == "not done yet"


def test_numbers(check: Check) -> None:
    channels = [16, 32, 80, 128, 128]
    assert check.number("how many numbers", 20416, channels).ok
    for wrong in (sum(c * c for c in channels), sum(c * (c - 1) // 2 for c in channels), 384, 20415, 128 * 129 // 2):
        assert check.number("how many numbers", wrong, channels).state == "wrong"
    for right in (2**-0.5, 0.707, torch.tensor(0.5).sqrt()):
        assert check.number("the factor of the activations", right).ok
    for value in (0.5, 2**0.5, 2, 0.29, 0.25, 0.7):
        assert check.number("the factor of the activations", value).state == "wrong"


def test_predictions(check: Check) -> None:
    for name in (
        "distance over the level",
        "order of the wall",
        "order of the wall with shifts",
        "order with my shifts",
    ):
        assert check.prediction(name, 0.5, 0.25).ok
        assert check.prediction(name, ..., 0.25).state == "not done yet"
        assert check.prediction(name, "half", 0.25).state == "wrong"


def test_hints_do_not_contain_the_answer(check: Check) -> None:
    words = " ".join(hint for task in solved.TASKS for hint in task.hints)
    assert "0.7" not in words
    assert "20416" not in words
    assert "sqrt" not in words


# --- pictures and measures -----------------------------------------------------------------------------


def test_order_of_grids() -> None:
    assert solved.order(solved.board(128, 16), 32) > 0.95
    assert solved.order(solved.bricks(128, 8, 16, 3), 16) > 0.5
    noise = torch.rand((1, 3, 128, 128), generator=torch.Generator().manual_seed(0))
    assert abs(solved.order(noise, 32)) < 0.1
    assert solved.autocorrelation(noise)[0, 0].item() == pytest.approx(1)


# --- claims --------------------------------------------------------------------------------------------


def record(step: int, total: float, style: dict[str, float]) -> Record:
    """Return a record with only the numbers that claims read."""
    zero = SimpleNamespace(total=total, step=step, style=style)
    return zero  # type: ignore[return-value]


def fails(claim: Callable[..., None], *arguments: Any) -> None:
    """Assert that a claim does not hold."""
    with pytest.raises(AssertionError):
        claim(*arguments)


def test_claims_about_the_loop() -> None:
    claims.the_loop_paints_a_texture({"a": 0.01}, {"a": 1.0})
    fails(claims.the_loop_paints_a_texture, {"a": 0.2}, {"a": 1.0})
    picture = torch.rand((1, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    claims.nothing_is_at_its_place(picture, {"flipped": picture.flip(3)})
    fails(claims.nothing_is_at_its_place, picture, {"same": picture})
    records = [record(1, 9.0, {"a": 1.0}), record(2, 1.0, {"a": 0.005})]
    claims.all_layers_fall_and_none_reaches_zero(records, "cpu")
    fails(claims.all_layers_fall_and_none_reaches_zero, [records[0], record(2, 1.0, {"a": 0.5})], "cpu")
    fails(claims.all_layers_fall_and_none_reaches_zero, [records[0], record(2, 1.0, {"a": 0.0})], "cpu")


def test_claims_about_sums_and_copies() -> None:
    right = {"means": {"a": 1.0}, "sums": {"a": 0.71}}
    claims.sums_weaken_the_activations(right, "cpu")
    fails(claims.sums_weaken_the_activations, {**right, "sums": {"a": 0.95}}, "cpu")
    fails(claims.sums_weaken_the_activations, {**right, "means": {"a": 0.8}}, "cpu")
    distances = {**dict.fromkeys(claims.COPIES, 0.01), "our texture": 0.13, "noise": 0.3}
    claims.copies_are_found(distances, "cpu")
    for name in claims.COPIES:
        fails(claims.copies_are_found, {**distances, name: 0.1}, "cpu")
    fails(claims.copies_are_found, {**distances, "noise": 0.15}, "cpu")
    levels = {"texture, in each half": {5: 0.063, 9: 0.083}, "one half, in the other": {5: 0.067, 9: 0.087}}
    claims.the_texture_is_about_as_far_as_the_halves(levels, "cpu")
    fails(
        claims.the_texture_is_about_as_far_as_the_halves,
        {**levels, "texture, in each half": {5: 0.05, 9: 0.083}},
        "cpu",
    )


def test_claims_about_small_paintings() -> None:
    found = {(32, 5): 0.55, (32, 2): 0.1, (64, 5): 0.3}
    claims.the_layout_returns_when_numbers_outnumber_pixels(found, 0.05, "cpu")
    fails(claims.the_layout_returns_when_numbers_outnumber_pixels, {**found, (32, 2): 0.5}, 0.05, "cpu")
    fails(claims.the_layout_returns_when_numbers_outnumber_pixels, {**found, (32, 5): 0.2}, 0.05, "cpu")
    fails(claims.the_layout_returns_when_numbers_outnumber_pixels, {**found, (64, 5): 0.6}, 0.05, "cpu")
    fails(claims.the_layout_returns_when_numbers_outnumber_pixels, found, 0.5, "cpu")


def test_claims_about_the_start() -> None:
    frame = torch.ones(64, 64)
    frame[20:-20, 20:-20] = 0
    claims.from_gray_only_the_border_differs({"gray": frame, "noise": torch.ones(64, 64)})
    fails(claims.from_gray_only_the_border_differs, {"gray": torch.ones(64, 64), "noise": torch.ones(64, 64)})
    fails(claims.from_gray_only_the_border_differs, {"gray": frame, "noise": frame})

    def run(first: float, best: float) -> Any:
        return SimpleNamespace(records=[record(1, first, {})], best=record(2, best, {}))

    claims.all_starts_end_with_nearly_the_same_loss(
        {"right mean, weak noise": run(5, 1), "full noise": run(9, 1.05)}, "cpu"
    )
    for weak in (run(10, 1), run(5, 2)):
        fails(
            claims.all_starts_end_with_nearly_the_same_loss,
            {"right mean, weak noise": weak, "full noise": run(9, 1)},
            "cpu",
        )


def test_claims_about_order() -> None:
    grid = {"board": solved.board(64, 8)}
    noise = {"board": torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))}
    claims.gram_matrices_lose_the_grid(grid, noise, {"board": 16})
    fails(claims.gram_matrices_lose_the_grid, grid, grid, {"board": 16})
    fails(claims.gram_matrices_lose_the_grid, noise, noise, {"board": 16})
    orders = {
        "Gram matrices": {"wall": 0.02, "board": -0.07},
        "shifted": {"wall": 0.5, "board": -0.05},
        "coarse to fine": {"board": 0.02},
        "both": {"board": 0.56},
    }
    claims.shifts_restore_the_wall_and_not_the_board(orders, "cpu")
    fails(claims.shifts_restore_the_wall_and_not_the_board, {**orders, "shifted": {"wall": 0.2, "board": 0.0}}, "cpu")
    fails(claims.shifts_restore_the_wall_and_not_the_board, {**orders, "shifted": {"wall": 0.5, "board": 0.4}}, "cpu")
    claims.both_remedies_together_restore_most_order(orders, "cpu")
    fails(claims.both_remedies_together_restore_most_order, {**orders, "both": {"board": 0.1}}, "cpu")
    fails(claims.both_remedies_together_restore_most_order, {**orders, "coarse to fine": {"board": 0.5}}, "cpu")
    claims.chosen_shifts_give_the_board_more_order(0.25, -0.05, "cpu")
    fails(claims.chosen_shifts_give_the_board_more_order, 0.0, -0.05, "cpu")


def test_claims_about_optimizers() -> None:
    lowest = {("lbfgs", 1.0): 45.0, ("adam", 0.02): 147.0, ("adam", 0.08): 55.0, ("sign", 0.02): 300.0}
    claims.the_best_rate_of_adam_comes_near_lbfgs_and_the_sign_does_not(lowest, "cpu")
    for change in ({("sign", 0.02): 60.0}, {("adam", 0.08): 40.0}, {("adam", 0.02): 60.0}, {("lbfgs", 1.0): 20.0}):
        fails(claims.the_best_rate_of_adam_comes_near_lbfgs_and_the_sign_does_not, {**lowest, **change}, "cpu")
