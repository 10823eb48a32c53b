"""Pictures that a reader can move, in plain HTML: they work with a kernel, in a saved notebook and on a web page.

>>> from nstlib.course.interactive import slide, wipe
>>> slide({"1e3": first, "1e4": second}, "style weight")
>>> wipe(photo, result, ("photo", "result"))

The pictures are part of the output; nothing comes from another address. Where scripts are not allowed, as on GitHub or
in a notebook that JupyterLab does not trust yet, all pictures are shown beside each other: the handler ``onload`` of
the last one makes the slider of them. The control is an ``<input type='range'>``, which the keyboard moves and screen
readers announce.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence

from torch import Tensor

from ..errors import SettingError
from . import figures
from .widgets import resize_down

SIDE = 512
"""Long side in pixels of a picture; a smaller one is enlarged."""

_BOX = "font:14px/1.5 Helvetica,Arial,'DejaVu Sans',sans-serif;max-width:{width}px;margin:.5em 0"
_FIGURE = "display:inline-block;vertical-align:top;width:48%;margin:0 1% .5em 0"
_PICTURE = "display:block;width:100%;height:auto;border-radius:3px"
_RANGE = (
    f"display:block;width:100%;margin:.35em 0;box-sizing:border-box;cursor:pointer;accent-color:{figures.COLOURS[0]}"
)

_PREPARE = (
    "var b=this.closest('[data-nst]'),f=b.querySelectorAll('figure');b.firstElementChild.style.display='';"
    "f.forEach(function(e){e.style.display='block';e.style.width='100%';e.style.margin=0;"
    "e.firstElementChild.style.display='none'});"
)
"""Show the control and give each picture the whole width without its own label."""

_ONLY_FIRST = _PREPARE + "f.forEach(function(e,i){if(i)e.style.display='none'})"
_SHOW_ONE = (
    "var b=this.closest('[data-nst]'),v=+this.value,t='';"
    "b.querySelectorAll('figure').forEach(function(e,i){e.style.display=i===v?'block':'none';"
    "if(i===v)t=e.firstElementChild.textContent});"
    "b.querySelector('b').textContent=t;this.setAttribute('aria-valuetext',t)"
)
"""What a movement of the slider does: all pictures but one are hidden, and its label is shown."""

_LAY_OVER = (
    f"{_PREPARE}f[0].style.position='absolute';f[0].style.top=f[0].style.left=0;"
    "f[0].style.clipPath='inset(0 50% 0 0)';b.querySelector('span').style.display=''"
)
_MOVE_BORDER = (
    "var b=this.closest('[data-nst]'),v=this.value;"
    "b.querySelector('figure').style.clipPath='inset(0 '+(100-v)+'% 0 0)';b.querySelector('span').style.left=v+'%'"
)
"""What a movement of the border does: the upper picture is cut off at its right."""


class PictureSlider:
    """A slider that shows one of several pictures.

    Attributes:
        pictures: The pictures (1, 3, H, W) by label.
        title: What the slider changes.
        side: Long side in pixels at which they are shown.
    """

    def __init__(self, pictures: Mapping[str, Tensor], title: str = "", side: int = SIDE) -> None:
        """Make the slider; see ``slide``."""
        if not pictures:
            raise SettingError("there is no picture to show; give at least one.")
        self.pictures = {str(label): picture for label, picture in pictures.items()}
        self.title, self.side = title, side

    def __repr__(self) -> str:
        return f"a slider over {len(self.pictures)} pictures: {', '.join(self.pictures)}"

    def _repr_html_(self) -> str:
        shown = [_encode(picture, self.side) for picture in self.pictures.values()]
        alts = [f"{self.title} {label}".strip() for label in self.pictures]
        title = f"{_escape(self.title)}: " if self.title else ""
        first = _escape(next(iter(self.pictures)))
        control = f"<div>{title}<b>{first}</b></div>" + _range(
            len(shown) - 1, 0, self.title or "picture", _SHOW_ONE, f" aria-valuetext='{first}'"
        )
        return _output("slider", control, _figures(shown, list(self.pictures), alts, _ONLY_FIRST), shown)


class Wipe:
    """Two pictures of one size over each other, and a slider that moves the border between them.

    Attributes:
        before: The picture on the left, (1, 3, H, W).
        after: The picture on the right.
        labels: Their labels.
        side: Long side in pixels at which they are shown.
    """

    def __init__(self, before: Tensor, after: Tensor, labels: tuple[str, str], side: int = SIDE) -> None:
        """Make the slider; see ``wipe``."""
        if before.shape[-2:] != after.shape[-2:]:
            sizes = " and ".join(f"{p.shape[-1]} x {p.shape[-2]}" for p in (before, after))
            raise SettingError(f"the two pictures have different sizes, {sizes}; resize one of them.")
        self.before, self.after, self.labels, self.side = before, after, labels, side

    def __repr__(self) -> str:
        return f"a border to move between {self.labels[0]} and {self.labels[1]}"

    def _repr_html_(self) -> str:
        shown = [_encode(picture, self.side) for picture in (self.before, self.after)]
        first, second = (_escape(label) for label in self.labels)
        control = (
            f"<div style='display:flex;justify-content:space-between'><b>{first}</b><b>{second}</b></div>"
            f"{_range(100, 50, f'border between {self.labels[0]} and {self.labels[1]}', _MOVE_BORDER)}"
        )
        line = (
            "<span style='display:none;position:absolute;top:0;bottom:0;left:50%;width:2px;margin-left:-1px;"
            "background:#fff;box-shadow:0 0 3px #000'></span>"
        )
        return _output("wipe", control, _figures(shown, self.labels, self.labels, _LAY_OVER) + line, shown)


def _output(kind: str, control: str, pictures: str, shown: Sequence[tuple[str, int]]) -> str:
    """Return the whole output: the control, which is hidden until the handler ``onload`` has run, and the pictures."""
    width = max(width for _, width in shown)
    return (
        f"<div data-nst='{kind}' style=\"{_BOX.format(width=width)}\"><div style='display:none'>{control}</div>"
        f"<div style='position:relative'>{pictures}</div></div>"
    )


def _figures(shown: Sequence[tuple[str, int]], labels: Sequence[str], alts: Sequence[str], onload: str) -> str:
    """Return pictures beside each other, each under its label; the last one has the handler ``onload``."""
    parts = []
    for i, ((source, width), label, alt) in enumerate(zip(shown, labels, alts)):
        handler = f' onload="{onload}"' if i == len(shown) - 1 else ""
        parts.append(
            f"<figure style='{_FIGURE}'><figcaption>{_escape(label)}</figcaption>"
            f"<img src='{source}' alt='{_escape(alt)}' width='{width}' style='{_PICTURE};max-width:{width}px'{handler}>"
            "</figure>"
        )
    return "".join(parts)


def _range(last: int, value: int, name: str, handler: str, more: str = "") -> str:
    """Return a slider from 0 to ``last``. JupyterLab would keep the arrow keys for itself without the attribute."""
    return (
        f"<input type='range' min='0' max='{last}' step='1' value='{value}' aria-label='{_escape(name)}'{more} "
        f"autocomplete='off' data-lm-suppress-shortcuts='true' style='{_RANGE}' oninput=\"{handler}\">"
    )


def _escape(words: str) -> str:
    return html.escape(words, quote=True)


def _encode(picture: Tensor, side: int) -> tuple[str, int]:
    """Return a picture as a data address of a JPEG file, and its width in pixels."""
    shown = figures.enlarged(resize_down(picture.detach().cpu(), side), side)
    data = base64.b64encode(figures.jpeg(shown, quality=figures.QUALITY)).decode("ascii")
    return f"data:image/jpeg;base64,{data}", shown.shape[-1]


def slide(pictures: Mapping[str, Tensor], title: str = "", side: int = SIDE) -> PictureSlider:
    """Return a slider over pictures: ``slide({"1e3": a, "1e4": b}, "style weight")``.

    Args:
        pictures: Pictures (1, 3, H, W) in [0, 1] by label, in the order of the slider.
        title: What the slider changes.
        side: Long side in pixels at which the pictures are shown.

    Raises:
        SettingError: There is no picture.
    """
    return PictureSlider(pictures, title, side)


def wipe(before: Tensor, after: Tensor, labels: tuple[str, str] = ("before", "after"), side: int = SIDE) -> Wipe:
    """Return two pictures over each other with a border to move.

    Args:
        before: Picture (1, 3, H, W) in [0, 1], on the left.
        after: Picture of the same size, on the right.
        labels: Their labels.
        side: Long side in pixels at which the pictures are shown.

    Raises:
        SettingError: The sizes differ.
    """
    return Wipe(before, after, labels, side)
