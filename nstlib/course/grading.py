"""Find out in which way a student's function or picture is wrong.

``examine`` calls a student's function on small random inputs, compares the results with a reference and returns one
sentence about the first fault. ``picture_fault`` does the same for a picture. Which exercises there are, and the
mistakes that each of them recognizes, is defined in ``exercises.py`` and in the package ``tasks``.
"""

from __future__ import annotations

import itertools
import linecache
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .limits import TimeLimitError, call_with_limit

SECONDS = 10.0
"""How long one call of a student's function may take."""

NO_RESULT = "the function returns None so far; write its body and end it with 'return'."
"""What ``examine`` returns for a function that is not written yet."""


# --- exercises -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mistake:
    """A wrong function that students write.

    Attributes:
        sentence: What is wrong with it.
        function: Takes the arguments of the reference and returns the wrong result.
    """

    sentence: str
    function: Callable[..., Tensor]


@dataclass(frozen=True)
class WrongFactor:
    """A wrong result that is a multiple of the right one, for example after a wrong division.

    Attributes:
        factor: Wrong result divided by right result.
        sentence: What is wrong.
    """

    factor: float
    sentence: str


def _no_wrong_shapes(*arguments: object) -> dict[tuple[int, ...], str]:
    return {}


def _no_wrong_factors(*arguments: object) -> list[WrongFactor]:
    return []


@dataclass(frozen=True)
class Exercise:
    """All that the course knows about one function that students write.

    The student's function, the reference, ``wrong_shapes``, ``wrong_factors`` and the mistakes are called with the
    same arguments: first the tensors from ``make_inputs``, then ``extra_arguments``.

    Attributes:
        name: Name of the exercise, as in ``check.hint(name)``.
        reference: The right function.
        make_inputs: Returns random tensors for a shape and a generator.
        shapes: Shapes that are tried in this order; the second one reveals hard-coded sizes.
        extra_arguments: Arguments after the tensors; each tuple is tried.
        scales: Factors by which the inputs are multiplied in further trials, such as values near zero.
        dtypes: Further dtypes of the inputs.
        differentiable: Whether the gradient is compared as well.
        wrong_shapes: Returns the shapes of known wrong results, each with a sentence.
        wrong_factors: Returns the known wrong multiples of the right result.
        mistakes: Known wrong functions.
        hints: Hints in the order in which they are given, from vague to concrete.
    """

    name: str
    reference: Callable[..., Tensor]
    make_inputs: Callable[[tuple[int, ...], torch.Generator], tuple[Tensor, ...]]
    shapes: Sequence[tuple[int, ...]]
    extra_arguments: Sequence[tuple[Any, ...]] = ((),)
    scales: Sequence[float] = (1e-3, 1e3)
    dtypes: Sequence[torch.dtype] = (torch.float64,)
    differentiable: bool = True
    wrong_shapes: Callable[..., Mapping[tuple[int, ...], str]] = _no_wrong_shapes
    wrong_factors: Callable[..., Sequence[WrongFactor]] = _no_wrong_factors
    mistakes: Sequence[Mistake] = ()
    hints: tuple[str, ...] = ()


# --- functions -----------------------------------------------------------------------------------------


def examine(function: Callable[..., object], exercise: Exercise) -> str | None:
    """Compare a student's function with the reference of an exercise.

    Args:
        function: The student's function.
        exercise: The exercise that it should solve.

    Returns:
        None if the function is right, ``NO_RESULT`` if it returns nothing yet, else one sentence about the first fault.
    """
    for trial in _trials(exercise):
        copies = tuple(t.clone() for t in trial.inputs)
        result, error = call(function, (*copies, *trial.extra))
        if error:
            fault: str | None = error
        elif result is None or result is Ellipsis or result is NotImplemented:
            return NO_RESULT
        elif isinstance(result, Tensor):
            attempt = _Attempt(function, exercise, trial, result)
            fault = _inplace_fault(trial.inputs, copies) or _result_fault(attempt)
        else:
            fault = _type_fault(result)
        if fault:
            return f"right for {trial.passed_before}, but not for {trial.words}: {fault}" if trial.words else fault
    return None


def _trials(exercise: Exercise) -> Iterator[_Trial]:
    """Return what an exercise is tried with: all shapes and arguments, then other magnitudes and dtypes."""
    first: _Trial | None = None
    for i, (shape, extra) in enumerate(itertools.product(exercise.shapes, exercise.extra_arguments)):
        inputs = exercise.make_inputs(shape, torch.Generator().manual_seed(7 + i))
        trial = _Trial(inputs, extra)
        if first is None:
            first = trial
        else:
            words = f"the input shape {tuple(inputs[0].shape)}"
            if extra != first.extra:
                words += f" with the arguments {', '.join(map(repr, extra))}"
            trial = replace(trial, words=words, passed_before="one input")
        yield trial
    assert first is not None
    for scale in exercise.scales:
        scaled = tuple(t * scale for t in first.inputs)
        yield replace(first, inputs=scaled, words=f"values {scale:g} times as large", passed_before="one input")
    for dtype in exercise.dtypes:
        converted = tuple(t.to(dtype) for t in first.inputs)
        yield replace(first, inputs=converted, words=_dtype_name(dtype), passed_before="float32")


def describe_value(value: object) -> str:
    """Return what a value is in words, for example "a tensor of shape (3,)" or "an int"."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"a numpy array of shape {value.shape}"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


@dataclass(frozen=True)
class _Trial:
    """Arguments with which a student's function is called, and in words what is special about them."""

    inputs: tuple[Tensor, ...]
    extra: tuple[Any, ...]
    words: str = ""
    passed_before: str = ""


class _Attempt:
    """One call of the student's function that returned a tensor."""

    def __init__(self, function: Callable[..., object], exercise: Exercise, trial: _Trial, result: Tensor) -> None:
        self.function, self.exercise, self.inputs, self.result = function, exercise, trial.inputs, result
        self.extra = trial.extra
        self.arguments = (*trial.inputs, *trial.extra)
        self.expected = exercise.reference(*self.arguments)


def call(
    function: Callable[..., object],
    arguments: tuple[Any, ...],
    seconds: float = SECONDS,
    shown: Callable[..., object] | None = None,
) -> tuple[object, str]:
    """Call a student's function, for at most some seconds.

    Args:
        function: What is called.
        arguments: Its arguments.
        seconds: The time limit.
        shown: The student's function, if ``function`` is a wrapper around it.

    Returns:
        Its result and "", or None and a sentence about what it raised: the exception, and the student's line.
    """
    try:
        return call_with_limit(function, arguments, seconds), ""
    except NotImplementedError:
        return None, ""
    except TimeLimitError:
        return None, f"it did not end within {seconds:g} seconds; is there a loop that never ends?"
    except Exception as error:  # whatever the student's code raises becomes a sentence
        shapes = " and ".join(str(tuple(t.shape)) for t in arguments if isinstance(t, Tensor))
        given = f" for input of shape {shapes}" if shapes else ""
        text = " ".join(str(error).split())
        if len(text) > 200:
            text = text[:197] + "..."
        return None, f"it raises {type(error).__name__}{given}{_line_of(error, shown or function)}: {text}"


def _line_of(error: Exception, function: Callable[..., object]) -> str:
    """Return the line of the student's code that raised an exception, in words, or "" if it cannot be found."""
    code = getattr(function, "__code__", None)
    if code is None:
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == code.co_filename]
    text = linecache.getline(code.co_filename, lines[-1] or 0).strip() if lines else ""
    return f" in the line '{text[:100]}'" if text else ""


def _type_fault(result: object) -> str:
    if isinstance(result, np.ndarray):
        return "it returns a numpy array, which has no gradient; use torch functions throughout."
    if isinstance(result, (float, int)):
        return "it returns a plain number, which has no gradient; leave out .item() and float()."
    return f"it returns {describe_value(result)}; a tensor is expected."


def _inplace_fault(inputs: tuple[Tensor, ...], copies: tuple[Tensor, ...]) -> str | None:
    if all(torch.equal(a, b) for a, b in zip(inputs, copies)):
        return None
    return "it changes its input in place (with -=, *= or a method that ends in _ ); make a new tensor."


def _result_fault(attempt: _Attempt) -> str | None:
    return (
        _shape_fault(attempt)
        or _dtype_fault(attempt)
        or _known_value_fault(attempt)
        or _other_value_fault(attempt)
        or _gradient_fault(attempt)
    )


def _shape_fault(attempt: _Attempt) -> str | None:
    shape, expected = tuple(attempt.result.shape), tuple(attempt.expected.shape)
    if shape == expected:
        return None
    fault = f"the shape is {shape}, but {expected} is expected"
    reason = attempt.exercise.wrong_shapes(*attempt.arguments).get(shape)
    return f"{fault}: {reason}" if reason else f"{fault}."


def _dtype_fault(attempt: _Attempt) -> str | None:
    dtype, expected = attempt.result.dtype, attempt.expected.dtype
    if dtype in (expected, attempt.inputs[0].dtype):
        return None
    return f"the dtype is {_dtype_name(dtype)}, but {_dtype_name(expected)} is expected, the dtype of the input."


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _known_value_fault(attempt: _Attempt) -> str | None:
    """Return the sentence of a known mistake, or None."""
    result = attempt.result.detach()
    if _is_close(result, attempt.expected):
        return None
    if not torch.isfinite(result).all():
        return "some values are not finite; is something divided by zero?"
    if torch.all(result == 0):
        return "all values are zero."
    for mistake in attempt.exercise.mistakes:
        if _is_close(result, mistake.function(*attempt.arguments)):
            return mistake.sentence
    return None


def _other_value_fault(attempt: _Attempt) -> str | None:
    """Return a sentence about wrong values that no known mistake explains, or None if the values are right."""
    result, expected = attempt.result.detach(), attempt.expected
    if _is_close(result, expected):
        return None
    ratio = ((result.double() * expected).sum() / expected.double().square().sum()).item()
    if ratio != 0 and _is_close(result / ratio, expected):
        for wrong in attempt.exercise.wrong_factors(*attempt.arguments):
            if abs(ratio / wrong.factor - 1) < 1e-3:
                return wrong.sentence
        fault = "has the wrong sign" if ratio < 0 else "is too large" if ratio > 1 else "is too small"
        return f"every value {fault}, all by the same factor; check the sign and the divisor."
    if _mixes_batch(attempt):
        return "it mixes the pictures of a batch: the first has another value when it is alone; keep dimension 0 apart."
    worst = (result - expected).abs().max().item()
    return f"the shape is right, but the values are not: they differ by up to {worst:.3g}."


def _mixes_batch(attempt: _Attempt) -> bool:
    """Return whether the result for the first picture is right only when the picture is alone."""
    if len(attempt.inputs[0]) == 1:
        return False
    first = tuple(t[:1].clone() for t in attempt.inputs)
    alone, _ = call(attempt.function, (*first, *attempt.extra))
    return isinstance(alone, Tensor) and _is_close(alone.detach(), attempt.expected[:1])


def _gradient_fault(attempt: _Attempt) -> str | None:
    if not attempt.exercise.differentiable:
        return None
    _, *others = attempt.arguments
    student_input = attempt.inputs[0].clone().requires_grad_()
    result, error = call(attempt.function, (student_input, *others))
    if error:
        return error
    if not isinstance(result, Tensor):
        return "it returns no tensor when its input requires a gradient."
    if not result.requires_grad:
        return "the result has no gradient; leave out detach, no_grad, .data and numpy."
    if result.shape != attempt.expected.shape:
        return "the shape is another one when its input requires a gradient."
    # weights of each value: the sum itself is constant where the results have a fixed mean
    weights = torch.rand(result.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(result.dtype)
    (gradient,) = torch.autograd.grad(result, student_input, weights, allow_unused=True)
    if gradient is None:
        return "no gradient reaches the input; is it copied with .data or torch.tensor?"
    reference_input = attempt.inputs[0].clone().requires_grad_()
    reference_result = attempt.exercise.reference(reference_input, *others)
    (expected,) = torch.autograd.grad(reference_result, reference_input, weights)
    if not _is_close(gradient, expected):
        return "the values are right, but the gradient is not; is a part of it detached?"
    return None


def _is_close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return False
    if b.numel() == 0:
        return True
    # relative to the largest value, so that small values are compared as strictly as large ones
    tolerance = 1e-5 * b.abs().max().item() or 1e-7
    return torch.allclose(a.double(), b.double(), rtol=1e-4, atol=tolerance)


# --- pictures ------------------------------------------------------------------------------------------


def picture_fault(
    picture: object,
    shape: Sequence[int] | None = None,
    like: Tensor | None = None,
    tolerance: float = 0.02,
    unlike: Tensor | None = None,
) -> str | None:
    """Return what is wrong with a picture in one sentence, or None.

    Args:
        picture: A picture (1, 3, H, W) in [0, 1], if it is right.
        shape: Expected (H, W) or whole shape.
        like: The expected picture.
        tolerance: Largest accepted mean absolute difference from ``like``.
        unlike: A picture that the answer must differ from.
    """
    if hasattr(picture, "image") and hasattr(picture, "records"):
        return "this is the whole result; the picture is its .image."
    if not isinstance(picture, Tensor):
        found = describe_value(picture)
        return f"a picture is a tensor of shape (1, 3, H, W), but this is {found}; nstlib.load makes one."
    return (
        _layout_fault(picture)
        or _range_fault(picture)
        or (_size_fault(picture, shape) if shape is not None else None)
        or _content_fault(picture, like, tolerance, unlike)
    )


def _layout_fault(picture: Tensor) -> str | None:
    """Check the number and order of dimensions and the dtype."""
    size = tuple(picture.shape)
    if picture.dim() == 3:
        return f"the shape is {size}, but (1, 3, H, W) is expected, with the batch dimension first."
    if picture.dim() != 4:
        return f"the shape is {size}, but (1, 3, H, W) is expected."
    if size[1] != 3:
        reasons = {1: "it is greyscale", 4: "it still has its alpha channel"}
        reason = reasons.get(size[1], "dimension 1 is that of the channels")
        if size[3] == 3:
            reason = "the channels are in the last dimension; permute(0, 3, 1, 2) moves them"
        return f"the shape is {size}, but 3 channels are expected in dimension 1: {reason}."
    if not picture.is_floating_point():
        dtype = _dtype_name(picture.dtype)
        return f"the dtype is {dtype}; floating-point values in [0, 1] are expected, so divide by 255."
    return None


def _range_fault(picture: Tensor) -> str | None:
    """Check that all values are finite and in [0, 1]."""
    if not torch.isfinite(picture).all():
        return "it contains values that are not finite."
    low, high = picture.min().item(), picture.max().item()
    if high > 2:
        return f"the values go up to {high:.0f}; [0, 1] is expected, so divide by 255."
    if low < -1e-4 or high > 1 + 1e-4:
        return f"the values lie between {low:.2f} and {high:.2f}, outside [0, 1]; clamp them."
    return None


def _size_fault(picture: Tensor, shape: Sequence[int]) -> str | None:
    """Check height and width against an expected (H, W) or (N, 3, H, W)."""
    size, expected = tuple(picture.shape), tuple(shape)
    if expected in (size, size[2:]):
        return None
    if size[2:] == expected[::-1]:
        return f"height and width are swapped: it is {size[2]} x {size[3]}."
    return f"it is {size[2]} high and {size[3]} wide, but {expected[-2]} x {expected[-1]} is expected."


def _content_fault(picture: Tensor, like: Tensor | None, tolerance: float, unlike: Tensor | None) -> str | None:
    """Check what the picture shows."""
    if (picture.max() - picture.min()).item() < 1e-3:
        return "it has one colour only."
    if unlike is not None and unlike.shape == picture.shape and (picture - unlike).abs().mean() < 0.005:
        return "nothing has changed; it is still the picture from before."
    if like is None:
        return None
    if like.shape != picture.shape:
        return _size_fault(picture, like.shape)
    difference = (picture - like).abs().mean().item()
    if difference <= tolerance:
        return None
    if (picture.flip(1) - like).abs().mean() < tolerance:
        return "red and blue are swapped (BGR); reverse the order of the channels."
    return f"it differs from the expected picture by {difference:.3f} on average (up to {tolerance:g} is accepted)."
