"""Questions and exercises of lesson 04, and our solutions of the functions that students write in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...losses import gram_matrix, style_loss
from ..anatomy import panels
from ..figures import COLOURS, INK
from .kinds import Choice, Number, Program, Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...records import Record

Extract = Callable[[Tensor], Mapping[str, Tensor]]
"""Picture (1, 3, H, W) -> activations (1, C, h, w) by layer."""


# --- our solutions -------------------------------------------------------------------------------------


def paint_texture(extract: Extract, targets: Mapping[str, Tensor], start: Tensor, steps: int, rate: float) -> Tensor:
    """Move the pixels of a picture with Adam until its Gram matrices are near the targets.

    Args:
        extract: Returns the activations of a picture by layer.
        targets: Gram matrices (1, C, C) by layer, divided by the number of positions.
        start: The first picture, (1, 3, H, W); it is not changed.
        steps: Number of steps.
        rate: Learning rate.

    Returns:
        The last picture, with values in [0, 1] and without a gradient.
    """
    picture = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([picture], lr=rate)
    for _ in range(steps):
        maps = extract(picture)
        losses = [style_loss(gram_matrix(maps[layer]), target, "relative").sum() for layer, target in targets.items()]
        optimizer.zero_grad()
        (sum(losses, torch.zeros(())) / len(losses)).backward()
        optimizer.step()
        with torch.no_grad():
            picture.clamp_(0, 1)
    return picture.detach()


def symmetries(picture: Tensor) -> list[Tensor]:
    """Return the eight turned and mirrored copies of a picture (N, C, H, W)."""
    turned = [picture.rot90(quarter, (2, 3)) for quarter in range(4)]
    return turned + [copy.flip(3) for copy in turned]


def copy_distance(patches: Tensor, source: Tensor) -> Tensor:
    """Return for each patch how far its best match in the source is, over all positions and eight symmetries.

    Args:
        patches: Square patches, (N, 3, s, s).
        source: The picture that is searched, (1, 3, H, W).

    Returns:
        Root mean square difference of the pixel values, (N,).
    """
    side = patches.shape[-1]
    source = source.to(patches) - 0.5  # small values, for the precision of the sum below
    sizes = F.conv2d(source.square(), torch.ones_like(patches[:1]))  # (1, 1, h, w)
    best = [_least(copy - 0.5, source, sizes) for copy in symmetries(patches)]
    return (torch.stack(best).amin(0).clamp_min(0) / (3 * side * side)).sqrt()


def _least(patches: Tensor, source: Tensor, sizes: Tensor) -> Tensor:
    """Return the least squared distance of each patch to a place of the source: |a|^2 - 2 a b + |b|^2."""
    products = F.conv2d(source, patches)[0]  # (N, h, w)
    return (patches.square().sum((1, 2, 3)) + (sizes[0] - 2 * products).flatten(1).amin(1)).detach()


def nearest_patch(patch: Tensor, source: Tensor) -> Tensor:
    """Return the part of the source (1, 3, H, W) that is nearest to a patch (1, 3, s, s), turned like the patch."""
    side = patch.shape[-1]
    found: list[tuple[float, Tensor]] = []
    for turned in symmetries(source):  # turning the source instead of the patch yields the part as it is compared
        sizes = F.conv2d(turned.square(), torch.ones_like(patch))
        apart = (sizes - 2 * F.conv2d(turned, patch))[0, 0]  # the patch's own size is the same everywhere
        row, column = divmod(int(apart.argmin()), apart.shape[1])
        found.append((apart.min().item(), turned[:, :, row : row + side, column : column + side]))
    return min(found, key=lambda item: item[0])[1]


def random_patches(picture: Tensor, side: int, count: int = 64, seed: int = 0) -> Tensor:
    """Return square patches (count, 3, side, side) from random places of a picture (1, 3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    high, wide = (n - side + 1 for n in picture.shape[2:])
    tops = torch.randint(high, (count,), generator=generator).tolist()
    lefts = torch.randint(wide, (count,), generator=generator).tolist()
    return torch.cat([picture[:, :, y : y + side, x : x + side] for y, x in zip(tops, lefts)])


def autocorrelation(picture: Tensor) -> Tensor:
    """Return the autocorrelation of a picture's brightness: entry (y, x) is that with a shift of y down and x right.

    Args:
        picture: (1, 3, H, W).

    Returns:
        (H // 2 + 1, W // 2 + 1); entry (0, 0) is 1. Pairs that would reach over the border do not count.
    """
    grey = picture.float().mean((0, 1))
    grey = grey - grey.mean()
    high, wide = grey.shape

    def sums(a: Tensor) -> Tensor:  # over all pairs; the zeros around the picture keep it from wrapping round
        return torch.fft.irfft2(torch.fft.rfft2(a, s=(2 * high, 2 * wide)).abs() ** 2, s=(2 * high, 2 * wide))

    products = sums(grey) / sums(torch.ones_like(grey)).clamp_min(1)
    return (products / products[0, 0])[: high // 2 + 1, : wide // 2 + 1]


def order(picture: Tensor, period: int) -> float:
    """Return the mean of the autocorrelation one period to the right and one period down: 1 for a perfect grid."""
    table = autocorrelation(picture)
    return round(((table[0, period] + table[period, 0]) / 2).item(), 2) + 0.0  # + 0.0: never "-0.00"


# --- pictures that consist of order --------------------------------------------------------------------


def bricks(side: int, high: int, wide: int, joint: int) -> Tensor:
    """Return a brick wall (1, 3, side, side); every second course is moved by half a brick. Sizes in pixels."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    course = y // high
    x = x + wide // 2 * (course % 2)
    tone = torch.rand((side // high + 1, side // wide + 2), generator=torch.Generator().manual_seed(0))
    clay = torch.tensor([0.62, 0.27, 0.20]).view(3, 1, 1) * (0.75 + 0.45 * tone[course, x // wide])
    mortar = torch.tensor([0.85, 0.82, 0.76]).view(3, 1, 1)
    return torch.where((y % high < joint) | (x % wide < joint), mortar, clay)[None]


def board(side: int, field: int) -> Tensor:
    """Return a checkered board (1, 3, side, side) with square fields of ``field`` pixels."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    light, dark = (torch.tensor(c).view(3, 1, 1) for c in ([0.95, 0.90, 0.78], [0.12, 0.25, 0.40]))
    return torch.where((y // field + x // field) % 2 == 1, light, dark)[None]


# --- figures -------------------------------------------------------------------------------------------


def curves(series: Mapping[str, Mapping[int, float]], title: str, xlabel: str, label: str, log: bool = False) -> Figure:
    """Return curves without markers over a numeric axis.

    Args:
        series: For each curve its values by position: {curve: {x: y}}.
        title: Title of the figure.
        xlabel: Label of the horizontal axis.
        label: Label of the vertical axis.
        log: Make the vertical axis logarithmic.
    """
    figure, (ax,) = panels(1)
    for color, (name, values) in zip(COLOURS, series.items()):
        ax.plot(list(values), list(values.values()), color=color, label=name)
    ax.set(xlabel=xlabel, ylabel=label, yscale="log" if log else "linear")
    ax.set_title(title, loc="left")
    ax.legend(ncols=2)
    return figure


def autocorrelation_figure(
    sources: Mapping[str, Tensor], textures: Mapping[str, Tensor], periods: Mapping[str, int]
) -> Figure:
    """Return the autocorrelation of sources and textures over the shift to the right, a plot for each source."""
    figure, axes = panels(len(sources), height=2.8, sharey=True)
    for ax, name in zip(axes, sources):
        for color, (label, pictures) in zip((INK, COLOURS[1]), {"source": sources, "texture": textures}.items()):
            ax.plot(autocorrelation(pictures[name])[0], color=color, label=label)
        ax.axvline(periods[name], color=COLOURS[5], ls=":", label="one period")
        ax.set(xlabel="shift to the right in pixels", xlim=(0, sources[name].shape[3] // 2))
        ax.set_title(f"{name}: the texture has no peak at the period", loc="left")
    axes[0].set_ylabel("autocorrelation")
    axes[-1].legend(loc="upper right")
    return figure


def rates_figure(tried: Mapping[tuple[str, float], Sequence[Record]]) -> Figure:
    """Return the losses of Adam and of sign descent for several rates, each beside that of L-BFGS.

    Args:
        tried: Records by (optimizer, learning rate).
    """
    figure, axes = panels(2, height=3.4, sharey=True)
    for ax, (name, title) in zip(axes, {"adam": "Adam", "sign": "sign of the gradient"}.items()):
        runs = {rate: records for (other, rate), records in tried.items() if other == name}
        for color, (rate, records) in zip(COLOURS[1:], runs.items()):
            steps, losses = [r.step for r in records], [r.total for r in records]
            ax.plot(steps, losses, color=color, lw=1.2, label=f"rate {rate:g}")
        best = tried["lbfgs", 1.0]
        ax.plot([r.step for r in best], [r.total for r in best], color=INK, lw=2.4, label="L-BFGS")
        ax.set(yscale="log", xlabel="step (evaluations of the loss)")
        ax.set_title(title, loc="left")
        ax.legend()
    axes[0].set_ylabel("loss, weighted")
    return figure


def border_profile(values: Tensor) -> dict[int, float]:
    """Return the mean of a map (H, W) at each distance from its border, in pixels."""
    high, wide = values.shape
    rows, columns = torch.arange(high)[:, None], torch.arange(wide)[None]
    vertical, horizontal = torch.minimum(rows, high - 1 - rows), torch.minimum(columns, wide - 1 - columns)
    distance = torch.minimum(vertical.expand(high, wide), horizontal.expand(high, wide))
    return {d: values[distance == d].mean().item() for d in range(min(high, wide) // 2)}


# --- tests of the students' functions ------------------------------------------------------------------


class TinyNetwork:
    """Two small random layers that stand in for VGG in a test; it counts its calls.

    Neither layer determines the other: "low" depends on the colors of single pixels, "high" on means of 4 x 4 pixels.

    Attributes:
        calls: Number of forward passes so far.
    """

    def __init__(self, seed: int) -> None:
        """Make its filters."""
        generator = torch.Generator().manual_seed(seed)
        self.low = torch.randn((6, 3, 1, 1), generator=generator)
        self.high = torch.randn((8, 3, 2, 2), generator=generator)
        self.calls = 0

    def __call__(self, picture: Tensor) -> dict[str, Tensor]:
        """Return the activations of a picture by layer."""
        self.calls += 1
        centered = picture - 0.4
        return {
            "low": F.relu(F.conv2d(centered, self.low)),
            "high": F.relu(F.conv2d(F.avg_pool2d(centered, 4), self.high)),
        }


def gram_losses(network: Extract, targets: Mapping[str, Tensor], picture: Tensor) -> dict[str, float]:
    """Return the relative style loss of a picture at each layer."""
    with torch.no_grad():
        maps = network(picture)
        return {n: style_loss(gram_matrix(maps[n]), targets[n], "relative").item() for n in targets}


STEPS = 100
"""Steps of the longer run of a student's loop."""


def check_texture_loop(function: Callable[..., Any]) -> str | None:
    """Return what is wrong with a student's texture loop, or None."""
    for seed, size in enumerate([(20, 28), (24, 16)]):
        generator = torch.Generator().manual_seed(seed)
        network = TinyNetwork(seed)
        blocks = torch.rand((1, 3, 8, 8), generator=generator).round().repeat_interleave(4, 2).repeat_interleave(4, 3)
        painting = 0.8 * blocks + 0.2 * torch.rand(blocks.shape, generator=generator)
        with torch.no_grad():
            targets = {n: gram_matrix(maps) for n, maps in network(painting).items()}
        start = torch.rand((1, 3, *size), generator=generator)
        faults = []
        for rate in (0.05, 1.0):  # the second is for L-BFGS
            fault = _loop_fault(function, network, targets, start, rate)
            if fault is None:
                break
            faults.append(fault)
        else:
            return faults[0]
    return None


def _loop_fault(
    function: Callable[..., Any], network: TinyNetwork, targets: Mapping[str, Tensor], start: Tensor, rate: float
) -> str | None:
    """Return what is wrong with a loop for one start, or None."""
    results = {}
    for steps in (1, STEPS):
        network.calls = 0
        given = start.clone()
        result = function(network, dict(targets), given, steps, rate)
        if not isinstance(result, Tensor) or result.shape != start.shape:
            found = f"the shape {tuple(result.shape)}" if isinstance(result, Tensor) else f"a {type(result).__name__}"
            return f"it returns {found}; a picture of the start's shape is expected."
        if not torch.equal(given, start):
            return "it changes the start itself; the caller still needs that picture."
        if result.requires_grad:
            return "the result still requires a gradient, and with it the graph of the last step stays in memory."
        if network.calls < steps or network.calls > 30 * steps + 2:
            return f"for {steps} steps it computed activations {network.calls} times."
        results[steps] = result
    first, last = results[1], results[STEPS]
    if torch.equal(first, start):
        return "after one step the picture has not changed."
    if last.min() < 0 or last.max() > 1 or not torch.isfinite(last).all():
        return "the result has values outside [0, 1]."
    before, after = (gram_losses(network, targets, p) for p in (start, last))
    for layer in targets:
        if not after[layer] < 0.2 * before[layer]:
            change = f"from {before[layer]:.3f} to {after[layer]:.3f}"
            return f"in {STEPS} steps the style loss of layer {layer!r} only went {change}."
    slow = function(network, dict(targets), start.clone(), 1, rate / 50)
    if not isinstance(slow, Tensor) or (slow - start).abs().mean() > 0.3 * (first - start).abs().mean():
        return "with a much smaller rate it still takes large steps."
    return None


def check_copy_distance(function: Callable[..., Any]) -> str | None:
    """Return what is wrong with a student's ``copy_distance``, or None."""
    generator = torch.Generator().manual_seed(5)
    for side, size, count in ((5, (19, 26), 6), (8, (24, 17), 3), (3, (12, 12), 1)):
        source = torch.rand((1, 3, *size), generator=generator)
        other = torch.rand((count, 3, side, side), generator=generator)
        fault = _found_fault(function, source, side) or _copy_fault(function, other, source)
        if fault:
            return fault
    return None


def _call_copy(function: Callable[..., Any], patches: Tensor, source: Tensor) -> Tensor | str:
    """Return the distances that a student's function computes, or what is wrong with its result."""
    copies = patches.clone(), source.clone()
    result = function(*copies)
    if not isinstance(result, Tensor):
        return f"it returns a {type(result).__name__}; a tensor of shape (N,) is expected."
    if result.shape != (len(patches),):
        return f"for {len(patches)} patches the shape is {tuple(result.shape)}; one number for each patch is expected."
    if not (torch.equal(copies[0], patches) and torch.equal(copies[1], source)):
        return "it changes its input in place."
    return result.detach().double()


def _found_fault(function: Callable[..., Any], source: Tensor, side: int) -> str | None:
    """Try patches that are copies: from the middle and all corners, and in all symmetries."""
    high, wide = (n - side for n in source.shape[2:])
    corners = {
        "in the middle": (high // 2, wide // 2),
        "at the upper left corner": (0, 0),
        "at the lower right corner": (high, wide),
        "at the lower left corner": (high, 0),
        "at the upper right corner": (0, wide),
    }
    for where, (y, x) in corners.items():
        patch = source[:, :, y : y + side, x : x + side]
        found = _call_copy(function, patch, source)
        if isinstance(found, str):
            return found
        if found.item() > 5e-3:
            return f"a patch cut out of the source {where} gets the distance {found.item():.3f}."
    y, x = corners["in the middle"]
    copies = symmetries(source[:, :, y : y + side, x : x + side])
    names = ["a part", "a quarter turn", "a half turn", "three quarter turns"]
    names += ["a mirror image", *[f"a mirror image after {turn}" for turn in names[1:]]]
    for name, copy in zip(names, copies):
        found = _call_copy(function, copy, source)
        if isinstance(found, str):
            return found
        if found.item() > 5e-3:
            return f"it does not recognize {name} of a part of the source."
    return None


def _copy_fault(function: Callable[..., Any], patches: Tensor, source: Tensor) -> str | None:
    """Compare with our distances for patches that are no copies."""
    found = _call_copy(function, patches, source)
    if isinstance(found, str):
        return found
    expected = copy_distance(patches, source).double()
    if torch.allclose(found, expected, atol=2e-3):
        return None
    if torch.allclose(found, expected.square(), atol=2e-3):
        return "it lacks the square root."
    ratios = (found / expected).tolist()
    if max(ratios) - min(ratios) < 0.01 * max(ratios) and not 0.99 < ratios[0] < 1.01:
        return "all distances are wrong by the same factor; what is the mean taken over?"
    if (found < expected - 2e-3).any():
        return "for a patch that is no copy the distance is too small; are all its pixels compared?"
    return "for a patch that is no copy the distance is too large; is every position and symmetry tried?"


# --- the tasks -----------------------------------------------------------------------------------------


def count_statistics(channels: Iterable[int]) -> float:
    """Return the number of different entries of symmetric matrices with these numbers of rows."""
    return float(sum(c * (c + 1) // 2 for c in channels))


TASKS: tuple[Task, ...] = (
    Choice(
        "what comes out of noise",
        ("87a4f27979ae",),
        {
            "a": "find the horizon of the painting in one of the textures.",
            "b": "The strokes are like those of the painting, and none is at its place.",
            "c": "more than colors is there: follow a stroke.",
        },
        hints=("Compare what is at the top of the painting with what is at the top of the textures.",),
    ),
    Program(
        "texture loop",
        check_texture_loop,
        seconds=60.0,
        hints=(
            "The unknown is a copy of the start that requires a gradient; the optimizer gets a list with it.",
            "In each step: activations, one loss for each layer in targets, their mean, backward, optimizer.step().",
            "optimizer.zero_grad() once a step; clamp_(0, 1) under torch.no_grad(); at the end .detach().",
        ),
        why="It starts anywhere, keeps the pixels in range and lowers the loss of every layer.",
    ),
    Number(
        "how many numbers",
        count_statistics,
        tolerance=0.0,
        hints=(
            "How many different entries does a symmetric 3 x 3 table have? Write one down and mark them.",
            "Count the diagonal and the entries above it separately.",
        ),
        why="This is all that the loss contains of the painting.",
    ),
    Choice(
        "strokes on a larger canvas",
        ("ef6f013a2b2e",),
        {
            "a": "compare a star on the largest picture with one on the smallest; all have the same scale.",
            "b": "The targets are means over positions, and more positions have the same mean.",
            "c": "there are no gaps in the picture.",
        },
        hints=("Which sizes in pixels do the layers see, and does the canvas change them?",),
    ),
    Number(
        "the factor of the activations",
        lambda: 0.5**0.5,
        tolerance=0.005,
        hints=(
            "An entry is a product of two activations. How does it change if both are multiplied by f?",
            "The number of terms of the sum changes as well; the two changes must cancel.",
        ),
        why="The figure below compares it with the measured activations.",
    ),
    Choice(
        "painted with sums",
        ("f78c15449da1",),
        {
            "a": "compare the stars of the two pictures.",
            "b": "Gray of the mean color has weak activations, so part of the canvas is filled with it.",
            "c": "measure a stroke in both pictures.",
        },
        hints=("The activations must be weaker on average, not at each position.",),
    ),
    Program(
        "copy distance",
        check_copy_distance,
        seconds=20.0,
        hints=(
            "Begin without symmetries: distances of all patches to all places, then the smallest for each patch.",
            "F.unfold(source, side)[0].T has one place per row; patches.flatten(1) has one patch per row.",
            "Four times rot90(k, (2, 3)), each also with flip(3); keep the smallest of the eight results. A root "
            "*mean* square divides by the number of values of a patch.",
        ),
        why="It finds copies from every position and in every symmetry.",
    ),
    Choice(
        "a very small painting",
        ("8b939d91e3e9",),
        {
            "a": "compare the first and the last row of the table.",
            "b": "The correlation with the source rises with the number of statistics for each pixel value.",
            "c": "a turned copy would have no correlation with the source; look at the last column.",
        },
        hints=("Look at the last two columns of the table.",),
    ),
    Choice(
        "a start without noise",
        ("3db6a2f6f250",),
        {
            "a": "compare the border of the left picture with that of the right one.",
            "b": "the picture is not gray any more.",
            "c": "The zeros of the padding make the border differ from the middle, and nothing else does.",
        },
        hints=("Move the slider slowly and watch the edges.",),
    ),
    Choice(
        "order of the board",
        ("d3dc922def5b",),
        {
            "a": "compare the numbers above the pictures of the board.",
            "b": "The coarse stage lays the grid, and the shifted matrices keep it while the picture grows.",
            "c": "compare the numbers above the pictures of the board.",
        },
        hints=("The order is the number above each picture.",),
    ),
    Choice(
        "the best optimizer",
        ("22b8ab7f3efd",),
        {
            "a": "Adam comes near with its best rate; the sign does not, at any constant rate.",
            "b": "compare the lowest colored line with the thick one, at the last step.",
            "c": "look at the end of its curves in the right plot.",
        },
        hints=("Compare the right ends of the curves.",),
    ),
)
