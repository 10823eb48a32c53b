"""Training of the compact extractor from end to end, for a few steps, on generated pictures and a random teacher."""

from __future__ import annotations

import importlib
import json
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from nstlib import VGGFeatures, layer_names
from nstlib.pretrained import random_state
from nstlib.runtime import pick_precision


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A folder with twelve photos, two classes of 70 pictures, the first layers of a teacher, and class names."""
    folder = tmp_path_factory.mktemp("material")
    rng = np.random.default_rng(0)
    for i in range(12):
        coarse = Image.fromarray((rng.random((6, 8, 3)) * 255).astype(np.uint8)).resize((140, 110), Image.BICUBIC)
        (folder / "photos").mkdir(exist_ok=True)
        coarse.save(folder / "photos" / f"{i:02d}.jpg")
    for name, colour in (("n01", (200, 60, 40)), ("n02", (40, 60, 200))):
        (folder / "classes" / name).mkdir(parents=True)
        for i in range(70):
            a = np.clip(rng.normal(colour, 30, (64, 64, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(a).save(folder / "classes" / name / f"{i}.png")
    state = random_state(widths=(64, 128, 256, 8, 8))
    first = {k: v for k, v in state.items() if int(k.split(".")[1]) <= 16}
    save_file(first, folder / "teacher.safetensors")
    (folder / "names.tsv").write_text("n01\tred\nn02\tblue\n")
    return folder


@pytest.fixture
def run_tool(monkeypatch):
    """A function that runs a program of tools/ in this process, with small pictures that are painted briefly."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    import train_compact

    monkeypatch.setattr(train_compact, "CROP", 48)
    monkeypatch.setattr(train_compact, "PAINTED_AT", (2, 4))
    monkeypatch.setattr(train_compact, "keep_freed_memory", lambda: True)

    def run(name: str, *words: object) -> None:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        importlib.import_module(name).main()

    return run


@pytest.mark.slow
def test_train_resume_and_export(material, tmp_path, run_tool, capsys):
    """On a processor without bfloat16, too, this takes seconds: the program computes in float32 there."""
    out = tmp_path / "work"
    data = ["--photos", material / "photos", "--labelled", material / "classes", "--out", out, "--views", 1]
    teacher = ["--teacher", material / "teacher.safetensors"]
    run_tool("train_compact", *teacher, *data, "--stage", "features", "--minutes-features", 0.01)
    first = torch.load(out / "features.pt", weights_only=True)["step"]
    run_tool("train_compact", *teacher, *data, "--stage", "features", "--minutes-features", 0.02, "--resume")
    assert torch.load(out / "features.pt", weights_only=True)["step"] > first > 0
    run_tool("train_compact", *teacher, *data, "--stage", "classes", "--minutes-classes", 0.01)
    written = tmp_path / "weights.safetensors"
    words = ["--photos", material / "photos", "--names", material / "names.tsv", "--out", written]
    capsys.readouterr()
    run_tool("export_compact", out / "classes.pt", *words)
    assert "MB" in capsys.readouterr().out
    assert VGGFeatures(weights=written).available == layer_names("vgg19")
    with safe_open(written, framework="pt") as opened:
        assert json.loads(opened.metadata()["classes"]) == ["red", "blue"]
        assert opened.get_tensor("head.weight").shape == (2, 128)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_convolutions_are_in_bfloat16_only_where_that_is_fast(material, monkeypatch, dtype):
    """Emulated bfloat16 took five minutes for the test above."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    import train_compact

    assert pick_precision("auto", torch.device("cpu")) == train_compact.DTYPE
    monkeypatch.setattr(train_compact, "DTYPE", dtype)
    with train_compact.mixed_precision():
        assert F.conv2d(torch.rand(1, 3, 8, 8), torch.rand(4, 3, 3, 3)).dtype == dtype
    teacher = train_compact.load_teacher(material / "teacher.safetensors")
    found = train_compact.teacher_activations(teacher, torch.rand(1, 3, 16, 16), "max")
    assert {activations.dtype for activations in found.values()} == {dtype}


def test_folding_normalisation_into_convolutions_keeps_the_outputs(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    from export_compact import fold, normalise
    from train_compact import MEAN, STD, Student

    torch.manual_seed(0)
    student = Student(classes=3)
    photos = torch.rand(4, 3, 64, 64)
    student.train()((photos - MEAN) / STD)  # running statistics other than 0 and 1
    student.eval()
    with torch.no_grad():
        expected = student((photos - MEAN) / STD)
        layers = fold(student)
        last = normalise(layers, photos)
    state = {}
    for (weight, bias), index in zip(layers.values(), (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)):
        state[f"features.{index}.weight"], state[f"features.{index}.bias"] = weight, bias
    network = VGGFeatures(weights=state, precision="float32")
    found = network(photos, ["relu1_1", "relu5_4"])
    assert torch.allclose(found["relu5_4"] / last.view(1, -1, 1, 1), expected["conv5_4"], atol=1e-3)
    means = found["relu1_1"].mean((0, 2, 3))
    assert (means.sub(1).abs() < 1e-3).float().mean() > 0.9
