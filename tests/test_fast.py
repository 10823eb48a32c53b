"""The fast path computes what the plain code computes: values, gradients and second derivatives."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from conftest import narrow_state
from torch import Tensor

from nstlib import VGGFeatures, gram_matrix
from nstlib.losses import plain_gram

LAYERS = ["conv1_1", "relu1_2", "pool2", "conv3_1", "relu3_1", "relu4_2"]
NETWORKS = list(product(["max", "avg"], [False, True]))


def both_paths(**settings) -> list[VGGFeatures]:
    """Return the same network on the fast and on the plain path."""
    return [VGGFeatures(weights=narrow_state(), fast=fast, **settings) for fast in (True, False)]


def value_and_gradient(network: VGGFeatures, images: Tensor, layers: list[str]) -> tuple[dict[str, Tensor], Tensor]:
    """Return the activations, and the gradient of a sum in which each layer has another weight."""
    images = images.clone().requires_grad_()
    found = network(images, layers)
    loss = sum((i + 1) * features.float().square().mean() for i, features in enumerate(found.values()))
    return found, torch.autograd.grad(loss, images)[0]


@pytest.mark.parametrize(("pooling", "rescale"), NETWORKS)
@pytest.mark.parametrize("size", [(32, 48), (37, 51)])
def test_values_and_gradients_in_float32(pooling, rescale, size):
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    fast, plain = both_paths(pooling=pooling, rescale=rescale, precision="float32")
    assert fast.pool_gain == pytest.approx(plain.pool_gain, rel=1e-5)
    (values, gradient), (plain_values, plain_gradient) = (value_and_gradient(n, images, LAYERS) for n in (fast, plain))
    for layer in LAYERS:
        assert torch.allclose(values[layer], plain_values[layer], rtol=1e-5, atol=1e-6), layer
    assert torch.allclose(gradient, plain_gradient, rtol=1e-4, atol=1e-7)
    assert gradient.abs().max() > 1e-4


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_second_derivatives(pooling):
    """The gradient of the squared norm of a gradient, in float64."""
    images = torch.rand(1, 3, 18, 22, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = []
    for network in both_paths(pooling=pooling, precision="float32"):
        network = network.double()
        x = images.clone().requires_grad_()
        features = network(x, ["relu1_2", "conv2_1", "pool2"])
        loss = sum(gram_matrix(f).square().sum() for f in features.values())
        (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
        found.append(torch.autograd.grad(gradient.square().sum(), x)[0])
    assert torch.allclose(*found, rtol=1e-8, atol=1e-12)
    assert found[0].abs().max() > 0


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_values_and_gradients_in_bfloat16(pooling):
    """The fast path computes the gradients of the first layers in bfloat16, the plain one in float32."""
    images = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(2))
    fast, plain = both_paths(pooling=pooling, precision="bfloat16")
    (values, gradient), (plain_values, plain_gradient) = (value_and_gradient(n, images, LAYERS) for n in (fast, plain))
    for layer in LAYERS:
        assert values[layer].dtype == plain_values[layer].dtype == torch.bfloat16
        difference = (values[layer].float() - plain_values[layer].float()).norm()
        assert difference < 0.01 * plain_values[layer].float().norm(), layer
    assert torch.cosine_similarity(gradient.flatten(), plain_gradient.flatten(), dim=0) > 0.995


@pytest.mark.parametrize("shape", [(1, 3, 40, 30), (2, 8, 7, 5), (3, 64, 16, 16)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gram_matrices(shape, dtype):
    features = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=dtype).requires_grad_()
    divisor = float(shape[2] * shape[3])
    fast = gram_matrix(features, "hw")
    plain = plain_gram(features, divisor)
    weights = torch.randn(fast.shape, generator=torch.Generator().manual_seed(4), dtype=dtype)
    gradients = [torch.autograd.grad((weights * g).sum(), features)[0] for g in (fast, plain)]
    assert torch.allclose(fast, plain, rtol=1e-4, atol=1e-5)
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [8, 64])
def test_gram_matrices_of_bfloat16(channels):
    features = torch.rand(1, channels, 32, 48, generator=torch.Generator().manual_seed(5)).bfloat16()
    assert torch.allclose(gram_matrix(features, "hw"), plain_gram(features, 32.0 * 48), rtol=2e-3)


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_gradients_of_many_outputs_at_once(pooling):
    """A Jacobian by batched gradients, as lesson 02 computes it."""
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    found = []
    for network in both_paths(pooling=pooling, precision="float32"):
        x = images.clone().requires_grad_()
        features = network(x, "relu3_1")["relu3_1"]
        directions = torch.randn(4, *features.shape, generator=torch.Generator().manual_seed(3))
        found.append(torch.autograd.grad(features, x, directions, is_grads_batched=True)[0])
    assert torch.allclose(*found, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("pooling", "rescale"), NETWORKS)
def test_inside_transforms_without_a_rule_the_plain_loop_runs(pooling, rescale):
    """vmap ended in "required rank 4 tensor to use channels_last", jvp in NotImplementedError."""
    fast, plain = both_paths(pooling=pooling, rescale=rescale, precision="float32")
    pictures, directions = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)

    def results(network: VGGFeatures) -> list[Tensor]:
        def loss(x: Tensor) -> Tensor:
            return network(x, "relu2_1")["relu2_1"].square().sum()

        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(pictures, directions)
            tangent = torch.autograd.forward_ad.unpack_dual(loss(dual)).tangent
        return [
            torch.func.vmap(loss)(pictures[:, None]),
            torch.func.vmap(torch.func.grad(loss))(pictures[:, None]),
            torch.func.jvp(loss, (pictures,), (directions,))[1],
            torch.func.jvp(torch.func.grad(loss), (pictures,), (directions,))[1],
            torch.func.grad(loss)(pictures),
            tangent,
        ]

    for found, expected in zip(results(fast), results(plain)):
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4)
