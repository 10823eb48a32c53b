"""The diagrams: well-formed SVG with a text alternative, no overlapping text, arrows that meet their boxes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from nstlib import LayerError, SettingError
from nstlib.architecture import layer_names
from nstlib.course import diagrams

mpl = pytest.importorskip("matplotlib")
from PIL import ImageFont  # noqa: E402

STYLE_LAYERS = [f"relu{i}_1" for i in range(1, 6)]
METHODS = ("content", "style", "texture", "gatys", "feedforward")
ALL = {
    "vgg19": lambda: diagrams.vgg("vgg19", {"content": "relu4_2", "style": STYLE_LAYERS}),
    "vgg16": lambda: diagrams.vgg("vgg16", ["conv3_3", "pool5"], size=512),
    "narrow": lambda: diagrams.vgg(widths=(16, 32, 64, 128, 128), size=256),
    **{name: lambda name=name: diagrams.method(name) for name in METHODS},
}
SVG = "{http://www.w3.org/2000/svg}"


class Area(NamedTuple):
    """A rectangle in the picture, and what is in it."""

    left: float
    top: float
    right: float
    bottom: float
    what: str = ""

    def contains(self, x: float, y: float) -> bool:
        return self.left <= x <= self.right and self.top <= y <= self.bottom


@pytest.fixture(params=ALL)
def root(request) -> ElementTree.Element:
    return ElementTree.fromstring(ALL[request.param]().svg)


def rectangles(root: ElementTree.Element) -> list[Area]:
    """Return all rectangles except the background."""
    found = []
    for element in root.iter(f"{SVG}rect"):
        if "x" in element.attrib:
            x, y, width, height = (float(element.get(name)) for name in ("x", "y", "width", "height"))
            found.append(Area(x, y, x + width, y + height))
    return found


def texts(root: ElementTree.Element) -> list[Area]:
    """Return the texts as wide as they are in DejaVu Sans, the widest of the fonts that may be used."""
    folder = Path(mpl.get_data_path()) / "fonts/ttf"
    found = []
    for element in root.iter(f"{SVG}text"):
        size, bold = float(element.get("font-size")), element.get("font-weight") == "bold"
        font = ImageFont.truetype(folder / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"), 100)
        width = font.getlength(element.text) * size / 100
        x, y = float(element.get("x")), float(element.get("y"))
        left = x if element.get("text-anchor") == "start" else x - width / 2
        found.append(Area(left, y - 0.76 * size, left + width, y + 0.24 * size, element.text))
    return found


def test_no_text_overlaps_another_or_leaves_the_picture(root):
    width, height = map(float, root.get("viewBox").split()[2:])
    for text in texts(root):
        assert 0 < text.left < text.right < width, text
        assert 0 < text.top < text.bottom < height, text
    for one, two in itertools.combinations(texts(root), 2):
        beside = one.right <= two.left or two.right <= one.left
        assert beside or one.bottom <= two.top or two.bottom <= one.top, (one, two)


def test_a_text_stays_inside_its_box(root):
    boxes = rectangles(root)
    for text in texts(root):
        middle = (text.left + text.right) / 2, (text.top + text.bottom) / 2
        for box in boxes:
            if box.contains(*middle):
                assert box.left < text.left < text.right < box.right, (text, box)


@pytest.mark.parametrize("name", METHODS)
def test_every_arrow_starts_and_ends_at_the_edge_of_a_box(name):
    root = ElementTree.fromstring(diagrams.method(name).svg)
    boxes, words = rectangles(root), texts(root)
    legend = max(text.top for text in words) - 5
    ends = []
    for element in root.iter(f"{SVG}polygon"):
        points = [tuple(map(float, point.split(","))) for point in element.get("points").split()]
        if len(points) == 3 and element.get("fill") in (diagrams.GREY, *diagrams.TINTS):
            ends.append(points[0])
    ends += [tuple(map(float, element.get("points").split()[0].split(","))) for element in root.iter(f"{SVG}polyline")]
    assert len(ends) >= 12
    for x, y in ends:
        if y > legend or (name == "feedforward" and x == boxes_of_photo(root)):
            continue
        assert any(x in (box.left, box.right) and box.top < y < box.bottom for box in boxes), (x, y)


def boxes_of_photo(root: ElementTree.Element) -> float:
    """Return the middle of the photo, from whose name one arrow starts."""
    return next(float(element.get("x")) for element in root.iter(f"{SVG}text") if element.text == "photo")


def test_the_gradient_goes_to_what_is_changed():
    """Through the frozen network to the pixels, or to the weights of the network that is trained."""
    for name in METHODS:
        root = ElementTree.fromstring(diagrams.method(name).svg)
        dashed = [element for element in root.iter(f"{SVG}polyline") if element.get("stroke-dasharray")]
        assert all(element.get("stroke") == diagrams.GRADIENT for element in dashed)
        assert len(dashed) >= 4
        words = "weights of the transformer network" if name == "feedforward" else "pixels of x"
        assert words in diagrams.method(name).alt
        assert any(words in text.what for text in texts(root))


@pytest.mark.parametrize("arch", ["vgg19", "vgg16"])
def test_vgg_names_every_layer_once_with_its_size_and_channels(arch):
    words = [text.what for text in texts(ElementTree.fromstring(diagrams.vgg(arch, size=256).svg))]
    arrows = [f"pool{i}" for i in range(1, 5)]  # a pooling is named at its arrow too
    assert sorted(w for w in words if "_" in w or w.startswith("pool")) == sorted([*layer_names(arch), *arrows])
    for block, (side, channels) in enumerate(zip((256, 128, 64, 32, 16), (64, 128, 256, 512, 512)), start=1):
        assert f"block {block}" in words
        assert f"{side} × {side}" in words
        assert f"{channels} channels" in words


def test_highlighted_layers_have_the_color_of_their_group():
    made = diagrams.vgg(highlight={"content": ["relu4_2"], "style": ("relu1_1", "relu2_1"), "nothing": ()})
    root = ElementTree.fromstring(made.svg)
    fills = [element.get("fill") for element in root.iter(f"{SVG}rect")]
    assert fills.count(diagrams.CONTENT) == 2  # the layer and the legend
    assert fills.count(diagrams.STYLE) == 3
    assert made.alt.endswith("Highlighted layers, content: relu4_2; style: relu1_1, relu2_1.")
    assert "nothing" not in made.svg
    assert diagrams.vgg(highlight="pool3").svg == diagrams.vgg(highlight=["pool3"]).svg != diagrams.vgg().svg


def test_a_diagram_is_displayed_as_svg_with_a_text():
    for make in ALL.values():
        made = make()
        data, metadata = made._repr_mimebundle_(include=None, exclude=None)
        assert data == {"image/svg+xml": made.svg, "text/plain": made.alt}
        assert metadata == {"image/svg+xml": {"alt": made.alt}}
        root = ElementTree.fromstring(made.svg)
        assert root.get("role") == "img"
        assert root.get("aria-label") == made.alt == repr(made)
        assert root[0].get("fill") == "#ffffff", "the first element is the white background"
        assert made.svg.count("http") == 1, "nothing comes from another address"
        assert len(made.svg) < 30_000
        assert make().svg == made.svg, "the same call draws the same picture"


def test_what_does_not_exist_is_refused():
    with pytest.raises(SettingError, match="use one of content, style, texture, gatys, feedforward"):
        diagrams.method("cubism")
    with pytest.raises(SettingError, match="architecture 'vgg11' is unknown"):
        diagrams.vgg("vgg11")
    with pytest.raises(LayerError, match="vgg16 has no layer 'conv3_4'"):
        diagrams.vgg("vgg16", ["conv3_4"])
