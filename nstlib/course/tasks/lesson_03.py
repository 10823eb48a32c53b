"""Questions and exercises of lesson 03, with the functions that solve them and the lesson's two kinds of plots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...losses import gram_matrix, style_loss
from .. import anatomy, figures
from ..grading import Exercise, Mistake, WrongFactor, describe_value, examine
from .kinds import Choice, Number, Program, Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Function = Callable[..., Any]


# --- style loss over several layers ----------------------------------------------------------------------


def style_loss_over_layers(
    maps: Mapping[str, Tensor], targets: Mapping[str, Tensor], weights: Mapping[str, float]
) -> Tensor:
    """Return the weighted sum over layers of sum_ij (G_ij - A_ij)^2 / sum_ij A_ij^2.

    Args:
        maps: Activations (N, C, H, W) by layer; further layers may be there.
        targets: Gram matrices A of the painting, (1, C, C), by layer.
        weights: Weight of each layer that counts.

    Returns:
        The loss of each picture, (N,).
    """
    losses = [w * style_loss(gram_matrix(maps[name]), targets[name], "relative") for name, w in weights.items()]
    return torch.stack(losses).sum(0)


_LAYERS = ("relu2_1", "relu1_1", "relu3_1")


def _with_dictionaries(function: Function) -> Function:
    """Return a function of tensors for a function of dictionaries; ``examine`` compares functions of tensors."""

    def of_tensors(*arguments: Any) -> object:
        *tensors, weights = arguments
        maps, targets = dict(zip(_LAYERS, tensors[:3])), dict(zip(_LAYERS, tensors[3:]))
        return function(maps, targets, dict(weights))

    return of_tensors


def _maps_and_targets(shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
    n, c, h, w = shape
    maps = [torch.rand((n, c + k, h + k, w + 2 * k), generator=generator) for k in range(len(_LAYERS))]
    # the target's picture has another size
    targets = [gram_matrix(2 * torch.rand((1, m.shape[1], 7, 5), generator=generator)) for m in maps]
    return (*maps, *targets)


def _each_layer(
    maps: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    weights: Mapping[str, float],
    loss: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    return torch.stack([w * loss(gram_matrix(maps[n]), targets[n]) for n, w in weights.items()]).sum(0)


def _every_layer_alike(maps: Mapping[str, Tensor], targets: Mapping[str, Tensor], weights: Mapping[str, float]) -> Any:
    return style_loss_over_layers(maps, targets, dict.fromkeys(weights, 1.0))


def _all_layers(maps: Mapping[str, Tensor], targets: Mapping[str, Tensor], weights: Mapping[str, float]) -> Any:
    return style_loss_over_layers(maps, targets, dict.fromkeys(maps, 1.0) | dict(weights))


def _mean_of_layers(maps: Mapping[str, Tensor], targets: Mapping[str, Tensor], weights: Mapping[str, float]) -> Any:
    return style_loss_over_layers(maps, targets, weights) / len(weights)


def _weights_normalized(maps: Mapping[str, Tensor], targets: Mapping[str, Tensor], weights: Mapping[str, float]) -> Any:
    return style_loss_over_layers(maps, targets, weights) / (sum(weights.values()) or 1)


def _weights_squared(maps: Mapping[str, Tensor], targets: Mapping[str, Tensor], weights: Mapping[str, float]) -> Any:
    return style_loss_over_layers(maps, targets, {name: w * w for name, w in weights.items()})


def _without_positions(maps: Mapping[str, Tensor], targets: Mapping[str, Tensor], weights: Mapping[str, float]) -> Any:
    losses = [w * style_loss(gram_matrix(maps[n], "none"), targets[n], "relative") for n, w in weights.items()]
    return torch.stack(losses).sum(0)


def _with_channels(maps: Mapping[str, Tensor], targets: Mapping[str, Tensor], weights: Mapping[str, float]) -> Any:
    losses = [w * style_loss(gram_matrix(maps[n], "chw"), targets[n], "relative") for n, w in weights.items()]
    return torch.stack(losses).sum(0)


def _relative_to_norm(gram: Tensor, target: Tensor) -> Tensor:
    return style_loss(gram, target) / target.square().sum().sqrt()


def _relative_to_own(gram: Tensor, target: Tensor) -> Tensor:
    return style_loss(gram, target) / gram.square().sum((1, 2))


def _relative_distance(gram: Tensor, target: Tensor) -> Tensor:
    return style_loss(gram, target, "relative").sqrt()


def _relative_mean(gram: Tensor, target: Tensor) -> Tensor:
    return style_loss(gram, target, "mean") / target.square().sum()


def _absolute_relative(gram: Tensor, target: Tensor) -> Tensor:
    return (gram - target).abs().sum((1, 2)) / target.abs().sum()


_DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "the squares of the differences are not divided by the target's own sum of squares.": style_loss,
    "it is the mean of the squared differences; each layer is divided by the target's sum of squares instead.": partial(
        style_loss, reduction="mean"
    ),
    "the sum of squares of the target is there, but over the differences it takes the mean.": _relative_mean,
    "it divides by the norm of the target; the formula has no root.": _relative_to_norm,
    "it divides by the picture's own sum of squares; the formula has the target's.": _relative_to_own,
    "it takes the root of each layer's loss.": _relative_distance,
    "these are absolute differences (L1); the formula has squares.": _absolute_relative,
}

_STYLE_EXERCISE = Exercise(
    name="style_loss_over_layers",
    reference=_with_dictionaries(style_loss_over_layers),
    make_inputs=_maps_and_targets,
    shapes=[(2, 3, 4, 5), (1, 5, 6, 3)],
    extra_arguments=[
        ((("relu1_1", 0.3), ("relu2_1", 0.5), ("relu3_1", 1.7)),),
        ((("relu3_1", 0.25), ("relu2_1", 0.75)),),
        ((("relu2_1", 2.0),),),
        ((("relu1_1", 0.5), ("relu3_1", 0.0), ("relu2_1", 1.0)),),
    ],
    scales=(1e-2, 1e2),
    mistakes=[
        Mistake("the weights have no effect.", _with_dictionaries(_every_layer_alike)),
        Mistake("layers without a weight count as well.", _with_dictionaries(_all_layers)),
        Mistake("it divides by the number of layers; the formula is a sum.", _with_dictionaries(_mean_of_layers)),
        Mistake("it divides by the sum of the weights.", _with_dictionaries(_weights_normalized)),
        Mistake("the weights are squared, too.", _with_dictionaries(_weights_squared)),
        Mistake("the Gram matrices are not divided by the positions.", _with_dictionaries(_without_positions)),
        Mistake("the Gram matrices are divided by the channels, too.", _with_dictionaries(_with_channels)),
        *(Mistake(words, _with_dictionaries(partial(_each_layer, loss=loss))) for words, loss in _DISTANCES.items()),
    ],
)


def _style_fault(function: Function) -> str | None:
    """Return what is wrong with a style loss, or None; what the function raises passes through."""
    errors: list[Exception] = []

    def remembering(*arguments: Any) -> object:
        try:
            return function(*arguments)
        except Exception as error:
            errors.append(error)
            raise

    fault = examine(_with_dictionaries(remembering), _STYLE_EXERCISE)
    if errors:
        raise errors[0]
    return fault


# --- a combination of channels that is zero everywhere ---------------------------------------------------


def silent_combination(features: Tensor) -> Tensor:
    """Return a vector v of length 1 with sum_c v_c F_ck as near to zero as possible at all positions k.

    Args:
        features: Activations (1, C, H, W).

    Returns:
        One number for each channel, (C,): the eigenvector of the Gram matrix for its smallest eigenvalue.
    """
    return torch.linalg.eigh(gram_matrix(features)[0]).eigenvectors[:, 0]


def _silent_inputs() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    dead = rand(1, 4, 5, 5)
    dead[:, 2] = 0
    dependent = rand(1, 5, 6, 4)
    dependent[:, 1] = 2 * dependent[:, 0] + dependent[:, 4]
    return {
        "more channels than positions": rand(1, 9, 2, 3),
        "a dead channel": dead,
        "a channel that is a sum of two others": dependent,
        "large values": 1e3 * rand(1, 13, 4, 3),
    }


def _silent_fault(function: Function) -> str | None:
    for words, features in _silent_inputs().items():
        copy = features.clone()
        v = function(copy)
        fault = _vector_fault(v, features)
        if not fault and not torch.equal(copy, features):
            fault = "it changes its input in place"
        if fault:
            return f"for activations {tuple(features.shape)} with {words}: {fault}."
    return None


def _vector_fault(v: object, features: Tensor) -> str | None:
    channels = features.shape[1]
    if not isinstance(v, Tensor):
        return f"it returns {describe_value(v)}; a tensor is expected"
    if tuple(v.shape) != (channels,):
        return f"the shape is {tuple(v.shape)}, but one number for each channel is expected, ({channels},)"
    if v.is_complex() or not torch.isfinite(v).all():
        return "the values are not finite real numbers"
    length = v.double().norm().item()
    if length < 1e-3:
        return "v is the zero vector, for which every combination is zero; v has the length 1"
    if abs(length - 1) > 1e-4:
        return f"the length of v is {length:.3g}, but it has to be 1"
    rows = features[0].flatten(1)  # (C, positions)
    left = ((v.double() @ rows).norm() / rows.norm()).item()
    if left < 1e-6:
        return None
    if left > 0.2:
        return f"the combination is large ({left:.2g} of the activations' norm); is it the vector of another eigenvalue"
    return f"the combination is not zero: its norm is {left:.2g} of the activations' norm"


# --- maximum mean discrepancy ----------------------------------------------------------------------------


def mmd(features: Tensor, target: Tensor, power: int = 2) -> Tensor:
    """Return the squared maximum mean discrepancy of the positions of two pictures, kernel (x . y)^power.

    Li et al. (2017); Gretton et al. (2012), the biased estimate, in which all pairs count.

    Args:
        features: Activations (N, C, H, W); each position is a point with C coordinates.
        target: Activations (N, C, h, w) of other pictures, of any size.
        power: Power of the polynomial kernel; 2 gives the Gram loss.

    Returns:
        (N,).
    """
    x, y = features.flatten(2), target.flatten(2)  # (N, C, M), (N, C, M')
    return _mean_kernel(x, x, power) + _mean_kernel(y, y, power) - 2 * _mean_kernel(x, y, power)


def _kernel(x: Tensor, y: Tensor, power: int) -> Tensor:
    """Return the kernel of each point of x with each of y, (N, M, M')."""
    return (x.transpose(1, 2) @ y) ** power


def _mean_kernel(x: Tensor, y: Tensor, power: int) -> Tensor:
    return _kernel(x, y, power).mean((1, 2))


def two_sizes(shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
    """Return activations (N, C, H, W) and others of another size, with another distribution."""
    n, c, h, w = shape
    target = 1.5 * torch.rand((n, c, h + 2, w - 1), generator=generator) ** 2 + 0.1
    return torch.rand(shape, generator=generator), target


def _fixed_power(x: Tensor, y: Tensor, power: int, fixed: int) -> Tensor:
    return mmd(x, y, fixed)


def _mmd_parts(x: Tensor, y: Tensor, power: int) -> tuple[Tensor, Tensor, Tensor]:
    a, b = x.flatten(2), y.flatten(2)
    return _mean_kernel(a, a, power), _mean_kernel(b, b, power), _mean_kernel(a, b, power)


def _one_cross_term(x: Tensor, y: Tensor, power: int) -> Tensor:
    xx, yy, xy = _mmd_parts(x, y, power)
    return xx + yy - xy


def _cross_term_added(x: Tensor, y: Tensor, power: int) -> Tensor:
    xx, yy, xy = _mmd_parts(x, y, power)
    return xx + yy + 2 * xy


def _without_target_pairs(x: Tensor, y: Tensor, power: int) -> Tensor:
    xx, _, xy = _mmd_parts(x, y, power)
    return xx - 2 * xy


def _only_cross(x: Tensor, y: Tensor, power: int) -> Tensor:
    return _mmd_parts(x, y, power)[2]


def _root_of_mmd(x: Tensor, y: Tensor, power: int) -> Tensor:
    return mmd(x, y, power).clamp_min(0).sqrt()


def _summed_pairs(x: Tensor, y: Tensor, power: int) -> Tensor:
    a, b = x.flatten(2), y.flatten(2)
    return _kernel(a, a, power).sum((1, 2)) + _kernel(b, b, power).sum((1, 2)) - 2 * _kernel(a, b, power).sum((1, 2))


def _elementwise_power(x: Tensor, y: Tensor, power: int) -> Tensor:
    return mmd(x**power, y**power, 1)


def _plus_one(x: Tensor, y: Tensor, power: int) -> Tensor:
    one = torch.ones_like(x[:, :1]), torch.ones_like(y[:, :1])
    return mmd(torch.cat([x, one[0]], 1), torch.cat([y, one[1]], 1), power)


def _power_after_mean(x: Tensor, y: Tensor, power: int) -> Tensor:
    a, b = x.flatten(2), y.flatten(2)
    xx, yy, xy = (_kernel(p, q, 1).mean((1, 2)) ** power for p, q in ((a, a), (b, b), (a, b)))
    return xx + yy - 2 * xy


def _without_own_pairs(x: Tensor, y: Tensor, power: int) -> Tensor:
    def others(p: Tensor) -> Tensor:
        found, m = _kernel(p, p, power), p.shape[2]
        return (found.sum((1, 2)) - found.diagonal(dim1=1, dim2=2).sum(1)) / (m * (m - 1))

    a, b = x.flatten(2), y.flatten(2)
    return others(a) + others(b) - 2 * _mean_kernel(a, b, power)


def _reshaped_points(x: Tensor, y: Tensor, power: int) -> Tensor:
    a, b = (f.reshape(f.shape[0], -1, f.shape[1]).transpose(1, 2) for f in (x, y))
    return _mean_kernel(a, a, power) + _mean_kernel(b, b, power) - 2 * _mean_kernel(a, b, power)


_SCALAR = "it mixes the pictures of a batch into one number; one number for each picture is expected."


def _per_picture_shapes(x: Tensor, *_: object) -> dict[tuple[int, ...], str]:
    n, c = x.shape[:2]
    return {
        (): _SCALAR,
        (1,): _SCALAR,
        (n, c): "that is one number for each channel; one number for each picture is expected.",
        (n, 2 * c): "these are the differences; one number for each picture is expected.",
        (n, c, c): "that has the shape of a Gram matrix; one number for each picture is expected.",
        tuple(x.shape): "nothing is added up yet; one number for each picture is expected.",
    }


MMD = Exercise(
    name="mmd",
    reference=mmd,
    make_inputs=two_sizes,
    shapes=[(2, 3, 4, 5), (1, 4, 3, 6)],
    extra_arguments=((2,), (1,), (3,)),
    scales=(1e-2, 1e2),
    wrong_shapes=_per_picture_shapes,
    mistakes=[
        Mistake("the power has no effect: the result is always that of a Gram loss.", partial(_fixed_power, fixed=2)),
        Mistake("the power has no effect: each kernel is a plain inner product.", partial(_fixed_power, fixed=1)),
        Mistake("the pairs between the two clouds count too little.", _one_cross_term),
        Mistake("the pairs between the two clouds have the wrong sign.", _cross_term_added),
        Mistake("the pairs within the target's cloud are missing.", _without_target_pairs),
        Mistake("only the pairs between the two clouds count; those within each cloud are missing.", _only_cross),
        Mistake("it takes the root; the squared discrepancy is expected.", _root_of_mmd),
        Mistake("it adds up the pairs; the formula has means, and the clouds differ in size.", _summed_pairs),
        Mistake("it raises each coordinate to the power; the kernel raises the inner product.", _elementwise_power),
        Mistake("the kernel adds 1 to the inner product; this one does not.", _plus_one),
        Mistake("the power comes after the mean; it belongs to each pair.", _power_after_mean),
        Mistake("the pairs of a point with itself are left out; here all pairs count.", _without_own_pairs),
        Mistake(
            "the points are cut from the wrong axis: a reshape does not exchange channels and positions.",
            _reshaped_points,
        ),
    ],
    hints=(
        "Make the clouds first: flatten(2) gives (N, C, M). A point is a column of C numbers.",
        "One matrix product gives the inner products of all pairs of points, (N, M, M').",
        "Write a small function for the mean kernel of two clouds, and call it three times.",
    ),
)


# --- means and standard deviations -----------------------------------------------------------------------

EPSILON = 1e-5
"""Added to the variance, under the root."""


def statistics_loss(features: Tensor, target: Tensor) -> Tensor:
    """Return the squared differences of the channels' means and standard deviations, added over the channels.

    Li et al. (2017), eq. 14, without its 1/C.

    Args:
        features: Activations (N, C, H, W).
        target: Activations (N, C, h, w) of other pictures, of any size.

    Returns:
        (N,).
    """
    return _squares(_means(features), _means(target)) + _squares(_deviations(features), _deviations(target))


def means_loss(features: Tensor, target: Tensor) -> Tensor:
    """Return the squared differences of the channels' means, added over the channels: (N,)."""
    return _squares(_means(features), _means(target))


def _squares(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum(1)


def _means(x: Tensor) -> Tensor:
    return x.mean((2, 3))


def _deviations(x: Tensor, correction: int = 0, epsilon: float = EPSILON) -> Tensor:
    return (x.var((2, 3), correction=correction) + epsilon).sqrt()


def _deviations_only(x: Tensor, y: Tensor) -> Tensor:
    return _squares(_deviations(x), _deviations(y))


def _variances(x: Tensor, y: Tensor) -> Tensor:
    return means_loss(x, y) + _squares(x.var((2, 3), correction=0), y.var((2, 3), correction=0))


def _variances_with_epsilon(x: Tensor, y: Tensor) -> Tensor:
    return means_loss(x, y) + _squares(_deviations(x).square(), _deviations(y).square())


def _unbiased(x: Tensor, y: Tensor) -> Tensor:
    return means_loss(x, y) + _squares(_deviations(x, 1), _deviations(y, 1))


def _no_epsilon(x: Tensor, y: Tensor) -> Tensor:
    return means_loss(x, y) + _squares(_deviations(x, 0, 0.0), _deviations(y, 0, 0.0))


def _unbiased_without_epsilon(x: Tensor, y: Tensor) -> Tensor:
    return means_loss(x, y) + _squares(_deviations(x, 1, 0.0), _deviations(y, 1, 0.0))


def _epsilon_outside(x: Tensor, y: Tensor) -> Tensor:
    a, b = (_deviations(f, 0, 0.0) + EPSILON for f in (x, y))
    return means_loss(x, y) + _squares(a, b)


def _root_mean_squares(x: Tensor, y: Tensor) -> Tensor:
    a, b = ((f.square().mean((2, 3)) + EPSILON).sqrt() for f in (x, y))
    return means_loss(x, y) + _squares(a, b)


def _absolute(x: Tensor, y: Tensor) -> Tensor:
    return (_means(x) - _means(y)).abs().sum(1) + (_deviations(x) - _deviations(y)).abs().sum(1)


def _signed(x: Tensor, y: Tensor) -> Tensor:
    return (_means(x) - _means(y) + _deviations(x) - _deviations(y)).sum(1)


def _squared_sum(x: Tensor, y: Tensor) -> Tensor:
    return (_means(x) - _means(y) + _deviations(x) - _deviations(y)).square().sum(1)


def _difference(x: Tensor, y: Tensor) -> Tensor:
    return means_loss(x, y) - _deviations_only(x, y)


def _all_channels(x: Tensor, y: Tensor) -> Tensor:
    return statistics_loss(x.flatten(1)[:, None, :, None], y.flatten(1)[:, None, :, None])


def _norm_of_statistics(x: Tensor, y: Tensor) -> Tensor:
    return statistics_loss(x, y).sqrt()


def _statistics_factors(x: Tensor, *_: object) -> list[WrongFactor]:
    c = x.shape[1]
    return [
        WrongFactor(1 / c, "it is the mean over the channels; the sum is expected."),
        WrongFactor(1 / (2 * c), "it is the mean over all differences; the sum is expected."),
        WrongFactor(1 / (c * len(x)), "it divides by the channels and by the pictures; the sum is expected."),
    ]


def _with_a_constant_map(shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
    features, target = two_sizes(shape, generator)
    features[0, 1] = 0.25  # a variance of 0: without epsilon, its root has no gradient
    return features, target


STATISTICS = Exercise(
    name="statistics_loss",
    reference=statistics_loss,
    make_inputs=_with_a_constant_map,
    shapes=[(2, 3, 4, 5), (1, 5, 3, 4)],
    scales=(1e-2, 1e2),
    wrong_shapes=_per_picture_shapes,
    wrong_factors=_statistics_factors,
    mistakes=[
        Mistake("only the means count; the deviations are missing.", means_loss),
        Mistake("only the deviations count; the means are missing.", _deviations_only),
        Mistake("it compares variances; a root is missing.", _variances),
        Mistake("it compares variances; a root is missing.", _variances_with_epsilon),
        Mistake("the variance is divided by H*W - 1, the default of torch.var and torch.std.", _unbiased),
        Mistake(
            "the variance is divided by H*W - 1, the default of torch.var and torch.std.", _unbiased_without_epsilon
        ),
        Mistake("a channel may be constant; the small number under the root is missing.", _no_epsilon),
        Mistake("the small number is added after the root; it belongs under the root.", _epsilon_outside),
        Mistake("the mean is not subtracted before squaring: that is no deviation from the mean.", _root_mean_squares),
        Mistake("these are absolute differences (L1).", _absolute),
        Mistake("the differences are not squared: positive and negative ones cancel.", _signed),
        Mistake("it adds the two differences of a channel before squaring.", _squared_sum),
        Mistake("the two terms are subtracted from each other.", _difference),
        Mistake("all channels share one mean and one deviation.", _all_channels),
        Mistake("it takes the root at the end.", _norm_of_statistics),
    ],
    hints=(
        "Reduce the last two dimensions: each picture and each channel keeps its own mean.",
        "x.var((2, 3), correction=0) divides by H*W, as the formula does.",
        "Square the differences of the means, and those of the deviations; then add over the channels.",
    ),
)


# --- numbers ---------------------------------------------------------------------------------------------


def _certain_zeros(channels: int = 512, height: int = 384, width: int = 512, poolings: int = 5) -> float:
    """Return how many eigenvalues of a layer's Gram matrix are zero for any picture of this size."""
    positions = (height >> poolings) * (width >> poolings)
    return float(max(0, channels - positions))


TASKS: tuple[Task, ...] = (
    Choice(
        name="maps that meet most",
        keys=("3944f88700a1",),
        remarks={
            "a": "look for a position at which both maps are 1; there is none.",
            "b": "Two of the three columns of `line` lie in the warm part.",
            "c": "count the columns of `line` that lie in the dark part, and those that do not.",
        },
        hints=("For each pair, count the positions at which both maps are 1.",),
    ),
    Choice(
        name="shuffle that leaves the Gram matrix",
        keys=("47a3f89d8dfc",),
        remarks={
            "a": "Only the order of the terms in the sum changes; the difference of 1e-15 is rounding.",
            "b": "two activations that met at a position no longer do; see the printed numbers.",
            "c": "the order of the terms does not matter, but each term is a product of two maps at one position.",
        },
        hints=("Write the sum for two maps and three positions, and shuffle it in both ways.",),
    ),
    Choice(
        name="tiles and depth",
        keys=("9d950b334bd9",),
        remarks={
            "a": "the positions of the *maps* do not matter, but a tile's border also changes the maps.",
            "b": "compare the lines of relu1_1 and relu5_1 at the largest tiles.",
            "c": "A border changes every activation whose receptive field it crosses, and deep ones have large ones.",
        },
        hints=("Which activations change when a border runs through the picture?",),
    ),
    Program(
        name="style_loss_over_layers",
        test=_style_fault,
        hints=(
            "Loop over the layers that have a weight; each gives one loss for each picture, of shape (N,).",
            "gram_matrix(maps[name]) has the shape (N, C, C), the target (1, C, C): the difference broadcasts.",
            "Divide each layer's sum of squares by its target's sum of squares before you multiply by the weight.",
        ),
        why="It agrees with the reference for all layers, weights and batches, and so does its gradient.",
    ),
    Choice(
        name="first set with columns of light",
        keys=("dd14bfea07bb",),
        remarks={
            "a": "it has the colors, in grains of a few pixels; nothing in it is long and upright.",
            "b": "it has yellow spots; compare their length with the columns in the painting.",
            "c": "Upright columns of several dashes, as on the painting's water.",
            "d": "compare it with the set before.",
            "e": "compare it with the sets before.",
        },
        hints=("Compare the height of a reflection in the painting with the yellow spots in each picture.",),
    ),
    Choice(
        name="correlation far apart",
        keys=("df45d8bb921b",),
        remarks={
            "a": "Only the painting is dark in one half and bright in the other.",
            "b": "look at the right end of the curve of (e).",
            "c": "look at the right end of the figure: how many curves are clearly above zero?",
        },
        hints=("What makes two points alike that are far apart in the painting?",),
    ),
    Choice(
        name="best single layer",
        keys=("ee9ae72edf44", "bbcccaee97e2"),
        remarks={
            "pool1": "its picture has the right colors, but its deep layers are far from the painting's.",
            "pool2": "It shares the first place; the order of the first two may change from machine to machine.",
            "pool3": "It shares the first place; the order of the first two may change from machine to machine.",
            "pool4": "its picture does not even have the painting's colors; see the last figure.",
            "pool5": "its picture does not even have the painting's colors; see the last figure.",
        },
        hints=("Look for the shortest bars.",),
    ),
    Choice(
        name="pool5 from a photo",
        keys=("5ccc0e6de778",),
        remarks={
            "a": "look for the painting's colors or lamps in the result.",
            "b": "The layer changes the fine detail and leaves the rest as it was.",
            "c": "compare the two results; the loss is about the same, but what about the pictures?",
        },
        hints=("How many pictures have the same Gram matrix at a layer of 6 x 8 positions?",),
    ),
    Choice(
        name="signs of the eigenvalues",
        keys=("1c79cba92d8d",),
        remarks={
            "a": "look at the second line of numbers: it has zeros.",
            "b": "A squared length is never negative, but it can be zero.",
            "c": "a negative eigenvalue would make a squared length negative.",
        },
        hints=("For an eigenvector v of length 1, the quadratic form is the eigenvalue.",),
    ),
    Number(
        name="zeros that are certain",
        reference=_certain_zeros,
        tolerance=0,
        hints=(
            "How many positions does pool5 have? Each pooling halves both sides.",
            "How many of the 512 rows can be independent, if each has so few entries?",
        ),
        why="Most directions are zero, whatever the picture shows.",
    ),
    Program(
        name="silent_combination",
        test=_silent_fault,
        hints=(
            "What does the eigenvalue 0 of the Gram matrix say about its eigenvector?",
            "torch.linalg.eigh returns eigenvalues from small to large, and eigenvectors as columns.",
        ),
        why="So each of these Gram matrices is singular.",
    ),
    MMD,
    Choice(
        name="power of the Gram loss",
        keys=("bd992b24dd97",),
        remarks={
            "a": "with this power the discrepancy compares the means of the two clouds, and nothing else.",
            "b": "The second-order polynomial kernel compares all second moments, and these are the Gram matrix.",
            "c": "this power compares products of three channels; a Gram matrix has products of two.",
        },
        hints=("Write out the sum over i and j of the product G_ij A_ij.",),
    ),
    STATISTICS,
    Choice(
        name="means alone",
        keys=("d10e11fd5f0f",),
        remarks={
            "a": "look for dashes and for upright columns of light in the first picture.",
            "b": "The mean of a channel says how much of its feature there is, and the features are strokes and lamps.",
            "c": "compare the colors: some in the first picture do not occur in the painting.",
        },
        hints=("What does it mean that a channel's mean is large?",),
    ),
)
"""The tasks of the lesson."""


# --- plots -----------------------------------------------------------------------------------------------

RECEPTIVE_FIELDS = {"relu1_1": 3, "relu2_1": 10, "relu3_1": 24, "relu4_1": 68, "relu5_1": 156}
"""Side in pixels of what one activation depends on (lesson 01)."""


def draw_matrix(
    ax: Axes,
    values: Tensor,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str = "",
    form: str = "{:.2f}",
    log: bool = False,
) -> None:
    """Draw numbers on squares that are darker where the number is larger.

    Args:
        ax: The axes.
        values: The numbers, (rows, columns).
        rows: Name of each row.
        columns: Name of each column.
        title: Title of the axes.
        form: Format of a number.
        log: Shade by the logarithm, for numbers of different magnitudes.
    """
    shades = values.double().clamp_min(1e-3).log() if log else values.double()
    low, high = shades.min().item(), shades.max().item()
    ax.pcolormesh(shades.numpy(), cmap="Blues", vmin=low, vmax=low + 1.7 * (high - low) or 1, edgecolor="white")
    for i in range(len(rows)):
        for j in range(len(columns)):
            text = form.format(values[i, j].item())
            ax.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=9, color=figures.INK)
    ax.set_xticks([j + 0.5 for j in range(len(columns))], columns)
    ax.set_yticks([i + 0.5 for i in range(len(rows))], rows)
    ax.invert_yaxis()
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_title(title, loc="left")


def matrix_figure(
    values: Tensor, rows: Sequence[str], columns: Sequence[str], title: str, form: str = "{:.3g} %", log: bool = True
) -> Figure:
    """Return numbers on shaded squares as a figure of the full width; see ``draw_matrix``."""
    figure, (ax,) = anatomy.panels(1, height=0.36 * len(rows) + 0.8)
    draw_matrix(ax, values, rows, columns, title, form, log)
    told = (f"{row}: {', '.join(form.format(v) for v in line)}" for row, line in zip(rows, values.tolist()))
    figure.set_label(f"{title}; columns {', '.join(columns)}; {'; '.join(told)}")
    return figure


def draw_maps(ax: Axes, values: Tensor, title: str) -> None:
    """Draw a small map (H, W) of zeros and ones as squares."""
    ax.pcolormesh(values.numpy(), cmap="Blues", vmin=0, vmax=1.6, edgecolor="white")
    ax.invert_yaxis()
    ax.set_aspect("equal")
    ax.axis("off")
    ax.set_title(title)


def tile_figure(changes: Mapping[str, Mapping[int, float]], title: str) -> Figure:
    """Return the change of Gram matrices over the side of shuffled tiles; a ring marks each receptive field.

    Args:
        changes: For each line {side in pixels: change in percent}.
        title: Title of the figure.
    """
    figure, (ax,) = anatomy.panels(1, height=3.3)
    for colour, (name, values) in zip(figures.COLOURS, changes.items()):
        sides = torch.tensor([float(side) for side in values]).log2()
        heights = torch.tensor(list(values.values()))
        field = RECEPTIVE_FIELDS.get(name)
        label = name if field is None else f"{name}: {field} px"
        ax.plot(sides.exp2().tolist(), heights.tolist(), "o-", ms=4, color=colour, label=label)
        if field is not None and field <= max(values):
            at = torch.tensor(float(field)).log2()
            k = int((sides <= at).sum()) - 1
            k = min(k, len(sides) - 2)
            share = (at - sides[k]) / (sides[k + 1] - sides[k])
            height = heights[k] + share * (heights[k + 1] - heights[k])
            ax.plot(field, height.item(), "o", ms=12, mfc="none", mec=colour, mew=2)
    ax.set_xscale("log", base=2)
    ticks = list(next(iter(changes.values())))
    ax.set_xticks(ticks, [str(side) for side in ticks])
    ax.set(xlabel="side of the shuffled tiles in pixels (ring: receptive field)", ylabel="change in %")
    ax.set_title(title, loc="left")
    figures.draw_legend(ax)
    return figure


def spectrum_figure(spectra: Mapping[str, Tensor], title: str) -> Figure:
    """Return eigenvalues from large to small, each divided by the largest, on a logarithmic axis."""
    figure, (ax,) = anatomy.panels(1, height=3.4)
    for colour, (name, values) in zip(figures.COLOURS, spectra.items()):
        ax.plot((values / values[0]).abs().clamp_min(1e-20).tolist(), label=name, color=colour)
    ax.axhspan(1e-20, 1e-12, color="#f3e3dc", zorder=0)
    ax.annotate("zero, up to rounding in float64", (1, 2e-19), color="#a0492c")
    ax.axhline(1.2e-7, color="#9aa0a6", lw=1, ls="--")
    ax.annotate("rounding in float32", (1, 2.2e-7), color="#5f6368", fontsize=9)
    ax.set(yscale="log", ylim=(1e-20, 3), xlabel="number of the eigenvalue", ylabel="eigenvalue / largest")
    ax.set_title(title, loc="left")
    figures.draw_legend(ax)
    return figure
