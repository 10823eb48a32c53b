"""Training photos: a folder as an endless, repeatable stream of square crops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ..errors import ImageError
from ..images import is_picture_file, load, resize

NOT_BROKEN = -1
"""Stands for "every file could be read" in a sample of ``Crops``."""


class Crops(torch.utils.data.Dataset[tuple[Tensor, int, int]]):
    """An endless stream of random square crops, each with a random style.

    Sample n depends only on ``seed`` and n. So a resumed training sees the samples that it would have seen, and two
    processes with the even and the odd batches see what one process would.

    Args:
        files: The photos.
        size: Side of a crop in pixels, after resizing.
        min_share: Least side of a crop before resizing, as a share of the photo's short side, above 0 to 1.
        styles: Number of styles to draw from.
        seed: Of photo, crop, mirroring and style.
    """

    def __init__(self, files: Sequence[Path], size: int, min_share: float, styles: int, seed: int) -> None:
        self.files = list(files)
        self.size = size
        self.min_share = min_share
        self.styles = styles
        self.seed = seed

    def __len__(self) -> int:
        return 2**40

    def __getitem__(self, n: int) -> tuple[Tensor, int, int]:
        """Return sample n: (photo, style, broken).

        Returns:
            The crop (3, size, size) in [0, 1]; the index of the style; the index of a file that could not be read and
            was replaced by the next one, or ``NOT_BROKEN``.

        Raises:
            ImageError: None of the files can be read.
        """
        generator = torch.Generator().manual_seed((self.seed + 1) * 1_000_003 + n)
        share, top, left, flip = torch.rand(4, generator=generator).tolist()
        style = int(torch.randint(self.styles, (1,), generator=generator))
        count = len(self.files)
        epoch, place = divmod(n, count)
        order = _shuffled(count, self.seed, epoch)
        broken = NOT_BROKEN
        for offset in range(count):
            index = order[(place + offset) % count]
            try:
                photo = load(self.files[index])  # (1, 3, H, W)
            except ImageError:
                broken = index
                continue
            crop = self._crop(photo, share, top, left)
            return (crop.flip(3) if flip < 0.5 else crop)[0], style, broken
        raise ImageError("none of the photos can be read; look at the folder.")

    def _crop(self, photo: Tensor, share: float, top: float, left: float) -> Tensor:
        """Cut a square out of a photo (1, 3, H, W) by three random numbers in [0, 1) and resize it."""
        h, w = photo.shape[2:]
        side = max(1, round((self.min_share + (1 - self.min_share) * share) * min(h, w)))
        y = round(top * (h - side))
        x = round(left * (w - side))
        crop = photo[:, :, y : y + side, x : x + side]  # (1, 3, side, side)
        return resize(crop, (self.size, self.size)).clamp(0, 1)  # (1, 3, size, size)


@lru_cache(maxsize=4)
def _shuffled(count: int, seed: int, epoch: int) -> list[int]:
    """Return the numbers from 0 to count - 1 in the random order of one epoch."""
    generator = torch.Generator().manual_seed(seed * 7919 + epoch)
    return torch.randperm(count, generator=generator).tolist()


def find_photos(folder: str | Path, without: Iterable[str | Path] = ()) -> list[Path]:
    """Return the pictures in a folder and its subfolders, sorted.

    Args:
        folder: Where to search; hidden files and files without a suffix of ``images.PICTURE_SUFFIXES`` are ignored.
        without: Files to leave out, such as those held out for evaluation.

    Raises:
        ImageError: The folder does not exist or contains no picture.
    """
    root = Path(folder)
    if not str(folder) or not root.is_dir():
        raise ImageError(f"there is no folder of photos '{folder}'; give one in 'photos'.")
    excluded = {Path(path).resolve() for path in without}
    found = []
    for path in sorted(root.rglob("*")):
        if is_picture_file(path) and path.resolve() not in excluded:
            found.append(path)
    if not found:
        raise ImageError(f"the folder '{folder}' contains no pictures; put photos into it (.jpg, .png ...).")
    return found
