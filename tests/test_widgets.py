"""The widgets without a browser: their callbacks are plain functions."""

from __future__ import annotations

import io
import sys
import time

import pytest
import torch
from conftest import random_state
from PIL import Image

from nstlib import ImageError, SettingError, VGGFeatures, figures, transfer
from nstlib.images import to_pil

pytest.importorskip("ipywidgets")
pytest.importorskip("matplotlib")
from nstlib import widgets  # noqa: E402


def encoded(picture: torch.Tensor, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    to_pil(picture).save(buffer, kind)
    return buffer.getvalue()


def as_seven(name: str, content: bytes) -> dict:
    """FileUpload.value of ipywidgets 7."""
    return {name: {"metadata": {"name": name, "type": "image/png", "size": len(content)}, "content": content}}


def as_eight(name: str, content: bytes) -> tuple:
    """FileUpload.value of ipywidgets 8."""
    return ({"name": name, "type": "image/png", "size": len(content), "content": memoryview(content)},)


def jpeg_size(file: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(file)).size


@pytest.fixture
def options() -> dict:
    return {"features": VGGFeatures(weights=random_state(), precision="float32")}


# --- upload ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [as_seven, as_eight])
def test_upload_of_both_versions(shape, photo):
    upload = widgets.upload_photo(photo)
    assert not upload.own
    message = upload.take(shape("mine.png", encoded(1 - photo)))
    assert message == "mine.png is in use, at 64 x 48 pixels. Run the next cells again."
    assert upload.own
    assert upload.name == "mine.png"
    assert torch.allclose(upload.image(), 1 - photo, atol=0.01)
    assert upload.image(32).shape == (1, 3, 24, 32)
    assert upload.image().shape == photo.shape


@pytest.mark.parametrize("shape", [as_seven, as_eight])
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("notes.txt", b"hello", "'notes.txt' is not a picture"),
        ("half.png", None, "'half.png' is damaged or cut off"),
        ("empty.jpg", b"", "'empty.jpg' is empty"),
        ("phone.HEIC", b"\0\0\0\x18ftypheic", "export it as JPEG"),
    ],
)
def test_a_bad_file_is_one_sentence_and_changes_nothing(shape, name, content, words, photo):
    noise = torch.rand(1, 3, 48, 64)
    upload = widgets.upload_photo(photo)
    message = upload.take(shape(name, encoded(noise)[:2000] if content is None else content))
    assert words in message
    assert "stays in use" in message
    assert "\n" not in message
    assert not upload.own
    assert torch.equal(upload.image(), photo)


def test_no_file_yet():
    for nothing in ((), {}, None, [], 5):
        assert widgets.uploaded_file(nothing) is None
    assert widgets.uploaded_file({"a.png": {"content": b"x"}, "b.png": {"content": b"y"}}) == ("b.png", b"y")
    upload = widgets.upload_photo("coffee", size=64)
    assert upload.take(()) == "No photo chosen yet: coffee stands in."
    assert max(upload.image().shape[2:]) == 64
    with pytest.raises(ImageError, match="'x.jpg' is empty"):
        widgets.read_photo("x.jpg", b"")


def test_the_browser_s_message_changes_label_and_preview(photo):
    upload = widgets.upload_photo(photo)
    before = upload.preview.value
    upload._changed({"new": as_eight("<i>.png", encoded(1 - photo))})
    assert upload.preview.value != before
    assert "&lt;i&gt;.png is in use" in upload.label.value
    assert upload.figure().axes


def test_large_photos_are_made_smaller():
    upload = widgets.upload_photo(torch.rand(1, 3, 300, 600), size=200)
    assert upload.image().shape == (1, 3, 100, 200)
    upload.take(as_seven("big.jpg", encoded(torch.rand(1, 3, 400, 100), "JPEG")))
    assert upload.image().shape == (1, 3, 200, 50)


# --- watching a transfer -------------------------------------------------------------------------------


def test_watch_paints_and_keeps_the_result(photo, painting, options):
    watch = widgets.watch_transfer(photo, painting, every=0, steps=4, **options)
    assert watch.result is None
    assert not watch.running
    blank = watch.plot.value
    assert watch.start()
    result = watch.wait(20)
    assert result.stopped == "finished"
    assert len(watch.records) == 4
    expected = transfer(photo, painting, steps=4, **options)
    assert torch.equal(result.image, expected.image)
    assert watch.plot.value != blank
    assert "Done: 4 steps" in watch.label.value
    assert not watch.start_button.disabled
    assert watch.stop_button.disabled
    assert max(jpeg_size(watch.picture.value)) == widgets.SIDE
    assert len(watch.figure().axes) == 2


def test_stop_works_and_gives_the_best_picture(photo, painting, options):
    watch = widgets.watch_transfer(photo, painting, steps=100_000, **options)
    watch.start_button.click()
    assert not watch.start(), "a second start must not begin a second run"
    while len(watch.records) < 3:
        time.sleep(0.01)
    assert watch.stop_button.disabled is False
    watch.stop_button.click()
    result = watch.wait(20)
    assert result is not None
    assert result.stopped == "callback"
    assert len(result.records) < 100_000
    assert "Stopped; this is the best picture" in watch.label.value
    assert not watch.stop(), "nothing is left to stop"
    assert watch.start(), "it can begin again"
    watch.stop()
    watch.wait(20)


def test_a_cell_run_again_stops_the_earlier_run(photo, painting, options):
    first = widgets.watch_transfer(photo, painting, steps=100_000, **options)
    first.start()
    widgets.watch_transfer(photo, painting, steps=2, **options)
    assert first.wait(20).stopped == "callback"


def test_an_error_in_the_run_is_shown(photo, painting, options):
    for wrong, words in (({"style_weight": -1}, "style weight must be a number"), ({"nonsense": 1}, "nonsense")):
        watch = widgets.watch_transfer(photo, painting, steps=2, **wrong, **options)
        watch.start()
        assert watch.wait(20) is None
        assert words in watch.error
        assert "It did not work" in watch.label.value
        assert not watch.start_button.disabled
        assert watch.figure().axes


def test_steps_are_shown_now_and_then(photo, painting, options):
    watch = widgets.watch_transfer(photo, painting, every=100.0, **options)
    records = transfer(photo, painting, steps=3, **options).records
    for record in records:
        record._picture = lambda: photo
        assert watch.step(record) is True
    assert watch.label.value.count("step 1 ") == 1, "the second is too soon after the first"
    watch.stop()
    assert watch.step(records[0]) is False


# --- slider, figures -----------------------------------------------------------------------------------


def test_slider_answers_at_once(photo):
    pictures = [photo * k / 9 for k in range(10)]
    slider = widgets.slider_over(pictures, [f"step {k}" for k in range(10)])
    begin = time.perf_counter()
    for k in range(10):
        assert slider.pick(k) == slider.view.value
    assert (time.perf_counter() - begin) / 10 < 0.1
    slider.slider.value = 4
    assert slider.view.value == slider.files[4]
    assert len([ax for ax in slider.figure().axes if ax.images]) == 10
    with pytest.raises(SettingError, match="as many labels"):
        widgets.slider_over(pictures, ["one"])


def test_displaying_without_a_browser(photo, painting, capsys):
    for shown in (
        widgets.upload_photo(photo),
        widgets.watch_transfer(photo, painting),
        widgets.slider_over([photo], ["a"]),
    ):
        shown._ipython_display_()
    assert capsys.readouterr().err == ""


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
