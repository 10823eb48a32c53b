"""Lesson 05: its exercises with right and wrong answers, its questions, and its claims."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nstlib import content_loss, gram_matrix, style_loss, total_variation
from nstlib.course.checks import OPEN, RIGHT, WRONG, Check, Verdict
from nstlib.course.claims import lesson_05 as claims
from nstlib.course.tasks import lesson_05 as tasks
from nstlib.course.tasks.kinds import Choice

Answer = Callable[..., Any]


@pytest.fixture
def check() -> Check:
    return Check()


def assert_wrong(verdict: Verdict, words: str) -> None:
    """Assert that the verdict is "wrong", with these words."""
    assert verdict.state == WRONG, verdict
    assert words in verdict.message, verdict.message
    assert "\n" not in verdict.message


# --- reading the layers --------------------------------------------------------------------------------


def read_by_hooks(network: nn.Sequential, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, inputs: object, output: Tensor) -> None:
        found[name] = output

    modules = dict(network.named_children())
    handles = [modules[name].register_forward_hook(partial(keep, name)) for name in layers]
    network(x)
    for handle in handles:
        handle.remove()
    return found


def read_by_index(network: nn.Sequential, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    names = [name for name, _ in network.named_children()]
    return {layer: network[: names.index(layer) + 1](x) for layer in layers}


def read_with_leftover_hooks(network: nn.Sequential, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, module in network.named_children():
        if name in layers:
            module.register_forward_hook(lambda m, i, o, name=name: found.update({name: o}))
    network(x)
    return found


def read_before(network: nn.Sequential, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    found = {}
    for name, module in network.named_children():
        if name in layers:
            found[name] = x
        x = module(x)
    return found


def read_each_from_the_picture(network: nn.Sequential, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    return {name: module(x) for name, module in network.named_children() if name in layers}


def read_all(network: nn.Sequential, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    found = {}
    for name, module in network.named_children():
        found[name] = x = module(x)
    return found


def read_detached(network: nn.Sequential, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    return {name: maps.detach() for name, maps in tasks.read_layers(network, x, layers).items()}


def read_in_network_order(network: nn.Sequential, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    return dict(zip(layers, tasks.read_layers(network, x, layers).values()))


def read_as_list(network: nn.Sequential, x: Tensor, layers: Iterable[str]) -> list[Tensor]:
    return list(tasks.read_layers(network, x, layers).values())


def read_first_only(network: nn.Sequential, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    for name, module in network.named_children():
        x = module(x)
        if name in layers:
            return {name: x}
    return {}


@pytest.mark.parametrize("answer", [tasks.read_layers, read_by_hooks, read_by_index])
def test_right_readings(check: Check, answer: Answer) -> None:
    assert check.function("read the layers", answer).state == RIGHT


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (read_with_leftover_hooks, "hooks stay"),
        (read_before, "may be its input"),
        (read_each_from_the_picture, "raises RuntimeError"),
        (read_all, "not asked for"),
        (read_detached, "no gradient"),
        (read_in_network_order, "is not the shape"),
        (read_as_list, "a dictionary"),
        (read_first_only, "is missing"),
    ],
)
def test_wrong_readings(check: Check, answer: Answer, words: str) -> None:
    assert_wrong(check.function("read the layers", answer), words)


# --- the total loss ------------------------------------------------------------------------------------

Targets = Mapping[str, Tensor]


def written_out(
    read: Answer, x: Tensor, content: Targets, grams: Targets, alpha: float, beta: float, gamma: float
) -> Tensor:
    maps = read(x, list(content) + list(grams))
    c = sum(((maps[n] - t) ** 2).sum((1, 2, 3)) / (t**2).sum((1, 2, 3)) for n, t in content.items())
    e = 0.0
    for name, target in grams.items():
        rows = maps[name].flatten(2)
        gram = rows @ rows.mT / rows.shape[2]
        e = e + ((gram - target) ** 2).sum((1, 2)) / (target**2).sum((1, 2)) / len(grams)
    down, right = x[:, :, 1:] - x[:, :, :-1], x[..., 1:] - x[..., :-1]
    return alpha * c / len(content) + beta * e + gamma * ((down**2).mean((1, 2, 3)) + (right**2).mean((1, 2, 3)))


def separately_read(read: Answer, x: Tensor, content: Targets, grams: Targets, a: float, b: float, g: float) -> Tensor:
    contents = [content_loss(read(x, [n])[n], t, "relative") for n, t in content.items()]
    styles = [style_loss(gram_matrix(read(x, [n])[n]), t, "relative") for n, t in grams.items()]
    return a * torch.stack(contents).mean(0) + b * torch.stack(styles).mean(0) + g * total_variation(x)


def changed_total(change: str) -> Answer:
    """Return a wrong total loss."""

    def total(
        read: Answer, x: Tensor, content: Targets, grams: Targets, alpha: float, beta: float, gamma: float
    ) -> Any:
        y = x.detach() if change == "detached" else x
        maps = read(y, [*content, *grams])
        c = torch.stack([content_loss(maps[n], t, "relative") for n, t in content.items()]).mean(0)
        styles = torch.stack([style_loss(gram_matrix(maps[n]), t, "relative") for n, t in grams.items()])
        e, v = styles.mean(0), total_variation(x)
        if change == "absolute":
            c = torch.stack([content_loss(maps[n], t, "sum") for n, t in content.items()]).mean(0)
        results = {
            "no variation": alpha * c + beta * e,
            "no style": alpha * c + gamma * v,
            "content sum": alpha * len(content) * c + beta * e + gamma * v,
            "mixed": (alpha * c + beta * e).mean() + gamma * v,
            "exchanged": beta * c + alpha * e + gamma * v,
            "unweighted": c + e + v,
            "fixed": 100 * c + 1e4 * e + 1e3 * v,
            "style sum": alpha * c + beta * styles.sum(0) + gamma * v,
            "fifths": alpha * c + beta * 0.2 * styles.sum(0) + gamma * v,
            "one number": (alpha * c + beta * e + gamma * v).mean(),
            "item": (alpha * c + beta * e + gamma * v).sum().item(),
            "minus": alpha * c - beta * e + gamma * v,
            "part detached": alpha * c.detach() + beta * e + gamma * v,
        }
        return results.get(change, alpha * c + beta * e + gamma * v)

    return total


@pytest.mark.parametrize("answer", [tasks.total_loss, written_out, separately_read])
def test_right_totals(check: Check, answer: Answer) -> None:
    assert check.function("the total loss", answer).state == RIGHT


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("no variation", "total variation is missing"),
        ("no style", "style loss is missing"),
        ("exchanged", "exchanged"),
        ("unweighted", "not used"),
        ("fixed", "fixed"),
        ("style sum", "counts more"),
        ("content sum", "content layer counts more"),
        ("mixed", "mixed"),
        ("fifths", "a fifth"),
        ("one number", "for each picture"),
        ("item", "for each picture"),
        ("minus", "not the weighted sum"),
        ("absolute", "not the weighted sum"),
        ("detached", "gradient"),
        ("part detached", "gradient"),
    ],
)
def test_wrong_totals(check: Check, change: str, words: str) -> None:
    assert_wrong(check.function("the total loss", changed_total(change)), words)


# --- the loop ------------------------------------------------------------------------------------------


def loop_with_lists(total: Answer, start: Tensor, steps: int) -> tuple[Tensor, list[float]]:
    """Keep all pictures and choose at the end."""
    x = nn.Parameter(start.clone())
    lbfgs = torch.optim.LBFGS([x], max_iter=1, tolerance_grad=0, tolerance_change=0)
    seen: list[Tensor] = []
    losses: list[float] = []

    def closure() -> Tensor:
        loss = total(x)[0]
        (x.grad,) = torch.autograd.grad(loss, x)
        seen.append(x.detach().clone())
        losses.append(loss.item())
        return loss

    for _ in range(steps):
        lbfgs.step(closure)
        x.data.clamp_(0, 1)
    return seen[losses.index(min(losses))], losses


def loop_that_clamps_first(total: Answer, start: Tensor, steps: int) -> tuple[Tensor, list[float]]:
    """Clamp at the beginning of the closure, as the tutorial does."""
    x = start.clone().requires_grad_()
    lbfgs = torch.optim.LBFGS([x], max_iter=1, history_size=20)
    best, lowest, losses = start, math.inf, []

    def closure() -> Tensor:
        nonlocal best, lowest
        with torch.no_grad():
            x.clamp_(0, 1)
        lbfgs.zero_grad()
        loss = total(x).sum()
        loss.backward()
        losses.append(loss.item())
        if losses[-1] < lowest:
            best, lowest = x.detach().clone(), losses[-1]
        return loss

    while len(losses) < steps:
        lbfgs.step(closure)
    return best, losses


def changed_loop(change: str) -> Answer:
    """Return a wrong loop."""

    def loop(total: Answer, start: Tensor, steps: int) -> Any:
        x = start.requires_grad_() if change == "in place" else start.clone().requires_grad_()
        optimizer: torch.optim.Optimizer = torch.optim.LBFGS([x], max_iter=20 if change == "twenty" else 1)
        if change == "adam":
            optimizer = torch.optim.Adam([x], lr=0.02)
        best, losses = start.clone(), []

        def closure() -> Tensor:
            nonlocal best
            if change != "gradients added":
                optimizer.zero_grad()
            loss = total(x).sum()
            loss.backward()
            if not losses or loss.item() < min(losses):
                best = x.detach() if change == "no clone" else x.detach().clone()
            losses.append(loss.item())
            return loss

        for i in range(steps):
            if change == "new optimizer":
                optimizer = torch.optim.LBFGS([x], max_iter=1)
            optimizer.step(closure)
            if change != "no clamp":
                x.detach().clamp_(0, 1)
            if change == "after the step" and losses[-1] == min(losses):
                best = x.detach().clone()
            if change == "off by one" and i == steps - 2:
                break
        results = {
            "last": x.detach().clone(),
            "first": start.clone(),
            "graph": x,
            "swapped": None,
        }
        if change == "swapped":
            return losses, best
        if change == "tensors":
            return best, [torch.tensor(loss) for loss in losses]
        if change == "picture only":
            return best
        if change == "sorted":
            return best, sorted(losses, reverse=True)
        return results.get(change, best), losses

    return loop


@pytest.mark.parametrize("answer", [tasks.lbfgs_loop, loop_with_lists, loop_that_clamps_first])
def test_right_loops(check: Check, answer: Answer) -> None:
    verdict = check.function("the loop with L-BFGS", answer)
    assert verdict.state == RIGHT, verdict


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("last", "smallest loss"),
        ("no clone", "smallest loss"),
        ("after the step", "after the step"),
        ("first", "first picture"),
        ("graph", "graph"),
        ("in place", "first picture"),
        ("twenty", "called"),
        ("off by one", "called"),
        ("adam", "more slowly"),
        ("new optimizer", "more slowly"),
        ("gradients added", "loss"),
        ("no clamp", "leave [0, 1]"),
        ("swapped", "not a picture"),
        ("tensors", "plain numbers"),
        ("picture only", "are expected"),
        ("sorted", "every evaluation"),
    ],
)
def test_wrong_loops(check: Check, change: str, words: str) -> None:
    assert_wrong(check.function("the loop with L-BFGS", changed_loop(change)), words)


# --- the weight for a goal -----------------------------------------------------------------------------


def weight_by_exponent(measure: Answer, goal: float, low: float, high: float, tries: int) -> float:
    a, b = math.log10(low), math.log10(high)
    for _ in range(tries):
        if measure(10 ** ((a + b) / 2)) > goal:
            a = (a + b) / 2
        else:
            b = (a + b) / 2
    return 10 ** ((a + b) / 2)


def weight_by_best(measure: Answer, goal: float, low: float, high: float, tries: int) -> float:
    seen: dict[float, float] = {}
    while len(seen) < tries:
        weight = (low * high) ** 0.5
        seen[weight] = measure(weight)
        low, high = (weight, high) if seen[weight] > goal else (low, weight)
    return min(seen, key=lambda w: abs(seen[w] - goal))


def weight_by_halving_the_difference(measure: Answer, goal: float, low: float, high: float, tries: int) -> float:
    middle = (low + high) / 2
    for _ in range(tries):
        middle = (low + high) / 2
        low, high = (middle, high) if measure(middle) > goal else (low, middle)
    return middle


def weight_with_wrong_side(measure: Answer, goal: float, low: float, high: float, tries: int) -> float:
    middle = low
    for _ in range(tries):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if measure(middle) < goal else (low, middle)
    return middle


def weight_on_a_grid(measure: Answer, goal: float, low: float, high: float, tries: int) -> float:
    grid = [low * (high / low) ** (i / (tries - 1)) for i in range(tries)]
    return min(grid, key=lambda w: abs(measure(w) - goal))


def weight_with_many_tries(measure: Answer, goal: float, low: float, high: float, tries: int) -> float:
    return tasks.find_weight(measure, goal, low, high, 40)


def weight_with_few_tries(measure: Answer, goal: float, low: float, high: float, tries: int) -> float:
    return tasks.find_weight(measure, goal, low, high, 3)


def weight_without_end(measure: Answer, goal: float, low: float, high: float, tries: int) -> float:
    while measure((low * high) ** 0.5) != goal:
        pass
    return low


def weight_until_it_fits(measure: Answer, goal: float, low: float, high: float, tries: int) -> float:
    weight = 0.0
    for _ in range(60):  # stands for an endless loop
        weight = math.sqrt(low * high)
        loss = measure(weight)
        if abs(loss / goal - 1) < 0.03:
            break
        low, high = (weight, high) if loss > goal else (low, weight)
    return weight


def weight_as_loss(measure: Answer, goal: float, low: float, high: float, tries: int) -> float:
    return float(measure(tasks.find_weight(measure, goal, low, high, tries - 1)))


@pytest.mark.parametrize("answer", [tasks.find_weight, weight_by_exponent, weight_by_best])
def test_right_weights(check: Check, answer: Answer) -> None:
    assert check.function("a weight for a goal", answer).state == RIGHT


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (weight_by_halving_the_difference, "powers of ten"),
        (weight_with_wrong_side, "the goal"),
        (weight_on_a_grid, "the goal"),
        (weight_with_many_tries, "measures 40 times"),
        (weight_with_few_tries, "the goal"),
        (weight_without_end, "200 measurements"),
        (weight_until_it_fits, "no weight meets the goal"),
        (weight_as_loss, "range"),
        (lambda measure, goal, low, high, tries: 100.0, "nothing is measured"),
    ],
)
def test_wrong_weights(check: Check, answer: Answer, words: str) -> None:
    assert_wrong(check.function("a weight for a goal", answer), words)


# --- the signed step -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        tasks.signed_step,
        lambda x, g, e: torch.clamp(x - e * torch.sign(g), min=0, max=1),
        lambda x, g, e: torch.where(g > 0, x - e, torch.where(g < 0, x + e, x)).clamp(0, 1),
    ],
)
def test_right_steps(check: Check, answer: Answer) -> None:
    assert check.function("signed step", answer).state == RIGHT


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x, g, e: (x + e * g.sign()).clamp(0, 1), "up the gradient"),
        (lambda x, g, e: (x - e * g).clamp(0, 1), "equally far"),
        (lambda x, g, e: x - e * g.sign(), "leave [0, 1]"),
        (lambda x, g, e: x.sub_(e * g.sign()).clamp_(0, 1), "in place"),
        (lambda x, g, e: (x - e * g / g.norm()).clamp(0, 1), "length 1"),
        (lambda x, g, e: (x - e * ((g > 0) * 2.0 - 1)).clamp(0, 1), "gradient is 0"),
        (lambda x, g, e: (x - 0.02 * g.sign()).clamp(0, 1), "values"),
        (lambda x, g, e: x.clone(), "unchanged"),
    ],
)
def test_wrong_steps(check: Check, answer: Answer, words: str) -> None:
    assert_wrong(check.function("signed step", answer), words)


@pytest.mark.parametrize(
    "name", ["read the layers", "the total loss", "the loop with L-BFGS", "a weight for a goal", "signed step"]
)
def test_unanswered_functions_are_not_done_yet(check: Check, name: str) -> None:
    assert check.function(name, ...).state == OPEN
    assert check.function(name, lambda *arguments: None).state == OPEN


# --- questions -----------------------------------------------------------------------------------------

ANSWERS = {
    "two losses from one start": "c",
    "digits that agree": "b",
    "forces at the end": "b",
    "all weights times ten": "c",
    "smallest loss of four starts": "a",
    "where the tutorial's picture is farthest": "c",
    "a painting of another shape": "b",
}


def test_every_question_is_tested() -> None:
    assert {task.name for task in tasks.TASKS if isinstance(task, Choice)} == set(ANSWERS)


@pytest.mark.parametrize("name", ANSWERS)
def test_choices(check: Check, name: str) -> None:
    for answer in "abc":
        verdict = check.choice(name, answer)
        assert verdict.ok == (answer == ANSWERS[name]), verdict
        if not verdict.ok:
            assert f'"{ANSWERS[name]}"' not in verdict.message
    assert check.choice(name, ...).state == OPEN


# --- claims --------------------------------------------------------------------------------------------

LINES = {"content": {1: 9.0, 50: 9.0}, "style": {1: 9.0, 50: 9.0}, "both together": {1: 9.0, 50: 20.0}}
PRICES = {("content", "1"): (0.3, 0.2), ("noise", "1"): (0.2, 0.1)}
CONTRADICTIONS: dict[str, tuple[Any, ...]] = {
    "both_losses_cost_something": ({"c": (0.1, 2.0), "s": (2.0, 0.1), "both": (0.05, 0.2)},),
    "without_its_term_the_variation_is_larger": ([1.0, 1.0],),
    "the_own_program_paints": ([9.0, 5.0], (0.1, 0.9), (0.3, 0.1)),
    "the_first_losses_agree_to_the_last_digits": (
        {"float32": {1: 1e-2, 2: 1e-2, 3: 1e-2}, "float64": {1: 1e-9, 2: 1e-9, 3: 1e-2}},
        "cpu",
    ),
    "the_jump_follows_the_first_clamped_pixel": ({1: 1e-9, 2: 1e-3, 3: 1e-3}, 3),
    "both_programs_end_close": ([100.0, 50.0], [100.0, 90.0], "cpu"),
    "the_forces_turn_against_each_other": ({1: 0.0, 50: -0.1}, LINES, "cpu"),
    "only_the_ratio_of_the_weights_counts": ([("", 0.5, 0.1, 0.0), ("", 0.5, 0.1, 0.1), ("", 0.2, 0.1, 0.1)],),
    "the_ratio_trades_one_loss_for_the_other": (
        {(s, r): (0.5, 0.1) for s in ("content", "noise") for r in "123"},
        list("123"),
    ),
    "the_start_at_the_photo_is_below": (PRICES, "cpu"),
    "ten_times_the_weight_is_less_than_a_tenth_of_the_loss": (9.0, "cpu"),
    "noise_needs_a_larger_content_weight": (90.0,),
    "starts_at_the_photo_end_lowest": (
        {"content": [9, 5, 3], "content+noise": [9, 5, 3], "noise": [9, 5, 2], "grey": [9, 8, 3]},
    ),
    "noise_on_the_photo_helps_at_first_only": (
        {"content": [9, 5, 3], "content+noise": [9, 6, 3], "noise": [9, 5, 2], "grey": [9, 8, 3]},
        "cpu",
    ),
    "lbfgs_ends_lowest": ({"L-BFGS": 9.0, "Adam, 1": 8.0, "sign, 1": 10.0},),
    "the_rate_decides_as_much_as_the_optimizer": ({"L-BFGS": 1.0, "Adam, 1": 8.0, "Adam, 2": 9.0},),
    "the_middle_rate_is_best": ({"Adam, 1": 1.0, "Adam, 2": 2.0, "Adam, 3": 3.0}, "cpu"),
    "one_step_makes_twenty_evaluations": (1,),
    "more_evaluations_lower_the_loss_of_the_tutorial": ([1.0, 2.0],),
    "the_tutorial_matches_early_layers_only": (
        {"t": {"relu1_1": 0.1, "relu5_1": 0.1}, "g": {"relu1_1": 0.2, "relu5_1": 0.1}},
    ),
    "every_gram_matrix_has_the_same_size": ({(1, 1): (2, 2), (2, 2): (3, 3)},),
    "any_sizes_work": ([((5, 6), (7, 8), (7, 8), 0.5)],),
}


def test_every_claim_has_a_contradiction() -> None:
    functions = {
        name for name, f in vars(claims).items() if callable(f) and getattr(f, "__module__", "") == claims.__name__
    }
    assert functions == set(CONTRADICTIONS)


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_claims_fail_on_numbers_that_contradict_them(name: str) -> None:
    with pytest.raises(AssertionError):
        getattr(claims, name)(*CONTRADICTIONS[name])
