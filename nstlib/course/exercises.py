"""The functions that students write, each defined in one place.

An exercise is a function that returns an ``Exercise``: the reference, the inputs to try, the hints, and what is known
about wrong answers. To add one, write such a function here, mark it with ``@register``, and add a method of two lines
to ``checks.Check``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import (
    GramDivisor,
    Reduction,
    TVReduction,
    content_loss,
    gram_divisor,
    gram_matrix,
    style_loss,
    total_variation,
)
from .grading import Exercise, Mistake, WrongFactor

Power = Literal[1, 2]
WrongShapes = dict[tuple[int, ...], str]
Factory = TypeVar("Factory", bound=Callable[..., Exercise])

_FACTORIES: list[Callable[[], Exercise]] = []


def register(factory: Factory) -> Factory:
    """Mark a function that returns an exercise and whose parameters all have defaults; see ``all_exercises``."""
    _FACTORIES.append(factory)
    return factory


def all_exercises() -> dict[str, Exercise]:
    """Return the registered exercises by name, with their default settings."""
    exercises = [factory() for factory in _FACTORIES]
    return {exercise.name: exercise for exercise in exercises}


def one_input(shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
    """Return one tensor of normal noise."""
    return (torch.randn(shape, generator=generator),)


def two_inputs(shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
    """Return two tensors of normal noise with the same shape."""
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


# --- Gram matrix ---------------------------------------------------------------------------------------


@register
def gram_matrix_exercise(divisor: GramDivisor = "hw") -> Exercise:
    """Return the exercise "Gram matrices (N, C, C) of activations (N, C, H, W)"."""
    covariance = "it subtracts the mean first, which makes a covariance."
    return Exercise(
        name="gram_matrix",
        reference=partial(gram_matrix, divisor=divisor),
        make_inputs=one_input,
        shapes=[(2, 3, 4, 5), (1, 6, 3, 2)],
        wrong_shapes=_gram_shapes,
        wrong_factors=partial(_gram_factors, divisor=divisor),
        mistakes=[
            Mistake(covariance, partial(_covariance, divisor=divisor)),
            Mistake(covariance, _unbiased_covariance),
            Mistake("it scales each row to length 1, which makes cosines.", _cosines),
            Mistake(
                "reshape(N, H*W, C) mixes the channels.",
                partial(_gram_of_reshaped, divisor=divisor),
            ),
            Mistake("the products lose their sign.", partial(_absolute_gram, divisor=divisor)),
            Mistake("the products are squared.", partial(_squared_gram, divisor=divisor)),
        ],
        hints=(
            "Write each feature map as one long row: (N, C, H, W) becomes (N, C, H*W).",
            "Entry (i, j) is the inner product of row i with row j: multiply the rows by their own transpose.",
            "Transpose the last two dimensions only (the batch stays first); divide by the number of positions.",
        ),
    )


def _centred_gram(x: Tensor) -> Tensor:
    rows = x.flatten(2) - x.flatten(2).mean(2, keepdim=True)  # (N, C, H*W)
    return rows @ rows.transpose(1, 2)


def _covariance(x: Tensor, divisor: GramDivisor) -> Tensor:
    _, c, h, w = x.shape
    return _centred_gram(x) / gram_divisor(divisor, c, h * w)


def _unbiased_covariance(x: Tensor) -> Tensor:
    h, w = x.shape[2:]
    return _centred_gram(x) / (h * w - 1)  # the divisor of torch.cov


def _cosines(x: Tensor) -> Tensor:
    rows = F.normalize(x.flatten(2), dim=2)  # (N, C, H*W)
    return rows @ rows.transpose(1, 2)


def _gram_of_reshaped(x: Tensor, divisor: GramDivisor) -> Tensor:
    n, c, h, w = x.shape
    columns = x.reshape(n, h * w, c)  # reads C values of one channel as if they were one position
    return columns.transpose(1, 2) @ columns / gram_divisor(divisor, c, h * w)


def _absolute_gram(x: Tensor, divisor: GramDivisor) -> Tensor:
    return gram_matrix(x, divisor).abs()


def _squared_gram(x: Tensor, divisor: GramDivisor) -> Tensor:
    return gram_matrix(x, divisor).square()


def _gram_shapes(x: Tensor, *_: object) -> WrongShapes:
    n, c, h, w = x.shape
    positions = "it compares positions with positions (HW x HW)."
    per_picture = "each picture of a batch counts for itself"
    return {
        (n, h * w, h * w): positions,
        (h * w, h * w): positions,
        (c, c): f"the pictures of the batch are added up or left out; {per_picture}.",
        (n * c, n * c): f"it mixes the pictures of the batch, as view(N * C, H * W) does; {per_picture}.",
        (n, c, h, h): "it compares rows with rows inside each channel.",
        (n, c, w, w): "it compares columns with columns inside each channel.",
        (n, c, h, w): "that is the shape of the input; is * a matrix product?",
        (n, c): "that is one number for each channel, not one for each pair of channels.",
        (n, c, h * w): "the channels are flattened, but nothing is multiplied yet.",
    }


def _gram_factors(x: Tensor, divisor: GramDivisor) -> list[WrongFactor]:
    n, c, h, w = x.shape
    right = gram_divisor(divisor, c, h * w)
    wrong = [
        (1, "it does not divide"),
        (h * w, "it divides by H*W"),
        (c * h * w, "it divides by C*H*W"),
        (n * c * h * w, "it divides by N*C*H*W"),
        (n * h * w, "it divides by N*H*W"),
        (c, "it divides by C only"),
        (h, "it divides by H only"),
        (w, "it divides by W only"),
        (n, "it divides by N, the batch size"),
        (c * c, "it divides by C*C, as a mean over the matrix does"),
        (h * w - 1, "it divides by H*W - 1, as a covariance does"),
        (c * c * h * w, "it divides by C*C*H*W"),
        ((h * w) ** 2, "it divides by H*W twice"),
        ((h * w) ** 0.5, "it divides by the square root of H*W"),
    ]
    return [WrongFactor(right / value, f"{fault}.") for value, fault in wrong if value != right]


# --- shifted Gram matrix -------------------------------------------------------------------------------


@register
def shifted_gram_exercise() -> Exercise:
    """Return the exercise "Gram matrices (N, C, C) of activations (N, C, H, W) and their shifted copy"."""
    return Exercise(
        name="shifted_gram",
        reference=shifted_gram,
        make_inputs=one_input,
        shapes=[(2, 3, 4, 5), (1, 6, 5, 4)],
        extra_arguments=((1, 2), (0, 0), (2, 0), (0, 1)),
        wrong_shapes=_gram_shapes,
        wrong_factors=_shift_factors,
        mistakes=[
            Mistake("nothing is shifted: that is the Gram matrix itself.", _unshifted_gram),
            Mistake("down and right are swapped.", _swapped_shift),
            Mistake("i and j are swapped: look at which of the two factors is the shifted one.", _transposed_shift),
            Mistake("the border wraps around, as with torch.roll.", _wrapped_shift),
        ],
        hints=(
            "Make two pieces of the same shape: all but the last rows and columns, and all but the first.",
            "features[:, :, down:, right:] is the second; the first ends as many rows and columns earlier.",
            "Then compute the Gram matrix of one piece with the other, divided by the number of positions of a piece.",
        ),
    )


def shifted_gram(features: Tensor, down: int, right: int) -> Tensor:
    """Return the mean product of channel i with channel j ``down`` rows below and ``right`` columns to the right.

    Berger and Memisevic (2017). Pairs that would reach over the border do not count; (0, 0) gives the Gram matrix.

    Args:
        features: Activations (N, C, H, W).
        down: Shift in rows, 0 or more.
        right: Shift in columns, 0 or more.

    Returns:
        Shifted Gram matrices, (N, C, C).
    """
    h, w = features.shape[2:]
    first = features[:, :, : h - down, : w - right].flatten(2)  # (N, C, pairs)
    second = features[:, :, down:, right:].flatten(2)
    return first @ second.transpose(1, 2) / first.shape[2]


def _unshifted_gram(x: Tensor, down: int, right: int) -> Tensor:
    return gram_matrix(x)


def _swapped_shift(x: Tensor, down: int, right: int) -> Tensor:
    return shifted_gram(x, right, down)


def _transposed_shift(x: Tensor, down: int, right: int) -> Tensor:
    return shifted_gram(x, down, right).transpose(1, 2)


def _wrapped_shift(x: Tensor, down: int, right: int) -> Tensor:
    rows, shifted = x.flatten(2), x.roll((-down, -right), (2, 3)).flatten(2)  # (N, C, H*W)
    return rows @ shifted.transpose(1, 2) / rows.shape[2]


def _shift_factors(x: Tensor, down: int, right: int) -> list[WrongFactor]:
    h, w = x.shape[2:]
    pairs = (h - down) * (w - right)
    return [
        WrongFactor(pairs, "it does not divide."),
        WrongFactor(pairs / (h * w), "it divides by H*W, but near the border some positions have no partner."),
    ]


# --- content loss and style loss -----------------------------------------------------------------------


@register
def content_loss_exercise(reduction: Reduction = "sum") -> Exercise:
    """Return the exercise "squared distance (N,) of two activations (N, C, H, W)"."""
    return _distance_exercise(
        name="content_loss",
        reference=partial(content_loss, reduction=reduction),
        reduction=reduction,
        shapes=[(2, 3, 4, 5), (1, 5, 6, 7)],
        hints=(
            "Subtract first, square each difference, then add.",
            "The result is one number for each picture: add over every dimension but the first.",
            "Tensor.sum takes a tuple of dimensions; they are counted from 0, and 0 is the batch.",
        ),
    )


@register
def style_loss_exercise(reduction: Reduction = "sum") -> Exercise:
    """Return the exercise "squared distance (N,) of two Gram matrices (N, C, C)"."""
    return _distance_exercise(
        name="style_loss",
        reference=partial(style_loss, reduction=reduction),
        reduction=reduction,
        shapes=[(2, 5, 5), (1, 7, 7)],
        hints=(
            "It is the squared distance again, this time of two Gram matrices of shape (N, C, C).",
            "The result is one number for each picture: add over both dimensions of the matrix, not over the batch.",
        ),
    )


def _distance_exercise(
    name: str,
    reference: Callable[..., Tensor],
    reduction: Reduction,
    shapes: list[tuple[int, ...]],
    hints: tuple[str, ...],
) -> Exercise:
    """Return an exercise about the squared distance of two tensors, one number for each picture."""
    not_squared = "the differences are not squared: positive and negative ones cancel."
    mistakes = [
        Mistake(not_squared, partial(_signed_distance, reduction=reduction)),
        Mistake(not_squared, partial(_negative_signed_distance, reduction=reduction)),
        Mistake("these are absolute differences (L1).", partial(_absolute_distance, reduction=reduction)),
        Mistake("it takes the root of the sum, which is the norm.", partial(_norm, reduction=reduction)),
        Mistake("it squares after adding.", partial(_squared_after_sum, reduction=reduction)),
        Mistake("it adds where it should subtract.", partial(_distance_of_sum, reduction=reduction)),
        Mistake("the second input is not used.", partial(_distance_from_zero, reduction=reduction)),
        Mistake("it multiplies the two inputs.", _product),
    ]
    if reduction == "relative":
        mistakes += [Mistake("it is not divided by the target's own sum of squares.", content_loss)]
    else:
        mistakes += [
            Mistake(
                "it is divided by the target's own sum of squares.",
                partial(content_loss, reduction="relative"),
            )
        ]
    return Exercise(
        name=name,
        reference=reference,
        make_inputs=two_inputs,
        shapes=shapes,
        wrong_shapes=_distance_shapes,
        wrong_factors=partial(_distance_factors, reduction=reduction),
        mistakes=mistakes,
        hints=hints if reduction != "relative" else (*hints, "The divisor is a sum over the target alone."),
    )


def _reduce_distance(values: Tensor, target: Tensor, reduction: Reduction) -> Tensor:
    """Apply the reduction of the losses to other values than squared differences."""
    rows = values.flatten(1)  # (N, elements)
    if reduction == "mean":
        return rows.mean(1)
    if reduction == "relative":
        return rows.sum(1) / target.square().flatten(1).sum(1)
    return rows.sum(1)


def _signed_distance(a: Tensor, b: Tensor, reduction: Reduction) -> Tensor:
    return _reduce_distance(a - b, b, reduction)


def _negative_signed_distance(a: Tensor, b: Tensor, reduction: Reduction) -> Tensor:
    return _reduce_distance(b - a, b, reduction)


def _absolute_distance(a: Tensor, b: Tensor, reduction: Reduction) -> Tensor:
    return _reduce_distance((a - b).abs(), b, reduction)


def _norm(a: Tensor, b: Tensor, reduction: Reduction) -> Tensor:
    return content_loss(a, b, reduction).sqrt()


def _squared_after_sum(a: Tensor, b: Tensor, reduction: Reduction) -> Tensor:
    return _signed_distance(a, b, reduction).square()


def _distance_of_sum(a: Tensor, b: Tensor, reduction: Reduction) -> Tensor:
    return content_loss(a, -b, reduction)


def _distance_from_zero(a: Tensor, b: Tensor, reduction: Reduction) -> Tensor:
    return content_loss(a, torch.zeros_like(a), reduction)


def _product(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)


_PER_PICTURE = "one number for each picture is expected."


def _distance_shapes(a: Tensor, b: Tensor) -> WrongShapes:
    return {
        (): f"it mixes the pictures of a batch into one number; {_PER_PICTURE}",
        (1,): f"it mixes the pictures of a batch; {_PER_PICTURE}",
        tuple(a.shape): f"nothing is added up yet; {_PER_PICTURE}",
        tuple(a.shape[:2]): f"that is one number for each channel; {_PER_PICTURE}",
        tuple(a.shape[1:]): "only the batch is added up.",
        (a.shape[0], *[1] * (a.dim() - 1)): "there are dimensions of size 1, as with keepdim=True.",
    }


_REDUCTION_WORDS = {
    "sum": "the sum",
    "mean": "the mean",
    "relative": "the sum divided by the target's own sum of squares",
}


def _distance_factors(a: Tensor, b: Tensor, reduction: Reduction) -> list[WrongFactor]:
    n, elements = a.shape[0], a[0].numel()
    expected = f"{_REDUCTION_WORDS[reduction]} is expected here."
    factors = [
        WrongFactor(1 / 2, f"it is half of the expected value, as with the 1/2 of Gatys' equation 1; {expected}"),
        WrongFactor(1 / 4, f"it is a quarter of the expected value; {expected}"),
        WrongFactor(2, f"it is twice the expected value; {expected}"),
    ]
    if reduction == "sum":
        factors += [
            WrongFactor(1 / elements, "it is the mean over all elements; the sum is expected."),
            WrongFactor(
                1 / (n * elements), "it is the mean over the whole batch; the sum for each picture is expected."
            ),
            WrongFactor(1 / a.shape[1], "it divides by the number of channels; the sum is expected."),
            WrongFactor(1 / a[0, 0].numel(), "it divides by the number of positions; the sum is expected."),
        ]
    if reduction == "mean":
        factors += [
            WrongFactor(elements, "it is the sum; the mean over all elements of a picture is expected."),
            WrongFactor(1 / n, "it also divides by the batch size; the mean is over one picture."),
        ]
    return factors


# --- gradient of the content loss ----------------------------------------------------------------------


@register
def content_gradient_exercise() -> Exercise:
    """Return the exercise "gradient of the content loss through a ReLU"."""
    return Exercise(
        name="content_gradient",
        reference=content_gradient,
        make_inputs=_relu_inputs,
        shapes=[(2, 3, 4, 5), (1, 4, 6, 3)],
        wrong_factors=_gradient_factors,
        mistakes=[
            Mistake(
                "where the ReLU is zero, a small change of its input changes nothing; what is the gradient there?",
                _gradient_at_the_output,
            ),
            Mistake("this is right for a layer without ReLU, but F is relu(before).", _gradient_without_relu),
            Mistake(
                "at before = 0 it differs: PyTorch takes the gradient of a ReLU there as 0.",
                _gradient_kept_at_zero,
            ),
            Mistake(
                "the gradient passes where the target is positive, but the target does not go through this ReLU.",
                _gradient_gated_by_target,
            ),
            Mistake("this is the loss of every element; its gradient is expected.", _loss_of_elements),
        ],
        hints=(
            "F is relu(before); without the ReLU the gradient would be F - P.",
            "Where the ReLU is zero, before < 0, a small change of `before` changes nothing.",
        ),
    )


def content_gradient(before: Tensor, target: Tensor) -> Tensor:
    """Return the gradient of 1/2 sum (F - P)^2 with F = relu(before), Gatys et al. (2016), eq. 2.

    Args:
        before: Activations before the ReLU, (N, C, H, W).
        target: Activations P after the ReLU, (N, C, H, W).

    Returns:
        The gradient with respect to ``before``, (N, C, H, W).
    """
    return (before.relu() - target) * (before > 0)


def _relu_inputs(shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
    before, target = two_inputs(shape, generator)
    before[..., :1] = 0  # where the ReLU has no derivative
    return before, target.relu()


def _gradient_at_the_output(before: Tensor, target: Tensor) -> Tensor:
    return before.relu() - target


def _gradient_without_relu(before: Tensor, target: Tensor) -> Tensor:
    return before - target


def _gradient_kept_at_zero(before: Tensor, target: Tensor) -> Tensor:
    return (before.relu() - target) * (before >= 0)


def _gradient_gated_by_target(before: Tensor, target: Tensor) -> Tensor:
    return (before.relu() - target) * (target > 0)


def _loss_of_elements(before: Tensor, target: Tensor) -> Tensor:
    return 0.5 * (before.relu() - target).square()


def _gradient_factors(before: Tensor, target: Tensor) -> list[WrongFactor]:
    return [
        WrongFactor(2, "it is twice the expected value; the 1/2 in the loss cancels the 2 of the square."),
        WrongFactor(-1, "the sign is wrong: the gradient points to where the loss grows."),
        WrongFactor(1 / before.numel(), "it is divided by the number of elements; the loss is a sum, not a mean."),
    ]


# --- total variation -----------------------------------------------------------------------------------

_POWER_WORDS = {1: "absolute differences (power 1)", 2: "squares (power 2)"}


@register
def total_variation_exercise(power: Power = 2, reduction: TVReduction = "mean") -> Exercise:
    """Return the exercise "total variation (N,) of images (N, 3, H, W)"."""
    other_power: Power = 1 if power == 2 else 2
    other_reduction: TVReduction = "sum" if reduction == "mean" else "mean"
    return Exercise(
        name="total_variation",
        reference=partial(total_variation, power=power, reduction=reduction),
        make_inputs=one_input,
        shapes=[(2, 3, 6, 4), (1, 3, 5, 7)],
        wrong_shapes=_variation_shapes,
        wrong_factors=partial(_variation_factors, reduction=reduction),
        mistakes=[
            Mistake(
                "rows are compared with the next row, but columns are not compared.",
                partial(_vertical_variation, power=power, reduction=reduction),
            ),
            Mistake(
                "columns are compared with the next column, but rows are not compared.",
                partial(_horizontal_variation, power=power, reduction=reduction),
            ),
            Mistake(
                f"these are {_POWER_WORDS[other_power]}; {_POWER_WORDS[power]} are expected here.",
                partial(total_variation, power=other_power, reduction=reduction),
            ),
            Mistake(
                f"it is the {other_reduction} of each direction; the {reduction} is expected.",
                partial(total_variation, power=power, reduction=other_reduction),
            ),
            Mistake(
                "the border wraps around: torch.roll compares the last row with the first.",
                partial(_wrapped_variation, power=power, reduction=reduction),
            ),
            Mistake(
                "it compares pixels that are two apart.",
                partial(_variation_two_apart, power=power, reduction=reduction),
            ),
            Mistake(
                "the differences keep their sign and cancel.",
                partial(_signed_variation, reduction=reduction),
            ),
            Mistake(
                "it takes the root at the end.",
                partial(_root_of_variation, power=power, reduction=reduction),
            ),
            Mistake(
                "both directions have the same divisor, but there are fewer pairs than pixels, and not equally many.",
                partial(_variation_per_pixel, power=power),
            ),
            Mistake(
                "neighboring channels are compared as well; only neighboring pixels are.",
                partial(_variation_with_channels, power=power, reduction=reduction),
            ),
        ],
        hints=(
            "Neighbors differ by one slice minus another: all rows but the first minus all but the last.",
            "Do the same for columns, on the last dimension.",
            "Each of the two has its own mean over channels, rows and columns; then add the two.",
        ),
    )


def _vertical_differences(x: Tensor, distance: int = 1) -> Tensor:
    return x[:, :, distance:] - x[:, :, :-distance]


def _horizontal_differences(x: Tensor, distance: int = 1) -> Tensor:
    return x[..., distance:] - x[..., :-distance]


def _reduce_variation(values: Tensor, reduction: TVReduction) -> Tensor:
    rows = values.flatten(1)  # (N, elements)
    return rows.mean(1) if reduction == "mean" else rows.sum(1)


def _vertical_variation(x: Tensor, power: Power, reduction: TVReduction, distance: int = 1) -> Tensor:
    return _reduce_variation(_vertical_differences(x, distance).abs().pow(power), reduction)


def _horizontal_variation(x: Tensor, power: Power, reduction: TVReduction, distance: int = 1) -> Tensor:
    return _reduce_variation(_horizontal_differences(x, distance).abs().pow(power), reduction)


def _variation_two_apart(x: Tensor, power: Power, reduction: TVReduction) -> Tensor:
    vertical = _vertical_variation(x, power, reduction, distance=2)
    return vertical + _horizontal_variation(x, power, reduction, distance=2)


def _wrapped_variation(x: Tensor, power: Power, reduction: TVReduction) -> Tensor:
    vertical = _reduce_variation((x - x.roll(1, 2)).abs().pow(power), reduction)
    return vertical + _reduce_variation((x - x.roll(1, 3)).abs().pow(power), reduction)


def _signed_variation(x: Tensor, reduction: TVReduction) -> Tensor:
    vertical = _reduce_variation(_vertical_differences(x), reduction)
    return vertical + _reduce_variation(_horizontal_differences(x), reduction)


def _root_of_variation(x: Tensor, power: Power, reduction: TVReduction) -> Tensor:
    return total_variation(x, power, reduction).sqrt()


def _variation_per_pixel(x: Tensor, power: Power) -> Tensor:
    return total_variation(x, power, "sum") / x[0].numel()


def _variation_with_channels(x: Tensor, power: Power, reduction: TVReduction) -> Tensor:
    across = _reduce_variation((x[:, 1:] - x[:, :-1]).abs().pow(power), reduction)
    return total_variation(x, power, reduction) + across


def _variation_shapes(x: Tensor) -> WrongShapes:
    return {
        (): f"it mixes the pictures of a batch into one number; {_PER_PICTURE}",
        tuple(x.shape[:2]): f"that is one number for each channel; {_PER_PICTURE}",
        tuple(x.shape): f"nothing is added up yet; {_PER_PICTURE}",
    }


def _variation_factors(x: Tensor, reduction: TVReduction) -> list[WrongFactor]:
    elements = x[0].numel()
    factors = [
        WrongFactor(1 / 2, "it is half of the expected value; are the two directions averaged?"),
        WrongFactor(2, "it is twice the expected value; is each pair counted twice?"),
    ]
    if reduction == "mean":
        return [*factors, WrongFactor(elements, "it is the sum; the mean is expected.")]
    return [*factors, WrongFactor(1 / elements, "it is divided by the number of values; the sum is expected.")]


# --- instance normalisation ----------------------------------------------------------------------------


@register
def instance_norm_exercise() -> Exercise:
    """Return the exercise "instance normalisation of activations (N, C, H, W), without scale and shift"."""
    return Exercise(
        name="instance_norm",
        reference=instance_norm,
        make_inputs=_inputs_with_a_constant_map,
        scales=(1e-3,),  # large values would show the rounding of the constant map
        shapes=[(2, 3, 4, 8), (1, 4, 8, 2)],
        mistakes=[
            Mistake(
                "mean and variance are those of the whole batch (batch normalization).",
                partial(_normalise, dims=(0, 2, 3)),
            ),
            Mistake(
                "all channels share a mean and a variance (layer normalization).",
                partial(_normalise, dims=(1, 2, 3)),
            ),
            Mistake(
                "each position is normalized over its channels.",
                partial(_normalise, dims=(1,)),
            ),
            Mistake("each row is normalized alone.", partial(_normalise, dims=(3,))),
            Mistake(
                "the variance is divided by H*W - 1, the default of torch.var.",
                partial(_normalise, dims=(2, 3), correction=1),
            ),
            Mistake("it divides by the variance.", _divided_by_variance),
            Mistake("the mean is subtracted, but the result is not divided.", _only_centred),
            Mistake("the mean is not subtracted.", _only_divided),
        ],
        hints=(
            "Each map of each picture has its own mean: reduce the last two dimensions, with keepdim=True.",
            "x.var((2, 3), correction=0, keepdim=True) divides by H*W, as the formula does; do not forget the root.",
        ),
    )


EPSILON = 1e-5
"""Added to the variance, under the root."""


def instance_norm(features: Tensor) -> Tensor:
    """Return activations (N, C, H, W) with each map at mean 0 and variance 1; epsilon is 1e-5, under the root."""
    return _normalise(features, dims=(2, 3))


def _inputs_with_a_constant_map(shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
    x = torch.randn(shape, generator=generator) * 3 + 1
    x[0, 0] = 0.5  # variance 0: without epsilon the result is not finite
    return (x,)


def _normalise(x: Tensor, dims: tuple[int, ...], correction: int = 0) -> Tensor:
    variance = x.var(dims, correction=correction, keepdim=True)
    return (x - x.mean(dims, keepdim=True)) / (variance + EPSILON).sqrt()


def _divided_by_variance(x: Tensor) -> Tensor:
    return _only_centred(x) / (x.var((2, 3), correction=0, keepdim=True) + EPSILON)


def _only_centred(x: Tensor) -> Tensor:
    return x - x.mean((2, 3), keepdim=True)


def _only_divided(x: Tensor) -> Tensor:
    return x / (x.var((2, 3), correction=0, keepdim=True) + EPSILON).sqrt()
