"""Pictures in and out: files to tensors of shape (1, 3, H, W), RGB, float32 in [0, 1], and back."""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageCms, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError
from torch import Tensor

from .errors import ImageError

MAX_PIXELS = 64_000_000
"""No picture with more pixels is decoded: 64 megapixels take 768 MB as float32."""

MIN_SIDE = 16
"""VGG halves a picture four times before relu5_1: with fewer pixels nothing would be left."""

Source = str | os.PathLike | BinaryIO | Image.Image


def load(source: Source, size: int | None = None, exact: tuple[int, int] | None = None) -> Tensor:
    """Read a picture as a tensor of shape (1, 3, H, W), RGB, float32 in [0, 1].

    ``source`` is a path, an open binary file or a PIL image. ``size`` is the long side wanted in
    pixels (the shape of the picture is kept), ``exact`` is (height, width). The camera's turn (EXIF)
    is applied, transparency is laid on white, and grey, palette, CMYK, 16-bit and float pictures
    become RGB; an embedded colour profile is converted to sRGB. Of an animation the first picture is taken.

    Raises ImageError, with one sentence, for a file that is missing, unreadable, cut off, not a
    picture, or larger than ``MAX_PIXELS``.
    """
    name = "the picture" if isinstance(source, Image.Image) or hasattr(source, "read") else f"'{source}'"
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if not path.exists():
            raise ImageError(f"{name} does not exist; check the path.")
        if path.is_dir():
            raise ImageError(f"{name} is a folder; give the path of one picture.")
        if path.stat().st_size == 0:
            raise ImageError(f"{name} is empty; get the picture again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we hold a limit of our own
            image = source if isinstance(source, Image.Image) else Image.open(source)
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                raise ImageError(_too_large(name, image.width, image.height))
            rgb = _to_rgb(image)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} has too many pixels; scale it below {MAX_PIXELS // 10**6} megapixels.") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not a picture that Pillow can read; use JPEG, PNG, TIFF or WebP.") from error
    except PermissionError as error:
        raise ImageError(f"{name} may not be read; check its permissions.") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow raises for broken files
        raise ImageError(f"{name} is damaged or cut off ({error}); get a complete copy of it.") from error
    if exact is not None:
        rgb = rgb.resize((exact[1], exact[0]), Image.Resampling.LANCZOS)
    elif size is not None:
        rgb = rgb.resize(_long_side(rgb.size, size), Image.Resampling.LANCZOS)
    return from_pil(rgb)


def _too_large(name: str, width: int, height: int) -> str:
    return (
        f"{name} has {width} x {height} pixels, more than the {MAX_PIXELS // 10**6} million that are read; "
        "make it smaller first."
    )


def _to_rgb(image: Image.Image) -> Image.Image:
    image.load()
    image = ImageOps.exif_transpose(image)
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image).astype(np.float64)
        # integers come with 16 bits here; floats may be in [0, 1] or in [0, 255]
        top = 65535.0 if image.mode != "F" else (1.0 if values.max(initial=0) <= 1 else 255.0)
        image = Image.fromarray((np.clip(values / top, 0, 1) * 255).round().astype(np.uint8))
        profile = None
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            theirs, ours = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            image = ImageCms.profileToProfile(image, theirs, ours, outputMode="RGB") or image
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a broken profile is no reason to refuse the picture
    return image.convert("RGB")


def _long_side(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    if long_side < 1:
        raise ImageError(f"the size must be at least {MIN_SIDE} pixels, not {long_side}.")
    factor = long_side / max(size)
    wanted = tuple(max(1, round(s * factor)) for s in size)
    if wanted[0] * wanted[1] > MAX_PIXELS:
        raise ImageError(_too_large("the result", *wanted))
    return wanted


def from_pil(image: Image.Image) -> Tensor:
    """A PIL image as (1, 3, H, W), float32 in [0, 1]."""
    array = np.array(image.convert("RGB"), dtype=np.float32) / 255
    return torch.from_numpy(array).permute(2, 0, 1)[None].contiguous()


def to_pil(image: Tensor) -> Image.Image:
    """The first picture of a tensor (N, 3, H, W) or (3, H, W) in [0, 1] as an 8-bit RGB image.

    Values outside [0, 1] are clamped; values that are not finite raise ImageError.
    """
    if image.dim() == 4:
        image = image[0]
    if image.dim() != 3 or image.shape[0] != 3:
        raise ImageError(f"a picture has the shape (3, H, W) or (N, 3, H, W), not {tuple(image.shape)}.")
    array = image.detach().float().cpu()
    if not torch.isfinite(array).all():
        raise ImageError("the picture holds values that are not finite; something diverged before.")
    array = (array.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(array)


def resize(image: Tensor, size: int | tuple[int, int]) -> Tensor:
    """A tensor (N, 3, H, W) at another long side (int) or another (height, width), antialiased."""
    h, w = image.shape[2:]
    if isinstance(size, int):
        width, height = _long_side((w, h), size)
        size = (height, width)
    if size == (h, w):
        return image
    out = torch.nn.functional.interpolate(image, size, mode="bicubic", antialias=True, align_corners=False)
    return out.clamp(0, 1)


def save(image: Tensor | Image.Image, path: str | os.PathLike, quality: int = 92) -> Path:
    """Write a picture; the suffix says the format (.png, .jpg, .webp, .tif). Returns the path.

    The file is written beside its place and renamed, so that a reader never meets half a picture
    and an earlier file survives a failure. Folders are made. Raises ImageError if it cannot be written.
    """
    path = Path(path)
    known = Image.registered_extensions()
    kind = known.get(path.suffix.lower())
    if kind is None or kind not in Image.SAVE:
        raise ImageError(f"'{path}' does not end in a picture's suffix; use .png, .jpg or .webp.")
    picture = image if isinstance(image, Image.Image) else to_pil(image)
    options = {"quality": quality, "subsampling": 0} if kind == "JPEG" else {}
    if kind == "WEBP":
        options = {"quality": quality}
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    write_atomically(path, buffer.getvalue())
    return path


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file beside its place, then rename it. Raises ImageError if that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise ImageError(f"'{path}' is a folder; give the name of a file.")
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(beside, 0o666 & ~umask)  # mkstemp's files are for their owner alone
            os.replace(beside, path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise ImageError(f"'{path}' cannot be written ({reason}); choose another place.") from error


def side_by_side(
    pictures: Sequence[Tensor | Image.Image], labels: Sequence[str] = (), height: int = 320, gap: int = 12
) -> Image.Image:
    """Pictures of any shapes at one height beside each other, on white, with a label under each."""
    scaled = []
    for picture in pictures:
        pil = picture if isinstance(picture, Image.Image) else to_pil(picture)
        scaled.append(pil.resize((max(1, round(pil.width * height / pil.height)), height), Image.Resampling.LANCZOS))
    text = 30 if labels else 0
    width = sum(p.width for p in scaled) + gap * (len(scaled) + 1)
    sheet = Image.new("RGB", (width, height + 2 * gap + text), "white")
    draw, x = ImageDraw.Draw(sheet), gap
    try:
        font: ImageFont.ImageFont | ImageFont.FreeTypeFont = ImageFont.load_default(17)
    except TypeError:  # Pillow before 10.1 has one size only
        font = ImageFont.load_default()
    for i, pil in enumerate(scaled):
        sheet.paste(pil, (x, gap))
        if i < len(labels):
            left, _, right, _ = draw.textbbox((0, 0), labels[i], font=font)
            draw.text((x + (pil.width - (right - left)) / 2, height + gap + 6), labels[i], "#333333", font=font)
        x += pil.width + gap
    return sheet
