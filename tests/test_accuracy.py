"""Speed must not cost results: bfloat16, where it is the default, beside float32."""

from __future__ import annotations

from itertools import product
from statistics import median

import pytest
import torch
from torch import Tensor

from nstlib import Objective, VGGFeatures, get_preset, transfer
from nstlib.data import gallery
from nstlib.pretrained import random_state
from nstlib.runtime import has_bfloat16

pytestmark = pytest.mark.skipif(
    not has_bfloat16(torch.device("cpu")), reason="float32 is the default here: there is nothing to compare"
)

PAIRS = [("chelsea", "waves"), ("astronaut", "cubist"), ("coffee", "stained_glass"), ("rocket", "nocturne")]
FULL = (64, 128, 256, 512, 512)


def gradient(objective: Objective, picture: Tensor) -> Tensor:
    picture = picture.clone().requires_grad_()
    return torch.autograd.grad(objective(picture).sum(), picture)[0].double().flatten()


def cosines(weights, size: int, exact: str | None = None) -> list[float]:
    """Of the gradient in bfloat16 with that in float32, for four pairs, at a photo, halfway to noise, and at noise."""
    preset = get_preset("course")
    networks = [
        VGGFeatures(weights=weights, pooling=preset.pooling, precision=p, float32_until=exact) for p in ("auto", "float32")
    ]
    assert [n.dtype for n in networks] == [torch.bfloat16, torch.float32]
    found = []
    for i, (content, style) in enumerate(PAIRS):
        content, style = gallery.content(content, size), gallery.style(style, size)
        goals = [Objective(preset, network, content, style) for network in networks]
        noise = torch.rand(content.shape, generator=torch.Generator().manual_seed(i))
        for share in (0.0, 0.4, 1.0):
            picture = torch.lerp(content, noise, share)
            fast, exact = (gradient(goal, picture) for goal in goals)
            found.append(torch.cosine_similarity(fast, exact, dim=0).item())
    return found


def test_the_gradient_of_a_full_vgg_points_where_float32_does():
    assert min(cosines(random_state(), 112)) >= 0.999


def test_the_gradient_of_the_compact_extractor_points_where_float32_does():
    assert min(cosines("compact", 128)) >= 0.999


def test_without_exact_values_it_would_not():
    """Rounding decides for ReLUs near zero whether they are open; the tests above must be able to see that."""
    assert min(cosines("compact", 128, float32_until="conv1_1")) < 0.999


def test_transfers_end_as_low_as_in_float32():
    """Ten pairs and seeds; both paintings are judged in float32."""
    preset = get_preset("course")
    networks = {p: VGGFeatures(weights="compact", pooling=preset.pooling, precision=p) for p in ("auto", "float32")}
    ratios = []
    pairs = list(product(("chelsea", "astronaut", "coffee"), ("waves", "cubist", "hatching", "golden")))[:10]
    for seed, (content, style) in enumerate(pairs):
        content, style = gallery.content(content, 96), gallery.style(style, 96)
        judge = Objective(preset, networks["float32"], content, style)
        final = {}
        for precision, network in networks.items():
            options = {"start": "content+noise", "seed": seed, "steps": 40, "style_side": None}
            image = transfer(content, style, preset, features=network, **options).image
            with torch.no_grad():
                final[precision] = judge(image).item()
        ratios.append(final["auto"] / final["float32"])
    assert abs(median(ratios) - 1) <= 0.02, ratios
    assert max(ratios) <= 1.1, ratios
