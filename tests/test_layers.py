"""The layers of the transformer network against float64, on maps that are hard to normalize."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from nstlib.feedforward.layers import InstanceNorm
from nstlib.feedforward.models import load_model, model_names
from nstlib.feedforward.transformer import TransformerNet, stylize


def hard_maps(mean: float, deviation: float, outlier: float | None) -> Tensor:
    maps = mean + deviation * torch.randn(2, 16, 96, 96, generator=torch.Generator().manual_seed(0))
    if outlier is not None:
        maps[:, :, 41, 50] = outlier
    return maps


def reference(x: Tensor) -> Tensor:
    x = x.double()
    variance, mean = torch.var_mean(x, (2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(
    ("mean", "deviation", "outlier"),
    [(0, 1, None), (100, 1, None), (1000, 1, None), (-1000, 0.1, None), (1000, 0, None), (1, 0, 0.0), (0, 1000, None)],
)
def test_instance_norm_equals_float64(
    mean: float, deviation: float, outlier: float | None, memory_format: torch.memory_format
) -> None:
    x = hard_maps(mean, deviation, outlier).contiguous(memory_format=memory_format)
    before = x.clone()
    norm = InstanceNorm(16)
    expected = reference(x)
    tolerance = 1e-4 * max(1.0, expected.abs().max().item())
    with torch.inference_mode():
        assert (norm(x, 0) - expected).abs().max() <= tolerance  # inference
        assert (norm(x, torch.ones(1, 1)) - expected).abs().max() <= tolerance  # a mixture of styles
    norm.outlier_threshold = 6.0
    assert (norm(x.requires_grad_(), 0) - expected).abs().max() <= tolerance  # training
    assert torch.equal(x, before)


@pytest.mark.parametrize("mean", [0.0, 100.0, 1000.0])
def test_instance_norm_gradients_equal_float64(mean: float) -> None:
    x = hard_maps(mean, 1, None).contiguous(memory_format=torch.channels_last).requires_grad_()
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(InstanceNorm(16)(x, 0), x, direction)
    exact = x.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(reference(exact), exact, direction.double())
    assert (gradient - expected).abs().max() <= 1e-4


@pytest.mark.parametrize("name", model_names())
def test_networks_of_the_package_on_flat_pictures(name: str) -> None:
    """White with one black pixel, black with one white pixel, and nearly flat grey."""
    net = load_model(name).for_inference("float32")
    white = torch.ones(1, 3, 96, 96)
    white[:, :, 40, 41] = 0
    grey = 0.5 + torch.randint(0, 2, (1, 3, 96, 96), generator=torch.Generator().manual_seed(0)) / 255
    exact = in_float64(net)
    for picture in (white, 1 - white, grey):
        assert (stylize(net, picture) - exact(picture.double())).abs().max() <= 1 / 255


def in_float64(net: TransformerNet) -> TransformerNet:
    return copy.deepcopy(net).double().to(memory_format=torch.contiguous_format)
