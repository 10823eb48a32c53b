"""The accuracy of bfloat16 compared with float32; where the processor only emulates it, at small sizes."""

from __future__ import annotations

from itertools import product
from statistics import median

import pytest
import torch
from torch import Tensor

from nstlib import PRESETS, Objective, VGGFeatures, get_preset, transfer
from nstlib.data import gallery
from nstlib.pretrained import Weights, random_state
from nstlib.runtime import has_bfloat16
from nstlib.vgg import Pooling

pytestmark = pytest.mark.slow
NATIVE = has_bfloat16(torch.device("cpu"))
needs_bfloat16 = pytest.mark.skipif(not NATIVE, reason="float32 is the default here, so there is nothing to compare")

PAIRS = [("chelsea", "waves"), ("astronaut", "cubist"), ("coffee", "stained_glass"), ("rocket", "nocturne")]


def gradient(objective: Objective, picture: Tensor) -> Tensor:
    """Return the gradient of the loss as one vector in float64."""
    picture = picture.clone().requires_grad_()
    return torch.autograd.grad(objective(picture).sum(), picture)[0].double().flatten()


def cosine_similarities(
    weights: Weights,
    size: int,
    presets: list[str],
    poolings: tuple[Pooling, ...] = ("avg",),
    count: int = 4,
    float32_until: str | None = None,
) -> dict[str, float]:
    """Compare gradients in bfloat16 and float32: the smallest cosine of each preset and pooling.

    For ``count`` pairs, at the photo, between photo and noise, and at noise.
    """
    smallest = {}
    for name, pooling in product(presets, poolings):
        preset = get_preset(name).replace(arch="vgg19", pooling=pooling)
        bfloat16, float32 = (
            VGGFeatures(
                weights=weights,
                pooling=pooling,
                preprocessing=preset.preprocessing,
                precision=precision,
                float32_until=float32_until,
            )
            for precision in ("bfloat16", "float32")
        )
        similarities = []
        for i, (content, style) in enumerate(PAIRS[:count]):
            content, style = gallery.content(content, size), gallery.style(style, size)
            objectives = [Objective(preset, network, content, style) for network in (bfloat16, float32)]
            noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(i))
            for share in (0.0, 0.4, 1.0):
                picture = torch.lerp(content, noise, share)
                gradients = [gradient(objective, picture) for objective in objectives]
                similarities.append(torch.cosine_similarity(*gradients, dim=0).item())
        smallest[f"{name}, {pooling}"] = min(similarities)
    return smallest


def at_least_999(similarities: dict[str, float]) -> bool:
    return min(similarities.values()) >= 0.999


def test_gradients_in_bfloat16_for_every_preset_and_pooling():
    """In emulation, too, at a small size."""
    similarities = cosine_similarities("compact", 96 if NATIVE else 48, list(PRESETS), ("max", "avg"), count=1)
    assert len(similarities) == 2 * len(PRESETS)
    assert at_least_999(similarities), similarities


def test_gradients_in_bfloat16_of_a_full_width_vgg():
    size, presets = (112, ["course", "gatys2016"]) if NATIVE else (48, ["course"])
    similarities = cosine_similarities(random_state(), size, presets, ("max", "avg"), count=1)
    assert at_least_999(similarities), similarities


@needs_bfloat16
def test_gradients_in_bfloat16_for_four_pairs():
    assert at_least_999(cosine_similarities("compact", 128, ["course"]))
    assert at_least_999(cosine_similarities(random_state(), 112, ["course"]))


@pytest.mark.parametrize(("pooling", "float32_until"), [("avg", "conv1_1"), ("max", "conv3_1")])
def test_gradients_differ_when_too_few_layers_are_float32(pooling, float32_until):
    """Rounding decides whether ReLUs near zero are open and which value is the largest: the tests above detect that."""
    assert not at_least_999(cosine_similarities("compact", 96, ["course"], (pooling,), 1, float32_until))


def test_final_losses_agree_with_float32():
    """Several pairs and seeds; the losses of both results are computed in float32.

    L-BFGS amplifies every rounding, so that single runs differ; the median over few short runs has a wider tolerance.
    """
    side, steps, count, tolerance = (96, 40, 10, 0.02) if NATIVE else (48, 20, 6, 0.05)
    preset = get_preset("course")
    networks = {
        precision: VGGFeatures(weights="compact", pooling=preset.pooling, precision=precision)
        for precision in ("bfloat16", "float32")
    }
    ratios = []
    pairs = list(product(("chelsea", "astronaut", "coffee"), ("waves", "cubist", "hatching", "golden")))[:count]
    for seed, (content, style) in enumerate(pairs):
        content, style = gallery.content(content, side), gallery.style(style, side)
        objective = Objective(preset, networks["float32"], content, style)
        final = {}
        for precision, network in networks.items():
            result = transfer(content, style, preset, features=network, init="content+noise", seed=seed, steps=steps)
            with torch.no_grad():
                final[precision] = objective(result.image).item()
        ratios.append(final["bfloat16"] / final["float32"])
    assert abs(median(ratios) - 1) <= tolerance, ratios
    assert max(ratios) <= 1.1 + tolerance, ratios
