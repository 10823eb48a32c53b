"""Pictures in and out: files, arrays and PIL images to tensors (N, 3, H, W), RGB, in [0, 1], and back."""

from __future__ import annotations

import contextlib
import io
import math
import os
import stat
import warnings
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageCms, ImageDraw, ImageFont, UnidentifiedImageError
from torch import Tensor

from .errors import ImageError, SettingError, check_type, shown, whole_number
from .files import as_path, quoted, try_place, write_atomically
from .runtime import holds_values

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

READ_FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM"]
"""Pillow's names of the formats that ``load`` opens ("JPEG" includes phones' MPO); no decoder of theirs starts a
program, as that of EPS does."""
if find_spec("PIL.AvifImagePlugin"):  # since Pillow 11.3
    READ_FORMATS.append("AVIF")

ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture upright, by its EXIF orientation."""

RANGE_TOLERANCE = 0.01
"""Values this far outside [0, 1] are rounding errors, and are clamped."""

Source = str | os.PathLike[str] | BinaryIO | Image.Image
Picture = Tensor | np.ndarray | Image.Image
"""What ``as_image`` takes."""


def load(source: Source, size: int | None = None, exact: tuple[int, int] | None = None) -> Tensor:
    """Read a picture as a tensor of shape (1, 3, H, W), RGB, float32 in [0, 1].

    The EXIF orientation is applied and transparency is composited on white. Grey, palette, CMYK, Lab, 16-bit and
    float pictures become RGB; an embedded colour profile is converted to sRGB. Of an animation the first
    frame is taken. Files of the formats in ``READ_FORMATS`` are read.

    Args:
        source: A path, an open binary file or a PIL image.
        size: Length of the long side in pixels; the aspect ratio is kept.
        exact: Exact (height, width) instead.

    Returns:
        The picture, (1, 3, H, W).

    Raises:
        ImageError: The file is missing, unreadable, cut off, not a picture, or it or the result is larger than
            ``MAX_PIXELS``.
        SettingError: The size is not of whole numbers of at least 1 pixel.
    """
    rgb = _decoded(source, _name_of(source))
    if exact is not None and not isinstance(exact, Sequence):
        raise SettingError(f"exact must be (height, width), not {shown(exact)}; the long side alone is the size.")
    wanted = exact if exact is not None else size
    if wanted is not None:
        height, width = _target_size((rgb.height, rgb.width), wanted)
        rgb = rgb.resize((width, height), Image.Resampling.LANCZOS)
    pixels = np.array(rgb)  # (H, W, 3)
    del rgb  # a large picture is in memory once only
    return _to_tensor(pixels)


def _decoded(source: Source, name: str, keep: Collection[str] = ()) -> Image.Image:
    """Return a picture as an RGB image, or upright but as it is if its mode is one of ``keep``."""
    if isinstance(source, (str, os.PathLike)):
        _check_file(source, name)
    elif not hasattr(source, "read"):
        check_type(name, source, Image.Image, "give a path, an open file or a PIL image", ImageError)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of damaged metadata, and we have a limit of our own
            image = source if isinstance(source, Image.Image) else Image.open(source, formats=READ_FORMATS)
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(
                    f"{name} has {image.width} x {image.height} pixels; at most {MAX_PIXELS // 10**6} million are "
                    "read: make it smaller first."
                )
            if 0 in image.size:
                raise ImageError(f"{name} is empty: it has {image.width} x {image.height} pixels.")
            image.load()
            return _upright(image) if image.mode in keep else _to_rgb(image)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} has too many pixels; scale it below {MAX_PIXELS // 10**6} megapixels.") from error
    except UnidentifiedImageError as error:
        formats = ", ".join(READ_FORMATS)
        raise ImageError(f"{name} is not a picture that can be read here ({formats}); save it as JPEG.") from error
    except PermissionError as error:
        raise ImageError(f"{name} cannot be read for lack of permission; check its permissions.") from error
    except MemoryError as error:
        raise ImageError(f"{name} does not fit into memory, or is damaged; make it smaller first.") from error
    except Exception as error:  # for broken files Pillow and its decoders raise almost anything
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise ImageError(f"{name} is damaged or cut off ({reason}); get a complete copy of it.") from error


def _name_of(source: Source) -> str:
    return quoted(source) if isinstance(source, (str, os.PathLike)) else "the picture"


def _check_file(path: str | os.PathLike[str], name: str) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        raise ImageError(f"{name} does not exist; check the path.") from error
    except (OSError, ValueError) as error:  # a name that is too long or has a null byte, no permission
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{name} cannot be opened ({reason}); check the path.") from error
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(f"{name} is a folder; give the path of one picture.")
    if status.st_size == 0:  # that of a device or a pipe, too
        raise ImageError(f"{name} is empty; get the picture again.")


def _to_rgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    image = _upright(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image, profile = _to_8_bit(image), None
    if image.mode == "LAB":
        return _to_srgb(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        image = image.convert("LA") if image.mode == "La" else image  # Pillow has no other conversion of it
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        with contextlib.suppress(Exception):  # a broken profile is no reason to refuse the picture
            image = _to_srgb(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    return image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; ``ImageOps.exif_transpose`` copies the picture and fails for damaged metadata."""
    try:
        method = ORIENTATIONS.get(image.getexif().get(0x0112, 1))
    except Exception:  # damaged metadata are no reason to refuse the picture
        return image
    return image if method is None else image.transpose(method)


def _to_8_bit(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float32)
    np.nan_to_num(values, copy=False)
    # integers have 16 bits here; floats may be in [0, 1] or in [0, 255]
    top = 65535 if image.mode != "F" else (1 if values.max(initial=0) <= 1 else 255)
    np.clip(values, 0, top, out=values)
    values *= 255 / top
    return Image.fromarray(values.round(out=values).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    target = ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(image, profile, target, outputMode="RGB") or image


def _target_size(shape: Sequence[int], size: int | Sequence[int]) -> tuple[int, int]:
    """Return the (height, width) to which a picture of the shape (height, width) is brought."""
    if not isinstance(size, Sequence):
        factor = whole_number("the size", size) / max(shape)
        size = (max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor)))
    if len(size) != 2:
        raise SettingError(f"a size is the long side or (height, width), not {shown(size)}.")
    height, width = (whole_number("a side", side) for side in size)
    _check_result_size("the result", height, width)
    return height, width


def _check_result_size(name: str, height: int, width: int) -> None:
    if width * height > MAX_PIXELS:
        most = f"at most {MAX_PIXELS // 10**6} million are possible"
        raise ImageError(f"{name} would have {width} x {height} pixels; {most}: choose a smaller size.")


def as_image(picture: Picture, name: str = "the picture") -> Tensor:
    """Return a picture as a checked tensor of shape (N, 3, H, W), RGB, in [0, 1].

    A float32 or float64 tensor that is already right is returned as it is; gradients flow through every conversion.

    Args:
        picture: A tensor (N, 3, H, W) or (3, H, W), a NumPy array (N, H, W, 3) or (H, W, 3), each of floats in [0, 1]
            or uint8 in [0, 255]; or a PIL image, which is converted as ``load`` does.
        name: What the messages call it, such as "the content".

    Returns:
        float64 for a float64 tensor, else float32, on the tensor's own device.

    Raises:
        ImageError: The type, the shape, the dtype or a value is wrong. Values up to ``RANGE_TOLERANCE`` outside [0, 1]
            are clamped.
    """
    pixels = _checked(picture, name)
    low, high = (float(value) for value in pixels.detach().aminmax())
    if high > 2:
        raise ImageError(f"{name} has values up to {high:.4g}, which look like 0..255; divide it by 255.")
    if low < -RANGE_TOLERANCE or high > 1 + RANGE_TOLERANCE:
        raise ImageError(f"{name} has values from {low:.4g} to {high:.4g}; bring them into [0, 1], as by .clamp(0, 1).")
    return pixels if low >= 0 and high <= 1 else pixels.clamp(0, 1)


def _checked(picture: Picture, name: str) -> Tensor:
    """Return a picture as a tensor (N, 3, H, W), float32 or float64, of finite values of any range."""
    if isinstance(picture, Image.Image):
        return _to_tensor(np.array(_decoded(picture, name)))
    if isinstance(picture, (str, os.PathLike)):
        raise ImageError(f"{name} is a path, {quoted(picture)}; load it with images.load first.")
    if isinstance(picture, np.ndarray):
        pixels = _from_array(picture, name)
    else:
        advice = "give a tensor (N, 3, H, W), an array (H, W, 3) or a PIL image"
        check_type(name, picture, Tensor, advice, ImageError)
        pixels = picture
        if not holds_values(pixels):
            kind = f"the device {pixels.device} and the layout {pixels.layout}"
            raise ImageError(f"{name} is a tensor of {kind}, which cannot be used; give a dense one with values.")
        if pixels.dim() not in (3, 4) or pixels.shape[-3] != 3:
            raise ImageError(_wrong_shape(name, "tensor", pixels.shape))
    if pixels.numel() == 0:
        raise ImageError(f"{name} is empty, of the shape {tuple(picture.shape)}; give one with pixels.")
    if pixels.dtype == torch.uint8:
        pixels = pixels.float() / 255
    elif not pixels.is_floating_point():
        raise ImageError(f"{name} has the dtype {pixels.dtype}; give floats in [0, 1] or uint8 in [0, 255].")
    elif pixels.dtype != torch.float64:
        pixels = pixels.float()
    if not all(math.isfinite(value) for value in pixels.detach().aminmax()):
        raise ImageError(f"{name} contains values that are not finite; an earlier computation diverged.")
    return pixels if pixels.dim() == 4 else pixels[None]


def _from_array(array: np.ndarray, name: str) -> Tensor:
    """Return an array (N, H, W, 3) or (H, W, 3) as a tensor (N, 3, H, W) or (3, H, W); floats become float32."""
    if array.ndim not in (3, 4) or array.shape[-1] != 3:
        raise ImageError(_wrong_shape(name, "NumPy array", array.shape))
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise ImageError(f"{name} has the dtype {array.dtype}; give floats in [0, 1] or uint8 in [0, 255].")
    array = np.array(array, dtype=np.uint8 if array.dtype == np.uint8 else np.float32)
    return torch.from_numpy(array).movedim(-1, -3).contiguous()


def _wrong_shape(name: str, kind: str, shape: Sequence[int]) -> str:
    """Return the message for a shape that is not a picture's."""
    if kind == "tensor":
        wanted, move = "(3, H, W) or (N, 3, H, W)", "picture.movedim(-1, -3)"
    else:
        wanted, move = "(H, W, 3) or (N, H, W, 3)", "np.moveaxis(picture, -3, -1)"
    channels_elsewhere = len(shape) in (3, 4) and 3 in (shape[-1], shape[-3])
    advice = f"use {move}" if channels_elsewhere else "give three channels: repeat a grey one, leave transparency out"
    return f"{name} is a {kind} of the shape {tuple(shape)}, not {wanted}; {advice}."


def from_pil(image: Image.Image) -> Tensor:
    """Return a PIL image as a tensor (1, 3, H, W), float32 in [0, 1], converted as ``load`` does.

    Raises:
        ImageError: The image cannot be used.
    """
    return _to_tensor(np.array(_decoded(image, "the picture")))


def _to_tensor(pixels: np.ndarray) -> Tensor:
    """Return bytes (H, W, 3) as a tensor (1, 3, H, W), float32 in [0, 1]."""
    tensor = torch.empty(1, 3, *pixels.shape[:2])
    return tensor.copy_(torch.from_numpy(pixels).permute(2, 0, 1)).div_(255)


def to_pil(image: Picture) -> Image.Image:
    """Return a picture, or the first of several, as an 8-bit RGB image.

    Args:
        image: As ``as_image`` takes it, but values outside [0, 1] are clamped.

    Raises:
        ImageError: The type, the shape or the dtype is wrong, or values are not finite.
    """
    if isinstance(image, Image.Image):
        return _decoded(image, "the picture")
    if isinstance(image, (Tensor, np.ndarray)) and image.ndim == 4:
        image = image[:1]
    pixels = _checked(image, "the picture")[0].detach().cpu()
    array = (pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()  # (H, W, 3)
    return Image.fromarray(array)


def resize(image: Picture, size: int | tuple[int, int]) -> Tensor:
    """Return a picture (N, 3, H, W) at another long side (int) or another (height, width), antialiased, in [0, 1].

    Raises:
        ImageError: The picture cannot be used, see ``as_image``; or the result is larger than ``MAX_PIXELS``.
        SettingError: The size is not of whole numbers of at least 1 pixel.
    """
    image = as_image(image)
    size = _target_size(image.shape[2:], size)
    if size == image.shape[2:]:
        return image
    out = F.interpolate(image, size, mode="bicubic", antialias=True, align_corners=False)
    return out.clamp(0, 1)


def is_picture_file(path: Path) -> bool:
    """Return whether a file's name counts as a picture's: a known suffix, and not hidden."""
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")


def _format_of(path: Path) -> str:
    """Return Pillow's name of the format that a suffix stands for."""
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise ImageError(f"{quoted(path)} does not end in a picture's suffix; use .png, .jpg or .webp.")
    return PICTURE_SUFFIXES[path.suffix.lower()]


def check_output(path: str | os.PathLike[str]) -> None:
    """Check, before the work and by a trial, that a picture can be written to a path.

    Raises:
        ImageError: The suffix is not one of ``PICTURE_SUFFIXES``.
        FileError: It is a folder or a device, or the file cannot be written there.
    """
    _format_of(as_path(path))
    try_place(path)


def save(image: Picture, path: str | os.PathLike[str], quality: int = 92) -> Path:
    """Write a picture, whole or not at all; missing folders are made.

    Args:
        image: As ``as_image`` takes it; of several pictures the first is written. A PIL image that is grey or has
            transparency keeps that where the format has it.
        path: Where to write; the suffix decides the format, see ``PICTURE_SUFFIXES``.
        quality: Of JPEG and WebP, 1 to 100.

    Returns:
        The path.

    Raises:
        ImageError: The suffix is unknown, or the image cannot be used or is too large for the format.
        SettingError: The quality is not a whole number from 1 to 100.
        FileError: The file cannot be written.
    """
    path = as_path(path)
    file_format = _format_of(path)
    picture = _in_range(image, "the picture", ("L", "RGB") if file_format == "JPEG" else ("L", "RGB", "RGBA"))
    options = {}
    if file_format in ("JPEG", "WEBP"):
        options["quality"] = whole_number("quality", quality, most=100)
    if file_format == "JPEG":
        options["subsampling"] = 0
    buffer = io.BytesIO()
    try:
        picture.save(buffer, file_format, **options)
    except (OSError, ValueError) as error:  # JPEG and WebP have a limit on the sides
        raise ImageError(f"{quoted(path)} cannot be written as {file_format} ({error}); use .png.") from error
    return write_atomically(path, buffer.getvalue())


def _in_range(picture: Picture, name: str, keep: Collection[str] = ()) -> Image.Image:
    """Return what ``to_pil`` does of a picture whose values are in [0, 1]; a PIL image may have a mode of ``keep``."""
    return _decoded(picture, name, keep) if isinstance(picture, Image.Image) else to_pil(as_image(picture, name))


def side_by_side(
    pictures: Sequence[Picture], labels: Sequence[str] = (), height: int = 320, gap: int = 12
) -> Image.Image:
    """Return pictures of any shapes beside each other, on white, each above its label.

    Args:
        pictures: As ``as_image`` takes them.
        labels: One per picture, or none.
        height: Common height in pixels.
        gap: Space between pictures in pixels.

    Raises:
        ImageError: A picture cannot be used, or the result would have more than ``MAX_PIXELS``.
        SettingError: The height is not a whole number above 0, or the gap not one of at least 0.
    """
    whole_number("the height", height)
    whole_number("the gap", gap, least=0)
    found = [_in_range(picture, f"picture {number}") for number, picture in enumerate(pictures, start=1)]
    widths = [max(1, round(picture.width * height / picture.height)) for picture in found]
    sheet_height = height + 2 * gap + (30 if labels else 0)
    sheet_width = sum(widths) + gap * (len(widths) + 1)
    _check_result_size("the pictures side by side", sheet_height, sheet_width)
    scaled = [pil.resize((width, height), Image.Resampling.LANCZOS) for pil, width in zip(found, widths)]
    sheet = Image.new("RGB", (sheet_width, sheet_height), "white")
    draw, font, x = ImageDraw.Draw(sheet), _label_font(), gap
    for i, pil in enumerate(scaled):
        sheet.paste(pil, (x, gap))
        if i < len(labels):
            left, _, right, _ = draw.textbbox((0, 0), str(labels[i]), font=font)
            draw.text((x + (pil.width - (right - left)) / 2, height + gap + 6), str(labels[i]), "#333333", font=font)
        x += pil.width + gap
    return sheet


def _label_font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    try:
        return ImageFont.load_default(17)
    except TypeError:  # Pillow before 10.1 has one size only
        return ImageFont.load_default()
