"""Coarse to fine: sizes and steps of the scales, the records of all of them, and the combination with tiles."""

from __future__ import annotations

import json
import math

import pytest
import torch
from conftest import narrow_state

from nstlib import SettingError, VGGFeatures, reconstruct, texture, transfer
from nstlib.pyramid import coarse_to_fine


@pytest.fixture(scope="module")
def network() -> VGGFeatures:
    return VGGFeatures(weights=narrow_state(), pooling="avg", precision="float32")


def test_sizes_and_steps_of_the_scales():
    assert coarse_to_fine((48, 64), 300) == [((48, 64), 300)]
    assert coarse_to_fine((300, 400), 250, 3) == [((75, 100), 250), ((150, 200), 100), ((300, 400), 40)]
    assert coarse_to_fine((300, 400), 250, [100, 300]) == [((75, 100), 250), ((225, 300), 100), ((300, 400), 40)]
    assert coarse_to_fine((300, 400), 250, [200, 400]) == [((150, 200), 250), ((300, 400), 100)]
    assert coarse_to_fine((64, 64), 1, 2)[-1] == ((64, 64), 1)


@pytest.mark.parametrize(
    ("scales", "words"),
    [
        (0, "at least 1"),
        (4, "start at 8 x 6 pixels"),
        ([40, 30], "rising"),
        ([30, 80], "below 64"),
        ([30, 30], "rising"),
        (10**9, "at most 20"),
        ("2", "whole number"),
        ([1.5], "whole number"),
    ],
)
def test_errors_for_invalid_scales(network, photo, painting, scales, words):
    with pytest.raises(SettingError, match=words):
        transfer(photo, painting, features=network, steps=1, scales=scales)


def test_records_of_all_scales_form_one_sequence(network, photo, painting):
    calls = []
    result = transfer(
        photo, painting, features=network, steps=10, scales=2, callback=lambda r: calls.append((r.step, r.image.shape))
    )
    assert [r.step for r in result.records] == list(range(1, 15)) == [step for step, _ in calls]
    assert [tuple(shape[2:]) for _, shape in calls] == [(24, 32)] * 10 + [(48, 64)] * 4
    assert [r.size for r in result.records] == [(32, 24)] * 10 + [(64, 48)] * 4
    seconds = [r.seconds for r in result.records]
    assert seconds == sorted(seconds)
    assert result.seconds >= seconds[-1]
    assert result.image.shape == photo.shape
    assert result.best in result.records[10:]
    scales = json.loads(json.dumps(result.report()))["settings"]["scales"]
    assert [s["size"] for s in scales] == [[32, 24], [64, 48]]
    assert [s["steps"] for s in scales] == [10, 4]
    assert [s["learning_rate"] for s in scales] == [1.0, 1.0]


@pytest.mark.slow
def test_each_scale_starts_from_the_result_of_the_one_before(photo, painting):
    network = VGGFeatures(weights="compact", pooling="avg", precision="float32")
    large, style = (torch.nn.functional.interpolate(t, scale_factor=3, mode="bilinear") for t in (photo, painting))
    plain = transfer(large, style, features=network, steps=1)
    result = transfer(large, style, features=network, steps=30, scales=2)
    first = next(r for r in result.records if r.size == (192, 144))
    assert first.total < 0.5 * plain.records[0].total
    assert result.best.total < first.total


def test_textures_and_reconstructions_with_two_scales(network, painting):
    result = texture(painting, (64, 48), features=network, steps=5, scales=2)
    assert result.image.shape == (1, 3, 64, 48)
    assert reconstruct(painting, "relu2_1", features=network, steps=5, scales=2).image.shape == painting.shape


@pytest.mark.parametrize("last_step", [3, 12])
def test_a_stopped_run_returns_the_full_size(network, photo, painting, last_step):
    def interrupt(record):
        if record.step == last_step:
            raise KeyboardInterrupt

    result = transfer(photo, painting, features=network, steps=10, scales=2, callback=interrupt)
    assert (result.stopped, len(result.records)) == ("interrupted", last_step)
    assert result.image.shape == photo.shape
    result = transfer(photo, painting, features=network, steps=10, scales=2, callback=lambda r: r.step < last_step)
    assert (result.stopped, len(result.records)) == ("callback", last_step)
    assert math.isfinite(result.best.total)


@pytest.mark.slow
def test_tiled_and_untiled_results_agree(network, photo, painting):
    """Only scales larger than a tile are tiled, and the result is the same."""
    large = torch.nn.functional.interpolate(photo, (96, 128), mode="bilinear")
    options = {"features": network, "steps": 10, "scales": 2}
    tiled = transfer(large, painting, tile=64, **options)
    assert [(s["tiled"], s["optimizer"]) for s in tiled.settings["scales"]] == [(False, "lbfgs"), (True, "adam")]
    assert (tiled.settings["optimizer"], tiled.settings["learning_rate"]) == ("adam", 0.02)  # of the last scale
    options |= {"scales": 1, "optimizer": "sign"}
    whole, tiled = transfer(large, painting, **options), transfer(large, painting, tile=64, **options)
    assert [s["tiled"] for s in tiled.settings["scales"]] == [True]
    assert tiled.settings["scales"][0]["optimizer"] == "sign"
    for one, other in zip(whole.records, tiled.records):
        assert math.isclose(one.total, other.total, rel_tol=1e-3)
    assert (whole.image - tiled.image).abs().mean() < 1e-3


@pytest.mark.parametrize("tile", [0, 63, -512, 64.5, "64"])
def test_errors_for_invalid_tiles(network, photo, painting, tile):
    with pytest.raises(SettingError, match="at least 64"):
        transfer(photo, painting, features=network, tile=tile)
