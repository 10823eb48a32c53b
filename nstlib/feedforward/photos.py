"""Training photos: a folder as an endless, repeatable stream of square crops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ..errors import ImageError
from ..images import is_picture_file, load, resize

Crop = Literal["random", "center"]

SIZE_RANGE = 1.15
"""With ``sizes``, a photo is seen up to so many times larger or smaller."""

SAMPLE_SIZE = 384
"""Long side of the pictures on the sheets in pixels."""

MAX_SAMPLES = 8
"""With six styles, and pictures four times as wide as high, a sheet of so many is as wide as JPEG allows."""

Sample = tuple[Tensor, int, list[int]]
"""A crop (3, size, size) in [0, 1], the index of its style, and the indices of the files that could not be read."""


class Crops(torch.utils.data.Dataset[Sample]):
    """An endless stream of square crops, each with a random style.

    Sample n depends only on ``seed``, n and the files. So a resumed training sees the samples that it would have seen,
    and two processes with the even and the odd batches see what one process would.

    Args:
        files: The photos.
        size: Side of a crop in pixels, after resizing.
        min_share: Least side of a random crop before resizing, as a share of the photo's short side, above 0 to 1.
        styles: Number of styles to draw from.
        seed: Of photo, crop, mirroring and style.
        crops: "random", or "center": the largest square in the middle, not mirrored, photos in the order of ``files``.
        sizes: Long sides that a photo is seen at, in turn for each style; style number s of a sample then stands for
            style s // len(sizes) at sizes[s % len(sizes)], and ``min_share`` is not used.
    """

    def __init__(
        self,
        files: Sequence[Path],
        size: int,
        min_share: float,
        styles: int,
        seed: int,
        crops: Crop = "random",
        sizes: Sequence[int] = (),
    ) -> None:
        self.files = list(files)
        self.size = size
        self.min_share = min_share
        self.styles = styles
        self.seed = seed
        self.crops = crops
        self.sizes = tuple(sizes)

    def __len__(self) -> int:
        return 2**40

    def __getitem__(self, n: int) -> Sample:
        """Return sample n.

        A photo that cannot be read, or is gone, is replaced by the next one in the order of this epoch. If none can be
        read, the crop is black and the indices are those of all files.
        """
        generator = torch.Generator().manual_seed((self.seed + 1) * 1_000_003 + n)
        share, top, left, flip = torch.rand(4, generator=generator).tolist()
        style = int(torch.randint(self.styles * max(1, len(self.sizes)), (1,), generator=generator))
        if self.crops == "center":
            share, top, left, flip = 1.0, 0.5, 0.5, 1.0
        count = len(self.files)
        epoch, place = divmod(n, count)
        order = _shuffled(count, self.seed, epoch) if self.crops == "random" else range(count)
        broken: list[int] = []
        for offset in range(count):
            index = order[(place + offset) % count]
            photo = load_or_none(self.files[index])  # (1, 3, H, W)
            if photo is None:
                broken.append(index)
                continue
            crop = self._crop(photo, self._side(photo, share, style), top, left)
            return (crop.flip(3) if flip < 0.5 else crop)[0], style, broken
        return torch.zeros(3, self.size, self.size), style, broken

    def _side(self, photo: Tensor, share: float, style: int) -> int:
        """Return the side of a crop before resizing, by a random number in [0, 1)."""
        short, long = sorted(photo.shape[2:])
        if self.sizes and self.crops == "random":
            long_side: float = self.sizes[style % len(self.sizes)] * SIZE_RANGE ** (2 * share - 1)  # of the whole photo
            return max(1, min(short, round(self.size * long / long_side)))
        return max(1, round((self.min_share + (1 - self.min_share) * share) * short))

    def _crop(self, photo: Tensor, side: int, top: float, left: float) -> Tensor:
        """Cut a square out of a photo (1, 3, H, W) by two random numbers in [0, 1) and resize it."""
        h, w = photo.shape[2:]
        y = round(top * (h - side))
        x = round(left * (w - side))
        crop = photo[:, :, y : y + side, x : x + side]  # (1, 3, side, side)
        return resize(crop, (self.size, self.size)).clamp(0, 1)  # (1, 3, size, size)


def collate(samples: Sequence[Sample]) -> tuple[Tensor, Tensor, list[int]]:
    """Return samples as a batch: crops (N, 3, size, size), styles (N,), and the indices of broken files."""
    crops, styles, broken = zip(*samples)
    return torch.stack(crops), torch.tensor(styles), sorted(set().union(*broken))


def load_or_none(path: Path, size: int | None = None) -> Tensor | None:
    """Return a picture as ``images.load`` does, or None if it cannot be read, for whatever reason."""
    try:
        return load(path, size)
    except Exception:  # one broken picture never ends a training, whatever a decoder raises
        return None


@lru_cache(maxsize=4)
def _shuffled(count: int, seed: int, epoch: int) -> list[int]:
    """Return the numbers from 0 to count - 1 in the random order of one epoch."""
    generator = torch.Generator().manual_seed(seed * 7919 + epoch)
    return torch.randperm(count, generator=generator).tolist()


def find_photos(folder: str | Path, without: Iterable[str | Path] = ()) -> list[Path]:
    """Return the pictures in a folder and its subfolders, sorted.

    Args:
        folder: Where to search; hidden files and files without a suffix of ``images.PICTURE_SUFFIXES`` are ignored.
        without: Files and folders to leave out, such as those held out for evaluation.

    Raises:
        ImageError: The folder does not exist or contains no picture.
    """
    root = Path(folder)
    if not str(folder) or not root.is_dir():
        raise ImageError(f"there is no folder of photos '{folder}'; give one in 'photos'.")
    excluded = {Path(path).resolve() for path in without}
    found = []
    for path in sorted(root.rglob("*")):
        if is_picture_file(path) and path.is_file():
            real = path.resolve()
            if excluded.isdisjoint((real, *real.parents)):
                found.append(path)
    if not found:
        raise ImageError(f"the folder '{folder}' contains no pictures; put photos into it (.jpg, .png ...).")
    return found


def read_samples(samples: Sequence[str], photos: Sequence[Path]) -> tuple[list[Tensor], int]:
    """Return the pictures of the sheets, and how many samples could not be read.

    Args:
        samples: Their paths; at most ``MAX_SAMPLES`` are read.
        photos: The first two that can be read take the place of samples if there are none.

    Returns:
        (1, 3, H, W) each, with a long side of at most ``SAMPLE_SIZE`` and four times the short one.

    Raises:
        ImageError: Neither a sample nor a photo can be read.
    """
    found = [load_or_none(Path(path), SAMPLE_SIZE) for path in samples[:MAX_SAMPLES]]
    usable = [picture for picture in found if picture is not None]
    broken = len(found) - len(usable)
    for path in photos:
        if len(usable) >= (1 if samples else 2):
            break
        picture = load_or_none(path, SAMPLE_SIZE)
        usable += [] if picture is None else [picture]
    if not usable:
        raise ImageError("none of the photos can be read; look at the folder.")
    longest = [4 * min(picture.shape[2:]) for picture in usable]
    return [picture[:, :, :most, :most] for picture, most in zip(usable, longest)], broken
