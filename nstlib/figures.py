"""Figures of the lessons. Each function returns a matplotlib figure: as the last line of a cell it is shown.

They are made without pyplot, so that nothing is drawn twice and a thread may draw, too.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .errors import SettingError
from .images import to_pil

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .synthesis import Record

Picture = Tensor | Image.Image
DPI = 110
INK = "#33373d"
COLOURS = (
    "#2f6f9f",
    "#d1603d",
    "#6a994e",
    "#7a5195",
    "#c99a2e",
    "#5c6b73",
)  # told apart without colour vision, too
STYLE = {
    "font.size": 10, "axes.titlesize": 11, "axes.titlepad": 7, "axes.edgecolor": "#9aa0a6", "text.color": INK,
    "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": "#e4e6e8", "grid.linewidth": 0.8,
    "axes.axisbelow": True, "legend.frameon": False, "lines.linewidth": 1.8, "figure.facecolor": "white",
}  # fmt: skip


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SettingError("the figures need matplotlib; run 'pip install matplotlib'.") from error
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def _styled():  # noqa: ANN202 - matplotlib's context manager
    import matplotlib as mpl

    return mpl.rc_context(STYLE)


def _array(picture: Picture) -> np.ndarray:
    return np.asarray(picture if isinstance(picture, Image.Image) else to_pil(picture))


def show(
    pictures: Picture | Sequence[Picture] | Mapping[str, Picture],
    titles: Sequence[str] | str = (),
    *,
    columns: int | None = None,
    width: float = 10.0,
    caption: str = "",
    frame: int | None = None,
) -> Figure:
    """Pictures beside each other, each under its title, without axes.

    ``pictures`` may be one picture, a list, or a dictionary from titles to pictures. ``columns`` breaks
    the row (by default at five). ``frame`` draws a frame around the picture of that index.
    """
    if isinstance(pictures, Mapping):
        titles, pictures = list(pictures), list(pictures.values())
    elif isinstance(pictures, (Tensor, Image.Image)):
        pictures, titles = [pictures], [titles] if isinstance(titles, str) else titles
    pictures, titles = list(pictures), list(titles)
    if not pictures:
        raise SettingError("there is no picture to show; give at least one.")
    arrays = [_array(p) for p in pictures]
    columns = min(len(arrays), columns or 5)
    rows = math.ceil(len(arrays) / columns)
    if len(arrays) == 1:
        width = min(width, 5.5)
    # every row is as high as its highest picture at this column width, and its title
    shapes = [a.shape[0] / a.shape[1] for a in arrays]
    heights = [max(shapes[r * columns : (r + 1) * columns]) * width / columns for r in range(rows)]
    line = 0.32 if titles else 0.06
    with _styled():
        figure = _figure(width, sum(heights) + line * rows + (0.3 if caption else 0))
        axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw={"height_ratios": heights})
        for i, ax in enumerate(axes.flat):
            ax.axis("off")
            if i >= len(arrays):
                continue
            ax.set_anchor("N")  # titles in one line, whatever the shapes
            ax.imshow(arrays[i], interpolation="lanczos" if arrays[i].shape[1] < 400 else "antialiased")
            if i < len(titles):
                ax.set_title(titles[i])
            if frame == i:
                h, w = arrays[i].shape[:2]
                ax.add_patch(_rectangle(w, h))
        if caption:
            figure.supxlabel(caption, fontsize=10, color="#5f6368")
    return figure


def _rectangle(width: int, height: int):  # noqa: ANN202
    from matplotlib.patches import Rectangle

    return Rectangle((-0.5, -0.5), width, height, fill=False, edgecolor=COLOURS[1], linewidth=4)


def _finite(values: Sequence[float]) -> list[float]:
    """Values for a logarithmic axis: what cannot be drawn becomes a gap."""
    return [v if math.isfinite(v) and v > 0 else math.nan for v in values]


def draw_curve(ax, records: Sequence[Record] | Mapping[str, Sequence[Record]], title: str = "") -> None:  # noqa: ANN001
    """The losses of a run, or the totals of several runs, on axes that are there."""
    several = isinstance(records, Mapping)
    if several:
        lines = [(name, rs, "total") for name, rs in records.items()]
    else:
        lines = [
            ("total", records, "total"),
            ("style", records, "style_total"),
            ("content", records, "content_total"),
        ]
    drawn = []
    for colour, (label, rs, what) in zip(COLOURS * 3, lines):
        values = _finite([getattr(r, what) for r in rs])
        first = colour == COLOURS[0] and not several
        ax.plot(
            [r.step for r in rs],
            values,
            label=label,
            color=INK if first else colour,
            lw=2.6 if first else 1.8,
        )
        # a run that diverges for one step must not squeeze everything else into a line
        drawn += [v for v in values if v < 3 * values[0]] if values[0] > 0 else [v for v in values if v > 0]
    ax.set_yscale("log")
    if drawn and max(drawn) > min(drawn):
        # a content loss that starts at zero would do the same from below
        low = min(drawn) if several else max(min(drawn), max(drawn) / 3e3)
        ax.set_ylim(low * 0.8, max(drawn) * 1.25)
    ax.set_xlabel("step")
    ax.set_ylabel("loss, weighted")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.yaxis.set_major_formatter(lambda v, _: f"{v:,.0f}" if v >= 1 else f"{v:.2g}")
    ax.yaxis.set_minor_formatter(lambda v, _: "")
    if title:
        ax.set_title(title)
    ax.legend(loc="best")


def curve(
    records: Sequence[Record] | Mapping[str, Sequence[Record]], title: str = "", width: float = 7.0, height: float = 0.0
) -> Figure:
    """The losses of one run (total, style, content), or of several runs given as {name: records}."""
    if not records:
        raise SettingError("there is no record to draw; give result.records.")
    with _styled():
        figure = _figure(width, height or width * 0.48)
        draw_curve(figure.subplots(), records, title)
    return figure


def painting_so_far(picture: Picture, records: Sequence[Record], title: str = "", width: float = 10.0) -> Figure:
    """The picture beside the losses that led to it: what the live widget shows, as one figure."""
    array = _array(picture)
    height = min(5.0, max(2.6, width * 0.45 * array.shape[0] / array.shape[1] + 0.5))
    with _styled():
        figure = _figure(width, height)
        left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": (1, 1)})
        left.axis("off")
        left.imshow(array, interpolation="lanczos" if array.shape[1] < 400 else "antialiased")
        left.set_title(title or (f"after {records[-1].step} steps" if records else ""))
        if records:
            draw_curve(right, records)
    return figure


def bars(values: Mapping[str, float], unit: str = "", width: float = 7.0, title: str = "") -> Figure:
    """A few numbers as horizontal bars with the number at their end."""
    with _styled():
        figure = _figure(width, 0.42 * len(values) + (0.75 if title else 0.4))
        ax = figure.subplots()
        names, numbers = list(values), list(values.values())
        ax.barh(names, numbers, color=[COLOURS[i % len(COLOURS)] for i in range(len(names))], height=0.62)
        ax.invert_yaxis()
        ax.grid(visible=False)
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(length=0)
        ax.set_xticks([])
        for i, number in enumerate(numbers):
            ax.annotate(
                f"{number:.3g}{' ' + unit if unit else ''}",
                (number, i),
                (4, 0),
                textcoords="offset points",
                va="center",
            )
        ax.set_xlim(0, max(numbers) * 1.2 or 1)
        if title:
            ax.set_title(title, loc="left")
    return figure


def jpeg(picture: Picture | Figure, quality: int = 88) -> bytes:
    """A picture or a figure as the bytes of a JPEG file, as the widgets send them."""
    buffer = io.BytesIO()
    if isinstance(picture, (Tensor, Image.Image)):
        image = picture if isinstance(picture, Image.Image) else to_pil(picture)
        image.convert("RGB").save(buffer, "JPEG", quality=quality)
    else:
        picture.savefig(buffer, format="jpeg", dpi=DPI, pil_kwargs={"quality": quality})
    return buffer.getvalue()


def enlarged(picture: Tensor, long_side: int) -> Tensor:
    """A small picture at a size that one can look at; never smaller than it is."""
    factor = long_side / max(picture.shape[-2:])
    if factor <= 1:
        return picture
    size = [round(s * factor) for s in picture.shape[-2:]]
    return torch.nn.functional.interpolate(picture, size, mode="bicubic").clamp(0, 1)
