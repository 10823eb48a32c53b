"""The course's public address, and the parts of every notebook that contain it: the links and the set-up cell.

The address is set in one place, ``[project.urls] Repository`` in pyproject.toml; ``tools/stamp_address.py`` writes it
into the notebooks, README.md and the other files that contain it. Until the course is published the address is
``UNSTAMPED``, because the set-up cell runs code from it: nobody can register a name in ``.invalid``.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)")
UNSTAMPED = "https://repository.invalid/course"
"""The address before publication. RFC 2606 reserves .invalid for names that do not exist."""

SETTING = re.compile(r'^Repository = "([^"]*)"$', re.MULTILINE)  # Python 3.10 has no tomllib

SETUP = """\
# Set-up. On Colab and Kaggle this cell downloads the course and installs what is missing. (On Kaggle, first
# switch on Internet in the settings on the right.) On your own machine and on Binder it installs nothing.
import os, runpy, subprocess, sys

HOSTED = {{"COLAB_RELEASE_TAG", "google.colab", "KAGGLE_KERNEL_RUN_TYPE", "NST_PLATFORM"}}
if HOSTED & {{*os.environ, *sys.modules}}:
    address = os.environ.get("NST_REPOSITORY", "{address}")
    if not os.path.isdir("nst-course"):
{refusal}        subprocess.run(["git", "clone", "--quiet", "--depth", "1", address, "nst-course"], check=True)
    runpy.run_path("nst-course/nstlib/bootstrap.py")["prepare"]()

from nstlib import course

course.setup()"""

REFUSAL = f"""\
        if address == "{UNSTAMPED}":
            raise RuntimeError("this copy has no public address yet; its publisher must run tools/stamp_address.py")
"""
"""Part of the set-up cell of an unstamped copy."""

NO_LINKS = (
    "*This copy of the course has no public address yet: open its notebooks where they are, with `make lab`. "
    "Whoever publishes it runs `tools/stamp_address.py`, which puts links to Colab, Kaggle and Binder here.*"
)
"""Takes the place of the links in an unstamped copy."""


def read_address(pyproject: Path = ROOT / "pyproject.toml") -> str:
    """Return the repository's address. Raises ValueError if it is neither on GitHub nor ``UNSTAMPED``."""
    found = SETTING.search(pyproject.read_text(encoding="utf-8"))
    address = found[1] if found else ""
    check_address(address)
    return address


def check_address(address: str) -> None:
    """Raise ValueError unless Colab, Kaggle and Binder can open notebooks from this address, or it is unstamped."""
    if address != UNSTAMPED and (not ADDRESS.fullmatch(address) or address.endswith(".git")):
        raise ValueError(f"the address {address!r} does not look like https://github.com/OWNER/REPO; correct it.")


def setup_cell(address: str) -> str:
    """Return the code of the set-up cell, which is the same in every notebook."""
    return SETUP.format(address=address, refusal=REFUSAL if address == UNSTAMPED else "")


def links(address: str, notebook: str) -> str:
    """Return Markdown with links that open ``notebook`` (a path in the repository) on Colab, Kaggle and Binder.

    They are text: pictures of other sites would be fetched whenever a notebook is opened.

    Raises ValueError if the address is not that of a repository on GitHub.
    """
    if not ADDRESS.fullmatch(address):
        raise ValueError(f"{address!r} cannot be opened from Colab, Kaggle and Binder; run tools/stamp_address.py.")
    repository = address.removeprefix("https://github.com/")
    file = f"{repository}/blob/main/{notebook}"
    return (
        f"[Colab](https://colab.research.google.com/github/{file}), "
        f"[Kaggle](https://kaggle.com/kernels/welcome?src=https://github.com/{file}), "
        f"[Binder](https://mybinder.org/v2/gh/{repository}/main?labpath={notebook})"
    )


def links_cell(address: str, notebook: str) -> str:
    """Return the text of a notebook's first cell: the links, or why there are none."""
    return NO_LINKS if address == UNSTAMPED else f"Open in {links(address, notebook)}"
