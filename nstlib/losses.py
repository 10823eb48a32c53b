"""The losses of style transfer as pure functions. Each returns one value per picture, shape (N,).

Notation of Gatys et al. (2016): F is a layer's activation as a matrix of N_l channels by M_l positions.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from . import fast
from .errors import SettingError, check_type, finite_number

GramDivisor = Literal["hw", "chw", "none"]
Reduction = Literal["sum", "mean", "relative"]
TVReduction = Literal["sum", "mean"]

DIVISORS: tuple[GramDivisor, ...] = get_args(GramDivisor)
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)

EPSILON = 1e-12
"""Smallest divisor of a relative loss."""


TENSOR_ADVICE = "give a tensor; of a picture, images.as_image makes one"


def gram_matrix(features: Tensor, divisor: GramDivisor = "hw") -> Tensor:
    """Return the Gram matrices G_ij = sum_k F_ik F_jk / divisor of activations.

    Computed in float32, or in float64 for activations of float64. Differentiable twice; inside vmap and jvp of
    ``torch.func`` it is ``plain_gram``, which is the same as the formula says.

    Args:
        features: (N, C, H, W); a single (C, H, W) counts as a batch of one.
        divisor: "hw" divides by the number of positions, so that the size of the picture does not matter; "chw" also
            by the number of channels (Johnson 2016, eq. 3; the PyTorch tutorial); "none" by 1 (Gatys 2016, eq. 3).

    Returns:
        (N, C, C), float32 (float64 for float64).

    Raises:
        SettingError: The type, the shape or the divisor cannot be used.
    """
    check_type("the activations", features, Tensor, TENSOR_ADVICE)
    if features.dim() == 3:
        features = features[None]
    if features.dim() != 4:
        raise SettingError(f"activations have the shape (N, C, H, W), not {tuple(features.shape)}.")
    _, c, h, w = features.shape
    number = float(gram_divisor(divisor, c, h * w))
    return plain_gram(features, number) if fast.is_transformed(features) else fast.gram(features, number)


def gram_divisor(divisor: GramDivisor, channels: int, positions: int) -> int:
    """Return the number by which ``gram_matrix`` divides.

    Raises:
        SettingError: The divisor is unknown.
    """
    if divisor not in DIVISORS:
        raise SettingError(f"Gram divisor {divisor!r} is unknown; use one of {', '.join(DIVISORS)}.")
    return {"hw": positions, "chw": channels * positions, "none": 1}[divisor]


def plain_gram(features: Tensor, divisor: float) -> Tensor:
    """Return the Gram matrices (N, C, C) of ``features`` (N, C, H, W) as the formula says; see ``fast.gram``."""
    rows = features.flatten(2)  # (N, C, H*W)
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    return rows @ rows.transpose(1, 2) / divisor


def _check_tensors(found: Tensor, target: Tensor) -> None:
    check_type("what was found", found, Tensor, TENSOR_ADVICE)
    check_type("the target", target, Tensor, TENSOR_ADVICE)


def _reduce(found: Tensor, target: Tensor, reduction: Reduction) -> Tensor:
    if reduction not in REDUCTIONS:
        raise SettingError(f"reduction {reduction!r:.60} is unknown; use one of {', '.join(REDUCTIONS)}.")
    without_batch = 0 in (found.dim(), target.dim())
    if without_batch or found.shape[1:] != target.shape[1:] or len(target) not in (1, len(found)):
        raise SettingError(f"a target of the shape {tuple(target.shape)} does not fit {tuple(found.shape)}.")
    difference = found - target
    dims = tuple(range(1, difference.dim()))  # flatten would copy what is channels_last
    squares = difference.square().sum(dims)  # (N,)
    if reduction == "mean":
        return squares / math.prod(difference.shape[1:])
    if reduction == "sum":
        return squares
    return squares / target.square().sum(dims).clamp_min(EPSILON)


def content_loss(features: Tensor, target: Tensor, reduction: Reduction = "sum") -> Tensor:
    """Return the squared distance of activations F and P.

    Args:
        features: F, (N, C, H, W).
        target: P, (N, C, H, W) or (1, C, H, W).
        reduction: "sum" is sum_ij (F_ij - P_ij)^2, twice Gatys 2016 eq. 1; "mean" divides it by the number of elements
            (Johnson 2016 eq. 2); "relative" by sum_ij P_ij^2: 0 is a perfect match, 1 the loss of an all-zero map.

    Returns:
        (N,), float32.

    Raises:
        SettingError: The reduction is unknown, or the target has another type or shape.
    """
    _check_tensors(features, target)
    return _reduce(features.float(), target.float(), reduction)


def style_loss(gram: Tensor, target: Tensor, reduction: Reduction = "sum") -> Tensor:
    """Return the squared distance of Gram matrices G and A.

    Args:
        gram: G, (N, C, C).
        target: A, (N, C, C) or (1, C, C).
        reduction: "sum" is sum_ij (G_ij - A_ij)^2, the squared Frobenius norm (Johnson 2016 eq. 4; Gatys 2016 eq. 4
            except for its constant); "mean" divides it by C^2, as an MSE loss does; "relative" by sum_ij A_ij^2.

    Returns:
        (N,).

    Raises:
        SettingError: The reduction is unknown, or the target has another type or shape.
    """
    _check_tensors(gram, target)
    return _reduce(gram, target, reduction)


def total_variation(images: Tensor, power: int = 2, reduction: TVReduction = "mean") -> Tensor:
    """Return how much neighbouring pixels differ: |x_(i+1)j - x_ij|^power + |x_i(j+1) - x_ij|^power.

    Args:
        images: Floats (N, 3, H, W).
        power: 1 keeps edges, 2 (Mahendran and Vedaldi 2015, beta = 2) smooths.
        reduction: "sum" over rows and columns; "mean" divides each of the two sums by its number of terms.

    Returns:
        (N,).

    Raises:
        SettingError: The reduction is unknown, the power is not a finite number above 0, or the images have another
            type or shape.
    """
    if reduction not in ("sum", "mean"):
        raise SettingError(f"reduction {reduction!r} is unknown; use 'sum' or 'mean'.")
    finite_number("the power of the total variation", power, above_zero=True)
    check_type("the picture", images, Tensor, TENSOR_ADVICE)
    if images.dim() != 4 or not images.is_floating_point():
        raise SettingError(f"images are floats (N, 3, H, W) in [0, 1], not {images.dtype} {tuple(images.shape)}.")
    vertical = _power(images[:, :, 1:] - images[:, :, :-1], power)  # (N, 3, H-1, W)
    horizontal = _power(images[..., 1:] - images[..., :-1], power)  # (N, 3, H, W-1)
    if reduction == "sum":
        return vertical.flatten(1).sum(1) + horizontal.flatten(1).sum(1)
    return vertical.flatten(1).mean(1) + horizontal.flatten(1).mean(1)


def _power(difference: Tensor, power: int) -> Tensor:
    return difference.square() if power == 2 else difference.abs().pow(power)
