"""What lesson 01 states about its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from ..activation import receptive_field

Survey = Mapping[str, Mapping[str, Any]]
"""For each layer its output's ``shape``, its ``parameters`` and its ``work`` in multiply-adds."""

Lines = Mapping[str, Mapping[Any, float]]

MIDDLE = 144
"""Row and column of the pixel in the middle of the lesson's square photo."""


def _total(rows: Survey, what: str) -> int:
    return sum(row[what] for row in rows.values())


def our_networks_have_the_parameters_that_torchvision_and_the_paper_state(networks: Mapping[str, nn.Module]) -> None:
    """The configurations agree with torchvision's weights and, in millions, with the paper's table 2."""
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    entries = {
        "A": models.VGG11_Weights,
        "B": models.VGG13_Weights,
        "D": models.VGG16_Weights,
        "E": models.VGG19_Weights,
    }
    for name, entry in entries.items():
        assert counts[name] == entry.IMAGENET1K_V1.meta["num_params"], (name, counts[name])
    millions = {name: round(count / 1e6) for name, count in counts.items()}
    assert millions == {"A": 133, "A-LRN": 133, "B": 133, "C": 134, "D": 138, "E": 144}, millions


def the_error_stops_falling_after_d(errors: Mapping[str, float]) -> None:
    """Without the normalization, the error falls from A to D and not from D to E; C is between B and D."""
    falling = [errors[name] for name in "ABCD"]
    assert falling == sorted(falling, reverse=True), errors
    assert errors["E"] >= errors["D"], errors
    assert errors["A-LRN"] >= errors["A"], errors


def the_survey_agrees_with_what_torchvision_states(sixteen: Survey, nineteen: Survey) -> None:
    """Parameters and multiply-adds are those of torchvision; VGG-19 has three convolutions more."""
    for rows, entry in ((sixteen, models.VGG16_Weights), (nineteen, models.VGG19_Weights)):
        stated = entry.IMAGENET1K_V1.meta
        assert _total(rows, "parameters") == stated["num_params"]
        assert abs(_total(rows, "work") / 1e9 - stated["_ops"]) < 0.001, _total(rows, "work")
    added = [name for name in nineteen if name not in sixteen]
    assert added == ["conv3_4", "conv4_4", "conv5_4"], added


def fc6_holds_most_parameters_and_convolutions_most_work(sixteen: Survey, nineteen: Survey) -> None:
    """fc6 has 72 % (VGG-16: 74 %), the layers up to conv5_1 9 %, and convolutions do nearly all the work."""
    for rows, percent in ((sixteen, 74), (nineteen, 72)):
        part = 100 * rows["fc6"]["parameters"] / _total(rows, "parameters")
        assert round(part) == percent, part
    names = list(nineteen)
    used = sum(nineteen[name]["parameters"] for name in names[: names.index("conv5_1") + 1])
    assert round(100 * used / _total(nineteen, "parameters")) == 9, used
    convolutions = sum(row["work"] for name, row in nineteen.items() if name.startswith("conv"))
    assert convolutions > 0.99 * _total(nineteen, "work"), convolutions


def the_fields_of_vgg_are_known(fields: Mapping[str, Mapping[str, int]]) -> None:
    """The sizes in the text; those of the library agree; conv_4, counted in sequence, is conv2_2."""
    nineteen = fields["vgg19"]
    stated = {"conv2_2": 14, "conv3_1": 24, "conv4_2": 84, "conv5_4": 252}
    assert {name: nineteen[name] for name in stated} == stated, nineteen
    for arch, sizes in fields.items():
        assert all(receptive_field(name, arch).size == size for name, size in sizes.items()), (arch, sizes)
    assert [name for name in nineteen if name.startswith("conv")][3] == "conv2_2"


def most_influence_comes_from_the_middle_of_the_field(influence: Mapping[str, Tensor]) -> None:
    """No pixel outside the field has an influence; of relu3_4 and relu4_4 most comes from the middle half."""
    for name, values in influence.items():
        field = receptive_field(name)
        start = MIDDLE // field.jump * field.jump + field.start
        inside = values[start : start + field.size, start : start + field.size]
        assert torch.isclose(inside.sum(), values.sum(), rtol=1e-4), name
        quarter = field.size // 4
        middle = inside[quarter:-quarter, quarter:-quarter].sum() / values.sum()
        assert name == "relu2_2" or middle > 0.5, (name, middle)


def stacks_of_small_kernels_are_cheaper(price: Lines) -> None:
    """18 weights in place of 25, 27 in place of 49."""
    large, stack = price["one large kernel"], price["a stack of 3x3 kernels"]
    assert abs(stack[5] / large[5] - 18 / 25) < 0.01, price
    assert abs(stack[7] / large[7] - 27 / 49) < 0.01, price


def pixels_up_to_255_do_the_most_harm(harm: Lines) -> None:
    """In each layer, mistake 3 moves the activations furthest, by far, and no mistake is without effect."""
    for layer in harm["3 [0, 255]"]:
        others = [of_layers[layer] for name, of_layers in harm.items() if name != "3 [0, 255]"]
        assert harm["3 [0, 255]"][layer] > 5 * max(others), (layer, harm)
        assert min(others) > 0.02, (layer, harm)


def a_drawn_picture_excites_its_own_channel_most(responses: Mapping[str, Sequence[float]]) -> None:
    """Each channel is excited most by the picture that was drawn for it."""
    table = torch.tensor([list(row) for row in responses.values()])  # [picture, channel]
    assert table.argmax(0).tolist() == list(range(len(table))), table


def a_drawn_picture_excites_more_than_any_photo(
    responses: Mapping[str, Sequence[float]], best: Sequence[float]
) -> None:
    """The mean activation is more than twice that of the best photo or painting."""
    own = [row[i] for i, row in enumerate(responses.values())]
    assert all(value > 2 * photo for value, photo in zip(own, best)), (own, best)


def _steepness(picture: Tensor) -> tuple[float, float]:
    """Return the mean squared differences along rows (high for vertical stripes) and along columns."""
    along_rows = (picture[..., 1:] - picture[..., :-1]).square().mean().item()
    along_columns = (picture[..., 1:, :] - picture[..., :-1, :]).square().mean().item()
    return along_rows, along_columns


def _correlations(picture: Tensor, distance: int) -> tuple[float, float]:
    """Return the correlation of gray values at a distance along columns, and along rows."""
    gray = picture.mean(-3)
    gray = gray - gray.mean()
    down = (gray[..., distance:, :] * gray[..., :-distance, :]).mean() / gray.square().mean()
    right = (gray[..., distance:] * gray[..., :-distance]).mean() / gray.square().mean()
    return down.item(), right.item()


def channel_a_prefers_vertical_stripes_and_b_no_direction(drawn: Mapping[str, Tensor]) -> None:
    """Gray values are alike along A's stripes and not across them; for B both directions are nearly the same."""
    down, right = _correlations(drawn["A"], 4)
    assert down > right + 0.3, (down, right)
    down, right = _correlations(drawn["B"], 4)
    assert abs(down - right) < 0.25, (down, right)


def drawn_edges_have_the_direction_of_their_channel(drawn: Tensor) -> None:
    """The first picture (for vertical edges) changes along rows, the second one along columns."""
    along_rows, along_columns = _steepness(drawn[0])
    assert along_rows > 1.5 * along_columns, (along_rows, along_columns)
    along_rows, along_columns = _steepness(drawn[1])
    assert along_columns > 1.5 * along_rows, (along_rows, along_columns)


def a_larger_prior_makes_a_smoother_picture(roughness: Mapping[Any, float]) -> None:
    """The total variation of the drawn picture falls with the weight of the prior, in all by more than half."""
    values = list(roughness.values())
    assert values == sorted(values, reverse=True), roughness
    assert values[-1] < 0.5 * values[0], roughness


def opposite_edges_are_rarely_active_together(cosines: Tensor) -> None:
    """The entry of A and B is the smallest, and less than half of the others."""
    ab, ac, bc = (cosines[i, j].item() for i, j in ((0, 1), (0, 2), (1, 2)))
    assert 2 * ab < min(ac, bc), (ab, ac, bc)


def a_relu_adds_frequencies(lines: Lines) -> None:
    """The sine has one frequency; after the ReLU there is a mean and there are higher ones."""
    sine, rectified = lines["sin"], lines["relu(sin)"]
    assert [n for n, amplitude in sine.items() if amplitude > 0.01] == [8], sine
    found = [n for n, amplitude in rectified.items() if amplitude > 0.01]
    assert found[:3] == [0, 8, 16], rectified
    assert len(found) > 3, rectified


def most_activations_after_relu4_1_are_zero(zeros: Mapping[str, float]) -> None:
    """In each of relu4_2 to relu4_4 more than 60 % of the activations are zero, in relu1_2 less than 15 %."""
    assert all(zeros[f"relu4_{i}"] > 60 for i in (2, 3, 4)), zeros
    assert zeros["relu1_2"] < 15, zeros


def most_tolerance_is_there_without_pooling(shifted: Lines) -> None:
    """At four pixels, pool3 without pooling is nearer to pool3 with pooling than to relu1_2."""
    nothing, control, pooled = (
        shifted[name][4] for name in ("relu1_2, max pooling", "pool3, no pooling", "pool3, max pooling")
    )
    assert control - nothing > 3 * (pooled - control), (nothing, control, pooled)
    assert nothing < 0.5 < 0.7 < control, (nothing, control)


def pooling_adds_tolerance(shifted: Lines) -> None:
    """At shifts up to four pixels, pool3 is more alike with max pooling than without."""
    for shift in (1, 2, 3, 4):
        pooled, control = (shifted[f"pool3, {kind} pooling"][shift] for kind in ("max", "no"))
        assert pooled > control, (shift, pooled, control)


def pool4_is_not_more_tolerant_than_pool3(shifted: Lines) -> None:
    """With max pooling, at shifts up to four pixels; and after eight pixels no layer is unchanged."""
    for shift in (1, 2, 3, 4):
        third, fourth = (shifted[f"pool{b}, max pooling"][shift] for b in (3, 4))
        assert third >= fourth, (shift, third, fourth)
    assert all(line[8] < 0.9 for line in shifted.values()), {name: line[8] for name, line in shifted.items()}


Answers = Mapping[str, Sequence[tuple[str, float]]]


def cup_and_cat_are_named(answers: Answers) -> None:
    """The first choice for the cup is an espresso, and for the cat a cat, with less than 15 %."""
    assert "espresso" in answers["coffee"][0][0], answers["coffee"]
    name, chance = answers["chelsea"][0]
    assert "cat" in name, answers["chelsea"]
    assert chance < 0.15, answers["chelsea"]


def it_is_surer_of_the_astronaut_than_of_the_cat(answers: Answers) -> None:
    """The first choice for the astronaut, who is in no class, is more probable than that for the cat."""
    assert answers["astronaut"][0][1] > answers["chelsea"][0][1], answers
    assert all("astronaut" not in name for name, _ in answers["astronaut"]), answers["astronaut"]


def no_mistake_is_harmless_for_both_photos(rows: Sequence[Sequence[str]]) -> None:
    """Each mistake changes the first choice or moves its probability by five points, for at least one of the photos."""

    def split(cell: str) -> tuple[str, float]:
        name, percent = cell.rsplit(" ", 1)
        return name, float(percent.rstrip("%"))

    right = [split(cell) for cell in rows[0][1:]]
    for mistake, *cells in rows[1:]:
        changed = [
            name != right_name or abs(chance - right_chance) >= 5
            for (name, chance), (right_name, right_chance) in zip(map(split, cells), right)
        ]
        assert any(changed), (mistake, cells, rows[0])


def torchvision_states_a_larger_error_than_the_report(top_1: float, top_5: float) -> None:
    """27.6 % and 9.1 % in place of 23.7 % and 6.8 %."""
    assert round(top_1, 1) == 27.6, top_1
    assert round(top_5, 1) == 9.1, top_5


def each_refinement_lowers_the_error(ways: Mapping[str, tuple[float, float]]) -> None:
    """From one crop to the mean of two networks, both errors fall in each row."""
    for errors in zip(*ways.values()):
        assert list(errors) == sorted(errors, reverse=True), ways
    assert list(ways.values())[-1] == (23.7, 6.8), ways


def few_crops_show_a_cat_but_their_mean_does(named_cat: int, leaders: Sequence[str]) -> None:
    """Fewer than half of 24 crops have a cat in the first place; the mean of the probabilities has."""
    assert named_cat < 12, named_cat
    assert "cat" in leaders[0], leaders
