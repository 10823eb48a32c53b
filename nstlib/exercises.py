"""The exercises that the checks know: inputs, the right function, and what known mistakes look like."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .losses import content_loss, gram_matrix, total_variation
from .reference import Exercise


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
        positions = "it compares positions with positions (HW x HW); transpose it: channels with channels (C x C)."
        one = "a batch must stay a batch, with one matrix for each picture"
        return {
            (n, h * w, h * w): positions,
            (h * w, h * w): positions,
            (c, c): f"the pictures of the batch are added up or left out; {one}.",
            (n * c, n * c): f"it mixes the pictures of the batch, as view(N * C, H * W) does; {one}.",
            (n, c, h, h): "rows with rows inside each channel; write each channel as one long row first.",
            (n, c, w, w): "columns with columns inside each channel; write each channel as one long row first.",
            (n, c, h, w): "that is the input's shape: a matrix product (@) is wanted, not a product with *.",
            (n, c): "a number for each channel; all pairs of channels are wanted.",
            (n, c, h * w): "the rows are there; their product with themselves, transposed, is missing.",
        }

    def scales(x: Tensor) -> list[tuple[float, str]]:
        n, c, h, w = x.shape
        used = [
            (1, "it divides by nothing"),
            (h * w, "it divides by H*W"),
            (c * h * w, "it divides by C*H*W"),
            (n * c * h * w, "it divides by N*C*H*W"),
            (n * h * w, "it divides by N*H*W"),
            (c, "it divides by C only"),
            (h, "it divides by H only"),
            (w, "it divides by W only"),
            (n, "it divides by N, the batch"),
            (c * c, "it divides by C*C, as a mean over the matrix does"),
            (h * w - 1, "it divides by H*W - 1, as a covariance does"),
            (c * c * h * w, "it divides by C*C*H*W"),
            ((h * w) ** 2, "it divides by H*W twice"),
            ((h * w) ** 0.5, "it divides by the root of H*W"),
        ]
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


def shifted_gram(features: Tensor, down: int, right: int) -> Tensor:
    """Products of channel i at a position with channel j ``down`` and ``right`` of it, as a mean: (N, C, C).

    Berger and Memisevic 2017; pairs that would reach over the border do not count, and (0, 0) is the Gram matrix.
    """
    h, w = features.shape[2:]
    here, there = features[:, :, : h - down, : w - right], features[:, :, down:, right:]
    return here.flatten(2) @ there.flatten(2).transpose(1, 2) / here[0, 0].numel()


def shifted_gram_exercise(down: int, right: int) -> Exercise:
    """Shifted Gram matrices (N, C, C) of activations (N, C, H, W)."""

    def wrapped(x: Tensor) -> Tensor:
        return x.flatten(2) @ x.roll((-down, -right), (2, 3)).flatten(2).transpose(1, 2) / x[0, 0].numel()

    def scales(x: Tensor) -> list[tuple[float, str]]:
        pairs, over = (x.shape[2] - down) * (x.shape[3] - right), "divide by the pairs that there are"
        return [(pairs, f"it divides by nothing; {over}."), (pairs / x[0, 0].numel(), f"it divides by H*W; {over}.")]

    mistakes = [
        ("nothing is shifted: that is the Gram matrix itself.", lambda x: gram_matrix(x)),
        ("down and right are swapped; dimension 2 goes down, 3 to the right.", lambda x: shifted_gram(x, right, down)),
        ("i and j are swapped: the second factor is the one that lies further down and right.",
         lambda x: shifted_gram(x, down, right).transpose(1, 2)),
        ("the border wraps round, as with torch.roll; use slices.", wrapped),
    ]  # fmt: skip
    inputs = [_random(2, 3, 4, 5), _random(1, 6, 5, 4)]
    return Exercise(lambda x: shifted_gram(x, down, right), inputs, gram_exercise("hw").shapes, scales, mistakes)


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
        wanted = {"sum": "the sum", "mean": "the mean", "relative": "the sum over the target's own"}[reduction]
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


def gradient_exercise() -> Exercise:
    """The gradient of the content loss through a ReLU (Gatys 2016, eq. 2)."""

    def inputs(*shape: int) -> Callable[[torch.Generator], tuple[Tensor, ...]]:
        def make(g: torch.Generator) -> tuple[Tensor, ...]:
            before, target = torch.randn(shape, generator=g), torch.randn(shape, generator=g).relu()
            before[..., :1] = 0  # at the bend itself
            return before, target

        return make

    def scales(b: Tensor, p: Tensor) -> list[tuple[float, str]]:
        return [(2.0, "it is twice what is wanted; the 1/2 in the loss takes the 2 of the square away."),
                (-1.0, "the sign is wrong: the gradient points to where the loss grows."),
                (1 / b.numel(), "it is divided by the number of elements; the loss is a sum, not a mean.")]  # fmt: skip

    mistakes = [
        ("where the ReLU is shut, a small change before it changes nothing; what is the gradient there?",
         lambda b, p: b.relu() - p),
        ("this is for a layer without ReLU: F is relu(before).", lambda b, p: b - p),
        ("at the bend itself, before = 0, PyTorch takes the gradient 0, as in > and not in >=.",
         lambda b, p: (b.relu() - p) * (b >= 0)),
        ("it lets through where the target is positive; the ReLU looks at its own input.",
         lambda b, p: (b.relu() - p) * (p > 0)),
        ("this is the loss of every element; its gradient is wanted.", lambda b, p: 0.5 * (b.relu() - p).square()),
    ]  # fmt: skip
    return Exercise(
        lambda b, p: (b.relu() - p) * (b > 0),
        [inputs(2, 3, 4, 5), inputs(1, 4, 6, 3)],
        lambda b, p: {},
        scales,
        mistakes,
    )


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


# --- normalisation -----------------------------------------------------------------------------------


def instance_norm_exercise() -> Exercise:
    """Instance normalisation of activations, without scale and shift, with an epsilon of 1e-5 under the root."""

    def normed(*over: int, correction: int = 0, root: bool = True) -> Callable[[Tensor], Tensor]:
        def f(x: Tensor) -> Tensor:
            variance = x.var(over, correction=correction, keepdim=True) + 1e-5
            return (x - x.mean(over, keepdim=True)) / (variance.sqrt() if root else variance)

        return f

    def inputs(*shape: int) -> Callable[[torch.Generator], tuple[Tensor, ...]]:
        def make(g: torch.Generator) -> tuple[Tensor, ...]:
            x = torch.randn(shape, generator=g) * 3 + 1
            x[0, 0] = 0.5  # a map in which nothing happens
            return (x,)

        return make

    batch = "mean and variance are those of the whole batch, which is batch normalisation; keep dimension 0 apart."
    mistakes = [
        (batch, normed(0, 2, 3)),
        ("all channels share a mean and a variance (layer normalisation); each map has its own.", normed(1, 2, 3)),
        ("each position is normalised over its channels; reduce the last two dimensions.", normed(1)),
        ("each row is normalised alone; reduce both of the last two dimensions.", normed(3)),
        ("the variance is divided by H*W - 1, as torch.var does unless told; here by H*W.", normed(2, 3, correction=1)),
        ("it divides by the variance; divide by its root.", normed(2, 3, root=False)),
        ("the mean is taken away, but nothing is divided.", lambda x: x - x.mean((2, 3), keepdim=True)),
        ("the mean is still there.", lambda x: x / (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()),
    ]
    return Exercise(normed(2, 3), [inputs(2, 3, 4, 8), inputs(1, 4, 8, 2)], lambda x: {}, lambda x: [], mistakes)
