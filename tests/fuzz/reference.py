"""What plain Pillow makes of a file: the pixels that ``nstlib.images.load`` should return."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image

MAX_PIXELS = 64_000_000

LARGE = 4_000_000
"""Of pictures with more pixels only the size is compared, to save time and memory."""


@dataclass
class Expected:
    """What ``load`` should return.

    Attributes:
        mode: Pillow's mode of the file.
        size: (height, width).
        pixels: (H, W, 3) in 0..255; None where only the size is compared: a color profile, a Lab or a large picture.
        tolerance: Largest difference of a pixel.
    """

    mode: str
    size: tuple[int, int]
    pixels: np.ndarray | None
    tolerance: float


def expected(data: bytes, formats: list[str]) -> Expected | None:
    """Return what is expected for a file; None where Pillow refuses it, or the picture is too large or empty."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data), formats=formats)
            if not 0 < image.width * image.height <= MAX_PIXELS:
                return None
            image.load()
        except Exception:
            return None
        try:
            orientation = image.getexif().get(0x0112)
        except Exception:  # the metadata are damaged; the picture is not
            orientation = None
    size = (image.width, image.height) if orientation in (5, 6, 7, 8) else (image.height, image.width)
    if "icc_profile" in image.info or image.mode == "LAB" or image.width * image.height > LARGE:
        return Expected(image.mode, size, None, 0)
    pixels, tolerance = _rgb(image)
    return Expected(image.mode, size, _upright(pixels, orientation), tolerance)


def _rgb(image: Image.Image) -> tuple[np.ndarray, float]:
    """Return the pixels on white and the largest difference that rounding makes."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0, posinf=1e30, neginf=-1e30)
        top = 65535 if image.mode != "F" else 1 if values.max() <= 1 else 255
        gray = np.clip(values / top, 0, 1) * 255
        return np.repeat(gray[..., None], 3, 2), 0.51
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        rgba = np.asarray(image.convert("RGBA")).astype(np.float64)
        alpha = rgba[..., 3:] / 255
        return rgba[..., :3] * alpha + 255 * (1 - alpha), 1.01
    return np.asarray(image.convert("RGB")).astype(np.float64), 0.01


def _upright(pixels: np.ndarray, orientation: int | None) -> np.ndarray:
    """Turn pixels (H, W, 3) by an EXIF orientation."""
    if orientation in (2, 4, 5, 7):  # mirrored; turned by the rest
        pixels = pixels[:, ::-1]
    quarters = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)  # counterclockwise
    return np.rot90(pixels, quarters)
