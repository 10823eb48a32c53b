"""The gallery's pictures, and its messages when one is not available. No test opens a connection."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nstlib import save
from nstlib.data import gallery
from nstlib.errors import GalleryError

pooch = pytest.importorskip("pooch")
pytest.importorskip("skimage")


@pytest.fixture
def styles(tmp_path, monkeypatch, photo) -> Path:
    """A folder with two style pictures."""
    for name in ("night", "waves"):
        save(photo, tmp_path / "styles" / f"{name}.jpg")
    (tmp_path / "styles" / "notes.txt").write_text("no picture")
    monkeypatch.setenv("NST_DATA", str(tmp_path))
    return tmp_path / "styles"


def one_sentence(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", gallery.content_names())
def test_contents_are_in_the_wheel(name, monkeypatch):
    monkeypatch.setattr(pooch, "retrieve", None)  # a download would raise
    picture = gallery.content(name, 40)
    assert picture.shape[:2] == (1, 3)
    assert max(picture.shape[2:]) == 40
    assert picture.dtype == torch.float32
    assert 0 <= picture.min() < picture.max() <= 1


def test_error_for_unknown_content_suggests_the_nearest_name():
    with pytest.raises(GalleryError) as error:
        gallery.content("chelsey")
    assert "did you mean 'chelsea'?" in one_sentence(error)


def test_content_without_scikit_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(GalleryError) as error:
        gallery.content("coffee")
    assert "pip install scikit-image" in one_sentence(error)


def test_styles_in_a_folder(styles):
    assert gallery.style_names() == ["night", "waves"]
    assert gallery.style("waves", 32).shape == (1, 3, 24, 32)
    with pytest.raises(GalleryError) as error:
        gallery.style("wave")
    assert one_sentence(error) == "there is no style 'wave'; did you mean 'waves'? There are: night, waves."


def test_styles_in_the_repository(monkeypatch, tmp_path):
    """They are found beside the package, whatever the working directory is."""
    monkeypatch.delenv("NST_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    names = gallery.style_names()
    assert len(names) >= 6
    assert names == sorted(names)
    assert gallery.style(names[0], 48).shape[3] <= 48


def test_no_styles(monkeypatch, tmp_path):
    monkeypatch.setenv("NST_DATA", str(tmp_path))
    assert gallery.style_names() == []
    with pytest.raises(GalleryError) as error:
        gallery.style("waves")
    assert "NST_DATA" in one_sentence(error)


def test_paintings_have_fixed_addresses_and_hashes():
    for name, painting in gallery.PAINTINGS.items():
        commit = painting.url.split("/")[5]
        assert painting.url.startswith("https://raw.githubusercontent.com/"), name
        assert len(commit) == 40
        assert int(commit, 16)
        assert len(painting.sha256) == 64
        assert int(painting.sha256, 16)
        assert painting.title
        assert painting.similar_style


@pytest.mark.parametrize("error", [ConnectionError("no route"), OSError("disk full"), TimeoutError()])
def test_painting_without_a_connection(styles, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(pooch, "retrieve", fail)
    with pytest.raises(GalleryError) as caught:
        gallery.painting("shipwreck")
    text = one_sentence(caught)
    assert "could not be downloaded" in text
    assert "use gallery.style('waves') instead" in text
    with pytest.raises(GalleryError, match="use gallery.style"):
        gallery.painting("starry_night")


def test_painting_with_a_wrong_hash(styles, monkeypatch):
    def fail(*_, **__):
        raise ValueError("SHA256 hash of downloaded file does not match")

    monkeypatch.setattr(pooch, "retrieve", fail)
    with pytest.raises(GalleryError) as error:
        gallery.painting("starry_night")
    assert "has changed" in one_sentence(error)


def test_a_painting_is_read_from_the_cache(tmp_path, monkeypatch, photo):
    calls = []

    def retrieve(url, known_hash, fname, path):
        calls.append((url, known_hash, str(path)))
        return save(photo, tmp_path / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setenv("NST_CACHE", str(tmp_path / "cache"))
    assert gallery.painting("starry_night", 32).shape == (1, 3, 24, 32)
    ((url, known_hash, path),) = calls
    assert url.endswith(".jpg")
    assert known_hash.startswith("sha256:")
    assert path == str(tmp_path / "cache")


def download(data: bytes):
    """Return what pooch downloads with, which writes these bytes."""

    def write(url, output_file, pooch):
        if hasattr(output_file, "write"):
            output_file.write(data)
        else:
            Path(output_file).write_bytes(data)

    return lambda *_, **__: write


def test_damaged_downloads_are_not_kept_and_damaged_files_are_replaced(tmp_path, styles, monkeypatch, photo):
    """Pooch itself runs; only the connection is replaced."""
    whole = save(photo, tmp_path / "whole.jpg").read_bytes()
    painting = replace(gallery.PAINTINGS["shipwreck"], sha256=hashlib.sha256(whole).hexdigest())
    monkeypatch.setitem(gallery.PAINTINGS, "shipwreck", painting)
    cache = tmp_path / "cache"
    monkeypatch.setenv("NST_CACHE", str(cache))
    monkeypatch.setattr(pooch.core, "choose_downloader", download(whole[:900]))
    with pytest.raises(GalleryError, match="has changed"):
        gallery.painting("shipwreck")
    assert list(cache.iterdir()) == []
    (cache / "shipwreck.jpg").write_bytes(whole[:900])
    monkeypatch.setattr(pooch.core, "choose_downloader", download(whole))
    assert gallery.painting("shipwreck").shape == (1, 3, 48, 64)
    assert (cache / "shipwreck.jpg").read_bytes() == whole
    monkeypatch.setattr(pooch.core, "choose_downloader", None)  # from now on it is read from the cache
    assert gallery.painting("shipwreck").shape == (1, 3, 48, 64)


def test_a_folder_of_styles_that_cannot_be_read(monkeypatch, styles):
    def deny(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", deny)
    assert gallery.style_names() == []


def test_unknown_painting_and_no_pooch(monkeypatch):
    with pytest.raises(GalleryError) as error:
        gallery.painting("starry_nite")
    assert "did you mean 'starry_night'?" in one_sentence(error)
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(GalleryError, match="pooch"):
        gallery.painting("starry_night")
