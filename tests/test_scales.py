"""Coarse to fine: which sizes with how many steps, one stream of records, and the time that it saves."""

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


def test_the_plan():
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
    ],
)
def test_scales_that_cannot_be(network, photo, painting, scales, words):
    with pytest.raises(SettingError, match=words):
        transfer(photo, painting, features=network, steps=1, scales=scales)


def test_one_stream_of_records(network, photo, painting):
    seen = []
    result = transfer(
        photo, painting, features=network, steps=10, scales=2, callback=lambda r: seen.append((r.step, r.image.shape))
    )
    assert [r.step for r in result.records] == list(range(1, 15)) == [s for s, _ in seen]
    assert [tuple(shape[2:]) for _, shape in seen] == [(24, 32)] * 10 + [(48, 64)] * 4
    assert [r.size for r in result.records] == [(32, 24)] * 10 + [(64, 48)] * 4
    seconds = [r.seconds for r in result.records]
    assert seconds == sorted(seconds)
    assert result.seconds >= seconds[-1]
    assert result.image.shape == photo.shape
    assert result.best in result.records[10:]
    scales = json.loads(json.dumps(result.report()))["settings"]["scales"]
    assert [s["size"] for s in scales] == [[32, 24], [64, 48]]
    assert [s["steps"] for s in scales] == [10, 4]


def test_the_larger_scale_starts_where_the_smaller_one_ended(photo, painting):
    network = VGGFeatures(weights="compact", pooling="avg", precision="float32")
    large, style = (torch.nn.functional.interpolate(t, scale_factor=3, mode="bilinear") for t in (photo, painting))
    plain = transfer(large, style, features=network, steps=1)
    result = transfer(large, style, features=network, steps=30, scales=2)
    first = next(r for r in result.records if r.size == (192, 144))
    assert first.total < 0.5 * plain.records[0].total
    assert result.best.total < first.total


def test_textures_and_reconstructions(network, painting):
    result = texture(painting, (64, 48), features=network, steps=5, scales=2)
    assert result.image.shape == (1, 3, 64, 48)
    assert reconstruct(painting, "relu2_1", features=network, steps=5, scales=2).image.shape == painting.shape


@pytest.mark.parametrize("at", [3, 12])
def test_stopping_at_a_small_scale_gives_the_whole_size(network, photo, painting, at):
    def interrupt(record):
        if record.step == at:
            raise KeyboardInterrupt

    result = transfer(photo, painting, features=network, steps=10, scales=2, callback=interrupt)
    assert (result.stopped, len(result.records)) == ("interrupted", at)
    assert result.image.shape == photo.shape
    result = transfer(photo, painting, features=network, steps=10, scales=2, callback=lambda r: r.step < at)
    assert (result.stopped, len(result.records)) == ("callback", at)
    assert math.isfinite(result.best.total)


def test_a_tiled_painting_is_the_whole_one(network, photo, painting):
    """Large pictures are tiled, small ones are not, and the painting is the same."""
    large = torch.nn.functional.interpolate(photo, (96, 128), mode="bilinear")
    options = {"features": network, "steps": 10, "scales": 2}
    tiled = transfer(large, painting, tile=64, **options)
    assert [(s["tiled"], s["optimizer"]) for s in tiled.settings["scales"]] == [(False, "lbfgs"), (True, "adam")]
    options |= {"scales": 1, "optimizer": "sign"}
    whole, tiled = transfer(large, painting, **options), transfer(large, painting, tile=64, **options)
    assert [s["tiled"] for s in tiled.settings["scales"]] == [True]
    assert tiled.settings["scales"][0]["optimizer"] == "sign"
    for one, other in zip(whole.records, tiled.records):
        assert math.isclose(one.total, other.total, rel_tol=1e-3)
    assert (whole.image - tiled.image).abs().mean() < 1e-3


@pytest.mark.parametrize("tile", [0, 63, -512])
def test_tiles_that_cannot_be(network, photo, painting, tile):
    with pytest.raises(SettingError, match="at least 64"):
        transfer(photo, painting, features=network, tile=tile)
