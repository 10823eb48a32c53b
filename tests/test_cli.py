"""The command line, as a user types it; in a process of its own where that matters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

import nstlib
from nstlib import images
from nstlib.cli.main import main
from nstlib.errors import is_out_of_memory


@pytest.fixture
def folder(tmp_path, photo, painting):
    images.save(photo, tmp_path / "photo.png")
    images.save(painting, tmp_path / "painting.jpg")
    rgba = images.to_pil(photo).convert("RGBA")
    rgba.putalpha(128)
    rgba.save(tmp_path / "alpha.png")
    Image.fromarray((np.random.default_rng(0).random((40, 50)) * 65535).astype(np.uint16)).save(tmp_path / "grey16.tif")
    images.to_pil(photo).resize((300, 200)).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:700])
    (tmp_path / "text.jpg").write_text("no picture")
    return tmp_path


def run(*words: object) -> int:
    return main([str(w) for w in words])


QUICK = ("--size", 48, "--steps", 3, "--quiet")


@pytest.mark.parametrize("content", ["photo.png", "alpha.png", "grey16.tif"])
def test_transfer(folder, capsys, content):
    out = folder / "new" / "out.png"
    assert run("transfer", folder / content, folder / "painting.jpg", "-o", out, *QUICK) == 0
    assert max(Image.open(out).size) == 48
    printed = capsys.readouterr()
    assert str(out) in printed.out
    assert "extractor compact" in printed.out


def test_report(folder):
    out = folder / "out.jpg"
    assert run("transfer", folder / "photo.png", folder / "painting.jpg", "-o", out, "--report", *QUICK) == 0
    record = json.loads((folder / "out.json").read_text())
    assert record["settings"]["steps"] == 3
    assert len(record["records"]) == 3
    assert record["content"].endswith("photo.png")
    assert Image.open(folder / "out_sheet.jpg").width > 3 * 300


def test_texture_and_options(folder):
    words = "--init noise --content-weight 5 --style-weight 7 --seed 4 --precision float32 --device cpu".split()
    pictures = [folder / "photo.png", folder / "painting.jpg", "-o", folder / "a.png"]
    assert run("transfer", *pictures, "--report", *words, *QUICK) == 0
    settings = json.loads((folder / "a.json").read_text())["settings"]
    assert (settings["content_weight"], settings["style_weight"], settings["seed"]) == (5, 7, 4)
    assert (settings["init"], settings["precision"]) == ("noise", "float32")
    assert run("texture", folder / "painting.jpg", "-o", folder / "b.png", "--preset", "gatys_pytorch", *QUICK) == 0


@pytest.mark.parametrize("command", ["transfer", "texture"])
def test_scales_and_tiles(folder, command):
    out = folder / "out.png"
    pictures = [folder / "photo.png", folder / "painting.jpg"][command == "texture" :]
    words = "--size 96 --steps 5 --scales 2 --tile 64 --report --quiet".split()
    assert run(command, *pictures, "-o", out, *words) == 0
    assert max(Image.open(out).size) == 96
    record = json.loads((folder / "out.json").read_text())
    assert [s["tiled"] for s in record["settings"]["scales"]] == [False, True]
    assert [max(r["size"]) for r in record["records"]] == [48] * 5 + [96] * 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cut.jpg", "painting.jpg"], "cut off"),
        (["text.jpg", "painting.jpg"], "not a picture"),
        (["missing.jpg", "painting.jpg"], "does not exist"),
        (["photo.png", "."], "is a folder"),
        (["photo.png", "painting.jpg", "--preset", "gaty"], "did you mean"),
        (["photo.png", "painting.jpg", "--weights", "none.pth"], "do not exist"),
        (["photo.png", "painting.jpg", "--size", "3"], "at least 16"),
        (["photo.png", "painting.jpg", "--size", "99999"], "million"),
        (["photo.png", "painting.jpg", "--steps", "0"], "at least 1"),
        (["photo.png", "painting.jpg", "--steps", "many"], "invalid int value"),
        (["photo.png", "painting.jpg", "--init", "blue"], "neither a picture nor"),
        (["photo.png", "painting.jpg", "--content-weight", "-3"], ">= 0"),
        (["photo.png", "painting.jpg", "--device", "cuda:77"], "cannot be used"),
        (["photo.png", "painting.jpg", "--scales", "0"], "at least 1"),
        (["photo.png", "painting.jpg", "--scales", "9"], "use fewer scales"),
        (["photo.png", "painting.jpg", "--tile", "8"], "at least 64"),
        (["photo.png", "painting.jpg", "-o", "out.xyz"], "suffix"),
        (["photo.png", "painting.jpg", "--device", "meta"], "'meta' cannot be used here"),
        (["photo.png", "painting.jpg", "--size", "1000000000"], "the result would have"),
        (["photo.png", "painting.jpg", "--weights", ""], "weights '' do not exist"),
        (["photo.png"], "required"),
    ],
)
def test_errors_are_one_line_with_status_2(folder, capsys, monkeypatch, words, message):
    monkeypatch.chdir(folder)
    words = ["transfer", *words] if "-o" in words else ["transfer", *words, "-o", "out.png"]
    try:
        status = run(*words)
    except SystemExit as stop:
        status = stop.code
    lines = capsys.readouterr().err.splitlines()
    assert status == 2
    assert len(lines) == 1, lines
    assert lines[0].startswith("nst: ")
    assert message in lines[0]
    assert not (folder / "out.png").exists()


def test_info(capsys, monkeypatch):
    monkeypatch.setenv("NST_PROFILE", "gpu")
    assert run("info") == 0
    printed = capsys.readouterr().out
    assert "imagenet" in printed
    assert "torch" in printed
    monkeypatch.setenv("NST_PROFILE", "huge")
    assert run("info") == 2


@pytest.mark.slow
@pytest.mark.usefixtures("default_sigint")
def test_ctrl_c_saves_the_best_picture_so_far(folder):
    out = folder / "out.png"
    words = ["transfer", folder / "photo.png", folder / "painting.jpg", "-o", out, "--size", 96, "--steps", 100_000]
    command = [sys.executable, "-m", "nstlib.cli", *map(str, words)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT, env=environment)
    shown = b""
    while b"style" not in shown:  # until the progress bar shows a loss
        shown += process.stderr.read(64)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert process.returncode == 0
    assert b"interrupted after" in rest
    assert Image.open(out).size == (96, 72)


def test_ctrl_c_before_the_first_evaluation_writes_the_first_picture(folder, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("nstlib.objective.Objective.terms", interrupt)
    assert run("transfer", folder / "photo.png", folder / "painting.jpg", "-o", folder / "out.png", *QUICK) == 0
    assert "interrupted after 0 evaluations" in capsys.readouterr().err
    assert (folder / "out.png").exists()


def test_only_errors_about_lack_of_memory_count_as_out_of_memory():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("[enforce fail at alloc_cpu.cpp] can't allocate memory: you tried to ..."))
    assert is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert not is_out_of_memory(OSError("out of memory"))


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        run("--version")
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"nst {nstlib.__version__}\n"


def test_a_run_without_a_finite_loss_keeps_the_old_file(folder, capsys):
    """It ended with status 0, and wrote the photo over the file."""
    out = folder / "out.png"
    out.write_bytes(b"old")
    words = ["transfer", folder / "photo.png", folder / "painting.jpg", "-o", out, "--style-weight", "1e308", *QUICK]
    assert run(*words) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert out.read_bytes() == b"old"


def test_the_place_is_tried_before_the_work(folder, capsys, monkeypatch):
    """/proc says that root can write there; the picture was lost after all the steps."""
    monkeypatch.setattr("nstlib.cli.pictures.transfer", lambda *_, **__: pytest.fail("the work has begun"))
    assert run("transfer", folder / "photo.png", folder / "painting.jpg", "-o", "/proc/x.png", *QUICK) == 2
    assert "/proc/x.png' cannot be written" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_at_the_end_is_kept_elsewhere(folder, tmp_path, capsys, monkeypatch):
    out, transfer = folder / "new" / "out.jpg", nstlib.transfer

    def and_then_the_place_is_gone(*pictures, **options):
        result = transfer(*pictures, **options)
        (folder / "new").write_text("a file in place of the folder")
        return result

    monkeypatch.setattr("nstlib.cli.pictures.transfer", and_then_the_place_is_gone)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run("transfer", folder / "photo.png", folder / "painting.jpg", "-o", out, *QUICK) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    kept = error.split("The picture is kept as '")[1].split("'")[0]
    assert kept.startswith(str(tmp_path))
    assert max(Image.open(kept).size) == 48
    (folder / "new").unlink()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert run("transfer", folder / "photo.png", folder / "painting.jpg", "-o", out, *QUICK) == 2
    assert "new/out.jpg' cannot be written" in capsys.readouterr().err


def test_presets_that_a_message_suggests_are_listed(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        run("transfer", "--help")
    printed = capsys.readouterr().out
    assert all(name in printed for name in nstlib.PRESETS)
