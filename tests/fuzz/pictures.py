"""Base pictures of many formats and modes, and mutations of them. Seed and number of a case decide its bytes."""

from __future__ import annotations

import functools
import io
import random
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I;16B", "I", "F")

FORMATS: dict[str, list[dict[str, object]]] = {
    # formats that nstlib reads, with variants of their encoding
    "JPEG": [{}, {"progressive": True, "subsampling": 0}],
    "MPO": [{"save_all": True}],
    "PNG": [{}, {"optimize": True}],
    "WEBP": [{"method": 0}, {"lossless": True, "method": 0}],
    "TIFF": [{"compression": kind} for kind in (None, "tiff_lzw", "tiff_deflate", "packbits")],
    "BMP": [{}],
    "GIF": [{}],
    "PPM": [{}],
    "AVIF": [{"speed": 10, "max_threads": 1}],
    # formats that it does not read
    "EPS": [{}],
    "DDS": [{}, {"pixel_format": "DXT5"}],
    "PCX": [{}],
    "TGA": [{}],
    "ICO": [{"sizes": [(16, 16)]}],
    "ICNS": [{}],
    "JPEG2000": [{}],
    "SGI": [{}],
    "IM": [{}],
    "MSP": [{}],
    "SPIDER": [{}],
    "XBM": [{}],
    "BLP": [{}],
    "QOI": [{}],
}

SUFFIXES = {"JPEG": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2"}
"""Suffixes that are not the name of the format."""

EXTREMES = (0, 1, 2, 255, 256, 0x3FFF, 0x4000, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 8000, 20000)


@dataclass(frozen=True)
class Sample:
    """A picture file: its format, what it is, its bytes."""

    format: str
    name: str
    data: bytes

    @property
    def suffix(self) -> str:
        """Suffix of a file with these bytes."""
        return SUFFIXES.get(self.format, f".{self.format.lower()}")


def picture(mode: str, width: int = 40, height: int = 28) -> Image.Image:
    """Return a small picture with gradients, an edge and, where the mode has it, transparency."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    rgb = np.stack([x / width * 255, y / height * 255, (x * y) % 256], 2)
    rgb[height // 3 :, width // 2 :] = (250, 40, 90)
    image = Image.fromarray(rgb.astype(np.uint8))
    if mode in ("RGBA", "LA", "PA"):
        image.putalpha(Image.fromarray((x / width * 255).astype(np.uint8)))
        return image.convert("LA" if mode == "PA" else mode).convert(mode)
    if mode == "LAB":
        lab = ImageCms.profileToProfile(image, *map(ImageCms.createProfile, ("sRGB", "LAB")), outputMode="LAB")
        del lab.info["icc_profile"]  # it has the time at which it was made
        return lab
    if mode.startswith("I"):
        kind = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}[mode]
        return Image.fromarray((rgb[..., 0] * 257).astype(kind))
    return image.convert(mode)


def profile(kind: str = "sRGB") -> bytes:
    """Return a color profile."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile(kind)).tobytes()
    return data[:24] + bytes(12) + data[36:]  # without the time at which it was made


def encoded(file_format: str, image: Image.Image, **options: object) -> bytes | None:
    """Return a picture as a file, or None where Pillow cannot write it so."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mutated metadata
        try:
            image.save(buffer, file_format, **options)
        except Exception:
            return None
    data = bytearray(buffer.getvalue())
    if file_format == "AVIF":  # an animation has the time at which it was made
        for box in (b"mvhd", b"tkhd", b"mdhd"):
            start = data.find(box) + 8
            if start > 8:
                data[start : start + 16] = bytes(16)
    return bytes(data)


@functools.cache
def base_pictures() -> dict[str, list[Sample]]:
    """Return the base pictures by format: every mode and variant that Pillow writes, and files made by hand."""
    Image.init()
    found: dict[str, list[Sample]] = {}

    def add(file_format: str, name: str, data: bytes | None) -> None:
        if data is not None:
            found.setdefault(file_format, []).append(Sample(file_format, name, data))

    for file_format, variants in FORMATS.items():
        if file_format not in Image.SAVE:  # an older Pillow
            continue
        for mode in MODES if file_format != "ICNS" else ("RGB",):  # it takes long to write
            for number, options in enumerate(variants):
                add(file_format, f"{mode} {number}", encoded(file_format, picture(mode), **options))
        rgb = picture("RGB", 160, 120)
        add(file_format, "larger", encoded(file_format, rgb, **variants[0]))
        add(file_format, "narrow", encoded(file_format, picture("RGB", 1, 70), **variants[0]))
    for file_format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[0x0112] = orientation
            add(file_format, f"orientation {orientation}", encoded(file_format, picture("RGB"), exif=exif))
        for mode, kind in (("RGB", "sRGB"), ("RGBA", "sRGB"), ("L", "sRGB"), ("CMYK", "sRGB"), ("RGB", "LAB")):
            add(file_format, f"{mode}, {kind}", encoded(file_format, picture(mode), icc_profile=profile(kind)))
    for file_format in ("PNG", "WEBP", "TIFF", "GIF", "AVIF", "MPO"):
        frames = [picture("RGB"), picture("RGB").transpose(Image.Transpose.ROTATE_180), picture("L")]
        add(file_format, "animated", encoded(file_format, frames[0], save_all=True, append_images=frames[1:]))
    for mode, kind in (("1", "group4"), ("1", "group3"), ("L", "jpeg"), ("RGB", "jpeg"), ("CMYK", "jpeg")):
        add("TIFF", f"{mode} {kind}", encoded("TIFF", picture(mode), compression=kind))
    add("GIF", "transparent", encoded("GIF", picture("P"), transparency=3))
    for mode, key in (("P", 3), ("L", 40), ("RGB", (250, 40, 90)), ("1", 1)):
        add("PNG", f"transparent {mode}", encoded("PNG", picture(mode), transparency=key))
    for sample in _by_hand():
        found.setdefault(sample.format, []).append(sample)
    return found


def _by_hand() -> list[Sample]:
    """Return files that Pillow does not write."""
    pixels = bytes(range(256)) * 3
    return [
        Sample("PSD", "RGB", struct.pack(">4sH6xHIIHHIIIH", b"8BPS", 1, 3, 16, 16, 8, 3, 0, 0, 0, 0) + pixels),
        Sample("HEIC", "header", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + pixels),
        Sample("SVG", "text", b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'></svg>"),
        Sample("PDF", "text", b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n"),
        Sample("PPM", "text P3", b"P3\n2 2\n255\n" + b"10 20 30 " * 4),
        Sample("PPM", "text P1", b"P1\n4 2\n0 1 0 1\n1 0 1 0\n"),
        Sample("PPM", "16 bit", b"P6\n8 8\n65535\n" + pixels[:384]),
        Sample("PPM", "float", b"Pf\n8 8\n-1.0\n" + np.linspace(0, 1, 64, dtype="<f4").tobytes()),
        Sample("noise", "bytes", random.Random(0).randbytes(4000)),
    ]


# --- mutations: bytes to bytes ---------------------------------------------------------------------------


def _flipped(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 8, 32))):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return data


def _flipped_in_header(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice((1, 2, 4))):
        data[rng.randrange(min(len(data), 120))] = rng.randrange(256)
    return data


def _cut_off(rng: random.Random, data: bytearray) -> bytearray:
    return data[: rng.randrange(len(data))]


def _block(rng: random.Random, data: bytearray) -> slice:
    start = rng.randrange(len(data))
    return slice(start, start + rng.choice((1, 4, 16, 100, 1000)))


def _deleted(rng: random.Random, data: bytearray) -> bytearray:
    del data[_block(rng, data)]
    return data


def _inserted(rng: random.Random, data: bytearray) -> bytearray:
    place = _block(rng, data)
    data[place.start : place.start] = rng.randbytes(place.stop - place.start)
    return data


def _repeated(rng: random.Random, data: bytearray) -> bytearray:
    place = _block(rng, data)
    data[place.start : place.start] = data[place] * rng.choice((1, 2, 50))
    return data


def _overwritten(rng: random.Random, data: bytearray) -> bytearray:
    place = _block(rng, data)
    length = len(data[place])
    data[place] = bytes([rng.choice((0, 255, 32))]) * length
    return data


def _extreme_field(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice((1, 1, 2))):
        size, order = rng.choice((1, 2, 2, 4, 4)), rng.choice(("little", "big"))
        start = rng.randrange(min(len(data), rng.choice((64, 64, 400, 10**6))))
        value = (rng.choice(EXTREMES) & (256**size - 1)).to_bytes(size, order)
        data[start : start + size] = value
    return data


def _spliced(rng: random.Random, data: bytearray) -> bytearray:
    other = _any_base(rng).data
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


@functools.cache
def _inflated(size: int) -> bytes:
    """Return compressed zeros; they inflate to ``size`` bytes."""
    compressor, block = zlib.compressobj(1), bytes(10**6)
    return b"".join(compressor.compress(block) for _ in range(size // 10**6)) + compressor.flush()


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png_bomb(rng: random.Random, data: bytearray) -> bytearray:
    """Insert chunks whose contents inflate to many times their size."""
    if data[:4] != b"\x89PNG":
        return _extreme_field(rng, data)
    bomb = _inflated(rng.choice((900_000, 60_000_000, 300_000_000)) // 10**6 * 10**6)
    kind, head = rng.choice(((b"iCCP", b"x\0\0"), (b"zTXt", b"x\0\0"), (b"iTXt", b"x\0\1\0\0\0")))
    data[33:33] = _png_chunk(kind, head + bomb) * rng.choice((1, 1, 80))
    return data


def _mutated_png_chunks(rng: random.Random, data: bytearray) -> bytearray:
    """Mutate the contents of PNG chunks and make their checksums right again, so that decoders see the damage."""
    if data[:4] != b"\x89PNG":
        return _flipped(rng, data)
    chunks, place = [], 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        chunks.append((bytes(data[place + 4 : place + 8]), bytearray(data[place + 8 : place + 8 + length])))
        place += 12 + length
    index = rng.randrange(len(chunks))
    kind, body = chunks[index]
    if body:
        chunks[index] = (kind, rng.choice((_flipped, _extreme_field, _cut_off, _repeated))(rng, body))
    return bytearray(data[:8] + b"".join(_png_chunk(kind, bytes(body)) for kind, body in chunks))


MUTATIONS: list[Callable[[random.Random, bytearray], bytearray]] = [
    _flipped,
    _flipped,
    _flipped_in_header,
    _cut_off,
    _deleted,
    _inserted,
    _repeated,
    _overwritten,
    _extreme_field,
    _extreme_field,
    _extreme_field,
    _spliced,
    _mutated_png_chunks,
    _png_bomb,
]


def _any_base(rng: random.Random) -> Sample:
    """Return a base picture; every format is as likely as another, but those that are read more likely than others."""
    bases = base_pictures()
    weights = [4 if name in list(FORMATS)[:9] else 1 for name in bases]
    (name,) = rng.choices(list(bases), weights)
    return rng.choice(bases[name])


def _with_bad_metadata(rng: random.Random) -> Sample | None:
    """Return a good picture whose profile or EXIF data are mutated, or None where there is no such variant."""
    file_format = rng.choice(("JPEG", "JPEG", "PNG", "PNG", "WEBP", "TIFF", "AVIF"))
    mutate = rng.choice(MUTATIONS[:11])
    if rng.random() < 0.5:
        mode = rng.choice(("RGB", "L", "RGBA", "CMYK"))
        bad = bytes(mutate(rng, bytearray(profile(rng.choice(("sRGB", "LAB", "XYZ"))))))
        bad *= rng.choice((1, 1, 1, 5000))
        data = encoded(file_format, picture(mode), icc_profile=bad)
    else:
        exif = Image.Exif()
        exif[0x0112], exif[0x010E], exif[0x011A] = rng.randrange(10), "x" * 40, 72.0
        bad = b"Exif\0\0" + bytes(mutate(rng, bytearray(exif.tobytes()[6:])))
        data = encoded(file_format, picture("RGB"), exif=bad)
    return data and Sample(file_format, "bad metadata", data)


BOMBS = (
    ("PNG", "1", 7990),
    ("PNG", "RGB", 7990),
    ("PNG", "RGBA", 7990),
    ("PNG", "I;16", 7990),
    ("JPEG", "CMYK", 7990),
    ("TIFF", "F", 7990),
    ("WEBP", "RGB", 7990),
    ("GIF", "P", 8010),
    ("PNG", "1", 14000),
)
"""Format, mode and side of pictures that are small files and large in memory: just below our limit on pixels, above it,
and above Pillow's."""


@functools.cache
def _bomb(file_format: str, mode: str, side: int) -> bytes:
    options = {"TIFF": {"compression": "tiff_deflate"}, "WEBP": {"method": 0}}.get(file_format, {})
    data = encoded(file_format, Image.new(mode, (side, side)), **options)
    assert data is not None
    return data


def case(seed: int, number: int) -> Sample:
    """Return the picture with a number: one in twenty as it is, the others mutated once to three times."""
    rng = random.Random(f"{seed} {number}")
    if rng.random() < 0.1:
        sample = _with_bad_metadata(rng)
        if sample is not None:
            return sample
    sample = _any_base(rng)
    if rng.random() < 0.005:
        file_format, mode, side = rng.choice(BOMBS)
        sample = Sample(file_format, f"{mode}, {side} x {side}", _bomb(file_format, mode, side))
    data = bytearray(sample.data)
    names = [sample.name]
    for _ in range(rng.choice((0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3))):
        if data:
            mutate = rng.choice(MUTATIONS)
            data = mutate(rng, data)
            names.append(mutate.__name__.strip("_"))
    return Sample(sample.format, ", ".join(names), bytes(data))
