"""What lies inside a network: feature maps as heat, tables, and two sliders over layers and channels."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from . import figures
from .images import from_pil
from .widgets import _ipywidgets, _Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Table:
    """Rows under heads; the first column is text, the others are numbers, set to the right."""

    heads: Sequence[str]
    rows: Sequence[Sequence[object]]

    def _lines(self) -> list[list[str]]:
        return [list(self.heads), *([f"{x:,}" if isinstance(x, int) else str(x) for x in row] for row in self.rows)]

    def __repr__(self) -> str:
        return "\n".join(" | ".join(line) for line in self._lines())

    def _repr_html_(self) -> str:
        rows = ""
        for i, line in enumerate(self._lines()):
            tag, sides = "td" if i else "th", ["left"] + ["right"] * (len(line) - 1)
            cells = (f"<{tag} style='text-align:{s}'>{html.escape(x)}</{tag}>" for x, s in zip(line, sides))
            rows += f"<tr>{''.join(cells)}</tr>"
        return f"<table>{rows}</table>"


def heat(values: Tensor, side: int = 96, signed: bool = False, top: float | None = None) -> Tensor:
    """A map (H, W) as a picture (1, 3, h, w): dark is none, bright is much; ``signed``: blue, white, red.

    ``side`` is the long side of the picture; small maps are enlarged without smoothing, so that each number
    stays a square. ``top`` is the value of the brightest colour, by default the map's 99.5th percentile.
    """
    return from_pil(_heat(values, side, signed, top))


def _heat(values: Tensor, side: int, signed: bool = False, top: float | None = None) -> Image.Image:
    import matplotlib as mpl

    numbers = values.detach().float().cpu().numpy()  # for small maps torch's threads would only be in the way
    top = float(np.quantile(abs(numbers) if signed else numbers, 0.995)) if top is None else top
    share = numbers / (top or 1.0)
    colours = mpl.colormaps["RdBu_r" if signed else "magma"]((share + 1) / 2 if signed else share, bytes=True)
    factor = side / max(numbers.shape)
    size = [max(1, round(s * factor)) for s in reversed(numbers.shape)]
    how = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS
    return Image.fromarray(colours[..., :3].copy()).resize(size, how)


def strongest(maps: Tensor, count: int, alike: float = 0.6) -> list[int]:
    """The channels (of maps (1, C, H, W)) in which most happens, those that vary most first.

    Not counted: the rim, where some see only the zeros of the padding. Channels that are more ``alike``
    (correlated) than this with an earlier one come at the end.
    """
    rim = [max(1, s // 6) if s > 4 else 0 for s in maps.shape[2:]]
    inner = maps[0, :, rim[0] : maps.shape[2] - rim[0], rim[1] : maps.shape[3] - rim[1]].detach().float().flatten(1)
    inner = inner - inner.mean(1, keepdim=True)
    unit = F.normalize(inner)
    first: list[int] = []
    order = inner.norm(dim=1).argsort(descending=True).tolist()
    for channel in order:
        if len(first) < count and not (first and (unit[first] @ unit[channel]).abs().max() > alike):
            first.append(channel)
    return (first + [c for c in order if c not in first])[:count]


class Browser(_Shown):
    """Two sliders, one over layers and one over channels; ``maps`` holds the activations, computed before."""

    def __init__(self, maps: Mapping[str, Tensor], channels: int = 16, side: int = 380) -> None:
        widgets = _ipywidgets()
        self.maps, self.side = dict(maps), side
        self.ranked = {name: strongest(m, channels) for name, m in self.maps.items()}
        wide = {"layout": widgets.Layout(width="420px"), "style": {"description_width": "60px"}}
        self.layer = widgets.SelectionSlider(options=list(self.maps), description="layer", **wide)
        last = min(len(r) for r in self.ranked.values())
        self.channel = widgets.IntSlider(value=1, min=1, max=last, description="map", **wide)
        self.label, self.view = widgets.HTML(), widgets.Image(format="jpeg")
        for slider in (self.layer, self.channel):
            slider.observe(lambda _: self.pick(self.layer.value, self.channel.value), "value")
        self.pick(self.layer.value)
        self.widget = widgets.VBox([self.layer, self.channel, self.label, self.view])

    def pick(self, layer: str, place: int = 1) -> bytes:
        """Show the map of a layer that stands at a place (1 is the strongest); answers with its JPEG file."""
        number, maps = self.ranked[layer][place - 1], self.maps[layer]
        high, wide = maps.shape[2:]
        self.label.value = f"{layer}, channel {number} of {maps.shape[1]}, {wide} x {high} numbers"
        self.view.value = figures.jpeg(_heat(maps[0, number], self.side))
        return self.view.value


def panels(count: int, width: float = 10.0, height: float = 3.2, **options: object):  # noqa: ANN201
    """An empty figure in the course's style, with ``count`` axes in a row: (figure, list of axes)."""
    with figures._styled():
        figure = figures._figure(width, height)
        figure.set_dpi(92)  # lines need fewer pixels than photos
        return figure, list(figure.subplots(1, count, squeeze=False, **options)[0])


def lines(series: Mapping[str, Mapping[object, float]], title: str = "", label: str = "", log: bool = False) -> Figure:
    """Several lines over the same names, such as layers: {line: {name: value}}."""
    figure, (ax,) = panels(1, 8.0, 2.9)
    names = [str(n) for n in next(iter(series.values()))]
    for colour, mark, (line, values) in zip(figures.COLOURS, "osD^v<", series.items()):
        ax.plot(names, list(values.values()), label=line, color=colour, marker=mark, ms=4)
    if sum(map(len, names)) > 70:
        ax.set_xticks(names, names, rotation=45, ha="right")
    ax.set(ylabel=label, yscale="log" if log else "linear")
    if log:
        ax.yaxis.set_major_formatter(lambda v, _: f"{v:,.0f}" if v >= 1 else f"{v:.2g}")
    ax.set_title(title, loc="left")
    if len(series) > 1:
        ax.legend(loc="best", frameon=False)
    return figure


def answers(photos: Mapping[str, Tensor], said: Mapping[str, Sequence[tuple[str, float]]]) -> Figure:
    """Photos, each above the classes that a network names, with bars for their probabilities."""
    figure = figures._figure(2.4 * len(photos), 3.8)
    figure.set_dpi(92)
    rows = figure.subplots(2, len(photos), squeeze=False, gridspec_kw={"height_ratios": (1.5, 1)})
    for top, low, (name, photo) in zip(rows[0], rows[1], photos.items()):
        y, x = (max(0, a - b) // 2 for a, b in (photo.shape[2:], photo.shape[:1:-1]))  # the middle square
        top.imshow(figures._array(photo[:, :, y : photo.shape[2] - y, x : photo.shape[3] - x]), interpolation="lanczos")
        top.set_title(name)
        top.axis("off")
        low.set(xlim=(0, 1), ylim=(len(said[name]) - 0.4, -0.6), frame_on=False, xticks=[], yticks=[])
        for i, (label, chance) in enumerate(said[name]):
            low.barh(i, chance, color="#8fbbdc" if i == 0 else "#d5dee6", height=0.86)
            low.annotate(f"{label.split(',')[0]}  {chance:.0%}", (0.02, i), va="center", fontsize=9)
    return figure
