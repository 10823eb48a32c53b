"""Training: losses, exact resumption, several processes, broken photos, and errors."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from small_training import make_pictures, same_bits, small_config, steps_in_checkpoint, weights

from nstlib import ImageError, SettingError, TrainingConfig, TrainingError, TransformerNet, images, train
from nstlib.feedforward.checkpoint import CHECKPOINT
from nstlib.feedforward.perceptual_loss import PerceptualLoss
from nstlib.feedforward.photos import Crops, find_photos
from nstlib.feedforward.training import Trainer

pytest.importorskip("accelerate")
ENV = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def config(folder, tmp_path):
    return small_config(folder, tmp_path / "run")


def write_config(config: TrainingConfig, path: Path) -> Path:
    path.write_text(json.dumps(config.as_dict()), encoding="utf-8")
    return path


# --- losses -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_loss_falls_and_the_network_is_written(config, tmp_path):
    calls = []
    config = replace(config, steps=60, learning_rate=5e-3)
    net = train(config, callback=lambda record: calls.append((record.total, record.image.shape)))
    totals = [total for total, _ in calls]
    assert len(totals) == 60
    assert calls[0][1][:2] == (1, 3)
    assert sum(totals[-5:]) < 0.4 * sum(totals[:5]), totals
    written = TransformerNet.load(tmp_path / "run" / "network.safetensors")
    assert same_bits(weights(written), weights(net))
    card = written.card
    assert card["steps"] == 60
    assert card["pictures"] == 120
    assert card["config"]["styles"] == ["stripes"]
    assert card["config"]["photos"] == 7
    assert math.isclose(sum(card["losses"].values()), sum(totals) / 60, rel_tol=1e-6)
    assert str(tmp_path) not in json.dumps(card)  # no path of the machine that trained it


@pytest.mark.slow
def test_identity_steps_learn_the_identity(config):
    """They bring the output closer to the photo without a style loss; the steps after them have one."""
    records = []
    net = train(replace(config, steps=60, identity_steps=60, learning_rate=1e-2), callback=records.append)
    assert {r.note for r in records} == {"identity"}
    assert records[-1].style_total == 0
    assert records[-1].content_total < 0.5 * records[0].content_total
    photo = images.load(find_photos(config.photos)[0])
    fresh = TransformerNet(width=4, blocks=1)
    assert (net(photo) - photo).square().mean() < (fresh(photo) - photo).square().mean()
    mixed = []
    train(replace(config, steps=4, identity_steps=2), callback=mixed.append, overwrite=True)
    assert [r.note for r in mixed] == ["identity", "identity", "", ""]
    assert mixed[2].style_total > 0


def test_losses_of_a_batch_are_those_of_its_pictures(config):
    """A batch of two pairs of photo and style has the same losses as the two pairs alone."""
    from nstlib import Objective, VGGFeatures

    preset = config.loss_preset()
    features = VGGFeatures(weights="compact", precision="float32", pooling=preset.pooling)
    generator = torch.Generator().manual_seed(0)
    styles = [torch.rand(1, 3, *size, generator=generator) for size in ((40, 48), (32, 64))]
    painted, photos = torch.rand(2, 3, 32, 32, generator=generator), torch.rand(2, 3, 32, 32, generator=generator)
    loss = PerceptualLoss(preset, features, styles)
    found = loss(painted, photos, torch.tensor([1, 0])).sum(0)  # (N,)
    for i, style in enumerate(styles[::-1]):
        alone = Objective(preset, features, photos[i : i + 1], style)(painted[i : i + 1])
        assert torch.isclose(found[i], alone[0], rtol=1e-4)


def test_preset_of_report_000_uses_means_not_sums(config):
    """Row F2 of docs/experiments.md: the report's squared norm is C^2 times the mean, to which its weight belongs."""
    preset = replace(config, preset="pytorch_examples", content_layers=(), style_layers=()).loss_preset()
    assert (preset.content_weight, preset.style_weight) == (1e5, 1e10)
    assert list(preset.style_layers) == ["relu1_2", "relu2_2", "relu3_3", "relu4_3"]
    assert preset.style_reduction == "mean"
    assert preset.gram_divisor == "chw"


# --- resuming and several processes -------------------------------------------------------------------


def test_resume_after_a_stop_gives_the_same_bits(config, tmp_path):
    whole = train(config)
    other = replace(config, output=str(tmp_path / "other"))
    train(other, callback=lambda record: record.step < 3)  # False after the third step
    state = torch.load(tmp_path / "other" / CHECKPOINT, weights_only=True)
    assert state["step"] == 3
    assert len(state["records"]) == 3
    resumed = train(other, resume=True)
    assert same_bits(weights(whole), weights(resumed))
    assert resumed.card["steps"] == 6
    with pytest.raises(SettingError, match="learning_rate = 0.001, not 0.01"):
        train(replace(other, learning_rate=0.01), resume=True)


@pytest.mark.slow
def test_resume_after_sigkill_gives_the_same_bits(config, tmp_path):
    """The process is killed twice, at an arbitrary moment; its checkpoint is always complete."""
    config = replace(
        config,
        styles=(config.styles[0], config.styles[0].replace("stripes", "bars")),
        norm="conditional",
        steps=24,
        identity_steps=3,
        checkpoint_every=1,
    )
    file = write_config(config, tmp_path / "config.json")
    command = [sys.executable, "-m", "nstlib.cli", "train", "--quiet", "--config", str(file), "--output"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=ENV, capture_output=True)
    run, extra = tmp_path / "killed", []
    for goal in (5, 14):
        process = subprocess.Popen([*command, str(run), *extra], env=ENV, stdout=-3, stderr=-3)
        limit = time.monotonic() + 60
        while time.monotonic() < limit and process.poll() is None and steps_in_checkpoint(run) < goal:
            time.sleep(0.003)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert goal <= steps_in_checkpoint(run) < 24
        extra = ["--resume"]
    assert not (run / "network.safetensors").exists()
    subprocess.run([*command, str(run), "--resume"], check=True, env=ENV, capture_output=True)
    assert same_bits(weights(tmp_path / "whole" / "network.safetensors"), weights(run / "network.safetensors"))


@pytest.mark.slow
@pytest.mark.network
def test_two_processes_equal_one_with_twice_the_batch(config, tmp_path):
    """With Accelerate, two processes together use the same crops and make nearly the same steps."""
    one = replace(config, batch=4, steps=4, decay="none", output=str(tmp_path / "one"))
    two = replace(config, batch=2, steps=4, decay="none", output=str(tmp_path / "two"))
    with_one = weights(train(one))
    file = write_config(two, tmp_path / "two.json")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launch, "-m", "nstlib.cli", "train", "--quiet", "--config", str(file)]
    environment = {**ENV, "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
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
    start, with_two = weights(TransformerNet(width=4, blocks=1)), weights(net)
    # the median: where a gradient is close to zero, Adam scales its rounding error to a whole step
    names = [k for k in with_one if k.endswith("weight")]
    change = torch.cat([(with_one[k] - start[k]).abs().flatten() for k in names]).median()
    difference = torch.cat([(with_one[k] - with_two[k]).abs().flatten() for k in names]).median()
    assert change > 5e-4
    assert difference < 0.01 * change, (difference, change)


# --- broken photos, losses that are not finite, settings -----------------------------------------------


def test_broken_photos_are_skipped_and_counted(config, folder, tmp_path):
    photos = tmp_path / "some"
    photos.mkdir()
    good = find_photos(folder / "photos")[0]
    (photos / "a.png").write_bytes(good.read_bytes())
    (photos / "b.png").write_bytes(good.read_bytes()[:300])
    (photos / "c.jpg").write_text("no picture")
    (photos / "notes.txt").write_text("ignored")
    net = train(replace(config, photos=str(photos), steps=8))
    assert net.card["broken"] == 2
    assert net.card["config"]["photos"] == 3
    (photos / "a.png").unlink()
    with pytest.raises(ImageError, match="none of the photos can be read"):
        train(replace(config, photos=str(photos)), overwrite=True)


def test_steps_without_a_finite_loss_are_skipped_and_too_many_end_the_training(config, monkeypatch):
    calls = []
    perceptual_loss = PerceptualLoss.__call__

    def sometimes_nan(self, *args):
        calls.append(1)
        return perceptual_loss(self, *args) * (math.nan if len(calls) in bad else 1)

    monkeypatch.setattr(PerceptualLoss, "__call__", sometimes_nan)
    bad = {2, 3}
    records = []
    net = train(config, callback=records.append)
    assert net.card["skipped"] == 2
    assert [bool(r.note) for r in records] == [False, True, True, False, False, False]
    assert all(torch.isfinite(v).all() for v in weights(net).values())
    calls.clear()
    bad = set(range(3, 20))
    with pytest.raises(TrainingError, match="not finite 5 times in a row, up to step 7; use a smaller learning_rate"):
        train(replace(config, steps=20), overwrite=True)


def test_crops_depend_only_on_their_number_and_the_seed(folder):
    files = find_photos(folder / "photos")
    crops = Crops(files, 24, 0.5, 3, seed=1)
    first, again = crops[5], Crops(files, 24, 0.5, 3, seed=1)[5]
    assert torch.equal(first[0], again[0])
    assert first[1:] == again[1:]
    assert first[0].shape == (3, 24, 24)
    assert not torch.equal(first[0], crops[5 + len(files)][0])  # another crop in the next epoch
    assert {crops[i][1] for i in range(30)} == {0, 1, 2}
    assert len(find_photos(folder / "photos", without=[files[2]])) == len(files) - 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be a whole number"),
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
def test_errors_for_settings(config, changes, message):
    with pytest.raises((SettingError, ImageError), match=message):
        Trainer(replace(config, **changes))


def test_configuration_from_a_file(tmp_path):
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
    with pytest.raises(SettingError, match="not valid JSON"):
        TrainingConfig.from_file(tmp_path / "b.json")


def test_errors_for_a_missing_or_damaged_checkpoint(config, tmp_path):
    with pytest.raises(SettingError, match="no checkpoint"):
        train(config, resume=True)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"half of")
    with pytest.raises(TrainingError, match="damaged"):
        train(config, resume=True)


def test_training_can_start_from_a_network(config, tmp_path):
    first = train(config)
    path = first.save(tmp_path / "first.safetensors")
    continued = train(replace(config, start=str(path), steps=1, learning_rate=1e-6, output=str(tmp_path / "on")))
    assert max((weights(first)[k] - v).abs().max() for k, v in weights(continued).items()) < 1e-5
    with pytest.raises(SettingError, match="holds another network"):
        train(replace(config, start=str(path), width=6, output=str(tmp_path / "no")))


@pytest.mark.usefixtures("default_sigint")
def test_ctrl_c_within_a_step_stops_after_it(config, tmp_path, monkeypatch):
    """SIGINT inside Adam's step: the step is completed, and a resumed training ends with the same bits."""
    whole = train(replace(config, output=str(tmp_path / "whole")))
    step, calls = torch.optim.Adam.step, []

    def interrupted(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", interrupted)
    train(config)
    monkeypatch.undo()
    state = torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)
    assert state["step"] == len(state["records"]) == 3
    assert same_bits(weights(whole), weights(train(config, resume=True)))


def test_an_interrupt_within_a_step_keeps_the_last_checkpoint(config, tmp_path, monkeypatch):
    """A second Ctrl-C ends the step half-done; what is resumed is the checkpoint before it."""
    config = replace(config, checkpoint_every=1)
    whole = train(replace(config, output=str(tmp_path / "whole")))
    step, calls = torch.optim.Adam.step, []

    def interrupted(self, *args, **kwargs):
        calls.append(1)
        result = step(self, *args, **kwargs)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(torch.optim.Adam, "step", interrupted)
    train(config)
    monkeypatch.undo()
    assert torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["step"] == 2
    assert same_bits(weights(whole), weights(train(config, resume=True)))


@pytest.mark.slow
@pytest.mark.usefixtures("default_sigint")
def test_ctrl_c_does_not_end_the_processes_that_read_photos(config, tmp_path):
    """SIGINT to the whole group, as a terminal sends it: the training stops in order and can be resumed."""
    config = replace(config, workers=2, steps=400, checkpoint_every=0, output=str(tmp_path / "run"))
    file = write_config(config, tmp_path / "workers.json")
    command = [sys.executable, "-m", "nstlib.cli", "train", "--config", str(file)]
    process = subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    seen = b""
    while b"style" not in seen:  # the progress bar shows the losses of a step
        chunk = process.stderr.read(64)
        assert chunk, f"the training ended by itself: {seen[-500:]!r}"
        seen += chunk
    os.killpg(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 0, rest[-2000:]
    assert b"continue with --resume" in rest
    assert 0 < steps_in_checkpoint(tmp_path / "run") < 400


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"photos": Path("photos")}, "photos is .*, which is not of the type str"),
        ({"styles": "waves.jpg"}, "styles is 'waves.jpg', which is not a list of texts"),
        ({"output": None}, "output is None, which is not of the type str"),
        ({"learning_rate": "1e-3"}, "learning_rate must be a number"),
        ({"learning_rate": 10**400}, "learning_rate must be a number"),
        ({"compile": "yes"}, "compile is 'yes', which is not of the type bool"),
        ({"device": "meta"}, "device 'meta' cannot be used here"),
        ({"content_weight": 0.0, "style_weight": 0.0, "tv_weight": 0.0}, "weights are all 0"),
    ],
)
def test_errors_for_settings_of_another_type_or_without_an_effect(config, changes, message):
    with pytest.raises(SettingError, match=message):
        train(replace(config, **changes))


def test_errors_for_other_arguments(config):
    for call, message in (
        (lambda: train({"photos": config.photos}), "config is of the type dict; make one with TrainingConfig"),
        (lambda: Trainer(None), "config is of the type NoneType"),
        (lambda: train(config, features="vgg19"), "features is of the type str"),
        (lambda: train(config, callback=5), "callback is of the type int"),
    ):
        with pytest.raises(SettingError, match=message):
            call()
    assert not Path(config.output).exists()
