"""The fast path: the activations, Gram matrices and gradients of the plain code, computed in less time.

``VGGFeatures(fast=False)`` and ``losses.plain_gram`` are the plain versions; tests/test_fast.py holds both equal
(values, gradients, second derivatives). Three ideas make the difference:

1. Values are computed outside autograd's graph. A convolution and its ReLU become one node of the graph whose output
   is given, so that the input of the ReLU is overwritten in place and only the output is kept for the backward pass.
2. In bfloat16 the first layers compute their values in float32 (``VGGFeatures.float32_until``), because rounding before
   a ReLU changes which gradients it passes; their gradients, though, may be rounded, and are computed in bfloat16. So
   one activation is two tensors: ``output``, its value, and ``graph``, the same in bfloat16, which autograd follows.
3. Backward passes that PyTorch does slowly on the CPU are written by hand: average pooling as an enlargement, Gram
   matrices as a 1 x 1 convolution, their products in pieces that fit into the cache.
4. In float32 on the CPU, wide convolutions run by Winograd's algorithm (``winograd``).

Measured for loss and gradient at 512 x 512, on two cores with AVX-512 bfloat16 (November 2026), the plain code takes
1.6 times as long in bfloat16 with the compact VGG-19 and 1.45 times with the full one; in float32 1.15 times. The
tensors of a step shrink to about half of those of the public tutorials (benchmarks/).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

from . import winograd
from .runtime import has_bfloat16

GRAM_PIECE = 262_144
"""Values of one piece of a Gram matrix's product: 1 MB in float32, about a core's cache."""


def is_transformed(x: Tensor) -> bool:
    """Return whether ``x`` is inside a transform for which this module has no rules: any but reverse-mode gradients.

    These are vmap and jvp of ``torch.func``, also around its grad, and forward-mode differentiation. PyTorch has no
    public way to ask; where a release has another private one, nothing is found and PyTorch reports what it cannot do.
    """
    if torch.compiler.is_compiling():
        return False
    stack = getattr(torch._C._functorch, "get_interpreter_stack", lambda: None)() or []
    return any(level.key().name != "Grad" for level in stack) or _has_tangent(x)


def _has_tangent(x: Tensor) -> bool:
    return forward_ad.unpack_dual(x).tangent is not None  # type: ignore[no-untyped-call]


def iter_features(
    pixels: Tensor,
    names: Iterable[str],
    wanted: Collection[str],
    convs: Mapping[str, nn.Conv2d],
    pool_gain: Mapping[str, float] | None,
    dtype: torch.dtype,
) -> Iterator[tuple[str, Tensor]]:
    """Yield (name, activation) for the layers in ``wanted``, as the plain ``VGGFeatures._iter_plain`` does.

    ``output`` is always the value of the present layer. ``graph`` is its place in autograd's graph; between a
    convolution and its ReLU it stays one layer behind, because the two become one node.

    Args:
        pixels: Preprocessed pictures, (N, 3, H, W), float32.
        names: Layers in order, up to the deepest wanted.
        wanted: Layers to yield.
        convs: Convolutions by name; each computes in the dtype of its weight.
        pool_gain: Factor of each average pooling; None for max pooling.
        dtype: Of the activations and of all gradients.
    """
    first = convs["conv1_1"]
    # beside bfloat16, Winograd's way would only change layouts back and forth
    conv3x3 = winograd.conv3x3 if dtype == torch.float32 else winograd.direct_conv3x3
    if dtype != torch.float32 or not winograd.pays(pixels, first.in_channels, first.out_channels):
        pixels = pixels.to(memory_format=torch.channels_last)  # the fastest for all else
    output, graph = pixels.detach(), pixels.to(dtype)
    for name in names:
        if name.startswith("conv"):
            conv = convs[name]
            with torch.no_grad():
                output = conv3x3(output.to(conv.weight.dtype), conv.weight, conv.bias)  # (N, C, H, W)
            if name in wanted:
                graph = _ConvFromOutput.apply(graph, output.to(dtype), conv.weight.to(dtype))
        elif name.startswith("relu"):
            conv_name = name.replace("relu", "conv")
            if conv_name in wanted:  # its activation was yielded and must not be overwritten
                output, graph = F.relu(output), F.relu(graph)
            else:
                output = output.relu_()
                graph = _ConvReLUFromOutput.apply(graph, output.to(dtype), convs[conv_name].weight.to(dtype))
        elif pool_gain is not None:
            output = _avg_pool(output)  # (N, C, H/2, W/2)
            if pool_gain[name] != 1.0:
                output *= pool_gain[name]
            graph = _AvgPoolFromOutput.apply(graph, output.to(dtype), pool_gain[name])
        else:
            # the place of a maximum is taken from the values before rounding: among rounded ones there are ties
            output, places = F.max_pool2d(output, 2, return_indices=True)  # (N, C, H/2, W/2)
            graph = _MaxPoolFromOutput.apply(graph, output.to(dtype), places)
        if name in wanted:
            yield name, graph


class _ConvFromOutput(torch.autograd.Function):
    """A 3 x 3 convolution of ``graph`` whose output is given; only the place of ``graph`` in the graph is used.

    Differentiable twice: the backward pass consists of PyTorch's own functions.
    """

    @staticmethod
    def forward(graph: Tensor, output: Tensor, weight: Tensor) -> Tensor:
        return output.detach()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], result: Tensor) -> None:
        _, output, weight = inputs
        ctx.save_for_backward(output, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        output, weight = ctx.saved_tensors
        return winograd.conv3x3_transposed(_in_layout_of(output, grad), weight), None, None


class _ConvReLUFromOutput(torch.autograd.Function):
    """As ``_ConvFromOutput``, with the ReLU after the convolution."""

    @staticmethod
    def forward(graph: Tensor, output: Tensor, weight: Tensor) -> Tensor:
        return output.detach()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], result: Tensor) -> None:
        _, output, weight = inputs
        ctx.save_for_backward(output, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        output, weight = ctx.saved_tensors
        grad = torch.ops.aten.threshold_backward(_in_layout_of(output, grad), output, 0)
        return winograd.conv3x3_transposed(grad, weight), None, None


class _AvgPoolFromOutput(torch.autograd.Function):
    """``F.avg_pool2d(graph, 2) * gain`` with the output given.

    The gradient is a quarter of the incoming one, enlarged: a third of the time of PyTorch's own.
    """

    @staticmethod
    def forward(graph: Tensor, output: Tensor, gain: float) -> Tensor:
        return output.detach()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, float], result: Tensor) -> None:
        graph, _, gain = inputs
        ctx.size, ctx.gain = graph.shape[2:], gain

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        grad = F.interpolate(grad * (ctx.gain / 4), scale_factor=2.0)
        rows, columns = (a - b for a, b in zip(ctx.size, grad.shape[2:]))
        if rows or columns:  # of odd sizes, pooling ignores the last row or column
            grad = F.pad(grad, (0, columns, 0, rows))
        return grad, None, None


class _MaxPoolFromOutput(torch.autograd.Function):
    """``F.max_pool2d(graph, 2)`` with the output and the places of the maxima given."""

    @staticmethod
    def forward(graph: Tensor, output: Tensor, places: Tensor) -> Tensor:
        return output.detach()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], result: Tensor) -> None:
        graph, _, places = inputs
        ctx.save_for_backward(graph, places)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        graph, places = ctx.saved_tensors
        grad = _in_layout_of(graph, grad)
        side, no_padding, dilation = [2, 2], [0, 0], [1, 1]
        return (
            torch.ops.aten.max_pool2d_with_indices_backward(
                grad, graph, side, side, no_padding, dilation, False, places
            ),
            None,
            None,
        )


def _avg_pool(x: Tensor) -> Tensor:
    """Return ``F.avg_pool2d(x, 2)``, which is slow for contiguous maps on the CPU."""
    if x.device.type != "cpu" or not x.is_contiguous():
        return F.avg_pool2d(x, 2)
    x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
    pairs = x[:, :, ::2] + x[:, :, 1::2]  # (N, C, H/2, W)
    return (pairs[..., ::2] + pairs[..., 1::2]).mul_(0.25)  # (N, C, H/2, W/2)


def _in_layout_of(x: Tensor, y: Tensor) -> Tensor:
    """Return ``y`` in the memory format of ``x``: operations on two formats are slow."""
    with contextlib.suppress(RuntimeError):  # batched gradients, as of a Jacobian, have no memory format
        return y.contiguous(memory_format=torch.contiguous_format if x.is_contiguous() else torch.channels_last)
    return y


def gram(features: Tensor, divisor: float) -> Tensor:
    """Return the Gram matrices of ``features`` (N, C, H, W) over ``divisor``: (N, C, C), float32."""
    return cast(Tensor, _Gram.apply(features, divisor))


class _Gram(torch.autograd.Function):
    """``losses.plain_gram`` without a float32 copy of all activations.

    Early layers have a few channels and very many positions, a shape for which matrix products are slow. Forward, the
    product is a sum over pieces of positions; backward, dL/dF = (S + S^T) F / divisor is a 1 x 1 convolution.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(features: Tensor, divisor: float) -> Tensor:
        n, c, h, w = features.shape
        positions = features.flatten(2).transpose(1, 2)  # (N, H*W, C), a view
        if (
            features.dtype == torch.bfloat16
            and c >= 32  # with fewer channels the pieces below are faster
            and features.device.type == "cpu"
            and has_bfloat16(features.device)
        ):
            return _gram_in_bfloat16(positions) / divisor
        piece = h * w if features.is_cuda else max(1, GRAM_PIECE // c)
        out = features.new_zeros((n, c, c), dtype=torch.promote_types(features.dtype, torch.float32))
        for part in torch.split(positions, piece, dim=1):
            part = part.to(out.dtype)
            out.baddbmm_(part.transpose(1, 2), part)
        return out / divisor

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], result: Tensor) -> None:
        features, ctx.divisor = inputs
        ctx.save_for_backward(features)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (features,) = ctx.saved_tensors
        both = ((grad + grad.transpose(1, 2)) / ctx.divisor).to(features.dtype)  # (N, C, C)
        if features.is_contiguous():
            return torch.bmm(both, features.flatten(2)).view_as(features), None
        if len(features) == 1:
            return F.conv2d(features, both[0, :, :, None, None]), None
        return torch.einsum("nij,njhw->nihw", both, features), None


def _gram_in_bfloat16(positions: Tensor) -> Tensor:
    """Return the products (N, C, C) of ``positions`` (N, H*W, C) from two bfloat16 products, nearly exact.

    Each sums in float32 and rounds once: the first gives the product, the second what rounding took from it.
    """
    columns = positions.transpose(1, 2)  # (N, C, H*W)
    rounded = torch.bmm(columns, positions)
    return rounded.float() + torch.baddbmm(rounded, columns, positions, beta=-1)
