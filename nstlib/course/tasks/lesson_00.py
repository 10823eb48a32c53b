"""Questions and exercises of lesson 00."""

from __future__ import annotations

import torch
from torch import Tensor

from ..exercises import two_inputs
from ..grading import Exercise, Mistake
from .kinds import Choice, Task


def moved_pixels(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    """Return a picture after some steps of gradient descent on its squared distance to a target.

    The loss is the sum of (x - target)^2 over all pixels x.

    Args:
        picture: The picture before the first step, (N, 3, H, W).
        target: Where its pixels shall go, (N, 3, H, W).
        rate: Learning rate.
        steps: Number of steps, 0 or more.

    Returns:
        The picture after the last step, (N, 3, H, W).
    """
    x = picture
    for _ in range(steps):
        x = x - rate * 2 * (x - target)
    return x


def _uphill(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    return moved_pixels(picture, target, -rate, steps)


def _half_gradient(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    return moved_pixels(picture, target, rate / 2, steps)


def _mean_gradient(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    return moved_pixels(picture, target, rate / picture.numel(), steps)


def _one_step_less(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    return moved_pixels(picture, target, rate, max(steps - 1, 0))


def _one_step_more(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    return moved_pixels(picture, target, rate, steps + 1)


def _single_step(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    return moved_pixels(picture, target, rate, 1)


def _first_gradient_only(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    return picture - steps * rate * 2 * (picture - target)


def _swapped(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    return moved_pixels(target, picture, rate, steps)


def _clamped(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    return moved_pixels(picture, target, rate, steps).clamp(0, 1)


def _sign(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    x = picture
    for _ in range(steps):
        x = x - rate * torch.sign(x - target)
    return x


def _unmoved(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    return picture


def _at_target(picture: Tensor, target: Tensor, rate: float, steps: int) -> Tensor:
    return target


MOVE_PIXELS = Exercise(
    name="move_pixels",
    reference=moved_pixels,
    make_inputs=two_inputs,
    shapes=[(1, 3, 4, 5), (2, 3, 6, 3)],
    extra_arguments=((0.1, 3), (0.25, 1), (0.03, 7), (0.1, 0)),
    differentiable=False,  # a loop with torch.no_grad() is right as well
    mistakes=[
        Mistake("the picture is unchanged after the steps.", _unmoved),
        Mistake("it returns the target, whatever the rate and the number of steps.", _at_target),
        Mistake("the pixels move away from the target, because the step goes along the gradient.", _uphill),
        Mistake("the step is too short: differentiate the squared difference once more.", _half_gradient),
        Mistake("the step is the gradient of a mean; the loss here is a sum over the pixels.", _mean_gradient),
        Mistake("it makes only one step, whatever 'steps' is.", _single_step),
        Mistake("it makes one step too few.", _one_step_less),
        Mistake("it makes one step too many.", _one_step_more),
        Mistake("every step uses the first gradient; compute it again from the moved pixels.", _first_gradient_only),
        Mistake("it moves the target towards the picture.", _swapped),
        Mistake("the pixels are clamped to [0, 1]; leave them as they come out here.", _clamped),
        Mistake("the step uses only the sign of the difference, so that its length is the same everywhere.", _sign),
    ],
    hints=(
        "For a single pixel x with target t the loss is the square of x - t. What is its derivative with respect to x?",
        "One step subtracts the gradient, multiplied by the rate. All pixels at once: work with whole tensors.",
        "A 'for' loop over range(steps): compute the gradient from the current picture, then make a new picture.",
    ),
)

TASKS: tuple[Task, ...] = (
    Choice(
        name="taken from the painting",
        keys=("fdd0eeaae5c4",),
        remarks={
            "a": "no wave of the painting kept its shape, and its sun is not in the result.",
            "b": "more than the colors has changed: look at the fur, or at the edge of the ear.",
            "c": "The fur is made of the painting's lines and colors, at other positions than in the painting.",
        },
        hints=(
            "Look for the painting's sun in the result.",
            "Now compare the texture of the fur before and after.",
        ),
    ),
    Choice(
        name="content loss during the run",
        keys=("dea34006a693",),
        remarks={
            "a": "it cannot fall below its value at the first step; which picture does the run start from?",
            "b": "The run starts at the photo, where the content loss is 0, and leaves it to lower the style loss.",
            "c": "look at the last step of the curve: the picture is no longer the photo.",
        },
        hints=("Which picture is measured at step 1?", "Compare the first and the last value of the content curve."),
    ),
    MOVE_PIXELS,
    Choice(
        name="path of the pixels",
        keys=("0913455a0a5c",),
        remarks={
            "a": "strokes would need a loss that depends on how neighboring pixels are arranged; this one does not.",
            "b": "Every pixel moves straight to the value at its own position in the painting, independently of the "
            "others.",
            "c": "no noise appears: each pixel only takes values between its two ends.",
        },
        hints=(
            "Follow one pixel: which other pixels enter its gradient?",
            "Compare the picture in the middle of the path with both ends.",
        ),
    ),
    Choice(
        name="nearest by pixels",
        keys=("c48968e32dd5",),
        remarks={
            "brighter": "adding 0.15 to every pixel adds 0.15 squared to the mean; compare the other bars.",
            "shifted": "wherever there is an edge or a hair, the shift puts a dark pixel on a bright one.",
            "blurred": "Blur keeps the mean color of each region, and that is most of a squared pixel difference.",
            "one color": "it differs from the photo by the photo's own contrast, which is not small.",
            "mirrored": "almost every pixel is compared with an unrelated one.",
            "coffee": "this is another picture, and its pixels differ most of all.",
        },
        hints=("Look for the shortest bar of the first figure.",),
    ),
    Choice(
        name="nearest by relu4_2",
        keys=("7931ec0111b8",),
        remarks={
            "brighter": "Nearly the same activations: the layer responds to local contrast, which did not change.",
            "shifted": "the shift changes these activations more than another of the changes does.",
            "blurred": "the layer responds to edges and textures, and blur removes them.",
            "one color": "nothing in this picture activates the layer as the photo does.",
            "mirrored": "every position is compared with the mirrored one, here as in the pixels.",
            "coffee": "this is another picture, and its activations differ most of all.",
        },
        hints=("Look for the shortest bar of the second figure.",),
    ),
    Choice(
        name="a hundred times more style",
        keys=("e80c1e82cc4b",),
        remarks={
            "a": "compare the last two positions of the slider with the photo: whose outline is it?",
            "b": "look at the eyes and the nose while you move the slider from 1e4 to 1e6.",
            "c": "The eyes and the nose dissolve, and the outline of the head remains.",
        },
        hints=("Move the slider between 1e4 and 1e6.", "Look first at the nose, then at the outline of the head."),
    ),
)
