"""What lesson 03 states about its results. "smoke" is too small and too short for some of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...losses import gram_matrix, style_loss

SMOKE, CPU = "smoke", "cpu"


def the_toy_has_these_entries(toy: Tensor, gram: Tensor) -> None:
    """Assert the entries that section 1 names, by the formula with two loops: warm, dark, line."""
    by_loops = torch.tensor([[(a * b).mean() for b in toy[0]] for a in toy[0]])
    assert torch.allclose(gram, by_loops), (gram, by_loops)
    expected = torch.tensor([[4, 0, 2], [0, 2, 1], [2, 1, 3]]) / 6
    assert torch.allclose(gram, expected), gram


def only_a_common_order_keeps_the_gram_matrix(maps: Tensor, together: Tensor, apart: Tensor) -> None:
    """Assert that one order for all maps changes the Gram matrix by rounding only, and separate orders do change it."""
    assert not torch.equal(maps, together)
    gram = gram_matrix(maps)
    moved = [((gram_matrix(x) - gram).norm() / gram.norm()).item() for x in (together, apart)]
    assert moved[0] < 1e-13, moved
    assert moved[1] > 0.05, moved


def deep_layers_need_large_tiles(changes: Mapping[str, Mapping[int, float]], profile: str) -> None:
    """Assert that the pixels never change, and that at the largest tiles the change grows with depth (percent)."""
    pixels, *layers = changes.values()
    assert max(pixels.values()) < 1e-10, pixels
    largest = max(pixels)
    at_largest = [line[largest] for line in layers]
    assert at_largest[0] < at_largest[2] < at_largest[4], at_largest
    assert all(line[largest] < line[2] for line in layers), changes
    if profile != SMOKE:
        assert at_largest == sorted(at_largest), at_largest
        assert min(at_largest) > 0, at_largest


def both_style_losses_agree(ours: float, library: float) -> None:
    """Assert that the student's style loss is the library's."""
    assert abs(ours - library) < 1e-4 * library, (ours, library)


def only_the_painting_is_correlated_far_apart(series: Sequence[Mapping[int, float]], profile: str) -> None:
    """Assert that at the largest distance the painting's correlation is at least twice that of every reconstruction.

    Args:
        series: {distance: correlation} of the painting, then of the reconstructions, (a) first.
        profile: With "smoke", the order of the reconstructions is not checked.
    """
    last = max(series[0])
    painting, *others = (line[last] for line in series)
    assert painting > 0.05, painting
    assert all(abs(value) < painting / 2 for value in others), (painting, others)
    if profile != SMOKE:
        near = sorted(series[0])[len(series[0]) // 4]
        assert series[1][near] < min(line[near] for line in series[2:]), (near, series)  # (a) falls first


def the_distances_form_a_staircase(distances: Tensor) -> None:
    """Assert that each set has matched its own layers, and best the fewer they are.

    Args:
        distances: (6, 5): noise and the sets (a) to (e), by layer.
    """
    for k in range(1, 6):
        assert distances[k, :k].max() < 0.6 * distances[0, :k].max(), distances
    assert distances[1, 0] < distances[5, 0], distances


def the_next_layer_comes_nearer_by_itself(distances: Tensor) -> None:
    """Assert that (b) is nearer than (a) at relu3_1, and (c) nearer than (b) at relu4_1, which neither was given."""
    assert distances[2, 2] < distances[1, 2], distances
    assert distances[3, 3] < distances[2, 3], distances
    assert distances[5, 4] < distances[1, 4], distances


def pool2_and_pool3_are_nearest(overall: Mapping[str, float], profile: str) -> None:
    """Assert that pool2 and pool3 alone are nearer to the painting than the three other pooling layers."""
    assert min(overall, key=lambda name: overall[name]) in ("pool2", "pool3"), overall
    if profile != SMOKE:
        assert max(overall["pool2"], overall["pool3"]) < 0.8 * min(overall[n] for n in ("pool1", "pool4", "pool5"))


def pool5_leaves_the_start_visible(
    fit: Mapping[str, Sequence[float]], cat: Tensor, from_cat: Tensor, from_noise: Tensor
) -> None:
    """Assert that both runs have lowered the distance at pool5, and that the cat's result correlates with the cat."""
    for before, after in fit.values():
        assert after < 0.7 * before, fit
    after_noise, after_cat = (pair[1] for pair in fit.values())
    assert 0.25 < after_noise / after_cat < 4, fit
    likeness = [_correlation(picture, cat) for picture in (from_cat, from_noise)]
    assert likeness[0] > 0.5 > 0.2 > abs(likeness[1]), likeness


def _correlation(a: Tensor, b: Tensor) -> float:
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()


def dependent_and_dead_maps_give_zero_eigenvalues(toy: Tensor, five: Tensor) -> None:
    """Assert that the three maps of the toy are independent, and that each of the two further ones adds a zero."""
    three, more = (torch.linalg.eigvalsh(gram_matrix(maps.double())[0]) for maps in (toy, five))
    assert three.min() > 0.01, three
    assert int((more.abs() < 1e-12).sum()) == 2, more
    assert more.min() > -1e-12, more


def zeros_are_forced_or_from_dead_channels(
    table: Sequence[Sequence[Any]], spectra: Mapping[str, Tensor], profile: str
) -> None:
    """Assert that no eigenvalue is negative, and that the zeros are those forced or as many as the dead channels.

    Args:
        table: For each layer its name, channels, positions, zeros forced, dead channels, zeros found, Cholesky.
        spectra: Eigenvalues by layer, from large to small.
        profile: With another one than "cpu", there may be more zeros than that.
    """
    for values in spectra.values():
        assert values.min() > -1e-12 * values.max(), values
    for row in table:
        assert row[5] >= max(row[3], row[4]), row
        assert profile != CPU or row[5] == max(row[3], row[4]), row
        assert not (row[5] > 0 and row[6] == "yes"), row
    assert table[-1][3] > 0, table[-1]


def the_vector_makes_the_form_zero(matrix: Tensor, vector: Tensor, chance: Tensor) -> None:
    """Assert that v^T G v is zero up to rounding for the vector, and positive for a random one."""
    size = matrix.norm()
    assert abs(vector @ matrix @ vector) < 1e-12 * size
    assert chance @ matrix @ chance > 1e-6 * size


def both_matrices_share_their_eigenvalues(by_channel: Tensor, by_position: Tensor) -> None:
    """Assert that the matrices of channels and of positions have the same eigenvalues except for zeros."""
    common = min(len(by_channel), len(by_position))
    assert torch.allclose(by_channel[:common], by_position[:common], rtol=1e-8, atol=1e-9 * by_channel[0].item())
    for values in (by_channel, by_position):
        assert values[common:].abs().max().item() < 1e-9 * values[0] if len(values) > common else True


def the_second_power_is_the_gram_loss(discrepancy: Mapping[int, float], gram_loss: float, means_loss: float) -> None:
    """Assert that the discrepancies of power 1 and 2 are the distance of the means and the Gram loss, in float64."""
    assert abs(discrepancy[2] - gram_loss) < 1e-13 * gram_loss, (discrepancy, gram_loss)
    assert abs(discrepancy[1] - means_loss) < 1e-10 * means_loss, (discrepancy, means_loss)
    assert abs(discrepancy[3] - gram_loss) > 0.1 * gram_loss, (discrepancy, gram_loss)


def both_losses_have_the_same_gradient(mmd: Callable[[Tensor, Tensor, int], Tensor], x: Tensor, y: Tensor) -> None:
    """Assert that the Gram loss and the discrepancy of power 2 have the same gradient in the activations."""
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    (first,) = torch.autograd.grad(style_loss(gram_matrix(a), gram_matrix(y)).sum(), a)
    (second,) = torch.autograd.grad(mmd(b, y, 2).sum(), b)
    assert torch.allclose(first, second, rtol=1e-8, atol=1e-10 * first.abs().max().item())


def each_power_misses_one_pair(table: Tensor) -> None:
    """Assert zeros on the diagonal of the table of three pairs by three powers, and nowhere else."""
    diagonal = table.diagonal().abs()
    others = table[~torch.eye(3, dtype=torch.bool)].abs()
    assert diagonal.max() < 1e-12, table
    assert others.min() > 0.01, table


def means_and_covariance_both_matter(shares: Mapping[str, Sequence[float]], profile: str) -> None:
    """Assert the shares of the trace, and that the two norms are no shares: they add up to more than 100 percent.

    Args:
        shares: For each layer the trace share of the means, and the norms of both parts in percent of the norm of G.
        profile: With "cpu", the range of the shares is the one that the lesson states.
    """
    traces = [row[0] for row in shares.values()]
    low, high = (38, 70) if profile == CPU else (20, 92)
    assert low < min(traces) < max(traces) < high, traces
    assert all(row[1] + row[2] > 100 for row in shares.values()), shares
    assert all(row[1] > row[0] for row in shares.values()), shares


def gram_is_covariance_plus_means(maps: Mapping[str, Tensor]) -> None:
    """Assert G = covariance + mean x mean for each layer."""
    for features in maps.values():
        points = features.double().flatten(2)[0]  # (C, M)
        parts = torch.cov(points, correction=0) + points.mean(1).outer(points.mean(1))
        assert torch.allclose(parts, gram_matrix(features.double())[0], rtol=1e-9, atol=1e-12)


def means_alone_make_more_green(pictures: Mapping[str, Tensor], painting: Tensor, profile: str) -> None:
    """Assert that the picture from the means has far more bright green than the painting, and more than the others.

    Args:
        pictures: Pictures made from means, from means and deviations, and from Gram matrices, in this order.
        painting: The painting.
        profile: With "smoke", nothing is checked.
    """
    if profile != SMOKE:
        means, *others = (_bright_green(picture) for picture in pictures.values())
        found = f"means {means:.3f}, others {others}, painting {_bright_green(painting):.3f}"
        assert means > 4 * _bright_green(painting), found
        assert means > max(others), found


def _bright_green(picture: Tensor) -> float:
    """Return the share of pixels whose green is above their red and their blue by at least 0.2."""
    red, green, blue = picture[0]
    return ((green - torch.maximum(red, blue)) > 0.2).double().mean().item()


def every_loss_was_minimized(cross: Tensor, start: Sequence[float]) -> None:
    """Assert that each picture is far nearer than the noise by the loss that it was made from.

    Args:
        cross: (3, 3): made from means, means and deviations, Gram matrices; measured by each of the three.
        start: The distances of the noise by each of the three.
    """
    for k in range(3):
        assert cross[k, k] < 0.5 * start[k], (cross, start)


def fewer_statistics_leave_the_gram_matrix_free(cross: Tensor) -> None:
    """Assert that by Gram matrices their own picture is nearest, and the one from the means farthest."""
    by_gram = cross[:, 2]
    assert by_gram[2] < by_gram[1] < by_gram[0], cross
    assert cross[0, 1] > cross[1, 1], cross  # the means alone leave the deviations free


def matching_deviations_also_matches_the_means(cross: Tensor, profile: str) -> None:
    """Assert that by means the first two pictures are about equally near, and the Gram picture is farther away."""
    by_means = cross[:, 0]
    ratio = (by_means[1] / by_means[0]).item()
    assert 0.33 < ratio < 3, cross
    if profile != SMOKE:
        assert by_means[2] > by_means[:2].max(), cross
        assert cross[2, 1] > cross[1, 1], cross


def mirroring_changes_deep_layers_more(
    mirrored: Sequence[float], changes: Mapping[str, Mapping[int, float]], profile: str
) -> None:
    """Assert that a mirrored painting has other Gram matrices, at relu5_1 more than at relu1_1, less than tiles.

    Args:
        mirrored: Change of the Gram matrix of relu1_1 to relu5_1 in percent.
        changes: For the pixels and each layer {side of the tiles: change in percent}.
        profile: With "smoke", the tiles are not compared.
    """
    assert 0 < mirrored[0] < mirrored[4], mirrored
    if profile != SMOKE:
        tiles = [line[16] for line in list(changes.values())[1:]]
        assert all(a < b / 2 for a, b in zip(mirrored, tiles)), (mirrored, tiles)


def a_minus_gives_differences_of_means(toy: Tensor, with_minus: Tensor) -> None:
    """Assert that the matrix with a minus holds the differences of the means, with zeros on the diagonal."""
    means = toy[0].flatten(1).mean(1)
    assert torch.allclose(with_minus, means[:, None] - means[None])
    assert torch.equal(with_minus.diagonal(), torch.zeros(3))
