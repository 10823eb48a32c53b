"""Paint the course's style pictures.

    python tools/paint_styles.py --list
    python tools/paint_styles.py                  # all of them
    python tools/paint_styles.py nocturne --size 480 --out /tmp

A picture is a pure function of its name, size and seed: painting it twice produces
the same bytes.  Nothing is read, sampled or traced from any existing picture.
"""

from __future__ import annotations

import argparse
import importlib
import io
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent))

PICTURES: dict[str, tuple[int, str]] = {
    "nocturne": (11, "River valley at night, in swirling impasto strokes"),
    "waves": (7, "Breaking waves, a woodblock print"),
    "stained_glass": (23, "Sun, hills and flowers in leaded glass"),
    "pointillist": (5, "Poplars by the water, in dots of pure colour"),
    "hatching": (31, "A hill town, pen hatching and watercolour"),
    "cubist": (17, "Still life with a guitar, in faceted planes"),
    "golden": (13, "A tree of spirals, gold leaf and enamel"),
    "autumn": (3, "Birches in October, palette knife"),
}
"""Seed and title of each picture, by name."""

LIMIT_BYTES = 390_000


def paint(name: str, size: int = 960, seed: int | None = None) -> np.ndarray:
    """Paint the picture ``name``; return it as an array (height, width, 3) of bytes.

    ``size`` is the long side in pixels; ``seed`` defaults to the picture's own.
    """
    module = importlib.import_module(f"painting.{name}")
    return module.paint(size, PICTURES[name][0] if seed is None else seed)


def encode(pixels: np.ndarray, limit: int = LIMIT_BYTES) -> tuple[bytes, int]:
    """Return a picture as JPEG bytes smaller than ``limit`` if possible, and their quality, 95 down to 82."""
    for quality in range(95, 81, -1):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=quality, optimize=True, subsampling=2)
        if stream.tell() < limit:
            break
    return stream.getvalue(), quality


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="pictures; default: all")
    parser.add_argument("--out", type=Path, default=Path("data/styles"), help="folder of the files")
    parser.add_argument("--size", type=int, default=960, help="long side in pixels")
    parser.add_argument("--seed", type=int, help="another seed paints another picture")
    parser.add_argument("--png", action="store_true", help="write PNG, without the losses of JPEG")
    parser.add_argument("--list", action="store_true", help="list the pictures")
    arguments = parser.parse_args()
    if arguments.list:
        for name, (seed, title) in PICTURES.items():
            print(f"{name:14s} seed {seed:3d}  {title}")
        return
    for name in arguments.names:
        if name not in PICTURES:
            parser.error(f"no picture {name!r}; there are: {', '.join(PICTURES)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or PICTURES:
        started = time.perf_counter()
        pixels = paint(name, arguments.size, arguments.seed)
        if arguments.png:
            path = arguments.out / f"{name}.png"
            Image.fromarray(pixels).save(path)
            note = "PNG"
        else:
            path = arguments.out / f"{name}.jpg"
            data, quality = encode(pixels)
            path.write_bytes(data)
            note = f"{len(data) / 1000:.0f} kB, quality {quality}"
        seconds = time.perf_counter() - started
        print(f"{path}: {pixels.shape[1]} x {pixels.shape[0]}, {note}, {seconds:.1f} s")


if __name__ == "__main__":
    main()
