"""Figures of the lessons. Each function returns a matplotlib figure; as the last line of a cell it is displayed.

Figures are made without pyplot, so that none is displayed twice and a thread can draw as well.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..errors import SettingError
from ..images import to_pil

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    from ..records import Record

Picture = Tensor | Image.Image
"""A tensor (N, 3, H, W) or (3, H, W) in [0, 1], of which the first picture is shown, or a PIL image."""

WIDTH = 8.2
"""Width of every figure in inches."""

DPI = 110
QUALITY = 76
"""Of the JPEG files that notebooks store."""

INK = "#33373d"
COLOURS = ("#2f6f9f", "#d1603d", "#6a994e", "#7a5195", "#c99a2e", "#5c6b73")
"""Distinguishable without colour vision as well."""

STYLE: dict[Any, Any] = {  # matplotlib types its keys as literals
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlepad": 7,
    "axes.edgecolor": "#9aa0a6",
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e6e8",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
}


# --- building blocks -----------------------------------------------------------------------------------


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure; width and height are in inches.

    Raises:
        SettingError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SettingError("the figures need matplotlib; run 'pip install matplotlib'.") from error
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def course_style() -> AbstractContextManager[None]:
    """Return a context in which new axes have the style of the course."""
    import matplotlib as mpl

    return mpl.rc_context(STYLE)


def to_array(picture: Picture) -> np.ndarray:
    """Return a picture as an array (H, W, 3) of bytes, as ``Axes.imshow`` takes it."""
    return np.asarray(picture if isinstance(picture, Image.Image) else to_pil(picture))


def frame_rectangle(width: int, height: int) -> Rectangle:
    """Return a frame for the edge of a picture of this size in pixels, to be added with ``Axes.add_patch``."""
    from matplotlib.patches import Rectangle

    return Rectangle((-0.5, -0.5), width, height, fill=False, edgecolor=COLOURS[1], linewidth=4)


def jpeg(picture: Picture | Figure, quality: int = 88) -> bytes:
    """Return a picture or a figure as the bytes of a JPEG file, as the widgets send them."""
    buffer = io.BytesIO()
    if isinstance(picture, (Tensor, Image.Image)):
        image = picture if isinstance(picture, Image.Image) else to_pil(picture)
        image.convert("RGB").save(buffer, "JPEG", quality=quality)
    else:
        picture.savefig(buffer, format="jpeg", dpi=DPI, pil_kwargs={"quality": quality})
    return buffer.getvalue()


def alt_text(figure: Figure) -> str:
    """Return in words what a figure shows, for readers who cannot see it.

    It is the figure's label (``figure.set_label``) or, without one, is made from the titles, the labels of the axes and
    the legends.
    """
    descriptions = (_description(ax) for ax in figure.axes)
    return str(figure.get_label()) or "; ".join(filter(None, descriptions)) or "a figure without titles"


def _description(ax: Axes) -> str:
    """Return what one plot or picture of a figure shows, or "" for an empty place."""
    if not (ax.images or ax.lines or ax.patches or ax.collections):
        return ""
    title = ax.get_title() or ax.get_title(loc="left")
    words = [("picture" if ax.images else "plot") + (f": {title}" if title else "")]
    if not ax.images:
        axes = " over ".join(filter(None, (ax.get_ylabel(), ax.get_xlabel())))
        legend = " and ".join(ax.get_legend_handles_labels()[1])
        words += [axes, f"of {legend}" if legend else ""]
    return ", ".join(filter(None, words))


def has_pictures(figure: Figure) -> bool:
    """Return whether a figure contains pictures and not only lines and text."""
    return any(ax.images for ax in figure.axes)


def jpeg_output(figure: Figure) -> tuple[str, dict[str, Any]] | None:
    """Return a figure with pictures as notebooks store it: a JPEG file in base64, with its width and alternative text.

    The file has twice the pixels of the page, for sharp text and insets. None for a figure without pictures.
    """
    if not has_pictures(figure):
        return None
    buffer = io.BytesIO()
    figure.savefig(buffer, format="jpeg", dpi=2 * DPI, bbox_inches="tight", pil_kwargs={"quality": QUALITY})
    width = Image.open(buffer).width // 2
    return base64.b64encode(buffer.getvalue()).decode("ascii"), {"alt": alt_text(figure), "width": width}


def svg_output(figure: Figure) -> tuple[str, dict[str, Any]] | None:
    """Return a figure of lines and text as notebooks store it: SVG with its alternative text. None with pictures."""
    import matplotlib as mpl

    if has_pictures(figure):
        return None
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nstlib"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    alt = html.escape(alt_text(figure))
    svg = svg[svg.index("<svg") :].replace("<svg ", f"<svg role='img' aria-label='{alt}' ", 1)
    return svg, {"alt": alt_text(figure)}


def enlarged(picture: Tensor, long_side: int) -> Tensor:
    """Return a picture (N, 3, H, W) enlarged to a long side in pixels; a larger picture stays as it is."""
    factor = long_side / max(picture.shape[-2:])
    if factor <= 1:
        return picture
    size = [round(side * factor) for side in picture.shape[-2:]]
    return F.interpolate(picture, size, mode="bicubic").clamp(0, 1)


def _draw_picture(ax: Axes, array: np.ndarray) -> None:
    ax.axis("off")
    ax.imshow(array, interpolation="lanczos" if array.shape[1] < 400 else "antialiased")


# --- pictures ------------------------------------------------------------------------------------------


def show(
    pictures: Picture | Sequence[Picture] | Mapping[str, Picture],
    titles: Sequence[str] | str = (),
    *,
    columns: int | None = None,
    width: float = WIDTH,
    caption: str = "",
    frame: int | None = None,
) -> Figure:
    """Return pictures beside each other, each under its title, without axes.

    Args:
        pictures: One picture, a list, or a dictionary from titles to pictures.
        titles: One title per picture, or none.
        columns: Pictures in a row; None takes up to five.
        width: Width of the figure in inches.
        caption: Line below the figure.
        frame: Index of a picture to draw a frame around.

    Raises:
        SettingError: There is no picture.
    """
    pictures, titles = _pictures_and_titles(pictures, titles)
    if not pictures:
        raise SettingError("there is no picture to show; give at least one.")
    arrays = [to_array(picture) for picture in pictures]
    columns = min(len(arrays), columns or 5)
    if len(arrays) == 1:
        width = min(width, 5.5)
    heights = _row_heights(arrays, columns, width / columns)
    title_height = 0.32 if titles else 0.06
    total_height = sum(heights) + title_height * len(heights) + (0.3 if caption else 0)
    with course_style():
        figure = new_figure(width, total_height)
        axes = figure.subplots(len(heights), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
        for i, ax in enumerate(axes.flat):
            if i >= len(arrays):
                ax.axis("off")
                continue
            ax.set_anchor("N")  # titles of a row at the same height, whatever the shapes
            _draw_picture(ax, arrays[i])
            if i < len(titles):
                ax.set_title(titles[i])
            if i == frame:
                high, wide = arrays[i].shape[:2]
                ax.add_patch(frame_rectangle(wide, high))
        if caption:
            figure.supxlabel(caption, fontsize=10, color="#5f6368")
    count = "a picture" if len(arrays) == 1 else f"{len(arrays)} pictures"
    named = ", ".join(filter(None, titles))
    figure.set_label(count + (f": {named}" if named else "") + (f". {caption}" if caption else ""))
    return figure


def show_with_details(
    pictures: Mapping[str, Picture], box: tuple[int, int, int], *, width: float = WIDTH, caption: str = ""
) -> Figure:
    """Return pictures in a row and, below each, a part of it at twice the scale, framed in the picture.

    Args:
        pictures: Pictures of one size by title; at most three are large enough to be judged.
        box: Left, top and side of the square part, in pixels.
        width: Width of the figure in inches.
        caption: Line below the figure.
    """
    from matplotlib.patches import Rectangle

    left, top, side = box
    arrays = [to_array(picture) for picture in pictures.values()]
    high, wide = arrays[0].shape[:2]
    column = width / len(arrays)
    heights = [column * high / wide, min(column, 2 * column * side / wide)]
    with course_style():
        figure = new_figure(width, sum(heights) + 0.4 + (0.3 if caption else 0))
        axes = figure.subplots(2, len(arrays), squeeze=False, gridspec_kw={"height_ratios": heights})
        for ax, detail_ax, title, array in zip(*axes, pictures, arrays):
            _draw_picture(ax, array)
            ax.set_title(title)
            ax.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor="white", linewidth=1.2))
            _draw_picture(detail_ax, array[top : top + side, left : left + side])
        if caption:
            figure.supxlabel(caption, fontsize=10, color="#5f6368")
    figure.set_label(f"{len(arrays)} pictures, each with a part at 200 %: {', '.join(pictures)}. {caption}".rstrip())
    return figure


def _pictures_and_titles(
    pictures: Picture | Sequence[Picture] | Mapping[str, Picture], titles: Sequence[str] | str
) -> tuple[list[Picture], list[str]]:
    if isinstance(pictures, Mapping):
        return list(pictures.values()), list(pictures)
    if isinstance(pictures, (Tensor, Image.Image)):
        return [pictures], [titles] if isinstance(titles, str) else list(titles)
    return list(pictures), list(titles)


def _row_heights(arrays: Sequence[np.ndarray], columns: int, column_width: float) -> list[float]:
    """Return the height of each row in inches, that of its highest picture."""
    heights = [column_width * array.shape[0] / array.shape[1] for array in arrays]
    return [max(heights[first : first + columns]) for first in range(0, len(heights), columns)]


# --- losses --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Line:
    """One line of a plot of losses."""

    label: str
    steps: list[int]
    losses: list[float]


def _line(label: str, records: Sequence[Record], losses: Iterable[float]) -> _Line:
    """Return a line for a logarithmic axis: values that cannot be drawn become gaps."""
    drawable = [loss if math.isfinite(loss) and loss > 0 else math.nan for loss in losses]
    return _Line(label, [record.step for record in records], drawable)


def _lines_of_run(records: Sequence[Record]) -> list[_Line]:
    return [
        _line("total", records, (r.total for r in records)),
        _line("style", records, (r.style_total for r in records)),
        _line("content", records, (r.content_total for r in records)),
    ]


def _values_for_limits(losses: list[float]) -> list[float]:
    """Return the losses that must be visible; a run that diverges for one step must not flatten all others."""
    if losses[0] > 0:
        return [loss for loss in losses if loss < 3 * losses[0]]
    return [loss for loss in losses if loss > 0]


def draw_curve(ax: Axes, records: Sequence[Record] | Mapping[str, Sequence[Record]], title: str = "") -> None:
    """Draw the losses of a run, or the total losses of several runs, on existing axes.

    Args:
        ax: The axes.
        records: Records of one run, or of several runs by name.
        title: Title of the axes.
    """
    several = isinstance(records, Mapping)
    if isinstance(records, Mapping):
        lines = [_line(name, run, (r.total for r in run)) for name, run in records.items()]
    else:
        lines = _lines_of_run(records)
    visible: list[float] = []
    for i, line in enumerate(lines):
        is_main = i == 0 and not several  # the total of a single run
        colour = INK if is_main else COLOURS[i % len(COLOURS)]
        ax.plot(line.steps, line.losses, label=line.label, color=colour, lw=2.6 if is_main else 1.8)
        visible += _values_for_limits(line.losses)
    ax.set_yscale("log")
    if visible and max(visible) > min(visible):
        # the content loss may start at zero, which must not stretch the axis downwards
        lowest = min(visible) if several else max(min(visible), max(visible) / 3e3)
        ax.set_ylim(lowest * 0.8, max(visible) * 1.25)
    ax.set_xlabel("step")
    ax.set_ylabel("loss, weighted")
    ax.locator_params(axis="x", integer=True)
    ax.yaxis.set_major_formatter(lambda v, _: f"{v:,.0f}" if v >= 1 else f"{v:.2g}")
    ax.yaxis.set_minor_formatter(lambda v, _: "")
    if title:
        ax.set_title(title)
    ax.legend(loc="best")


def curve(
    records: Sequence[Record] | Mapping[str, Sequence[Record]],
    title: str = "",
    width: float = WIDTH,
    height: float = 0.0,
) -> Figure:
    """Return the losses of one run (total, style, content), or the total losses of several runs.

    Args:
        records: Records of one run, or of several runs by name.
        title: Title of the figure.
        width: Width in inches.
        height: Height in inches; 0 takes about half the width.

    Raises:
        SettingError: There is no record.
    """
    if not records:
        raise SettingError("there is no record to draw; give result.records.")
    with course_style():
        figure = new_figure(width, height or width * 0.48)
        draw_curve(figure.subplots(), records, title)
    return figure


def painting_so_far(picture: Picture, records: Sequence[Record], title: str = "", width: float = WIDTH) -> Figure:
    """Return a picture beside the losses of the run that made it: the live widget as one figure.

    Args:
        picture: The picture.
        records: Records of the run; may be empty.
        title: Title of the picture; by default the number of steps.
        width: Width in inches.
    """
    array = to_array(picture)
    height = min(5.0, max(2.6, width * 0.45 * array.shape[0] / array.shape[1] + 0.5))
    with course_style():
        figure = new_figure(width, height)
        left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": (1, 1)})
        _draw_picture(left, array)
        left.set_title(title or (f"after {records[-1].step} steps" if records else ""))
        if records:
            draw_curve(right, records)
    return figure


# --- numbers -------------------------------------------------------------------------------------------


def bars(
    values: Mapping[str, float], unit: str = "", width: float = WIDTH, title: str = "", highlight: str | None = None
) -> Figure:
    """Return a few numbers as horizontal bars of one color, each with its value at the end.

    Args:
        values: Numbers by name.
        unit: Unit after each value.
        width: Width in inches.
        title: Title of the figure.
        highlight: Name of a bar in a second color.
    """
    names, numbers = list(values), list(values.values())
    with course_style():
        figure = new_figure(width, 0.42 * len(values) + (0.75 if title else 0.4))
        ax = figure.subplots()
        ax.barh(names, numbers, color=[COLOURS[name == highlight] for name in names], height=0.62)
        ax.invert_yaxis()
        ax.grid(visible=False)
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(length=0)
        ax.set_xticks([])
        for i, number in enumerate(numbers):
            text = f"{number:.3g} {unit}".rstrip()
            ax.annotate(text, (number, i), (4, 0), textcoords="offset points", va="center")
        ax.set_xlim(0, max(numbers) * 1.2 or 1)
        if title:
            ax.set_title(title, loc="left")
    values_text = ", ".join(f"{name} {number:.3g} {unit}".rstrip() for name, number in values.items())
    figure.set_label(": ".join(filter(None, [title, values_text])))
    return figure
