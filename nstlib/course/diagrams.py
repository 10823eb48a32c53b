"""Diagrams of the lessons, drawn by code as SVG: VGG's layers, and the data flow of each method.

>>> from nstlib.course import diagrams
>>> diagrams.vgg("vgg19", highlight={"content": ["relu4_2"], "style": ["relu1_1", "relu2_1"]})
VGG-19: five blocks of convolutions ...
>>> diagrams.method("gatys")
Gatys' method: ...

As the last line of a cell a diagram is displayed. It has a white background, so that it can be read on a dark page too.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..architecture import BLOCKS, WIDTHS, layer_names
from ..errors import LayerError, SettingError
from .figures import COLOURS, INK, PAGE_WIDTH

WIDTH = 900
"""Width of every diagram in the units in which it is drawn; it is shown as wide as the course's figures."""

FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
CONTENT, STYLE, NETWORK, GRADIENT = COLOURS[:4]
GREY, PALE = "#5c6b73", "#f1f3f5"
TINTS = {CONTENT: "#e4eef6", STYLE: "#fbe9e2", NETWORK: "#e9f1e2", GRADIENT: "#efe6f4", GREY: PALE}
"""Fill of a box by the colour of its edge."""


class Diagram:
    """A diagram that a notebook displays.

    Attributes:
        svg: The picture as SVG.
        alt: What it shows, for readers who cannot see it.
    """

    def __init__(self, svg: str, alt: str) -> None:
        """Keep the picture and its text."""
        self.svg, self.alt = svg, alt

    def __repr__(self) -> str:
        return self.alt

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, Any]]:
        return {"image/svg+xml": self.svg, "text/plain": self.alt}, {"image/svg+xml": {"alt": self.alt}}


# --- drawing -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Box:
    """A rectangle by its left upper corner and its size; what arrows start from and end at."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass
class _Canvas:
    """Elements of an SVG picture in the order in which they are drawn."""

    elements: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, size: float = 13, **look: str) -> None:
        """Write one line, centered at x, with its baseline at y."""
        look = {"text_anchor": "middle", "fill": INK, **look}
        self.elements.append(
            f"<text x='{x:g}' y='{y:g}' font-size='{size:g}'{_attributes(look)}>{_escape(words)}</text>"
        )

    def rectangle(self, box: _Box, radius: float = 5, **look: str) -> None:
        """Draw a rectangle."""
        self.elements.append(
            f"<rect x='{box.x:g}' y='{box.y:g}' width='{box.width:g}' height='{box.height:g}' rx='{radius:g}'"
            f"{_attributes(look)}/>"
        )

    def polygon(self, *points: tuple[float, float], **look: str) -> None:
        """Draw a closed area."""
        self.elements.append(f"<polygon points='{_points(points)}'{_attributes(look)}/>")

    def path(self, *points: tuple[float, float], **look: str) -> None:
        """Draw straight lines from point to point."""
        self.elements.append(f"<polyline points='{_points(points)}' fill='none'{_attributes(look)}/>")

    def box(self, box: _Box, lines: Sequence[str], colour: str = GREY, bold: int = 1) -> _Box:
        """Draw a box with centered lines of text, the first ``bold`` ones bold, and return it."""
        self.rectangle(box, fill=TINTS[colour], stroke=colour, stroke_width="1.4")
        x, y = box.middle
        for i, words in enumerate(lines):
            baseline = y - (len(lines) - 1) * 8.5 + 17 * i + 4.5
            if i < bold:
                self.text(x, baseline, words, font_weight="bold")
            else:
                self.text(x, baseline, words, 12)
        return box

    def arrow(self, *points: tuple[float, float], colour: str = GREY, dashed: bool = False) -> None:
        """Draw an arrow along points; its tip is the last one."""
        (x0, y0), (x1, y1) = points[-2:]
        length = max(abs(x1 - x0), abs(y1 - y0))
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        base = x1 - 8 * dx, y1 - 8 * dy
        look = {"stroke_dasharray": "5 3.5"} if dashed else {}
        self.path(*points[:-1], base, stroke=colour, stroke_width="1.8", **look)
        wings = [(base[0] + 4.5 * side * dy, base[1] - 4.5 * side * dx) for side in (-1, 1)]
        self.polygon((x1, y1), *wings, fill=colour)

    def link(self, left: _Box, right: _Box, y: float, back: bool = False, colour: str = GREY) -> None:
        """Draw an arrow between two boxes at height y, and with ``back`` the gradient's arrow below it."""
        shift = 7 if back else 0
        self.arrow((left.right, y - shift), (right.x, y - shift), colour=colour)
        if back:
            self.arrow((right.x, y + shift), (left.right, y + shift), colour=GRADIENT, dashed=True)

    def diagram(self, height: float, alt: str) -> Diagram:
        """Return the picture on its background."""
        head = (
            f"<svg xmlns='http://www.w3.org/2000/svg' role='img' aria-label='{_escape(alt)}' width='{PAGE_WIDTH}' "
            f"height='{height * PAGE_WIDTH / WIDTH:.0f}' viewBox='0 0 {WIDTH} {height:g}' font-family=\"{FONT}\" "
            f"style='max-width:100%;height:auto'><rect width='{WIDTH}' height='{height:g}' rx='10' fill='#ffffff'/>"
        )
        return Diagram(head + "".join(self.elements) + "</svg>", alt)


def _escape(words: str) -> str:
    return html.escape(words, quote=True)


def _attributes(look: Mapping[str, str]) -> str:
    return "".join(f" {name.replace('_', '-')}='{value}'" for name, value in look.items())


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


# --- VGG -----------------------------------------------------------------------------------------------

_BLOCK_LEFT, _BLOCK_WIDTH = 92, 160
_AXIS = 128
"""Height of the middle of the feature maps."""

_GROUP_COLOURS = {"content": CONTENT, "style": STYLE}
"""Groups whose color has a meaning in the course."""


def vgg(
    arch: str = "vgg19",
    highlight: str | Sequence[str] | Mapping[str, str | Sequence[str]] = (),
    size: int = 224,
    widths: Sequence[int] = WIDTHS,
) -> Diagram:
    """Return VGG's blocks with the sizes of their feature maps, their channels and the names of their layers.

    Args:
        arch: "vgg19" or "vgg16".
        highlight: Layers to color; or, to color several groups, layers by the name of the group, such as
            ``{"content": ["relu4_2"], "style": ["relu1_1", "relu2_1"]}``.
        size: Side of the picture in pixels.
        widths: Channels of each block.

    Raises:
        SettingError: The architecture is unknown.
        LayerError: It does not have a highlighted layer.
    """
    names = layer_names(arch)
    groups = _groups(highlight)
    colours = {group: _GROUP_COLOURS.get(group, COLOURS[(1 + i) % len(COLOURS)]) for i, group in enumerate(groups)}
    marked = {layer: colours[group] for group, layers in groups.items() for layer in layers}
    for layer in marked:
        if layer not in names:
            raise LayerError(f"{arch} has no layer {layer!r}; its layers are {', '.join(names)}.")
    title = f"{arch.upper()[:3]}-{arch[3:]}"
    canvas = _Canvas()
    canvas.text(24, 32, f"{title}: each pooling halves the maps", 15, text_anchor="start", font_weight="bold")
    _draw_picture_icon(canvas, _Box(22, _AXIS - 28, 56, 56), "photo")
    canvas.text(50, 236, "picture", font_weight="bold")
    canvas.text(50, 254, f"{size} × {size}", 12)
    canvas.text(50, 271, "3 channels", 12)
    end: float = 78
    for block, convolutions in enumerate(BLOCKS[arch], start=1):
        side, channels = max(1, size // 2 ** (block - 1)), widths[block - 1]
        end = _draw_maps(canvas, block, convolutions, (side / size, channels / max(widths)), marked, end)
        _draw_names(canvas, block, convolutions, side, channels, marked)
    bottom = 284 + 27 * (max(BLOCKS[arch]) + 1)
    _draw_legend(canvas, bottom - 19, colours)
    sizes = "; ".join(f"{size // 2**i} x {size // 2**i} x {width}" for i, width in enumerate(widths))
    told = "; ".join(f"{group}: {', '.join(layers)}" for group, layers in groups.items())
    alt = (
        f"{title}: five blocks of convolutions, each followed by a ReLU, and a pooling after each block. Size and "
        f"channels of the feature maps: {sizes}." + (f" Highlighted layers, {told}." if told else "")
    )
    return canvas.diagram(bottom + 18, alt)


def _groups(highlight: str | Sequence[str] | Mapping[str, str | Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the highlighted layers by the name of their group, without empty groups."""
    groups = highlight if isinstance(highlight, Mapping) else {"used here": highlight}
    return {
        group: (layers,) if isinstance(layers, str) else tuple(layers) for group, layers in groups.items() if layers
    }


def _draw_maps(
    canvas: _Canvas, block: int, convolutions: int, scale: tuple[float, float], marked: Mapping[str, str], end: float
) -> float:
    """Draw the maps of a block as slabs in proportion, and the arrow to them; return where they end."""
    height, depth = 132 * scale[0], 23 * scale[1]
    left = _BLOCK_LEFT + _BLOCK_WIDTH * (block - 1) + 14.0
    if block > 1:
        canvas.arrow((end + 5, _AXIS), (left - 4, _AXIS))
        canvas.text((end + left) / 2, _AXIS - 9, f"pool{block - 1}", 12)
    else:
        canvas.arrow((end, _AXIS), (left - 4, _AXIS))
    slant = 0.26 * height
    gap = max(3.0, slant * 0.3)
    x = left
    for i in range(1, convolutions + 1):
        colour = marked.get(f"conv{block}_{i}") or marked.get(f"relu{block}_{i}") or "#8fa3b0"
        _draw_slab(canvas, _Box(x, _AXIS - height / 2 + slant / 2, depth, height), slant, colour)
        x += depth + gap
    return x - gap + slant


def _draw_slab(canvas: _Canvas, front: _Box, slant: float, colour: str) -> None:
    """Draw a box in oblique projection: its front is ``front``, its depth goes right and up by ``slant``."""
    edge = {"stroke": "#ffffff", "stroke_width": "0.7"}
    x, y, right, bottom = front.x, front.y, front.right, front.bottom
    side = (right, y), (right + slant, y - slant), (right + slant, bottom - slant), (right, bottom)
    top = (x, y), (x + slant, y - slant), (right + slant, y - slant), (right, y)
    canvas.polygon(*side, fill=colour, **edge)
    canvas.polygon(*top, fill=_lighter(colour, 0.4), **edge)
    canvas.polygon((x, y), (right, y), (right, bottom), (x, bottom), fill=_lighter(colour, 0.15), **edge)


def _lighter(colour: str, share: float) -> str:
    """Return a color "#rrggbb" mixed with white."""
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(part + (255 - part) * share):02x}" for part in parts)


def _draw_names(
    canvas: _Canvas, block: int, convolutions: int, side: int, channels: int, marked: Mapping[str, str]
) -> None:
    """Write size, channels and layers of a block in its column."""
    left = _BLOCK_LEFT + _BLOCK_WIDTH * (block - 1) + 8
    middle = left + 72.5
    canvas.text(middle, 236, f"block {block}", font_weight="bold")
    canvas.text(middle, 254, f"{side} × {side}", 12)
    canvas.text(middle, 271, f"{channels} channels", 12)
    rows = [(f"conv{block}_{i}", f"relu{block}_{i}") for i in range(1, convolutions + 1)]
    for i, row in enumerate([*rows, (f"pool{block}",)]):
        for j, name in enumerate(row):
            box = _Box(left + 75 * j, 284 + 27 * i, 70 if len(row) == 2 else 145, 23)
            colour = marked.get(name)
            canvas.rectangle(box, fill=colour or PALE, stroke=colour or "#cfd6db", stroke_width="1")
            look = {"fill": "#ffffff", "font_weight": "bold"} if colour else {}
            canvas.text(box.middle[0], box.middle[1] + 4.4, name, 12, **look)


def _draw_legend(canvas: _Canvas, y: float, groups: Mapping[str, str]) -> None:
    x = 104.0
    for group, colour in groups.items():
        canvas.rectangle(_Box(x, y, 15, 15), 3, fill=colour)
        canvas.text(x + 22, y + 12, group, text_anchor="start")
        x += 22 + 8.5 * len(group) + 26


# --- data flow of the methods --------------------------------------------------------------------------


def method(name: str) -> Diagram:
    """Return the data flow of a method, from pictures to losses, and where the gradient goes.

    Args:
        name: "content", "style", "texture", "gatys" or "feedforward".

    Raises:
        SettingError: There is no such diagram.
    """
    if name not in _METHODS:
        raise SettingError(f"there is no diagram {name!r}; use one of {', '.join(_METHODS)}.")
    return _METHODS[name]()


def _content() -> Diagram:
    canvas = _Canvas()
    target, x = 84, 224
    photo = _picture(canvas, 92, target, "photo", "photo", "target")
    result = _picture(canvas, 92, x, "noise", "picture x", "its pixels change")
    network = _network(canvas, _Box(250, 40, 130, 228))
    wanted = canvas.box(_Box(466, target - 34, 150, 68), ["feature maps", "of the photo", "computed once"], CONTENT)
    present = canvas.box(_Box(466, x - 34, 150, 68), ["feature maps", "of x, new in", "each step"], CONTENT)
    loss = canvas.box(
        _Box(702, 40, 168, 228), ["content loss", "squared differences", "of one layer's", "activations"], CONTENT
    )
    canvas.link(photo, network, target)
    canvas.link(network, wanted, target, colour=CONTENT)
    canvas.link(wanted, loss, target, colour=CONTENT)
    canvas.link(result, network, x, back=True)
    canvas.link(network, present, x, back=True, colour=CONTENT)
    canvas.link(present, loss, x, back=True, colour=CONTENT)
    _arrow_legend(canvas, 322, "gradient of the loss with respect to the pixels of x")
    return canvas.diagram(
        346,
        "Reconstruction from content: the photo and the picture x pass through the same VGG with fixed weights. The "
        "content loss compares their feature maps; its gradient goes back through VGG to the pixels of x.",
    )


def _gram_flow(source: str, caption: str, alt: str) -> Diagram:
    """Return the flow of the style loss alone: Gram matrices of a painting or a texture, and of x."""
    canvas = _Canvas()
    target, x = 84, 224
    painting = _picture(canvas, 84, target, source, caption, "target")
    result = _picture(canvas, 84, x, "noise", "picture x", "its pixels change")
    network = _network(canvas, _Box(218, 40, 112, 228))
    rows = (target, "computed once"), (x, "new in each step")
    maps = [canvas.box(_Box(388, y - 30, 126, 60), ["feature maps", "several layers"], STYLE) for y, _ in rows]
    grams = [canvas.box(_Box(572, y - 30, 126, 60), ["Gram matrices", when], STYLE) for y, when in rows]
    loss = canvas.box(
        _Box(756, 40, 120, 228), ["style loss", "squared", "differences,", "summed over", "the layers"], STYLE
    )
    for picture, y, map_box, gram, back in zip((painting, result), (target, x), maps, grams, (False, True)):
        canvas.link(picture, network, y, back)
        canvas.link(network, map_box, y, back, STYLE)
        canvas.link(map_box, gram, y, back, STYLE)
        canvas.link(gram, loss, y, back, STYLE)
    _arrow_legend(canvas, 322, "gradient of the loss with respect to the pixels of x")
    return canvas.diagram(346, alt)


def _style() -> Diagram:
    return _gram_flow(
        "painting",
        "painting",
        "Style alone: the painting and the picture x pass through the same VGG with fixed weights. The Gram matrices "
        "of several layers are compared by the style loss; its gradient goes back through VGG to the pixels of x.",
    )


def _texture() -> Diagram:
    return _gram_flow(
        "texture",
        "texture",
        "Texture synthesis: a texture and the picture x, which starts as noise, pass through the same VGG with fixed "
        "weights. The Gram matrices of several layers are compared; the gradient goes back through VGG to the pixels "
        "of x.",
    )


_GATYS_ROWS = (78, 178, 254, 354)
"""Heights: the painting's style layers, those of x, the content layer of x, that of the photo."""


def _gatys() -> Diagram:
    canvas = _Canvas()
    first, second, third, fourth = _GATYS_ROWS
    middle = (second + third) / 2
    painting = _picture(canvas, 74, first, "painting", "painting", "style target")
    result = _picture(canvas, 74, middle, "mixed", "picture x", "its pixels change")
    photo = _picture(canvas, 74, fourth, "photo", "photo", "content target")
    network = _network(canvas, _Box(168, 34, 94, 364))
    canvas.link(painting, network, first)
    canvas.link(result, network, middle, back=True)
    canvas.link(photo, network, fourth)
    style, content = _losses(canvas, network, 298, 450, 608, (118, 124, 110))
    total = canvas.box(
        _Box(760, 34, 118, 364), ["total loss", "α · content loss", "+ β · style loss", "+ γ · prior of x"]
    )
    canvas.link(style, total, (first + second) / 2, back=True)
    canvas.link(content, total, (third + fourth) / 2, back=True)
    _arrow_legend(canvas, 448, "gradient of the total loss with respect to the pixels of x")
    return canvas.diagram(
        474,
        "Gatys' method: painting, picture x and photo pass through the same VGG with fixed weights. The style loss "
        "compares the Gram matrices of x and the painting, the content loss the feature maps of x and the photo. The "
        "total loss is their weighted sum and a prior; its gradient goes back through VGG to the pixels of x.",
    )


def _losses(
    canvas: _Canvas, network: _Box, maps_x: float, grams_x: float, losses_x: float, widths: tuple[float, float, float]
) -> tuple[_Box, _Box]:
    """Draw what follows VGG when style and content are compared; return the boxes of both losses."""
    first, second, third, fourth = _GATYS_ROWS
    w, g, l = widths

    def maps(y: float, which: str, colour: str) -> _Box:
        return canvas.box(_Box(maps_x, y - 26, w, 52), ["feature maps", which], colour)

    style_maps = [maps(y, "style layers", STYLE) for y in (first, second)]
    content_maps = [maps(y, "content layer", CONTENT) for y in (third, fourth)]
    grams = [
        canvas.box(_Box(grams_x, y - 26, g, 52), ["Gram matrices", "one per layer"], STYLE) for y in (first, second)
    ]
    style = canvas.box(_Box(losses_x, first - 44, l, second - first + 74), ["style loss"], STYLE)
    content = canvas.box(_Box(losses_x, third - 30, l, fourth - third + 74), ["content loss"], CONTENT)
    for y, map_box, gram in zip((first, second), style_maps, grams):
        canvas.link(network, map_box, y, y == second, STYLE)
        canvas.link(map_box, gram, y, y == second, STYLE)
        canvas.link(gram, style, y, y == second, STYLE)
    for y, map_box in zip((third, fourth), content_maps):
        canvas.link(network, map_box, y, y == third, CONTENT)
        canvas.link(map_box, content, y, y == third, CONTENT)
    return style, content


def _feedforward() -> Diagram:
    canvas = _Canvas()
    first, second, third, fourth = _GATYS_ROWS
    middle = (second + third) / 2
    photo = _picture(canvas, 58, middle, "photo", "photo", "", 68)
    transformer = canvas.box(
        _Box(126, middle - 50, 112, 100), ["transformer", "network", "its weights", "are trained"], NETWORK, bold=2
    )
    result = _picture(canvas, 312, middle, "mixed", "result y", "", 68)
    painting = _picture(canvas, 312, first, "painting", "painting", "", 68)
    network = _network(canvas, _Box(382, 34, 86, 364))
    canvas.link(photo, transformer, middle)
    canvas.link(transformer, result, middle, back=True)
    canvas.link(result, network, middle, back=True)
    canvas.link(painting, network, first)
    canvas.arrow((photo.middle[0], photo.bottom + 24), (photo.middle[0], fourth), (network.x, fourth))
    canvas.text((photo.middle[0] + network.x) / 2, fourth - 9, "the same photo is the content target", 12)
    _losses(canvas, network, 502, 640, 784, (108, 116, 96))
    _arrow_legend(canvas, 448, "gradient of both losses with respect to the weights of the transformer network")
    return canvas.diagram(
        474,
        "A feed-forward network: the transformer network paints a photo in one pass. Its result y, the painting and "
        "the photo pass through VGG with fixed weights; style loss and content loss compare them as in Gatys' method. "
        "The gradient goes back through VGG and y to the weights of the transformer network, which are trained.",
    )


def _picture(canvas: _Canvas, x: float, y: float, kind: str, caption: str, note: str = "", side: float = 76) -> _Box:
    """Draw a picture with its middle at (x, y) and its name below; return its box."""
    box = _Box(x - side / 2, y - side / 2, side, side)
    _draw_picture_icon(canvas, box, kind)
    canvas.text(x, box.bottom + 16, caption, font_weight="bold")
    if note:
        canvas.text(x, box.bottom + 31, note, 12)
    return box


def _network(canvas: _Canvas, box: _Box) -> _Box:
    """Draw VGG with an outline of its blocks; return its box."""
    canvas.box(box, [])
    x, y = box.middle
    unit = box.width / 13
    left = x - 4.6 * unit
    for width, height in ((0.6, 64), (0.9, 46), (1.4, 32), (2.0, 21), (2.0, 12)):
        canvas.rectangle(_Box(left, y - 14 - height / 2, width * unit, height), 1.5, fill="#8fa3b0")
        left += (width + 0.6) * unit
    canvas.text(x, y + 42, "VGG-19", font_weight="bold")
    canvas.text(x, y + 59, "weights fixed", 12 if box.width > 90 else 11)
    return box


def _arrow_legend(canvas: _Canvas, y: float, words: str) -> None:
    """Say what the two kinds of arrows mean."""
    canvas.arrow((36, y), (76, y))
    canvas.text(84, y + 4.5, "forward pass", text_anchor="start")
    canvas.arrow((248, y), (208, y), colour=GRADIENT, dashed=True)
    canvas.text(256, y + 4.5, f"backward pass: {words}", text_anchor="start")


# --- small pictures ------------------------------------------------------------------------------------


def _draw_picture_icon(canvas: _Canvas, box: _Box, kind: str) -> None:
    """Draw a small picture: a photo, a painting, a texture, noise, or a photo painted in a style."""
    _PICTURES[kind](canvas, box)
    canvas.rectangle(box, 3, fill="none", stroke=INK, stroke_width="1.6")


def _landscape(canvas: _Canvas, box: _Box, sky: str, far: str, near: str, sun: str) -> None:
    x, y, s = box.x, box.y, box.width
    canvas.rectangle(box, 3, fill=sky)
    canvas.elements.append(f"<circle cx='{x + 0.72 * s:g}' cy='{y + 0.28 * s:g}' r='{0.11 * s:g}' fill='{sun}'/>")
    canvas.polygon((x, y + 0.8 * s), (x + 0.34 * s, y + 0.36 * s), (x + 0.72 * s, y + 0.8 * s), fill=far)
    canvas.polygon((x, y + s), (x, y + 0.76 * s), (x + 0.3 * s, y + 0.68 * s), (x + 0.62 * s, y + 0.8 * s),
                   (x + s, y + 0.62 * s), (x + s, y + s), fill=near)  # fmt: skip


def _photo(canvas: _Canvas, box: _Box) -> None:
    _landscape(canvas, box, "#cfe3f1", "#7b8f9c", "#6a994e", "#f4d35e")


def _strokes(canvas: _Canvas, box: _Box, colours: Sequence[str], opacity: str) -> None:
    """Draw rows of waves over a picture."""
    x, y, s = box.x, box.y, box.width
    for i, colour in enumerate(colours):
        height = y + s * (i + 0.75) / (len(colours) + 0.5)
        bend, half = 0.13 * s, 0.24 * s
        canvas.elements.append(
            f"<path d='M{x + 0.04 * s:g} {height:g} q{half / 2:g} {-bend:g} {half:g} 0 t{half:g} 0 t{half:g} 0 "
            f"t{half * 0.83:g} 0' fill='none' stroke='{colour}' stroke-width='{0.07 * s:g}' stroke-linecap='round' "
            f"opacity='{opacity}'/>"
        )


_WARM = ("#f2c14e", "#e07a3f", "#d1603d", "#8c2f39", "#e07a3f", "#5b2a4a")


def _painting(canvas: _Canvas, box: _Box) -> None:
    canvas.rectangle(box, 3, fill="#f6dcb4")
    _strokes(canvas, box, _WARM, "1")


def _mixed(canvas: _Canvas, box: _Box) -> None:
    _landscape(canvas, box, "#f6dcb4", "#8c4a4f", "#c1563a", "#f2c14e")
    _strokes(canvas, box, ("#f2c14e", "#e9a05f", "#e07a3f", "#7a3442", "#e07a3f", "#7a3442"), "0.75")


def _texture_picture(canvas: _Canvas, box: _Box) -> None:
    canvas.rectangle(box, 3, fill="#e9d3bd")
    width, height = box.width / 3, box.height / 6
    for row in range(6):
        for column in range(4):
            left = box.x + (column - (row % 2) / 2) * width + 1.5
            right = min(left + width - 3, box.right - 1.5)
            left = max(left, box.x + 1.5)
            if right - left > 2:
                colour = ("#c1664a", "#b5573d", "#cf7a5c")[(row * 2 + column) % 3]
                brick = _Box(left, box.y + row * height + 1.5, right - left, height - 3)
                canvas.rectangle(brick, 1.5, fill=colour)


def _noise(canvas: _Canvas, box: _Box) -> None:
    cells = 10
    side = box.width / cells
    state = 7
    for i in range(cells * cells):
        state = (1103515245 * state + 12345) % 2**31  # always the same noise
        colour = ("#d8dde1", "#9fb3c0", "#6f8796", "#c9a9a0", "#b6c7a8", "#eef1f3")[(state >> 16) % 6]
        cell = _Box(box.x + side * (i % cells), box.y + side * (i // cells), side, side)
        canvas.rectangle(cell, 0, fill=colour)


_PICTURES: dict[str, Callable[[_Canvas, _Box], None]] = {
    "photo": _photo,
    "painting": _painting,
    "texture": _texture_picture,
    "noise": _noise,
    "mixed": _mixed,
}

_METHODS: dict[str, Callable[[], Diagram]] = {
    "content": _content,
    "style": _style,
    "texture": _texture,
    "gatys": _gatys,
    "feedforward": _feedforward,
}
