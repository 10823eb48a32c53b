"""The HTML sliders: all pictures are inside, controls have names, and all works without scripts and other addresses."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import pytest
import torch
from PIL import Image

from nstlib import SettingError
from nstlib.course.interactive import slide, wipe

pytest.importorskip("matplotlib")


class Page(HTMLParser):
    """The elements of a piece of HTML, whose tags must be closed in order.

    Attributes:
        elements: (tag, attributes) in order.
        words: The text between the tags.
    """

    def __init__(self, shown: object) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(shown._repr_html_())
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


def picture_of(image: dict) -> Image.Image:
    """Return the picture of an <img> that contains it."""
    data = re.fullmatch(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", image["src"])
    return Image.open(io.BytesIO(base64.b64decode(data[1])))


def gray(value: float, height: int = 30, width: int = 40) -> torch.Tensor:
    return torch.full((1, 3, height, width), value)


def test_a_slider_contains_all_pictures_with_their_labels():
    page = Page(slide({"1e3": gray(0.2), "1e4": gray(0.5), "1e5": gray(0.8)}, "style weight", side=80))
    images = page.all("img")
    assert [image["alt"] for image in images] == ["style weight 1e3", "style weight 1e4", "style weight 1e5"]
    assert [image["width"] for image in images] == ["80"] * 3
    assert [picture_of(image).size for image in images] == [(80, 60)] * 3
    assert [picture_of(image).getpixel((40, 30))[0] for image in images] == pytest.approx([51, 128, 204], abs=3)
    assert page.words == "style weight: 1e3" + "1e31e41e5"
    control = page.all("input")[0]
    assert (control["type"], control["min"], control["max"], control["step"]) == ("range", "0", "2", "1")
    assert control["value"] == "0"
    assert control["aria-label"] == "style weight"
    assert control["aria-valuetext"] == "1e3"
    assert "max-width:80px" in page.all("div")[0]["style"]


def test_a_wipe_has_the_left_picture_first_and_a_border_between_both():
    page = Page(wipe(gray(0.2), gray(0.8), ("photo", "result"), side=80))
    left, right = page.all("img")
    assert picture_of(left).getpixel((40, 30))[0] == pytest.approx(51, abs=3)
    assert picture_of(right).getpixel((40, 30))[0] == pytest.approx(204, abs=3)
    assert (left["alt"], right["alt"], page.words) == ("photo", "result", "photoresult" * 2)
    assert "left:50%" in page.all("span")[0]["style"]
    assert "inset(0 50% 0 0)" in right["onload"], "the right half of the upper picture is cut off at first"
    control = page.all("input")[0]
    assert (control["max"], control["value"]) == ("100", "50")
    assert control["aria-label"] == "border between photo and result"


def test_without_scripts_all_pictures_are_shown_and_no_dead_control():
    for shown in (slide({"a": gray(0.1), "b": gray(0.2), "c": gray(0.3)}), wipe(gray(0.1), gray(0.2))):
        page = Page(shown)
        visible = [attributes for tag, attributes in page.elements if tag in ("figure", "figcaption", "img")]
        assert not any("display:none" in attributes.get("style", "") for attributes in visible)
        assert page.all("div")[1]["style"] == "display:none", "the control appears when the pictures have been loaded"
        *first, last = page.all("img")
        assert not any("onload" in image for image in first)
        assert "b.firstElementChild.style.display=''" in last["onload"]


def test_the_arrow_keys_move_the_slider_in_jupyterlab_too():
    for shown in (slide({"a": gray(0.1), "b": gray(0.2)}), wipe(gray(0.1), gray(0.2))):
        assert Page(shown).all("input")[0]["data-lm-suppress-shortcuts"] == "true"


def test_pictures_are_reduced_and_of_any_shape():
    page = Page(slide({"wide": gray(0.5, 60, 120), "high": gray(0.5, 120, 60)}, side=90))
    assert [picture_of(image).size for image in page.all("img")] == [(90, 45), (45, 90)]
    assert "max-width:90px" in page.all("div")[0]["style"]
    assert page.all("input")[0]["aria-label"] == "picture"
    assert page.all("img")[0]["alt"] == "wide"
    assert page.words == "wide" + "widehigh"


def test_labels_are_text_and_no_html():
    evil = "<b onclick='x'>\"&"
    for shown in (slide({evil: gray(0.5)}, evil), wipe(gray(0.1), gray(0.2), (evil, evil))):
        page = Page(shown)
        assert not any("onclick" in attributes for _, attributes in page.elements)
        assert evil in page.words
        assert evil in page.all("img")[0]["alt"]


def test_nothing_comes_from_another_address_and_scripts_touch_only_their_own_output():
    for shown in (slide({"a": gray(0.5), "b": gray(0.1)}), wipe(gray(0.1), gray(0.2))):
        text = shown._repr_html_()
        assert "http" not in text
        assert "<script" not in text
        for script in (Page(shown).all("input")[0]["oninput"], Page(shown).all("img")[-1]["onload"]):
            assert "this.closest('[data-nst]')" in script
            assert "document" not in script


def test_a_slider_of_five_pictures_is_small_enough_for_a_notebook():
    noise = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    picture = torch.nn.functional.interpolate(noise, (384, 384), mode="bicubic").clamp(0, 1)
    shown = slide({str(k): picture for k in range(5)})
    assert len(shown._repr_html_()) < 300_000
    assert repr(shown) == "a slider over 5 pictures: 0, 1, 2, 3, 4"


def test_numbers_are_labels_too():
    assert Page(slide({10: gray(0.1), 20: gray(0.2)}, "steps")).words == "steps: 10" + "1020"


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(SettingError, match="no picture"):
        slide({})
    with pytest.raises(SettingError, match="different sizes, 40 x 30 and 30 x 40"):
        wipe(gray(0.1), gray(0.1, 40, 30))
    assert repr(wipe(gray(0.1), gray(0.2))) == "a border to move between before and after"
