"""Questions and exercises of lesson 02."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...losses import content_loss, total_variation
from ...vgg import VGGFeatures
from ..grading import describe_value
from .kinds import Choice, Number, Program, Task

Read = Callable[..., dict[str, Tensor]]
"""Takes images (N, 3, H, W) and names of layers; returns activations by name, as ``VGGFeatures`` does."""


# --- the loop ------------------------------------------------------------------------------------------


def rebuild(photo: Tensor, layer: str, features: Read, steps: int, rate: float = 0.05) -> Tensor:
    """Return a picture whose activations in a layer resemble the photo's: Adam on the pixels, from uniform noise.

    Args:
        photo: The photo, (1, 3, H, W).
        layer: Name of the layer.
        features: The network.
        steps: Number of steps of Adam.
        rate: Learning rate of Adam.

    Returns:
        The picture after the last step, (1, 3, H, W) in [0, 1].
    """
    with torch.no_grad():
        target = features(photo, [layer])[layer]  # (1, C, h, w)
    x = torch.rand_like(photo).requires_grad_()
    return _descend(x, target, layer, features, steps, rate, prior=0.0)


def rebuild_with_prior(
    target: Tensor, layer: str, features: Read, shape: tuple[int, ...], steps: int, prior: float = 2.0
) -> Tensor:
    """Return a picture with given activations in a layer, from gray, with a total variation added to the loss.

    Args:
        target: Activations, (1, C, h, w).
        layer: Name of the layer.
        features: The network.
        shape: Shape of the picture, (1, 3, H, W).
        steps: Number of steps of Adam.
        prior: Weight of the total variation; the content loss is relative.

    Returns:
        The picture after the last step, (1, 3, H, W) in [0, 1].
    """
    x = torch.full(shape, 0.5, device=target.device).requires_grad_()
    return _descend(x, target, layer, features, steps, 0.05, prior)


def _descend(x: Tensor, target: Tensor, layer: str, features: Read, steps: int, rate: float, prior: float) -> Tensor:
    optimizer = torch.optim.Adam([x], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        found = features(x, [layer])[layer]
        loss = content_loss(found, target, "relative") + prior * total_variation(x)
        loss.sum().backward()
        optimizer.step()
        with torch.no_grad():
            x.clamp_(0, 1)
    return x.detach()


class _Spy:
    """A small network that is called like ``VGGFeatures`` and keeps what it is called with.

    Its weights require gradients, unlike those of ``VGGFeatures``, so that activations that are not detached show.

    Attributes:
        seen: The pictures of all calls, copied, and whether each required a gradient.
        asked: The layers that were asked for.
    """

    def __init__(self, seed: int = 0) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = nn.Conv2d(3, 12, 3, padding=1)
            self.second = nn.Conv2d(12, 16, 3, padding=1)
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self.seen: list[tuple[Tensor, bool]] = []
        self.asked: set[str] = set()

    def __call__(self, images: Tensor, layers: str | Iterable[str]) -> dict[str, Tensor]:
        names = [layers] if isinstance(layers, str) else list(layers)
        self.seen.append((images.detach().clone(), images.requires_grad and torch.is_grad_enabled()))
        self.asked |= set(names)
        first = F.relu(self.first(images - 0.45))
        maps = {"early": first, "late": self.second(F.avg_pool2d(first, 2, ceil_mode=True))}
        return {name: maps[name] for name in names}

    def quietly(self, images: Tensor, layer: str) -> Tensor:
        """Return activations without a record of the call."""
        count, asked = len(self.seen), set(self.asked)
        with torch.no_grad():
            maps = self(images, [layer])[layer]
        del self.seen[count:]
        self.asked = asked
        return maps

    def weights(self) -> Tensor:
        """Return a copy of all weights."""
        return torch.cat([p.detach().flatten().clone() for m in (self.first, self.second) for p in m.parameters()])


@dataclass(frozen=True)
class _Case:
    """Arguments with which the student's loop is called."""

    size: tuple[int, int]
    layer: str
    steps: int
    rate: float | None


CASES = (
    _Case((14, 18), "early", 60, 0.04),
    _Case((12, 11), "late", 7, 0.1),
    _Case((10, 14), "early", 1, 0.05),
    _Case((12, 12), "late", 12, None),
)


def smooth_photo(size: tuple[int, int], seed: int) -> Tensor:
    """Return a smooth random picture (1, 3, H, W) that uses the whole range [0, 1]."""
    small = torch.rand((1, 3, 4, 4), generator=torch.Generator().manual_seed(seed))
    x = F.interpolate(small, size, mode="bicubic")
    return ((x - x.min()) / (x.max() - x.min())).clone()


def check_loop(function: Callable[..., Any]) -> str | None:
    """Return what is wrong with a student's reconstruction loop, or None."""
    for seed, case in enumerate(CASES):
        photo, spy = smooth_photo(case.size, seed), _Spy(seed)
        untouched, weights = photo.clone(), spy.weights()
        given = () if case.rate is None else (case.rate,)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                result = function(photo, case.layer, spy, case.steps, *given)
            except Exception as error:
                fault = _explained(error, spy, case)
                if fault is None:
                    raise
                return fault
        if not isinstance(result, Tensor):
            return f"it returns {describe_value(result)}; a picture, that is a tensor, is expected."
        if result.shape != photo.shape:
            return f"the shape of the result is {tuple(result.shape)}; the photo's is {tuple(photo.shape)}."
        if not torch.equal(photo, untouched):
            return "it changes the photo that it is given."
        if photo.requires_grad:
            return "the photo requires a gradient after the call; the pixels to optimize are those of another tensor."
        if not torch.equal(spy.weights(), weights):
            return "it changes the weights of the network; only the pixels are optimized."
        fault = _calls_fault(spy, photo, case) or _result_fault(result, spy, photo, case)
        if fault:
            return fault
    return None


def _explained(error: Exception, spy: _Spy, case: _Case) -> str | None:
    """Return a sentence about two errors that PyTorch explains badly, else None."""
    if "through the graph a second time" in str(error):
        return (
            "the loss of the second step depends on the graph of the first: is the target a constant without a "
            "gradient, and is the picture still the tensor that the optimizer holds, and not the output of a clamp?"
        )
    wrong = spy.asked - {"early", "late"}
    if wrong:
        return f"it asks the network for {', '.join(sorted(wrong))}, but the argument 'layer' is {case.layer!r}."
    return None


def _calls_fault(spy: _Spy, photo: Tensor, case: _Case) -> str | None:
    """Return what is wrong with the calls of the network, or None."""
    if not spy.seen:
        return "it never calls 'features', the network that is passed to it."
    if spy.asked != {case.layer}:
        return f"it asks for the layers {', '.join(sorted(spy.asked))}, but the argument 'layer' is {case.layer!r}."
    of_photo = sum(x.shape == photo.shape and torch.equal(x, photo) for x, _ in spy.seen)
    moving = [x for x, with_gradient in spy.seen if with_gradient]
    if moving and torch.equal(moving[0], photo):
        return "the run starts from the photo; noise is wanted."
    if not of_photo:
        return "the network is never called with the photo that is passed; where does the target come from?"
    if of_photo > 1:
        return f"the photo's activations are computed {of_photo} times; they never change, so once is enough."
    if not moving:
        return "no gradient is recorded when the network is called with the picture; does the picture require one?"
    if len(moving) != case.steps:
        return f"with steps = {case.steps} the picture goes through the network {len(moving)} times with a gradient."
    return _start_fault(moving[0], photo) or _moves_fault(moving, spy, photo, case)


def _start_fault(start: Tensor, photo: Tensor) -> str | None:
    if start.shape != photo.shape:
        return f"the picture that goes through the network has the shape {tuple(start.shape)}, not the photo's."
    if start.min() < 0 or start.max() > 1:
        return "the first picture has values outside [0, 1]."
    if start.std() < 0.02:
        return "the first picture has one color; noise is wanted."
    rows = torch.corrcoef(torch.stack([start[..., 1:].flatten(), start[..., :-1].flatten()]))[0, 1]
    if rows > 0.5:
        return "in the first picture neighboring pixels are alike, so it is not noise; is it made from the photo?"
    at_the_ends = ((start == 0) | (start == 1)).float().mean()
    if start.numel() > 600 and (at_the_ends > 0.02 or not 0.25 < start.std() < 0.33):
        return "the values of the first picture are not distributed uniformly over [0, 1]."
    return None


def _moves_fault(moving: list[Tensor], spy: _Spy, photo: Tensor, case: _Case) -> str | None:
    """Return what is wrong with the way of the picture through the steps, or None."""
    if case.steps > 1 and torch.equal(moving[0], moving[-1]):
        return "the picture that goes through the network never changes; does the optimizer hold it, and make steps?"
    if min(x.min().item() for x in moving) < 0 or max(x.max().item() for x in moving) > 1:
        return "pixels leave the range [0, 1] on the way."
    if case.steps < 7:
        return None
    if case.rate is not None:
        first = (moving[1] - moving[0]).abs().max().item()
        if not 0.9 < first / case.rate < 1.1:
            return f"the first step moves pixels by up to {first:.2g}, which does not fit Adam with this 'rate'."
    ways = {name: _way(moving[0], photo, spy, case, name) for name in ("", *_MISTAKES)}
    right = _apart(moving[5], ways[""])
    for name, sentence in _MISTAKES.items():
        if _apart(moving[5], ways[name]) < 1e-3 < 5e-3 < right:
            return sentence
    if right > WAY_TOLERANCE:
        return "the pixels do not move as the content loss moves them; is it the only term, and is its power right?"
    return None


WAY_TOLERANCE = 0.006
"""How far pixels may be, on average, after five steps from where the relative content loss moves them; other forms of
the squared distance differ by rounding only (below 0.001 in the tests), the absolute distance by 0.04."""

_MISTAKES = {
    "no zero_grad": "gradients of earlier steps are still added to that of the present one.",
    "new optimizer": "a new optimizer is made in every step, so that Adam loses its running averages.",
    "ascent": "the loss rises: the pixels move along the gradient, away from the target.",
}


def _apart(a: Tensor, b: Tensor) -> float:
    return (a - b).abs().mean().item()


def _way(start: Tensor, photo: Tensor, spy: _Spy, case: _Case, mistake: str) -> Tensor:
    """Return the sixth picture of a run from ``start`` with one mistake, or with none."""
    target = spy.quietly(photo, case.layer)
    x = start.clone().requires_grad_()
    rate = 0.05 if case.rate is None else case.rate
    optimizer = torch.optim.Adam([x], lr=rate)
    count = len(spy.seen)
    for _ in range(5):
        if mistake == "new optimizer":
            optimizer = torch.optim.Adam([x], lr=rate)
        if mistake != "no zero_grad":
            optimizer.zero_grad()
        loss = content_loss(spy(x, [case.layer])[case.layer], target, "relative").sum()
        (-loss if mistake == "ascent" else loss).backward()
        optimizer.step()
        with torch.no_grad():
            x.clamp_(0, 1)
    del spy.seen[count:]
    return x.detach()


def _result_fault(result: Tensor, spy: _Spy, photo: Tensor, case: _Case) -> str | None:
    """Return what is wrong with the picture that is returned, or None."""
    if result.requires_grad:
        return "the result still carries a gradient; return a picture without it."
    if not torch.isfinite(result).all() or result.min() < 0 or result.max() > 1:
        return "the result has values outside [0, 1]; a step was made after the last time that it was clamped."
    if torch.equal(result, photo):
        return "it returns the photo itself."
    moving = [x for x, with_gradient in spy.seen if with_gradient]
    if torch.equal(result, moving[-1]):
        return "the last step does not change the result; is it copied before that step, or is a step missing?"
    rate = 0.05 if case.rate is None else case.rate
    if (result - moving[-1]).abs().max() > 4 * rate:
        return "it returns another picture than the one that went through the loop."
    target = spy.quietly(photo, case.layer)
    start, end = (content_loss(spy.quietly(x, case.layer), target, "relative").item() for x in (moving[0], result))
    if case.steps >= 12 and end > start / 2:
        return f"after {case.steps} steps the content loss is {end / start:.0%} of the first; it falls too little."
    if case.steps >= 60 and end > 0.02 * start:
        return f"after {case.steps} steps the content loss is still {end / start:.0%} of the first."
    return None


# --- a better picture from the same activations --------------------------------------------------------

BETTER_LAYER = "relu3_1"
BETTER_STEPS = 60
BETTER_GAIN = 1.5
"""Decibels by which the picture must be nearer to the photo than the bare loop's."""

BETTER_LOSS = 0.15
"""The largest accepted content loss, relative to the target's sum of squares."""


@cache
def _network() -> VGGFeatures:
    return VGGFeatures(weights="compact", pooling="avg", precision="float32")


def _hidden_photos() -> list[Tensor]:
    """Return two photos that the student's function is not shown."""
    from ...data import gallery

    coffee, cat = gallery.content("coffee", 128), gallery.content("chelsea", 128)
    return [coffee[..., 8:56, 24:72].flip(3), cat[..., 12:60, 30:78]]


def psnr(a: Tensor, b: Tensor) -> float:
    """Return the peak signal-to-noise ratio of two pictures with values in [0, 1], in decibels."""
    return -10 * (a.double() - b.double()).square().mean().clamp_min(1e-12).log10().item()


@cache
def _bare(index: int) -> tuple[Tensor, Tensor, float]:
    """Return a hidden photo, its activations and the PSNR of the loop without a prior."""
    photo, features = _hidden_photos()[index], _network()
    with torch.no_grad():
        target = features(photo, [BETTER_LAYER])[BETTER_LAYER]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(index)
        result = rebuild(photo, BETTER_LAYER, features, BETTER_STEPS)
    return photo, target, psnr(result, photo)


class _Counted:
    """A network that counts its calls with a picture that requires a gradient.

    Attributes:
        calls: Their number.
    """

    def __init__(self, features: Read) -> None:
        self.features, self.calls = features, 0

    def __call__(self, images: Tensor, layers: str | Iterable[str]) -> dict[str, Tensor]:
        self.calls += images.requires_grad and torch.is_grad_enabled()
        return self.features(images, layers)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.features, name)


def check_better(function: Callable[..., Any]) -> str | None:
    """Return what is wrong with a student's function that makes a picture from activations, or None."""
    features = _network()
    for index in range(2):
        photo, target, bare = _bare(index)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(10 + index)
            counted = _Counted(features)
            result = function(target.clone(), BETTER_LAYER, counted, tuple(photo.shape), BETTER_STEPS)
        if counted.calls > BETTER_STEPS:
            return f"with steps = {BETTER_STEPS} it calls the network {counted.calls} times with a gradient."
        if not isinstance(result, Tensor):
            return f"it returns {describe_value(result)}; a picture, that is a tensor, is expected."
        if result.shape != photo.shape:
            return f"the shape of the result is {tuple(result.shape)}; the argument 'shape' is {tuple(photo.shape)}."
        if result.requires_grad:
            return "the result still carries a gradient; return a picture without it."
        if not torch.isfinite(result).all() or result.min() < 0 or result.max() > 1:
            return "the result has values outside [0, 1]."
        with torch.no_grad():
            loss = content_loss(features(result.float(), [BETTER_LAYER])[BETTER_LAYER], target, "relative").item()
        if loss > BETTER_LOSS:
            return f"its activations are not those of the target: the relative content loss is {loss:.2f}."
        gain = psnr(result, photo) - bare
        if gain < BETTER_GAIN:
            return f"on a photo of ours it is {gain:+.1f} dB against the loop without a prior; the task asks for more."
    return None


def most_directions(*shapes: tuple[int, ...]) -> float:
    """Return the largest rank of the Jacobian of the last of some layers for a patch of 3 x 16 x 16 values."""
    return float(min(3 * 16 * 16, *(math.prod(shape) for shape in shapes)))


TASKS: tuple[Task, ...] = (
    Choice(
        name="first reconstruction",
        keys=("112244f0d41f",),
        remarks={
            "a": "look at the suit and at the flag: they have colors.",
            "b": "Edges and colors come back soon; a part of the noise of the start remains.",
            "c": "enlarge the last picture and look at the background: is it smooth, as in a photo?",
        },
        hints=("Compare the background with the suit in the last of the three pictures.",),
    ),
    Program(
        name="reconstruct_from_layer",
        test=check_loop,
        seconds=20.0,
        hints=(
            "The target comes first: the photo's activations. It is a constant. Then the picture, from noise.",
            "The optimizer is made once, before the loop, and gets a list with the tensor whose values it changes.",
            "In each step: forget the old gradients, call the network with the picture, compute the loss, go backward, "
            "make a step, clamp without recording a gradient.",
        ),
        why="The picture starts as noise, every step lowers the loss, and the pixels stay in [0, 1].",
    ),
    Choice(
        name="what comes back from conv4_1",
        keys=("6c035a415fc0",),
        remarks={
            "a": "look at the outline of the suit, or at the badge: are there no edges?",
            "b": "look at the face: would you recognize her?",
            "c": "Suit, badge, shuttle and helmet are where they were; the face is a face, but not hers.",
        },
        hints=("Look at the edges first, then at the face.",),
    ),
    Choice(
        name="nearest for conv5_1",
        keys=("3b6a9e920ee6",),
        remarks={
            "noise": "for us this picture is near the photo; compare the lengths of the bars.",
            "blur": "for us this picture is near the photo; compare the lengths of the bars.",
            "reconstruction": "For us it is the worst of the three; the layer hardly responds to the difference.",
        },
        hints=("What did the optimizer minimize, and for which of the pictures?",),
    ),
    Number(
        name="directions of conv4_1",
        reference=most_directions,
        tolerance=0.5,
        hints=(
            "A matrix has at most as many nonzero singular values as it has rows, and as it has columns.",
            "The matrix is a product: one factor for each layer on the way. What does that mean for its rank?",
            "Multiply the three sides of each shape in the table.",
        ),
        why="The narrowest layer on the way limits the number of directions.",
    ),
    Choice(
        name="where the prior helps least",
        keys=("0461ed8f3922",),
        remarks={
            "a": "good is not perfect: compare the two lines there.",
            "b": "compare the two lines there: how far apart are they?",
            "c": "The prior chooses among the pictures that the activations leave possible; it cannot know the photo.",
        },
        hints=("Find the place where the two lines of the figure are nearest to each other.",),
    ),
    Choice(
        name="layer for the content",
        keys=("d97c4893b2d4",),
        remarks={
            "conv2_1": "both runs end with nearly the same pixels; what would be left to repaint?",
            "conv4_1": "The arrangement of the photo is kept, and the pixels of the two runs differ.",
            "conv5_1": "the pixels are free, but compare the columns about the arrangement.",
        },
        hints=("Which rows have a low PSNR in the first column? Of these, which has the higher arrangement?",),
    ),
    Program(
        name="a better picture from activations",
        test=check_better,
        seconds=90.0,
        hints=(
            "Begin with your loop: it has all the parts except for the target, which you are given.",
            "Section 5 shows two ways to a picture without grain: another term in the loss, and another start.",
            "Print both terms of your loss at the first and at the last step, and choose the weight so that neither of "
            "the two outweighs the other from the beginning.",
        ),
        why="It also works for photos that you have never seen.",
    ),
)
