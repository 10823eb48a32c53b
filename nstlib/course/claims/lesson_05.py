"""What lesson 05 states about its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Losses = Mapping[str, tuple[float, float]]
"""Content loss and style loss by name."""


def both_losses_cost_something(measured: Losses) -> None:
    """With both losses each of them ends larger than alone, and smaller than where it was not minimized."""
    content, style, both = measured.values()
    assert content[0] < both[0] < style[0], measured
    assert style[1] < both[1] < content[1], measured


def without_its_term_the_variation_is_larger(variation: Sequence[float]) -> None:
    """The total variation is at least a fifth larger without its term; (without, with)."""
    without, with_term = variation
    assert without > 1.2 * with_term, variation


def the_own_program_paints(losses: Sequence[float], before: tuple[float, float], after: tuple[float, float]) -> None:
    """The loss falls to less than a fifth; the style loss of the picture is below the photo's (content, style)."""
    assert min(losses) < losses[0] / 5, losses
    assert after[1] < before[1] / 5, (before, after)


def the_first_losses_agree_to_the_last_digits(differences: Mapping[str, Mapping[int, float]], profile: str) -> None:
    """The relative difference is at most 1e-5 at first in float32 and 1e-8 in float64; at the end it is larger."""
    single, double = differences["float32"], differences["float64"]
    assert max(single[1], single[2]) < 1e-5, single
    assert max(double[1], double[2]) < 1e-8, double
    for run in (single, double):
        late = list(run.values())[len(run) // 2 :]
        assert max(late) > 1e-4, run
    assert profile == "smoke" or max(double.values()) > 1e4 * double[2], double


def the_jump_follows_the_first_clamped_pixel(double: Mapping[int, float], border: int) -> None:
    """In float64 the losses agree up to the first evaluation with a pixel at 0 or 1, and two later no longer."""
    assert border > 1, border
    assert max(value for step, value in double.items() if step <= border) < 1e-6, (border, double)
    assert max(value for step, value in double.items() if step <= border + 3) > 1e-5, (border, double)


def both_programs_end_close(mine: Sequence[float], theirs: Sequence[float], profile: str) -> None:
    """The smallest losses of both runs differ by less than a fifth; at the tiny size by less than a factor of three."""
    most = 3 if profile == "smoke" else 1.25
    assert 1 / most < min(mine) / min(theirs) < most, (min(mine), min(theirs))


def the_forces_turn_against_each_other(
    cosines: Mapping[int, float], lengths: Mapping[str, Mapping[int, float]], profile: str
) -> None:
    """The cosine falls during the run and ends below -0.3; the sum of the forces is shorter than each of them."""
    first, last = list(cosines.values())[0], list(cosines.values())[-1]
    assert last < first - 0.2, cosines
    assert last < (0 if profile == "smoke" else -0.3), cosines
    ends = {name: list(values.values())[-1] for name, values in lengths.items()}
    assert ends["both together"] < ends["content"] + ends["style"], ends
    assert profile == "smoke" or ends["both together"] < max(ends["content"], ends["style"]), ends


def only_the_ratio_of_the_weights_counts(rows: Sequence[tuple[str, float, float, float]]) -> None:
    """The rows are (name, content loss, style loss, distance from the first): the first run, all times ten, alpha."""
    (_, content, style, _), (_, content_all, style_all, all_ten), (_, content_alpha, _, alpha_ten) = rows
    assert all_ten < 0.5 * alpha_ten, rows
    assert abs(content_all / content - 1) < 0.1, rows
    assert abs(style_all / style - 1) < 0.2, rows
    assert content_alpha < 0.8 * content, rows


def the_ratio_trades_one_loss_for_the_other(
    prices: Mapping[tuple[str, str], tuple[float, float]], ratios: Sequence[str]
) -> None:
    """From content to style, the content loss rises and the style loss falls, over the first, middle and last ratio."""
    for start in ("content", "noise"):
        first, middle, last = (prices[start, ratios[i]] for i in (0, len(ratios) // 2, -1))
        assert first[0] < middle[0] < last[0], prices
        assert first[1] > max(middle[1], last[1]), prices


def the_start_at_the_photo_is_below(prices: Mapping[tuple[str, str], tuple[float, float]], profile: str) -> None:
    """From the photo the content loss is smaller at each ratio."""
    ratios = [ratio for start, ratio in prices if start == "noise"]
    for ratio in ratios:
        assert profile == "smoke" or prices["content", ratio][0] < prices["noise", ratio][0], (ratio, prices)


def ten_times_the_weight_is_less_than_a_tenth_of_the_loss(fall: float, profile: str) -> None:
    """Ten times the weight lowers the style loss, by less than a factor of five; few steps may not suffice for that."""
    assert (0.5 if profile == "smoke" else 1) < fall < 5, fall


def noise_needs_a_larger_content_weight(weight: float) -> None:
    """From noise a larger content weight than 100 is needed for the content loss that 100 gives from the photo."""
    assert weight > 150, weight


def starts_at_the_photo_end_lowest(table: Mapping[str, Sequence[float]]) -> None:
    """The rows hold the losses at first, after a tenth, and at the end."""
    ends = {start: values[-1] for start, values in table.items()}
    assert max(ends["content"], ends["content+noise"]) < min(ends["noise"], ends["grey"]), ends
    assert max(ends.values()) > 1.05 * min(ends.values()), ends


def noise_on_the_photo_helps_at_first_only(table: Mapping[str, Sequence[float]], profile: str) -> None:
    """After a tenth of the evaluations photo and noise is ahead of the photo; at the end the two are within 5 %."""
    plain, noisy, gray = table["content"], table["content+noise"], table["grey"]
    assert profile == "smoke" or noisy[1] < plain[1], table
    assert profile == "smoke" or abs(noisy[2] / plain[2] - 1) < 0.05, table
    assert profile == "smoke" or gray[1] > 2 * max(plain[1], noisy[1]), table


def lbfgs_ends_lowest(ends: Mapping[str, float]) -> None:
    """At equal evaluations L-BFGS has the smallest loss, and sign descent does not beat Adam."""
    assert min(ends, key=lambda name: ends[name]) == "L-BFGS", ends
    adam, sign = (min(v for n, v in ends.items() if n.startswith(kind)) for kind in ("Adam", "sign"))
    assert adam < sign, ends


def the_rate_decides_as_much_as_the_optimizer(ends: Mapping[str, float]) -> None:
    """The Adam runs differ from each other by a larger factor than the best of them from L-BFGS."""
    adam = [value for name, value in ends.items() if name.startswith("Adam")]
    assert max(adam) / min(adam) > min(adam) / ends["L-BFGS"], ends


def the_middle_rate_is_best(ends: Mapping[str, float], scale: str) -> None:
    """Of the three rates of Adam and of sign descent, in rising order, the second has the smallest loss."""
    if scale == "smoke":
        return  # few evaluations favor large rates
    for kind in ("Adam", "sign"):
        values = [value for name, value in ends.items() if name.startswith(kind)]
        assert values[1] == min(values), ends


def one_step_makes_twenty_evaluations(calls: int) -> None:
    """One call of ``step`` with PyTorch's defaults evaluates up to twenty times."""
    assert calls == 20, calls


def more_evaluations_lower_the_loss_of_the_tutorial(at: Sequence[float]) -> None:
    """The loss after six times the evaluations is smaller."""
    assert at[1] < at[0], at


def the_tutorial_matches_early_layers_only(by_layer: Mapping[str, Mapping[str, float]]) -> None:
    """The tutorial's picture has the smaller style loss in relu1_1 and the larger one in relu5_1."""
    shallow, deep = by_layer.values()
    assert shallow["relu1_1"] < deep["relu1_1"], by_layer
    assert shallow["relu5_1"] > 2 * deep["relu5_1"], by_layer


def every_gram_matrix_has_the_same_size(shapes: Mapping[tuple[int, int], tuple[int, ...]]) -> None:
    """The size of the Gram matrix is the same for every painting."""
    assert len(shapes) > 1, shapes
    assert len(set(shapes.values())) == 1, shapes


def any_sizes_work(rows: Sequence[tuple[tuple[int, int], tuple[int, int], tuple[int, ...], float]]) -> None:
    """Each result has its photo's size, and its loss falls; rows: (photo, painting, result, loss ratio)."""
    for photo, _, result, ratio in rows:
        assert result == photo, rows
        assert ratio < 1, rows
