"""The course's pictures by name: photos from scikit-image, our own styles, paintings from the web.

>>> from nstlib import gallery
>>> photo, style = gallery.content("chelsea", 256), gallery.style("waves")

Photos and styles lie on the disk; only ``painting`` ever opens a connection.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from .errors import NstError
from .images import load

CONTENTS: dict[str, str] = {
    # file names in scikit-image's own wheel: nothing here is ever downloaded
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
}

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

PAINTINGS: dict[str, tuple[str, str, str, str]] = {
    # name: (title, address at a fixed commit, sha256, a word in the name of our own style to take instead)
    "starry_night": (
        "The Starry Night, Vincent van Gogh, 1889",
        "https://raw.githubusercontent.com/jcjohnson/neural-style/"
        "69ea99b0b434522dc225ba112f3602ecc41d7a03/examples/inputs/starry_night_google.jpg",
        "c31741a09141c2e2d07fc7aa6bdf135c369b804f9433e43fa3ceac19386d1ee6",
        "nocturne",
    ),
    "the_scream": (
        "The Scream, Edvard Munch, 1893",
        "https://raw.githubusercontent.com/jcjohnson/neural-style/"
        "03d1f29f607ad8ec19ad2a9830f29f4b65171dc8/examples/inputs/the_scream.jpg",
        "f3075cddeb974a9ee1d6418f7f33fd05185a7ac7dcb4288bd2805d499a9dcaee",
        "autumn",
    ),
    "shipwreck": (
        "The Shipwreck of the Minotaur, J. M. W. Turner, about 1805",
        "https://raw.githubusercontent.com/rishabhpurohit/neural-style/"
        "164bd8191b29d2d12093de0d1a7b69f082e7dab9/examples/inputs/shipwreck.jpg",
        "4f7cf34e3cd4a5daaf3f421f059ca9a01aaa2a3afd7243d6670c9c8bc001a213",
        "waves",
    ),
}
"""Paintings in the public domain. The hash makes sure that a changed file is refused, not used."""


class GalleryError(NstError):
    """A picture of the gallery is unknown or not at hand."""


def _unknown(kind: str, name: str, names: Iterable[str]) -> GalleryError:
    names = list(names)
    near = difflib.get_close_matches(str(name).lower(), names, n=1, cutoff=0.0)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return GalleryError(f"there is no {kind} {name!r}; {guess}There are: {', '.join(names) or 'none'}.")


def content_names() -> list[str]:
    """The photos that ``content`` knows."""
    return list(CONTENTS)


def content(name: str, size: int | None = None) -> Tensor:
    """A photo that comes with scikit-image, (1, 3, H, W); ``size`` is the long side in pixels."""
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
    """Where the style pictures lie: $NST_DATA/styles, or data/styles beside the package or above here."""
    if os.environ.get("NST_DATA"):  # whoever sets it means it: no second guess
        folder = Path(os.environ["NST_DATA"]) / "styles"
        return folder if folder.is_dir() else None
    here = Path.cwd()
    for root in (Path(__file__).resolve().parent.parent, here, *here.parents):
        if _pictures(root / "data" / "styles"):
            return root / "data" / "styles"
    return None


def _pictures(folder: Path | None) -> dict[str, Path]:
    if folder is None or not folder.is_dir():
        return {}
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES and p.stem[0] != "."}


def style_names() -> list[str]:
    """The style pictures in the folder, in alphabetical order."""
    return list(_pictures(styles_folder()))


def style(name: str, size: int | None = None) -> Tensor:
    """One of the course's own style pictures, (1, 3, H, W); ``size`` is the long side in pixels."""
    found = _pictures(styles_folder())
    if not found:
        raise GalleryError(
            "the folder data/styles with the style pictures is not here; start Jupyter inside the repository, "
            "or set NST_DATA to its folder 'data'."
        )
    if name not in found:
        raise _unknown("style", name, found)
    return load(found[name], size)


def painting_names() -> list[str]:
    """The paintings that ``painting`` can fetch."""
    return list(PAINTINGS)


def painting(name: str, size: int | None = None) -> Tensor:
    """A painting in the public domain, (1, 3, H, W), fetched once, checked by its hash and kept.

    Needs pooch, and internet the first time. The files stay in the system's cache folder (NST_CACHE
    moves it). Without a connection the error names one of our own styles to take instead.
    """
    if name not in PAINTINGS:
        raise _unknown("painting", name, PAINTINGS)
    title, address, sha256, word = PAINTINGS[name]
    instead = _instead(word)
    try:
        import pooch
    except ImportError as error:
        raise GalleryError(f"{title} is fetched with pooch, which is not installed; {instead}.") from error
    cache = Path(os.environ.get("NST_CACHE") or pooch.os_cache("nstlib"))
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # its messages would stand in the middle of a lesson
    try:
        path = pooch.retrieve(address, f"sha256:{sha256}", fname=f"{name}.jpg", path=cache)
    except ValueError as error:  # pooch's word for a wrong hash
        raise GalleryError(f"{title} has changed at its address and is not used; {instead}.") from error
    except Exception as error:  # no connection, no such page, no space: the way out is the same
        raise GalleryError(f"{title} could not be fetched (no internet?); {instead}.") from error
    finally:
        logger.setLevel(level)
    return load(path, size)


def _instead(word: str) -> str:
    names = style_names()
    fitting = [n for n in names if word in n] or names
    return f"take gallery.style({fitting[0]!r}) instead" if fitting else "take a painting of your own instead"
