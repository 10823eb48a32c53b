"""Reading and writing pictures: colour modes, orientation, sizes, and files that cannot be read."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from nstlib import FileError, ImageError, images


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
