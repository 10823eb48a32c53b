"""Pictures for training the compact extractor, read from folders or zip files and kept in memory.

There are three kinds of batch, all float images in [0, 1] of shape (N, 3, H, W): crops of photos at a random scale,
labelled thumbnails, and degraded versions of both. Degraded pictures look like the pictures that an optimizer passes
through on its way from noise to a painting. A network trained on photos only has wrong activations for such pictures,
and the optimizer exploits that at once.
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

from nstlib.images import PICTURE_SUFFIXES


def read_pictures(sources: list[Path]) -> list[tuple[str, np.ndarray]]:
    """Return (name, uint8 array (H, W, 3)) of every picture in the folders and zip files, sorted by name."""
    found: list[tuple[str, np.ndarray]] = []
    for source in sources:
        if source.suffix == ".zip":
            with zipfile.ZipFile(source) as archive:
                names = [name for name in archive.namelist() if Path(name).suffix.lower() in PICTURE_SUFFIXES]
                found += [(name, _decode(archive.read(name))) for name in names]
        else:
            paths = [path for path in sorted(source.rglob("*")) if path.suffix.lower() in PICTURE_SUFFIXES]
            found += [(str(path.relative_to(source)), _decode(path.read_bytes())) for path in paths]
    if not found:
        raise SystemExit(f"no picture found in {', '.join(map(str, sources))}")
    return sorted(found, key=lambda item: item[0])


def _decode(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


class Labelled:
    """Thumbnails of one size, in folders named by class; a random tenth is held out.

    ``images`` and ``held_images`` are uint8 (N, 3, H, W); ``labels`` and ``held_labels``, (N,), index ``classes``.
    """

    def __init__(self, sources: list[Path], hold_out: int = 10) -> None:
        pictures = read_pictures(sources)
        self.classes = sorted({Path(name).parts[0] for name, _ in pictures})
        index = {name: i for i, name in enumerate(self.classes)}
        images = torch.from_numpy(np.stack([array for _, array in pictures])).permute(0, 3, 1, 2)  # (N, 3, H, W)
        labels = torch.tensor([index[Path(name).parts[0]] for name, _ in pictures])
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        held = order[: len(order) // hold_out]
        kept = order[len(order) // hold_out :]
        self.images, self.labels = images[kept].contiguous(), labels[kept]
        self.held_images, self.held_labels = images[held].contiguous(), labels[held]


class Photos:
    """Random crops of photos at random scales; ``hold_out`` photos are kept apart in ``held``."""

    def __init__(self, sources: list[Path], hold_out: int = 10) -> None:
        pictures = [array for _, array in read_pictures(sources)]
        step = max(2, len(pictures) // hold_out)
        self.held = pictures[::step][:hold_out]
        self.images = [array for i, array in enumerate(pictures) if i % step or i // step >= hold_out]

    def crops(self, count: int, size: int, rng: np.random.Generator) -> Tensor:
        """Return ``count`` square crops, (count, 3, size, size) in [0, 1], half of them mirrored."""
        out = []
        for _ in range(count):
            photo = self.images[rng.integers(len(self.images))]
            side = int(np.clip(size / rng.uniform(0.4, 1.3), 16, min(photo.shape[:2])))
            y, x = rng.integers(photo.shape[0] - side + 1), rng.integers(photo.shape[1] - side + 1)
            crop = torch.from_numpy(photo[y : y + side, x : x + side]).permute(2, 0, 1)[None].float() / 255
            if rng.random() < 0.5:
                crop = crop.flip(3)
            out.append(F.interpolate(crop, (size, size), mode="bicubic", antialias=True))
        return torch.cat(out).clamp(0, 1)


def shake_colours(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Change exposure, contrast, colour cast and saturation of every picture at random; mirror half of them."""
    images = torch.where(_uniform(rng, 0, 1, (len(images), 1)) < 0.5, images.flip(3), images)
    mean = images.mean((1, 2, 3), keepdim=True)
    contrast, exposure = _uniform(rng, 0.6, 1.5, (len(images), 1)), _uniform(rng, -0.15, 0.15, (len(images), 1))
    images = (images - mean) * contrast + mean + exposure
    images = images * _uniform(rng, 0.8, 1.2, (len(images), 3))
    grey = images.mean(1, keepdim=True)
    return (grey + (images - grey) * _uniform(rng, 0.4, 1.9, (len(images), 1))).clamp(0, 1)


def _uniform(rng: np.random.Generator, low: float, high: float, shape: tuple[int, int]) -> Tensor:
    """Return uniform random factors (N, C, 1, 1) for pictures (N, C, H, W)."""
    return torch.from_numpy(rng.uniform(low, high, (*shape, 1, 1)).astype(np.float32))


def degrade(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Add noise at one or several scales, grids, few colours or other pictures to half of the pictures."""
    images = images.clone()
    h, w = images.shape[2:]
    for i in range(len(images)):
        kind = rng.integers(12)
        strength = float(rng.uniform(0.03, 0.6))
        if kind == 0:  # white noise
            images[i] += strength * torch.from_numpy(rng.standard_normal((3, h, w)).astype(np.float32))
        elif kind == 1:  # noise at a coarser scale, grey or in colour
            k = 2 ** rng.integers(1, 5)
            channels = int(rng.choice([1, 3]))
            noise = torch.from_numpy(rng.standard_normal((1, channels, -(-h // k), -(-w // k))).astype(np.float32))
            images[i] += strength * F.interpolate(noise, (h, w), mode="bilinear")[0]
        elif kind == 2:  # towards uniform noise
            noise = torch.from_numpy(rng.random((3, h, w), dtype=np.float32))
            images[i] += strength * 1.6 * (noise - images[i])
        elif kind == 3:  # a grid with a period of 2 or 4 pixels, as pooling produces it
            k = int(rng.choice([2, 4]))
            tile = torch.from_numpy(rng.standard_normal((3, k, k)).astype(np.float32))
            images[i] += strength * 0.5 * tile.repeat(1, -(-h // k), -(-w // k))[:, :h, :w]
        elif kind == 4:  # a blend with another picture
            images[i] += strength * (images[rng.integers(len(images))] - images[i])
        elif kind == 5:  # few colours
            levels = int(rng.integers(2, 6))
            images[i] = (images[i] * levels).round() / levels
    return images.clamp(0, 1)
