"""The widgets, tested without a browser: their callbacks are plain functions."""

from __future__ import annotations

import base64
import io
import re
import sys
import time
from datetime import datetime
from itertools import pairwise
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from PIL import Image

from nstlib import PRESETS, ImageError, SettingError, VGGFeatures, course, get_preset, resize, transfer
from nstlib.architecture import layer_names
from nstlib.course import anatomy, diagrams, figures, widgets
from nstlib.images import to_pil
from nstlib.presets import RELU_1
from nstlib.pretrained import random_state
from nstlib.runtime import return_freed_memory

pytest.importorskip("ipywidgets")
pytest.importorskip("matplotlib")


def encode(picture: torch.Tensor, file_format: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    to_pil(picture).save(buffer, file_format)
    return buffer.getvalue()


def ipywidgets_7_value(name: str, content: bytes) -> dict:
    """FileUpload.value of ipywidgets 7."""
    return {name: {"metadata": {"name": name, "type": "image/png", "size": len(content)}, "content": content}}


def ipywidgets_8_value(name: str, content: bytes) -> tuple:
    """FileUpload.value of ipywidgets 8."""
    day = datetime(2026, 11, 1)
    entry = {"name": name, "type": "image/png", "size": len(content), "last_modified": day}
    return ({**entry, "content": memoryview(content)},)


def shown_jpeg(element: str) -> bytes:
    """Return the JPEG file in an HTML element of a widget, which must have a text alternative."""
    data, alt = re.fullmatch(r"<img src='data:image/jpeg;base64,(.*?)' alt='(.+?)' style='.*'>", element).groups()
    assert alt
    return base64.b64decode(data)


def jpeg_size(file: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(file)).size


@pytest.fixture
def options() -> dict:
    return {"features": VGGFeatures(weights=random_state(widths=(4, 5, 6, 7, 8)), precision="float32")}


# --- upload ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_value", [ipywidgets_7_value, ipywidgets_8_value])
def test_upload_with_both_versions_of_ipywidgets(as_value, photo):
    upload = widgets.upload_photo(photo)
    assert not upload.uploaded
    message = upload.accept(as_value("mine.png", encode(1 - photo)))
    assert message == "mine.png is used, at 64 x 48 pixels. Run the next cells again."
    assert upload.uploaded
    assert upload.name == "mine.png"
    assert torch.allclose(upload.image(), 1 - photo, atol=0.01)
    assert upload.image(32).shape == (1, 3, 24, 32)
    assert upload.image().shape == photo.shape


@pytest.mark.parametrize("as_value", [ipywidgets_7_value, ipywidgets_8_value])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"hello", "'notes.txt' is not a picture"),
        ("half.png", None, "'half.png' is damaged or cut off"),
        ("empty.jpg", b"", "'empty.jpg' is empty"),
        ("phone.HEIC", b"\0\0\0\x18ftypheic", "export it as JPEG"),
    ],
)
def test_an_unreadable_file_gives_one_sentence_and_changes_nothing(as_value, name, content, words, photo):
    noise = torch.rand(1, 3, 48, 64)
    upload = widgets.upload_photo(photo)
    message = upload.accept(as_value(name, encode(noise)[:2000] if content is None else content))
    assert words in message
    assert "is still used" in message
    assert "\n" not in message
    assert not upload.uploaded
    assert torch.equal(upload.image(), photo)


def test_no_file_is_chosen_yet():
    for nothing in ((), {}, None, [], 5):
        assert widgets.uploaded_file(nothing) is None
    assert widgets.uploaded_file({"a.png": {"content": b"x"}, "b.png": {"content": b"y"}}) == ("b.png", b"y")
    upload = widgets.upload_photo("coffee", size=64)
    assert upload.accept(()) == "No photo chosen yet: coffee is used."
    assert max(upload.image().shape[2:]) == 64
    with pytest.raises(ImageError, match="'x.jpg' is empty"):
        widgets.read_photo("x.jpg", b"")


def test_a_change_of_the_button_updates_label_and_preview(photo):
    upload = widgets.upload_photo(photo)
    before = upload.preview.value
    upload._on_change({"new": ipywidgets_8_value("<i>.png", encode(1 - photo))})
    assert upload.preview.value != before
    assert "&lt;i&gt;.png is used" in upload.label.value
    assert upload.figure().axes


class OldButton:
    """FileUpload of ipywidgets 7: its value can only be set with set_trait."""

    def __init__(self, value: dict) -> None:
        self._value, self.metadata, self.data = value, ["of the file"], [b"its content"]

    @property
    def value(self) -> dict:
        return self._value

    def set_trait(self, name: str, value: dict) -> None:
        assert name == "value"
        self._value = value


def test_the_same_file_can_be_chosen_again(photo):
    """A value that stays the same is no change: the second choice was never noticed."""
    old = OldButton(ipywidgets_7_value("mine.png", b"x"))
    widgets.forget_file(old)
    assert (old.value, old.metadata, old.data) == ({}, [], [])
    upload = widgets.upload_photo(photo)
    assert "10 MB" in upload.label.value
    if isinstance(upload.button.value, dict):
        return  # ipywidgets 7 is installed, whose button cannot be set from here
    answers = []
    upload.label.observe(lambda change: answers.append(change["new"]), "value")
    value = ipywidgets_8_value("mine.png", encode(1 - photo))
    for _ in range(2):
        upload.button.value = value
        assert upload.button.value == ()
    assert [" is used" in answer for answer in answers] == [False, True] * 2  # "Reading ...", and the result


def test_large_photos_are_reduced():
    upload = widgets.upload_photo(torch.rand(1, 3, 300, 600), size=200)
    assert upload.image().shape == (1, 3, 100, 200)
    upload.accept(ipywidgets_7_value("big.jpg", encode(torch.rand(1, 3, 400, 100), "JPEG")))
    assert upload.image().shape == (1, 3, 200, 50)


# --- live transfer -------------------------------------------------------------------------------------


def test_a_live_transfer_shows_the_picture_and_keeps_the_result(photo, painting, options):
    live = widgets.watch_transfer(photo, painting, every=0, steps=4, **options)
    assert live.result is None
    assert not live.running
    blank = live.plot.value
    assert live.start()
    result = live.wait(60)
    assert result.stopped == "finished"
    assert len(live.records) == 4
    expected = transfer(photo, painting, steps=4, **options)
    assert torch.equal(result.image, expected.image)
    assert live.plot.value != blank
    assert "Done: 4 steps" in live.label.value
    assert not live.start_button.disabled
    assert live.stop_button.disabled
    assert max(jpeg_size(live.picture.value)) == widgets.DISPLAY_SIDE
    assert len(live.figure().axes) == 2


def test_stop_ends_the_run_with_the_best_picture(photo, painting, options):
    live = widgets.watch_transfer(photo, painting, steps=100_000, **options)
    live.start_button.click()
    assert not live.start(), "a second click must not begin a second run"
    while len(live.records) < 3:
        time.sleep(0.01)
    assert live.stop_button.disabled is False
    live.stop_button.click()
    result = live.wait(60)
    assert result is not None
    assert result.stopped == "callback"
    assert len(result.records) < 100_000
    assert "Stopped; this is the best picture so far" in live.label.value
    assert not live.stop(), "there is nothing to stop"
    assert live.start(), "it can begin again"
    live.stop()
    live.wait(60)


def test_a_new_live_transfer_stops_the_one_before(photo, painting, options):
    first = widgets.watch_transfer(photo, painting, steps=100_000, **options)
    first.start()
    widgets.watch_transfer(photo, painting, steps=2, **options)
    assert first.wait(60).stopped == "callback"


def test_a_setting_that_cannot_be_used_is_shown(photo, painting, options):
    live = widgets.watch_transfer(photo, painting, steps=2, style_weight=-1, **options)
    assert_failed(live, "style weight must be a number")


def test_an_exception_in_the_run_is_shown(photo):
    def run(callback: object) -> None:
        raise RuntimeError("out of paint")

    assert_failed(widgets.LiveTransfer(photo, run), "RuntimeError: out of paint")


def assert_failed(live: widgets.LiveTransfer, words: str) -> None:
    live.start()
    assert live.wait(60) is None
    assert words in live.error
    assert "The run failed" in live.label.value
    assert not live.start_button.disabled
    assert live.figure().axes


def test_an_unknown_setting_is_refused_at_once(photo, painting):
    with pytest.raises(TypeError, match="nonsense"):
        widgets.watch_transfer(photo, painting, nonsense=1)


def test_every_setting_reaches_the_transfer(photo, painting, options, monkeypatch):
    settings = {
        "steps": 3,
        "content_weight": 1.0,
        "style_weight": 2.0,
        "tv_weight": 3.0,
        "init": "noise",
        "seed": 4,
        "optimizer": "adam",
        "weights": "compact",
        "precision": "float32",
        **options,
    }
    received = {}
    monkeypatch.setattr(widgets, "transfer", lambda *pictures, **rest: received.update(rest) or pictures)
    live = widgets.watch_transfer(photo, painting, preset="gatys2016", **settings)
    assert live.run(callback=live.on_record) == (photo, painting, "gatys2016")
    assert received == {**settings, "callback": live.on_record}


# --- knobs ---------------------------------------------------------------------------------------------


def knobs_for(photo: torch.Tensor, painting: torch.Tensor, preset: str = "course", **given: float) -> widgets.Knobs:
    return widgets.Knobs(photo, painting, get_preset(preset), given)


def test_knobs_that_nobody_moves_change_nothing(photo, painting):
    knobs = knobs_for(photo, painting)
    assert knobs.settings() == {"steps": 300, "content_weight": 1e2, "style_weight": 1e4, "tv_weight": 1e3}
    content, style = knobs.pictures()
    assert content is photo
    assert style is painting
    assert [name for name, box in knobs.layers.items() if box.value] == list(RELU_1)
    knobs = knobs_for(photo, painting, steps=5000, content_weight=0.0, style_weight=123.5)
    assert knobs.settings() == {"steps": 5000, "content_weight": 0.0, "style_weight": 123.5, "tv_weight": 1e3}


@pytest.mark.parametrize("preset", PRESETS)
def test_there_are_knobs_for_every_preset(preset, photo, painting):
    knobs, values = knobs_for(photo, painting, preset), get_preset(preset)
    settings = knobs.settings()
    assert settings.pop("steps") == values.steps
    assert settings == {name: getattr(values, name) for name in widgets.KNOB_WEIGHTS}
    for name in widgets.KNOB_WEIGHTS:
        labels = [label for label, _ in knobs.weights[name].options]
        assert len(set(labels)) == len(labels), "no two positions look the same"


def test_the_choices_of_a_weight():
    choices, index = widgets.weight_choices(100.0)
    assert (choices[0], choices[1], choices[index], choices[-1]) == (0, 1, 100, 10_000)
    assert choices == sorted(choices)
    choices, index = widgets.weight_choices(0, usual=10.0)
    assert (choices[index], choices[1], choices[-1]) == (0, 0.1, 1000)
    assert widgets.weight_choices(0, usual=0)[0][5] == 1


def test_moved_knobs_reach_the_transfer(photo, painting, options):
    live = widgets.watch_transfer(photo, painting, every=0, steps=2, **options)
    knobs = live.knobs
    knobs.weights["content_weight"].index = 0
    knobs.weights["style_weight"].index += 1
    knobs.weights["tv_weight"].index -= 2
    knobs.steps.value = 3
    knobs.size.value = 128
    for name in ("relu4_1", "relu5_1"):
        knobs.layers[name].value = False
    assert max(jpeg_size(live.picture.value)) == widgets.DISPLAY_SIDE
    live.start()
    result = live.wait(60)
    assert not live.error
    assert result.image.shape == (1, 3, 96, 128)
    layers = dict.fromkeys(RELU_1[:3], 1 / 3)
    assert knobs.style_layers() == pytest.approx(layers)
    expected = transfer(
        resize(photo, 128),
        painting,
        steps=3,
        content_weight=0.0,
        style_weight=3e4,
        tv_weight=1e2,
        style_layers=knobs.style_layers(),
        **options,
    )
    assert torch.equal(result.image, expected.image)


def test_other_layers_weigh_as_much_together_as_those_of_the_preset(photo, painting):
    knobs = knobs_for(photo, painting, "pytorch_tutorial")
    preset = get_preset("pytorch_tutorial").style_layers
    assert knobs.style_layers() is None
    assert list(knobs.layers) == sorted({*RELU_1, *preset}, key=layer_names("vgg19").index)
    knobs.layers["conv1_2"].value = False
    knobs.layers["relu5_1"].value = True
    weights = knobs.style_layers()
    assert set(weights) == {*preset, "relu5_1"} - {"conv1_2"}
    assert sum(weights.values()) == pytest.approx(sum(preset.values()))


def test_without_a_style_layer_the_style_weight_must_be_zero(photo, painting, options):
    live = widgets.watch_transfer(photo, painting, steps=2, **options)
    for box in live.knobs.layers.values():
        box.value = False
    assert_failed(live, "no style layer is checked")
    live.knobs.weights["style_weight"].index = 0
    live.start()
    assert live.wait(60) is not None
    assert live.result.records[0].style_total == 0


@pytest.mark.parametrize("as_value", [ipywidgets_7_value, ipywidgets_8_value])
def test_own_photo_and_own_style_picture(as_value, photo, painting, options):
    live = widgets.watch_transfer(photo, painting, steps=2, **options)
    before = live.picture.value
    assert live.knobs.photo.button.description == "Choose a photo"
    assert live.knobs.painting.button.description == "Choose a style picture"
    own, style = torch.rand(1, 3, 40, 100), torch.rand(1, 3, 700, 600)
    assert live.knobs.photo.accept(as_value("me.png", encode(own))).endswith("Press Start.")
    assert "wall.png is used, at 439 x 512 pixels" in live.knobs.painting.accept(as_value("wall.png", encode(style)))
    live.show_photo()
    assert live.picture.value != before
    content, used = live.knobs.pictures()
    assert content.shape == (1, 3, 26, 64), "at the size that is chosen"
    assert used.shape == (1, 3, 512, 439)
    live.start()
    assert live.wait(60).image.shape == content.shape
    assert live.figure().axes


def test_an_upload_shows_the_new_photo_before_the_start(photo, painting, options):
    live = widgets.watch_transfer(photo, painting, steps=2, **options)
    if isinstance(live.knobs.photo.button.value, dict):
        return  # ipywidgets 7 is installed, whose button cannot be set from here
    before = live.picture.value
    live.knobs.photo.button.value = ipywidgets_8_value("me.png", encode(1 - photo))
    assert live.picture.value != before
    assert torch.allclose(live.content, 1 - photo, atol=0.01)


def test_pictures_are_shown_only_every_so_often(photo, painting, options):
    live = widgets.watch_transfer(photo, painting, every=100.0, **options)
    records = transfer(photo, painting, steps=3, **options).records
    for record in records:
        record.get_image = lambda: photo
        assert live.on_record(record) is True
    assert live.label.value.count("step 1 ") == 1, "the second is too soon after the first"
    live.stop()
    assert live.on_record(records[0]) is False


# --- slider and figures --------------------------------------------------------------------------------


def test_the_slider_reacts_at_once(photo):
    pictures = [photo * k / 9 for k in range(10)]
    slider = widgets.slider_over(pictures, [f"step {k}" for k in range(10)])
    begin = time.perf_counter()
    for k in range(10):
        assert slider.select(k) == slider.view.value
    assert (time.perf_counter() - begin) / 10 < 0.1
    slider.slider.value = 4
    assert slider.view.value == slider.files[4]
    assert slider.view.alt == "picture 5 of 10: step 4"
    assert len([ax for ax in slider.figure().axes if ax.images]) == 10
    with pytest.raises(SettingError, match="as many labels"):
        widgets.slider_over(pictures, ["one"])


def test_a_widget_is_displayed_with_a_still_picture(photo, painting, monkeypatch):
    """A stored notebook keeps the picture, because the widget needs a kernel."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **options: shown.append((bundle, options)))
    maps = {"relu1_1": torch.rand(1, 4, 6, 6)}
    for widget in (
        widgets.upload_photo(photo),
        widgets.watch_transfer(photo, painting),
        widgets.slider_over([photo], ["a"]),
        anatomy.Browser(maps),
    ):
        widget._ipython_display_()
        bundle, options = shown.pop()
        assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.widget.model_id
        file, alt = widget.still.value, widget.still.alt
        assert file[:2] == b"\xff\xd8"
        assert max(jpeg_size(base64.b64decode(bundle["image/jpeg"]))) == min(max(jpeg_size(file)), widgets.STILL_SIDE)
        assert options == {"raw": True, "metadata": {"image/jpeg": {"alt": alt}}}
        assert alt


def test_every_live_picture_has_a_text_alternative(photo, painting, options):
    live = widgets.watch_transfer(photo, painting, every=0, steps=2, **options)
    live.start()
    live.wait(60)
    browser = anatomy.Browser({"relu1_1": torch.rand(1, 4, 6, 6)})
    upload, slider = widgets.upload_photo(photo), widgets.slider_over([photo], ["it's <a>"])
    for picture in (live.picture, live.plot, browser.view, upload.preview, slider.view):
        assert shown_jpeg(picture.widget.value) == picture.value
        assert picture.alt
    assert "alt='picture 1 of 1: it&#x27;s &lt;a&gt;'" in slider.view.widget.value
    assert "loss, weighted over evaluation, of total and style and content" in live.plot.alt


def test_figures_have_a_text_alternative(photo, painting, options):
    records = transfer(photo, painting, steps=3, **options).records
    figure, axes = anatomy.panels(3)
    axes[0].imshow(figures.to_array(photo))
    axes[0].set_title("a photo", loc="left")
    axes[1].plot([1, 2])
    for made, alt in (
        (figures.show({"before": photo, "after": painting}, caption="c"), "2 pictures: before, after. c"),
        (figures.bars({"a": 1.0, "b": 2.5}, "s", title="time"), "time: a 1 s, b 2.5 s"),
        (figures.curve({"x": records}, "two runs"), "plot: two runs, loss, weighted over evaluation, of x"),
        (figure, "picture: a photo; plot"),
        (figures.new_figure(2, 2), "a figure without titles"),
    ):
        assert figures.alt_text(made) == alt
    data, metadata = figures.jpeg_output(figure)
    assert base64.b64decode(data)[:2] == b"\xff\xd8"
    stored = Image.open(io.BytesIO(base64.b64decode(data)))
    assert metadata == {"alt": "picture: a photo; plot", "width": stored.width // 2}
    assert figures.svg_output(figure) is None
    assert figures.jpeg_output(figures.new_figure(2, 2)) is None  # nothing is drawn


def test_a_notebook_stores_figures_with_a_text_alternative_and_returns_memory(photo, monkeypatch):
    registered = []
    events = SimpleNamespace(register=lambda event, function: registered.append((event, function)))
    shell = SimpleNamespace(events=events, display_formatter=DisplayFormatter())
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr("matplotlib_inline.backend_inline.set_matplotlib_formats", lambda *formats: None)
    course.setup()
    data, metadata = shell.display_formatter.format(figures.show({"a cat": photo}))
    assert base64.b64decode(data["image/jpeg"])[:2] == b"\xff\xd8"
    assert metadata["image/jpeg"]["alt"] == "a picture: a cat"
    data, metadata = shell.display_formatter.format(figures.bars({"a": 1.0}))
    assert data["image/svg+xml"].startswith("<svg role='img'")
    assert "image/jpeg" not in data
    assert metadata["image/svg+xml"] == {"alt": "a 1"}
    assert ("post_execute", return_freed_memory) in registered


def test_without_ipywidgets(monkeypatch, photo):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(SettingError, match="pip install ipywidgets"):
        widgets.upload_photo(photo)


def test_figures(photo, painting, options):
    records = transfer(photo, painting, steps=3, **options).records
    assert [ax.get_title() for ax in figures.show({"a": photo, "b": painting}).axes] == ["a", "b"]
    assert len(figures.show([photo] * 7, columns=3, frame=2, caption="c").axes) == 9
    assert [len(figures.curve(r).axes[0].lines) for r in (records, {"x": records, "y": records})] == [3, 2]
    records[1].total = float("inf")  # a run that diverged must still be drawn
    for figure in (
        figures.curve(records),
        figures.painting_so_far(photo, records),
        figures.bars({"a": 1.0, "b": 2.0}, "s"),
    ):
        assert figures.jpeg(figure)[:2] == b"\xff\xd8"
    assert figures.enlarged(photo, 128).shape == (1, 3, 96, 128)
    assert figures.enlarged(photo, 32) is photo
    for empty in (lambda: figures.show([]), lambda: figures.curve([])):
        with pytest.raises(SettingError):
            empty()


# --- figures at full size ------------------------------------------------------------------------------


def is_svg(figure) -> ElementTree.Element:
    return ElementTree.fromstring(figures.svg_output(figure)[0])


def texts_of(figure, ax) -> list:
    """Return the boxes of the legend and of the axes' titles and labels, in pixels."""
    figure.draw_without_rendering()
    parts = [ax.get_legend(), ax.title, ax._left_title, ax.xaxis.label, ax.yaxis.label]
    return [part.get_window_extent() for part in parts if part is not None]


def test_plots_are_svg_of_the_width_of_the_page(photo, painting, options):
    records = transfer(photo, painting, steps=3, **options).records
    rows = {"content loss": 1.2, "a very long name of a bar, with its unit": 30.0}
    lines = {name: {f"relu{i}_1": float(i) for i in range(1, 6)} for name in ("photo", "a long name of a line", "c")}
    for figure in (
        figures.curve(records, "one run"),
        figures.curve({"Adam": records, "the sign of the gradient": records}),
        figures.bars(rows, "ms", title='it\'s <slow> & "late"'),
        anatomy.lines(lines, "title", "loss", log=True, xlabel="layer"),
    ):
        root = is_svg(figure)
        assert root.get("role") == "img"
        assert root.get("aria-label") == figures.alt_text(figure)
        assert float(root.get("width")) == pytest.approx(figures.PAGE_WIDTH, abs=4)
        assert len(figures.svg_output(figure)[0]) < 40_000


def test_the_same_plot_is_the_same_svg():
    once, again = (figures.svg_output(figures.bars({"a": 1.0, "b": 2.0}, "s", title="t")) for _ in range(2))
    assert once == again


def test_a_legend_covers_no_line(photo, painting, options):
    records = transfer(photo, painting, steps=3, **options).records
    many = {f"line number {k}": {str(i): float((i * k) % 7) for i in range(9)} for k in range(1, 6)}
    for figure in (figures.curve({f"run {k}": records for k in range(4)}), anatomy.lines(many, "title")):
        ax = figure.axes[0]
        legend = texts_of(figure, ax)[0]
        assert legend.x0 >= ax.get_window_extent().x1
        assert legend.x1 <= figure.bbox.x1


def test_style_and_content_have_the_same_colors_everywhere(photo, painting, options):
    figure = figures.curve(transfer(photo, painting, steps=3, **options).records)
    colours = {line.get_label(): line.get_color() for line in figure.axes[0].lines}
    assert colours == {"total": figures.INK, "style": diagrams.STYLE, "content": diagrams.CONTENT}


def test_pictures_are_stored_with_twice_the_pixels_of_the_page():
    pictures = {f"picture {k}": torch.rand(1, 3, 48, 64) for k in range(3)}
    data, metadata = figures.jpeg_output(figures.show(pictures, columns=3, caption="c"))
    assert metadata["width"] == pytest.approx(figures.PAGE_WIDTH, abs=4)
    assert jpeg_size(base64.b64decode(data))[0] == pytest.approx(2 * figures.PAGE_WIDTH, abs=8)


def test_details_are_shown_at_200_percent():
    pictures = {name: torch.rand(1, 3, 200, 300) for name in ("a", "b", "c")}
    figure = figures.show_with_details(pictures, (100, 40, 80), caption="why")
    figure.draw_without_rendering()
    top, below = figure.axes[0], figure.axes[3]
    assert below.get_window_extent().width == pytest.approx(160, rel=0.05)
    assert top.get_window_extent().width == pytest.approx(figures.PAGE_WIDTH / 3, rel=0.05)
    assert below.images[0].get_array().shape == (80, 80, 3)
    assert {(patch.get_x(), patch.get_y(), patch.get_width()) for patch in top.patches} == {(99.5, 39.5, 80)}
    assert figures.alt_text(figure) == "3 pictures, each with a part at 200 %: a, b, c. why"
    assert "a part at 137 %" in figures.alt_text(figures.show_with_details(pictures, (0, 0, 198)))
    for box in ((250, 0, 80), (0, 150, 60), (-1, 0, 20), (0, 0, 0)):
        with pytest.raises(SettingError, match="not inside the pictures, which have 300 x 200 pixels"):
            figures.show_with_details(pictures, box)
    with pytest.raises(SettingError, match="no picture"):
        figures.show_with_details({}, (0, 0, 1))


def test_long_titles_are_wrapped_and_cover_nothing():
    titles = [f"content weight {k}, drawn from relu4_2\n{k}.1 dB after 300 steps of L-BFGS" for k in range(3)]
    figure = figures.show([torch.rand(1, 3, 48, 64)] * 3, titles, columns=3)
    figure.draw_without_rendering()
    boxes = [ax.title.get_window_extent() for ax in figure.axes]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 + 1 for box in boxes)
    assert all(ax.get_window_extent().width == pytest.approx(273, rel=0.03) for ax in figure.axes)
    assert "content weight 2, drawn from relu4_2 2.1 dB after 300 steps of L-BFGS" in figures.alt_text(figure)
    assert figures.wrapped("short", 2.0) == "short"
    assert figures.wrapped("two\nlines", 2.0) == "two\nlines"


def test_a_logarithmic_axis_has_at_least_two_numbers():
    figure = anatomy.lines({"x": {"a": 110.0, "b": 600.0}}, log=True)
    figure.draw_without_rendering()
    axis = figure.axes[0].yaxis
    low, high = figure.axes[0].get_ylim()
    shown = [label.get_text() for label, at in zip(axis.get_ticklabels(), axis.get_ticklocs()) if low <= at <= high]
    assert shown == ["200", "500"]
