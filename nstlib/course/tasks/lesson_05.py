"""Questions and exercises of lesson 05."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ...losses import content_loss, gram_matrix, style_loss, total_variation
from ..grading import NO_RESULT, Exercise, Mistake, describe_value
from .kinds import Choice, Program, Task

Read = Callable[[Tensor, Iterable[str]], dict[str, Tensor]]
Total = Callable[[Tensor], Tensor]


# --- reading the layers --------------------------------------------------------------------------------


def read_layers(network: nn.Sequential, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
    """Return the activations of the named modules of a network for images (N, 3, H, W), by name."""
    wanted, found = set(layers), {}
    for name, module in network.named_children():
        x = module(x)
        if name in wanted:
            found[name] = x
    return found


def _small_network(seed: int = 0) -> nn.Sequential:
    """Return a network of six named modules, in which a layer is not where its name is in the alphabet."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        modules = {
            "first": nn.Conv2d(3, 6, 3, padding=1),
            "bend": nn.ReLU(),
            "shrink": nn.AvgPool2d(2),
            "again": nn.Conv2d(6, 5, 3, padding=1),
            "bend_again": nn.ReLU(),
            "deep": nn.Conv2d(5, 7, 3, padding=1),
        }
    network = nn.Sequential()
    for name, module in modules.items():
        network.add_module(name, module.requires_grad_(False))
    return network


def _pictures(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-4, atol=1e-5 * b.abs().max().item() or 1e-7)


READINGS = (
    ((2, 3, 8, 12), ("bend", "deep")),
    ((1, 3, 9, 7), ("bend_again", "first", "shrink")),
    ((1, 3, 6, 6), ("deep",)),
)
"""Shapes of pictures, and the layers that are asked for, not always in the network's order."""


def check_reading(function: Callable[..., Any]) -> str | None:
    """Return what is wrong with a student's function that reads the layers of a network, or None."""
    network = _small_network()
    for seed, (shape, layers) in enumerate(READINGS):
        x = _pictures(shape, seed).requires_grad_()
        found = function(network, x, list(layers))
        expected = read_layers(network, x, layers)
        if not isinstance(found, Mapping):
            return f"it returns {describe_value(found)}; a dictionary from names to activations is expected."
        fault = _reading_fault(found, expected, layers)
        if fault:
            return fault
        if not torch.equal(x.detach(), _pictures(shape, seed)):
            return "it changes the picture in place."
    if any(module._forward_hooks for module in network.modules()):
        return "its hooks stay in the network after the call, so that each call adds more of them."
    return None


def _reading_fault(found: Mapping[str, object], expected: Mapping[str, Tensor], layers: tuple[str, ...]) -> str | None:
    missing = [name for name in layers if name not in found]
    if missing:
        return f"the layers {', '.join(layers)} were asked for, but {missing[0]} is missing in the result."
    if len(found) > len(layers):
        return "the result contains layers that were not asked for."
    for name in layers:
        value = found[name]
        if not isinstance(value, Tensor):
            return f"the value for {name} is {describe_value(value)}; a tensor is expected."
        if value.shape != expected[name].shape:
            return f"the shape of {name} is {tuple(value.shape)}, which is not the shape of that module's output."
        if not _same(value.detach(), expected[name].detach()):
            others = [n for n, v in expected.items() if n != name and v.shape == value.shape and _same(value, v)]
            reason = f"they are those of {others[0]}" if others else "they may be its input, or come from another input"
            return f"the values of {name} are not the output of that module; {reason}."
        if not value.requires_grad:
            return "the activations have no gradient; leave out detach and no_grad."
    return None


# --- the total loss ------------------------------------------------------------------------------------


def total_loss(
    read: Read,
    x: Tensor,
    content: Mapping[str, Tensor],
    grams: Mapping[str, Tensor],
    alpha: float,
    beta: float,
    gamma: float,
) -> Tensor:
    """Return the total loss (N,) of pictures x (N, 3, H, W).

    Args:
        read: Returns the activations of some layers for pictures.
        x: Pictures in [0, 1].
        content: Target activations by layer.
        grams: Target Gram matrices by layer.
        alpha: Weight of the mean content loss of the content layers.
        beta: Weight of the mean style loss of the style layers.
        gamma: Weight of the total variation.
    """
    return torch.stack(_weighted(_parts(read, x, content, grams), (alpha, beta, gamma))).sum(0)


def _parts(read: Read, x: Tensor, content: Mapping[str, Tensor], grams: Mapping[str, Tensor]) -> list[Tensor]:
    maps = read(x, [*content, *grams])
    contents = [content_loss(maps[name], target, "relative") for name, target in content.items()]
    styles = [style_loss(gram_matrix(maps[name]), target, "relative") for name, target in grams.items()]
    return [torch.stack(contents).mean(0), torch.stack(styles).mean(0), total_variation(x)]


def _weighted(parts: list[Tensor], weights: tuple[float, ...]) -> list[Tensor]:
    return [weight * part for weight, part in zip(weights, parts)]


TOTALS = (
    ((2, 3, 8, 12), ("deep", "shrink"), ("bend", "bend_again", "deep"), (3.0, 70.0, 20.0)),
    ((1, 3, 9, 7), ("bend_again",), ("first", "again"), (500.0, 11.0, 0.5)),
    ((1, 3, 8, 8), ("again",), ("bend", "shrink", "bend_again", "deep"), (0.0, 1e4, 1e3)),
)
"""Shape of the pictures, content layers, style layers, and the weights of each trial."""


def check_total(function: Callable[..., Any]) -> str | None:
    """Return what is wrong with a student's total loss, or None."""
    network = _small_network(seed=3)

    def read(images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        return read_layers(network, images, layers)

    for seed, (shape, content_layers, style_layers, weights) in enumerate(TOTALS):
        x = _pictures(shape, seed).requires_grad_()
        content = read(_pictures((1, *shape[1:]), 10 + seed), content_layers)
        style = read(_pictures((1, 3, 10, 6), 20 + seed), style_layers)
        grams = {name: gram_matrix(maps) for name, maps in style.items()}
        result = function(read, x, content, grams, *weights)
        parts = _parts(read, x, content, grams)
        fault = _total_fault(result, x, parts, weights, len(grams))
        if fault:
            return fault
    return None


def _total_fault(
    result: object, x: Tensor, parts: list[Tensor], weights: tuple[float, float, float], style_layers: int
) -> str | None:
    if not isinstance(result, Tensor):
        return f"it returns {describe_value(result)}; a tensor with one number for each picture is expected."
    weighted = _weighted(parts, weights)
    expected = torch.stack(weighted).sum(0)
    if result.shape != expected.shape:
        return f"the shape is {tuple(result.shape)}; one number for each picture, {tuple(expected.shape)}, is expected."
    if not _same(result.detach(), expected.detach()):
        return _known_total_fault(result.detach(), parts, weights, style_layers)
    if not result.requires_grad:
        return "the loss has no gradient; leave out detach, item and no_grad."
    (gradient,) = torch.autograd.grad(result.sum(), x, allow_unused=True, retain_graph=True)
    (right,) = torch.autograd.grad(expected.sum(), x)
    if gradient is None or not _same(gradient, right):
        return "the values are right, but the gradient is not; is a part of the loss detached?"
    return None


def _known_total_fault(result: Tensor, parts: list[Tensor], weights: tuple[float, float, float], layers: int) -> str:
    content, style, variation = (part.detach() for part in parts)
    alpha, beta, gamma = weights
    known = {
        "the total variation is missing.": (content, style, variation, (alpha, beta, 0)),
        "the style loss is missing.": (content, style, variation, (alpha, 0, gamma)),
        "the content loss is missing.": (content, style, variation, (0, beta, gamma)),
        "the weights of content and style are exchanged.": (content, style, variation, (beta, alpha, gamma)),
        "the weights are not used.": (content, style, variation, (1, 1, 1)),
        "the weights are fixed; use alpha, beta and gamma.": (content, style, variation, (100, 1e4, 1e3)),
        "the total variation has no weight.": (content, style, variation, (alpha, beta, 1)),
        "a style layer counts more than the equation says.": (content, layers * style, variation, weights),
        "a content layer counts more than the equation says.": (2 * content, style, variation, weights),
        "the pictures of the batch are mixed.": (content.mean(), style.mean(), variation.mean(), weights),
        "the pictures of the batch are mixed in the content and the style term.": (
            content.mean(),
            style.mean(),
            variation,
            weights,
        ),
        "the style loss is divided by the number of layers once too often.": (
            content,
            style / layers,
            variation,
            weights,
        ),
        "each style layer counts a fifth, whatever their number is.": (content, layers * style / 5, variation, weights),
    }
    for sentence, (c, s, v, (a, b, g)) in known.items():
        if _same(result, a * c + b * s + g * v):
            return sentence
    return "the value is not the weighted sum of the three terms."


# --- the loop ------------------------------------------------------------------------------------------


def lbfgs_loop(total: Total, start: Tensor, steps: int) -> tuple[Tensor, list[float]]:
    """Return the best picture of a run with L-BFGS and the loss of each evaluation.

    Args:
        total: Takes a picture (1, 3, H, W) and returns its loss, (1,).
        start: The first picture, (1, 3, H, W), in [0, 1]; it is not changed.
        steps: Number of evaluations.
    """
    x = start.clone().requires_grad_()
    lbfgs = torch.optim.LBFGS([x], max_iter=1, history_size=10)
    losses: list[float] = []
    best = start

    def closure() -> Tensor:
        nonlocal best
        lbfgs.zero_grad()
        loss = total(x).sum()
        loss.backward()
        if loss.item() < min(losses, default=math.inf):
            best = x.detach().clone()
        losses.append(loss.item())
        return loss

    for _ in range(steps):
        lbfgs.step(closure)
        with torch.no_grad():
            x.clamp_(0, 1)
    return best, losses


class _Watched:
    """A loss that keeps each picture it is called with.

    Attributes:
        pictures: Copies of the pictures.
        losses: Their losses.
    """

    def __init__(self, loss: Callable[[Tensor, int], Tensor]) -> None:
        self.loss = loss
        self.pictures: list[Tensor] = []
        self.losses: list[float] = []

    def __call__(self, x: Tensor) -> Tensor:
        loss = self.loss(x, len(self.pictures))
        self.pictures.append(x.detach().clone())
        self.losses.append(loss.sum().item())
        return loss


def _bowl(x: Tensor, target: Tensor) -> Tensor:
    """Return a loss (1,) whose curvature differs from pixel to pixel by a factor of 30."""
    curvature = torch.logspace(0, 1.5, x[0].numel()).view(x.shape)
    return (curvature * (x - target) ** 2).flatten(1).sum(1)


def check_loop(function: Callable[..., Any]) -> str | None:
    """Return what is wrong with a student's loop, or None."""
    return _check_best(function) or _check_range(function) or _check_descent(function)


def _run(
    function: Callable[..., Any], watched: _Watched, shape: tuple[int, ...], steps: int
) -> tuple[Tensor, list[float]] | str:
    """Run a student's loop; return the picture and the losses, or a sentence about their form."""
    start = 0.2 + 0.6 * _pictures(shape, 1)
    before = start.clone()
    result = function(watched, start, steps)
    if not torch.equal(start, before):
        return "it changes the first picture, which belongs to the caller; work on a copy."
    if not isinstance(result, tuple) or len(result) != 2:
        return f"it returns {describe_value(result)}; the best picture and the list of losses are expected."
    picture, losses = result
    if picture is None and not losses and not watched.losses:
        return NO_RESULT
    if picture is None and losses:
        return "the first result is None: 'best' was never set; a function within a function needs the word nonlocal."
    if not isinstance(picture, Tensor) or picture.shape != start.shape:
        return "the first result is not a picture of the size of the first one."
    if picture.requires_grad:
        return "the picture that it returns is still part of a graph; detach it."
    if len(watched.losses) != steps:
        return f"total is called {len(watched.losses)} times with steps={steps}; one call per step is expected."
    if not isinstance(losses, list) or not all(isinstance(loss, float) for loss in losses):
        return "the second result is not a list of plain numbers."
    if len(losses) != steps or not all(math.isclose(a, b, rel_tol=1e-5) for a, b in zip(losses, watched.losses)):
        return "the list of losses does not hold the loss of every evaluation, in their order."
    return picture, losses


def _check_best(function: Callable[..., Any]) -> str | None:
    """Let the loss rise after some evaluations, so that neither the last picture nor the one after a step is best."""
    for shape, rises_after, steps in (((1, 3, 5, 4), 6, 14), ((1, 3, 4, 7), 3, 9)):
        target = _pictures(shape, 2)
        later = rises_after

        def loss(x: Tensor, call: int, target: Tensor = target, later: int = later) -> Tensor:
            return _bowl(x, target) + (50.0 if call >= later else 0.0)

        watched = _Watched(loss)
        result = _run(function, watched, shape, steps)
        if isinstance(result, str):
            return result
        picture, _ = result
        best = min(range(steps), key=lambda i: watched.losses[i])
        if torch.allclose(picture, watched.pictures[best], atol=1e-6):
            continue
        if torch.allclose(picture, watched.pictures[-1], atol=1e-6):
            return "it returns the last picture that was evaluated; an earlier one had a smaller loss."
        if best + 1 < steps and torch.allclose(picture, watched.pictures[best + 1], atol=1e-6):
            return "it returns the picture after the step that followed the smallest loss."
        if torch.allclose(picture, watched.pictures[0], atol=1e-6):
            return "it returns the first picture."
        return "the picture that it returns is not the one with the smallest loss; is it a copy, or x itself?"
    return None


def _check_range(function: Callable[..., Any]) -> str | None:
    """Put the smallest loss outside the range of the pixels."""
    shape = (1, 3, 4, 5)
    target = 3 * _pictures(shape, 4) - 1
    watched = _Watched(lambda x, call: _bowl(x, target))
    result = _run(function, watched, shape, 25)
    if isinstance(result, str):
        return result
    if any(picture.min() < -1e-6 or picture.max() > 1 + 1e-6 for picture in watched.pictures):
        return "some pixels leave [0, 1] during the run."
    return None


def _check_descent(function: Callable[..., Any]) -> str | None:
    """Compare the loss with what other optimizers reach: the curvature differs between pixels."""
    shape = (1, 3, 6, 5)
    target = 0.2 + 0.6 * _pictures(shape, 5)
    watched = _Watched(lambda x, call: _bowl(x, target))
    result = _run(function, watched, shape, 40)
    if isinstance(result, str):
        return result
    ratio = min(result[1]) / result[1][0]
    if ratio > 0.99:
        return "the loss does not fall; does the optimizer receive a gradient and make its step?"
    if max(result[1][1:]) > 3 * result[1][0]:
        return "the loss rises above its first value; are the gradients of earlier evaluations removed?"
    if ratio > 1e-6:
        return "the loss falls, but much more slowly than with L-BFGS; is its memory lost, or are gradients added up?"
    return None


# --- a weight for a given content loss -----------------------------------------------------------------


def find_weight(measure: Callable[[float], float], goal: float, low: float, high: float, tries: int = 12) -> float:
    """Return a content weight at which the measured content loss is near a goal, by halving in the logarithm.

    Args:
        measure: Returns the content loss for a content weight; it falls where the weight rises.
        goal: The wanted content loss.
        low: Smallest weight.
        high: Largest weight.
        tries: Number of measurements.
    """
    middle = math.sqrt(low * high)
    for _ in range(tries):
        middle = math.sqrt(low * high)
        if measure(middle) > goal:
            low = middle
        else:
            high = middle
    return middle


def _power(weight: float) -> float:
    return 2 / (1 + weight / 40) ** 0.5


def _logistic(weight: float) -> float:
    return 1 / (1 + (weight / 9_000) ** 0.8)


def _shallow(weight: float) -> float:
    return 0.9 - 0.06 * math.log10(weight)


GOALS: tuple[tuple[Callable[[float], float], float, float, float], ...] = (
    (_power, 0.3, 1.0, 1e6),
    (_logistic, 0.6, 1.0, 1e6),
    (_shallow, 0.75, 1e-2, 1e4),
    (_power, 1.9, 1e-1, 1e5),
)
"""What is measured, the goal, and the range of weights."""


def check_weight(function: Callable[..., Any]) -> str | None:
    """Return what is wrong with a student's search for a weight, or None."""
    for curve, goal, low, high in GOALS:
        asked: list[float] = []

        def measure(weight: float, curve: Callable[[float], float] = curve, asked: list[float] = asked) -> float:
            asked.append(float(weight))
            if len(asked) > 200:
                raise RuntimeError("more than 200 measurements")
            return curve(max(float(weight), 1e-9))

        result = function(measure, goal, low, high, 12)
        if isinstance(result, bool) or not isinstance(result, (int, float)):
            return f"it returns {describe_value(result)}; the weight, a number, is expected."
        fault = _weight_fault(float(result), asked, curve, goal, (low, high))
        if fault:
            return fault
    return _endless_fault(function)


def _endless_fault(function: Callable[..., Any]) -> str | None:
    """Return what is wrong with a search for a goal that no weight meets, or None."""
    asked: list[float] = []

    def jump(weight: float) -> float:
        asked.append(weight)
        if len(asked) > 200:
            raise RuntimeError("more than 200 measurements")
        return 2.0 if weight < 300 else 0.5

    function(jump, 1.0, 1.0, 1e5, 9)
    if len(asked) > 9:
        return f"if no weight meets the goal, it measures {len(asked)} times with tries=9."
    return None


def _weight_fault(
    weight: float, asked: list[float], curve: Callable[[float], float], goal: float, limits: tuple[float, float]
) -> str | None:
    low, high = limits
    if not asked:
        return "nothing is measured."
    if len(asked) > 12:
        return f"it measures {len(asked)} times with tries=12, and each measurement is a whole run."
    if any(not 0.999 * low <= w <= 1.001 * high for w in [*asked, weight]):
        return "it leaves the range from low to high."
    loss = curve(weight)
    if abs(loss / goal - 1) <= 0.03:
        return None
    steps = [b - a for a, b in pairwise(asked)]
    if len(steps) > 2 and all(math.isclose(abs(b / a), 0.5, rel_tol=1e-2) for a, b in pairwise(steps) if a):
        return (
            f"the range {low:g} to {high:g} spans many powers of ten, and halving the difference of its ends "
            f"leaves the small weights out: with goal {goal:g} the loss is {loss:.3g}."
        )
    direction = "above" if loss > goal else "below"
    return f"with the goal {goal:g} the loss at its weight is {loss:.3g}, {direction} the goal."


# --- the step of report 002 ----------------------------------------------------------------------------


def signed_step(x: Tensor, gradient: Tensor, epsilon: float) -> Tensor:
    """Return x - epsilon sign(gradient), kept in [0, 1]: the update of report 002."""
    return (x - epsilon * gradient.sign()).clamp(0, 1)


def _step_inputs(shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
    x, gradient = torch.rand(shape, generator=generator), torch.randn(shape, generator=generator)
    gradient[..., :1] = 0  # where the sign is 0
    return x, gradient


SIGNED_STEP = Exercise(
    name="signed step",
    reference=signed_step,
    make_inputs=_step_inputs,
    shapes=[(2, 3, 4, 5), (1, 3, 6, 3)],
    extra_arguments=((0.02,), (0.3,), (1.5,)),
    scales=(1e-3,),
    differentiable=False,
    mistakes=[
        Mistake("the pixels go up the gradient, so that the loss rises.", lambda x, g, e: signed_step(x, -g, e)),
        Mistake("it is the step of gradient descent; here every pixel moves equally far.",
                lambda x, g, e: (x - e * g).clamp(0, 1)),
        Mistake("the pixels leave [0, 1].", lambda x, g, e: x - e * g.sign()),
        Mistake("the gradient is scaled to length 1, and its values still differ.",
                lambda x, g, e: (x - e * g / g.norm()).clamp(0, 1)),
        Mistake("where the gradient is 0 the pixel should stay.",
                lambda x, g, e: (x - e * torch.where(g >= 0, 1.0, -1.0).to(x.dtype)).clamp(0, 1)),
        Mistake("where the gradient is 0 the pixel should stay.",
                lambda x, g, e: (x - e * torch.where(g > 0, 1.0, -1.0).to(x.dtype)).clamp(0, 1)),
        Mistake("epsilon is not used.", lambda x, g, e: signed_step(x, g, 1.0)),
        Mistake("the pixels are clamped before the step, not after it.", lambda x, g, e: x.clamp(0, 1) - e * g.sign()),
        Mistake("the picture is unchanged.", lambda x, g, e: x),
    ],
    hints=(
        "torch.sign returns -1, 0 or 1 for each element.",
        "The loss falls against the gradient, so the step is subtracted.",
        "A pixel that would leave the range stops at its end: clamp.",
    ),
)  # fmt: skip


TASKS: tuple[Task, ...] = (
    Choice(
        name="two losses from one start",
        keys=("f6495b3724ab",),
        remarks={
            "a": "compare the last row of the table with the two above it.",
            "b": "compare the last column: what does the third picture have there, and the second?",
            "c": "The third picture is a compromise: it gives up some of each loss.",
        },
        hints=("Read the table by columns.", "Which row has the smallest number in each column?"),
    ),
    Program(
        name="read the layers",
        test=check_reading,
        hints=(
            "network.named_children() yields pairs (name, module), in the order in which data passes through.",
            "Replace x by module(x) in a loop, and keep it where the name is one of those asked for.",
        ),
        why="This is all that an extractor does.",
    ),
    Program(
        name="the total loss",
        test=check_total,
        hints=(
            "Read all layers with one call: read(x, [*content, *grams]).",
            "Each dictionary maps a layer's name to its target; loop over items().",
            "A mean over the layers of a dictionary is their sum divided by its len.",
        ),
        why="One number for each picture, and its gradient reaches every pixel.",
    ),
    Program(
        name="the loop with L-BFGS",
        test=check_loop,
        hints=(
            "The closure clears the gradient, computes the loss, calls backward, and returns the loss.",
            "Compare and copy inside the closure, where the loss and the picture belong together.",
            "x.detach() shares its memory with x; what makes it independent?",
            "The clamp comes after each step, without gradient: with torch.no_grad(), in place.",
        ),
        why="You have written neural style transfer.",
    ),
    Choice(
        name="digits that agree",
        keys=("d1ce9dabb3a2",),
        remarks={
            "a": "look at the right end of the curve.",
            "b": "Rounding differs in the last digit from the start, and every step starts from the last one's error.",
            "c": "look at the left end of the curves.",
        },
        hints=("A relative difference of 1e-6 means about six equal digits.", "Compare both ends of the first curve."),
    ),
    Choice(
        name="forces at the end",
        keys=("01c790b8221e",),
        remarks={
            "a": "then both lines of the first figure would fall like the third; which line does fall?",
            "b": "Their sum is small because they nearly cancel.",
            "c": "then the cosine would be close to 0; look at the second figure.",
        },
        hints=("Read the last point of each line.", "What does a cosine of 0 mean, and what one of -1?"),
    ),
    Choice(
        name="all weights times ten",
        keys=("691904c84c92",),
        remarks={
            "a": "compare the first two rows of the table.",
            "b": "compare the first two rows of the table: are their losses far apart?",
            "c": "A factor in front of the whole loss does not move its minimum.",
        },
        hints=("Put the common factor in front of the whole sum.", "Where is the minimum of 10 f(x), and of f(x)?"),
    ),
    Program(
        name="a weight for a goal",
        test=check_weight,
        hints=(
            "Measure in the middle of the range, and keep the half in which the goal must lie.",
            "Is the loss there too large? Then the weight must become larger.",
            "The middle of 1 and 1,000,000 in powers of ten is 1,000: take the geometric mean.",
        ),
        why="A goal replaces the guess.",
    ),
    Choice(
        name="smallest loss of four starts",
        keys=("666363de50cf",),
        remarks={
            "a": "They keep the content while the style is painted; from noise or gray it must be painted, too.",
            "b": "read the last number of its row and compare it with the others.",
            "c": "compare the largest and the smallest final loss in the table.",
        },
        hints=("Read the column with the last loss.",),
    ),
    SIGNED_STEP,
    Choice(
        name="where the tutorial's picture is farthest",
        keys=("3bd4d19e3ffd",),
        remarks={
            "a": "relu1_1 directly follows one of the tutorial's own style layers; read its line at that layer.",
            "b": "compare the two ends of its line; the axis is logarithmic.",
            "c": "The tutorial's loss contains no layer this deep.",
        },
        hints=("Which of the five layers does the tutorial's loss contain?", "Follow its line from left to right."),
    ),
    Choice(
        name="a painting of another shape",
        keys=("f3dde776ac12",),
        remarks={
            "a": "the size of a Gram matrix comes from the number of channels; see the printed shapes.",
            "b": "Gram matrices are C x C for every picture, and only they are compared.",
            "c": "look at the first column of the table: nothing was resized before the Gram matrix.",
        },
        hints=("Over which dimensions does the Gram matrix sum?", "What is left of H and W after that sum?"),
    ),
)
