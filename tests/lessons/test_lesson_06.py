"""The exercises of lesson 06 with right and wrong answers, and its claims with numbers that contradict them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nstlib import gram_matrix
from nstlib.course.checks import Check
from nstlib.course.claims import lesson_06 as claims
from nstlib.course.tasks import Choice, lesson_06


@pytest.fixture
def check() -> Check:
    return Check()


def maxima_by_unfold(maps):
    windows = maps.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    return windows.amax(4).mean() / windows.mean()


RIGHT = {
    "gain of a pooling": [
        lesson_06.pool_gain,
        maxima_by_unfold,
        lambda x: F.max_pool2d(x, 2).sum() / F.avg_pool2d(x, 2).sum(),
    ],
    "capped step": [
        lesson_06.capped,
        lambda s, m: s * min(1.0, m / s.abs().mean().item()),
        lambda s, m: s / max(1.0, s.abs().mean().item() / m),
    ],
    "Gram matrix of tiles": [
        lesson_06.tiled_gram,
        lambda tiles: gram_matrix(torch.cat([t.flatten(2) for t in tiles], 2).unsqueeze(2)),
        lambda tiles: sum(t.flatten(2) @ t.flatten(2).mT for t in tiles) / sum(t[0, 0].numel() for t in tiles),
    ],
}

WRONG = [
    ("gain of a pooling", lambda x: F.avg_pool2d(x, 2).mean() / F.max_pool2d(x, 2).mean(), "upside down"),
    ("gain of a pooling", lambda x: F.max_pool2d(x, 2).mean() - F.avg_pool2d(x, 2).mean(), "difference"),
    ("gain of a pooling", lambda x: (F.max_pool2d(x, 2) / F.avg_pool2d(x, 2)).mean(), "mean of the quotients"),
    ("gain of a pooling", lambda x: F.max_pool2d(x, 2).mean() / F.avg_pool2d(x, 2).mean().detach(), "gradient"),
    ("gain of a pooling", lambda x: torch.tensor(1.9), "factor|values|gradient"),
    ("gain of a pooling", lambda x: F.max_pool2d(x, 3).mean() / F.avg_pool2d(x, 3).mean(), "wrong|factor|values"),
    ("capped step", lambda s, m: s * (m / s.abs().mean()), "short enough"),
    ("capped step", lambda s, m: s.clamp(-m, m), "direction"),
    ("capped step", lambda s, m: s if s.abs().max() <= m else s * (m / s.abs().max()), "largest value"),
    ("capped step", lambda s, m: s if s.norm() <= m else s * (m / s.norm()), "norm"),
    ("capped step", lambda s, m: s if s.abs().mean() <= m else torch.zeros_like(s), "zero"),
    ("capped step", lambda s, m: s.mul_(m / s.abs().mean()), "in place"),
    ("capped step", lambda s, m: s, "times|values"),
    ("Gram matrix of tiles", lambda tiles: sum(gram_matrix(t) for t in tiles) / len(tiles), "counts as much"),
    ("Gram matrix of tiles", lambda tiles: sum(gram_matrix(t, "none") for t in tiles), "same factor"),
    ("Gram matrix of tiles", lambda tiles: gram_matrix(tiles[0]), "differs"),
    ("Gram matrix of tiles", lambda tiles: sum(gram_matrix(t) for t in tiles), "differs|factor"),
    ("Gram matrix of tiles", lambda tiles: lesson_06.tiled_gram(tiles)[0], "shape"),
    ("Gram matrix of tiles", lambda tiles: lesson_06.tiled_gram(tiles).detach(), "gradient"),
    ("Gram matrix of tiles", lambda tiles: gram_matrix(torch.cat(tiles, 3)), "raises"),
]


@pytest.mark.parametrize(("name", "function"), [(name, f) for name, fs in RIGHT.items() for f in fs])
def test_right_answers_pass(check, name, function):
    verdict = check.function(name, function)
    assert verdict.ok, verdict.message


@pytest.mark.parametrize(("name", "function", "words"), WRONG)
def test_wrong_answers_fail_with_a_sentence(check, name, function, words):
    verdict = check.function(name, function)
    assert verdict.state == "wrong", verdict
    assert any(word in verdict.message for word in words.split("|")), verdict.message


@pytest.mark.parametrize("task", [task for task in lesson_06.TASKS if isinstance(task, Choice)], ids=lambda t: t.name)
def test_each_choice_has_one_right_answer(check, task):
    assert sum(check.choice(task.name, option).ok for option in task.remarks) == 1
    assert check.choice(task.name, "another").state == "wrong"


def test_claims_fail_on_numbers_that_contradict_them():
    losses = {"the tutorial's loop": [30.0], "nstlib, with its guard": [1.0]}
    calm = {
        "the tutorial's loop": [30.0, 30.0],
        "nstlib, with its guard": [1.0, 1.0],
        "without the clamp": [1.0],
        "with a strong Wolfe line search": [1.0],
    }
    claims.the_guard_prevents_spikes(losses, losses)
    claims.later_spikes_come_from_the_clamp(calm, "cpu")
    contradictions = [
        lambda: claims.a_small_difference_grows(0.1, 0.2, 10),
        lambda: claims.the_guard_prevents_spikes(losses, {**losses, "nstlib, with its guard": [30.0]}),
        lambda: claims.later_spikes_come_from_the_clamp({**calm, "without the clamp": [99.0, 99.0]}, "cpu"),
        lambda: claims.later_spikes_come_from_the_clamp({**calm, "the tutorial's loop": [2.0]}, "cpu"),
        lambda: claims.the_line_search_stalls(
            {"with a strong Wolfe line search": [[9.0]], "nstlib, with its guard": [[3.0]]}, "cpu"
        ),
        lambda: claims.content_and_style_at_one_layer_disagree_most([[1, 2, 1, 1, 1]], "cpu"),
        lambda: claims.content_and_style_at_one_layer_disagree_most([[1, 2, 3, 1.5, 1]], "cpu"),
        lambda: claims.low_content_layers_keep_the_photo([[0, 0, 0, 0, 0], [0.2, 0, 0, 0, 0.3]]),
        lambda: claims.the_content_weight_decides_more_from_noise([0.1, 0.9, 0.1, 0.2], "cpu"),
        lambda: claims.related_pairs_are_a_tendency(range(32), [1.0] * 32, "cpu"),
        lambda: claims.from_the_photo_coarse_to_fine_loses_content({"at once": 0.1, "coarse to fine": 0.2}, "cpu"),
        lambda: claims.exact_tiles_have_the_whole_gradient({"exact tiles": 1e-3, "each tile for itself": 1}, 4),
        lambda: claims.exact_tiles_paint_the_whole_picture({"exact tiles": 2, "each tile for itself": 1}),
        lambda: claims.memory_grows_with_the_area([1, 2], 0.1),
        lambda: claims.nine_times_the_pixels_take_about_nine_times_as_long([1, 20], "cpu"),
        lambda: claims.start_and_painting_matter_most({"start from noise": 1, "max pooling": 2}),
    ]
    for contradiction in contradictions:
        with pytest.raises(AssertionError):
            contradiction()
