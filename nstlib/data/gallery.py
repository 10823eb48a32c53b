"""The course's pictures by name: photos from scikit-image, our own styles, and paintings from the web.

>>> from nstlib.data import gallery
>>> photo, style = gallery.content("chelsea", 256), gallery.style("waves")

Photos and styles are local files; only ``painting`` ever opens a connection.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..errors import GalleryError, did_you_mean
from ..images import is_picture_file, load

CONTENTS: dict[str, str] = {
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
}
"""Photos and their file names in scikit-image's wheel; none of them is ever downloaded."""


@dataclass(frozen=True)
class Painting:
    """A painting in the public domain and where to download it.

    Attributes:
        title: Title, painter and year.
        url: Address of the file, at a fixed commit.
        sha256: Hash of the file; a changed file is refused.
        similar_style: A word in the name of our own style that can replace the painting.
    """

    title: str
    url: str
    sha256: str
    similar_style: str


PAINTINGS: dict[str, Painting] = {
    "starry_night": Painting(
        title="The Starry Night, Vincent van Gogh, 1889",
        url="https://raw.githubusercontent.com/jcjohnson/neural-style/"
        "69ea99b0b434522dc225ba112f3602ecc41d7a03/examples/inputs/starry_night_google.jpg",
        sha256="c31741a09141c2e2d07fc7aa6bdf135c369b804f9433e43fa3ceac19386d1ee6",
        similar_style="nocturne",
    ),
    "the_scream": Painting(
        title="The Scream, Edvard Munch, 1893",
        url="https://raw.githubusercontent.com/jcjohnson/neural-style/"
        "03d1f29f607ad8ec19ad2a9830f29f4b65171dc8/examples/inputs/the_scream.jpg",
        sha256="f3075cddeb974a9ee1d6418f7f33fd05185a7ac7dcb4288bd2805d499a9dcaee",
        similar_style="autumn",
    ),
    "shipwreck": Painting(
        title="The Shipwreck of the Minotaur, J. M. W. Turner, about 1805",
        url="https://raw.githubusercontent.com/rishabhpurohit/neural-style/"
        "164bd8191b29d2d12093de0d1a7b69f082e7dab9/examples/inputs/shipwreck.jpg",
        sha256="4f7cf34e3cd4a5daaf3f421f059ca9a01aaa2a3afd7243d6670c9c8bc001a213",
        similar_style="waves",
    ),
}


def content_names() -> list[str]:
    """Return the names of the photos that ``content`` loads."""
    return list(CONTENTS)


def content(name: str, size: int | None = None) -> Tensor:
    """Return a photo from scikit-image.

    Args:
        name: One of ``content_names()``.
        size: Long side in pixels; by default the file's own.

    Returns:
        (1, 3, H, W), RGB, in [0, 1].

    Raises:
        GalleryError: The name is unknown, or scikit-image is not installed or too old.
    """
    if name not in CONTENTS:
        raise _unknown("photo", name, CONTENTS)
    try:
        import skimage
    except ImportError as error:
        raise GalleryError(
            "the course's photos come with scikit-image, which is not installed; run "
            "'pip install scikit-image' or load a photo of your own with nstlib.load('photo.jpg')."
        ) from error
    path = Path(skimage.__file__).parent / "data" / CONTENTS[name]
    if not path.is_file():
        raise GalleryError(f"this scikit-image comes without {CONTENTS[name]}; install version 0.21 or later.")
    return load(path, size)


def styles_folder() -> Path | None:
    """Return the folder of the style pictures, or None if there is none.

    It is ``$NST_DATA/styles`` if that variable is set. Otherwise it is the first ``data/styles`` with pictures: beside
    the package ``nstlib``, in the working directory, or in a directory above it.
    """
    if os.environ.get("NST_DATA"):  # set deliberately: nothing else is searched
        folder = Path(os.environ["NST_DATA"]) / "styles"
        return folder if folder.is_dir() else None
    beside_package = Path(__file__).resolve().parents[2]
    for root in (beside_package, Path.cwd(), *Path.cwd().parents):
        folder = root / "data" / "styles"
        if _pictures(folder):
            return folder
    return None


def style_names() -> list[str]:
    """Return the names of the style pictures, sorted."""
    return list(_pictures(styles_folder()))


def style(name: str, size: int | None = None) -> Tensor:
    """Return one of the course's own style pictures.

    Args:
        name: One of ``style_names()``.
        size: Long side in pixels; by default the file's own.

    Returns:
        (1, 3, H, W), RGB, in [0, 1].

    Raises:
        GalleryError: The name is unknown, or the folder of styles was not found.
    """
    found = _pictures(styles_folder())
    if not found:
        raise GalleryError(
            "the folder data/styles with the style pictures was not found; start Jupyter inside the repository, "
            "or set NST_DATA to its folder 'data'."
        )
    if name not in found:
        raise _unknown("style", name, found)
    return load(found[name], size)


def painting_names() -> list[str]:
    """Return the names of the paintings that ``painting`` can download."""
    return list(PAINTINGS)


def painting(name: str, size: int | None = None) -> Tensor:
    """Return a painting in the public domain; it is downloaded once, checked by its hash and kept.

    It needs pooch, and a connection the first time. The files are kept in the system's cache folder, or in the one that
    the environment variable NST_CACHE names.

    Args:
        name: One of ``painting_names()``.
        size: Long side in pixels; by default the file's own.

    Returns:
        (1, 3, H, W), RGB, in [0, 1].

    Raises:
        GalleryError: The name is unknown, or the painting is not available; then the message names one of our own
            styles to use instead.
    """
    if name not in PAINTINGS:
        raise _unknown("painting", name, PAINTINGS)
    chosen = PAINTINGS[name]
    substitute = _substitute(chosen.similar_style)
    try:
        import pooch
    except ImportError as error:
        raise GalleryError(f"{chosen.title} is downloaded with pooch, which is not installed; {substitute}.") from error
    cache = Path(os.environ.get("NST_CACHE") or pooch.os_cache("nstlib"))
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # its messages would interrupt a lesson
    try:
        path = pooch.retrieve(chosen.url, f"sha256:{chosen.sha256}", fname=f"{name}.jpg", path=cache)
    except ValueError as error:  # pooch raises it for a wrong hash
        raise GalleryError(f"{chosen.title} has changed at its address and is not used; {substitute}.") from error
    except Exception as error:  # no connection, no such page, no space: the advice is the same
        raise GalleryError(f"{chosen.title} could not be downloaded (no internet?); {substitute}.") from error
    finally:
        logger.setLevel(level)
    return load(path, size)


def _pictures(folder: Path | None) -> dict[str, Path]:
    """Return the pictures in a folder by name (without the suffix), sorted; none if it cannot be read."""
    try:
        paths = sorted(folder.iterdir()) if folder is not None else []
    except OSError:  # there is none, or no permission to look
        paths = []
    return {path.stem: path for path in paths if is_picture_file(path)}


def _substitute(word: str) -> str:
    """Return the advice to use one of our own styles, if possible one with ``word`` in its name."""
    names = style_names()
    if not names:
        return "use a painting of your own instead"
    similar = [name for name in names if word in name] or names
    return f"use gallery.style({similar[0]!r}) instead"


def _unknown(kind: str, name: str, known: Iterable[str]) -> GalleryError:
    known = list(known)
    guess = did_you_mean(name, known)
    return GalleryError(f"there is no {kind} {name!r}; {guess}There are: {', '.join(known) or 'none'}.")
