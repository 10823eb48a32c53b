"""Pictures for training the compact extractor: folders or zip files, kept in memory as bytes.

Three kinds of batch come out of here, all float images in [0, 1] of shape (N, 3, H, W):
crops of photos at a random scale, labelled thumbnails, and "foreign" versions of both. The last
are what a picture looks like on its way from noise to a painting; a network that was only ever
shown photos answers such pictures wrongly, and the optimiser finds that out at once.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def read_pictures(sources: list[Path]) -> list[tuple[str, np.ndarray]]:
    """(name, uint8 array (H, W, 3)) of every picture in the folders and zip files, sorted by name."""
    found: list[tuple[str, np.ndarray]] = []
    for source in sources:
        if source.suffix == ".zip":
            with zipfile.ZipFile(source) as archive:
                names = [n for n in archive.namelist() if Path(n).suffix.lower() in SUFFIXES]
                blobs = ((n, archive.read(n)) for n in names)
                found += [(n, _decode(b)) for n, b in blobs]
        else:
            paths = [p for p in sorted(source.rglob("*")) if p.suffix.lower() in SUFFIXES]
            found += [(str(p.relative_to(source)), _decode(p.read_bytes())) for p in paths]
    if not found:
        raise SystemExit(f"no picture found in {', '.join(map(str, sources))}")
    return sorted(found, key=lambda item: item[0])


def _decode(blob: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(blob)).convert("RGB"))


class Labelled:
    """Thumbnails of one size in folders named by class, every tenth of them held out."""

    def __init__(self, sources: list[Path], hold_out: int = 10) -> None:
        pictures = read_pictures(sources)
        self.classes = sorted({Path(name).parts[0] for name, _ in pictures})
        index = {c: i for i, c in enumerate(self.classes)}
        images = torch.from_numpy(np.stack([a for _, a in pictures])).permute(0, 3, 1, 2)
        labels = torch.tensor([index[Path(name).parts[0]] for name, _ in pictures])
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        held = order[: len(order) // hold_out]
        kept = order[len(order) // hold_out :]
        self.images, self.labels = images[kept].contiguous(), labels[kept]
        self.held_images, self.held_labels = images[held].contiguous(), labels[held]


class Photos:
    """Random crops of photos at random scales."""

    def __init__(self, sources: list[Path], hold_out: int = 10) -> None:
        pictures = [a for _, a in read_pictures(sources)]
        step = max(2, len(pictures) // hold_out)
        self.held = pictures[::step][:hold_out]
        self.images = [a for i, a in enumerate(pictures) if i % step or i // step >= hold_out]

    def crops(self, count: int, size: int, rng: np.random.Generator) -> Tensor:
        out = []
        for _ in range(count):
            a = self.images[rng.integers(len(self.images))]
            side = int(np.clip(size / rng.uniform(0.4, 1.3), 16, min(a.shape[:2])))
            y, x = rng.integers(a.shape[0] - side + 1), rng.integers(a.shape[1] - side + 1)
            crop = torch.from_numpy(a[y : y + side, x : x + side]).permute(2, 0, 1)[None].float() / 255
            if rng.random() < 0.5:
                crop = crop.flip(3)
            out.append(F.interpolate(crop, (size, size), mode="bicubic", antialias=True))
        return torch.cat(out).clamp(0, 1)


def shake_colours(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Another exposure, contrast, colour cast and flip for every picture."""
    n = len(images)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, (n, *shape, 1, 1)).astype(np.float32))

    images = torch.where(uniform(0, 1, 1) < 0.5, images.flip(3), images)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * uniform(0.6, 1.5, 1) + mean + uniform(-0.15, 0.15, 1)
    images = images * uniform(0.8, 1.2, 3)
    grey = images.mean(1, keepdim=True)
    return (grey + (images - grey) * uniform(0.4, 1.9, 1)).clamp(0, 1)


def make_foreign(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Noise at one or several scales, grids, posters and blends on half of the pictures."""
    images = images.clone()
    h, w = images.shape[2:]
    for i in range(len(images)):
        kind = rng.integers(12)
        strength = float(rng.uniform(0.03, 0.6))
        if kind == 0:  # white noise over a photo
            images[i] += strength * torch.from_numpy(rng.standard_normal((3, h, w)).astype(np.float32))
        elif kind == 1:  # noise at a coarser scale, grey or in colour
            k = 2 ** rng.integers(1, 5)
            channels = int(rng.choice([1, 3]))
            noise = torch.from_numpy(rng.standard_normal((1, channels, -(-h // k), -(-w // k))).astype(np.float32))
            images[i] += strength * F.interpolate(noise, (h, w), mode="bilinear")[0]
        elif kind == 2:  # towards uniform noise
            noise = torch.from_numpy(rng.random((3, h, w), dtype=np.float32))
            images[i] += strength * 1.6 * (noise - images[i])
        elif kind == 3:  # a grid at the scale of pixels, as pooling leaves behind
            k = int(rng.choice([2, 4]))
            tile = torch.from_numpy(rng.standard_normal((3, k, k)).astype(np.float32))
            images[i] += strength * 0.5 * tile.repeat(1, -(-h // k), -(-w // k))[:, :h, :w]
        elif kind == 4:  # another picture shines through
            images[i] += strength * (images[rng.integers(len(images))] - images[i])
        elif kind == 5:  # few, hard colours
            levels = int(rng.integers(2, 6))
            images[i] = (images[i] * levels).round() / levels
    return images.clamp(0, 1)
