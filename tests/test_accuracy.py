"""The accuracy of bfloat16 compared with float32; where the processor only emulates it, at small sizes."""

from __future__ import annotations

from itertools import product
from statistics import median

import pytest
import torch
from torch import Tensor

from nstlib import Objective, VGGFeatures, get_preset, transfer
from nstlib.data import gallery
from nstlib.pretrained import Weights, random_state
from nstlib.runtime import has_bfloat16

pytestmark = pytest.mark.slow
NATIVE = has_bfloat16(torch.device("cpu"))
needs_bfloat16 = pytest.mark.skipif(not NATIVE, reason="float32 is the default here, so there is nothing to compare")

PAIRS = [("chelsea", "waves"), ("astronaut", "cubist"), ("coffee", "stained_glass"), ("rocket", "nocturne")]


def gradient(objective: Objective, picture: Tensor) -> Tensor:
    """Return the gradient of the loss as one vector in float64."""
    picture = picture.clone().requires_grad_()
    return torch.autograd.grad(objective(picture).sum(), picture)[0].double().flatten()


def cosine_similarities(weights: Weights, size: int, float32_until: str | None = None) -> list[float]:
    """Compare gradients in bfloat16 and float32: for four pairs, at the photo, between photo and noise, at noise."""
    preset = get_preset("course")
    networks = [
        VGGFeatures(weights=weights, pooling=preset.pooling, precision=precision, float32_until=float32_until)
        for precision in ("auto", "float32")
    ]
    assert [n.dtype for n in networks] == [torch.bfloat16, torch.float32]
    similarities = []
    for i, (content, style) in enumerate(PAIRS):
        content, style = gallery.content(content, size), gallery.style(style, size)
        objectives = [Objective(preset, network, content, style) for network in networks]
        noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(i))
        for share in (0.0, 0.4, 1.0):
            picture = torch.lerp(content, noise, share)
            bfloat16, float32 = (gradient(objective, picture) for objective in objectives)
            similarities.append(torch.cosine_similarity(bfloat16, float32, dim=0).item())
    return similarities


@needs_bfloat16
def test_gradient_of_a_full_width_vgg_agrees_with_float32():
    assert min(cosine_similarities(random_state(), 112)) >= 0.999


@needs_bfloat16
def test_gradient_of_the_compact_extractor_agrees_with_float32():
    assert min(cosine_similarities("compact", 128)) >= 0.999


@needs_bfloat16
def test_gradient_differs_when_only_the_first_layer_is_float32():
    """Rounding decides whether ReLUs near zero are open; the tests above must be able to detect that."""
    assert min(cosine_similarities("compact", 128, float32_until="conv1_1")) < 0.999


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
