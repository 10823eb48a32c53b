"""The benchmark: its baseline computes the same results as the library, and a quick run works."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT

from nstlib import Objective, TransformerNet, VGGFeatures, get_preset, resize

sys.path.insert(0, str(ROOT))
from benchmarks import __main__ as bench  # noqa: E402
from benchmarks.plain import PlainTraining, PlainTransfer, plain_network  # noqa: E402
from benchmarks.summary import MARKS, summary  # noqa: E402


def test_baseline_computes_the_same_loss_and_gradient(photo, painting, state):
    """The race runs both until the same loss, so it must be the same loss."""
    preset = get_preset("course")
    features = VGGFeatures(weights=state, pooling=preset.pooling, precision="float32")
    ours = Objective(preset, features, photo, painting)
    plain = PlainTransfer(state, photo, painting)
    x = (0.8 * photo + 0.1).requires_grad_()
    (expected,) = torch.autograd.grad(ours(x).sum(), x)
    loss = plain.step(x)
    assert loss.item() == pytest.approx(ours(x).item(), rel=1e-4)
    assert torch.cosine_similarity(x.grad.flatten(), expected.flatten(), dim=0) > 0.99999


@pytest.mark.slow
def test_baseline_ends_after_its_last_loss_layer_and_reduces_the_loss(photo, painting, state):
    plain = PlainTransfer(state, photo, painting)
    assert list(dict(plain.model.named_children()))[-1] == "style_relu5_1"
    losses = []
    image = plain.run(photo, 20, lambda step, x: losses.append(plain.loss(x).item()))
    assert len(losses) >= 20
    assert losses[-1] < 0.7 * losses[0]
    assert image.min() >= 0
    assert image.max() <= 1


def test_plain_network_has_the_same_convolutions():
    """The parameters of the normalisation may differ."""
    plain, ours = plain_network(8, 2), TransformerNet(width=8, blocks=2)
    kernels = [sorted(tuple(p.shape) for p in net.parameters() if p.dim() == 4) for net in (plain, ours)]
    assert kernels[0] == kernels[1]
    assert plain(torch.rand(1, 3, 40, 48)).shape == (1, 3, 40, 48)


@pytest.mark.slow
def test_plain_training_changes_its_parameters(photo, painting, state):
    torch.manual_seed(0)
    training = PlainTraining(state, painting, width=4)
    photos = resize(photo, (40, 40)).expand(2, -1, -1, -1).clone()
    before = [p.detach().clone() for p in training.net.parameters()]
    training.step(photos)
    changed = [not torch.equal(a, b) for a, b in zip(before, training.net.parameters())]
    assert sum(changed) > 0.5 * len(changed)  # a bias before an instance norm has no gradient
    assert all(p.requires_grad is False for p in training.vgg.parameters())


@pytest.mark.slow
def test_quick_run_writes_all_measurements(tmp_path):
    """Every candidate runs in its own process; the file holds the measurements, and they are consistent."""
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "step", "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)], capture_output=True, text=True, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.json")
    found = json.loads(path.read_text())
    assert found["machine"]["threads"] == 1
    a, b, c, e, d = found["rows"]
    assert "".join(row["name"][0] for row in (a, b, c, d, e)) == "abcde"
    assert all(row["seconds"] > 0 and not row["note"].startswith("not here") for row in found["rows"])
    # the same convolutions; the Gram matrices of b are computed in another way
    assert b["multiply_adds"] == pytest.approx(a["multiply_adds"], rel=0.1)
    assert min(row["tensors"] for row in (a, b, c, e)) > 1e5
    text = path.with_suffix(".md").read_text()
    assert "a/b = " in text
    assert done.stdout.strip() == text.strip()


@pytest.mark.slow
def test_failed_candidate_gives_its_reason():
    (row,) = bench.interleaved("network", (64, 64), 1, {"x": {"what": "network", "how": "plain", "which": -1}})
    assert row.seconds is None
    assert row.note.startswith("not here: ")
    assert "not here" in bench.table([row], {})


def test_ratios():
    found = [("a: as taught", 6.0, 100), ("b: ours", 2.0, 50), ("c: compact", 0.5, 10), ("d: floor", 1.5, None)]
    found += [("e: b, handed back", 3.0, 40)]
    rows = [bench.Row("step", "8 x 8", name, seconds, peak=peak, tensors=peak) for name, seconds, peak in found]
    (line,) = bench.ratios(rows)
    assert line.startswith("- 8 x 8: a/b = 3.00, d/b = 0.75, a/c = 12.0, a/e = 2.00;")
    assert line.endswith("tensors b/a = 0.50; the process's growth b/a = 0.50, e/a = 0.40")
    race = [("from the noise: as taught", 9.0), ("from the noise: ours", 3.0), ("from the noise: coarse to fine", 1.5)]
    (line,) = bench.ratios([bench.Row("race", "8 x 8", name, seconds) for name, seconds in race])
    assert line.endswith("takes 3.00 times as long as ours; coarse to fine takes 0.17 of as taught, 0.50 of ours")


def test_readme_contains_the_summary():
    assert MARKS[0] + summary() + MARKS[1] in (ROOT / "README.md").read_text(encoding="utf-8")
