"""Training: it learns, it goes on exactly where it was killed, it counts what is broken, and two are like one."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from conftest import ROOT
from torch import Tensor

from nstlib import ImageError, SettingError, TrainingConfig, TrainingError, TransformerNet, images, train
from nstlib.feedforward.checkpoint import CHECKPOINT
from nstlib.feedforward.perceptual_loss import PerceptualLoss
from nstlib.feedforward.photos import Crops, find_photos
from nstlib.feedforward.training import Trainer

pytest.importorskip("accelerate")
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven photos of several shapes and one style, all made from noise and stripes."""
    root = tmp_path_factory.mktemp("pictures")
    generator = torch.Generator().manual_seed(3)
    for i in range(7):
        small = torch.rand(1, 3, 6 + i, 9, generator=generator)
        images.save(images.resize(small, (40 + 3 * i, 60)).clamp(0, 1), root / "photos" / f"{i}.png")
    colours = torch.tensor([0.5, 0.3, 0.05]).view(1, 3, 1, 1)
    stripes = 0.25 + colours * (torch.arange(48) // 4 % 2).float().expand(1, 3, 48, 48)
    images.save(stripes, root / "stripes.png")
    images.save(stripes.transpose(2, 3).flip(1), root / "bars.png")
    return root


@pytest.fixture
def config(folder, tmp_path):
    return TrainingConfig(
        photos=str(folder / "photos"), styles=(str(folder / "stripes.png"),), output=str(tmp_path / "run"),
        content_layers=("relu2_1",), style_layers=("relu1_1", "relu2_1"), width=4, blocks=1, size=32, style_size=48,
        batch=2, steps=6, precision="float32", device="cpu", checkpoint_every=2, picture_every=0,
    )  # fmt: skip


def but(config, **changes):
    return dataclasses.replace(config, **changes)


def weights(net_or_path) -> dict[str, Tensor]:
    net = net_or_path if isinstance(net_or_path, TransformerNet) else TransformerNet.load(net_or_path)
    return net.state_dict()


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# --- it learns ----------------------------------------------------------------------------------------


def test_the_loss_falls_and_the_network_is_written(config, tmp_path):
    seen = []
    net = train(but(config, steps=60, learning_rate=5e-3), callback=lambda r: seen.append((r.total, r.image.shape)))
    totals = [total for total, _ in seen]
    assert len(totals) == 60
    assert seen[0][1][:2] == (1, 3)
    assert sum(totals[-5:]) < 0.4 * sum(totals[:5]), totals
    written = TransformerNet.load(tmp_path / "run" / "network.safetensors")
    assert same(weights(written), weights(net))
    card = written.card
    assert card["steps"] == 60
    assert card["pictures"] == 120
    assert card["config"]["styles"] == ["stripes"]
    assert card["config"]["photos"] == 7
    assert math.isclose(sum(card["losses"].values()), sum(totals) / 60, rel_tol=1e-6)
    assert str(tmp_path) not in json.dumps(card)  # nothing of the machine it was trained on


def test_the_identity_steps_learn_the_identity(config):
    """Twenty steps of warm-up bring the output nearer to the photo, and the style only comes after them."""
    records = []
    net = train(but(config, steps=60, identity_steps=60, learning_rate=1e-2), callback=records.append)
    assert {r.note for r in records} == {"identity"}
    assert records[-1].style_total == 0
    assert records[-1].content_total < 0.5 * records[0].content_total
    photo = images.load(find_photos(config.photos)[0])
    fresh = TransformerNet(width=4, blocks=1)
    assert (net(photo) - photo).square().mean() < (fresh(photo) - photo).square().mean()
    mixed = []
    train(but(config, steps=4, identity_steps=2), callback=mixed.append)
    assert [r.note for r in mixed] == ["identity", "identity", "", ""]
    assert mixed[2].style_total > 0


def test_the_loss_is_each_photos_own(config):
    """A batch of two pairs of photo and style has the losses of the two pairs one by one."""
    from nstlib import Objective, VGGFeatures

    preset = config.loss_preset()
    features = VGGFeatures(weights="compact", precision="float32", pooling=preset.pooling)
    generator = torch.Generator().manual_seed(0)
    styles = [torch.rand(1, 3, *size, generator=generator) for size in ((40, 48), (32, 64))]
    painted, photos = torch.rand(2, 3, 32, 32, generator=generator), torch.rand(2, 3, 32, 32, generator=generator)
    loss = PerceptualLoss(preset, features, styles)
    found = loss(painted, photos, torch.tensor([1, 0])).sum(0)
    for i, style in enumerate(styles[::-1]):
        alone = Objective(preset, features, photos[i : i + 1], style)(painted[i : i + 1])
        assert torch.isclose(found[i], alone[0], rtol=1e-4)


def test_the_preset_of_report_000_uses_means_not_sums(config):
    """Row F2: the report writes a squared Frobenius norm; 1e10 goes with the mean, C^2 times smaller."""
    preset = but(config, preset="pytorch_examples", content_layers=(), style_layers=()).loss_preset()
    assert (preset.content_weight, preset.style_weight) == (1e5, 1e10)
    assert list(preset.style_layers) == ["relu1_2", "relu2_2", "relu3_3", "relu4_3"]
    assert preset.style_reduction == "mean"
    assert preset.gram_divisor == "chw"


# --- it goes on exactly -------------------------------------------------------------------------------


def test_a_stop_and_a_resume_change_no_bit(config, tmp_path):
    whole = train(config)
    other = but(config, output=str(tmp_path / "other"))
    seen = []
    train(other, callback=lambda r: len(seen) < 2 and (seen.append(r) or True))  # False after the third
    state = torch.load(tmp_path / "other" / CHECKPOINT, weights_only=True)
    assert state["step"] == 3
    assert len(state["records"]) == 3
    resumed = train(other, resume=True)
    assert same(weights(whole), weights(resumed))
    assert resumed.card["steps"] == 6
    with pytest.raises(SettingError, match="learning_rate = 0.001, not 0.01"):
        train(but(other, learning_rate=0.01), resume=True)


def test_killed_at_any_moment_and_resumed_it_ends_with_the_same_bits(config, tmp_path):
    """SIGKILL, twice, wherever the process happens to be; a checkpoint is always whole."""
    config = but(config, steps=24, checkpoint_every=1, norm="conditional", identity_steps=3,
                 styles=(config.styles[0], config.styles[0].replace("stripes", "bars")))  # fmt: skip
    file = tmp_path / "config.json"
    file.write_text(json.dumps(dataclasses.asdict(config)))
    command = [sys.executable, "-m", "nstlib.cli", "train", "--quiet", "--config", str(file), "--output"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=ENV, capture_output=True)
    run, extra = tmp_path / "killed", []
    for goal in (5, 14):
        process = subprocess.Popen([*command, str(run), *extra], env=ENV, stdout=-3, stderr=-3)
        limit = time.monotonic() + 60
        while time.monotonic() < limit and process.poll() is None and _step(run) < goal:
            time.sleep(0.003)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert goal <= _step(run) < 24
        extra = ["--resume"]
    assert not (run / "network.safetensors").exists()
    subprocess.run([*command, str(run), "--resume"], check=True, env=ENV, capture_output=True)
    assert same(weights(tmp_path / "whole" / "network.safetensors"), weights(run / "network.safetensors"))


def _step(run) -> int:
    path = run / CHECKPOINT
    return torch.load(path, weights_only=True)["step"] if path.exists() else 0


def test_two_processes_are_one_with_the_doubled_batch(config, tmp_path):
    """Accelerate's two processes see, together, what one sees with twice the batch, and step alike."""
    one = but(config, batch=4, steps=4, decay="none", output=str(tmp_path / "one"))
    two = but(config, batch=2, steps=4, decay="none", output=str(tmp_path / "two"))
    alone = weights(train(one))
    file = tmp_path / "two.json"
    file.write_text(json.dumps(dataclasses.asdict(two)))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*launch, "-m", "nstlib.cli", "train", "--quiet", "--config", str(file)],
        env={**ENV, "ACCELERATE_USE_CPU": "true"}, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    net = TransformerNet.load(tmp_path / "two" / "network.safetensors")
    assert net.card["pictures"] == 16
    first, second = (
        [r["total"] for r in torch.load(tmp_path / name / CHECKPOINT, weights_only=True)["records"]]
        for name in ("one", "two")
    )
    assert first == pytest.approx(second, rel=2e-3)
    assert first[0] == pytest.approx(second[0], rel=1e-5)
    torch.manual_seed(config.seed)
    start, both = weights(TransformerNet(width=4, blocks=1)), weights(net)
    # the median: where a gradient is next to nothing, Adam makes a whole step of its rounding
    names = [k for k in alone if k.endswith("weight")]
    moved = torch.cat([(alone[k] - start[k]).abs().flatten() for k in names]).median()
    apart = torch.cat([(alone[k] - both[k]).abs().flatten() for k in names]).median()
    assert moved > 5e-4
    assert apart < 0.01 * moved, (apart, moved)


# --- what can be wrong --------------------------------------------------------------------------------


def test_broken_photos_are_left_out_and_counted(config, folder, tmp_path):
    photos = tmp_path / "some"
    photos.mkdir()
    good = find_photos(folder / "photos")[0]
    (photos / "a.png").write_bytes(good.read_bytes())
    (photos / "b.png").write_bytes(good.read_bytes()[:300])
    (photos / "c.jpg").write_text("no picture")
    (photos / "notes.txt").write_text("not looked at")
    net = train(but(config, photos=str(photos), steps=8))
    assert net.card["broken"] == 2
    assert net.card["config"]["photos"] == 3
    (photos / "a.png").unlink()
    with pytest.raises(ImageError, match="none of the photos can be read"):
        train(but(config, photos=str(photos)))


def test_losses_that_are_not_finite_are_skipped_counted_and_end_it(config, monkeypatch):
    calls = []
    plain = PerceptualLoss.__call__

    def sometimes(self, *args):
        calls.append(1)
        return plain(self, *args) * (math.nan if len(calls) in bad else 1)

    monkeypatch.setattr(PerceptualLoss, "__call__", sometimes)
    bad = {2, 3}
    records = []
    net = train(config, callback=records.append)
    assert net.card["skipped"] == 2
    assert [bool(r.note) for r in records] == [False, True, True, False, False, False]
    assert all(torch.isfinite(v).all() for v in weights(net).values())
    calls.clear()
    bad = set(range(3, 20))
    with pytest.raises(TrainingError, match="not finite 5 times in a row, up to step 7; use a smaller learning_rate"):
        train(but(config, steps=20))


def test_crops_depend_on_their_number_alone(folder):
    files = find_photos(folder / "photos")
    crops = Crops(files, 24, 0.5, 3, seed=1)
    first, again = crops[5], Crops(files, 24, 0.5, 3, seed=1)[5]
    assert torch.equal(first[0], again[0])
    assert first[1:] == again[1:]
    assert first[0].shape == (3, 24, 24)
    assert not torch.equal(first[0], crops[5 + len(files)][0])  # the next epoch cuts elsewhere
    assert {crops[i][1] for i in range(30)} == {0, 1, 2}
    samples = find_photos(folder / "photos", without=[files[2]])
    assert len(samples) == len(files) - 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"styles": ()}, "there is no style to learn"),
        ({"styles": ("waves", "golden")}, "2 styles in one network need norm 'conditional'"),
        ({"learning_rate": 0.0}, "learning_rate and crop"),
        ({"decay": "linear"}, "decay 'linear' is unknown"),
        ({"style_weight": -1.0}, "style_weight must be a number >= 0"),
        ({"photos": "nowhere"}, "there is no folder of photos 'nowhere'"),
        ({"preset": "gatys"}, "did you mean 'gatys2016'"),
        ({"norm": "layer"}, "norm 'layer' is unknown"),
    ],
)
def test_settings_that_cannot_be_used_are_one_sentence(config, changes, message):
    with pytest.raises((SettingError, ImageError), match=message):
        Trainer(but(config, **changes))


def test_a_configuration_from_a_file(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('photos = "p"\nstyles = ["a", "b"]\nlearning_rate = 1\nsteps = 7\n')
    config = TrainingConfig.from_file(file, steps=9, seed=None)
    assert (config.photos, config.styles, config.learning_rate, config.steps) == ("p", ("a", "b"), 1.0, 9)
    for values, message in (
        ({"step": 3}, "no setting 'step'"),
        ({"steps": "3"}, "steps is '3'"),
        ({"seed": True}, "seed"),
    ):
        with pytest.raises(SettingError, match=message):
            TrainingConfig.from_dict(values)
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(SettingError, match="no valid JSON"):
        TrainingConfig.from_file(tmp_path / "b.json")


def test_resuming_without_or_with_a_broken_checkpoint(config, tmp_path):
    with pytest.raises(SettingError, match="no checkpoint"):
        train(config, resume=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"half of")
    with pytest.raises(TrainingError, match="damaged"):
        train(config, resume=True)


def test_a_training_can_start_from_a_network(config, tmp_path):
    first = train(config)
    path = first.save(tmp_path / "first.safetensors")
    went_on = train(but(config, start=str(path), steps=1, learning_rate=1e-6, output=str(tmp_path / "on")))
    assert max((weights(first)[k] - v).abs().max() for k, v in weights(went_on).items()) < 1e-5
    with pytest.raises(SettingError, match="holds another network"):
        train(but(config, start=str(path), width=6, output=str(tmp_path / "no")))
