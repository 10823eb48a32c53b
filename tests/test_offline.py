"""Everything runs without a network, and opening a notebook or a document fetches nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from traitlets.config import Config

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from build_notebooks import outputs_text  # noqa: E402

REFUSE = """\
import os, sys
NAMES = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
def refuse(event, arguments):
    if event not in NAMES:
        return
    if event == "socket.connect" and isinstance(arguments[1], (str, bytes)):
        return  # a socket in the file system, as between the processes that read photos
    with open(os.environ["NST_TEST_CONNECTIONS"], "a") as file:
        file.write(event + "\\n")
    raise OSError("the test allows no connection")
sys.addaudithook(refuse)
"""
"""Runs first in every Python process: notes and refuses connections."""

USE = """\
import sys
from pathlib import Path
import nstlib
from nstlib import course, load_model, stylize, transfer
from nstlib.cli.main import main
from nstlib.course import anatomy, check, figures, lesson_table, profile_for, widgets
from nstlib.data import coco, gallery

folder = Path(sys.argv[1])
course.setup()
photos = [gallery.content(name, 48) for name in ("chelsea", "coffee", "astronaut")]
for number, photo in enumerate(photos):
    nstlib.save(photo, folder / "photos" / f"{number}.png")
style = gallery.style(gallery.style_names()[0], 48)
nstlib.save(style, folder / "style.png")
transfer(photos[0], style, steps=2)
stylize(load_model("waves"), photos[0])
nstlib.classify(photos[0])
figures.jpeg(figures.show(photos[:2]))
widgets.upload_photo()
lesson_table()
photo, painting = str(folder / "photos" / "0.png"), str(folder / "style.png")
train = f"train --quiet --photos {folder / 'photos'} --styles {painting} --output {folder / 'out'} --steps 2"
for command in (
    ["info"],
    ["models"],
    ["transfer", photo, painting, "-o", str(folder / "a.png"), "--size", "48", "--steps", "2"],
    ["stylize", photo, "--model", "many", "--style", "waves", "-o", str(folder / "b.png")],
    [*train.split(), "--size", "48", "--batch", "2", "--width", "4", "--blocks", "1", "--workers", "1"],
):
    assert main(command) == 0, command
"""


def without_network() -> list[str]:
    """Return the start of a command that runs the rest in an empty network namespace, where that is allowed."""
    command = ["unshare", "--user", "--map-root-user", "--net"]
    try:
        allowed = subprocess.run([*command, "true"], capture_output=True).returncode == 0
    except OSError:
        allowed = False
    return command if allowed else []


def run_refused(code: str, folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run code in a process, and in its children, that may not connect; return it and what it tried."""
    (folder / "sitecustomize.py").write_text(REFUSE, encoding="utf-8")
    tried = folder / "connections.txt"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "NST_TEST_CONNECTIONS": str(tried),
        "NST_PROFILE": "smoke",
        "OMP_NUM_THREADS": "1",
    }
    command = [*without_network(), sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done, tried.read_text(encoding="utf-8") if tried.exists() else ""


@pytest.mark.slow
def test_the_package_runs_without_a_network(tmp_path: Path):
    done, tried = run_refused(USE, tmp_path, str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert tried == ""
    assert (tmp_path / "out" / "network.safetensors").is_file()


def test_a_connection_would_be_noticed(tmp_path: Path):
    code = """
import socket, subprocess, sys, urllib.request
try:
    urllib.request.urlopen("http://repository.invalid/")
except OSError:
    pass
subprocess.run([sys.executable, "-c", "import socket; socket.socket().connect(('127.0.0.1', 9))"])
"""
    _, tried = run_refused(code, tmp_path)
    assert tried.splitlines() == ["socket.getaddrinfo", "socket.connect"]


# --- what a page fetches when it is opened -------------------------------------------------------------

FETCHED = re.compile(
    r"!\[[^\]]*\]\(\s*(?:https?:)?//|!\[[^\]]*\]\[|<(?:script|link|iframe|embed|object|video|audio|source)\b"
    r"|<img[^>]*\bsrc\s*=\s*[\"']?(?:https?:)?//|@import|url\(\s*[\"']?(?:https?:)?//",
    re.IGNORECASE,
)
"""Pictures of other sites, scripts and stylesheets, in Markdown and HTML."""


def notebooks() -> list[Path]:
    return sorted(ROOT.glob("notebooks/**/*.ipynb"))


def documents() -> list[Path]:
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("nstlib/**/*.md")]
    return sorted(found)


def test_opening_a_document_fetches_nothing():
    assert len(documents()) > 5
    for path in documents():
        assert not FETCHED.search(path.read_text(encoding="utf-8")), path


def test_opening_a_notebook_fetches_nothing():
    assert len(notebooks()) >= 20
    for path in notebooks():
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells, start=1):
            shown = outputs_text(cell) if cell.cell_type == "code" else cell.source
            assert not FETCHED.search(shown), f"{path.name}, cell {number}"
            for output in cell.get("outputs", []):
                assert not {"application/javascript", "application/vnd.jupyter.widget-view+json"} & {
                    *output.get("data", {})
                }, f"{path.name}, cell {number}"


@pytest.mark.parametrize(
    "text",
    [
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://x)",
        "<script src='x.js'></script>",
        '<img alt="a" src="//example.org/a.png">',
        "<link rel=stylesheet href=x.css>",
        "![a badge][badge]",
    ],
)
def test_what_would_be_fetched_is_noticed(text: str):
    assert FETCHED.search(text)


def test_pictures_of_documents_are_ours_and_have_a_text_alternative():
    pattern = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)")
    seen = 0
    for path in documents():
        for alt, target in pattern.findall(path.read_text(encoding="utf-8")):
            seen += 1
            assert alt.strip(), f"{path.name}: {target} has no text alternative"
            assert (path.parent / target).is_file(), f"{path.name}: {target} is missing"
    assert seen


def test_jupyterlab_fetches_nothing_by_itself():
    """By default it asks pypi.org for newer versions; a settings file of ours stops that."""
    labapp = pytest.importorskip("jupyterlab.labapp")
    config = Config()
    exec((ROOT / "tools" / "jupyter_lab_config.py").read_text(encoding="utf-8"), {"get_config": lambda: config})
    assert config.LabApp == {
        "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "news_url": None,
        "extension_manager": "readonly",
    }
    assert set(config.LabApp) <= set(labapp.LabApp.class_trait_names(config=True))
    assert "jupyter_lab_config.py" in (ROOT / "binder" / "postBuild").read_text(encoding="utf-8")
