"""What the exercises' functions must do, and how to tell in which way one does something else.

``examine`` runs a student's function on small random inputs and answers with None if it agrees with the
library's, with ``NOTHING`` if it gives back nothing yet, or with one sentence about the first fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from .losses import content_loss, gram_matrix, total_variation

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
    return "it changes its input in place (an operation such as -=, *= or one that ends in _ ); make a new tensor."


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


def _value_fault(
    f: Callable, answer: Tensor, wanted: Tensor, inputs: tuple[Tensor, ...], ex: Exercise
) -> str | None:
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
            return "it mixes the pictures of a batch: alone, the first picture has another value; keep dimension 0 apart."
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


def _random(*shape: int, count: int = 1) -> Callable[[torch.Generator], tuple[Tensor, ...]]:
    return lambda g: tuple(torch.randn(shape, generator=g) for _ in range(count))


# --- Gram matrices ---------------------------------------------------------------------------------


def gram_exercise(divisor: str) -> Exercise:
    """Gram matrices (N, C, C) of activations (N, C, H, W)."""

    def right(x: Tensor) -> Tensor:
        return gram_matrix(x, divisor)

    def by(x: Tensor) -> float:
        return {"hw": x[0, 0].numel(), "chw": x[0].numel(), "none": 1}[divisor]

    words = {"hw": "H*W, the positions", "chw": "C*H*W", "none": "nothing"}[divisor]

    def shapes(x: Tensor) -> dict[tuple[int, ...], str]:
        n, c, h, w = x.shape
        positions = "it compares positions with positions (HW x HW); it is transposed: channels with channels is wanted."
        one = "a batch must stay a batch, with one matrix for each picture"
        return {
            (n, h * w, h * w): positions,
            (h * w, h * w): positions,
            (c, c): f"the pictures of the batch are added up or left out; {one}.",
            (n * c, n * c): f"it mixes the pictures of the batch, as view(N * C, H * W) does; {one}.",
            (
                n,
                c,
                h,
                h,
            ): "rows with rows inside each channel; write each channel as one long row of H*W numbers first.",
            (
                n,
                c,
                w,
                w,
            ): "columns with columns inside each channel; write each channel as one long row first.",
            (
                n,
                c,
                h,
                w,
            ): "that is the input's shape: a matrix product (@ or torch.bmm) is wanted, not a product with *.",
            (n, c): "a number for each channel; all pairs of channels are wanted.",
            (
                n,
                c,
                h * w,
            ): "the rows are there; what is missing is their product with themselves, transposed.",
        }

    def scales(x: Tensor) -> list[tuple[float, str]]:
        n, c, h, w = x.shape
        used = [
            (1, "it divides by nothing"), (h * w, "it divides by H*W"), (c * h * w, "it divides by C*H*W"),
            (n * c * h * w, "it divides by N*C*H*W"), (c, "it divides by C only"), (h, "it divides by H only"),
            (w, "it divides by W only"), (n, "it divides by N, the batch"), (n * h * w, "it divides by N*H*W"),
            (c * c, "it divides by C*C, as a mean over the matrix does"), (h * w - 1, "it divides by H*W - 1, as a covariance does"),
            (2 * c * h * w, "it divides by 2*C*H*W"), (c * c * h * w, "it divides by C*C*H*W"),
            ((h * w) ** 2, "it divides by H*W twice"), ((h * w) ** 0.5, "it divides by the root of H*W"),
        ]  # fmt: skip
        return [(by(x) / d, f"{text}; the divisor here is {words}.") for d, text in used if d != by(x)]

    def centred(x: Tensor, unbiased: bool) -> Tensor:
        rows = x.flatten(2) - x.flatten(2).mean(2, keepdim=True)
        return rows @ rows.transpose(1, 2) / (by(x) - unbiased)

    def cosine(x: Tensor) -> Tensor:
        rows = torch.nn.functional.normalize(x.flatten(2), dim=2)
        return rows @ rows.transpose(1, 2)

    def torn(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        rows = x.reshape(n, h * w, c)
        return rows.transpose(1, 2) @ rows / by(x)

    covariance = "it subtracts the mean first, which makes a covariance; the Gram matrix keeps the mean."
    mistakes = [
        (covariance, lambda x: centred(x, False)),
        (covariance, lambda x: centred(x, True)),
        ("it scales each row to length 1, which makes cosines; leave that out.", cosine),
        ("reshape(N, H*W, C) tears the channels apart; keep (N, C, H*W) and transpose that.", torn),
        ("the products are squared or without their sign; add them as they are.", lambda x: right(x).abs()),
        ("the products are squared; add them as they are.", lambda x: right(x).square()),
    ]
    return Exercise(right, [_random(2, 3, 4, 5), _random(1, 6, 3, 2)], shapes, scales, mistakes)


# --- squared distances -------------------------------------------------------------------------------


def distance_exercise(shape: tuple[int, ...], reduction: str) -> Exercise:
    """Content loss or style loss: a squared distance, one number a picture."""

    def right(a: Tensor, b: Tensor) -> Tensor:
        return content_loss(a, b, reduction)

    def over(value: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        """The same reduction of something else than the squared difference."""

        def wrong(a: Tensor, b: Tensor) -> Tensor:
            each = value(a - b).flatten(1)
            total = each.mean(1) if reduction == "mean" else each.sum(1)
            return total / b.square().flatten(1).sum(1) if reduction == "relative" else total

        return wrong

    def shapes(a: Tensor, b: Tensor) -> dict[tuple[int, ...], str]:
        one = "one number for each picture is wanted; reduce every dimension but the first."
        return {
            (): f"it mixes the pictures of a batch into one number; {one}",
            (1,): f"it mixes the pictures of a batch; {one}",
            tuple(a.shape): f"nothing is added up yet; {one}",
            tuple(a.shape[:2]): f"it leaves a number for each channel; {one}",
            tuple(a.shape[1:]): "the batch is added up and the rest is left; it must be the other way round.",
            (a.shape[0], *[1] * (a.dim() - 1)): "the values may be right; leave out keepdim=True.",
        }

    def scales(a: Tensor, b: Tensor) -> list[tuple[float, str]]:
        n, elements = a.shape[0], a[0].numel()
        wanted = {"sum": "the sum", "mean": "the mean", "relative": "the sum over the target's own"}[
            reduction
        ]
        found = [
            (
                0.5,
                f"it is half of what is wanted: leave out the 1/2 of Gatys' equation 1; here it is {wanted}.",
            ),
            (0.25, f"it is a quarter of what is wanted: leave out the 1/4; here it is {wanted}."),
            (2.0, f"it is twice what is wanted; here it is {wanted}."),
        ]
        if reduction == "sum":
            found += [
                (1 / elements, "it is the mean over all elements; the sum is wanted."),
                (
                    1 / (n * elements),
                    "it is the mean over the whole batch; the sum for each picture is wanted.",
                ),
                (1 / a.shape[1], "it divides by the number of channels; the sum is wanted."),
                (1 / a[0, 0].numel(), "it divides by the number of positions; the sum is wanted."),
            ]
        if reduction == "mean":
            found += [
                (float(elements), "it is the sum; the mean over all elements of a picture is wanted."),
                (1 / n, "it divides by the batch, too; the mean is over one picture."),
            ]
        return found

    mistakes = [
        ("the differences are not squared: positive and negative ones cancel.", over(lambda d: d)),
        ("the differences are not squared: positive and negative ones cancel.", over(lambda d: -d)),
        ("these are absolute differences (L1); squares are wanted.", over(torch.abs)),
        ("it takes the root of the sum (the norm); leave out the root.", lambda a, b: right(a, b).sqrt()),
        (
            "it squares after adding; square each difference first.",
            lambda a, b: over(lambda d: d)(a, b).square(),
        ),
        ("it adds where it should subtract.", lambda a, b: right(a, -b)),
        ("the second input is not used.", lambda a, b: right(a, torch.zeros_like(a))),
        ("it multiplies the two inputs; their difference is wanted.", lambda a, b: (a * b).flatten(1).sum(1)),
    ]
    if reduction == "relative":
        mistakes += [("it is not divided by the target's own sum of squares.", content_loss)]
    else:
        mistakes += [("it is divided by the target's own sum of squares; leave that out.",
                      lambda a, b: content_loss(a, b, "relative"))]  # fmt: skip
    second = (1, *[s + 2 for s in shape[1:]])
    return Exercise(right, [_random(*shape, count=2), _random(*second, count=2)], shapes, scales, mistakes)


# --- total variation ---------------------------------------------------------------------------------


def variation_exercise(power: int, reduction: str) -> Exercise:
    """Total variation of images, one number a picture."""

    def right(x: Tensor) -> Tensor:
        return total_variation(x, power, reduction)

    def reduce(each: Tensor) -> Tensor:
        return each.flatten(1).mean(1) if reduction == "mean" else each.flatten(1).sum(1)

    def down(x: Tensor) -> Tensor:
        return reduce((x[:, :, 1:] - x[:, :, :-1]).abs().pow(power))

    def across(x: Tensor) -> Tensor:
        return reduce((x[..., 1:] - x[..., :-1]).abs().pow(power))

    def wrapped(x: Tensor) -> Tensor:
        return sum(reduce((x - x.roll(1, d)).abs().pow(power)) for d in (2, 3))

    def two_apart(x: Tensor) -> Tensor:
        return reduce((x[:, :, 2:] - x[:, :, :-2]).abs().pow(power)) + reduce(
            (x[..., 2:] - x[..., :-2]).abs().pow(power)
        )

    def signed(x: Tensor) -> Tensor:
        return reduce(x[:, :, 1:] - x[:, :, :-1]) + reduce(x[..., 1:] - x[..., :-1])

    def shapes(x: Tensor) -> dict[tuple[int, ...], str]:
        one = "one number for each picture is wanted; reduce every dimension but the first."
        return {
            (): f"it mixes the pictures of a batch into one number; {one}",
            (x.shape[0], x.shape[1]): f"it leaves a number for each channel; {one}",
            tuple(x.shape): f"nothing is added up yet; {one}",
        }

    def scales(x: Tensor) -> list[tuple[float, str]]:
        found = [(0.5, "it is half of what is wanted: the two directions are added, not averaged."),
                 (2.0, "it is twice what is wanted; is each pair counted twice?")]  # fmt: skip
        if reduction == "mean":
            return [*found, (float(x[0].numel()), "it is the sum; the mean is wanted.")]
        return [*found, (1 / x[0].numel(), "it is divided by the number of values; the sum is wanted.")]

    other_power = "these are {}; here power is {}.".format(
        *(("absolute differences", 2) if power == 2 else ("squares", 1))
    )
    other = "sum" if reduction == "mean" else "mean"
    mistakes = [
        ("only rows are compared with the row below; compare columns, too.", down),
        ("only columns are compared with the column beside; compare rows, too.", across),
        (other_power, lambda x: total_variation(x, 3 - power, reduction)),
        (
            f"it is the {other} of each direction; the {reduction} is wanted.",
            lambda x: total_variation(x, power, other),
        ),
        ("the border wraps round: torch.roll compares the last row with the first; use slices.", wrapped),
        ("it compares pixels that are two apart; the direct neighbour is wanted.", two_apart),
        ("the differences keep their sign and cancel; take squares or absolute values first.", signed),
        ("it takes the root at the end; leave out the root.", lambda x: right(x).sqrt()),
    ]
    return Exercise(right, [_random(2, 3, 6, 4), _random(1, 3, 5, 7)], shapes, scales, mistakes)


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
        return f"the shape is {size}; (1, 3, H, W) is wanted{', with the batch in front' if picture.dim() == 3 else ''}."
    if size[1] != 3:
        known = {1: "it is grey", 4: "it still has its transparency"}.get(size[1], "the channels come second")
        known = (
            "the channels stand last; permute(0, 3, 1, 2) brings them to the second place"
            if size[3] == 3
            else known
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
            return (
                f"it is {size[2]} high and {size[3]} wide, but {like.shape[2]} x {like.shape[3]} is wanted."
            )
        apart = (picture - like).abs().mean().item()
        if apart > tolerance:
            if (picture.flip(1) - like).abs().mean() < tolerance:
                return "red and blue are swapped (BGR); turn the channels round."
            return f"it differs by {apart:.3f} on average from what is wanted (up to {tolerance:g} is fine)."
    return None
