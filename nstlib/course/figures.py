"""Figures of the lessons. Each function returns a matplotlib figure; as the last line of a cell it is displayed.

Figures are made without pyplot, so that none is displayed twice and a thread can draw as well.
"""

from __future__ import annotations

import base64
import html
import io
import math
import re
import textwrap
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

PAGE_WIDTH = 840
"""Width in pixels at which a figure of the full width is shown; the page of JupyterLab on a laptop has room for it."""

DPI = PAGE_WIDTH / WIDTH

PAD, TITLE_HEIGHT, TITLE_LINE, CAPTION_HEIGHT = 0.083, 0.28, 0.18, 0.22
"""Space between pictures, of a title, of each further line of it, and of a caption, in inches, as matplotlib's
constrained layout needs it."""

LETTER_WIDTH = 5.9
"""Mean width of a letter of a title in points."""

QUALITY = 76
"""Of the JPEG files that notebooks store."""

INK, CAPTION_COLOUR = "#33373d", "#5f6368"
COLOURS = ("#2f6f9f", "#d1603d", "#6a994e", "#7a5195", "#c99a2e", "#5c6b73")
"""Distinguishable without colour vision as well; the first is that of the content, the second that of the style."""

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


SVG_FONTS = "'DejaVu Sans',Verdana,sans-serif"
"""Fonts of the plots' text; matplotlib measured it in the first one."""


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
    figure.savefig(
        buffer, format="jpeg", dpi=2 * DPI, bbox_inches="tight", pad_inches=0.05, pil_kwargs={"quality": QUALITY}
    )
    width = Image.open(buffer).width // 2
    return base64.b64encode(buffer.getvalue()).decode("ascii"), {"alt": alt_text(figure), "width": width}


def svg_output(figure: Figure) -> tuple[str, dict[str, Any]] | None:
    """Return a figure of lines and text as notebooks store it: SVG with its alternative text. None with pictures."""
    import matplotlib as mpl

    if has_pictures(figure):
        return None
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nstlib"}):
        metadata = {"Date": None, "Creator": None}
        figure.savefig(buffer, format="svg", bbox_inches="tight", pad_inches=0.05, metadata=metadata)
    svg = _shortened(buffer.getvalue())
    alt = alt_text(figure)
    style = f"max-width:100%;height:auto;font-family:{SVG_FONTS}"
    head = f"<svg role='img' aria-label='{html.escape(alt)}' style=\"{style}\""
    svg = head + svg[svg.index("<svg") + len("<svg") :]
    # matplotlib writes the size in points, 72 to an inch
    svg = re.sub(r'\b(width|height)="([\d.]+)pt"', lambda m: f'{m[1]}="{float(m[2]) * DPI / 72:.0f}"', svg, count=2)
    return svg, {"alt": alt}


def _shortened(svg: str) -> str:
    """Return a drawing of matplotlib with a third fewer bytes: tenths of a point, no line breaks, fonts named once."""
    svg = re.sub(r'\b(d|x|y|transform)="[^"]*"', lambda places: re.sub(r"(\d+\.\d)\d+", r"\1", places[0]), svg)
    svg = re.sub(r"\s*\n\s*", " ", svg).replace("> <", "><")
    return re.sub(r"font-family: [^;\"]*(; )?", "", svg)


def enlarged(picture: Tensor, long_side: int) -> Tensor:
    """Return a picture (N, 3, H, W) enlarged to a long side in pixels; a larger picture stays as it is."""
    factor = long_side / max(picture.shape[-2:])
    if factor <= 1:
        return picture
    size = [round(side * factor) for side in picture.shape[-2:]]
    return F.interpolate(picture, size, mode="bicubic").clamp(0, 1)


def wrapped(title: str, width: float) -> str:
    """Return a title in as many lines as it needs at a width in inches; its own line breaks stay."""
    letters = max(8, int(width * 72 / LETTER_WIDTH))
    return "\n".join(part for line in title.split("\n") for part in (textwrap.wrap(line, letters) or [""]))


def _title_height(titles: Sequence[str]) -> float:
    """Return the height of the highest title in inches."""
    return TITLE_HEIGHT + TITLE_LINE * max(title.count("\n") for title in titles)


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
    heights = _row_heights(arrays, columns, width / columns - PAD)
    above = [wrapped(title, width / columns - PAD) for title in titles]
    title_height = (_title_height(above) if above else 0) + PAD
    total_height = sum(heights) + title_height * len(heights) + (CAPTION_HEIGHT if caption else 0)
    with course_style():
        figure = new_figure(width, total_height)
        axes = figure.subplots(len(heights), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
        for i, ax in enumerate(axes.flat):
            if i >= len(arrays):
                ax.axis("off")
                continue
            ax.set_anchor("N")  # titles of a row at the same height, whatever the shapes
            _draw_picture(ax, arrays[i])
            if i < len(above):
                ax.set_title(above[i])
            if i == frame:
                high, wide = arrays[i].shape[:2]
                ax.add_patch(frame_rectangle(wide, high))
        if caption:
            figure.supxlabel(caption, fontsize=10, color=CAPTION_COLOUR)
    count = "a picture" if len(arrays) == 1 else f"{len(arrays)} pictures"
    named = ", ".join(" ".join(title.split()) for title in titles if title)
    figure.set_label(count + (f": {named}" if named else "") + (f". {caption}" if caption else ""))
    return figure


def show_with_details(
    pictures: Mapping[str, Picture], box: tuple[int, int, int], *, width: float = WIDTH, caption: str = ""
) -> Figure:
    """Return pictures in a row and, below each, a part of it at 200 %, framed in the picture.

    Args:
        pictures: Pictures of one size by title; at most three are large enough to be judged.
        box: Left, top and side of the square part, in pixels; a side of more than the column's width divided by two
            (about 130 pixels with three pictures) is shown at less than 200 %.
        width: Width of the figure in inches.
        caption: Line below the figure.

    Raises:
        SettingError: There is no picture, or the part is not inside the pictures.
    """
    left, top, side = box
    arrays = [to_array(picture) for picture in pictures.values()]
    if not arrays:
        raise SettingError("there is no picture to show; give at least one.")
    high, wide = arrays[0].shape[:2]
    if min(left, top, wide - left - side, high - top - side) < 0 or side < 1:
        raise SettingError(f"the part {box} is not inside the pictures, which have {wide} x {high} pixels.")
    column = width / len(arrays) - PAD
    heights = [column * high / wide, min(column, 2 * side / DPI)]
    with course_style():
        titles = [wrapped(title, column) for title in pictures]
        figure = new_figure(width, sum(heights) + _title_height(titles) + 2 * PAD + (CAPTION_HEIGHT if caption else 0))
        axes = figure.subplots(2, len(arrays), squeeze=False, gridspec_kw={"height_ratios": heights})
        for ax, detail_ax, title, array in zip(*axes, titles, arrays):
            _draw_picture(ax, array)
            ax.set_title(title)
            _draw_frame(ax, left, top, side)
            _draw_picture(detail_ax, array[top : top + side, left : left + side])
        if caption:
            figure.supxlabel(caption, fontsize=10, color=CAPTION_COLOUR)
    percent = f"{heights[1] * DPI / side:.0%}".replace("%", " %")
    figure.set_label(
        f"{len(arrays)} pictures, each with a part at {percent}: {', '.join(pictures)}. {caption}".rstrip()
    )
    return figure


def _draw_frame(ax: Axes, left: int, top: int, side: int) -> None:
    """Draw a square that can be seen on light and on dark pictures."""
    from matplotlib.patches import Rectangle

    for colour, line_width in (("black", 2.4), ("white", 1.2)):
        corner = left - 0.5, top - 0.5
        ax.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=colour, linewidth=line_width))


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
    colour: str
    steps: list[int]
    losses: list[float]


def _line(label: str, colour: str, records: Sequence[Record], losses: Iterable[float]) -> _Line:
    """Return a line for a logarithmic axis: values that cannot be drawn become gaps."""
    drawable = [loss if math.isfinite(loss) and loss > 0 else math.nan for loss in losses]
    return _Line(label, colour, [record.step for record in records], drawable)


def _lines_of_run(records: Sequence[Record]) -> list[_Line]:
    return [
        _line("total", INK, records, (r.total for r in records)),
        _line("style", COLOURS[1], records, (r.style_total for r in records)),
        _line("content", COLOURS[0], records, (r.content_total for r in records)),
    ]


def _values_for_limits(losses: list[float]) -> list[float]:
    """Return the losses that must be visible; a run that diverges for one step must not flatten all others."""
    if losses[0] > 0:
        return [loss for loss in losses if loss < 3 * losses[0]]
    return [loss for loss in losses if loss > 0]


def draw_curve(
    ax: Axes, records: Sequence[Record] | Mapping[str, Sequence[Record]], title: str = "", beside: bool = False
) -> None:
    """Draw the losses of a run, or the total losses of several runs, on existing axes.

    Args:
        ax: The axes.
        records: Records of one run, or of several runs by name.
        title: Title of the axes.
        beside: Put the legend beside the axes, where it covers no line.
    """
    several = isinstance(records, Mapping)
    if isinstance(records, Mapping):
        lines = [
            _line(name, COLOURS[i % len(COLOURS)], run, (r.total for r in run))
            for i, (name, run) in enumerate(records.items())
        ]
    else:
        lines = _lines_of_run(records)
    visible: list[float] = []
    for line in lines:
        width = 2.6 if line.colour == INK else 1.8  # the total of a single run
        ax.plot(line.steps, line.losses, label=line.label, color=line.colour, lw=width)
        visible += _values_for_limits(line.losses)
    ax.set_yscale("log")
    if visible and max(visible) > min(visible):
        # the content loss may start at zero, which must not stretch the axis downwards
        lowest = min(visible) if several else max(min(visible), max(visible) / 3e3)
        ax.set_ylim(lowest * 0.8, max(visible) * 1.25)
    ax.set_xlabel("evaluation")
    ax.set_ylabel("loss, weighted")
    ax.locator_params(axis="x", integer=True)
    label_log_axis(ax)
    if title:
        ax.set_title(title, loc="left")
    draw_legend(ax, beside)


def label_log_axis(ax: Axes) -> None:
    """Write plain numbers at a logarithmic vertical axis; over less than a factor of 50, also at 2 and 5."""
    from matplotlib.ticker import LogLocator

    low, high = ax.get_ylim()
    if high < 50 * low:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(lambda v, _: f"{v:,.0f}" if v >= 1 else f"{v:.2g}")
    ax.yaxis.set_minor_formatter(lambda v, _: "")


def draw_legend(ax: Axes, beside: bool = True) -> None:
    """Draw the legend of axes, beside them or where it covers least."""
    with course_style():
        if beside:
            ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0)
        else:
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
        draw_curve(figure.subplots(), records, wrapped(title, 0.8 * width), beside=width > 6)
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
        above = wrapped(title, 0.7 * width)
        title_height = 0.07 + _title_height([above]) if title else 0
        figure = new_figure(width, 0.42 * len(values) + 0.4 + title_height)
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
            ax.set_title(above, loc="left")
    values_text = ", ".join(f"{name} {number:.3g} {unit}".rstrip() for name, number in values.items())
    figure.set_label(": ".join(filter(None, [title, values_text])))
    return figure
