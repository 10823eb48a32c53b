"""Winograd's convolutions equal the plain ones, and run only where they are faster."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nstlib import Objective, VGGFeatures, get_preset, winograd
from nstlib.data import gallery
from nstlib.pretrained import random_state

needs_nnpack = pytest.mark.skipif(not winograd.is_available(), reason="this PyTorch or processor has no NNPACK")


@needs_nnpack
@pytest.mark.parametrize("channels", [(3, 64), (32, 80), (80, 32), (64, 64)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_both_ways_agree(channels, memory_format):
    in_channels, out_channels = channels
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, in_channels, 33, 47, generator=generator).contiguous(memory_format=memory_format)
    grad = torch.randn(2, out_channels, 33, 47, generator=generator).contiguous(memory_format=memory_format)
    weight = torch.randn(out_channels, in_channels, 3, 3, generator=generator) / (9 * in_channels) ** 0.5
    bias = torch.randn(out_channels, generator=generator)
    assert winograd.pays(x, in_channels, out_channels)
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    assert (winograd.conv3x3(x, weight, bias) - expected).abs().max() < 2e-4
    expected = F.conv_transpose2d(grad.double(), weight.double(), padding=1)
    assert (winograd.conv3x3_transposed(grad, weight) - expected).abs().max() < 1e-3 * expected.abs().max()


@pytest.mark.parametrize(
    ("shape", "dtype", "channels"),
    [
        ((1, 64, 31, 64), torch.float32, (64, 64)),  # small maps
        ((1, 16, 64, 64), torch.float32, (16, 64)),  # few channels
        ((1, 32, 64, 64), torch.float32, (32, 32)),
        ((1, 64, 64, 64), torch.bfloat16, (64, 64)),
        ((1, 64, 64, 64), torch.float64, (64, 64)),
    ],
)
def test_all_else_is_left_to_the_direct_convolution(shape, dtype, channels):
    assert not winograd.pays(torch.empty(shape, dtype=dtype), *channels)


def test_without_nnpack_the_direct_convolution_runs(monkeypatch):
    monkeypatch.setattr(winograd, "is_available", lambda: False)
    monkeypatch.setattr(winograd, "_nnpack", lambda *_: pytest.fail("NNPACK was called"))
    x, weight = torch.randn(1, 64, 40, 40), torch.randn(64, 64, 3, 3)
    assert torch.equal(winograd.conv3x3(x, weight), F.conv2d(x, weight, padding=1))


@needs_nnpack
@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_gradient_of_the_full_network(pooling, monkeypatch):
    """Against the plain loop; 0.9999 is what a step must keep of its direction."""
    content, style = gallery.content("chelsea", 96), gallery.style("waves", 96)
    preset = get_preset("course").replace(pooling=pooling)
    used = []
    nnpack = winograd._nnpack
    monkeypatch.setattr(winograd, "_nnpack", lambda *given: used.append(1) or nnpack(*given))
    gradients = []
    for fast in (True, False):
        network = VGGFeatures(weights=random_state(), pooling=pooling, precision="float32", fast=fast)
        picture = content.clone().requires_grad_()
        loss = Objective(preset, network, content, style)(picture).sum()
        gradients.append(torch.autograd.grad(loss, picture)[0].flatten())
    assert used
    assert torch.cosine_similarity(*gradients, dim=0) > 0.9999
