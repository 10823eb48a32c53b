"""Lesson 03: what its checks accept and refuse, and what its claims notice."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from nstlib import gram_matrix, style_loss
from nstlib.course import check
from nstlib.course.claims import lesson_03 as claims
from nstlib.course.tasks import lesson_03
from nstlib.course.tasks.kinds import Choice

Function = Callable[..., Any]


@pytest.fixture(autouse=True)
def _fresh_checks() -> None:
    check.reset()


# --- choices and numbers ---------------------------------------------------------------------------------

ANSWERS = {
    "maps that meet most": {"b"},
    "shuffle that leaves the Gram matrix": {"a"},
    "tiles and depth": {"c"},
    "first set with columns of light": {"c"},
    "correlation far apart": {"a"},
    "best single layer": {"pool2", "pool3"},
    "pool5 from a photo": {"b"},
    "signs of the eigenvalues": {"b"},
    "power of the Gram loss": {"b"},
    "means alone": {"b"},
}
CHOICES = [task for task in lesson_03.TASKS if isinstance(task, Choice)]


def test_every_choice_has_its_answer_here() -> None:
    assert set(ANSWERS) == {task.name for task in CHOICES}


@pytest.mark.parametrize("task", CHOICES, ids=lambda task: task.name)
def test_choices(task: Choice) -> None:
    assert ANSWERS[task.name] <= set(task.remarks)
    for answer, remark in task.remarks.items():
        verdict = check.choice(task.name, answer)
        assert verdict.ok is (answer in ANSWERS[task.name]), verdict
        assert remark in str(verdict)
    for other in (..., "", 3, "none of them"):
        assert not check.choice(task.name, other).ok


@pytest.mark.parametrize("answer", [320, 320.0, torch.tensor(320), 512 - 16 * 12])
def test_certain_zeros_accepts(answer: object) -> None:
    assert check.number("zeros that are certain", answer).ok


@pytest.mark.parametrize("answer", [..., None, "320", 192, 512, 0, 319, 321, -320, 512 - 32 * 24, float("nan")])
def test_certain_zeros_refuses(answer: object) -> None:
    assert not check.number("zeros that are certain", answer).ok


@pytest.mark.parametrize(("guess", "ok"), [(60, True), (41.2, True), (..., False), ("half", False), (math.inf, False)])
def test_share_of_the_means(guess: object, ok: bool) -> None:
    assert check.prediction("share of the means at relu3_1", guess, 41.0, "%").ok is ok


def test_hints_do_not_contain_answers() -> None:
    for task in lesson_03.TASKS:
        hints = " ".join(task.hints).lower()
        assert not [
            word for word in ("320", "192", "32", "16", "12", "relu", "pool2", "pool3") if word in hints.split()
        ]


def test_verdicts_of_wrong_numbers_do_not_contain_the_right_one() -> None:
    assert all("320" not in check.number("zeros that are certain", wrong).message for wrong in (192, 640, 160, 512))


# --- style loss over several layers ----------------------------------------------------------------------


def _style_loop(maps: dict[str, Tensor], targets: dict[str, Tensor], weights: dict[str, float]) -> Any:
    total: Any = 0
    for name, weight in weights.items():
        rows = maps[name].flatten(2)
        gram = rows @ rows.mT / rows.shape[2]
        target = targets[name]
        total = total + weight * ((gram - target) ** 2).sum(dim=(1, 2)) / (target**2).sum(dim=(1, 2))
    return total


def _style_library(maps: dict[str, Tensor], targets: dict[str, Tensor], weights: dict[str, float]) -> Any:
    return sum(w * style_loss(gram_matrix(maps[n]), targets[n], "relative") for n, w in weights.items())


def _style_of_each_picture(maps: dict[str, Tensor], targets: dict[str, Tensor], weights: dict[str, float]) -> Any:
    def one(i: int) -> Tensor:
        parts = []
        for name in weights:
            gram = torch.einsum("chw,dhw->cd", maps[name][i], maps[name][i]) / maps[name][i, 0].numel()
            target = targets[name][0]
            parts.append(weights[name] * (gram - target).norm() ** 2 / target.norm() ** 2)
        return torch.stack(parts).sum()

    return torch.stack([one(i) for i in range(len(next(iter(maps.values()))))])


@pytest.mark.parametrize("function", [_style_loop, _style_library, _style_of_each_picture])
def test_style_loss_over_layers_accepts(function: Function) -> None:
    verdict = check.function("style_loss_over_layers", function)
    assert verdict.ok, verdict


def _style_by(layer_loss: Callable[[Tensor, Tensor], Tensor]) -> Function:
    def function(maps: dict[str, Tensor], targets: dict[str, Tensor], weights: dict[str, float]) -> Any:
        return sum(w * layer_loss(gram_matrix(maps[n]), targets[n]) for n, w in weights.items())

    return function


def _style_in_place(maps: dict[str, Tensor], targets: dict[str, Tensor], weights: dict[str, float]) -> Any:
    total: Any = 0
    for name, weight in weights.items():
        gram = gram_matrix(maps[name])
        targets[name] *= 1.0001
        total = total + weight * style_loss(gram, targets[name], "relative")
    return total


def _style_wrong_key(maps: dict[str, Tensor], targets: dict[str, Tensor], weights: dict[str, float]) -> Any:
    return sum(w * style_loss(gram_matrix(maps[f"conv_{n}"]), targets[n]) for n, w in weights.items())


WRONG_STYLES: dict[str, tuple[Function, str]] = {
    "no weights": (lambda m, t, w: _style_loop(m, t, dict.fromkeys(w, 1.0)), "weights have no effect"),
    "all layers": (lambda m, t, w: _style_loop(m, t, dict.fromkeys(m, 1.0) | w), "without a weight"),
    "mean over layers": (lambda m, t, w: _style_loop(m, t, w) / len(w), "number of layers"),
    "normalized weights": (lambda m, t, w: _style_loop(m, t, w) / sum(w.values()), "sum of the weights"),
    "squared weights": (lambda m, t, w: _style_loop(m, t, {n: v**2 for n, v in w.items()}), "weights are squared"),
    "not relative": (_style_by(lambda g, a: (g - a).square().sum((1, 2))), "not divided by the target's own"),
    "mean of squares": (_style_by(lambda g, a: (g - a).square().mean((1, 2))), "mean of the squared"),
    "norm of the target": (_style_by(lambda g, a: (g - a).square().sum((1, 2)) / a.norm()), "no root"),
    "own norm": (_style_by(lambda g, a: (g - a).square().sum((1, 2)) / g.square().sum((1, 2))), "picture's own"),
    "root": (_style_by(lambda g, a: (g - a).norm(dim=(1, 2)) / a.norm()), "root of each"),
    "absolute": (_style_by(lambda g, a: (g - a).abs().sum((1, 2)) / a.abs().sum()), "L1"),
    "batch mixed": (lambda m, t, w: _style_loop(m, t, w).sum(), "the shape is ()"),
    "mean of the batch": (lambda m, t, w: _style_loop(m, t, w).mean(), "the shape is ()"),
    "wrong sign": (_style_by(lambda g, a: (g + a).square().sum((1, 2)) / a.square().sum()), "values are not"),
    "not divided": (
        lambda m, t, w: sum(v * style_loss(gram_matrix(m[n], "none"), t[n], "relative") for n, v in w.items()),
        "not divided by the positions",
    ),
    "divided by channels": (
        lambda m, t, w: sum(v * style_loss(gram_matrix(m[n], "chw"), t[n], "relative") for n, v in w.items()),
        "by the channels",
    ),
    "first layer": (lambda m, t, w: _style_loop(m, t, dict([next(iter(w.items()))])), "values are not"),
    "detached": (lambda m, t, w: _style_loop(m, t, w).detach(), "no gradient"),
    "gram detached": (lambda m, t, w: _style_loop({n: x.detach() for n, x in m.items()}, t, w), "gradient"),
    "number": (lambda m, t, w: _style_loop(m, t, w)[0].item(), "plain number"),
    "constant": (lambda m, t, w: torch.full((len(m["relu1_1"]),), 0.75), "values are not"),
    "in place": (_style_in_place, "in place"),
    "wrong key": (_style_wrong_key, "KeyError"),
}


@pytest.mark.parametrize("name", WRONG_STYLES)
def test_style_loss_over_layers_refuses(name: str) -> None:
    function, words = WRONG_STYLES[name]
    verdict = check.function("style_loss_over_layers", function)
    assert not verdict.ok
    assert words in str(verdict)


# --- silent combination ----------------------------------------------------------------------------------


def _silent_by_svd(features: Tensor) -> Tensor:
    v: Tensor = torch.linalg.svd(features[0].flatten(1), full_matrices=True).U[:, -1]
    return v


def _silent_by_solving(features: Tensor) -> Tensor:
    rows = features[0].flatten(1)  # (C, M)
    gram = rows @ rows.T
    v = torch.linspace(1, 2, len(rows), dtype=rows.dtype)
    for _ in range(3):  # inverse iteration
        v = torch.linalg.solve(gram + 1e-13 * gram.trace() * torch.eye(len(rows), dtype=rows.dtype), v)
        v /= v.norm()
    return v


def _negative(features: Tensor) -> Tensor:
    return -lesson_03.silent_combination(features)


@pytest.mark.parametrize(
    "function", [_silent_by_svd, _silent_by_solving, _negative, lesson_03.silent_combination], ids=lambda f: f.__name__
)
def test_silent_combination_accepts(function: Function) -> None:
    verdict = check.function("silent_combination", function)
    assert verdict.ok, verdict


def _eigen(x: Tensor) -> Any:
    return torch.linalg.eigh(gram_matrix(x)[0])


def _silent_in_place(features: Tensor) -> Tensor:
    v = lesson_03.silent_combination(features)
    features *= 0
    return v


WRONG_COMBINATIONS: dict[str, tuple[Function, str]] = {
    "zero": (lambda x: torch.zeros(x.shape[1]), "zero vector"),
    "largest": (lambda x: _eigen(x).eigenvectors[:, -1], "another eigenvalue"),
    "row": (lambda x: _eigen(x).eigenvectors[0], "combination"),
    "not normalized": (lambda x: 3 * _eigen(x).eigenvectors[:, 0], "length of v is 3"),
    "column": (lambda x: _eigen(x).eigenvectors[:, :1], "the shape is (9, 1)"),
    "all eigenvectors": (lambda x: _eigen(x).eigenvectors, "the shape is (9, 9)"),
    "eigenvalue": (lambda x: _eigen(x).eigenvalues[0], "the shape is ()"),
    "of the positions": (
        lambda x: torch.linalg.eigh(x[0].flatten(1).T @ x[0].flatten(1)).eigenvectors[:, 0],
        "the shape is (6,)",
    ),
    "unit vector": (lambda x: torch.eye(x.shape[1], dtype=x.dtype)[2], "combination"),
    "centered": (lambda x: torch.linalg.eigh(torch.cov(x[0].flatten(1))).eigenvectors[:, 0], "combination"),
    "second": (lambda x: _eigen(x).eigenvectors[:, 1], "dead channel"),
    "nan": (lambda x: torch.full((x.shape[1],), math.nan), "finite"),
    "list": (lambda x: _eigen(x).eigenvectors[:, 0].tolist(), "a tensor is expected"),
    "in place": (_silent_in_place, "in place"),
}


@pytest.mark.parametrize("name", WRONG_COMBINATIONS)
def test_silent_combination_refuses(name: str) -> None:
    function, words = WRONG_COMBINATIONS[name]
    verdict = check.function("silent_combination", function)
    assert not verdict.ok
    assert words in str(verdict)


# --- maximum mean discrepancy ----------------------------------------------------------------------------


def _mmd_einsum(f: Tensor, t: Tensor, power: int) -> Tensor:
    def mean_kernel(a: Tensor, b: Tensor) -> Tensor:
        return torch.einsum("ncp,ncq->npq", a, b).pow(power).flatten(1).mean(1)

    x, y = f.flatten(2), t.flatten(2)
    return mean_kernel(x, x) - 2 * mean_kernel(x, y) + mean_kernel(y, y)


def _mmd_loop(f: Tensor, t: Tensor, power: int) -> Tensor:
    found = []
    for a, b in zip(f, t):
        x, y = a.flatten(1).T, b.flatten(1).T  # (M, C)
        found.append(((x @ x.T) ** power).mean() + ((y @ y.T) ** power).mean() - 2 * ((x @ y.T) ** power).mean())
    return torch.stack(found)


def _mmd_signed_weights(f: Tensor, t: Tensor, power: int) -> Tensor:
    x, y = f.flatten(2), t.flatten(2)
    points = torch.cat([x, y], 2)
    w = torch.cat([x.new_full(x.shape[2:], 1 / x.shape[2]), x.new_full(y.shape[2:], -1 / y.shape[2])])
    return (w @ (points.mT @ points) ** power) @ w


@pytest.mark.parametrize("function", [_mmd_einsum, _mmd_loop, _mmd_signed_weights, lesson_03.mmd])
def test_mmd_accepts(function: Function) -> None:
    verdict = check.function("mmd", function)
    assert verdict.ok, verdict


def _mean_k(a: Tensor, b: Tensor, power: int) -> Tensor:
    return (a.flatten(2).mT @ b.flatten(2)).pow(power).mean((1, 2))


def _gram_loss(f: Tensor, t: Tensor, power: int) -> Tensor:
    return style_loss(gram_matrix(f), gram_matrix(t))


def _sum_k(a: Tensor, b: Tensor, power: int) -> Tensor:
    return (a.flatten(2).mT @ b.flatten(2)).pow(power).sum((1, 2))


def _reshaped(x: Tensor) -> Tensor:
    return x.reshape(len(x), -1, x.shape[1]).mT


def _mmd_in_place(f: Tensor, t: Tensor, power: int) -> Tensor:
    result = _mmd_einsum(f, t, power)
    t.sub_(1)
    return result


WRONG_MMDS: dict[str, tuple[Function, str]] = {
    "the Gram loss": (_gram_loss, "always that of a Gram loss"),
    "linear": (lambda f, t, p: _mmd_einsum(f, t, 1), "plain inner product"),
    "one cross term": (lambda f, t, p: _mean_k(f, f, p) + _mean_k(t, t, p) - _mean_k(f, t, p), "too little"),
    "plus": (lambda f, t, p: _mean_k(f, f, p) + _mean_k(t, t, p) + 2 * _mean_k(f, t, p), "wrong sign"),
    "no target pairs": (lambda f, t, p: _mean_k(f, f, p) - 2 * _mean_k(f, t, p), "within the target's cloud"),
    "cross only": (_mean_k, "only the pairs between"),
    "root": (lambda f, t, p: _mmd_einsum(f, t, p).sqrt(), "takes the root"),
    "sums": (lambda f, t, p: _sum_k(f, f, p) + _sum_k(t, t, p) - 2 * _sum_k(f, t, p), "adds up the pairs"),
    "power of coordinates": (lambda f, t, p: _mmd_einsum(f**p, t**p, 1), "each coordinate"),
    "power of the mean": (
        lambda f, t, p: _mean_k(f, f, 1) ** p + _mean_k(t, t, 1) ** p - 2 * _mean_k(f, t, 1) ** p,
        "after the mean",
    ),
    "reshaped": (
        lambda f, t, p: _mmd_einsum(_reshaped(f), _reshaped(t), p),
        "wrong axis",
    ),
    "channels as points": (lambda f, t, p: _mmd_einsum(f.flatten(2).mT, f.flatten(2).mT * 1.1, p), "values"),
    "negative": (lambda f, t, p: -_mmd_einsum(f, t, p), "sign"),
    "half": (lambda f, t, p: _mmd_einsum(f, t, p) / 2, "too small"),
    "batch mixed": (lambda f, t, p: _mmd_einsum(f, t, p).mean(), "mixes the pictures"),
    "detached": (lambda f, t, p: _mmd_einsum(f.detach(), t, p), "no gradient"),
    "own pairs detached": (
        lambda f, t, p: _mean_k(f.detach(), f, p) + _mean_k(t, t, p) - 2 * _mean_k(f, t, p),
        "the gradient is not",
    ),
    "in place": (_mmd_in_place, "in place"),
    "constant": (lambda f, t, p: torch.zeros(len(f)), "all values are zero"),
    "kernel matrix": (lambda f, t, p: f.flatten(2).mT @ t.flatten(2), "the shape is"),
    "centered": (lambda f, t, p: _mmd_einsum(f - f.mean((2, 3), True), t - t.mean((2, 3), True), p), "values"),
    "other power": (lambda f, t, p: _mmd_einsum(f, t, p + 1), "values"),
}


@pytest.mark.parametrize("name", WRONG_MMDS)
def test_mmd_refuses(name: str) -> None:
    function, words = WRONG_MMDS[name]
    verdict = check.function("mmd", function)
    assert not verdict.ok
    assert words in str(verdict)


# --- means and deviations --------------------------------------------------------------------------------


def _statistics_cat(f: Tensor, t: Tensor) -> Tensor:
    def describe(x: Tensor) -> Tensor:
        return torch.cat([x.mean((2, 3)), (x.var((2, 3), unbiased=False) + 1e-5).sqrt()], 1)

    return ((describe(f) - describe(t)) ** 2).sum(1)


def _statistics_rows(f: Tensor, t: Tensor) -> Tensor:
    loss = f.new_zeros(len(f))
    for moment in (lambda r: r.mean(2), lambda r: torch.sqrt(r.var(2, correction=0) + 1e-5)):
        loss = loss + torch.linalg.vector_norm(moment(f.flatten(2)) - moment(t.flatten(2)), dim=1) ** 2
    return loss


def _statistics_by_definition(f: Tensor, t: Tensor) -> Tensor:
    def parts(x: Tensor) -> tuple[Tensor, Tensor]:
        mean = x.mean((2, 3), keepdim=True)
        return mean, ((x - mean).square().mean((2, 3), keepdim=True) + 1e-5) ** 0.5

    (m, s), (a, b) = parts(f), parts(t)
    return ((m - a).square() + (s - b).square()).sum((1, 2, 3))


@pytest.mark.parametrize("function", [_statistics_cat, _statistics_rows, _statistics_by_definition])
def test_statistics_loss_accepts(function: Function) -> None:
    verdict = check.function("statistics_loss", function)
    assert verdict.ok, verdict


def _moments(f: Tensor, t: Tensor, deviation: Callable[[Tensor], Tensor]) -> Tensor:
    means = (f.mean((2, 3)) - t.mean((2, 3))).square().sum(1)
    return means + (deviation(f) - deviation(t)).square().sum(1)


def _sigma(x: Tensor) -> Tensor:
    return (x.var((2, 3), correction=0) + 1e-5).sqrt()


def _statistics_in_place(f: Tensor, t: Tensor) -> Tensor:
    result = _statistics_cat(f, t)
    t -= t.mean((2, 3), keepdim=True)
    return result


WRONG_STATISTICS: dict[str, tuple[Function, str]] = {
    "means only": (lambda f, t: (f.mean((2, 3)) - t.mean((2, 3))).square().sum(1), "only the means"),
    "deviations only": (lambda f, t: (_sigma(f) - _sigma(t)).square().sum(1), "only the deviations"),
    "variances": (lambda f, t: _moments(f, t, lambda x: x.var((2, 3), correction=0)), "compares variances"),
    "torch.std": (lambda f, t: _moments(f, t, lambda x: x.std((2, 3))), "H*W - 1"),
    "torch.var": (lambda f, t: _moments(f, t, lambda x: (x.var((2, 3)) + 1e-5).sqrt()), "H*W - 1"),
    "no epsilon": (lambda f, t: _moments(f, t, lambda x: x.std((2, 3), correction=0)), "under the root"),
    "epsilon outside": (lambda f, t: _moments(f, t, lambda x: x.std((2, 3), correction=0) + 1e-5), "under the root"),
    "not centered": (lambda f, t: _moments(f, t, lambda x: (x.square().mean((2, 3)) + 1e-5).sqrt()), "deviation from"),
    "mean over channels": (lambda f, t: _statistics_cat(f, t) / f.shape[1], "mean over the channels"),
    "mean over all": (lambda f, t: _statistics_cat(f, t) / (2 * f.shape[1]), "mean over all"),
    "batch mixed": (lambda f, t: _statistics_cat(f, t).sum(), "mixes the pictures"),
    "each channel": (
        lambda f, t: (f.mean((2, 3)) - t.mean((2, 3))) ** 2 + (_sigma(f) - _sigma(t)) ** 2,
        "each channel",
    ),
    "wrong axis": (
        lambda f, t: _statistics_cat(f.transpose(1, 2), t.transpose(1, 2)[:, : f.shape[2]]),
        "values are not",
    ),
    "absolute": (
        lambda f, t: (f.mean((2, 3)) - t.mean((2, 3))).abs().sum(1) + (_sigma(f) - _sigma(t)).abs().sum(1),
        "L1",
    ),
    "difference of terms": (
        lambda f, t: 2 * (f.mean((2, 3)) - t.mean((2, 3))).square().sum(1) - _statistics_cat(f, t),
        "subtracted from each other",
    ),
    "norm": (lambda f, t: _statistics_cat(f, t).sqrt(), "takes the root"),
    "detached": (lambda f, t: _statistics_cat(f, t).detach(), "no gradient"),
    "deviation detached": (lambda f, t: _moments(f, t, lambda x: _sigma(x).detach()), "the gradient is not"),
    "in place": (_statistics_in_place, "in place"),
    "numpy": (lambda f, t: _statistics_cat(f, t).detach().numpy(), "numpy"),
    "constant": (lambda f, t: torch.full((len(f),), 0.44), "values are not"),
    "Gram loss": (lambda f, t: style_loss(gram_matrix(f), gram_matrix(t)), "values are not"),
}


@pytest.mark.parametrize("name", WRONG_STATISTICS)
def test_statistics_loss_refuses(name: str) -> None:
    function, words = WRONG_STATISTICS[name]
    verdict = check.function("statistics_loss", function)
    assert not verdict.ok
    assert words in str(verdict)


@pytest.mark.parametrize("name", ["style_loss_over_layers", "silent_combination", "mmd", "statistics_loss"])
def test_functions_are_open_until_they_are_written(name: str) -> None:
    assert "not done yet" in str(check.function(name, lambda *arguments: None))
    assert "not done yet" in str(check.function(name, ...))
    assert not check.function(name, 3).ok


# --- claims ----------------------------------------------------------------------------------------------


def _toy() -> Tensor:
    toy = torch.zeros(1, 3, 6, 6)
    toy[0, 0, :, :4] = 1
    toy[0, 1, :, 4:] = 1
    toy[0, 2, :, [1, 3, 4]] = 1
    return toy


def test_claims_about_the_toy() -> None:
    toy = _toy()
    five = torch.cat([toy, toy[:, :1] + toy[:, 1:2], torch.zeros(1, 1, 6, 6)], 1)
    claims.the_toy_has_these_entries(toy, gram_matrix(toy)[0])
    claims.dependent_and_dead_maps_give_zero_eigenvalues(toy, five)
    means = toy[0].flatten(1).mean(1)
    claims.a_minus_gives_differences_of_means(toy, means[:, None] - means[None])
    with pytest.raises(AssertionError):
        claims.the_toy_has_these_entries(toy, gram_matrix(toy, "none")[0])
    with pytest.raises(AssertionError):
        claims.dependent_and_dead_maps_give_zero_eigenvalues(toy, toy)
    with pytest.raises(AssertionError):
        claims.a_minus_gives_differences_of_means(toy, gram_matrix(toy)[0])


def test_claims_about_shuffling() -> None:
    maps = torch.rand(1, 4, 5, 6, dtype=torch.float64)
    together, apart = maps.flip(2), torch.cat([maps[:, :2], maps[:, 2:].flip(3)], 1)
    apart[:, 1] = maps[:, 1].sort(-1).values
    moved = torch.cat([maps[:, :3] * 2, maps[:, 3:]], 1)
    claims.only_a_common_order_keeps_the_gram_matrix(maps, together, moved)
    for wrong in ((maps, maps, moved), (maps, apart, moved), (maps, together, together)):
        with pytest.raises(AssertionError):
            claims.only_a_common_order_keeps_the_gram_matrix(*wrong)


def test_claim_about_tiles() -> None:
    lines: dict[str, dict[int, float]] = {"the pixels": {1: 0.0, 2: 0.0, 64: 0.0}}
    lines |= {f"relu{k}_1": {1: 40.0 + k, 2: 30.0 + k, 64: 2.0 * k} for k in range(1, 6)}
    claims.deep_layers_need_large_tiles(lines, "cpu")
    with pytest.raises(AssertionError):
        claims.deep_layers_need_large_tiles(lines | {"relu1_1": {1: 40.0, 2: 30.0, 64: 12.0}}, "smoke")
    with pytest.raises(AssertionError):
        claims.deep_layers_need_large_tiles(lines | {"the pixels": {1: 1.0, 2: 0.0, 64: 0.0}}, "smoke")
    with pytest.raises(AssertionError):
        claims.deep_layers_need_large_tiles(lines | {"relu2_1": {1: 40.0, 2: 30.0, 64: 9.0}}, "cpu")


def test_claim_about_mirroring() -> None:
    changes = {name: {16: size} for name, size in zip("pabcde", (0.0, 8.0, 11.0, 16.0, 30.0, 42.0))}
    claims.mirroring_changes_deep_layers_more([0.5, 0.8, 3.3, 4.3, 8.8], changes, "cpu")
    for wrong in ([0.0, 0.8, 3.3, 4.3, 8.8], [9.0, 0.8, 3.3, 4.3, 8.8], [0.5, 0.8, 3.3, 4.3, 28.8]):
        with pytest.raises(AssertionError):
            claims.mirroring_changes_deep_layers_more(wrong, changes, "cpu")


def test_claim_about_both_style_losses() -> None:
    claims.both_style_losses_agree(0.71, 0.71)
    with pytest.raises(AssertionError):
        claims.both_style_losses_agree(0.71, 0.72)


def test_claim_about_the_correlation() -> None:
    far = [{0: 1.0, 8: 0.6, 16: 0.4, 24: 0.3, 32: 0.15}]
    far += [{0: 1.0, 8: 0.1, 16: 0.0, 24: 0.0, 32: 0.01}] + [{0: 1.0, 8: 0.3, 16: 0.1, 24: 0.0, 32: -0.02}] * 4
    claims.only_the_painting_is_correlated_far_apart(far, "cpu")
    with pytest.raises(AssertionError):
        claims.only_the_painting_is_correlated_far_apart([*far[:5], {**far[5], 32: 0.14}], "smoke")
    with pytest.raises(AssertionError):
        claims.only_the_painting_is_correlated_far_apart([far[0], {**far[1], 8: 0.5}, *far[2:]], "cpu")


STAIRS = torch.tensor(
    [
        [95.0, 60, 81, 107, 125],
        [0.3, 24, 70, 79, 132],
        [0.2, 0.3, 12, 27, 42],
        [0.4, 0.3, 0.6, 10, 25],
        [0.8, 0.7, 1.1, 1.6, 18],
        [1.2, 0.9, 1.4, 2.2, 3.7],
    ]
)


def test_claims_about_the_staircase() -> None:
    claims.the_distances_form_a_staircase(STAIRS)
    claims.the_next_layer_comes_nearer_by_itself(STAIRS)
    flat = STAIRS.clone()
    flat[4, 3] = 90
    with pytest.raises(AssertionError):
        claims.the_distances_form_a_staircase(flat)
    swapped = STAIRS.clone()
    swapped[[1, 2]] = STAIRS[[2, 1]]
    with pytest.raises(AssertionError):
        claims.the_next_layer_comes_nearer_by_itself(swapped)


def test_claims_about_single_layers() -> None:
    overall = {"pool1": 49.5, "pool2": 24.8, "pool3": 25.0, "pool4": 65.8, "pool5": 67.5}
    claims.pool2_and_pool3_are_nearest(overall, "cpu")
    with pytest.raises(AssertionError):
        claims.pool2_and_pool3_are_nearest(overall | {"pool4": 20.0}, "smoke")
    with pytest.raises(AssertionError):
        claims.pool2_and_pool3_are_nearest(overall | {"pool1": 26.0}, "cpu")

    cat, noise = (torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    fit = {"noise": (278.0, 4.2), "the cat": (118.0, 3.9)}
    claims.pool5_leaves_the_start_visible(fit, cat, cat + 0.2 * noise, noise)
    with pytest.raises(AssertionError):
        claims.pool5_leaves_the_start_visible(fit, cat, noise, noise)
    with pytest.raises(AssertionError):
        claims.pool5_leaves_the_start_visible({**fit, "the cat": (118.0, 100.0)}, cat, cat, noise)


def test_claims_about_zeros() -> None:
    spectra = {"relu1_1": torch.tensor([3.0, 1.0]), "pool5": torch.tensor([3.0, 0.0])}
    table = [["relu1_1", 2, 9, 0, 0, 0, "yes"], ["pool5", 2, 1, 1, 0, 1, "no"]]
    claims.zeros_are_forced_or_from_dead_channels(table, spectra, "cpu")
    for wrong in (
        ["pool5", 2, 1, 1, 0, 0, "no"],
        ["pool5", 2, 1, 1, 2, 1, "no"],
        ["pool5", 2, 1, 1, 0, 1, "yes"],
        ["pool5", 3, 1, 2, 0, 3, "no"],
    ):
        with pytest.raises(AssertionError):
            claims.zeros_are_forced_or_from_dead_channels([table[0], wrong], spectra, "cpu")
    with pytest.raises(AssertionError):
        claims.zeros_are_forced_or_from_dead_channels(table, spectra | {"relu1_1": torch.tensor([3.0, -0.1])}, "smoke")

    rows = torch.rand(5, 3, dtype=torch.float64)
    gram = rows @ rows.T
    vectors = torch.linalg.eigh(gram).eigenvectors
    claims.the_vector_makes_the_form_zero(gram, vectors[:, 0], vectors[:, -1])
    with pytest.raises(AssertionError):
        claims.the_vector_makes_the_form_zero(gram, vectors[:, -1], vectors[:, -1])
    with pytest.raises(AssertionError):
        claims.the_vector_makes_the_form_zero(gram, vectors[:, 0], vectors[:, 0])

    by_channel, by_position = (torch.linalg.eigvalsh(m).flip(0) for m in (gram, rows.T @ rows))
    claims.both_matrices_share_their_eigenvalues(by_channel, by_position)
    with pytest.raises(AssertionError):
        claims.both_matrices_share_their_eigenvalues(by_channel, 1.01 * by_position)
    with pytest.raises(AssertionError):
        claims.both_matrices_share_their_eigenvalues(by_channel + 0.1, by_position + 0.1)


def test_claims_about_the_discrepancy() -> None:
    x, y = torch.rand(1, 4, 3, 3, dtype=torch.float64), torch.rand(1, 4, 5, 2, dtype=torch.float64) + 0.3
    gram_loss = style_loss(gram_matrix(x), gram_matrix(y)).item()
    means_loss = lesson_03.means_loss(x, y).item()
    found = {p: lesson_03.mmd(x, y, p).item() for p in (1, 2, 3)}
    claims.the_second_power_is_the_gram_loss(found, gram_loss, means_loss)
    claims.both_losses_have_the_same_gradient(lesson_03.mmd, x, y)
    for wrong in ({**found, 2: found[3]}, {**found, 1: found[2]}, {**found, 3: found[2]}):
        with pytest.raises(AssertionError):
            claims.the_second_power_is_the_gram_loss(wrong, gram_loss, means_loss)
    with pytest.raises(AssertionError):
        claims.both_losses_have_the_same_gradient(lambda a, b, p: lesson_03.mmd(a, b, 1), x, y)

    claims.each_power_misses_one_pair(torch.tensor([[0, 1, 9], [0.1, 0, 0.2], [0.1, 0.05, 0]]))
    with pytest.raises(AssertionError):
        claims.each_power_misses_one_pair(torch.eye(3))


def test_claims_about_the_means() -> None:
    shares = {"relu1_1": (61.0, 89.0, 40.0), "relu3_1": (41.0, 85.0, 35.0), "pool5": (67.0, 96.0, 15.0)}
    claims.means_and_covariance_both_matter(shares, "cpu")
    for wrong in ((90.0, 96.0, 15.0), (61.0, 89.0, 5.0), (61.0, 59.0, 45.0)):
        with pytest.raises(AssertionError):
            claims.means_and_covariance_both_matter(shares | {"pool5": wrong}, "cpu")
    claims.gram_is_covariance_plus_means({"relu1_1": torch.rand(1, 3, 4, 5)})


def test_claim_about_green() -> None:
    painting, green = torch.full((1, 3, 4, 5), 0.4), torch.full((1, 3, 4, 5), 0.4)
    green[:, 1] = 0.9
    claims.means_alone_make_more_green({"means": green, "both": painting, "Gram": painting}, painting, "cpu")
    for pictures in ({"means": painting, "Gram": painting}, {"means": green, "Gram": green}):
        with pytest.raises(AssertionError):
            claims.means_alone_make_more_green(pictures, painting, "cpu")
    with pytest.raises(AssertionError):
        claims.means_alone_make_more_green({"means": green, "Gram": painting}, green, "cpu")


def test_claims_about_fewer_statistics() -> None:
    cross, start = torch.tensor([[0.52, 4.7, 7.5], [0.44, 0.40, 5.8], [1.0, 2.1, 2.1]]), [60.0, 70.0, 90.0]
    claims.every_loss_was_minimized(cross, start)
    claims.fewer_statistics_leave_the_gram_matrix_free(cross)
    claims.matching_deviations_also_matches_the_means(cross, "cpu")
    with pytest.raises(AssertionError):
        claims.every_loss_was_minimized(cross, [0.6, 70.0, 90.0])
    with pytest.raises(AssertionError):
        claims.fewer_statistics_leave_the_gram_matrix_free(cross.flip(0))
    for row, value in ((1, 2.0), (2, 0.3)):
        wrong = cross.clone()
        wrong[row, 0] = value
        with pytest.raises(AssertionError):
            claims.matching_deviations_also_matches_the_means(wrong, "cpu")
