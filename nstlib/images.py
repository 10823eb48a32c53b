"""Pictures in and out: files to tensors of shape (1, 3, H, W), RGB, float32 in [0, 1], and back."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError
from torch import Tensor

from .errors import ImageError
from .files import write_atomically

MAX_PIXELS = 64_000_000
"""No picture with more pixels is decoded: 64 megapixels take 768 MB as float32."""

MIN_SIDE = 16
"""VGG halves a picture four times before relu5_1: with fewer pixels nothing would be left."""

PICTURE_SUFFIXES = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
"""Suffixes of the files that count as pictures in a folder and that ``save`` writes, with Pillow's format names."""

Source = str | os.PathLike[str] | BinaryIO | Image.Image


def load(source: Source, size: int | None = None, exact: tuple[int, int] | None = None) -> Tensor:
    """Read a picture as a tensor of shape (1, 3, H, W), RGB, float32 in [0, 1].

    The EXIF orientation is applied and transparency is composited on white. Grey, palette, CMYK, 16-bit and
    float pictures become RGB; an embedded colour profile is converted to sRGB. Of an animation the first
    frame is taken.

    Args:
        source: A path, an open binary file or a PIL image.
        size: Length of the long side in pixels; the aspect ratio is kept.
        exact: Exact (height, width) instead.

    Returns:
        The picture, (1, 3, H, W).

    Raises:
        ImageError: The file is missing, unreadable, cut off, not a picture, or larger than ``MAX_PIXELS``; or the
            size cannot be used.
    """
    name = _name_of(source)
    if isinstance(source, (str, os.PathLike)):
        _check_file(Path(source), name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we have a limit of our own
            image = source if isinstance(source, Image.Image) else Image.open(source)
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(_too_large(name, image.width, image.height))
            rgb = _to_rgb(image)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} has too many pixels; scale it below {MAX_PIXELS // 10**6} megapixels.") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not a picture that Pillow can read; use JPEG, PNG, TIFF or WebP.") from error
    except PermissionError as error:
        raise ImageError(f"{name} cannot be read for lack of permission; check its permissions.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow raises for broken files
        raise ImageError(f"{name} is damaged or cut off ({error}); get a complete copy of it.") from error
    if exact is not None:
        rgb = rgb.resize((exact[1], exact[0]), Image.Resampling.LANCZOS)
    elif size is not None:
        rgb = rgb.resize(_fit_long_side(rgb.size, size), Image.Resampling.LANCZOS)
    return from_pil(rgb)


def _name_of(source: Source) -> str:
    return f"'{source}'" if isinstance(source, (str, os.PathLike)) else "the picture"


def _check_file(path: Path, name: str) -> None:
    if not path.exists():
        raise ImageError(f"{name} does not exist; check the path.")
    if path.is_dir():
        raise ImageError(f"{name} is a folder; give the path of one picture.")
    if path.stat().st_size == 0:
        raise ImageError(f"{name} is empty; get the picture again.")


def _too_large(name: str, width: int, height: int) -> str:
    return (
        f"{name} has {width} x {height} pixels; at most {MAX_PIXELS // 10**6} million are read: make it smaller first."
    )


def _to_rgb(image: Image.Image) -> Image.Image:
    image.load()
    image = ImageOps.exif_transpose(image)
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image, profile = _to_8_bit(image), None
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        image = _to_srgb(image, profile)
    return image.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    # integers have 16 bits here; floats may be in [0, 1] or in [0, 255]
    top = 65535.0 if image.mode != "F" else (1.0 if values.max(initial=0) <= 1 else 255.0)
    return Image.fromarray((np.clip(values / top, 0, 1) * 255).round().astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, target, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image  # a broken profile is no reason to refuse the picture


def _fit_long_side(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    if long_side < 1:
        raise ImageError(f"the size must be at least 1 pixel, not {long_side}.")
    factor = long_side / max(size)
    width, height = (max(1, round(s * factor)) for s in size)
    if width * height > MAX_PIXELS:
        raise ImageError(_too_large("the result", width, height))
    return width, height


def from_pil(image: Image.Image) -> Tensor:
    """Return a PIL image as a tensor (1, 3, H, W), float32 in [0, 1]."""
    array = np.array(image.convert("RGB"), dtype=np.float32) / 255  # (H, W, 3)
    return torch.from_numpy(array).permute(2, 0, 1)[None].contiguous()  # (1, 3, H, W)


def to_pil(image: Tensor) -> Image.Image:
    """Return the first picture of a tensor (N, 3, H, W) or (3, H, W) in [0, 1] as an 8-bit RGB image.

    Values outside [0, 1] are clamped.

    Raises:
        ImageError: The shape is another, or values are not finite.
    """
    if image.dim() == 4:
        image = image[0]
    if image.dim() != 3 or image.shape[0] != 3:
        raise ImageError(f"a picture has the shape (3, H, W) or (N, 3, H, W), not {tuple(image.shape)}.")
    pixels = image.detach().float().cpu()
    if not torch.isfinite(pixels).all():
        raise ImageError("the picture contains values that are not finite; an earlier computation diverged.")
    array = (pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()  # (H, W, 3)
    return Image.fromarray(array)


def resize(image: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Return a tensor (N, 3, H, W) at another long side (int) or another (height, width), antialiased, in [0, 1].

    Raises:
        ImageError: The size is smaller than 1 pixel, or the result larger than ``MAX_PIXELS``.
    """
    h, w = image.shape[2:]
    if isinstance(size, int):
        width, height = _fit_long_side((w, h), size)
        size = (height, width)
    if size == (h, w):
        return image
    out = F.interpolate(image, size, mode="bicubic", antialias=True, align_corners=False)
    return out.clamp(0, 1)


def is_picture_file(path: Path) -> bool:
    """Return whether a file's name counts as a picture's: a known suffix, and not hidden."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def _format_of(path: Path) -> str:
    """Return Pillow's name of the format that a suffix stands for."""
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise ImageError(f"'{path}' does not end in a picture's suffix; use .png, .jpg or .webp.")
    return PICTURE_SUFFIXES[path.suffix.lower()]


def check_output(path: str | os.PathLike[str]) -> None:
    """Raise ImageError if a picture cannot be written there: a wrong suffix, a folder, a file used as a folder."""
    path = Path(path)
    _format_of(path)
    folder = next((p for p in path.parents if p.exists()), None)
    if path.is_dir() or (folder is not None and not folder.is_dir()):
        raise ImageError(f"'{path}' cannot be written; choose another place.")


def save(image: Tensor | Image.Image, path: str | os.PathLike[str], quality: int = 92) -> Path:
    """Write a picture, whole or not at all; missing folders are made.

    Args:
        image: A tensor (N, 3, H, W) or (3, H, W) in [0, 1], of which the first picture is written, or a PIL image.
        path: Where to write; the suffix decides the format, see ``PICTURE_SUFFIXES``.
        quality: Of JPEG and WebP, 1 to 100.

    Returns:
        The path.

    Raises:
        ImageError: The suffix is unknown or the image cannot be used.
        FileError: The file cannot be written.
    """
    path = Path(path)
    file_format = _format_of(path)
    picture = image if isinstance(image, Image.Image) else to_pil(image)
    options = {"quality": quality} if file_format in ("JPEG", "WEBP") else {}
    if file_format == "JPEG":
        options["subsampling"] = 0
    buffer = io.BytesIO()
    picture.save(buffer, file_format, **options)
    return write_atomically(path, buffer.getvalue())


def side_by_side(
    pictures: Sequence[Tensor | Image.Image], labels: Sequence[str] = (), height: int = 320, gap: int = 12
) -> Image.Image:
    """Return pictures of any shapes beside each other, on white, each above its label.

    Args:
        pictures: Tensors (N, 3, H, W) in [0, 1] or PIL images.
        labels: One per picture, or none.
        height: Common height in pixels.
        gap: Space between pictures in pixels.
    """
    scaled = []
    for picture in pictures:
        pil = picture if isinstance(picture, Image.Image) else to_pil(picture)
        width = max(1, round(pil.width * height / pil.height))
        scaled.append(pil.resize((width, height), Image.Resampling.LANCZOS))
    label_height = 30 if labels else 0
    sheet_width = sum(p.width for p in scaled) + gap * (len(scaled) + 1)
    sheet = Image.new("RGB", (sheet_width, height + 2 * gap + label_height), "white")
    draw, font, x = ImageDraw.Draw(sheet), _label_font(), gap
    for i, pil in enumerate(scaled):
        sheet.paste(pil, (x, gap))
        if i < len(labels):
            left, _, right, _ = draw.textbbox((0, 0), labels[i], font=font)
            draw.text((x + (pil.width - (right - left)) / 2, height + gap + 6), labels[i], "#333333", font=font)
        x += pil.width + gap
    return sheet


def _label_font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    try:
        return ImageFont.load_default(17)
    except TypeError:  # Pillow before 10.1 has one size only
        return ImageFont.load_default()
