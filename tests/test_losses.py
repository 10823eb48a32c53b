"""Every loss compared with its formula, written as loops or einsums."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nstlib import SettingError, content_loss, gram_matrix, style_loss, total_variation


@pytest.mark.parametrize(("divisor", "number"), [("hw", 6 * 7), ("chw", 5 * 6 * 7), ("none", 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gram_matrix_holds_the_inner_products_of_feature_maps(divisor, number, layout):
    f = torch.randn(2, 5, 6, 7).contiguous(memory_format=layout)
    expected = torch.einsum("nihw,njhw->nij", f, f) / number
    assert torch.allclose(gram_matrix(f, divisor), expected, rtol=1e-4, atol=1e-5)
    assert torch.allclose(gram_matrix(f[0], divisor)[0], expected[0], rtol=1e-4, atol=1e-5)


def test_gram_matrix_does_not_depend_on_positions():
    f = torch.randn(1, 5, 6, 7)
    shuffled = f.flatten(2)[:, :, torch.randperm(42)].view(1, 5, 6, 7)
    assert torch.allclose(gram_matrix(f), gram_matrix(shuffled), atol=1e-6)


def test_gram_matrix_of_a_large_feature_map():
    f = torch.randn(1, 256, 40, 40)  # more positions than are multiplied at once
    expected = torch.einsum("nihw,njhw->nij", f.double(), f.double()) / 1600
    assert torch.allclose(gram_matrix(f).double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n", [1, 3])
def test_gram_matrix_gradients(n):
    f = torch.randn(n, 4, 3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: gram_matrix(x, "chw"), f)
    assert torch.autograd.gradgradcheck(lambda x: gram_matrix(x, "chw"), f)


def test_gram_matrix_of_bfloat16_is_float32():
    f = torch.rand(1, 8, 64, 64)
    gram = gram_matrix(f.bfloat16())
    assert gram.dtype == torch.float32
    assert torch.allclose(gram, gram_matrix(f.bfloat16().float()), rtol=1e-5)


def test_gram_matrix_of_wide_bfloat16_is_as_accurate_as_float32():
    """It is the sum of two products in bfloat16; a single one would have a relative error of 0.002."""
    f = torch.rand(2, 96, 40, 40).bfloat16().contiguous(memory_format=torch.channels_last)
    expected = torch.einsum("nihw,njhw->nij", f.double(), f.double()) / 1600
    error = (gram_matrix(f).double() - expected).norm() / expected.norm()
    assert error < 2e-5


@pytest.mark.parametrize("loss", [content_loss, style_loss])
def test_reductions(loss):
    a, b = torch.randn(2, 4, 5, 5), torch.randn(2, 4, 5, 5)
    if loss is style_loss:
        a, b = a[:, :, :4, 0], b[:, :, :4, 0]
    squares = (a - b) ** 2
    per_picture = squares.flatten(1)
    assert torch.allclose(loss(a, b), per_picture.sum(1))
    assert torch.allclose(loss(a, b, "mean"), per_picture.mean(1))
    assert torch.allclose(loss(a, b, "relative"), per_picture.sum(1) / (b**2).flatten(1).sum(1))
    assert torch.equal(loss(b, b, "relative"), torch.zeros(2))


def test_one_target_for_a_whole_batch():
    a, b = torch.randn(3, 4, 5, 5), torch.randn(1, 4, 5, 5)
    assert content_loss(a, b, "relative").shape == (3,)


@pytest.mark.parametrize("power", [1, 2])
def test_total_variation(power):
    x = torch.rand(1, 3, 4, 5)
    down = right = 0.0
    for c in range(3):
        for i in range(4):
            for j in range(5):
                if i < 3:
                    down += abs(x[0, c, i + 1, j] - x[0, c, i, j]) ** power
                if j < 4:
                    right += abs(x[0, c, i, j + 1] - x[0, c, i, j]) ** power
    assert torch.allclose(total_variation(x, power, "sum"), down + right)
    assert torch.allclose(total_variation(x, power, "mean"), down / 45 + right / 48)


@pytest.mark.parametrize("shapes", [((3, 4, 4), (2, 4, 4)), ((1, 4, 4), (1, 5, 5)), ((1, 4, 4), (1, 1, 4))])
def test_errors_for_targets_of_another_shape(shapes):
    """Broadcasting would otherwise compare what does not belong together."""
    found, target = (torch.rand(shape) for shape in shapes)
    with pytest.raises(SettingError, match="does not fit"):
        style_loss(found, target)
    with pytest.raises(SettingError, match="does not fit"):
        content_loss(found[..., None], target[..., None])


def test_errors_for_unknown_settings():
    f = torch.rand(1, 2, 3, 3)
    for call in (
        lambda: gram_matrix(f, "wh"),
        lambda: content_loss(f, f, "average"),
        lambda: gram_matrix(f[0, 0]),
        lambda: total_variation(f, 2, "relative"),
        lambda: total_variation(f[0]),
    ):
        with pytest.raises(SettingError):
            call()


TEN, ARRAY = torch.rand(1, 3, 4, 4), np.zeros((4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: total_variation(ARRAY), "ndarray; give a tensor"),
        (lambda: gram_matrix(None), "NoneType; give a tensor"),
        (lambda: content_loss(None, TEN), "NoneType; give a tensor"),
        (lambda: content_loss(TEN, None), "the target is of the type NoneType"),
        (lambda: style_loss(TEN[0], [1]), "the target is of the type list"),
        (lambda: content_loss(torch.tensor(1.0), torch.tensor(1.0)), "does not fit"),
        (lambda: total_variation(TEN > 0.5), "images are floats .* not torch.bool"),
        (lambda: total_variation((TEN * 9).int()), "images are floats .* not torch.int32"),
        (lambda: total_variation(TEN, power=float("nan")), "power of the total variation must be a number > 0"),
        (lambda: total_variation(TEN, power=-1), "power"),
        (lambda: total_variation(TEN, power=float("inf")), "power"),
    ],
)
def test_errors_for_what_is_no_tensor_or_no_power(call, words):
    with pytest.raises(SettingError, match=words):
        call()


def test_gram_matrix_inside_the_transforms_of_torch_func():
    """Forward-mode differentiation was not implemented for the fast way."""
    f, direction = torch.rand(2, 3, 4, 5), torch.rand(2, 3, 4, 5)
    expected = torch.func.jvp(lambda x: torch.einsum("nihw,njhw->nij", x, x) / 20, (f,), (direction,))
    for found, right in zip(torch.func.jvp(gram_matrix, (f,), (direction,)), expected):
        assert torch.allclose(found, right, atol=1e-5)
    assert torch.allclose(torch.func.vmap(gram_matrix)(f[:, None])[:, 0], gram_matrix(f), atol=1e-5)
