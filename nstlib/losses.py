"""The losses of style transfer as pure functions. Each answers with one number a picture, shape (N,).

Notation of Gatys et al. (2016): F is a layer's activation as a matrix of N_l channels by M_l positions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import SettingError
from .runtime import has_bfloat16

DIVISORS = ("hw", "chw", "none")
REDUCTIONS = ("sum", "mean", "relative")


def gram_matrix(features: Tensor, divisor: str = "hw") -> Tensor:
    """Gram matrix G_ij = sum_k F_ik F_jk / divisor of activations (N, C, H, W): (N, C, C), float32.

    divisor: "hw" divides by the positions, so that the size of the picture does not matter;
    "chw" also by the channels (Johnson 2016, eq. 3; the PyTorch tutorial); "none" not at all
    (Gatys 2016, eq. 3). Computed in float32 whatever the precision of the activations; differentiable
    twice. A single (C, H, W) counts as a batch of one.
    """
    if features.dim() == 3:
        features = features[None]
    if features.dim() != 4:
        raise SettingError(f"activations have the shape (N, C, H, W), not {tuple(features.shape)}.")
    if divisor not in DIVISORS:
        raise SettingError(f"Gram divisor {divisor!r} is unknown; use one of {', '.join(DIVISORS)}.")
    _, c, h, w = features.shape
    by = {"hw": h * w, "chw": c * h * w, "none": 1}[divisor]
    return _Gram.apply(features, float(by))


class _Gram(torch.autograd.Function):
    """The plain formula, arranged so that no float32 copy of all activations is ever needed.

    Early layers are a few channels by very many positions, a shape for which general matrix products are slow:
    forwards a piece of positions at a time stays in the cache, and backwards dL/dF = (S + S^T) F / divisor
    is a 1 x 1 convolution, which is quick in any precision.
    """

    @staticmethod
    def forward(ctx, features: Tensor, divisor: float) -> Tensor:  # noqa: ANN001
        ctx.save_for_backward(features)
        ctx.divisor = divisor
        n, c, h, w = features.shape
        rows = features.permute(0, 2, 3, 1).reshape(n, h * w, c)  # a view if channels_last
        if features.dtype == torch.bfloat16 and c >= 32 and has_bfloat16(features.device) and not features.is_cuda:
            # twice in bfloat16, which sums in float32 and rounds once: the product, then what rounding took from it
            columns = rows.transpose(1, 2)
            rounded = torch.bmm(columns, rows)
            return (rounded.float() + torch.baddbmm(rounded, columns, rows, beta=-1)) / divisor
        piece = h * w if features.is_cuda else max(1, 262_144 // c)
        out = features.new_zeros((n, c, c), dtype=torch.promote_types(features.dtype, torch.float32))
        for part in rows.split(piece, dim=1):
            part = part.to(out.dtype)
            out.baddbmm_(part.transpose(1, 2), part)
        return out / divisor

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN001
        (features,) = ctx.saved_tensors
        n, c, h, w = features.shape
        both = ((grad + grad.transpose(1, 2)) / ctx.divisor).to(features.dtype)
        if n == 1:
            return F.conv2d(features, both[0, :, :, None, None]), None
        return torch.einsum("nij,njhw->nihw", both, features), None


def _reduce(difference: Tensor, target: Tensor, reduction: str) -> Tensor:
    if reduction not in REDUCTIONS:
        raise SettingError(f"reduction {reduction!r} is unknown; use one of {', '.join(REDUCTIONS)}.")
    each = tuple(range(1, difference.dim()))  # not flatten, which copies what is channels_last
    squares = difference.square().sum(each)
    if reduction == "mean":
        return squares / (difference.numel() // len(difference))
    if reduction == "sum":
        return squares
    return squares / target.square().sum(each).clamp_min(1e-12)


def content_loss(features: Tensor, target: Tensor, reduction: str = "sum") -> Tensor:
    """Squared distance of activations F and P, both (N, C, H, W): (N,), float32.

    "sum": sum_ij (F_ij - P_ij)^2, twice Gatys 2016 eq. 1; "mean": over all elements (Johnson 2016 eq. 2);
    "relative": the sum over sum_ij P_ij^2, which has no unit: 0 is the target, 1 as far from it as a black canvas.
    """
    target = target.float()
    return _reduce(features.float() - target, target, reduction)


def style_loss(gram: Tensor, target: Tensor, reduction: str = "sum") -> Tensor:
    """Squared distance of Gram matrices G and A, both (N, C, C): (N,).

    "sum": sum_ij (G_ij - A_ij)^2, the squared Frobenius norm (Johnson 2016 eq. 4; Gatys 2016 eq. 4 but for its
    constant); "mean": the sum over C^2, what an MSE loss computes; "relative": over sum_ij A_ij^2.
    """
    return _reduce(gram - target, target, reduction)


def total_variation(images: Tensor, power: int = 2, reduction: str = "mean") -> Tensor:
    """How much neighbours differ, for images (N, 3, H, W): (N,).

    sum over rows and columns of |x_(i+1)j - x_ij|^power + |x_i(j+1) - x_ij|^power; "mean" divides each of
    the two sums by its number of terms. power 1 keeps edges, power 2 (Mahendran and Vedaldi 2015, beta = 2) smooths.
    """
    if reduction not in ("sum", "mean"):
        raise SettingError(f"reduction {reduction!r} is unknown; use 'sum' or 'mean'.")
    down, right = images[:, :, 1:] - images[:, :, :-1], images[:, :, :, 1:] - images[:, :, :, :-1]
    down, right = ((d.square() if power == 2 else d.abs().pow(power)).flatten(1) for d in (down, right))
    if reduction == "sum":
        return down.sum(1) + right.sum(1)
    return down.mean(1) + right.mean(1)
