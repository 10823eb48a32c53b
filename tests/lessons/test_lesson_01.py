"""The exercises, questions and claims of lesson 01, and activation.py: what one channel responds to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nstlib import LayerError, SettingError, VGGFeatures
from nstlib.course import activation, check
from nstlib.course.claims import lesson_01 as claims
from nstlib.course.tasks import all_tasks, lesson_01
from nstlib.course.tasks.kinds import Choice, Program

Function = Callable[..., Any]


def verdict(name: str, function: Function) -> tuple[bool, str]:
    found = check.function(name, function)
    return found.ok, found.message


# --- choices ---------------------------------------------------------------------------------------------

RIGHT_CHOICES = {
    "what depth bought": "b",
    "where the parameters sit": "b",
    "the worst mistake": "3",
    "what the ascent draws for B": "b",
    "the smallest Gram entry": "ab",
    "tolerance without pooling": "b",
}


@pytest.mark.parametrize("name", RIGHT_CHOICES)
def test_choices(name: str) -> None:
    task = all_tasks()[name]
    assert isinstance(task, Choice)
    for answer, remark in task.remarks.items():
        found = check.choice(name, answer)
        assert found.ok == (answer == RIGHT_CHOICES[name]), found
        assert remark in str(found)
    assert not check.choice(name, "z").ok


def test_every_choice_is_tested() -> None:
    assert {task.name for task in lesson_01.TASKS if isinstance(task, Choice)} == set(RIGHT_CHOICES)


def test_programs_have_hints() -> None:
    assert all(task.hints for task in lesson_01.TASKS if isinstance(task, Program))


# --- arithmetic ------------------------------------------------------------------------------------------


def _by_module(kernel: int, in_channels: int, out_channels: int) -> int:
    return sum(p.numel() for p in nn.Conv2d(in_channels, out_channels, kernel).parameters())


RIGHT_COUNTS: dict[str, Function] = {
    "formula": lesson_01.conv_parameters,
    "by a module": _by_module,
    "bias inside": lambda k, i, o: o * (k**2 * i + 1),
    "float": lambda k, i, o: float(math.prod((k, k, i, o)) + o),
}
WRONG_COUNTS: dict[str, tuple[Function, str]] = {
    "no bias": (lambda k, i, o: k * k * i * o, "biases"),
    "side once": (lambda k, i, o: k * i * o + o, "two sides"),
    "bias of the input": (lambda k, i, o: k * k * i * o + i, "input channel"),
    "one bias": (lambda k, i, o: k * k * i * o + 1, "too few"),
    "bias per weight": (lambda k, i, o: (k * k + 1) * i * o, "bias of its own"),
    "no depth": (lambda k, i, o: k * k * o + o, "depth"),
    "constant": (lambda k, i, o: 96080, "same number"),
    "three by three": (lambda k, i, o: 9 * i * o + o, "kernel = 1"),
    "text": (lambda k, i, o: "many", "a number"),
    "nothing": (lambda k, i, o: ..., "returns None"),
}


@pytest.mark.parametrize("name", RIGHT_COUNTS)
def test_right_counts_of_parameters(name: str) -> None:
    assert verdict("conv_parameters", RIGHT_COUNTS[name])[0]


@pytest.mark.parametrize("name", WRONG_COUNTS)
def test_wrong_counts_of_parameters(name: str) -> None:
    function, word = WRONG_COUNTS[name]
    ok, message = verdict("conv_parameters", function)
    assert not ok
    assert word in message


def _backwards(layers: Sequence[tuple[int, int]]) -> int:
    field = 1
    for kernel, stride in reversed(layers):
        field = (field - 1) * stride + kernel
    return field


def _by_sum(layers: Sequence[tuple[int, int]]) -> int:
    strides = [stride for _, stride in layers]
    return 1 + sum((kernel - 1) * math.prod(strides[:i]) for i, (kernel, _) in enumerate(layers))


def _stride_first(layers: Sequence[tuple[int, int]]) -> int:
    field = jump = 1
    for kernel, stride in layers:
        jump *= stride
        field += (kernel - 1) * jump
    return field


def _last_stride(layers: Sequence[tuple[int, int]]) -> int:
    field = jump = 1
    for kernel, stride in layers:
        field, jump = field + (kernel - 1) * jump, stride
    return field


def _sum_of_strides(layers: Sequence[tuple[int, int]]) -> int:
    field = jump = 1
    for kernel, stride in layers:
        field, jump = field + (kernel - 1) * jump, jump + stride - 1
    return field


def _always_two(layers: Sequence[tuple[int, int]]) -> int:
    field = jump = 1
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump *= 2 if stride > 1 else 1
    return field


RIGHT_FIELDS: dict[str, Function] = {"forwards": lesson_01.receptive_field, "backwards": _backwards, "a sum": _by_sum}
WRONG_FIELDS: dict[str, tuple[Function, str]] = {
    "the printed answer": (lambda layers: 84, "same number"),
    "stride first": (_stride_first, "too early"),
    "no strides": (lambda layers: 1 + sum(k - 1 for k, _ in layers), "no effect"),
    "whole kernels": (lambda layers: sum(k for k, _ in layers), "overlap"),
    "last stride": (_last_stride, "latest stride"),
    "strides added": (_sum_of_strides, "adds the strides"),
    "off by one": (lambda layers: _by_sum(layers) - 1, "one pixel"),
    "stride 2 only": (_always_two, "layers ="),
    "a list": (lambda layers: [3], "a number"),
    "nothing": (lambda layers: None, "returns None"),
}


@pytest.mark.parametrize("name", RIGHT_FIELDS)
def test_right_fields(name: str) -> None:
    assert verdict("receptive_field", RIGHT_FIELDS[name])[0]


@pytest.mark.parametrize("name", WRONG_FIELDS)
def test_wrong_fields(name: str) -> None:
    function, word = WRONG_FIELDS[name]
    ok, message = verdict("receptive_field", function)
    assert not ok
    assert word in message


# --- reading activations ---------------------------------------------------------------------------------


def _read(
    model: nn.Module,
    names: Sequence[str],
    picture: Tensor,
    *,
    copy: Function = Tensor.clone,
    remove: bool = True,
    calls: int = 1,
    order: Function = list,
    also: Function = lambda model: None,
    store: dict[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """The right function, in which each option makes one mistake."""
    found = {} if store is None else store

    def keep(name: str, module: nn.Module, inputs: object, output: Tensor) -> None:
        found[name] = copy(output)

    modules = dict(model.named_modules())
    handles = [modules[name].register_forward_hook(partial(keep, name)) for name in names]
    also(model)
    for _ in range(calls):
        model(picture)
    for handle in handles if remove else ():
        handle.remove()
    return {name: found[name] for name in order(names)}


def _without_partial(model: nn.Module, names: Sequence[str], picture: Tensor) -> dict[str, Tensor]:
    """Every hook stores under the last name, because closures see the variable and not its value."""
    found: dict[str, Tensor] = {}
    handles = []
    for name in names:
        handles.append(
            model.get_submodule(name).register_forward_hook(lambda m, i, o: found.update({name: o.clone()}))  # noqa: B023
        )
    model(picture)
    for handle in handles:
        handle.remove()
    return found


def _own_hooks(model: nn.Module, names: list[str], picture: Tensor) -> dict[str, Tensor]:
    """A default argument keeps the name; the in-place problem is solved by an addition."""
    found: dict[str, Any] = dict.fromkeys(names)
    handles = []
    for name, module in model.named_modules():
        if name in names:

            def hook(m: nn.Module, i: object, o: Tensor, key: str = name) -> None:
                found[key] = o + 0

            handles.append(module.register_forward_hook(hook))
    try:
        model(picture)
    finally:
        [handle.remove() for handle in handles]
    return found


class _Keeper:
    def __init__(self) -> None:
        self.output: Tensor | None = None

    def __call__(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        self.output = output.clone()


def _with_objects(model: nn.Module, names: list[str], picture: Tensor) -> dict[str, Tensor | None]:
    keepers = {name: _Keeper() for name in names}
    handles = {name: model.get_submodule(name).register_forward_hook(keepers[name]) for name in names}
    model.forward(picture)
    while handles:
        handles.popitem()[1].remove()
    return {name: keeper.output for name, keeper in keepers.items()}


def _clears_hooks(model: nn.Module, names: list[str], picture: Tensor) -> dict[str, Tensor]:
    found = _read(model, names, picture)
    for module in model.modules():
        module._forward_hooks.clear()
    return found


def _sets_attribute(name: str, value: bool) -> Function:
    def change(model: nn.Module) -> None:
        for module in model.modules():
            if hasattr(module, name):
                setattr(module, name, value)

    return change


def _without_gradient(model: nn.Module, names: list[str], picture: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return _read(model, names, picture)


def _layer_by_layer(model: nn.Module, names: list[str], picture: Tensor) -> dict[str, Tensor]:
    """Runs the parts one after another, as if every model were a sequence."""
    found, x = {}, picture
    for name, module in model.named_modules():
        if not list(module.children()):
            x = module(x)
            if name in names:
                found[name] = x.clone()
    return {name: found[name] for name in names}


STORE: dict[str, Tensor] = {}

RIGHT_READERS: dict[str, Function] = {
    "reference": lesson_01.read_activations,
    "partial": _read,
    "default argument": _own_hooks,
    "objects": _with_objects,
}
WRONG_READERS: dict[str, tuple[Function, str]] = {
    "no copy": (partial(_read, copy=lambda output: output), "no value is negative"),
    "detached": (partial(_read, copy=lambda output: output.detach().clone()), "cut off"),
    "no gradient": (_without_gradient, "cut off"),
    "hooks stay": (partial(_read, remove=False), "still registered"),
    "all hooks removed": (_clears_hooks, "did not register"),
    "two passes": (partial(_read, calls=2), "called 2 times"),
    "order of the network": (partial(_read, order=sorted), "order"),
    "first name only": (partial(_read, order=lambda names: names[:1]), "asked for"),
    "last name for all": (_without_partial, "asked for"),
    "one dictionary for all calls": (lambda m, n, p: _shared(m, n, p), "second call"),
    "a list": (lambda m, n, p: list(_read(m, n, p).values()), "a dictionary"),
    "numpy": (lambda m, n, p: {k: v.detach().numpy() for k, v in _read(m, n, p).items()}, "numpy array"),
    "first of the batch": (partial(_read, copy=lambda output: output[:1].clone()), "shape"),
    "ReLU added": (partial(_read, copy=lambda output: output.relu()), "negative"),
    "absolute values": (partial(_read, copy=lambda output: output.abs()), "not the module's output"),
    "inplace switched off": (partial(_read, also=_sets_attribute("inplace", False)), "changes the model"),
    "mode changed": (partial(_read, also=nn.Module.eval), "changes the model"),
    "parameters frozen": (partial(_read, also=lambda m: m.requires_grad_(False)), "changes the model"),
    "layer by layer": (_layer_by_layer, "raises RuntimeError"),
    "nothing": (lambda m, n, p: ..., "returns None"),
}


def _shared(model: nn.Module, names: list[str], picture: Tensor) -> dict[str, Tensor]:
    _read(model, names, picture, store=STORE)
    for name in [name for name in STORE if name not in names]:
        del STORE[name]
    for name in names:
        STORE[name] = STORE.pop(name)
    return STORE


@pytest.mark.parametrize("name", RIGHT_READERS)
def test_right_readers(name: str) -> None:
    ok, message = verdict("read_activations", RIGHT_READERS[name])
    assert ok, message


@pytest.mark.parametrize("name", WRONG_READERS)
def test_wrong_readers(name: str) -> None:
    function, word = WRONG_READERS[name]
    ok, message = verdict("read_activations", function)
    assert not ok
    assert word in message


def test_reader_removes_its_hooks_after_an_error() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(5, 4, 3))
    with pytest.raises(RuntimeError):
        lesson_01.read_activations(model, ["0"], torch.rand(1, 3, 8, 8))
    assert not model[0]._forward_hooks


# --- activation.py ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def features() -> VGGFeatures:
    return VGGFeatures(weights="compact", precision="float32")


@pytest.mark.parametrize("layer", ["relu1_1", "pool1", "relu2_2", "conv3_1", "pool3"])
def test_receptive_field_is_where_the_gradient_is_not_zero(layer: str) -> None:
    features = VGGFeatures(weights="compact", precision="float32", pooling="avg", fast=False)
    x = torch.rand((1, 3, 96, 96), generator=torch.Generator().manual_seed(1)).requires_grad_()
    maps = features(x, layer)[layer]
    middle = maps.shape[2] // 2
    (gradient,) = torch.autograd.grad(maps[0, :, middle, middle].sum(), x)
    rows = gradient[0].abs().sum((0, 2)).nonzero().flatten().tolist()
    field = activation.receptive_field(layer)
    assert (rows[0], rows[-1]) == (
        middle * field.jump + field.start,
        middle * field.jump + field.start + field.size - 1,
    )


def test_receptive_field_of_an_unknown_layer() -> None:
    with pytest.raises(LayerError, match="relu9_1"):
        activation.receptive_field("relu9_1")


def test_maximize_raises_the_activation_of_each_channel(features: VGGFeatures) -> None:
    channels = [0, 11]  # 11 of relu4_1 is zero for noise around gray
    drawn = activation.maximize(features, "relu4_1", channels, size=32, steps=12)
    assert drawn.shape == (2, 3, 32, 32)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    start = activation.maximize(features, "relu4_1", channels, size=32, steps=0)
    for i, channel in enumerate(channels):
        before, after = (features(x[i : i + 1], "relu4_1")["relu4_1"][0, channel].mean() for x in (start, drawn))
        assert after > before + 0.01


def test_maximize_draws_a_channel_alone_as_among_others(features: VGGFeatures) -> None:
    together = activation.maximize(features, "relu2_1", [3, 5], size=24, steps=6)
    alone = activation.maximize(features, "relu2_1", [5], size=24, steps=6)
    assert torch.allclose(together[1:], alone, atol=1e-3)


def test_maximize_without_a_gradient_in_the_prior_is_rougher(features: VGGFeatures) -> None:
    rough, smooth = (activation.maximize(features, "relu2_1", [3], size=24, steps=15, prior=p) for p in (0.0, 30.0))
    assert rough.std() > smooth.std()


def test_maximize_needs_a_relu(features: VGGFeatures) -> None:
    with pytest.raises(LayerError, match="pool1"):
        activation.maximize(features, "pool1", [0])


def test_patches_hold_all_that_the_activation_depends_on(features: VGGFeatures) -> None:
    pictures = activation.library(96)
    pictures = {name: pictures[name] for name in list(pictures)[:3]}
    (patches,) = activation.exciting_patches(features, "relu2_1", [4], pictures, count=5)
    assert [patch.activation for patch in patches] == sorted((p.activation for p in patches), reverse=True)
    field = activation.receptive_field("relu2_1")
    for patch in patches:
        assert patch.pixels.shape == (1, 3, field.size, field.size)
        top, left = patch.corner
        picture = torch.rand(pictures[patch.picture].shape, generator=torch.Generator().manual_seed(0))
        picture[:, :, top : top + field.size, left : left + field.size] = patch.pixels  # all else is noise
        row, column = ((corner - field.start) // field.jump for corner in patch.corner)
        found = features(picture, "relu2_1")["relu2_1"][0, 4, row, column].item()
        assert found == pytest.approx(patch.activation, rel=1e-3)


def test_best_patch_is_the_largest_activation_inside(features: VGGFeatures) -> None:
    picture = activation.library(96)["coffee"]
    ((best, *rest),) = activation.exciting_patches(features, "relu1_1", [4], {"coffee": picture}, each=3)
    maps = features(picture, "relu1_1")["relu1_1"][0, 4]
    assert best.activation == pytest.approx(maps[1:-1, 1:-1].max().item())
    corners = [patch.corner for patch in (best, *rest)]
    assert len(set(corners)) == 3
    assert all(max(abs(a - c), abs(b - d)) > 1 for a, b in corners for c, d in corners if (a, b) != (c, d))


def test_no_patch_of_a_picture_that_is_too_small(features: VGGFeatures) -> None:
    (patches,) = activation.exciting_patches(features, "relu4_1", [0], {"small": torch.rand(1, 3, 48, 48)})
    assert patches == []
    with pytest.raises(SettingError, match="receptive field"):
        activation.mosaic(patches)


def test_library_has_photos_and_paintings() -> None:
    pictures = activation.library(64)
    assert {"chelsea", "waves", "brick"} <= set(pictures)
    assert all(p.shape[:2] == (1, 3) and max(p.shape[2:]) == 64 for p in pictures.values())


def test_mosaic_and_beside() -> None:
    patches = [activation.Patch(torch.full((1, 3, 3, 3), value), 1.0, "", (0, 0)) for value in (0.1, 0.2, 0.3, 0.4)]
    tiles = activation.mosaic(patches, columns=3, side=10, gap=2)
    assert tiles.shape == (1, 3, 22, 34)
    assert tiles[0, 0, 5, 5].item() == pytest.approx(0.1)
    assert tiles[0, 0, 15, 5].item() == pytest.approx(0.4)
    assert tiles[0, 0, 11, 5] == 1
    both = activation.beside(torch.zeros(1, 3, 8, 8), tiles, gap=4)
    assert both.shape == (1, 3, 22, 22 + 4 + 34)


# --- claims ----------------------------------------------------------------------------------------------

HARM = {"1": {"a": 0.7}, "2": {"a": 0.3}, "3 [0, 255]": {"a": 200.0}, "4": {"a": 0.5}}
SHIFTED = {
    "relu1_2, max pooling": {1: 0.8, 2: 0.5, 3: 0.4, 4: 0.3, 8: 0.2},
    "pool3, no pooling": {1: 0.96, 2: 0.92, 3: 0.85, 4: 0.8, 8: 0.5},
    "pool3, max pooling": {1: 0.98, 2: 0.95, 3: 0.9, 4: 0.88, 8: 0.7},
    "pool4, max pooling": {1: 0.97, 2: 0.94, 3: 0.89, 4: 0.86, 8: 0.72},
}
ANSWERS = {
    "coffee": [("espresso", 0.5)],
    "chelsea": [("Egyptian cat", 0.09)],
    "astronaut": [("basketball", 0.2)],
}
PRICE = {"one large kernel": {5: 25.0, 7: 49.0}, "a stack of 3x3 kernels": {5: 18.0, 7: 27.0}}
WAYS = {"one": (27.6, 9.1), "E": (24.4, 7.1), "both": (23.7, 6.8)}
ERRORS = {"A": 29.6, "A-LRN": 29.7, "B": 28.7, "C": 28.1, "D": 27.0, "E": 27.3}
SPECTRA = {
    "sin": {0: 0.0, 8: 1.0, 16: 0.0, 32: 0.0},
    "relu(sin)": {0: 0.6, 8: 0.5, 16: 0.2, 32: 0.04},
}
TABLE = [["right", "espresso 50%", "cat 9%"], ["1", "espresso 63%", "banana 13%"]]


def _stripes(vertical: bool, period: int = 8) -> Tensor:
    wave = (torch.arange(64) % period < period // 2).float().expand(1, 3, 64, 64)
    return wave if vertical else wave.transpose(2, 3)


def _checks() -> Tensor:
    return (_stripes(True) - _stripes(False)).abs()


def _altered(table: Any, key: Any, value: Any) -> Any:
    return {**table, key: value}


CLAIMS: dict[str, tuple[Function, Sequence[tuple[Any, ...]], Sequence[tuple[Any, ...]]]] = {
    "depth": (
        claims.the_error_stops_falling_after_d,
        [(ERRORS,)],
        [(_altered(ERRORS, "E", 26.0),), (_altered(ERRORS, "C", 29.0),), (_altered(ERRORS, "A-LRN", 29.0),)],
    ),
    "price": (
        claims.stacks_of_small_kernels_are_cheaper,
        [(PRICE,)],
        [(_altered(PRICE, "a stack of 3x3 kernels", {5: 25.0, 7: 27.0}),)],
    ),
    "harm": (
        claims.pixels_up_to_255_do_the_most_harm,
        [(HARM,)],
        [(_altered(HARM, "3 [0, 255]", {"a": 0.6}),), (_altered(HARM, "2", {"a": 0.0}),)],
    ),
    "own channel": (
        claims.a_drawn_picture_excites_its_own_channel_most,
        [({"A": [3.0, 1.0], "B": [1.0, 2.0]},)],
        [({"A": [3.0, 2.5], "B": [1.0, 2.0]},)],
    ),
    "more than a photo": (
        claims.a_drawn_picture_excites_more_than_any_photo,
        [({"A": [3.0, 1.0], "B": [1.0, 2.0]}, [1.0, 0.5])],
        [({"A": [3.0, 1.0], "B": [1.0, 2.0]}, [1.0, 1.5])],
    ),
    "directions": (
        claims.channel_a_prefers_vertical_stripes_and_b_no_direction,
        [({"A": _stripes(True), "B": _checks()},)],
        [({"A": _stripes(False), "B": _checks()},), ({"A": _stripes(True), "B": _stripes(True)},)],
    ),
    "edges": (
        claims.drawn_edges_have_the_direction_of_their_channel,
        [(torch.cat([_stripes(True), _stripes(False)]),)],
        [(torch.cat([_stripes(False), _stripes(True)]),), (torch.cat([_stripes(True), _stripes(True)]),)],
    ),
    "prior": (
        claims.a_larger_prior_makes_a_smoother_picture,
        [({0: 1.0, 8: 0.4, 30: 0.1},)],
        [({0: 1.0, 8: 0.8, 30: 0.7},), ({0: 0.1, 8: 0.05, 30: 0.4},)],
    ),
    "Gram": (
        claims.opposite_edges_are_rarely_active_together,
        [(torch.tensor([[1, 0.1, 0.5], [0.1, 1, 0.6], [0.5, 0.6, 1]]),)],
        [(torch.tensor([[1, 0.4, 0.5], [0.4, 1, 0.6], [0.5, 0.6, 1]]),)],
    ),
    "frequencies": (
        claims.a_relu_adds_frequencies,
        [(SPECTRA,)],
        [(_altered(SPECTRA, "relu(sin)", SPECTRA["sin"]),), (_altered(SPECTRA, "sin", SPECTRA["relu(sin)"]),)],
    ),
    "zeros": (
        claims.most_activations_after_relu4_1_are_zero,
        [({"relu1_2": 9.0, "relu4_2": 70.0, "relu4_3": 70.0, "relu4_4": 80.0},)],
        [
            ({"relu1_2": 9.0, "relu4_2": 50.0, "relu4_3": 70.0, "relu4_4": 80.0},),
            ({"relu1_2": 30.0, "relu4_2": 70.0, "relu4_3": 70.0, "relu4_4": 80.0},),
        ],
    ),
    "control": (
        claims.most_tolerance_is_there_without_pooling,
        [(SHIFTED,)],
        [(_altered(SHIFTED, "pool3, no pooling", {4: 0.5}),)],
    ),
    "pooling": (
        claims.pooling_adds_tolerance,
        [(SHIFTED,)],
        [(_altered(SHIFTED, "pool3, no pooling", SHIFTED["pool3, max pooling"]),)],
    ),
    "pool4": (
        claims.pool4_is_not_more_tolerant_than_pool3,
        [(SHIFTED,)],
        [
            (_altered(SHIFTED, "pool4, max pooling", dict.fromkeys((1, 2, 3, 4, 8), 0.89)),),
            (_altered(SHIFTED, "pool4, max pooling", dict.fromkeys((1, 2, 3, 4), 0.5) | {8: 0.95}),),
        ],
    ),
    "named": (
        claims.cup_and_cat_are_named,
        [(ANSWERS,)],
        [
            (_altered(ANSWERS, "chelsea", [("snail", 0.1)]),),
            (_altered(ANSWERS, "chelsea", [("Egyptian cat", 0.4)]),),
            (_altered(ANSWERS, "coffee", [("CD player", 0.4)]),),
        ],
    ),
    "surer": (
        claims.it_is_surer_of_the_astronaut_than_of_the_cat,
        [(ANSWERS,)],
        [(_altered(ANSWERS, "astronaut", [("basketball", 0.05)]),)],
    ),
    "mistakes": (
        claims.no_mistake_is_harmless_for_both_photos,
        [(TABLE,)],
        [([TABLE[0], ["1", "espresso 51%", "cat 10%"]],)],
    ),
    "torchvision": (
        claims.torchvision_states_a_larger_error_than_the_report,
        [(27.624, 9.124)],
        [(23.7, 9.1), (27.6, 6.8)],
    ),
    "refinements": (
        claims.each_refinement_lowers_the_error,
        [(WAYS,)],
        [(_altered(WAYS, "E", (28.0, 7.1)),), (_altered(WAYS, "both", (23.0, 6.8)),)],
    ),
    "crops": (
        claims.few_crops_show_a_cat_but_their_mean_does,
        [(7, ["Egyptian cat", "tabby"])],
        [(14, ["Egyptian cat"]), (7, ["snail", "Egyptian cat"])],
    ),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claims(name: str) -> None:
    claim, holding, contradicting = CLAIMS[name]
    for arguments in holding:
        claim(*arguments)
    for arguments in contradicting:
        with pytest.raises(AssertionError):
            claim(*arguments)


def _row(parameters: int, work: int = 1) -> dict[str, int]:
    return {"parameters": parameters, "work": work}


def test_claim_about_the_parts_of_vgg() -> None:
    small = {"conv1_1": _row(9, 10_000), "conv5_1": _row(0, 10_000), "fc6": _row(72, 1), "fc7": _row(19, 1)}
    sixteen = {"fc6": _row(74), "fc7": _row(26)}
    claims.fc6_holds_most_parameters_and_convolutions_most_work(sixteen, small)
    for name, row in {"fc6": _row(50, 1), "conv1_1": _row(30, 10_000), "fc7": _row(19, 1_000)}.items():
        with pytest.raises(AssertionError):
            claims.fc6_holds_most_parameters_and_convolutions_most_work(sixteen, {**small, name: row})


def test_claim_about_torchvision_fails_for_another_network() -> None:
    rows = {"conv1_1": _row(5)}
    with pytest.raises(AssertionError):
        claims.the_survey_agrees_with_what_torchvision_states(rows, rows)
    networks = dict.fromkeys(("A", "A-LRN", "B", "C", "D", "E"), nn.Linear(2, 2))
    with pytest.raises(AssertionError):
        claims.our_networks_have_the_parameters_that_torchvision_and_the_paper_state(networks)


def test_claim_about_fields() -> None:
    names = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv4_2", "conv5_4")
    right = {name: activation.receptive_field(name).size for name in names}
    claims.the_fields_of_vgg_are_known({"vgg19": right})
    with pytest.raises(AssertionError):
        claims.the_fields_of_vgg_are_known({"vgg19": {**right, "conv4_2": 85}})


def test_claim_about_the_middle_of_the_field() -> None:
    field = activation.receptive_field("relu3_4")
    start = claims.MIDDLE // field.jump * field.jump + field.start
    bell = torch.zeros(288, 288)
    inside = bell[start : start + field.size, start : start + field.size]
    inside += 0.1
    inside[field.size // 4 : -(field.size // 4), field.size // 4 : -(field.size // 4)] = 1
    claims.most_influence_comes_from_the_middle_of_the_field({"relu3_4": bell})
    flat = (bell > 0).float()
    outside = F.pad(bell[1:], (0, 0, 0, 1)).clone()
    for wrong in (flat, outside):
        with pytest.raises(AssertionError):
            claims.most_influence_comes_from_the_middle_of_the_field({"relu3_4": wrong})
