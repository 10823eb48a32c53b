"""The style pictures in data/styles and the program that painted them."""

from __future__ import annotations

import io
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import paint_styles  # noqa: E402

FILES = sorted((ROOT / "data" / "styles").glob("*.jpg"))


def small(path: Path) -> np.ndarray:
    """Return the picture at 240 pixels, (H, W, 3), values in [0, 1]."""
    with Image.open(path) as picture:
        picture = picture.convert("RGB")
        picture.thumbnail((240, 240))
        return np.asarray(picture, np.float32) / 255


def saturation(pixels: np.ndarray) -> np.ndarray:
    """Return the HSV saturation of every pixel."""
    high, low = pixels.max(-1), pixels.min(-1)
    return (high - low) / np.maximum(high, 1e-3)


def signature(pixels: np.ndarray) -> np.ndarray:
    """Return a histogram of the colours and one of the directions and strengths of edges, as one vector."""
    bins = np.minimum((pixels * 4).astype(int), 3)
    colours = np.bincount((bins[..., 0] * 16 + bins[..., 1] * 4 + bins[..., 2]).ravel(), minlength=64)
    dy, dx = np.gradient(pixels.mean(-1))
    direction = ((np.arctan2(dy, dx) % np.pi) / np.pi * 8).astype(int) % 8
    strength = np.digitize(np.hypot(dx, dy), [0.01, 0.03, 0.06, 0.10])
    edges = np.bincount((strength * 8 + direction).ravel(), minlength=40)
    return np.concatenate([colours / colours.sum(), edges / edges.sum()])


def test_every_name_has_a_picture():
    assert {path.stem for path in FILES} == set(paint_styles.PICTURES)
    assert len(FILES) >= 6


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_size_format_saturation_and_texture(path: Path):
    assert path.stat().st_size < 400_000
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "JPEG"
        assert picture.mode == "RGB"
        assert 900 <= max(picture.size) <= 1024
        assert min(picture.size) >= 768
    pixels = small(path)
    assert saturation(pixels).mean() > 0.25, "a style picture is colourful"
    # texture everywhere: no sixth of the picture is flat
    grey = pixels.mean(-1)
    rows, columns = np.array_split(grey, 2, 0), 3
    parts = [part for row in rows for part in np.array_split(row, columns, 1)]
    assert min(np.abs(np.diff(part, axis=1)).mean() for part in parts) > 0.008


def test_pictures_differ_from_each_other():
    signatures = {path.stem: signature(small(path)) for path in FILES}
    for first, second in itertools.combinations(signatures, 2):
        distance = np.abs(signatures[first] - signatures[second]).sum()
        assert distance > 0.6, f"{first} and {second} are too similar"


def test_readme_lists_every_file():
    text = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    for path in FILES:
        seed = paint_styles.PICTURES[path.stem][0]
        row = next(line for line in text.splitlines() if f"`styles/{path.name}`" in line)
        assert f"| {seed} |" in row, "the seed in data/README.md is the one that painted it"


@pytest.mark.slow
@pytest.mark.parametrize("name", paint_styles.PICTURES)
def test_painting_depends_only_on_the_seed(name: str):
    first = paint_styles.paint(name, 48)
    assert first.dtype == np.uint8
    assert first.shape[1:] == (48, 3)
    assert np.array_equal(first, paint_styles.paint(name, 48))
    assert not np.array_equal(first, paint_styles.paint(name, 48, seed=1234))


@pytest.mark.slow
def test_stored_picture_equals_the_painted_one():
    """The fastest one at full size; other versions of NumPy or Pillow may differ in the last bit."""
    stored = np.asarray(Image.open(next(p for p in FILES if p.stem == "golden")).convert("RGB"), dtype=int)
    encoded, _quality = paint_styles.encode(paint_styles.paint("golden", max(stored.shape)))
    painted = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"), dtype=int)
    assert painted.shape == stored.shape
    assert np.abs(painted - stored).mean() < 1
