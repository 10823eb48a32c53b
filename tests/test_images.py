"""Reading and writing pictures: colour modes, orientation, sizes, and files that cannot be read."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from nstlib import FileError, ImageError, SettingError, images


def gradient(mode: str = "RGB", size: tuple[int, int] = (30, 20)) -> Image.Image:
    a = np.zeros((size[1], size[0], 3), np.uint8)
    a[..., 0] = np.linspace(0, 255, size[0])[None]
    a[..., 1] = np.linspace(0, 255, size[1])[:, None]
    return Image.fromarray(a).convert(mode)


def test_rgb_round_trip(tmp_path):
    path = images.save(images.from_pil(gradient()), tmp_path / "a" / "b.png")
    loaded = images.load(path)
    assert loaded.shape == (1, 3, 20, 30)
    assert loaded.dtype == torch.float32
    assert torch.equal((loaded * 255).round().byte(), (images.from_pil(gradient()) * 255).round().byte())


def test_transparent_pixels_become_white(tmp_path):
    rgba = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    rgba.paste((255, 0, 0, 255), (0, 0, 10, 20))
    rgba.save(tmp_path / "a.png")
    picture = images.load(tmp_path / "a.png")
    assert picture[0, :, 5, 5].tolist() == [1, 0, 0]
    assert picture[0, :, 5, 15].tolist() == [1, 1, 1]


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "YCbCr", "HSV"])
def test_modes_become_rgb(tmp_path, mode):
    suffix = {"CMYK": "tif", "YCbCr": "jpg", "HSV": "png"}.get(mode, "png")
    picture = gradient(mode) if mode != "HSV" else gradient()
    picture.save(tmp_path / f"a.{suffix}")
    loaded = images.load(tmp_path / f"a.{suffix}")
    assert loaded.shape == (1, 3, 20, 30)
    assert 0 <= loaded.min() < loaded.max() <= 1


def test_transparent_palette_colours_become_white(tmp_path):
    picture = Image.new("P", (20, 20), 0)
    picture.putpalette([0, 0, 0, 0, 0, 255] + [0] * 762)
    picture.paste(1, (0, 0, 10, 20))
    picture.save(tmp_path / "a.png", transparency=0)
    loaded = images.load(tmp_path / "a.png")
    assert loaded[0, :, 5, 5].tolist() == [0, 0, 1]
    assert loaded[0, :, 5, 15].tolist() == [1, 1, 1]


def test_16_bit_grey(tmp_path):
    values = np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30)
    Image.fromarray(values).save(tmp_path / "a.tif")
    loaded = images.load(tmp_path / "a.tif")
    assert torch.allclose(loaded[0, 1], torch.from_numpy(values.astype(np.float32) / 65535), atol=1 / 255)


def test_float_pictures(tmp_path):
    Image.fromarray(np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)).save(tmp_path / "a.tif")
    loaded = images.load(tmp_path / "a.tif")
    assert loaded.max() == 1
    assert loaded.min() == 0


def test_exif_orientation_is_applied(tmp_path):
    picture = gradient()
    exif = picture.getexif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert images.load(tmp_path / "a.jpg").shape == (1, 3, 30, 20)


@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_that_of_pillow(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    gradient().save(tmp_path / "a.png", exif=exif)
    expected = ImageOps.exif_transpose(Image.open(tmp_path / "a.png"))
    assert torch.equal(images.load(tmp_path / "a.png"), images.from_pil(expected))


def test_damaged_metadata_are_no_reason_to_refuse_a_picture(tmp_path):
    gradient().save(tmp_path / "a.png", exif=b"Exif\0\0MM\xff\xff\0\0", icc_profile=b"no profile")
    assert torch.equal(images.load(tmp_path / "a.png"), images.from_pil(gradient()))


def test_lab_pictures(tmp_path):
    lab = ImageCms.profileToProfile(
        gradient(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    lab.save(tmp_path / "a.tif")
    assert (images.load(tmp_path / "a.tif") - images.from_pil(gradient())).abs().mean() < 0.02


def test_float_pictures_without_a_value_for_some_pixels(tmp_path):
    values = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    values[3, 4], values[5, 6] = np.nan, -np.inf
    Image.fromarray(values).save(tmp_path / "a.tif")
    loaded = images.load(tmp_path / "a.tif")
    assert loaded[0, :, 3, 4].tolist() == loaded[0, :, 5, 6].tolist() == [0, 0, 0]
    assert loaded.max() == 1


def test_colour_profiles_are_converted(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    gradient().save(tmp_path / "same.png", icc_profile=srgb)
    gradient().save(tmp_path / "odd.png", icc_profile=profile.tobytes())  # not a profile for RGB: ignored
    plain = images.from_pil(gradient())
    assert (images.load(tmp_path / "same.png") - plain).abs().max() < 0.02
    assert (images.load(tmp_path / "odd.png") - plain).abs().max() < 0.02


def test_load_and_resize_to_a_size():
    picture = images.from_pil(gradient(size=(300, 200)))
    assert images.load(gradient(size=(300, 200)), size=60).shape == (1, 3, 40, 60)
    assert images.load(gradient(size=(200, 300)), size=60).shape == (1, 3, 60, 40)
    assert images.load(gradient(), exact=(17, 23)).shape == (1, 3, 17, 23)
    assert images.resize(picture, 60).shape == (1, 3, 40, 60)
    assert images.resize(picture, (33, 44)).shape == (1, 3, 33, 44)
    assert images.resize(picture, (200, 300)) is picture


def test_file_objects():
    buffer = io.BytesIO()
    gradient().save(buffer, "PNG")
    buffer.seek(0)
    assert images.load(buffer).shape == (1, 3, 20, 30)


def broken(folder, kind):
    """Return the path of a file that cannot be read."""
    path = folder / "a.jpg"
    if kind == "cut off":
        gradient(size=(300, 200)).save(path)
        path.write_bytes(path.read_bytes()[:900])
    elif kind == "text":
        path.write_text("this is no picture")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "folder":
        path.mkdir()
    elif kind == "bomb":
        Image.new("1", (9000, 8000)).save(folder / "a.png")
        return folder / "a.png"
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cut off", "cut off"),
        ("text", "not a picture"),
        ("empty", "is empty"),
        ("folder", "is a folder"),
        ("missing", "does not exist"),
        ("bomb", "9000 x 8000"),
    ],
)
def test_errors_for_broken_files_are_one_sentence(tmp_path, kind, words):
    with pytest.raises(ImageError, match=words) as caught:
        images.load(broken(tmp_path, kind))
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert message.count(";") == 1 or "," in message  # what is wrong, and what to do


@pytest.mark.parametrize("suffix", ["eps", "png"])
def test_formats_that_start_a_program_are_not_opened(tmp_path, monkeypatch, suffix):
    from PIL import EpsImagePlugin

    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: started.append(1) or gradient())
    gradient().save(tmp_path / "a", "EPS")
    (tmp_path / "a").rename(tmp_path / f"a.{suffix}")
    with pytest.raises(ImageError, match="not a picture that can be read here"):
        images.load(tmp_path / f"a.{suffix}")
    assert not started


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        NotImplementedError("pixel\nformat 3"),
        RuntimeError("Failed to decode frame 0: " + "x" * 500),
        RecursionError("maximum recursion depth exceeded"),
        struct.error("unpack requires a buffer of 4 bytes"),
        zlib.error("Error -3"),
        KeyError("mode"),
        ZeroDivisionError(),
        subprocess.CalledProcessError(1, ["gs"]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_decoder_raises_becomes_one_sentence(tmp_path, monkeypatch, error):
    def fail(_):
        raise error

    gradient().save(tmp_path / "a.png")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    with pytest.raises(ImageError, match="damaged") as caught:
        images.load(tmp_path / "a.png")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250 + len(str(tmp_path))


def test_an_interrupt_is_no_broken_picture(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    gradient().save(tmp_path / "a.png")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", interrupt)
    with pytest.raises(KeyboardInterrupt):
        images.load(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a" * 300 + ".png", "a\0.png", "a\ud800\n.png", "", "pipe"])
def test_errors_for_names_that_no_picture_can_have(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(ImageError) as caught:
        images.load(name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("source", [None, 5, b"a.png", torch.rand(1, 3, 4, 4)])
def test_error_for_a_source_of_another_type(source):
    with pytest.raises(ImageError, match="give a path, an open file or a PIL image"):
        images.load(source)


@pytest.mark.parametrize(
    ("keywords", "error"),
    [
        ({"size": 0}, SettingError),
        ({"size": 0.5}, SettingError),
        ({"size": 10**19}, SettingError),
        ({"exact": (0, 5)}, SettingError),
        ({"exact": (10**6, 10**6)}, ImageError),
        ({"size": 10**6}, ImageError),
    ],
)
def test_error_for_sizes_that_cannot_be(keywords, error):
    with pytest.raises(error):
        images.load(gradient(), **keywords)
    with pytest.raises(error):
        images.resize(images.from_pil(gradient()), *keywords.values())


def test_pillows_limit_on_pixels_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow itself then raises while it opens the file
    gradient(size=(300, 200)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="too many pixels"):
        images.load(tmp_path / "a.png")


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = images.save(gradient(), tmp_path / "a.png")
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(FileError, match="No space left"):
        images.save(gradient("L"), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("name", ["a.xyz", "a", "a.txt"])
def test_error_for_an_unknown_suffix(tmp_path, name):
    with pytest.raises(ImageError, match="suffix"):
        images.save(gradient(), tmp_path / name)


def test_error_for_values_that_are_not_finite(tmp_path):
    with pytest.raises(ImageError, match="not finite"):
        images.save(torch.full((1, 3, 4, 4), float("nan")), tmp_path / "a.png")


def test_side_by_side_with_different_shapes():
    sheet = images.side_by_side(
        [gradient(), gradient(size=(20, 40)), torch.rand(1, 3, 8, 8)], ["a", "b", "c"], height=100
    )
    assert sheet.height == 100 + 24 + 30
    assert sheet.width == 150 + 50 + 100 + 4 * 12


def test_pil_images_of_any_mode_are_saved(tmp_path):
    rgba = gradient("RGBA")
    rgba.putalpha(0)
    assert images.load(images.save(rgba, tmp_path / "a.jpg")).min() == 1  # JPEG has no transparency: white
    assert Image.open(images.save(rgba, tmp_path / "a.png")).mode == "RGBA"
    for mode in ("CMYK", "HSV", "F", "I"):
        assert images.load(images.save(gradient(mode), tmp_path / "b.png")).shape == (1, 3, 20, 30)


def test_error_for_a_picture_that_a_format_cannot_hold(tmp_path):
    with pytest.raises(ImageError, match=r"cannot be written as WEBP .*; use \.png"):
        images.save(torch.rand(3, 2, 17_000), tmp_path / "a.webp")
    with pytest.raises(SettingError, match="quality"):
        images.save(gradient(), tmp_path / "a.jpg", quality=101)
    assert not list(tmp_path.iterdir())


def test_where_a_picture_can_be_written_is_checked_before(tmp_path):
    images.check_output(tmp_path / "new" / "a.png")
    assert not (tmp_path / "new").exists()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "file").write_text("")
    for name in ("pipe.png", "file/a.png", "a" * 300 + ".png", "a\0.png", "a\ud800.png"):
        with pytest.raises(FileError):
            images.check_output(tmp_path / name)


# --- pictures that are not files: tensors, arrays, PIL images ------------------------------------------------


def test_a_tensor_that_is_right_is_returned_as_it_is():
    for dtype in (torch.float32, torch.float64):
        picture = torch.rand(2, 3, 5, 7, dtype=dtype, requires_grad=True)
        assert images.as_image(picture) is picture


def test_tensors_are_converted():
    picture = torch.rand(3, 5, 7, requires_grad=True)
    assert torch.equal(images.as_image(picture), picture[None])
    images.as_image(picture).sum().backward()
    assert torch.equal(picture.grad, torch.ones(3, 5, 7))
    assert images.as_image(picture.bfloat16()).dtype == torch.float32
    byte = torch.randint(256, (1, 3, 5, 7), dtype=torch.uint8)
    assert torch.equal(images.as_image(byte), byte / 255)
    assert torch.equal(images.as_image(torch.full((1, 3, 2, 2), 1.005)), torch.ones(1, 3, 2, 2))


def test_arrays_and_pil_images_are_converted():
    array = np.asarray(gradient())
    expected = images.from_pil(gradient())
    assert torch.equal(images.as_image(array), expected)
    assert torch.equal(images.as_image(np.stack([array, array])), expected.expand(2, -1, -1, -1))
    assert torch.allclose(images.as_image((array / 255)[:, ::-1]), expected.flip(3))
    assert images.as_image(array / 255).dtype == torch.float32
    assert torch.equal(images.as_image(gradient()), expected)
    assert images.as_image(Image.new("RGBA", (4, 4), (0, 0, 0, 0))).min() == 1


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        ("a.jpg", "load it with images.load first"),
        (None, "NoneType"),
        ([[0.5]], "list"),
        (torch.rand(5, 7, 3), r"use picture.movedim\(-1, -3\)"),
        (torch.rand(2, 5, 7, 3), r"use picture.movedim\(-1, -3\)"),
        (torch.rand(1, 5, 7), "repeat a grey one"),
        (torch.rand(5, 7), "repeat a grey one"),
        (torch.rand(1, 4, 5, 7), "transparency"),
        (torch.rand(7), "of the shape"),
        (torch.rand(1, 3, 0, 7), "is empty"),
        (torch.rand(0, 3, 7, 7), "is empty"),
        (torch.randint(256, (1, 3, 5, 7)), "torch.int64"),
        (torch.ones(1, 3, 5, 7, dtype=torch.bool), "torch.bool"),
        (torch.ones(1, 3, 5, 7, dtype=torch.complex64), "torch.complex64"),
        (torch.full((1, 3, 5, 7), float("nan")), "not finite"),
        (torch.full((1, 3, 5, 7), float("inf")), "not finite"),
        (torch.rand(1, 3, 5, 7) * 255, "divide it by 255"),
        (torch.rand(1, 3, 5, 7) - 0.5, "bring them into"),
        (torch.full((1, 3, 5, 7), 1.5), "bring them into"),
        (np.zeros((5, 7, 4), np.uint8), "transparency"),
        (np.zeros((3, 5, 7), np.float32), r"use np.moveaxis\(picture, -3, -1\)"),
        (np.zeros((5, 7), np.uint8), "repeat a grey one"),
        (Image.new("RGB", (0, 7)), "is empty"),
        (np.zeros((5, 7, 3), np.int64), "int64"),
        (np.full((5, 7, 3), 200.0), "divide it by 255"),
        (np.zeros((5, 7, 3), object), "object"),
    ],
)
def test_errors_for_pictures_that_cannot_be_used(picture, words):
    with pytest.raises(ImageError, match=words) as caught:
        images.as_image(picture, "the style")
    message = str(caught.value)
    assert message.startswith("the style ")
    assert "\n" not in message
    assert message.endswith(".")


def test_bytes_are_written_and_resized_as_bytes(tmp_path):
    """They were taken as floats, and became white."""
    byte = (images.from_pil(gradient()) * 255).round().byte()
    assert torch.equal(images.load(images.save(byte, tmp_path / "a.png")), byte / 255)
    assert torch.allclose(images.resize(byte, (10, 15)), images.resize(byte / 255, (10, 15)))
    with pytest.raises(ImageError, match="divide it by 255"):
        images.resize(byte.float(), (10, 15))


# --- mutated pictures ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_mutated_pictures(tmp_path):
    """As ``make fuzz`` does with 5,000."""
    program = [sys.executable, str(ROOT / "tests" / "fuzz" / "run.py"), "--processes", "1"]
    done = subprocess.run(
        [*program, "--count", "300", "--seed", "1", "--keep", str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "300 pictures" in done.stdout


@pytest.mark.parametrize(
    ("load", "kind"),
    [
        (lambda _: 1 / 0, "raw error"),
        (lambda _: torch.zeros(1, 3, 28, 40), "wrong pixels"),
        (lambda _: torch.zeros(1, 3, 40, 28), "wrong size"),
        (lambda _: torch.full((1, 3, 28, 40), float("nan")), "wrong range"),
        (images.load, "accepted"),
    ],
)
def test_the_test_of_mutated_pictures_can_fail(tmp_path, monkeypatch, load, kind):
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "fuzz"))
    import pictures
    import run

    data = pictures.encoded("PNG", pictures.picture("RGB"))
    monkeypatch.setattr(images, "load", load)
    outcome = run.check(pictures.Sample("PNG", "plain", data), tmp_path / "a", use_path=True)
    assert outcome.kind == kind


# --- what a critical user tried ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (torch.rand(1, 3, 5, 7, device="meta"), "the device meta"),
        (torch.rand(1, 3, 5, 7).to_sparse(), "torch.sparse_coo"),
        (torch.rand(1, 3, 5, 7).to_mkldnn(), "torch._mkldnn"),
    ],
)
def test_tensors_without_values_to_read_are_refused(picture, words):
    with pytest.raises(ImageError, match=words):
        images.as_image(picture)


@pytest.mark.parametrize(
    ("picture", "words"),
    [(torch.full((1, 3, 5, 7), 200.0), "divide it by 255"), (torch.rand(1, 3, 5, 7) - 0.5, "bring them into")],
)
def test_save_and_side_by_side_refuse_values_outside_of_the_range(tmp_path, picture, words):
    """They were clamped: a picture in 0..255 became white."""
    with pytest.raises(ImageError, match=words):
        images.save(picture, tmp_path / "a.png")
    with pytest.raises(ImageError, match=f"picture 2 .*{words}"):
        images.side_by_side([gradient(), picture])
    assert not (tmp_path / "a.png").exists()
    assert images.to_pil(picture).size == (7, 5)  # clamps, as documented


@pytest.mark.parametrize(
    "values", [{"height": 0}, {"height": float("nan")}, {"height": float("inf")}, {"gap": 10**19}, {"gap": -1}]
)
def test_errors_for_a_height_and_a_gap_that_cannot_be(values):
    with pytest.raises(SettingError, match=next(iter(values))):
        images.side_by_side([gradient()], **values)


def test_a_sheet_that_would_be_too_large_is_refused_before_it_is_made():
    with pytest.raises(ImageError, match="side by side would have .* choose a smaller size"):
        images.side_by_side([gradient()] * 3, height=10**6)
    assert images.side_by_side([gradient()], [1]).height > 320  # a label that is no text


def test_errors_for_sizes_of_another_length(tmp_path):
    path = images.save(gradient(), tmp_path / "a.png")
    for wrong in ((32,), (1, 2, 3), ()):
        with pytest.raises(SettingError, match="long side or"):
            images.load(path, exact=wrong)
        with pytest.raises(SettingError, match="long side or"):
            images.resize(gradient(), wrong)
    with pytest.raises(SettingError, match="exact must be"):
        images.load(path, exact=32)
    assert images.load(path, exact=[32, 24]).shape == (1, 3, 32, 24)


def test_a_result_that_would_be_too_large_is_called_so(tmp_path):
    with pytest.raises(ImageError, match="the result would have .* million are possible"):
        images.load(images.save(gradient(), tmp_path / "a.png"), 10**9)


@pytest.mark.parametrize("path", [None, 5, b"a.png"])
def test_errors_for_what_is_no_path(path):
    for call in (lambda: images.save(gradient(), path), lambda: images.check_output(path)):
        with pytest.raises(FileError, match="give a path"):
            call()


def test_pil_images_that_are_empty_or_cut_off_are_called_so(tmp_path):
    """The message said that PNG cannot be written, and to use PNG."""
    with pytest.raises(ImageError, match="is empty: it has 0 x 5 pixels"):
        images.save(Image.new("RGB", (0, 5)), tmp_path / "o.png")
    path = images.save(gradient().resize((300, 200)), tmp_path / "whole.jpg")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ImageError, match="cut off"):
        images.save(Image.open(cut), tmp_path / "o.png")


def test_a_pil_image_is_written_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    gradient().save(tmp_path / "turned.jpg", exif=exif)
    images.save(Image.open(tmp_path / "turned.jpg"), tmp_path / "o.png")
    assert Image.open(tmp_path / "o.png").size == images.load(tmp_path / "turned.jpg").shape[:1:-1]


def test_grey_with_premultiplied_transparency_is_composited_on_white():
    grey = images.from_pil(Image.new("LA", (3, 2), (100, 128)))
    assert torch.allclose(images.from_pil(Image.new("LA", (3, 2), (100, 128)).convert("La")), grey, atol=0.02)
