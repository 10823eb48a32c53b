"""The exercises, questions and claims of lesson 02: wrong answers must fail, right ones in any form must pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nstlib import content_loss, total_variation
from nstlib.course import check
from nstlib.course.claims import lesson_02 as claims
from nstlib.course.tasks import all_tasks, lesson_02
from nstlib.course.tasks.kinds import Choice
from nstlib.records import Record, Result

Function = Callable[..., Any]
Read = Callable[..., dict[str, Tensor]]

# --- choices and numbers ---------------------------------------------------------------------------------

RIGHT_CHOICES = {
    "first reconstruction": "b",
    "what comes back from conv4_1": "c",
    "nearest for conv5_1": "reconstruction",
    "where the prior helps least": "c",
    "layer for the content": "conv4_1",
}


@pytest.mark.parametrize("name", RIGHT_CHOICES)
def test_choices(name: str) -> None:
    task = all_tasks()[name]
    assert isinstance(task, Choice)
    for answer, remark in task.remarks.items():
        verdict = check.choice(name, answer)
        assert verdict.ok == (answer == RIGHT_CHOICES[name]), verdict
        assert remark in str(verdict)
        if not verdict.ok:
            assert RIGHT_CHOICES[name] not in remark.split()
    assert not check.choice(name, "z").ok


COMPACT = ((16, 16, 16), (16, 8, 8), (32, 8, 8), (32, 4, 4), (80, 4, 4), (80, 2, 2), (128, 2, 2))
FULL = ((64, 16, 16), (64, 8, 8), (128, 8, 8), (128, 4, 4), (256, 4, 4), (256, 2, 2), (512, 2, 2))


def test_number_of_directions() -> None:
    assert check.number("directions of conv4_1", 320, *COMPACT).ok
    assert check.number("directions of conv4_1", 768, *FULL).ok
    for wrong in (512, 128, 768, 80, 319, 1280):
        assert not check.number("directions of conv4_1", wrong, *COMPACT).ok


# --- the loop --------------------------------------------------------------------------------------------


def _loop(
    photo: Tensor,
    layer: str,
    features: Read,
    steps: int,
    rate: float = 0.05,
    *,
    zero: bool = True,
    sign: float = 1.0,
    clamp: bool = True,
    again: bool = False,
    start: Callable[[Tensor], Tensor] = torch.rand_like,
    new_optimizer: bool = False,
    kind: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    copied: bool = False,
    before_last: bool = False,
    with_graph: bool = False,
    absolute: bool = False,
    prior: float = 0.0,
) -> Tensor:
    """The right loop, in which each option makes one mistake."""
    target = features(photo, [layer])[layer]
    target = target if with_graph else target.detach()
    x = start(photo).clone().requires_grad_()
    optimizer = kind([x.clone().detach().requires_grad_()] if copied else [x], lr=rate)
    result = x
    for _ in range(steps):
        if new_optimizer:
            optimizer = kind([x], lr=rate)
        if again:
            target = features(photo, [layer])[layer].detach()
        if zero:
            optimizer.zero_grad()
        found = features(x, layer)[layer]
        loss = (found - target).abs().sum() if absolute else content_loss(found, target, "relative").sum()
        loss = loss + prior * total_variation(x).sum()
        (sign * loss).backward()  # type: ignore[no-untyped-call]
        result = x.detach().clone()
        optimizer.step()
        with torch.no_grad():
            if clamp:
                x.clamp_(0, 1)
    return result if before_last else x.detach()


def _mistake(**options: Any) -> Function:
    return lambda *arguments: _loop(*arguments, **options)


def _closure(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    with torch.no_grad():
        target = features(photo, (layer,))[layer]
    x = torch.nn.Parameter(torch.rand(photo.shape))
    optimizer = torch.optim.Adam([x], lr=rate)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(features(x, {layer})[layer], target)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    for _ in range(steps):
        optimizer.step(closure)
        x.data.clamp_(0, 1)
    return x.data


def _own_gradient(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    target = features(photo, [layer])[layer].detach().clone()
    x = torch.rand(1, 3, *photo.shape[2:], requires_grad=True)
    optimizer = torch.optim.Adam([{"params": [x]}], lr=rate)
    while steps > 0:
        loss = ((features(x, [layer])[layer] - target) ** 2).sum()
        (x.grad,) = torch.autograd.grad(loss, x)
        optimizer.step()
        x.data = x.data.clamp(0, 1)
        steps -= 1
    return x.detach().clone()


def _normal_noise(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    return _loop(photo, layer, features, steps, rate, start=lambda p: torch.rand(p.shape) * 0.5 + 0.25)


RIGHT_LOOPS: dict[str, Function] = {
    "solution": lesson_02.rebuild,
    "options": _loop,
    "closure": _closure,
    "gradient by hand": _own_gradient,
}


def _photo_itself(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    _loop(photo, layer, features, steps, rate)
    return photo


def _first_noise(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    _loop(photo, layer, features, steps, rate)
    return torch.rand_like(photo)


def _with_gradient(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    return _loop(photo, layer, features, steps, rate).requires_grad_()


def _photo_changed(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    result = _loop(photo, layer, features, steps, rate)
    photo.mul_(0.5)
    return result


def _weights_trained(photo: Tensor, layer: str, features: Any, steps: int, rate: float = 0.05) -> Tensor:
    result = _loop(photo, layer, features, steps, rate)
    with torch.no_grad():
        features.first.weight.mul_(0.9)
    return result


def _one_more(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    return _loop(photo, layer, features, steps + 1, rate)


def _fixed_steps(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    return _loop(photo, layer, features, 60, rate)


def _fixed_rate(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    return _loop(photo, layer, features, steps, 0.02)


def _fixed_layer(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    return _loop(photo, "conv3_1", features, steps, rate)


def _other_layer(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    return _loop(photo, "early", features, steps, rate)


def _other_photo(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    return _loop(photo.flip(3), layer, features, steps, rate)


def _pixels(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    return torch.rand_like(photo)


def _moved_without_network(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    features(photo, [layer])
    return photo + 0.01 * torch.rand_like(photo)


def _clamped_at_the_end(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    return _loop(photo, layer, features, steps, rate, clamp=False).clamp(0, 1)


def _rebound(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    target = features(photo, [layer])[layer].detach()
    x = torch.rand_like(photo, requires_grad=True)
    optimizer = torch.optim.Adam([x], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        content_loss(features(x, [layer])[layer], target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        x = x.clamp(0, 1)
    return x.detach()


def _number(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> float:
    return _loop(photo, layer, features, steps, rate).mean().item()


def _single(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    return _loop(photo, layer, features, steps, rate)[0]


def _blurred_photo(photo: Tensor) -> Tensor:
    return F.avg_pool2d(photo, 3, 1, 1, count_include_pad=False)


WRONG_LOOPS: dict[str, tuple[Function, str]] = {
    "gradient never zeroed": (_mistake(zero=False), "earlier steps"),
    "optimizer in the loop": (_mistake(new_optimizer=True), "new optimizer"),
    "ascent": (_mistake(sign=-1.0), "loss rises"),
    "absolute differences": (_mistake(absolute=True), "do not move"),
    "another term": (_mistake(prior=2.0), "do not move"),
    "target computed again": (_mistake(again=True), "once is enough"),
    "target with its graph": (_mistake(with_graph=True), "constant"),
    "clamp makes another tensor": (_rebound, "clamp"),
    "pixels of a copy": (_mistake(copied=True), "never changes"),
    "no clamp": (_mistake(clamp=False), "range"),
    "clamp at the end only": (_clamped_at_the_end, "range"),
    "SGD": (_mistake(kind=torch.optim.SGD), "Adam"),
    "start at the photo": (_mistake(start=lambda photo: photo), "starts from the photo"),
    "normal noise": (_normal_noise, "uniformly"),
    "start near the photo": (_mistake(start=_blurred_photo), "not noise"),
    "start in gray": (_mistake(start=lambda photo: torch.full_like(photo, 0.5)), "one color"),
    "start outside": (_mistake(start=torch.randn_like), "outside"),
    "picture before the last step": (_mistake(before_last=True), "last step"),
    "the photo": (_photo_itself, "photo itself"),
    "noise": (_first_noise, "another picture"),
    "with gradient": (_with_gradient, "gradient"),
    "photo changed": (_photo_changed, "changes the photo"),
    "weights changed": (_weights_trained, "weights"),
    "a step more": (_one_more, "steps"),
    "steps fixed": (_fixed_steps, "steps"),
    "rate fixed": (_fixed_rate, "rate"),
    "layer fixed": (_fixed_layer, "'layer'"),
    "layer of the first case": (_other_layer, "'layer'"),
    "another photo": (_other_photo, "target come from"),
    "no network": (_pixels, "never calls"),
    "photo moved": (_moved_without_network, "no gradient"),
    "number": (_number, "picture"),
    "no batch dimension": (_single, "shape"),
}


@pytest.mark.parametrize("name", RIGHT_LOOPS)
def test_loop_accepts(name: str) -> None:
    verdict = check.function("reconstruct_from_layer", RIGHT_LOOPS[name])
    assert verdict.ok, verdict


@pytest.mark.parametrize("name", WRONG_LOOPS)
def test_loop_refuses(name: str) -> None:
    function, words = WRONG_LOOPS[name]
    verdict = check.function("reconstruct_from_layer", function)
    assert not verdict.ok
    assert words in str(verdict), verdict


def test_loop_is_open_until_it_is_written() -> None:
    assert "not done" in str(check.function("reconstruct_from_layer", lambda *arguments, **options: None))


def test_check_leaves_the_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    check.function("reconstruct_from_layer", _pixels)
    assert torch.equal(torch.rand(4), expected)


# --- total variation and gradient ------------------------------------------------------------------------


def _differences(x: Tensor) -> tuple[Tensor, Tensor]:
    return x[:, :, 1:] - x[:, :, :-1], x[..., 1:] - x[..., :-1]


def _variation_by(reduce: Callable[[Tensor], Tensor]) -> Function:
    return lambda x: sum(reduce(d) for d in _differences(x))


RIGHT_VARIATIONS: dict[str, Function] = {
    "slices": _variation_by(lambda d: d.square().mean((1, 2, 3))),
    "diff": lambda x: x.diff(dim=2).pow(2).flatten(1).mean(1) + x.diff(dim=3).pow(2).flatten(1).mean(1),
    "loop": lambda x: torch.stack([sum((d**2).mean() for d in _differences(p[None])) for p in x]),  # type: ignore[misc]
    "library": total_variation,
}

WRONG_VARIATIONS: dict[str, tuple[Function, str]] = {
    "batch mixed": (_variation_by(lambda d: d.square().mean()), "shape"),
    "sum": (_variation_by(lambda d: d.square().sum((1, 2, 3))), "sum"),
    "absolute": (_variation_by(lambda d: d.abs().mean((1, 2, 3))), "absolute"),
    "signed": (_variation_by(lambda d: d.mean((1, 2, 3))), "sign"),
    "rows only": (lambda x: _differences(x)[0].square().mean((1, 2, 3)), "columns"),
    "roll": (lambda x: sum((x - x.roll(1, d)).square().mean((1, 2, 3)) for d in (2, 3)), "wraps"),
    "half": (_variation_by(lambda d: d.square().mean((1, 2, 3)) / 2), "half"),
    "root": (lambda x: total_variation(x).sqrt(), "root"),
    "detached": (lambda x: total_variation(x).detach(), "gradient"),
    "constant": (lambda x: torch.full((len(x),), 0.02), "values"),
}


@pytest.mark.parametrize("name", RIGHT_VARIATIONS)
def test_total_variation_accepts(name: str) -> None:
    verdict = check.total_variation(RIGHT_VARIATIONS[name])
    assert verdict.ok, verdict


@pytest.mark.parametrize("name", WRONG_VARIATIONS)
def test_total_variation_refuses(name: str) -> None:
    function, words = WRONG_VARIATIONS[name]
    verdict = check.total_variation(function)
    assert not verdict.ok
    assert words in str(verdict), verdict


def _gradient_in_place(before: Tensor, target: Tensor) -> Tensor:
    return before.relu_().sub(target) * (before > 0)


RIGHT_GRADIENTS: dict[str, Function] = {
    "mask": lambda b, p: (b.relu() - p) * (b > 0),
    "where": lambda b, p: torch.where(b > 0, b - p, torch.zeros_like(b)),
    "clamp and float": lambda b, p: (b.clamp(min=0) - p) * (b > 0).to(b.dtype),
}

WRONG_GRADIENTS: dict[str, tuple[Function, str]] = {
    "no ReLU": (lambda b, p: b - p, "ReLU"),
    "at the output": (lambda b, p: b.relu() - p, "small change"),
    "sign": (lambda b, p: (p - b.relu()) * (b > 0), "sign"),
    "twice": (lambda b, p: 2 * (b.relu() - p) * (b > 0), "twice"),
    "boundary": (lambda b, p: (b.relu() - p) * (b >= 0), "before = 0"),
    "gated by the target": (lambda b, p: (b.relu() - p) * (p > 0), "target"),
    "in place": (_gradient_in_place, "in place"),
    "loss": (lambda b, p: 0.5 * (b.relu() - p) ** 2, "gradient"),
}


@pytest.mark.parametrize("name", RIGHT_GRADIENTS)
def test_content_gradient_accepts(name: str) -> None:
    verdict = check.content_gradient(RIGHT_GRADIENTS[name])
    assert verdict.ok, verdict


@pytest.mark.parametrize("name", WRONG_GRADIENTS)
def test_content_gradient_refuses(name: str) -> None:
    function, words = WRONG_GRADIENTS[name]
    verdict = check.content_gradient(function)
    assert not verdict.ok
    assert words in str(verdict), verdict


# --- a better picture ------------------------------------------------------------------------------------


class _Linear:
    """A quick network: the mean of 2 x 2 pixels, so that fine grain has no gain."""

    def __call__(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        return {name: F.avg_pool2d(images, 2) for name in layers}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(lesson_02, "_network", _Linear)
    lesson_02._bare.cache_clear()
    yield
    lesson_02._bare.cache_clear()


def _from_noise(prior: float) -> Function:
    def function(target: Tensor, layer: str, features: Read, shape: tuple[int, ...], steps: int) -> Tensor:
        return lesson_02._descend(torch.rand(shape).requires_grad_(), target, layer, features, steps, 0.05, prior)

    return function


BETTER: dict[str, Function] = {
    "solution": lesson_02.rebuild_with_prior,
    "from noise with a prior": _from_noise(1.0),
    "from gray without a prior": partial(lesson_02.rebuild_with_prior, prior=0.0),
}

NOT_BETTER: dict[str, tuple[Function, str]] = {
    "the same loop": (_from_noise(0.0), "dB"),
    "too much prior": (partial(lesson_02.rebuild_with_prior, prior=1e4), "content loss"),
    "more steps": (
        lambda t, layer, f, shape, steps: _from_noise(1.0)(t, layer, f, shape, 5 * steps),
        "calls the network",
    ),
    "one color": (lambda t, layer, f, shape, steps: torch.full(shape, 0.5), "content loss"),
    "fixed picture": (lambda t, layer, f, shape, steps: lesson_02.smooth_photo((48, 48), 0), "content loss"),
    "another size": (lambda t, layer, f, shape, steps: torch.rand(1, 3, 8, 8), "shape"),
    "loss": (lambda *arguments: 0.1, "picture"),
    "with gradient": (lambda *arguments: lesson_02.rebuild_with_prior(*arguments).requires_grad_(), "gradient"),
    "out of range": (lambda *arguments: lesson_02.rebuild_with_prior(*arguments) * 255, "outside"),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", BETTER)
def test_better_picture_accepts(name: str) -> None:
    verdict = check.function("a better picture from activations", BETTER[name])
    assert verdict.ok, verdict


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", NOT_BETTER)
def test_better_picture_refuses(name: str) -> None:
    function, words = NOT_BETTER[name]
    verdict = check.function("a better picture from activations", function)
    assert not verdict.ok
    assert words in str(verdict), verdict


def test_better_picture_with_the_real_network() -> None:
    verdict = check.function("a better picture from activations", lesson_02.rebuild_with_prior)
    assert verdict.ok, verdict


# --- claims ----------------------------------------------------------------------------------------------

LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
BARE = dict(zip(LAYERS, (31.2, 19.0, 17.4, 13.5, 8.0)))
HELPED = dict(zip(LAYERS, (43.8, 35.4, 28.0, 17.7, 10.0)))


def _run(content: float) -> Result:
    record = Record(1, 0.0, content, content, 0.0, 0.0, {}, {})
    return Result(torch.zeros(1, 3, 2, 2), [record], 0.0, "finished", 0)


def _runs(*losses: float) -> dict[str, Result]:
    return {name: _run(loss) for name, loss in zip(LAYERS, losses)}


def _refused(function: Callable[..., None], *arguments: Any) -> None:
    with pytest.raises(AssertionError):
        function(*arguments)


def test_claims_about_the_loop_and_the_layers() -> None:
    claims.lbfgs_lowers_the_loss_further_than_adam(6e-3, 9e-4)
    _refused(claims.lbfgs_lowers_the_loss_further_than_adam, 6e-3, 5e-3)
    claims.a_hundred_steps_leave_grain(14.0)
    _refused(claims.a_hundred_steps_leave_grain, 30.0)
    claims.quality_falls_from_the_first_layer_to_the_last(BARE, "cpu")
    _refused(claims.quality_falls_from_the_first_layer_to_the_last, BARE | {"conv5_1": 15.0}, "cpu")
    _refused(claims.quality_falls_from_the_first_layer_to_the_last, BARE | {"conv1_1": 18.0}, "smoke")


def test_claims_about_layer_and_optimizer() -> None:
    losses = {"noise": 0.11, "blur": 0.15, "reconstruction": 0.006, "noise of 40 dB": 3e-4}
    claims.the_reconstruction_is_nearer_than_noise_and_blur(losses, "cpu")
    _refused(claims.the_reconstruction_is_nearer_than_noise_and_blur, losses | {"blur": 0.01}, "cpu")
    claims.a_picture_with_a_smaller_loss_exists(losses, "cpu")
    _refused(claims.a_picture_with_a_smaller_loss_exists, losses | {"noise of 40 dB": 0.1}, "cpu")
    claims.more_steps_still_lower_the_loss_of_deep_layers({"conv4_1": 5.0, "conv5_1": 3.0})
    _refused(claims.more_steps_still_lower_the_loss_of_deep_layers, {"conv4_1": 5.0, "conv5_1": 1.1})
    claims.more_steps_help_conv4_more_than_conv5({"conv4_1": 3.0, "conv5_1": 0.5}, "cpu")
    _refused(claims.more_steps_help_conv4_more_than_conv5, {"conv4_1": 0.2, "conv5_1": 0.5}, "cpu")


def test_claims_about_the_jacobian() -> None:
    claims.deeper_layers_have_fewer_large_gains([700, 200, 150, 80, 50])
    _refused(claims.deeper_layers_have_fewer_large_gains, [200, 700, 150, 80, 50])
    shapes = dict(zip(("conv1_1", "pool1", "conv2_1", "pool2", "conv3_1", "pool3", "conv4_1"), COMPACT))
    for count in (320, 321):
        gains = {"conv4_1": torch.cat([torch.ones(count), torch.zeros(768 - count)])}
        if count == 320:
            claims.counting_bounds_the_number_of_gains(gains, shapes)
        else:
            _refused(claims.counting_bounds_the_number_of_gains, gains, shapes)
    claims.the_first_layer_has_no_small_gain(0)
    _refused(claims.the_first_layer_has_no_small_gain, 5)
    broad = torch.linspace(0, 1, 16).expand(3, 16, 16).flatten()
    fine = (torch.arange(768) % 2).float()
    claims.small_gains_are_fine_patterns(torch.stack([broad] * 3 + [fine] * 3), range(6))
    _refused(claims.small_gains_are_fine_patterns, torch.stack([fine] * 3 + [broad] * 3), range(6))
    noise = {"0.0003": 0.002, "0.1": 0.6}
    claims.the_gain_zero_mixture_is_invisible_only_while_small(noise, {"0.0003": 0.0001, "0.1": 0.4})
    _refused(claims.the_gain_zero_mixture_is_invisible_only_while_small, noise, {"0.0003": 0.001, "0.1": 0.4})
    _refused(claims.the_gain_zero_mixture_is_invisible_only_while_small, noise, {"0.0003": 0.0001, "0.1": 0.03})


def test_claims_about_the_prior() -> None:
    claims.the_prior_helps_every_layer_and_conv5_least(BARE, HELPED)
    _refused(claims.the_prior_helps_every_layer_and_conv5_least, BARE, HELPED | {"conv5_1": 16.0})
    bare, helped = _runs(3e-6, 7e-6, 1.7e-4, 4.5e-4, 4.8e-3), _runs(2.5e-5, 4.8e-5, 1.8e-4, 3.9e-4, 3.5e-3)
    claims.the_prior_costs_content_loss_in_low_layers_and_lowers_it_in_conv5(bare, helped, "cpu")
    _refused(claims.the_prior_costs_content_loss_in_low_layers_and_lowers_it_in_conv5, helped, bare, "cpu")
    swept = {"0": _run(4.5e-4), "0.1": _run(3.9e-4), "10": _run(8e-3)}
    claims.too_much_prior_costs_content(swept)
    _refused(claims.too_much_prior_costs_content, swept | {"10": _run(4e-4)})
    claims.a_gray_start_helps(17.4, 25.7)
    _refused(claims.a_gray_start_helps, 17.4, 18.0)
    claims.the_own_prior_helps(14.0, 20.0)
    _refused(claims.the_own_prior_helps, 14.0, 15.0)


def test_claims_about_the_relu() -> None:
    claims.the_relu_costs_little({"conv3_1": 0.5, "conv4_1": -1.0})
    _refused(claims.the_relu_costs_little, {"conv3_1": 0.5, "conv4_1": -6.0})
    _refused(claims.the_relu_costs_little, {"conv3_1": 2.0, "conv4_1": 0.0})
    before, wanted = torch.randn(1, 2, 3, 4), torch.rand(1, 2, 3, 4)
    claims.activations_below_zero_get_no_gradient(before, wanted, (before.relu() - wanted) * (before > 0))
    _refused(claims.activations_below_zero_get_no_gradient, before, wanted, before.relu() - wanted)
    claims.a_part_of_the_activations_starts_without_gradient(0.3)
    _refused(claims.a_part_of_the_activations_starts_without_gradient, 0.0)


def test_claims_about_the_content_layer() -> None:
    shared = {"conv2_1": (36.0, 0.99, 0.99), "conv4_1": (19.0, 0.9, 0.9), "conv5_1": (9.0, 0.5, 0.4)}
    claims.conv4_keeps_the_arrangement_and_frees_the_pixels(shared, 0.1, "cpu")
    _refused(claims.conv4_keeps_the_arrangement_and_frees_the_pixels, shared, 0.7, "cpu")
    same = shared | {"conv4_1": (35.0, 0.99, 0.9)}
    _refused(claims.conv4_keeps_the_arrangement_and_frees_the_pixels, same, 0.1, "cpu")
