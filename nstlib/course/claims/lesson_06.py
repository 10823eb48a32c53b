"""What lesson 06 states about its results. "smoke" is too small and too short for some of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

SMOKE = "smoke"


def a_small_difference_grows(shaken: float, shake: float, painted: float) -> None:
    """Assert that the shaken start moves the result further than the shaking, and less than painting does (percent)."""
    assert shake < shaken < painted, (shake, shaken, painted)


def average_pooling_weakens_deep_layers(
    activation: Mapping[str, Mapping[str, float]], gradient: Mapping[str, Mapping[str, float]]
) -> None:
    """Assert that average pooling shrinks deep activations and gradients, and leaves relu1_1 as it is."""
    assert activation["average"]["pool4"] < 0.7 * activation["max"]["pool4"], activation
    for layer in ("relu3_1", "relu4_1", "relu5_1"):
        assert gradient["average"][layer] < 0.7 * gradient["max"][layer], (layer, gradient)
    assert abs(gradient["average"]["relu1_1"] / gradient["max"]["relu1_1"] - 1) < 1e-3, gradient


def rescaling_restores_the_activations(networks: Mapping[str, Any], activation: Mapping[str, Any]) -> None:
    """Assert that rescaled average pooling is nearer to max pooling at pool4 than average pooling is."""
    assert networks["average"].pool_gain["pool4"] == 1 < networks["average, rescaled"].pool_gain["pool4"]
    plain, rescaled, largest = (activation[name]["pool4"] for name in ("average", "average, rescaled", "max"))
    assert abs(rescaled - largest) < abs(plain - largest), (plain, rescaled, largest)


def a_low_content_layer_keeps_the_pixels(rows: Sequence[Sequence[Any]]) -> None:
    """Assert that content from relu1_2 correlates more with the photo than content from relu4_2."""
    for first, last in ((0, 2), (3, 5)):
        assert rows[first][2] > rows[last][2] + 0.1, rows


def deep_style_needs_deep_layers(rows: Sequence[Sequence[Any]]) -> None:
    """Assert that the style loss of relu5_1 is larger where only layers 1 to 3 were asked for."""
    assert sum(row[4] for row in rows[:3]) < sum(row[4] for row in rows[3:]), rows


def content_and_style_at_one_layer_disagree_most(losses: Sequence[Sequence[float]], profile: str) -> None:
    """Assert for each content weight that the style loss at pool3 is largest with the content at pool3.

    For the largest weight, pool4 and pool5 have the two smallest losses. Few steps show the first for this weight only.
    """
    assert max(losses[-1]) == losses[-1][2], losses
    if profile != SMOKE:
        assert all(max(row) == row[2] for row in losses), losses
        assert max(losses[-1][3:]) < min(losses[-1][:3]), losses


def low_content_layers_keep_the_photo(likeness: Sequence[Sequence[float]]) -> None:
    """Assert for the two larger content weights that pool1 keeps more of the photo than pool5."""
    assert all(row[0] > row[4] for row in likeness[1:]), likeness


def long_runs_lower_the_loss_and_keep_the_roughness(
    records: Sequence[Any],
    marks: Sequence[int],
    seen: Mapping[int, Tensor],
    photo: Tensor,
    roughness: Callable[[Tensor], float],
    moved: Callable[[Tensor, Tensor], float],
    profile: str,
) -> None:
    """Assert what the table of section 5 shows between the second and the last mark."""
    _, middle, end = marks
    assert min(r.total for r in records[:end]) < min(r.total for r in records[:middle])
    assert moved(seen[end], seen[middle]) < moved(seen[middle], photo)
    assert roughness(seen[end]) > roughness(photo)
    if profile != SMOKE:
        rough = [roughness(seen[step]) for step in marks]
        assert abs(rough[2] / rough[1] - 1) < 0.25, rough


def the_content_weight_decides_more_from_noise(likeness: Sequence[float], profile: str) -> None:
    """Assert that ten times the content weight raises the correlation with the photo more from noise."""
    photo_light, photo_heavy, noise_light, noise_heavy = likeness
    if profile != SMOKE:
        assert noise_heavy - noise_light > photo_heavy - photo_light, likeness


def related_pairs_are_a_tendency(near: Sequence[float], totals: Sequence[float], profile: str) -> None:
    """Assert that equally near pairs end with losses that differ by more than a factor of two."""
    order = sorted(range(len(near)), key=near.__getitem__)
    spreads = []
    for first in range(0, len(order), 8):
        group = [totals[i] for i in order[first : first + 8]]
        spreads.append(max(group) / min(group))
    if profile != SMOKE:
        assert max(spreads) > 2, spreads


def the_guard_prevents_spikes(early: Mapping[str, Sequence[float]], later: Mapping[str, Sequence[float]]) -> None:
    """Assert that the tutorial's loop has a spike at the start, and the library none at all."""
    assert max(early["the tutorial's loop"]) > 10, early
    name = "nstlib, with its guard"
    assert max([*early[name], *later[name]]) < 3, (early[name], later[name])


def later_spikes_come_from_the_clamp(later: Mapping[str, Sequence[float]], profile: str) -> None:
    """Assert later spikes in the tutorial's loop, fewer without the clamp, and none with a line search."""
    spikes = {name: sum(jump > 10 for jump in jumps) for name, jumps in later.items()}
    assert spikes["with a strong Wolfe line search"] == 0, later
    if profile != SMOKE:
        assert spikes["the tutorial's loop"] >= 2, later
        assert spikes["without the clamp"] < spikes["the tutorial's loop"], later


def the_line_search_stalls(runs: Mapping[str, Sequence[Sequence[float]]], profile: str) -> None:
    """Assert that the line search, whose closure clamps, ends with a far larger loss than the guarded run."""
    last = {name: sorted(losses[-1] for losses in group)[len(group) // 2] for name, group in runs.items()}
    if profile != SMOKE:
        assert last["with a strong Wolfe line search"] > 10 * last["nstlib, with its guard"], last


def the_guard_prevents_spikes_with_every_pooling(jumps: Mapping[str, float]) -> None:
    """Assert that no run with the guard rises tenfold."""
    assert all(jump < 10 for jump in jumps.values()), jumps


def coarse_to_fine_has_its_sizes(coarse: Any, direct: Any, shape: tuple[int, int], large: int) -> None:
    """Assert that both textures have the full size, and that one was painted at a quarter and a half of it before."""
    assert coarse.image.shape == direct.image.shape == (1, 3, *shape)
    assert [stage["size"][0] for stage in coarse.settings["scales"]] == [round(large / 4), round(large / 2), large]


def from_the_photo_coarse_to_fine_loses_content(likeness: Mapping[str, float], profile: str) -> None:
    """Assert that the result of coarse to fine correlates less with the photo."""
    if profile != SMOKE:
        assert likeness["coarse to fine"] < likeness["at once"], likeness


def exact_tiles_have_the_whole_gradient(errors: Mapping[str, float], tiles: int) -> None:
    """Assert that several exact tiles give the whole picture's gradient, and that separate tiles do not."""
    assert tiles >= 4, tiles
    assert errors["exact tiles"] < 1e-7, errors
    assert errors["each tile for itself"] > 1e-2, errors


def exact_tiles_paint_the_whole_picture(apart: Mapping[str, float]) -> None:
    """Assert that exact tiles stay nearer to the whole picture's result than separate tiles (percent)."""
    assert apart["exact tiles"] < apart["each tile for itself"], apart


def memory_grows_with_the_area(megabytes: Sequence[float], ratio: float) -> None:
    """Assert that memory is proportional to the area within a quarter."""
    assert abs(megabytes[0] / megabytes[1] / ratio - 1) < 0.25, (megabytes, ratio)


def nine_times_the_pixels_take_about_nine_times_as_long(seconds: Sequence[float], profile: str) -> None:
    """Assert that the factor of (small, large) is between 3 and 14; the smallest pictures are all overhead."""
    small, large = seconds
    assert profile == SMOKE or 3 < large / small < 14, seconds


def start_and_painting_matter_most(league: Mapping[str, float]) -> None:
    """Assert the order of the list of settings as far as the lesson states it."""
    names = list(league)
    assert {names[-1], names[-2]} <= {"another painting", "start from noise", "painting at half the size"}, league
    for name in ("max pooling", "three times the evaluations", "content weight times 10"):
        assert league["start from noise"] > league[name], league
