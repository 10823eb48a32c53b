"""What a training is made from: photos, styles, the first network and the extractor, known again by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data import gallery
from ..errors import TrainingError
from ..images import is_picture_file
from .config import TrainingConfig
from .photos import load_or_none

EDGE_BYTES = 16 * 1024
"""Of a photo the size and this many first and last bytes are hashed: 82,783 photos of COCO take seconds."""

NAMES_SHOWN = 3
"""A message names this many changed photos."""


@dataclass(frozen=True)
class Sources:
    """Digests of what a training is made from.

    Attributes:
        photos: Digest of each photo by its path within the folder, in the order of the training; see ``photo_digest``.
        files: Digest of each other source by its description.
    """

    photos: dict[str, str]
    files: dict[str, str]


def describe_sources(config: TrainingConfig, photos: Sequence[Path], extractor: str) -> Sources:
    """Return the digests of a training's sources.

    Args:
        config: The settings.
        photos: The photos, files in the folder ``config.photos``.
        extractor: Name of the extractor's weights.
    """
    folder = Path(config.photos)
    files = {f"the extractor '{extractor}'": ""}
    for number, style in enumerate(config.styles, start=1):
        files[f"style {number}, '{Path(style).stem}'"] = _file_digest(style_path(style))
    if config.start:
        files["the network in 'start'"] = _file_digest(Path(config.start))
    if config.weights and Path(config.weights).is_file():
        files["the file of the extractor's weights"] = _file_digest(Path(config.weights))
    return Sources({path.relative_to(folder).as_posix(): photo_digest(path) for path in photos}, files)


def style_path(style: str) -> Path:
    """Return the file of a style: a picture's path, or a name in data/styles."""
    path, folder = Path(style), gallery.styles_folder()
    if path.exists() or folder is None:
        return path
    return next((p for p in sorted(folder.iterdir()) if is_picture_file(p) and p.stem == style), path)


def photo_digest(path: Path) -> str:
    """Return a digest of a file's size and of its first and last ``EDGE_BYTES``; "" if it cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            edges = file.read(EDGE_BYTES)
            file.seek(max(0, size - EDGE_BYTES))
            edges += file.read(EDGE_BYTES)
    except OSError:
        return ""
    return hashlib.blake2b(size.to_bytes(8, "little") + edges, digest_size=8).hexdigest()


def _file_digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def check_same_sources(saved: Sources, now: Sources, folder: Path, broken: set[int]) -> None:
    """Raise TrainingError if a training would be continued with other photos, styles or networks.

    A photo that could not be read before may be gone or changed, as long as it still cannot be read.

    Args:
        saved: The sources in the checkpoint.
        now: The sources as they are.
        folder: The folder of photos.
        broken: Indices of the photos that could not be read.
    """
    names = list(saved.photos)
    left_out = {names[i] for i in broken if load_or_none(folder / names[i]) is None}
    found = {
        "added": [name for name in now.photos if name not in saved.photos],
        "removed": [name for name in names if name not in now.photos and name not in left_out],
        "replaced": [
            name
            for name, digest in now.photos.items()
            if name in saved.photos and saved.photos[name] != digest and name not in left_out
        ],
    }
    changes = [f"photos {what}: {_some(found[what])}" for what in found if found[what]]
    changes += [
        f"{name} is not the same"
        for name in {**saved.files, **now.files}
        if saved.files.get(name) != now.files.get(name)
    ]
    if changes:
        raise TrainingError(
            f"the checkpoint was trained with other sources ({'; '.join(changes)}); bring them back, or start anew "
            "with overwrite in place of resume."
        )


def _some(names: Sequence[str]) -> str:
    """Return "2 ('a.jpg', 'b.jpg')"; of many names only the first."""
    shown = ", ".join(repr(name) for name in names[:NAMES_SHOWN])
    return f"{len(names)} ({shown}{' ...' if len(names) > NAMES_SHOWN else ''})"
