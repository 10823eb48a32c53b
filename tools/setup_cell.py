"""The course's public address, and the parts of every notebook that contain it: the badges and the set-up cell.

The address is set in one place, ``[project.urls] Repository`` in pyproject.toml; ``tools/stamp_address.py`` writes it
into the notebooks, README.md and the other files that contain it.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)")
SETTING = re.compile(r'^Repository = "([^"]*)"$', re.MULTILINE)  # Python 3.10 has no tomllib

SETUP = """\
# Set-up. On Colab and Kaggle this cell downloads the course and installs what is missing. (On Kaggle, first
# switch on Internet in the settings on the right.) On your own machine and on Binder it installs nothing.
import os, runpy, subprocess, sys

HOSTED = {{"COLAB_RELEASE_TAG", "google.colab", "KAGGLE_KERNEL_RUN_TYPE", "NST_PLATFORM"}}
if HOSTED & {{*os.environ, *sys.modules}}:
    address = os.environ.get("NST_REPOSITORY", "{address}")
    if not os.path.isdir("nst-course"):
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", address, "nst-course"], check=True)
    runpy.run_path("nst-course/nstlib/bootstrap.py")["prepare"]()

from nstlib import course

course.setup()"""

COLAB_BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
KAGGLE_BADGE = "https://kaggle.com/static/images/open-in-kaggle.svg"
BINDER_BADGE = "https://mybinder.org/badge_logo.svg"


def read_address(pyproject: Path = ROOT / "pyproject.toml") -> str:
    """Return the repository's address. Raises ValueError if it is not https://github.com/OWNER/REPO."""
    found = SETTING.search(pyproject.read_text(encoding="utf-8"))
    address = found[1] if found else ""
    check_address(address)
    return address


def check_address(address: str) -> None:
    """Raise ValueError unless Colab, Kaggle and Binder can open notebooks from this address."""
    if not ADDRESS.fullmatch(address) or address.endswith(".git"):
        raise ValueError(f"the address {address!r} does not look like https://github.com/OWNER/REPO; correct it.")


def setup_cell(address: str) -> str:
    """Return the code of the set-up cell, which is the same in every notebook."""
    return SETUP.format(address=address)


def badges(address: str, notebook: str) -> str:
    """Return Markdown with badges that open ``notebook`` (a path in the repository) on Colab, Kaggle and Binder."""
    check_address(address)
    repository = address.removeprefix("https://github.com/")
    file = f"{repository}/blob/main/{notebook}"
    links = [
        _badge("Colab", COLAB_BADGE, f"https://colab.research.google.com/github/{file}"),
        _badge("Kaggle", KAGGLE_BADGE, f"https://kaggle.com/kernels/welcome?src=https://github.com/{file}"),
        _badge("Binder", BINDER_BADGE, f"https://mybinder.org/v2/gh/{repository}/main?labpath={notebook}"),
    ]
    return " ".join(links)


def _badge(platform: str, picture: str, link: str) -> str:
    return f"[![Open in {platform}]({picture})]({link})"
