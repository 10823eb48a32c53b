"""Tiles: the same losses and the same gradient as the whole picture, without errors at the seams."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from conftest import narrow_state
from torch import Tensor

from nstlib import PRESETS, Objective, SettingError, VGGFeatures, get_preset
from nstlib.objective import Terms
from nstlib.tiling import TiledObjective

SIZES = [(233, 301), (160, 224), (64, 190)]  # no multiples of 16, only such multiples, one row of tiles


def scene(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Return smooth shapes with noise, (1, 3, H, W)."""
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    coarse = torch.nn.functional.interpolate(noise[:, :, ::16, ::16], (height, width), mode="bilinear")
    return (0.7 * coarse + 0.3 * noise).clamp(0, 1)


class Evaluation(NamedTuple):
    """Loss terms of a picture, and a gradient in which all terms have the same share."""

    terms: Terms
    gradient: Tensor


def evaluate_both(preset, size, tile=64, content=True, batch=1, precision=torch.float64):
    """Return the evaluation of the whole picture and that of its tiles.

    In float64 by default: in float32, rounding can decide whether a ReLU near zero is open.
    """
    features = VGGFeatures(
        weights=narrow_state(),
        pooling=preset.pooling,
        preprocessing=preset.preprocessing,
        rescale=preset.rescale,
        precision="float32",
    ).to(precision)
    tint = torch.tensor([1.0, 0.4, 0.1]).view(3, 1, 1)  # Gram matrices that differ from the content's by much
    targets = scene(*size, seed=1) if content else None, scene(150, 131, seed=2) * tint
    evaluations = []
    for objective in (
        Objective(preset, features, *targets),
        TiledObjective(preset, features, *targets, tile=tile),
    ):
        x = torch.cat([scene(*size, seed=3 + i) for i in range(batch)]).requires_grad_()
        terms = objective.terms(x)
        losses = [*terms.content.values(), *terms.style.values(), *([terms.tv] if preset.tv_weight else [])]
        (gradient,) = torch.autograd.grad(sum((loss / loss.detach()).sum() for loss in losses), x)
        evaluations.append(Evaluation(terms, gradient))
    return evaluations


def assert_same(whole, tiled, rtol=1e-6):
    pairs = [(whole.terms.content, tiled.terms.content), (whole.terms.style, tiled.terms.style)]
    for expected, found in pairs:
        assert list(expected) == list(found)
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], rtol=rtol, atol=0)
    torch.testing.assert_close(tiled.terms.tv, whole.terms.tv, rtol=1e-5, atol=0)
    error = (tiled.gradient - whole.gradient).norm() / whole.gradient.norm()
    assert error < rtol, error


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_losses_and_gradient_of_every_preset(name):
    assert_same(*evaluate_both(get_preset(name), SIZES[0]))


def test_losses_and_gradient_in_float32():
    assert_same(*evaluate_both(get_preset("course"), SIZES[2], precision=torch.float32), rtol=1e-5)


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("tile", [64, 100])
def test_sizes_of_pictures_and_tiles(size, tile):
    assert_same(*evaluate_both(get_preset("course"), size, tile))


@pytest.mark.slow
@pytest.mark.parametrize("reduction", ["sum", "mean", "relative"])
@pytest.mark.parametrize("divisor", ["hw", "chw", "none"])
def test_reductions_and_divisors(reduction, divisor):
    preset = get_preset("course").replace(
        content_reduction=reduction, style_reduction=reduction, gram_divisor=divisor, tv_reduction="sum", tv_power=1
    )
    assert_same(*evaluate_both(preset, SIZES[2]))
    assert_same(
        *evaluate_both(preset.replace(content_layers={"relu1_2": 1.0, "conv3_2": 0.5}), SIZES[2])
    )  # several layers


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["conv1_1", "relu3_1", "pool4", "pool5", "relu5_4"])
def test_layers_of_every_depth(layer):
    """The margin is wide enough for convolutions, ReLUs and poolings at every depth."""
    preset = get_preset("course").replace(content_layers={layer: 1.0}, style_layers={layer: 1.0})
    assert_same(*evaluate_both(preset, (233, 301)))


def test_batches_and_textures():
    assert_same(*evaluate_both(get_preset("course"), SIZES[2], batch=2))
    assert_same(*evaluate_both(get_preset("course"), SIZES[2], content=False))


@pytest.mark.slow
def test_gradient_has_no_seams():
    """Where tiles meet, the error of the gradient is as small as elsewhere."""
    whole, tiled = (evaluation.gradient for evaluation in evaluate_both(get_preset("course"), (256, 320)))
    error = (tiled - whole).abs().amax((0, 1)) / whole.abs().mean()  # (H, W)
    seams = torch.zeros(256, 320, dtype=torch.bool)
    for at in (64, 128, 192, 256):
        seams[at - 1 : at + 1] = True
        seams[:, at - 1 : at + 1] = True
    assert error[seams].max() < 1e-5
    assert error[seams].mean() < 2 * error[~seams].mean()


@pytest.mark.slow
def test_a_margin_that_is_too_narrow_is_detected():
    """The tests above can fail: with half the margin the gradient differs."""

    class NarrowMargin(TiledObjective):
        def _set_targets(self, content, style):
            super()._set_targets(content, style)
            self.margin //= 2

    features = VGGFeatures(weights=narrow_state(), pooling="avg", precision="float32")
    content, x = scene(233, 301), scene(233, 301, 1).requires_grad_()
    preset = get_preset("course").replace(content_layers={"relu5_4": 1.0})
    gradients = [
        torch.autograd.grad(objective_cls(preset, features, content, content, tile=64)(x).sum(), x)[0]
        for objective_cls in (TiledObjective, NarrowMargin)
    ]
    assert (gradients[1] - gradients[0]).norm() / gradients[0].norm() > 1e-3


def test_error_for_small_tiles():
    with pytest.raises(SettingError, match="at least 64"):
        TiledObjective(get_preset("course"), VGGFeatures(weights=narrow_state()), scene(64, 64), tile=32)
