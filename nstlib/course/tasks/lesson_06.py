"""Questions and exercises of lesson 06."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...losses import gram_matrix
from ..exercises import one_input
from ..grading import Exercise, Mistake
from .kinds import Choice, Program, Task


def pool_gain(maps: Tensor) -> Tensor:
    """Return the mean of 2 x 2 max pooling of activations (N, C, H, W) divided by the mean of average pooling."""
    return F.max_pool2d(maps, 2).mean() / F.avg_pool2d(maps, 2).mean()


def _positive_maps(shape: tuple[int, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
    return (torch.rand(shape, generator=generator) ** 3,)  # as after a ReLU


def capped(step: Tensor, most: float) -> Tensor:
    """Return a step of any shape, shortened so that the mean of its absolute values is at most ``most``."""
    size = step.abs().mean()
    return step if size <= most else step * (most / size)


def tiled_gram(tiles: list[Tensor]) -> Tensor:
    """Return the Gram matrix (N, C, C) of the picture that consists of tiles (N, C, h, w), per position."""
    positions = sum(tile.shape[2] * tile.shape[3] for tile in tiles)
    return torch.stack([gram_matrix(tile, "none") for tile in tiles]).sum(0) / positions


TILINGS = ((20, 30, 22, 20), (9, 14, 14, 5), (12, 12, 6, 6), (7, 21, 20, 7))
"""Height and width of a picture, its cut in x, and its cut in y on the left side: three tiles of different sizes."""


def _tiles(case: tuple[int, int, int, int], pictures: int, seed: int) -> tuple[Tensor, list[Tensor]]:
    height, width, x, y = case
    whole = torch.rand(pictures, 5, height, width, generator=torch.Generator().manual_seed(seed)) ** 3
    whole[:, :2, :, x:] *= 4  # otherwise the mean of the tiles' means would be nearly right
    left = [whole[:, :, :y, :x], whole[:, :, y:, :x]] if y < height else [whole[..., :x]]
    return whole, left + ([whole[..., x:]] if x < width else [])


def check_tiled_gram(function: Callable[..., Any]) -> str | None:
    """Return what is wrong with a student's ``tiled_gram``, or None."""
    for seed, case in enumerate(TILINGS):
        for pictures in (1, 2):
            whole, tiles = _tiles(case, pictures, seed)
            copies = [tile.clone().requires_grad_() for tile in tiles]
            result = function(copies)
            fault = _tiled_fault(result, whole, tiles)
            if fault:
                return fault
            if not result.requires_grad:
                return "no gradient reaches the tiles; leave out detach and no_grad."
            if not all(torch.equal(copy, tile) for copy, tile in zip(copies, tiles)):
                return "it changes the tiles in place."
    return None


def _tiled_fault(result: object, whole: Tensor, tiles: list[Tensor]) -> str | None:
    if not isinstance(result, Tensor):
        return f"it returns a {type(result).__name__}; a tensor is expected."
    expected = gram_matrix(whole)
    if result.shape != expected.shape:
        return f"the shape is {tuple(result.shape)}, but {tuple(expected.shape)} is expected."
    value = result.detach()
    if torch.allclose(value, expected, rtol=1e-4, atol=1e-5 * expected.max().item()):
        return None
    if torch.allclose(value, torch.stack([gram_matrix(tile) for tile in tiles]).mean(0), rtol=1e-4):
        return "it is the mean of the tiles' matrices, in which a small tile counts as much as a large one."
    ratio = (value.sum() / expected.sum()).item()
    if torch.allclose(value, ratio * expected, rtol=1e-3):
        return "all entries are wrong by the same factor; by what must the sum be divided?"
    return "it differs from the Gram matrix of the whole picture."


TASKS: tuple[Task, ...] = (
    Choice(
        "the gradient with average pooling",
        ("ea08105ade50",),
        {
            "a": "compare the line of average pooling with that of max pooling in the right plot.",
            "b": "Each of the four inputs of an average receives a quarter of the gradient; a maximum gives all of it "
            "to one input.",
            "c": "a gradient g that is split into four quarters has the length sqrt(4 (g/4)^2).",
        },
        hints=("Compute the length of the vector (1/4, 1/4, 1/4, 1/4) and of (0, 1, 0, 0).",),
    ),
    Exercise(
        name="gain of a pooling",
        reference=pool_gain,
        make_inputs=_positive_maps,
        shapes=[(1, 3, 8, 6), (2, 4, 6, 10)],
        mistakes=[
            Mistake("the quotient is upside down.", lambda x: 1 / pool_gain(x)),
            Mistake(
                "this is the difference of the two means.",
                lambda x: F.max_pool2d(x, 2).mean() - F.avg_pool2d(x, 2).mean(),
            ),
            Mistake(
                "this is the mean of the quotients, not the quotient of the means.",
                lambda x: (F.max_pool2d(x, 2) / F.avg_pool2d(x, 2)).mean(),
            ),
            Mistake(
                "it takes the largest value of all maps instead of a mean.",
                lambda x: F.max_pool2d(x, 2).max() / F.avg_pool2d(x, 2).mean(),
            ),
        ],
        hints=("How large is each pooled map on average?", "A factor is a quotient; which of the two means is larger?"),
    ),
    Choice(
        "the sixth layer",
        ("88b78e68a02f",),
        {
            "a": "VGG-19 has five blocks.",
            "b": "In sequence: conv1_1, conv1_2, conv2_1, conv2_2, conv3_1, conv3_2. Its picture keeps details.",
            "c": "fc6 comes after all convolutions and needs a fixed input size; compare the details with row one.",
        },
        hints=("Which picture of the lower row is 'very detailed', with only the colors of the painting?",),
    ),
    Choice(
        "the content layer for pool3",
        ("02d7a9339504",),
        {
            "pool1": "its point in the left plot is not the highest.",
            "pool2": "its point in the left plot is not the highest.",
            "pool3": "Content and style then constrain the same activations, and one can only win at the other's cost.",
            "pool4": "look at the right half of the left plot: there the losses fall again.",
            "pool5": "look at the right half of the left plot: there the losses fall again.",
        },
        hints=("Which of the five choices makes the two targets contradict each other most directly?",),
    ),
    Choice(
        "300 or 1000 evaluations",
        ("bc5529cf11a7",),
        {
            "a": "compare the roughness of the last two rows.",
            "b": "The loss still falls, and roughness hardly changes: it arises early, with the style.",
            "c": "the last column and the loss still change.",
        },
        hints=("Compare the last two rows of the table, column by column.",),
    ),
    Choice(
        "related pairs",
        ("2052f04e581e",),
        {
            "a": "then the dots would lie on a line that rises to the right.",
            "b": "Pairs that are equally near at the start end with losses that differ by a factor of several.",
            "c": "then the dots would fall to the right.",
        },
        hints=("Compare the spread of the dots in a narrow vertical strip with the trend over the whole width.",),
    ),
    Choice(
        "what ends the spikes",
        ("cb55ea3cf5fa",),
        {
            "a": "look at the row without a line search and without a clamp.",
            "b": "The later spikes come from the clamp inside the closure; the next section shows how.",
            "c": "the network is the same in all rows.",
        },
        hints=("Which rows of the table have no later spikes, and what do they have in common?",),
    ),
    Exercise(
        name="capped step",
        reference=capped,
        make_inputs=one_input,
        shapes=[(3, 8, 8), (1, 3, 5, 7)],
        extra_arguments=((0.1,), (5.0,), (0.02,)),
        scales=(1e-3, 50.0),
        differentiable=False,
        mistakes=[
            Mistake("a step that is short enough must stay as it is.", lambda x, m: x * (m / x.abs().mean())),
            Mistake("it limits each pixel and changes the direction.", lambda x, m: x.clamp(-m, m)),
            Mistake(
                "the mean of the values is not the mean of their magnitudes.",
                lambda x, m: x if x.mean() <= m else x * (m / x.mean()),
            ),
            Mistake(
                "it compares with the largest value instead of the mean.",
                lambda x, m: x if x.abs().max() <= m else x * (m / x.abs().max()),
            ),
            Mistake(
                "it uses the length (norm) of the step instead of its mean magnitude.",
                lambda x, m: x if x.norm() <= m else x * (m / x.norm()),
            ),
            Mistake(
                "the step becomes longer where it should become shorter.",
                lambda x, m: x if x.abs().mean() <= m else x * (x.abs().mean() / m),
            ),
        ],
        hints=("How large is step.abs().mean()?", "Multiply by the quotient of what is allowed and what is there."),
    ),
    Choice(
        "coarse to fine from noise",
        ("8292b71552e3",),
        {
            "a": "compare the sky and the ground of the two pictures.",
            "b": "Large forms are arranged at the small size, where a receptive field covers them.",
            "c": "the right plot shows the loss at full size.",
        },
        hints=("Look at where the lights are in each picture, and at the left plot.",),
    ),
    Program(
        "Gram matrix of tiles",
        check_tiled_gram,
        hints=(
            "Add first, divide once.",
            "The mean of two means is not the mean if one tile is larger.",
        ),
        why="Nothing is approximated, because a sum may be taken in any order.",
    ),
    Choice(
        "what matters most",
        ("8b2dd2353a17",),
        {
            "a": "look for it in the plot; it is close to the dotted line.",
            "b": "it continues on the same path.",
            "c": "the run starts at the photo, so that the content is there anyway.",
            "d": "From noise the optimizer paints a new picture; from the photo it paints over the photo.",
        },
        hints=("Which of the four changes something before the first evaluation?",),
    ),
)
