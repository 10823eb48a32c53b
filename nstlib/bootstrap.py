"""Prepare a hosted notebook (Colab, Kaggle): put the course on the path and install what is missing.

The set-up cell of every notebook runs this file before the package can be imported, so it uses the standard library
only. Packages that the platform provides are never changed: its torch, torchvision and numpy are built for its GPU and
for each other, and replacing one of them in a running session breaks the others.
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
"""Modules that the platform provides; they are never installed from here."""

NEEDS = {
    "PIL": "pillow>=10.4",
    "safetensors": "safetensors>=0.4.3",
    "tqdm": "tqdm>=4.64",
    "ipywidgets": "ipywidgets>=7.7,<9",
    "matplotlib": "matplotlib>=3.8",
    "skimage": "scikit-image>=0.22",
    "pycocotools": "pycocotools>=2.0.7",
    "pooch": "pooch>=1.8",
    "accelerate": "accelerate>=1.0",
}
"""Requirement by module, as in pyproject.toml; a test compares the two, because Python 3.10 cannot read TOML."""

if sys.version_info < (3, 11):
    NEEDS["tomli"] = "tomli>=2.0.1"

PUBLIC_VERSION = r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?"
VERSION = re.compile(PUBLIC_VERSION + r"(\+[a-z0-9]+([._-][a-z0-9]+)*)?")
"""A version that pip accepts (PEP 440), with an optional local part such as "+cu121"."""


def prepare(root: str | os.PathLike[str] | None = None) -> list[str]:
    """Put the course's folder first on the path and install the packages that are missing.

    The folder is also added to the environment variable PYTHONPATH, for the processes that a notebook starts, such as
    ``!python -m nstlib.cli``.

    Args:
        root: Folder that contains ``nstlib``; None takes the one that contains this file's package.

    Returns:
        The requirements that were installed.

    Raises:
        RuntimeError: torch, torchvision or numpy is missing, or pip failed. The message is one sentence.
    """
    folder = str(Path(root) if root else Path(__file__).resolve().parent.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    python_path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if folder not in python_path:
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *filter(None, python_path)])
    absent = [name for name in PLATFORM_BRINGS if importlib.util.find_spec(name) is None]
    if absent:
        raise RuntimeError(f"this platform should provide {', '.join(absent)} but does not; choose its standard image.")
    missing = [requirement for module, requirement in NEEDS.items() if importlib.util.find_spec(module) is None]
    if missing:
        print("installing", ", ".join(missing))
        install(missing)
    return missing


def install(requirements: list[str]) -> None:
    """Install packages with pip without changing the version of any package that is already installed.

    Args:
        requirements: For example ``["tqdm>=4.64"]``.

    Raises:
        RuntimeError: pip failed; the message contains the last line of its output.
    """
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(pins()), encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # wheels only: building a package here would take minutes and a second numpy
        options = ["--only-binary", ":all:", "--constraint", str(constraints)]
        done = subprocess.run([*pip, *options, *requirements], capture_output=True, text=True)
    if done.returncode:
        names = ", ".join(requirements)
        last_line = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise RuntimeError(f"pip could not install {names} ({last_line}); is the internet switched on?")
    importlib.invalidate_caches()


def pins() -> list[str]:
    """Return ``name==version`` for every installed package, sorted: the lines of a constraints file."""
    versions: dict[str, str] = {}
    for distribution in metadata.distributions():
        name, version = distribution.metadata["Name"], distribution.version
        # pip rejects the whole file if one version does not follow PEP 440, and system packages have such versions
        if name and version and VERSION.fullmatch(version):
            # of several copies, Python imports the one that is first on the path
            versions.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)
    return sorted(f"{name}=={version}" for name, version in versions.items())
