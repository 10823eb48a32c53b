"""Tiles: the same losses and the same gradient as the whole picture, with nothing at the seams."""

from __future__ import annotations

import pytest
import torch
from conftest import narrow_state

from nstlib import PRESETS, Objective, SettingError, VGGFeatures, get_preset
from nstlib.tiling import TiledObjective

SIZES = [(233, 301), (160, 224), (64, 190)]  # nothing even, all on the grid, one row of tiles


def scene(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Smooth shapes and noise, (1, 3, H, W)."""
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    coarse = torch.nn.functional.interpolate(noise[:, :, ::16, ::16], (height, width), mode="bilinear")
    return (0.7 * coarse + 0.3 * noise).clamp(0, 1)


def both(preset, size, tile=64, content=True, batch=1, precision=torch.float64):
    """Terms and gradient, whole and tiled; each term counts as much in the gradient, whatever its weight.

    In float64 by default: in float32 a unit at the kink of its ReLU may fall to either side by rounding.
    """
    features = VGGFeatures(
        weights=narrow_state(), pooling=preset.pooling, preprocessing=preset.preprocessing,
        rescale=preset.rescale, precision="float32",
    ).to(precision)  # fmt: skip
    features.dtype = precision
    tint = torch.tensor([1.0, 0.4, 0.1]).view(3, 1, 1)  # Grams unlike the content's: their difference is then exact
    targets = scene(*size, seed=1) if content else None, scene(150, 131, seed=2) * tint
    answers = []
    for objective in (
        Objective(preset, features, *targets),
        TiledObjective(preset, features, *targets, tile=tile),
    ):
        x = torch.cat([scene(*size, seed=3 + i) for i in range(batch)]).requires_grad_()
        terms = objective.terms(x)
        totals = [*terms[0].values(), *terms[1].values(), *([terms[2]] if preset.tv_weight else [])]
        (gradient,) = torch.autograd.grad(sum((t / t.detach()).sum() for t in totals), x)
        answers.append((terms, gradient))
    return answers


def assert_same(whole, tiled, rtol=1e-6):
    for one, other in zip(whole[0][:2], tiled[0][:2]):
        assert list(one) == list(other)
        for name in one:
            torch.testing.assert_close(other[name], one[name], rtol=rtol, atol=0)
    torch.testing.assert_close(tiled[0][2], whole[0][2], rtol=1e-5, atol=0)
    error = (tiled[1] - whole[1]).norm() / whole[1].norm()
    assert error < rtol, error


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_gets_the_whole_gradient(name):
    assert_same(*both(get_preset(name), SIZES[0]))


def test_in_float32():
    assert_same(*both(get_preset("course"), SIZES[2], precision=torch.float32), rtol=1e-5)


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("tile", [64, 100])
def test_sizes_and_tiles(size, tile):
    assert_same(*both(get_preset("course"), size, tile))


@pytest.mark.parametrize("reduction", ["sum", "mean", "relative"])
@pytest.mark.parametrize("divisor", ["hw", "chw", "none"])
def test_every_reduction_and_divisor(reduction, divisor):
    preset = get_preset("course").replace(
        content_reduction=reduction, style_reduction=reduction, gram_divisor=divisor, tv_reduction="sum", tv_power=1
    )
    assert_same(*both(preset, SIZES[2]))
    assert_same(*both(preset.replace(content_layers={"relu1_2": 1.0, "conv3_2": 0.5}), SIZES[2]))  # not kept


@pytest.mark.parametrize("layer", ["conv1_1", "relu3_1", "pool4", "pool5", "relu5_4"])
def test_layers_of_every_depth(layer):
    """The margin is wide enough for the layer, before and after its ReLU and pooling."""
    preset = get_preset("course").replace(content_layers={layer: 1.0}, style_layers={layer: 1.0})
    assert_same(*both(preset, (233, 301)))


def test_batches_and_textures():
    assert_same(*both(get_preset("course"), SIZES[2], batch=2))
    assert_same(*both(get_preset("course"), SIZES[2], content=False))


def test_no_seams():
    """Where tiles meet, the gradient is as near to the whole one as anywhere else."""
    (_, whole), (_, tiled) = both(get_preset("course"), (256, 320))
    error = (tiled - whole).abs().amax((0, 1)) / whole.abs().mean()
    seams = torch.zeros(256, 320, dtype=torch.bool)
    for at in (64, 128, 192, 256):
        seams[at - 1 : at + 1] = True
        seams[:, at - 1 : at + 1] = True
    assert error[seams].max() < 1e-5
    assert error[seams].mean() < 2 * error[~seams].mean()


def test_a_margin_too_narrow_would_show():
    """The tests above can fail: with half the margin the gradient is another one."""

    class Narrow(TiledObjective):
        def _set_targets(self, content, style):
            super()._set_targets(content, style)
            self.margin //= 2

    features = VGGFeatures(weights=narrow_state(), pooling="avg", precision="float32")
    content, x = scene(233, 301), scene(233, 301, 1).requires_grad_()
    preset = get_preset("course").replace(content_layers={"relu5_4": 1.0})
    gradients = [
        torch.autograd.grad(kind(preset, features, content, content, tile=64)(x).sum(), x)[0]
        for kind in (TiledObjective, Narrow)
    ]
    assert (gradients[1] - gradients[0]).norm() / gradients[0].norm() > 1e-3


def test_tiles_that_are_too_small():
    with pytest.raises(SettingError, match="at least 64"):
        TiledObjective(get_preset("course"), VGGFeatures(weights=narrow_state()), scene(64, 64), tile=32)
