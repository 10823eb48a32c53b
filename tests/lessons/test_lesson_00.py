"""Lesson 00: what its checks accept and refuse, and what its claims notice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nstlib.course import check
from nstlib.course.claims import lesson_00 as claims
from nstlib.course.tasks import lesson_00
from nstlib.course.tasks.kinds import Choice
from nstlib.records import Record

Function = Callable[..., Any]


@pytest.fixture(autouse=True)
def _fresh_checks() -> None:
    check.reset()


# --- choices ---------------------------------------------------------------------------------------------

ANSWERS = {
    "taken from the painting": "c",
    "content loss during the run": "b",
    "path of the pixels": "b",
    "nearest by pixels": "blurred",
    "nearest by relu4_2": "brighter",
    "a hundred times more style": "c",
}


def test_every_choice_has_its_answer_here() -> None:
    assert set(ANSWERS) == {task.name for task in lesson_00.TASKS if isinstance(task, Choice)}


@pytest.mark.parametrize("task", [task for task in lesson_00.TASKS if isinstance(task, Choice)], ids=lambda t: t.name)
def test_choices(task: Choice) -> None:
    right = ANSWERS[task.name]
    assert right in task.remarks
    for answer, remark in task.remarks.items():
        verdict = check.choice(task.name, answer)
        assert verdict.ok is (answer == right), verdict
        assert remark in str(verdict)
    for other in (..., "", 3, "none of them"):
        assert not check.choice(task.name, other).ok


@pytest.mark.parametrize("guess", [1, 200_000, torch.tensor(3.0)])
def test_predictions_accept_any_number(guess: object) -> None:
    assert check.prediction("number of unknowns", guess, 204_480, "values").ok


@pytest.mark.parametrize("guess", [..., None, "many", float("nan"), True])
def test_predictions_refuse_what_is_no_number(guess: object) -> None:
    assert not check.prediction("seconds for 400 steps", guess, 30.0, "seconds").ok


# --- move_pixels -----------------------------------------------------------------------------------------


def _move_loop(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    x = picture
    for _ in range(steps):
        x = x - 2 * rate * (x - target)
    return x


def _move_in_place_on_a_copy(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    x = picture.clone()
    while steps:
        x += rate * 2 * (target - x)
        steps -= 1
    return x


def _move_with_autograd(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    x = picture.clone()
    for _ in range(steps):
        x = x.detach().requires_grad_()
        ((x - target) ** 2).sum().backward()  # type: ignore[no-untyped-call]
        assert x.grad is not None
        x = (x - rate * x.grad).detach()
    return x


def _move_closed_form(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    return torch.lerp(target, picture, (1 - 2 * rate) ** steps)


@pytest.mark.parametrize("function", [_move_loop, _move_in_place_on_a_copy, _move_with_autograd, _move_closed_form])
def test_move_pixels_accepts(function: Function) -> None:
    verdict = check.function("move_pixels", function)
    assert verdict.ok, verdict


def _repeated(step: Callable[[Tensor, Tensor, float], Tensor], more: int = 0) -> Function:
    def function(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
        x = picture
        for _ in range(max(steps + more, 0)):
            x = step(x, target, rate)
        return x

    return function


def _right_step(x: Tensor, t: Tensor, rate: float) -> Tensor:
    return x - 2 * rate * (x - t)


def _move_in_place(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    for _ in range(steps):
        picture -= 2 * rate * (picture - target)
    return picture


def _move_endlessly(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    raise NotImplementedError


WRONG_MOVES: dict[str, tuple[Function, str]] = {
    "uphill": (_repeated(lambda x, t, r: x + 2 * r * (x - t)), "away from the target"),
    "factor of the derivative": (_repeated(lambda x, t, r: x - r * (x - t)), "too short"),
    "mean": (_repeated(lambda x, t, r: x - 2 * r * (x - t) / x.numel()), "of a mean"),
    "absolute difference": (_repeated(lambda x, t, r: x - r * torch.sign(x - t)), "only the sign"),
    "one step less": (_repeated(_right_step, more=-1), "one step too few"),
    "one step more": (_repeated(_right_step, more=1), "one step too many"),
    "one step": (lambda x, t, r, k: _right_step(x, t, r), "only one step"),
    "first gradient": (lambda x, t, r, k: x - k * 2 * r * (x - t), "first gradient"),
    "swapped": (lambda x, t, r, k: _move_loop(t, x, r, k), "moves the target"),
    "clamped": (lambda x, t, r, k: _move_loop(x, t, r, k).clamp(0, 1), "clamped"),
    "at once": (lambda x, t, r, k: t, "returns the target"),
    "nothing": (lambda x, t, r, k: x, "unchanged"),
    "in place": (_move_in_place, "in place"),
    "first picture only": (lambda x, t, r, k: _move_loop(x, t, r, k)[:1], "input shape (2, 3, 6, 3)"),
    "three steps always": (lambda x, t, r, k: _move_loop(x, t, r, 3), "right for one input"),
    "fixed rate": (lambda x, t, r, k: _move_loop(x, t, 0.1, k), "right for one input"),
    "the loss": (lambda x, t, r, k: (_move_loop(x, t, r, k) - t).square().sum(), "the shape is ()"),
    "a list of pictures": (lambda x, t, r, k: [_move_loop(x, t, r, k)], "a tensor is expected"),
    "numpy": (lambda x, t, r, k: _move_loop(x, t, r, k).numpy(), "numpy"),
    "float32 only": (lambda x, t, r, k: _move_loop(x.float(), t.float(), r, k).half(), "dtype"),
}


@pytest.mark.parametrize("name", WRONG_MOVES)
def test_move_pixels_refuses(name: str) -> None:
    function, words = WRONG_MOVES[name]
    verdict = check.function("move_pixels", function)
    assert not verdict.ok
    assert words in str(verdict)


def test_move_pixels_is_open_until_it_is_written() -> None:
    assert "not done" in str(check.function("move_pixels", _move_endlessly)).lower()
    assert not check.function("move_pixels", lambda *arguments: None).ok


def test_hints_and_verdicts_do_not_contain_the_step() -> None:
    texts = [*lesson_00.MOVE_PIXELS.hints, *(mistake.sentence for mistake in lesson_00.MOVE_PIXELS.mistakes)]
    assert not [text for text in texts if "2 *" in text or "half" in text or "twice" in text]


# --- content_loss ----------------------------------------------------------------------------------------


RIGHT_LOSSES: dict[str, Function] = {
    "one line": lambda f, t: ((f - t) ** 2).sum(dim=(1, 2, 3)),
    "function of torch": lambda f, t: F.mse_loss(f, t, reduction="none").flatten(1).sum(1),
    "loop": lambda f, t: torch.stack([(a - b).square().sum() for a, b in zip(f, t)]),
    "einsum": lambda f, t: torch.einsum("nchw,nchw->n", f - t, f - t),
}

WRONG_LOSSES: dict[str, Function] = {
    "batch mixed": lambda f, t: ((f - t) ** 2).sum(),
    "mean": lambda f, t: ((f - t) ** 2).mean(dim=(1, 2, 3)),
    "not squared": lambda f, t: (f - t).sum(dim=(1, 2, 3)),
    "absolute": lambda f, t: (f - t).abs().sum(dim=(1, 2, 3)),
    "sign": lambda f, t: ((f + t) ** 2).sum(dim=(1, 2, 3)),
    "axis": lambda f, t: ((f - t) ** 2).sum(dim=(0, 2, 3)),
    "half": lambda f, t: ((f - t) ** 2).sum(dim=(1, 2, 3)) / 2,
    "detached": lambda f, t: ((f - t) ** 2).sum(dim=(1, 2, 3)).detach(),
    "constant": lambda f, t: torch.zeros(len(f)),
    "norm": lambda f, t: (f - t).flatten(1).norm(dim=1),
}


@pytest.mark.parametrize("name", RIGHT_LOSSES)
def test_content_loss_accepts(name: str) -> None:
    verdict = check.content_loss(RIGHT_LOSSES[name])
    assert verdict.ok, verdict


@pytest.mark.parametrize("name", WRONG_LOSSES)
def test_content_loss_refuses(name: str) -> None:
    assert not check.content_loss(WRONG_LOSSES[name]).ok


# --- claims ----------------------------------------------------------------------------------------------


def _record(step: int, content: float, style: float) -> Record:
    return Record(step, 0.0, content + style, content, style, 0.0, {}, {})


RUN = [_record(1, 0.0, 9000.0), _record(2, 60.0, 700.0), *(_record(3 + i, 78.0, 40.0 - i) for i in range(14))]


def test_claims_about_the_run() -> None:
    claims.the_content_term_rises_while_the_style_term_falls(RUN, "cpu")
    claims.the_first_eighth_of_the_steps_lowers_the_loss_most(RUN, "cpu")
    slow = [_record(1 + i, 2.0 * i, 9000.0 - 500 * i) for i in range(16)]
    with pytest.raises(AssertionError):
        claims.the_content_term_rises_while_the_style_term_falls(slow, "cpu")
    with pytest.raises(AssertionError):
        claims.the_content_term_rises_while_the_style_term_falls(RUN[1:], "cpu")
    with pytest.raises(AssertionError):
        claims.the_first_eighth_of_the_steps_lowers_the_loss_most(slow, "cpu")


def test_claim_about_the_cross_fade() -> None:
    photo, target = torch.rand(1, 3, 4, 5), torch.rand(1, 3, 4, 5)
    path = {f"{k} steps": lesson_00.moved_pixels(photo, target, 0.02, k) for k in (0, 10, 80)}
    claims.the_pixel_loss_makes_a_cross_fade(path, photo, target, rate=0.02)
    with pytest.raises(AssertionError):
        claims.the_pixel_loss_makes_a_cross_fade(path, photo, target, rate=0.03)


PIXELS = {
    "brighter": 0.0225,
    "shifted": 0.0085,
    "blurred": 0.0054,
    "one color": 0.0177,
    "mirrored": 0.034,
    "coffee": 0.086,
}
LAYER = {"brighter": 0.06, "shifted": 0.16, "blurred": 0.65, "one color": 0.93, "mirrored": 1.16, "coffee": 1.73}


def test_claims_about_distances() -> None:
    claims.pixels_prefer_blur_and_one_color_to_a_brighter_photo(PIXELS)
    claims.the_layer_prefers_a_brighter_or_shifted_photo_to_blur(LAYER)
    claims.both_measures_put_the_other_photo_last(PIXELS, LAYER)
    claims.the_layer_puts_the_mirrored_photo_behind_one_color(LAYER)
    with pytest.raises(AssertionError):
        claims.pixels_prefer_blur_and_one_color_to_a_brighter_photo(LAYER)
    with pytest.raises(AssertionError):
        claims.the_layer_prefers_a_brighter_or_shifted_photo_to_blur(PIXELS)
    with pytest.raises(AssertionError):
        claims.both_measures_put_the_other_photo_last(PIXELS, LAYER | {"mirrored": 2.0})
    with pytest.raises(AssertionError):
        claims.the_layer_puts_the_mirrored_photo_behind_one_color(LAYER | {"mirrored": 0.5})


def test_claims_about_all_photos() -> None:
    rows = [[name, 0.0085, 0.0054, 0.16, 0.65] for name in "abcd"]
    claims.on_every_photo_pixels_prefer_blur_and_the_layer_the_shift(rows)
    for wrong in ([*rows[:3], ["d", 0.0085, 0.0090, 0.16, 0.65]], [*rows[:3], ["d", 0.0085, 0.0054, 0.6, 0.65]]):
        with pytest.raises(AssertionError):
            claims.on_every_photo_pixels_prefer_blur_and_the_layer_the_shift(wrong)
    noise = torch.rand(1, 3, 8, 8)
    photos = {"chelsea": 0.2 * noise, "rocket": 0.2 * noise, "astronaut": 0.9 * noise, "coffee": 0.9 * noise}
    claims.one_color_is_nearer_than_the_brighter_photo_for_two_photos_only(photos)
    with pytest.raises(AssertionError):
        claims.one_color_is_nearer_than_the_brighter_photo_for_two_photos_only(photos | {"rocket": noise})


def test_claims_about_the_style_weight() -> None:
    names = ("100", "1,000", "10,000", "100,000", "1,000,000")
    from_photo = dict(zip(names, (0.150, 0.221, 0.238, 0.247, 0.252)))
    from_previous = dict(zip(names, (0.149, 0.163, 0.138, 0.126, 0.101)))
    claims.the_distance_from_the_photo_levels_off_but_the_image_keeps_changing(from_photo, from_previous, "cpu")
    still = from_previous | {"1,000,000": 0.01}
    with pytest.raises(AssertionError):
        claims.the_distance_from_the_photo_levels_off_but_the_image_keeps_changing(from_photo, still, "cpu")
    growing = from_photo | {"1,000,000": 0.4}
    with pytest.raises(AssertionError):
        claims.the_distance_from_the_photo_levels_off_but_the_image_keeps_changing(growing, from_previous, "cpu")

    weights = ("10", *names)
    losses = {
        "content loss": dict(zip(weights, (0.007, 0.12, 0.40, 0.78, 1.43, 1.84))),
        "style loss": dict(zip(weights, (0.757, 0.206, 0.019, 0.0035, 0.0014, 0.0012))),
    }
    claims.more_style_weight_trades_content_for_style(losses, "cpu")
    for loss in losses:
        with pytest.raises(AssertionError):
            claims.more_style_weight_trades_content_for_style({**losses, loss: {**losses[loss], "1,000": 0.9}}, "cpu")

    shares = {f"style weight {w}": s for w, s in zip(weights, (7.0, 28.4, 47.2, 52.4, 43.5, 13.0))}
    claims.the_content_share_is_largest_in_the_middle(shares, "cpu")
    for name, share in (("style weight 10", 40.0), ("style weight 10,000", 5.0)):
        with pytest.raises(AssertionError):
            claims.the_content_share_is_largest_in_the_middle(shares | {name: share}, "cpu")


def test_claims_about_the_start_and_the_work() -> None:
    claims.from_noise_less_of_the_photo_is_left(_record(1, 184.0, 1170.0), _record(1, 225.0, 970.0))
    with pytest.raises(AssertionError):
        claims.from_noise_less_of_the_photo_is_left(_record(1, 184.0, 1170.0), _record(1, 180.0, 970.0))
    claims.the_compact_network_does_a_fraction_of_the_work({"VGG-19": 43.1, "here": 3.27}, "cpu")
    claims.the_compact_network_does_a_fraction_of_the_work({"VGG-19": 45.0, "here": 45.0}, "gpu")
    for here in (2.0, 45.0):
        with pytest.raises(AssertionError):
            claims.the_compact_network_does_a_fraction_of_the_work({"VGG-19": 45.0, "here": here}, "cpu")
