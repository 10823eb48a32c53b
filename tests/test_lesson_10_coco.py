"""The section on COCO in lesson 10, run with a small data set from a loopback server: download, train, kill, resume."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT

pytest.importorskip("pycocotools")
pytest.importorskip("accelerate")
jupytext = pytest.importorskip("jupytext")
pytest.importorskip("skimage")
pytest.importorskip("ipywidgets")

import test_coco  # noqa: E402

server = test_coco.server  # a fixture: twelve pictures and their annotations
SOURCE = ROOT / "notebooks" / "source" / "10_training_a_style_network.py"
SMALL = {
    "arch": "vgg19",
    "weights": "compact",
    "width": 4,
    "blocks": 1,
    "size": 32,
    "style_size": 64,
    "batch": 2,
    "workers": 0,
    "checkpoint_every": 1,
    "picture_every": 0,
    "device": "cpu",
    "precision": "float32",
}
"""Settings with which a step of training takes milliseconds."""


def lesson() -> tuple[dict, list[str]]:
    """Return the names that the lesson's imports and its functions for COCO define, and the cells tagged "coco"."""
    code = [cell for cell in jupytext.read(SOURCE, fmt="py:percent").cells if cell.cell_type == "code"]
    cells = [cell.source for cell in code if "coco" in cell.metadata.get("tags", [])]
    assert len(cells) == 2
    names: dict = {}
    exec(compile(code[0].source, "imports", "exec"), names)
    exec(compile(cells[0], "functions", "exec"), names)
    return names, cells


def step_of(output: Path) -> int:
    path = output / "checkpoint.pt"
    return torch.load(path, weights_only=True)["step"] if path.exists() else 0


def same_weights(a: Path, b: Path) -> bool:
    from nstlib import TransformerNet

    first, second = (TransformerNet.load(p / "network.safetensors").state_dict() for p in (a, b))
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.network
def test_download_train_and_run_the_cell_again(server, tmp_path, monkeypatch, capsys):
    names, cells = lesson()
    coco_photos, train_on_coco, losses = names["coco_photos"], names["train_on_coco"], []

    def coco_photos_from_the_server(folder, pictures):
        return coco_photos(tmp_path / folder.name, pictures, "val2017", server.url, **test_coco.QUICK)

    def train_for_four_steps(photos, output, **changes):
        return train_on_coco(photos, output, **{**changes, **SMALL, "steps": 4})

    names |= {
        "coco_photos": coco_photos_from_the_server,
        "train_on_coco": train_for_four_steps,
        "lasting_folder": lambda name: tmp_path / "drive" / name,
        "live": lambda every, title: lambda record: losses.append(record.total),
    }
    exec(cells[1], names)  # with another profile nothing happens
    assert "not with this profile" in capsys.readouterr().out
    assert not losses
    assert not server.requests

    monkeypatch.setenv("NST_PROFILE", "gpu")
    exec(cells[1], names)
    printed = capsys.readouterr().out
    assert "9 pictures to download" in printed  # the licences of three of the twelve forbid changes
    assert "9 downloaded, 0 already there, 0 skipped" in printed
    assert "from the start" in printed
    assert len(losses) == 4
    card = names["real"].card
    assert card["config"]["photos"] == 9
    assert card["config"]["preset"] == "pytorch_examples"
    assert (card["steps"], card["extractor"]) == (4, "compact")
    assert (tmp_path / "drive" / "coco_waves" / "network.safetensors").is_file()

    exec(cells[1], names)  # again: nothing is downloaded and nothing is trained
    printed = capsys.readouterr().out
    assert "0 downloaded, 9 already there" in printed
    assert "going on from the checkpoint" in printed
    assert len(losses) == 4


CHILD = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
from test_lesson_10_coco import SMALL, lesson
lesson()[0]["train_on_coco"]({photos!r}, {output!r}, **{{**SMALL, "steps": 40}})
"""


@pytest.mark.slow
@pytest.mark.network
def test_resume_after_sigkill_gives_the_same_bits(server, tmp_path):
    names, _ = lesson()
    photos = names["coco_photos"](tmp_path / "coco", 6, "val2017", server.url, **test_coco.QUICK)
    assert len(list(photos.glob("*.jpg"))) == 6
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    code = CHILD.format(tests=str(ROOT / "tests"), root=str(ROOT), photos=str(photos), output=str(killed))
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=-3, stderr=-3)
    limit = time.monotonic() + 120
    while time.monotonic() < limit and process.poll() is None and step_of(killed) < 5:
        time.sleep(0.003)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 5 <= step_of(killed) < 40
    assert not (killed / "network.safetensors").exists()
    for output in (killed, whole):
        names["train_on_coco"](photos, output, **{**SMALL, "steps": 40})
    assert same_weights(killed, whole)


def test_google_drive_is_used_on_colab_only(monkeypatch):
    names, _ = lesson()
    assert names["lasting_folder"]("waves") == Path("out") / "waves"
    mounted = []
    drive = type(sys)("google.colab.drive")
    drive.mount = mounted.append
    colab = type(sys)("google.colab")
    colab.drive = drive
    monkeypatch.setitem(sys.modules, "google", type(sys)("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    assert names["lasting_folder"]("waves") == Path("/content/drive/MyDrive/nst/waves")
    assert mounted == ["/content/drive"]
