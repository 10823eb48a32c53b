"""Questions and exercises of lesson 01."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..grading import describe_value
from .kinds import Choice, Program, Task

Read = Callable[..., Mapping[str, Tensor]]
"""Takes a model, names of its modules, and a picture; returns activations by name."""


# --- arithmetic ----------------------------------------------------------------------------------------


def conv_parameters(kernel: int, in_channels: int, out_channels: int) -> int:
    """Return the number of parameters of a convolution with a square kernel and a bias."""
    return kernel * kernel * in_channels * out_channels + out_channels


def receptive_field(layers: Sequence[tuple[int, int]]) -> int:
    """Return the side of the receptive field after layers that are given as (kernel, stride)."""
    field = jump = 1
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump *= stride
    return field


_KERNELS = ((3, 3, 64), (1, 256, 128), (5, 48, 80), (7, 1, 1), (11, 3, 96))

_WRONG_COUNTS: tuple[tuple[str, Callable[[int, int, int], int]], ...] = (
    ("the biases are missing.", lambda k, i, o: k * k * i * o),
    ("a kernel has two sides.", lambda k, i, o: k * i * o + o),
    ("the number of biases is wrong: does an input channel have one?", lambda k, i, o: k * k * i * o + i),
    ("there is one bias too few: a single one serves all channels.", lambda k, i, o: k * k * i * o + 1),
    ("it counts as if each weight had a bias of its own.", lambda k, i, o: (k * k + 1) * i * o),
    ("the kernel's depth is missing: it covers all input channels.", lambda k, i, o: k * k * o + o),
)


def check_conv_parameters(function: Callable[..., Any]) -> str | None:
    """Return what is wrong with a student's number of parameters, or None."""
    found = [function(*case) for case in _KERNELS]
    if any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in found):
        return f"it returns {describe_value(found[0])}; a number is expected."
    if [*found] == [conv_parameters(*case) for case in _KERNELS]:
        return None
    for sentence, wrong in _WRONG_COUNTS:
        if found == [wrong(*case) for case in _KERNELS]:
            return sentence
    if len(set(found)) == 1:
        return "it returns the same number for every layer; compute it from the arguments."
    case = next(case for case, n in zip(_KERNELS, found) if n != conv_parameters(*case))
    return "for kernel = {}, in_channels = {}, out_channels = {} it returns a wrong number.".format(*case)


_C, _P = (3, 1), (2, 2)
_STACKS: tuple[tuple[tuple[int, int], ...], ...] = (
    (_C,),
    (_C, _C),
    (_C, _C, _P),
    (_C, _C, _P, _C, _C, _P, _C, _C, _C, _C, _P, _C, _C),
    (),
    ((7, 2), (3, 2), (1, 1), (3, 1)),
    ((2, 2), (2, 2), (2, 2)),
    ((5, 3), (1, 2), (5, 1)),
)


def _stride_first(layers: Sequence[tuple[int, int]]) -> int:
    field = jump = 1
    for kernel, stride in layers:
        jump *= stride
        field += (kernel - 1) * jump
    return field


def _last_stride_only(layers: Sequence[tuple[int, int]]) -> int:
    field, jump = 1, 1
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump = stride
    return field


def _added_strides(layers: Sequence[tuple[int, int]]) -> int:
    field = jump = 1
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump += stride - 1
    return field


_WRONG_FIELDS: tuple[tuple[str, Callable[[Sequence[tuple[int, int]]], int]], ...] = (
    ("it changes the jump too early: a layer's own stride moves only the layers after it.", _stride_first),
    ("the strides have no effect on the field.", lambda layers: 1 + sum(k - 1 for k, _ in layers)),
    ("it adds whole kernels; neighboring fields overlap.", lambda layers: sum(k for k, _ in layers)),
    ("it keeps only the latest stride and forgets those before it.", _last_stride_only),
    ("it adds the strides; two steps of 2 are a step of 4, and of three twos?", _added_strides),
    ("one pixel is missing: without any layer the field is the pixel itself.", lambda ls: receptive_field(ls) - 1),
)


def check_receptive_field(function: Callable[..., Any]) -> str | None:
    """Return what is wrong with a student's receptive field, or None."""
    found = [function(list(stack)) for stack in _STACKS]
    if any(isinstance(n, bool) or not isinstance(n, (int, float)) for n in found):
        return f"it returns {describe_value(found[0])}; a number of pixels is expected."
    if found == [receptive_field(stack) for stack in _STACKS]:
        return None
    if len(set(found)) == 1:
        return "it returns the same number for all lists of layers; compute it from the list."
    for sentence, wrong in _WRONG_FIELDS:
        if found == [wrong(stack) for stack in _STACKS]:
            return sentence
    stack = next(stack for stack, n in zip(_STACKS, found) if n != receptive_field(stack))
    return f"it is wrong for layers = {list(stack)}."


# --- reading activations -------------------------------------------------------------------------------


def read_activations(model: nn.Module, names: Sequence[str], picture: Tensor) -> dict[str, Tensor]:
    """Return the outputs of modules of a model for a picture, read with forward hooks in one forward pass.

    Args:
        model: Any module.
        names: Names of modules in it, as in ``model.named_modules()``.
        picture: What the model is called with.

    Returns:
        The outputs by name, in the order of ``names``; copies that later in-place operations do not change, with
        their gradients.
    """
    found: dict[str, Tensor] = {}
    modules = dict(model.named_modules())

    def hook_for(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            found[name] = output.clone()

        return hook

    handles = [modules[name].register_forward_hook(hook_for(name)) for name in names]
    try:
        model(picture)
    finally:
        for handle in handles:
            handle.remove()
    return {name: found[name] for name in names}


class _Small(nn.Module):
    """A model with parts in parts and a forward pass of its own, which counts its calls."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.calls = 0
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.ReLU(inplace=inplace),
            nn.Conv2d(4, 5, 3, padding=1),
            nn.ReLU(inplace=inplace),
            nn.MaxPool2d(2),
            nn.Conv2d(5, 6, 3, padding=1),
            nn.ReLU(inplace=inplace),
        )
        self.head = nn.Linear(6, 2)

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        out: Tensor = self.head(self.features(images - 0.4).mean((2, 3)))
        return out


class _Counted(nn.Sequential):
    """A sequence of layers that counts its calls."""

    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        out: Tensor = super().forward(images)
        return out


def _sequence() -> _Counted:
    layers = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 3, 3), nn.ReLU(inplace=True), nn.AvgPool2d(2)
    return _Counted(*layers)


def _cases() -> list[tuple[nn.Module, list[str], tuple[int, ...]]]:
    """Return models, names and shapes of pictures with which a student's function is tried."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return [
            (_Small(inplace=False), ["features.1"], (1, 3, 8, 8)),
            (_Small(inplace=False), ["features.1", "features.4", "head"], (1, 3, 8, 10)),
            (_sequence(), ["0", "3"], (1, 3, 9, 9)),
            (_Small(inplace=True), ["features.6", "features.0", "features.2"], (2, 3, 11, 7)),
        ]


def _state(model: nn.Module) -> list[Any]:
    """Return what a function that only reads must leave unchanged."""
    kept: list[Any] = [p.detach().sum().item() for p in model.parameters()]
    kept += [p.requires_grad for p in model.parameters()]
    kept += [(name, type(m), m.training, getattr(m, "inplace", None)) for name, m in model.named_modules()]
    return kept


def _foreign_hook(module: nn.Module, inputs: object, output: object) -> None:
    """Do nothing; a hook that was there before must be there afterwards."""


def check_read_activations(function: Callable[..., Any]) -> str | None:
    """Return what is wrong with a student's function that reads activations, or None."""
    for i, (model, names, shape) in enumerate(_cases()):
        picture = torch.rand(shape, generator=torch.Generator().manual_seed(i)).requires_grad_(i != 1)
        fault = _reading_fault(function, model, names, picture)
        if fault:
            return fault
    return _second_call_fault(function)


def _reading_fault(function: Callable[..., Any], model: nn.Module, names: list[str], picture: Tensor) -> str | None:
    expected = read_activations(model, names, picture)
    first = next(model.modules())
    first.register_forward_hook(_foreign_hook)
    before, untouched, given = _state(model), picture.detach().clone(), list(names)
    model.calls = 0  # type: ignore[assignment]
    found = function(model, names, picture)
    hooks = [hook for module in model.modules() for hook in module._forward_hooks.values()]
    if not isinstance(found, Mapping):
        return f"it returns {describe_value(found)}; a dictionary from names to activations is expected."
    if any(hook is not _foreign_hook for hook in hooks):
        return "a hook is still registered after the call: every later forward pass will run it again."
    if not hooks:
        return "it removes hooks that it did not register; use the handles that register_forward_hook returns."
    if _state(model) != before:
        return "it changes the model (its parameters, its mode, or its modules)."
    if not torch.equal(picture.detach(), untouched) or names != given:
        return "it changes one of its arguments."
    if model.calls != 1:
        return f"the model is called {model.calls} times; one forward pass is enough."
    if set(found) != set(names):
        return f"asked for {', '.join(names)}, it returns {', '.join(map(str, found)) or 'nothing'}."
    if list(found) != names:
        return "the names are not in the order in which they were asked for."
    return _values_fault(found, expected, picture)


def _values_fault(found: Mapping[str, Any], expected: Mapping[str, Tensor], picture: Tensor) -> str | None:
    for name, right in expected.items():
        value = found[name]
        if not isinstance(value, Tensor):
            return f"for {name!r} it returns {describe_value(value)}; the module's output is a tensor."
        if value.shape != right.shape:
            return f"for {name!r} the shape is {tuple(value.shape)}; the module's output has {tuple(right.shape)}."
        if not torch.allclose(value, right, atol=1e-6):
            if torch.allclose(value, right.clamp(min=0), atol=1e-6):
                return f"{name!r} is a convolution, but no value is negative: something wrote into its output later."
            return f"the values of {name!r} are not the module's output; was something else stored under this name?"
        if picture.requires_grad and not value.requires_grad:
            return f"the picture requires a gradient, but {name!r} has none: it was cut off from the graph."
    if picture.requires_grad:
        (wanted,) = torch.autograd.grad([right.square().sum() for right in expected.values()], picture)
        (gradient,) = torch.autograd.grad([found[n].square().sum() for n in expected], picture, allow_unused=True)
        if gradient is None or not torch.allclose(gradient, wanted, rtol=1e-3, atol=1e-5):
            return "the gradient with respect to the picture is wrong."
    return None


def _second_call_fault(function: Callable[..., Any]) -> str | None:
    model, names, shape = _cases()[0]
    pictures = [torch.rand(shape, generator=torch.Generator().manual_seed(seed)) for seed in (8, 9)]
    first = function(model, names, pictures[0])
    function(model, names, pictures[1])
    right = read_activations(model, names, pictures[0])
    if any(not torch.allclose(first[name], right[name], atol=1e-6) for name in names):
        return "a second call changes what the first one returned; make a new dictionary in each call."
    return None


# --- questions -----------------------------------------------------------------------------------------

_LOOK = "Look at the figure once more."

TASKS: tuple[Task, ...] = (
    Program(
        "conv_parameters",
        check_conv_parameters,
        hints=(
            "Count for one output channel first: how many numbers does it multiply at one position?",
            "Its kernel has a height, a width and a depth; then there is what is added to the sum.",
        ),
        why="The size of the picture does not occur: the same weights are used at every position.",
    ),
    Choice(
        "what depth bought",
        ("ccd4e9495d59",),
        {
            "a": "Compare the last two points: which one is lower?",
            "b": "At this setting E is slightly worse than D. (Trained on many scales, E is ahead by a tenth.)",
            "c": "Apart from the normalization, which adds no weights, the error falls from A to D.",
        },
        ("Follow the line from left to right and stop at the lowest point.",),
    ),
    Program(
        "read_activations",
        check_read_activations,
        hints=(
            "dict(model.named_modules())[name] is a module; its register_forward_hook(f) returns a handle.",
            "Each hook must know its own name: make it in a function that takes the name, or with functools.partial.",
            "If a module's output is overwritten by the next module, a reference to it is not enough: copy it in the "
            "hook, in a way that keeps the graph.",
            "Call the model once, then handle.remove() for every handle. Return the dictionary in the order of names.",
        ),
        why="It works for any model; lessons 02 to 05 read activations through VGGFeatures, which returns the same.",
    ),
    Choice(
        "where the parameters sit",
        ("6d8183de4d90",),
        {
            "a": "The first bar on the left can hardly be seen.",
            "b": "fc6 has 25,088 x 4,096 weights, each used once. A convolution uses each weight at every position.",
            "c": f"Conv5_4 has neither the longest bar on the left nor on the right. {_LOOK}",
        },
        ("Find the longest bar in each of the two plots.",),
    ),
    Program(
        "receptive_field",
        check_receptive_field,
        hints=(
            "Two 3x3 convolutions have a field of 5 pixels, three have 7.",
            "After a pooling, neighboring activations are two pixels of the picture apart: a kernel reaches further.",
            "Keep two numbers: the field so far, and the distance between neighbors. In which order do they change?",
        ),
        why="The activations of deep layers depend on whole regions of the picture.",
    ),
    Choice(
        "the worst mistake",
        ("c2af92259bdd",),
        {
            "1": "It does harm, but find the line that lies highest.",
            "2": "The shapes are still right; find the line that lies highest.",
            "3": "The network's input is hundreds of times too large, and so are its activations.",
            "4": "The network receives a pale picture; find the line that lies highest.",
        },
        ("How large are the numbers that the first convolution receives?",),
    ),
    Choice(
        "what the ascent draws for B",
        ("12c15d64c874",),
        {
            "a": "Stripes belong to another channel: in B's patches no direction is preferred.",
            "b": "B responds to small dark spots on a light ground, so the picture is full of them.",
            "c": "B's patches have different colors, so the two colors alone cannot be what excites it.",
        },
        ("What do the patches of B have in their middle?",),
    ),
    Choice(
        "the smallest Gram entry",
        ("694a2dcd2ff5",),
        {
            "ab": "Where one responds, the other one is zero: an edge cannot be brighter above and below.",
            "ac": "Corners and slanted edges excite both: their entry is not the smallest.",
            "bc": "Corners and slanted edges excite both: their entry is not the smallest.",
        },
        ("Where is the product of the two maps different from zero?",),
    ),
    Choice(
        "tolerance without pooling",
        ("181d21193020",),
        {
            "a": "Compare the two lines of pool3 at four pixels; they do not coincide.",
            "b": "Depth and the coarse grid give most of the tolerance; the pooling adds the rest.",
            "c": "Without any pooling, pool3 still lies far above relu1_2.",
        },
        ("Compare at four pixels: relu1_2, then pool3 in both networks.",),
    ),
)
