"""The benchmark: its baseline computes the same results as the library, and a quick run works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial

import pytest
import torch
from conftest import ROOT

from nstlib import Objective, TransformerNet, VGGFeatures, get_preset, resize

sys.path.insert(0, str(ROOT))
from benchmarks import __main__ as bench  # noqa: E402
from benchmarks import sections  # noqa: E402
from benchmarks.plain import PlainTraining, PlainTransfer, plain_network  # noqa: E402
from benchmarks.plan import Plan, Row, quick_plan  # noqa: E402
from benchmarks.report import ratios, table  # noqa: E402
from benchmarks.sections import Group, run_module  # noqa: E402
from benchmarks.summary import both_tables, newest_results  # noqa: E402


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
    done = subprocess.run([*command, "--folder", str(tmp_path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.json")
    found = json.loads(path.read_text())
    assert found["machine"]["threads"] == int(os.environ["OMP_NUM_THREADS"])
    a, b, c, f, d = found["rows"]
    assert "".join(row["name"][0] for row in (a, b, c, d, f)) == "abcdf"
    assert all(row["seconds"] > 0 and not row["note"].startswith("not here") for row in found["rows"])
    # the same convolutions; the Gram matrices of b are computed in another way
    assert b["multiply_adds"] == pytest.approx(a["multiply_adds"], rel=0.1)
    assert min(row["tensors"] for row in (a, b, c, f)) > 1e5
    ratios = path.with_suffix(".md").read_text().partition("## Ratios\n\n")[2]
    assert "a/b = " in ratios
    assert ratios in done.stdout
    assert all(row["name"] in done.stdout for row in found["rows"])


@pytest.fixture
def three_groups(monkeypatch):
    """Replaces what is measured: three groups of one row; the names of those that ran, and where Ctrl-C comes."""
    ran, stop_at = [], []

    def groups(plan, device):
        for i, name in enumerate(("one", "two", "three")):

            def measure(name=name, seconds=i + 1.0):
                yield Row("step", "8 x 8", name, seconds)
                if name in stop_at:
                    raise KeyboardInterrupt
                ran.append(name)

            yield Group(name, measure)

    monkeypatch.setattr(bench, "SECTIONS", {"step": groups})
    return ran, stop_at


def test_a_run_that_was_stopped_keeps_its_rows_and_continues(three_groups, tmp_path, capsys):
    """Rows are in a file as soon as their group is complete, so that SIGKILL loses no more than Ctrl-C."""
    ran, stop_at = three_groups
    stop_at.append("two")
    with pytest.raises(SystemExit) as stopped:
        bench.main(["--folder", str(tmp_path), "--device", "cpu"])
    assert stopped.value.code == 130
    (kept,) = tmp_path.iterdir()
    assert str(kept) in capsys.readouterr().err
    assert list(json.loads(kept.read_text())["groups"]) == ran == ["one"]
    stop_at.clear()
    path = bench.main(["--folder", str(tmp_path), "--device", "cpu"])
    assert ran == ["one", "two", "three"]
    assert [row["name"] for row in json.loads(path.with_suffix(".json").read_text())["rows"]] == ran
    assert not kept.exists()
    bench.main(["--folder", str(tmp_path), "--device", "cpu"])
    assert ran == ["one", "two", "three"] * 2, "a complete run is measured anew"


def test_a_run_of_other_code_or_another_day_is_not_continued(three_groups, tmp_path, monkeypatch):
    ran, stop_at = three_groups
    stop_at.append("two")
    with pytest.raises(SystemExit):
        bench.main(["--folder", str(tmp_path), "--device", "cpu"])
    stop_at.clear()
    monkeypatch.setattr(bench, "hash_sources", lambda: "changed")
    bench.main(["--folder", str(tmp_path), "--device", "cpu"])
    assert ran == ["one", "one", "two", "three"]


def test_a_part_of_the_benchmark_does_not_replace_the_stored_table(three_groups, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(bench, "hash_sources", lambda: "")
    for words in (["--quick"], ["--only", "step"]):
        assert bench.main([*words, "--device", "cpu"]).parent == tmp_path / "out" / "bench"
    assert bench.main(["--device", "cpu"]).parent == tmp_path / "results"


def test_rows_that_fail_have_their_reason_and_the_run_goes_on(tmp_path, monkeypatch):
    def groups(plan, device):
        yield Group("bad", lambda: run_module("nothing"))
        yield Group("good", lambda: iter([Row("step", "8 x 8", "a", 1.0)]))

    monkeypatch.setattr(bench, "SECTIONS", {"step": groups})
    path = bench.main(["--folder", str(tmp_path), "--device", "cpu"])
    bad, good = json.loads(path.with_suffix(".json").read_text())["rows"]
    assert bad["note"].startswith("not here: ")
    assert good["seconds"] == 1


def test_the_machine_is_described_as_it_is_used(monkeypatch):
    """A processor held back by environment variables must not pass for one without the instructions."""
    for name in bench.ISA_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert bench.describe_instructions() == torch.backends.cpu.get_cpu_capability()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert bench.describe_instructions().endswith(", chosen by ONEDNN_MAX_CPU_ISA=AVX2")


def test_long_calls_are_repeated_less_often(monkeypatch):
    """A group takes about ``plan.seconds``; each candidate is measured three times at least."""
    now, calls = [0.0], []

    class FakeWorker:
        def __init__(self, **spec):
            self.seconds = spec["seconds"]

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def __call__(self):
            calls.append(self.seconds)
            now[0] += self.seconds

        wait_until_ready = report = lambda self: {"peak": 1, "tensors": 1, "multiply_adds": 1}

    monkeypatch.setattr(sections, "Worker", FakeWorker)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr(sections, "compare", partial(sections.compare, clock=lambda: now[0]))
    plan = Plan(seconds=20, most_repeats=9)
    expected = {0.01: 1 + 2 * 9, 0.5: 1 + 9, 4.0: 1 + 5, 20.0: 1 + 3}  # the short one twice, to warm the caches
    for seconds, count in expected.items():
        calls.clear()
        (row,) = sections.interleaved("step", (8, 8), plan, {"x": {"seconds": seconds}})
        assert len(calls) == count
        assert row.seconds == pytest.approx(seconds)


@pytest.mark.slow
def test_failed_candidate_gives_its_reason():
    specs = {"x": {"what": "network", "how": "plain", "which": -1}}
    (row,) = sections.interleaved("network", (64, 64), quick_plan(), specs)
    assert row.seconds is None
    assert row.note.startswith("not here: ")
    assert "not here" in table([row], {})


def test_ratios():
    found = [("a: as taught", 6.0, 100), ("b: ours", 2.0, 50), ("c: compact", 0.5, 10), ("d: floor", 1.5, None)]
    found += [("e: b, handed back", 3.0, 40), ("f: as taught, compact", 1.0, 60)]
    rows = [Row("step", "8 x 8", name, seconds, peak=peak, tensors=peak) for name, seconds, peak in found]
    (line,) = ratios(rows)
    assert line.startswith("- 8 x 8: a/b = 3.00, d/b = 0.75, a/c = 12.00, f/c = 2.00, a/e = 2.00;")
    assert line.endswith("tensors b/a = 0.50; the process's growth b/a = 0.50, e/a = 0.40")
    (line,) = ratios(rows[:2])
    assert line == "- 8 x 8: a/b = 3.00; tensors b/a = 0.50; the process's growth b/a = 0.50"
    race = [("as taught", 9.0), ("ours", 3.0), ("ours, coarse to fine", 1.5)]
    (line,) = ratios([Row("race", "8 x 8", f"from the noise: {name}", seconds) for name, seconds in race])
    assert line.endswith("takes 3.00 times as long as ours; coarse to fine takes 0.17 of as taught, 0.50 of ours")
    assert ratios([Row("race", "8 x 8", "from the noise: as taught", 9.0), Row("race", "8 x 8", "x")]) == []


def test_summary_has_the_newest_table_of_each_class(tmp_path):
    stored = json.loads(next((ROOT / "benchmarks" / "results").glob("*.json")).read_text())
    for name, precision, date in (
        ("a", "bfloat16", "2030-01-01"),
        ("b", "bfloat16", "2029-01-01"),
        ("c", "float32", ""),
    ):
        machine = {**stored["machine"], "cpu": name, "precision of b and c": precision, "date": date}
        (tmp_path / f"{name}.json").write_text(json.dumps({**stored, "machine": machine}))
    assert [data["machine"]["cpu"] for data in newest_results(tmp_path).values()] == ["a", "c"]
    assert both_tables(tmp_path).count("| times as fast |") == 2


def test_readme_contains_the_tables():
    assert both_tables() in (ROOT / "README.md").read_text(encoding="utf-8")
