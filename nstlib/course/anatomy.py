"""Look into a network: heat maps of activations, tables, plots, and a browser over layers and channels."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ..images import from_pil
from . import figures
from .widgets import DISPLAY_SIDE, LivePicture, ShownWidget, require_ipywidgets

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table:
    """A table, as text or as HTML: the first column is aligned left, the others right.

    Attributes:
        header: Titles of the columns.
        rows: Text or numbers; integers are shown with commas.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]

    def _cells(self) -> list[list[str]]:
        rows = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in self.rows]
        return [list(self.header), *rows]

    def __repr__(self) -> str:
        return "\n".join(" | ".join(row) for row in self._cells())

    def _repr_html_(self) -> str:
        header, *rows = self._cells()
        return f"<table>{_html_row(header, 'th')}{''.join(_html_row(row, 'td') for row in rows)}</table>"


def _html_row(cells: Sequence[str], tag: str) -> str:
    sides = ["left"] + ["right"] * (len(cells) - 1)
    inner = (f"<{tag} style='text-align:{side}'>{html.escape(cell)}</{tag}>" for cell, side in zip(cells, sides))
    return f"<tr>{''.join(inner)}</tr>"


# --- feature maps --------------------------------------------------------------------------------------


def heatmap(values: Tensor, side: int = 96, signed: bool = False, vmax: float | None = None) -> Tensor:
    """Return a map (H, W) as a picture (1, 3, h, w): dark is zero, bright is large.

    Small maps are enlarged without smoothing, so that each value stays a square.

    Args:
        values: The map, (H, W).
        side: Long side of the picture in pixels.
        signed: Show negative values blue, zero white and positive values red.
        vmax: Value of the last colour; None takes the 99.5th percentile of the map (of its magnitudes if signed).
    """
    return from_pil(_heatmap_image(values, side, signed, vmax))


def _heatmap_image(values: Tensor, side: int, signed: bool = False, vmax: float | None = None) -> Image.Image:
    import matplotlib as mpl

    array = values.detach().float().cpu().numpy()  # numpy: torch's threads are slow on small maps
    if vmax is None:
        vmax = float(np.quantile(abs(array) if signed else array, 0.995))
    share = array / (vmax or 1.0)
    if signed:
        colours = mpl.colormaps["RdBu_r"]((share + 1) / 2, bytes=True)  # (H, W, 4)
    else:
        colours = mpl.colormaps["magma"](share, bytes=True)
    factor = side / max(array.shape)
    height, width = (max(1, round(n * factor)) for n in array.shape)
    resampling = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS
    return Image.fromarray(colours[..., :3].copy()).resize((width, height), resampling)


def top_channels(maps: Tensor, count: int, max_correlation: float = 0.6) -> list[int]:
    """Return the channels that vary most, in descending order of their standard deviation.

    The border is left out, because some channels respond to nothing but the zeros of the padding.

    Args:
        maps: Activations (1, C, H, W).
        count: Number of channels to return.
        max_correlation: Channels that correlate more than this with an earlier one come last.
    """
    height, width = maps.shape[2:]
    top, left = (max(1, side // 6) if side > 4 else 0 for side in (height, width))
    inner = maps[0, :, top : height - top, left : width - left].detach().float().flatten(1)  # (C, positions)
    inner = inner - inner.mean(1, keepdim=True)
    unit = F.normalize(inner)
    ranked = inner.norm(dim=1).argsort(descending=True).tolist()
    distinct: list[int] = []
    for channel in ranked:
        if len(distinct) == count:
            break
        if not distinct or (unit[distinct] @ unit[channel]).abs().max() <= max_correlation:
            distinct.append(channel)
    return (distinct + [channel for channel in ranked if channel not in distinct])[:count]


class Browser(ShownWidget):
    """Two sliders, one over layers and one over channels, and the feature map that they select.

    Attributes:
        maps: Activations (1, C, H, W) by layer, computed before.
        ranked: For each layer its channels, those that vary most first.
        layer: The slider over layers.
        channel: The slider over channels.
        view: The picture that is shown.
    """

    def __init__(self, maps: Mapping[str, Tensor], channels: int = 16, side: int = DISPLAY_SIDE) -> None:
        """Make the widget.

        Args:
            maps: Activations (1, C, H, W) by layer.
            channels: Number of channels to choose from, at most those of the narrowest layer.
            side: Long side in pixels at which maps are shown.
        """
        widgets = require_ipywidgets()
        self.maps, self.side = dict(maps), side
        self.ranked = {name: top_channels(activations, channels) for name, activations in self.maps.items()}
        options = {"layout": widgets.Layout(width="420px"), "style": {"description_width": "60px"}}
        last = min(len(ranked) for ranked in self.ranked.values())
        self.layer = widgets.SelectionSlider(options=list(self.maps), description="layer", **options)
        self.channel = widgets.IntSlider(value=1, min=1, max=last, description="map", **options)
        self.label = widgets.HTML()
        for slider in (self.layer, self.channel):
            slider.observe(lambda _: self.select(self.layer.value, self.channel.value), "value")
        self.view = self.still = LivePicture(b"", "")
        self.select(self.layer.value)
        self.widget = widgets.VBox([self.layer, self.channel, self.label, self.view.widget])

    def select(self, layer: str, rank: int = 1) -> bytes:
        """Show the feature map of a layer with this rank (1 varies most) and return its JPEG file."""
        channel, maps = self.ranked[layer][rank - 1], self.maps[layer]
        height, width = maps.shape[2:]
        which = f"{layer}, channel {channel} of {maps.shape[1]}, {width} x {height} values"
        self.label.value = which
        self.view.show(figures.jpeg(_heatmap_image(maps[0, channel], self.side)), f"feature map of {which}")
        return self.view.value


# --- plots ---------------------------------------------------------------------------------------------


def panels(count: int, width: float = figures.WIDTH, height: float = 3.2, **options: Any) -> tuple[Figure, list[Axes]]:
    """Return an empty figure in the style of the course and its axes, side by side.

    Args:
        count: Number of axes.
        width: Width of the figure in inches.
        height: Height of the figure in inches.
        options: Passed to ``Figure.subplots``, for example ``sharey=True``.
    """
    with figures.course_style():
        figure = figures.new_figure(width, height)
        return figure, list(figure.subplots(1, count, squeeze=False, **options)[0])


def lines(
    series: Mapping[str, Mapping[Any, float]], title: str = "", label: str = "", log: bool = False, xlabel: str = ""
) -> Figure:
    """Return several lines over the same names, such as layers; more than 20 numbers get an axis of numbers.

    Args:
        series: For each line its values by name: {line: {name: value}}.
        title: Title of the figure.
        label: Label of the vertical axis.
        log: Make the vertical axis logarithmic.
        xlabel: Label of the horizontal axis.
    """
    figure, (ax,) = panels(1, height=2.9)
    places: list[Any] = list(next(iter(series.values())))
    names = [str(name) for name in places]
    if len(places) <= 20 or not all(isinstance(place, (int, float)) for place in places):
        places = names
    for colour, marker, (line, values) in zip(figures.COLOURS, "osD^v<", series.items()):
        ax.plot(places, list(values.values()), label=line, color=colour, marker=marker, ms=4)
    if places == names and sum(map(len, names)) > 70:  # too long to stand beside each other
        ax.set_xticks(names, names, rotation=45, ha="right")
    ax.set(xlabel=xlabel, ylabel=label)
    ax.set_yscale("log" if log else "linear")
    if log:
        figures.label_log_axis(ax)
    ax.set_title(figures.wrapped(title, 0.8 * figures.WIDTH), loc="left")
    if len(series) > 1:
        figures.draw_legend(ax)
    return figure


def show_predictions(photos: Mapping[str, Tensor], predictions: Mapping[str, Sequence[tuple[str, float]]]) -> Figure:
    """Return photos, each above the classes that a network predicts for it, with bars for their probabilities.

    Args:
        photos: Pictures (1, 3, H, W) by name; the square in the middle is shown.
        predictions: For each name (class, probability), as ``nstlib.classify`` returns them.
    """
    column = figures.WIDTH / max(3, len(photos)) - figures.PAD
    longest = max(map(len, predictions.values()), default=1)
    heights = column, 0.24 * longest
    with figures.course_style():
        figure = figures.new_figure(len(photos) * (column + figures.PAD), sum(heights) + 0.45)
        axes = figure.subplots(2, len(photos), squeeze=False, gridspec_kw={"height_ratios": heights})
        for (name, photo), photo_ax, bars_ax in zip(photos.items(), *axes):
            photo_ax.imshow(figures.to_array(_middle_square(photo)), interpolation="lanczos")
            photo_ax.set_title(name)
            photo_ax.axis("off")
            _draw_probabilities(bars_ax, predictions[name], letters=int(13 * column))
    told = (f"{name}: {', '.join(f'{label} {p:.0%}' for label, p in predictions[name][:2])}" for name in photos)
    figure.set_label("photos with the classes that the network predicts: " + "; ".join(told))
    return figure


def _middle_square(photo: Tensor) -> Tensor:
    height, width = photo.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return photo[:, :, top : top + side, left : left + side]


def _draw_probabilities(ax: Axes, predictions: Sequence[tuple[str, float]], letters: int) -> None:
    """Draw a bar for each class, with its name and probability in at most ``letters`` letters."""
    ax.set(xlim=(0, 1), ylim=(len(predictions) - 0.4, -0.6), frame_on=False, xticks=[], yticks=[])
    ax.grid(visible=False)
    for i, (label, probability) in enumerate(predictions):
        ax.barh(i, probability, color="#8fbbdc" if i == 0 else "#d5dee6", height=0.86)
        first_name = label.split(",")[0]  # ImageNet's labels list synonyms
        if len(first_name) > letters - 5:
            first_name = first_name[: letters - 6] + "…"
        note = ax.annotate(f"{first_name}  {probability:.0%}", (0.02, i), va="center", fontsize=9)
        note.set_in_layout(False)  # a long name must not make the photos smaller
