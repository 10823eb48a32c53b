"""Training of the compact extractor from end to end, for a few steps, on generated pictures and a random teacher."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from nstlib import VGGFeatures, layer_names
from nstlib.pretrained import random_state


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


def run_tool(name: str, *words: object) -> str:
    """Run a program of tools/ and return what it prints."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / f"{name}.py", *map(str, words)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_train_resume_and_export(material, tmp_path):
    out = tmp_path / "work"
    data = ["--photos", material / "photos", "--labelled", material / "classes", "--out", out, "--views", 1]
    teacher = ["--teacher", material / "teacher.safetensors"]
    run_tool("train_compact", *teacher, *data, "--stage", "features", "--minutes-features", 0.02)
    first = torch.load(out / "features.pt", weights_only=True)["step"]
    run_tool("train_compact", *teacher, *data, "--stage", "features", "--minutes-features", 0.05, "--resume")
    assert torch.load(out / "features.pt", weights_only=True)["step"] > first > 0
    run_tool("train_compact", *teacher, *data, "--stage", "classes", "--minutes-classes", 0.05)
    written = tmp_path / "weights.safetensors"
    words = ["--photos", material / "photos", "--names", material / "names.tsv", "--out", written]
    assert "MB" in run_tool("export_compact", out / "classes.pt", *words)
    assert VGGFeatures(weights=written).available == layer_names("vgg19")
    with safe_open(written, framework="pt") as opened:
        assert json.loads(opened.metadata()["classes"]) == ["red", "blue"]
        assert opened.get_tensor("head.weight").shape == (2, 128)


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
