"""The course's public address, and what every notebook carries because of it: badges and the set-up cell.

The address is one setting, ``[project.urls] Repository`` in pyproject.toml; ``tools/stamp_address.py``
writes it into the notebooks and into README.md.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)")
SETTING = re.compile(r'^Repository = "([^"]*)"$', re.MULTILINE)  # tomllib is missing on Python 3.10

SETUP = """\
# Set-up. On Colab and Kaggle this fetches the course and whatever is missing there (on Kaggle, first
# switch Internet on in the settings at the right). On your own machine and on Binder it installs nothing.
import os, runpy, subprocess, sys

HOSTED = {{"COLAB_RELEASE_TAG", "google.colab", "KAGGLE_KERNEL_RUN_TYPE", "NST_PLATFORM"}}
if HOSTED & {{*os.environ, *sys.modules}}:
    address = os.environ.get("NST_REPOSITORY", "{address}")
    if not os.path.isdir("nst-course"):
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", address, "nst-course"], check=True)
    runpy.run_path("nst-course/nstlib/bootstrap.py")["prepare"]()

from nstlib import course

course.setup()"""


def read_address(pyproject: Path = ROOT / "pyproject.toml") -> str:
    """The repository's address. Raises ValueError if it is not https://github.com/OWNER/REPO."""
    found = SETTING.search(pyproject.read_text(encoding="utf-8"))
    address = found[1] if found else ""
    check_address(address)
    return address


def check_address(address: str) -> None:
    """Raise ValueError unless the address is one that Colab, Kaggle and Binder can open notebooks from."""
    if not ADDRESS.fullmatch(address) or address.endswith(".git"):
        raise ValueError(f"the address {address!r} does not look like https://github.com/OWNER/REPO; correct it.")


def setup_cell(address: str) -> str:
    """The set-up cell's code, the same in every notebook."""
    return SETUP.format(address=address)


def badges(address: str, notebook: str) -> str:
    """Markdown with badges that open ``notebook`` (a path in the repository) on Colab, Kaggle and Binder."""
    check_address(address)
    repository = address.removeprefix("https://github.com/")
    file = f"github.com/{repository}/blob/main/{notebook}"
    colab = file.replace("github.com/", "https://colab.research.google.com/github/", 1)
    places = [
        ("Colab", "https://colab.research.google.com/assets/colab-badge.svg", colab),
        ("Kaggle", "https://kaggle.com/static/images/open-in-kaggle.svg", f"https://kaggle.com/kernels/welcome?src=https://{file}"),
        ("Binder", "https://mybinder.org/badge_logo.svg", f"https://mybinder.org/v2/gh/{repository}/main?labpath={notebook}"),
    ]  # fmt: skip
    return " ".join(f"[![Open in {name}]({picture})]({link})" for name, picture, link in places)
