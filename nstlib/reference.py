"""How to tell in which way a student's function or picture is not what was asked for.

``examine`` runs a student's function on small random inputs and answers with None if it agrees with the
library's, with ``NOTHING`` if it gives back nothing yet, or with one sentence about the first fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

NOTHING = "nothing yet"


@dataclass
class Exercise:
    """Inputs, the reference, and what known mistakes look like.

    inputs: makes arguments from a generator; called with two shapes, so that fixed sizes are noticed.
    shapes: answers of a wrong shape, with what they tell; a function of the inputs.
    scales: factors between a wrong and the right answer, with the sentence for each.
    mistakes: sentences with the wrong function that they describe.
    """

    reference: Callable[..., Tensor]
    inputs: Sequence[Callable[[torch.Generator], tuple[Tensor, ...]]]
    shapes: Callable[..., Mapping[tuple[int, ...], str]]
    scales: Callable[..., Sequence[tuple[float, str]]]
    mistakes: Sequence[tuple[str, Callable[..., Tensor]]] = field(default_factory=list)


def examine(f: Callable, exercise: Exercise) -> str | None:
    """The first fault of a function, or None."""
    for i, make in enumerate(exercise.inputs):
        inputs = make(torch.Generator().manual_seed(7 + i))
        copies = tuple(t.clone() for t in inputs)
        answer, fault = _call(f, copies)
        if fault:
            return fault
        if answer is None or answer is Ellipsis or answer is NotImplemented:
            return NOTHING
        wanted = exercise.reference(*inputs)
        fault = (
            _type_fault(answer)
            or _inplace_fault(inputs, copies)
            or _shape_fault(answer, wanted, exercise.shapes(*inputs))
            or _dtype_fault(answer, wanted)
            or _value_fault(f, answer, wanted, inputs, exercise)
            or _gradient_fault(f, inputs, exercise.reference)
        )
        if fault:
            if i:  # the first shape passed
                return f"right for one shape of input, but not for {tuple(inputs[0].shape)}: {fault}"
            return fault
    return None


def _call(f: Callable, inputs: tuple[Tensor, ...]) -> tuple[object, str]:
    try:
        return f(*inputs), ""
    except NotImplementedError:
        return None, ""
    except Exception as error:  # whatever the student's code raises becomes a sentence
        shapes = " and ".join(str(tuple(t.shape)) for t in inputs)
        text = " ".join(str(error).split())
        if len(text) > 200:
            text = text[:197] + "..."
        return None, f"it raises {type(error).__name__} for input of shape {shapes}: {text}"


def kind(value: object) -> str:
    """What a value is, in words."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"a numpy array of shape {value.shape}"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _type_fault(answer: object) -> str | None:
    if isinstance(answer, Tensor):
        return None
    if isinstance(answer, np.ndarray):
        return "it gives back a numpy array, through which no gradient flows; stay with torch's functions."
    if isinstance(answer, (float, int)):
        return "it gives back a plain number, through which no gradient flows; leave out .item() and float()."
    return f"it gives back {kind(answer)}; a tensor is wanted."


def _inplace_fault(inputs: tuple[Tensor, ...], copies: tuple[Tensor, ...]) -> str | None:
    if all(torch.equal(a, b) for a, b in zip(inputs, copies)):
        return None
    return "it changes its input in place (with -=, *= or a method that ends in _ ); make a new tensor."


def _shape_fault(answer: Tensor, wanted: Tensor, known: Mapping[tuple[int, ...], str]) -> str | None:
    shape = tuple(answer.shape)
    if shape == tuple(wanted.shape):
        return None
    told = f"the shape is {shape}, but {tuple(wanted.shape)} is wanted"
    return f"{told}: {known[shape]}" if shape in known else f"{told}."


def _dtype_fault(answer: Tensor, wanted: Tensor) -> str | None:
    if answer.dtype == wanted.dtype:
        return None
    return f"the numbers are {_short(answer.dtype)}, but {_short(wanted.dtype)} is wanted, as the input is."


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(
        a.double(), b.double(), rtol=1e-4, atol=1e-5 * (b.abs().max().item() + 1)
    )


def _value_fault(f: Callable, answer: Tensor, wanted: Tensor, inputs: tuple[Tensor, ...], ex: Exercise) -> str | None:
    answer = answer.detach()
    if _close(answer, wanted):
        return None
    if not torch.isfinite(answer).all():
        return "there are values that are not finite; is something divided by zero?"
    if torch.all(answer == 0):
        return "everything is zero."
    for sentence, wrong in ex.mistakes:
        if _close(answer, wrong(*inputs)):
            return sentence
    ratio = (answer.double() * wanted).sum() / wanted.double().square().sum()
    if ratio != 0 and _close(answer / ratio, wanted):
        for factor, sentence in ex.scales(*inputs):
            if abs(ratio.item() / factor - 1) < 1e-3:
                return sentence
        return f"every value is {ratio.item():.4g} times what it should be; look at what you divide by."
    if len(inputs[0]) > 1:
        alone, fault = _call(f, tuple(t[:1].clone() for t in inputs))
        if not fault and isinstance(alone, Tensor) and _close(alone.detach(), wanted[:1]):
            return "it mixes the pictures of a batch: alone, the first has another value; keep dimension 0 apart."
    worst = (answer - wanted).abs().max().item()
    return f"the shape is right, but the values are not: they differ by up to {worst:.3g}."


def _gradient_fault(f: Callable, inputs: tuple[Tensor, ...], right: Callable[..., Tensor]) -> str | None:
    theirs = inputs[0].clone().requires_grad_()
    answer, fault = _call(f, (theirs, *inputs[1:]))
    if fault or not isinstance(answer, Tensor):
        return fault or "with a gradient wanted it gives back something else than a tensor."
    if not answer.requires_grad:
        return "no gradient flows through it (detach, no_grad, .data or numpy on the way); leave that out."
    (found,) = torch.autograd.grad(answer.sum(), theirs, allow_unused=True)
    if found is None:
        return "no gradient reaches its input; is a copy made with .data or torch.tensor?"
    ours = inputs[0].clone().requires_grad_()
    (wanted,) = torch.autograd.grad(right(ours, *inputs[1:]).sum(), ours)
    if not _close(found, wanted):
        return "the values are right, but the gradient is not; is a part of it detached?"
    return None


# --- pictures ------------------------------------------------------------------------------------------


def picture_fault(
    picture: object, shape: Sequence[int] | None, like: Tensor | None, tolerance: float, unlike: Tensor | None
) -> str | None:
    """What is wrong with a picture, in one sentence, or None."""
    if hasattr(picture, "image") and hasattr(picture, "records"):
        return "this is the whole result; the picture is its .image."
    if not isinstance(picture, Tensor):
        return f"a picture is a tensor (1, 3, H, W), but this is {kind(picture)}; nstlib.load makes one."
    size = tuple(picture.shape)
    if picture.dim() != 4:
        return (
            f"the shape is {size}; (1, 3, H, W) is wanted{', with the batch in front' if picture.dim() == 3 else ''}."
        )
    if size[1] != 3:
        known = {1: "it is grey", 4: "it still has its transparency"}.get(size[1], "the channels come second")
        known = (
            "the channels stand last; permute(0, 3, 1, 2) brings them to the second place" if size[3] == 3 else known
        )
        return f"the shape is {size}, but 3 channels are wanted in second place: {known}."
    if not picture.is_floating_point():
        return f"the numbers are {_short(picture.dtype)}; floats in [0, 1] are wanted, so divide by 255."
    if not torch.isfinite(picture).all():
        return "it holds values that are not finite."
    low, high = picture.min().item(), picture.max().item()
    if high > 2:
        return f"the values go up to {high:.0f}; [0, 1] is wanted, so divide by 255."
    if low < -1e-4 or high > 1 + 1e-4:
        return f"the values lie between {low:.2f} and {high:.2f}, outside [0, 1]; clamp them."
    wanted = None if shape is None else tuple(shape)
    if wanted is not None and wanted not in (size, size[2:]):
        if size[2:] == wanted[::-1]:
            return f"height and width are swapped: it is {size[2]} x {size[3]}."
        return f"it is {size[2]} high and {size[3]} wide, but {wanted[-2]} x {wanted[-1]} is wanted."
    if high - low < 1e-3:
        return "it is one flat colour."
    if unlike is not None and unlike.shape == picture.shape and (picture - unlike).abs().mean() < 0.005:
        return "it is still the picture that it was before; nothing has changed."
    if like is not None:
        if like.shape != picture.shape:
            return f"it is {size[2]} high and {size[3]} wide, but {like.shape[2]} x {like.shape[3]} is wanted."
        apart = (picture - like).abs().mean().item()
        if apart > tolerance:
            if (picture.flip(1) - like).abs().mean() < tolerance:
                return "red and blue are swapped (BGR); turn the channels round."
            return f"it differs by {apart:.3f} on average from what is wanted (up to {tolerance:g} is fine)."
    return None
