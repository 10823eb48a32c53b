"""The check of the exercise "write instance normalisation" accepts right answers and diagnoses wrong ones."""

from __future__ import annotations

import pytest
import torch.nn.functional as F

from nstlib.course.checks import OPEN, WRONG, Check


def normalise(x, dims=(2, 3), correction=0):
    return (x - x.mean(dims, keepdim=True)) / (x.var(dims, correction=correction, keepdim=True) + 1e-5).sqrt()


WRONG_NORMS = [
    (lambda x: normalise(x, (0, 2, 3)), "batch normalization"),
    (lambda x: F.batch_norm(x, None, None, training=True), "batch normalization"),
    (lambda x: F.layer_norm(x, x.shape[1:]), "layer normalization"),
    (lambda x: normalise(x, (1,)), "over its channels"),
    (lambda x: normalise(x, (3,)), "each row"),
    (lambda x: normalise(x, correction=1), "H*W - 1"),
    (lambda x: normalise(x) / (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt(), "it divides by the variance"),
    (lambda x: x - x.mean((2, 3), keepdim=True), "not divided"),
    (lambda x: normalise(x) + x.mean((2, 3), keepdim=True), "they differ"),
    (lambda x: (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True), "not finite"),
    (lambda x: normalise(x).mean((2, 3)), "the shape is"),
    (lambda x: normalise(x.sub_(1)), "in place"),
    (lambda x: normalise(x).numpy(), "numpy array"),
]


@pytest.mark.parametrize(("f", "words"), WRONG_NORMS)
def test_each_wrong_normalisation_is_diagnosed(f, words):
    verdict = Check().instance_norm(f)
    assert verdict.state == WRONG
    assert words in verdict.message, verdict.message


def test_right_and_unanswered_normalisations():
    check = Check()
    assert check.instance_norm(normalise).ok
    assert check.instance_norm(F.instance_norm).ok
    assert check.instance_norm(lambda x: F.group_norm(x, x.shape[1])).ok
    assert check.instance_norm(lambda x: ...).state == OPEN
