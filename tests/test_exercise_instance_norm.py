"""The check of the exercise "write instance normalisation" tells right from wrong."""

from __future__ import annotations

import pytest
import torch.nn.functional as F

from nstlib.checks import OPEN, WRONG, Check


def by_hand(x, over=(2, 3), correction=0):
    return (x - x.mean(over, keepdim=True)) / (x.var(over, correction=correction, keepdim=True) + 1e-5).sqrt()


WRONG_NORMS = [
    (lambda x: by_hand(x, (0, 2, 3)), "batch normalisation"),
    (lambda x: F.batch_norm(x, None, None, training=True), "batch normalisation"),
    (lambda x: F.layer_norm(x, x.shape[1:]), "layer normalisation"),
    (lambda x: by_hand(x, (1,)), "over its channels"),
    (lambda x: by_hand(x, (3,)), "each row"),
    (lambda x: by_hand(x, correction=1), "H*W - 1"),
    (lambda x: by_hand(x) / (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt(), "divide by its root"),
    (lambda x: x - x.mean((2, 3), keepdim=True), "nothing is divided"),
    (lambda x: by_hand(x) + x.mean((2, 3), keepdim=True), "they differ"),
    (lambda x: (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True), "not finite"),
    (lambda x: by_hand(x).mean((2, 3)), "the shape is"),
    (lambda x: by_hand(x.sub_(1)), "in place"),
    (lambda x: by_hand(x).numpy(), "numpy array"),
]


@pytest.mark.parametrize(("f", "words"), WRONG_NORMS)
def test_wrong_norms_are_told_apart(f, words):
    verdict = Check().instance_norm(f)
    assert verdict.state == WRONG
    assert words in verdict.message, verdict.message


def test_right_and_open():
    check = Check()
    assert check.instance_norm(by_hand).ok
    assert check.instance_norm(F.instance_norm).ok
    assert check.instance_norm(lambda x: F.group_norm(x, x.shape[1])).ok
    assert check.instance_norm(lambda x: ...).state == OPEN
