"""Pictures that a reader can move, in plain HTML: they work with a kernel, in a saved notebook and on a web page.

The pictures are part of the output; no other address is used. Where scripts are not allowed, the first picture stays.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping

from torch import Tensor

from ..errors import SettingError
from . import figures
from .widgets import resize_down

SIDE = 512
"""Longest side in pixels of a picture; smaller ones are enlarged."""

_FRAME = "font-family:sans-serif;font-size:14px;max-width:{width}px;margin:.4em 0"


class PictureSlider:
    """A slider that shows one of several pictures.

    Attributes:
        pictures: The pictures (1, 3, H, W) by label.
        title: What the slider changes.
    """

    def __init__(self, pictures: Mapping[str, Tensor], title: str = "", side: int = SIDE) -> None:
        """Make the slider; see ``slide``."""
        if not pictures:
            raise SettingError("there is no picture to show; give at least one.")
        self.pictures, self.title, self.side = dict(pictures), title, side

    def __repr__(self) -> str:
        return f"a slider over {len(self.pictures)} pictures: {', '.join(self.pictures)}"

    def _repr_html_(self) -> str:
        images = []
        for i, (label, picture) in enumerate(self.pictures.items()):
            source, width = _encode(picture, self.side)
            shown = "" if i == 0 else "display:none;"
            alt = html.escape(f"{self.title} {label}".strip(), quote=True)
            images.append(f"<img src='{source}' alt='{alt}' width='{width}' style='{shown}max-width:100%'>")
        labels = "".join(
            f"<span style='{'' if i == 0 else 'display:none'}'>{html.escape(label)}</span>"
            for i, label in enumerate(self.pictures)
        )
        script = (
            "var b=this.closest('[data-nst]'),v=this.value;"
            "['img','.nst-label>span'].forEach(function(s){b.querySelectorAll(s).forEach("
            "function(e,i){e.style.display=i==v?'':'none'})})"
        )
        name = html.escape(self.title or "picture", quote=True)
        return (
            f"<div data-nst='slider' style='{_FRAME.format(width=self.side)}'>"
            f"<label>{html.escape(self.title)} <input type='range' min='0' max='{len(self.pictures) - 1}' value='0' "
            f"step='1' aria-label='{name}' style='vertical-align:middle;width:50%' oninput=\"{script}\"></label> "
            f"<b class='nst-label'>{labels}</b><br>{''.join(images)}</div>"
        )


class Wipe:
    """Two pictures of one size over each other, and a slider that moves the border between them.

    Attributes:
        before: The picture on the left, (1, 3, H, W).
        after: The picture on the right.
        labels: Their labels.
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
        (left, width), (right, _) = _encode(self.before, self.side), _encode(self.after, self.side)
        first, second = (html.escape(label, quote=True) for label in self.labels)
        script = (
            "var b=this.closest('[data-nst]'),v=this.value;"
            "b.querySelector('.nst-top').style.clipPath='inset(0 '+(100-v)+'% 0 0)';"
            "b.querySelector('.nst-line').style.left=v+'%'"
        )
        return (
            f"<div data-nst='wipe' style='{_FRAME.format(width=width)}'>"
            f"<div style='position:relative;line-height:0'>"
            f"<img src='{right}' alt='{second}' width='{width}' style='max-width:100%'>"
            f"<img class='nst-top' src='{left}' alt='{first}' "
            f"style='position:absolute;left:0;top:0;width:100%;height:100%;clip-path:inset(0 50% 0 0)'>"
            f"<div class='nst-line' style='position:absolute;top:0;bottom:0;left:50%;width:2px;background:#fff'></div>"
            f"</div><input type='range' min='0' max='100' value='50' aria-label='border between {first} and {second}' "
            f"style='width:100%;margin:.3em 0' oninput=\"{script}\">"
            f"<div style='display:flex;justify-content:space-between'><span>{first}</span><span>{second}</span></div>"
            "</div>"
        )


def _encode(picture: Tensor, side: int) -> tuple[str, int]:
    """Return a picture as a data address of a JPEG file, and its width in pixels."""
    shown = figures.enlarged(resize_down(picture.detach().cpu(), side), side)
    data = base64.b64encode(figures.jpeg(shown, quality=figures.QUALITY)).decode("ascii")
    return f"data:image/jpeg;base64,{data}", shown.shape[-1]


def slide(pictures: Mapping[str, Tensor], title: str = "", side: int = SIDE) -> PictureSlider:
    """Return a slider over pictures: ``slide({"1e3": a, "1e4": b}, "style weight")``.

    Args:
        pictures: Pictures (1, 3, H, W) in [0, 1] by label.
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
