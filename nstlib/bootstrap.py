"""Makes a hosted notebook (Colab, Kaggle) ready: the course on the path, and what is missing installed.

Run as a file by every notebook's set-up cell, before the package can be imported: the standard library only.
What the platform brings is never changed: a platform's torch, torchvision and numpy are built for its
GPU and for each other, and to replace one in a running session breaks the others.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

PLATFORM_BRINGS = ("torch", "torchvision", "numpy")
"""Never installed from here."""

NEEDS = {
    "PIL": "pillow>=9.5",
    "safetensors": "safetensors>=0.4",
    "tqdm": "tqdm>=4.60",
    "ipywidgets": "ipywidgets>=7.7,<9",
    "matplotlib": "matplotlib>=3.7",
    "skimage": "scikit-image>=0.21",
    "pycocotools": "pycocotools>=2.0.6",
    "pooch": "pooch>=1.7",
    "accelerate": "accelerate>=0.30",
}
"""Module -> requirement, as in pyproject.toml (a test compares them; Python 3.10 cannot read TOML)."""

if sys.version_info < (3, 11):
    NEEDS["tomli"] = "tomli>=2.0"

PUBLIC = r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?"
VERSION = re.compile(PUBLIC + r"(\+[a-z0-9]+([._-][a-z0-9]+)*)?")


def prepare(root: str | os.PathLike | None = None) -> list[str]:
    """Put the course's folder first on the path and install what is missing. Returns what was installed.

    Raises RuntimeError, with one sentence, where torch, torchvision or numpy are missing or pip fails.
    """
    folder = str(Path(root) if root else Path(__file__).resolve().parent.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if folder not in others:  # for `!python -m nstlib.cli` and other processes that a notebook starts
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *filter(None, others)])
    absent = ", ".join(name for name in PLATFORM_BRINGS if importlib.util.find_spec(name) is None)
    if absent:
        raise RuntimeError(f"this platform should bring {absent} and does not; choose its standard image.")
    missing = [need for module, need in NEEDS.items() if importlib.util.find_spec(module) is None]
    if missing:
        print("installing", ", ".join(missing))
        install(missing)
    return missing


def install(requirements: list[str]) -> None:
    """Install with every distribution that is already here held at its present version."""
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(pins()), encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # wheels only: to build a package here would take minutes and a second numpy
        options = ["--only-binary", ":all:", "--constraint", str(constraints)]
        done = subprocess.run([*pip, *options, *requirements], capture_output=True, text=True)
    if done.returncode:
        names = ", ".join(requirements)
        last = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise RuntimeError(f"pip could not install {names} ({last}); is the internet switched on?")
    importlib.invalidate_caches()


def pins() -> list[str]:
    """name==version of all that is installed, as a constraints file wants it."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        name, version = distribution.metadata["Name"], distribution.version
        # pip refuses a whole file for one version that is not PEP 440, as system packages have
        if name and version and VERSION.fullmatch(version):
            # the first on the path is the one that is used
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)
    return sorted(f"{name}=={version}" for name, version in found.items())
