"""Photos to train on: a folder as an endless, repeatable stream of square crops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from . import images as pictures
from .errors import ImageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


class Crops(torch.utils.data.Dataset):
    """Sample number n of an endless stream: (photo (3, size, size) in [0, 1], style, which file was broken or -1).

    Photo, crop, mirroring and style depend on ``seed`` and ``n`` alone. So a training that goes on at step k
    sees what it would have seen, and two processes with the even and the odd batches see what one would.
    """

    def __init__(self, files: Sequence[Path], size: int, least: float, styles: int, seed: int) -> None:
        self.files, self.size, self.least, self.styles, self.seed = list(files), size, least, styles, seed

    def __len__(self) -> int:
        return 2**40

    def __getitem__(self, n: int) -> tuple[Tensor, int, int]:
        generator = torch.Generator().manual_seed((self.seed + 1) * 1_000_003 + n)
        share, top, left, flip = torch.rand(4, generator=generator).tolist()
        style = int(torch.randint(self.styles, (1,), generator=generator))
        broken = -1
        epoch, place = divmod(n, len(self.files))
        order = _order(len(self.files), self.seed, epoch)
        for index in order[place:] + order[:place]:
            try:
                photo = pictures.load(self.files[index])
            except ImageError:
                broken = index
                continue
            h, w = photo.shape[2:]
            side = max(1, round((self.least + (1 - self.least) * share) * min(h, w)))
            y, x = round(top * (h - side)), round(left * (w - side))
            photo = pictures.resize(photo[:, :, y : y + side, x : x + side], (self.size, self.size)).clamp(0, 1)
            return (photo.flip(3) if flip < 0.5 else photo)[0], style, broken
        raise ImageError("none of the photos can be read; look at the folder.")


@lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> list[int]:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed * 7919 + epoch)).tolist()


def find_photos(folder: str | Path, without: Iterable[str | Path] = ()) -> list[Path]:
    """The pictures in a folder and its subfolders, sorted, but for some. Raises ImageError if there is none."""
    root, without = Path(folder), {Path(p).resolve() for p in without}
    if not str(folder) or not root.is_dir():
        raise ImageError(f"there is no folder of photos '{folder}'; give one in 'photos'.")
    found = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.name[0] != ".")
    if not (found := [p for p in found if p.resolve() not in without]):
        raise ImageError(f"the folder '{folder}' holds no pictures; put photos into it (.jpg, .png ...).")
    return found
