"""The checks of the exercises, with right answers and with the mistakes that students make; the list of lessons."""

from __future__ import annotations

import ast
import contextlib
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nstlib import SettingError, content_loss, course, gram_matrix, style_loss, total_variation
from nstlib.course import exercises
from nstlib.course.checks import OPEN, RIGHT, WRONG, Check, UnsolvedError, Verdict
from nstlib.course.grading import NO_RESULT, Exercise, examine
from nstlib.course.lessons import notebooks_folder
from nstlib.course.limits import call_with_limit
from nstlib.course.tasks import Choice, all_tasks, key_of

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def check() -> Check:
    return Check()


def assert_wrong(verdict: Verdict, words: str) -> None:
    """Assert that the verdict is "wrong", with these words in a single sentence."""
    assert verdict.state == WRONG, verdict
    assert words in verdict.message, verdict.message
    assert "\n" not in verdict.message
    assert ". " not in verdict.message.split(" For a hint:")[0], "more than one sentence"
    assert not verdict.ok


# --- wrong answers -------------------------------------------------------------------------------------


def rows(x):
    return x.flatten(2)  # (N, C, H*W)


def gram_of_whole_batch(x):
    """The Gram matrix of the PyTorch tutorial: right for one picture, wrong for two."""
    n, c, h, w = x.size()
    features = x.view(n * c, h * w)
    return torch.mm(features, features.t()).div(n * c * h * w)


def gram_in_place(x):
    n, c, h, w = x.shape
    x /= (h * w) ** 0.5
    return rows(x) @ rows(x).transpose(1, 2)


def gram_without_batch_mean(x):
    flat = rows(x - x.mean(0, keepdim=True) if len(x) > 1 else x)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def gram_with_fixed_divisor(x):
    return rows(x) @ rows(x).transpose(1, 2) / 20


def wrong_product(x):
    return x @ torch.zeros(7, 7)


RIGHT_GRAMS = [
    lambda x: rows(x) @ rows(x).transpose(1, 2) / (x.shape[2] * x.shape[3]),
    lambda x: torch.bmm(rows(x), rows(x).mT).div(x.shape[-1] * x.shape[-2]),
    lambda x: torch.einsum("nchw,ndhw->ncd", x, x) / x[0, 0].numel(),
    gram_matrix,
]
WRONG_GRAMS = [
    (lambda x: rows(x) @ rows(x).mT, "it does not divide"),
    (lambda x: gram_matrix(x, "chw"), "C*H*W"),
    (lambda x: gram_matrix(x, "none") / x.shape[1], "by C only"),
    (lambda x: gram_matrix(x, "none") / x.numel(), "N*C*H*W"),
    (lambda x: gram_matrix(x, "none") / x.shape[1] ** 2, "mean over the matrix"),
    (lambda x: gram_matrix(x, "none") / x.shape[2], "by H only"),
    (lambda x: gram_matrix(x) / x.shape[0], "N*H*W"),
    (lambda x: gram_matrix(x) * 0.123, "too small"),
    (lambda x: rows(x).mT @ rows(x), "positions with positions"),
    (gram_of_whole_batch, "mixes the pictures of the batch"),
    (lambda x: gram_matrix(x).mean(0), "added up"),
    (lambda x: x @ x.mT, "rows with rows"),
    (lambda x: x * x, "matrix product"),
    (lambda x: rows(x).mean(2), "not one for each pair of channels"),
    (lambda x: gram_matrix(x).detach(), "no gradient"),
    (lambda x: gram_matrix(x.data), "no gradient"),
    (lambda x: gram_matrix(x).detach().numpy(), "numpy"),
    (lambda x: gram_matrix(x).double(), "float64"),
    (lambda x: gram_matrix(x).sum().item(), "plain number"),
    (lambda x: [gram_matrix(x)], "a list"),
    (gram_in_place, "in place"),
    (gram_without_batch_mean, "mixes the pictures"),
    (gram_with_fixed_divisor, "not for the input shape (1, 6, 3, 2)"),
    (wrong_product, "raises RuntimeError"),
    (lambda x: gram_matrix(x - x.mean((2, 3), keepdim=True)), "covariance"),
    (lambda x: gram_matrix(F.normalize(rows(x), dim=2)[..., None], "none"), "cosines"),
    (
        lambda x: x.reshape(len(x), -1, x.shape[1]).mT @ x.reshape(len(x), -1, x.shape[1]) / x[0, 0].numel(),
        "mixes the channels",
    ),
    (lambda x: gram_matrix(x).abs(), "sign"),
    (lambda x: gram_matrix(x) * 0, "zero"),
    (lambda x: gram_matrix(x) / 0, "not finite"),
    (lambda x: gram_matrix(x).cos(), "differ by up to"),
    (lambda x, y: x, "raises TypeError"),
    (torch.zeros(3, 3), "not a function"),
]


def differences(a, b):
    return (a - b).flatten(1)  # (N, C*H*W)


WRONG_CONTENTS = [
    (lambda a, b: differences(a, b).square().mean(1), "mean over all elements"),
    (lambda a, b: (a - b).square().sum(), "mixes the pictures"),
    (F.mse_loss, "mixes the pictures"),
    (lambda a, b: (a - b).square().sum((2, 3)), "each channel"),
    (lambda a, b: (a - b).square(), "nothing is added up"),
    (lambda a, b: (a - b).square().sum((1, 2, 3), keepdim=True), "keepdim"),
    (lambda a, b: (a - b).square().sum(0), "only the batch"),
    (lambda a, b: 0.5 * differences(a, b).square().sum(1), "half"),
    (lambda a, b: 2 * differences(a, b).square().sum(1), "twice"),
    (lambda a, b: differences(a, b).abs().sum(1), "absolute"),
    (lambda a, b: differences(a, b).sum(1), "not squared"),
    (lambda a, b: differences(a, b).sum(1).square(), "squares after adding"),
    (lambda a, b: differences(a, b).norm(dim=1), "root"),
    (lambda a, b: (a + b).square().sum((1, 2, 3)), "adds where it should subtract"),
    (lambda a, b: a.square().sum((1, 2, 3)), "second input"),
    (lambda a, b: (a * b).sum((1, 2, 3)), "multiplies"),
    (lambda a, b: content_loss(a, b, "relative"), "own sum of squares"),
    (lambda a, b: content_loss(a, b).detach(), "no gradient"),
    (lambda a, b: content_loss(a.sub_(b), torch.zeros_like(b)), "in place"),
    (lambda a: a, "raises TypeError"),
]


WRONG_VARIATIONS = [
    (lambda x: total_variation(x, 2, "sum"), "sum of each direction"),
    (lambda x: total_variation(x, 1), "absolute differences"),
    (lambda x: (x[:, :, 1:] - x[:, :, :-1]).square().flatten(1).mean(1), "columns are not compared"),
    (lambda x: (x[..., 1:] - x[..., :-1]).square().flatten(1).mean(1), "rows are not compared"),
    (lambda x: sum((x - x.roll(1, d)).square().flatten(1).mean(1) for d in (2, 3)), "wraps around"),
    (lambda x: total_variation(x).mean(), "mixes the pictures"),
    (lambda x: total_variation(x) / 2, "half"),
    (lambda x: total_variation(x, 2, "sum") / x[0].numel(), "fewer pairs"),
    (lambda x: total_variation(x) + (x[:, 1:] - x[:, :-1]).square().mean((1, 2, 3)), "channels"),
    (lambda x: total_variation(x).sqrt(), "root"),
    (lambda x: sum((x[:, :, 1:] - x[:, :, :-1]).flatten(1).mean(1) for _ in "ab"), "differ"),
]


def pieces(x, down, right):
    """Return the rows and columns that have a partner, and their partners."""
    high, wide = x.shape[2:]
    return x[:, :, : high - down, : wide - right], x[:, :, down:, right:]


def shifted_with_negative_slices(x, down, right):
    here, there = x[:, :, :-down, :-right].flatten(2), x[:, :, down:, right:].flatten(2)
    return here @ there.mT / here.shape[2]


RIGHT_SHIFTS = [
    lambda x, down, right: (
        torch.einsum("nihw,njhw->nij", *pieces(x, down, right)) / pieces(x, down, right)[0][0, 0].numel()
    ),
    lambda x, down, right: (pieces(x, down, right)[0][:, :, None] * pieces(x, down, right)[1][:, None]).mean((3, 4)),
    lambda x, down, right: torch.stack(
        [a.flatten(1) @ b.flatten(1).T / a[0].numel() for a, b in zip(*pieces(x, down, right))]
    ),
]

WRONG_SHIFTS = [
    (shifted_with_negative_slices, "arguments 0, 0"),
    (lambda x, down, right: exercises.shifted_gram(x, down, right) / x.shape[1], "too small"),
    (lambda x, down, right: -exercises.shifted_gram(x, down, right), "sign"),
    (lambda x, down, right: exercises.shifted_gram(x, down, right).detach(), "no gradient"),
    (lambda x, down, right: gram_matrix(x), "nothing is shifted"),
    (lambda x, down, right: exercises.shifted_gram(x, right, down), "swapped"),
    (lambda x, down, right: exercises.shifted_gram(x, down, right).mT, "i and j are swapped"),
    (
        lambda x, down, right: torch.einsum("nihw,njhw->nij", x, x.roll((-down, -right), (2, 3))) / x[0, 0].numel(),
        "wraps",
    ),
]

WRONG_GRADIENTS = [
    (lambda b, p: b.relu() - p, "where the ReLU is zero"),
    (lambda b, p: b - p, "without ReLU"),
    (lambda b, p: (b.relu() - p) * (b >= 0), "at before = 0"),
    (lambda b, p: (b.relu() - p) * (p > 0), "does not go through this ReLU"),
    (lambda b, p: 2 * (b.relu() - p) * (b > 0), "twice"),
    (lambda b, p: (p - b.relu()) * (b > 0), "sign"),
    (lambda b, p: 0.5 * (b.relu() - p).square(), "the loss of every element"),
    (lambda b, p: ((b.relu() - p) * (b > 0)).sum(), "is expected"),
]


# --- exercises about functions -------------------------------------------------------------------------


@pytest.mark.parametrize("f", RIGHT_GRAMS)
def test_right_gram_matrices(check, f):
    verdict = check.gram_matrix(f)
    assert verdict.ok, verdict.message


@pytest.mark.parametrize(("f", "words"), WRONG_SHIFTS)
def test_each_wrong_shifted_gram_is_diagnosed(check, f, words):
    assert_wrong(check.shifted_gram(f), words)


@pytest.mark.parametrize("f", RIGHT_SHIFTS)
def test_each_right_shifted_gram_is_accepted(check, f):
    verdict = check.shifted_gram(f)
    assert verdict.ok, verdict.message


def test_right_shifted_gram_matrices(check):
    assert check.shifted_gram(exercises.shifted_gram).ok
    assert check.shifted_gram(...).state == OPEN
    assert check.shifted_gram(lambda x, down, right: ...).state == OPEN
    x = torch.rand(2, 3, 5, 4)
    assert torch.allclose(exercises.shifted_gram(x, 0, 0), gram_matrix(x))
    entry = (x[0, 1, :3, :3] * x[0, 2, 2:, 1:]).mean()  # two rows down, one column to the right
    assert torch.allclose(exercises.shifted_gram(x, 2, 1)[0, 1, 2], entry)


@pytest.mark.parametrize(("f", "words"), WRONG_GRAMS)
def test_each_wrong_gram_matrix_is_diagnosed(check, f, words):
    assert_wrong(check.gram_matrix(f), words)


def test_other_divisors(check):
    assert check.gram_matrix(lambda x: gram_matrix(x, "chw"), divisor="chw").ok
    assert check.gram_matrix(lambda x: gram_matrix(x, "none"), divisor="none").ok
    assert_wrong(check.gram_matrix(gram_matrix, divisor="none"), "it divides by H*W.")
    assert_wrong(check.gram_matrix(gram_matrix, divisor="chw"), "it divides by H*W.")


@pytest.mark.parametrize(("f", "words"), WRONG_CONTENTS)
def test_each_wrong_content_loss_is_diagnosed(check, f, words):
    assert_wrong(check.content_loss(f), words)


def test_right_losses(check):
    assert check.content_loss(lambda a, b: ((a - b) ** 2).sum(dim=(1, 2, 3))).ok
    assert check.content_loss(lambda a, b: ((a - b) ** 2).mean(dim=(1, 2, 3)), reduction="mean").ok
    assert check.content_loss(lambda a, b: content_loss(a, b, "relative"), reduction="relative").ok
    assert check.style_loss(style_loss).ok
    assert check.total_variation(total_variation).ok
    assert check.total_variation(lambda x: total_variation(x, 1, "sum"), power=1, reduction="sum").ok
    assert_wrong(check.content_loss(content_loss, reduction="mean"), "it is the sum")
    assert_wrong(check.content_loss(content_loss, reduction="relative"), "own sum of squares")
    assert_wrong(check.style_loss(lambda a, b: style_loss(a, b, "mean")), "the mean over all elements")
    assert_wrong(check.style_loss(lambda a, b: style_loss(a, b) / 4), "a quarter")
    assert_wrong(check.total_variation(lambda x: total_variation(x, 2), power=1), "squares")


@pytest.mark.parametrize(("f", "words"), WRONG_VARIATIONS)
def test_each_wrong_total_variation_is_diagnosed(check, f, words):
    assert_wrong(check.total_variation(f), words)


def test_the_gradient_of_the_content_loss_agrees_with_autograd(check):
    right = exercises.content_gradient
    generator = torch.Generator().manual_seed(0)
    before, target = (torch.randn(2, 3, 4, 5, generator=generator) for _ in range(2))
    before[..., 0] = 0  # where the ReLU has no derivative
    before.requires_grad_()
    (wanted,) = torch.autograd.grad(0.5 * content_loss(before.relu(), target).sum(), before)
    assert torch.allclose(right(before, target), wanted)
    assert check.content_gradient(right).ok
    assert check.content_gradient(lambda b, p: torch.where(b > 0, b - p, torch.zeros_like(b))).ok


@pytest.mark.parametrize(("f", "words"), WRONG_GRADIENTS)
def test_each_wrong_gradient_is_diagnosed(check, f, words):
    assert_wrong(check.content_gradient(f), words)


SETTINGS = [
    *exercises.all_exercises().values(),
    *(exercises.gram_matrix_exercise(divisor) for divisor in ("chw", "none")),
    *(exercises.content_loss_exercise(reduction) for reduction in ("mean", "relative")),
    *(exercises.style_loss_exercise(reduction) for reduction in ("mean", "relative")),
    *(exercises.total_variation_exercise(power, "sum") for power in (1, 2)),
]


@pytest.mark.parametrize("exercise", SETTINGS, ids=lambda exercise: exercise.name)
def test_an_exercise_accepts_its_reference_and_recognises_its_mistakes(exercise: Exercise):
    assert examine(exercise.reference, exercise) is None
    assert examine(lambda *_: None, exercise) == NO_RESULT
    for mistake in exercise.mistakes:
        assert examine(mistake.function, exercise) == mistake.sentence


def test_every_exercise_has_hints_and_a_method_of_its_name(check):
    assert len(exercises.all_exercises()) == 7
    for name, exercise in exercises.all_exercises().items():
        assert getattr(check, name)(exercise.reference).ok
        assert len(exercise.hints) >= 2
        assert str(check.hint(name)).endswith(exercise.hints[0])


def unfinished(*_):
    raise NotImplementedError


@pytest.mark.parametrize(
    "nothing", [..., None, NotImplemented, NotImplementedError, lambda *a: None, lambda *a: ..., unfinished]
)
def test_an_unanswered_exercise_is_not_done_yet_and_never_raises(check, nothing):
    verdicts = [
        check.gram_matrix(nothing),
        check.content_loss(nothing),
        check.style_loss(nothing),
        check.total_variation(nothing),
    ]
    if not callable(nothing) or isinstance(nothing, type):
        verdicts += [
            check.number("n", nothing, 3),
            check.choice("c", nothing, correct="a"),
            check.picture("p", nothing),
        ]
    assert {v.state for v in verdicts} == {OPEN}
    assert not any(v.ok for v in verdicts)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (-250, "the sign"),
        (500, "too large"),
        (0.25, "much too small"),
        (300, "too large"),
        (2, "much too small"),
        (float("nan"), "not a usable number"),
        ("250", "a str"),
        (True, "a bool"),
        (torch.zeros(3), "a tensor of shape (3,)"),
        (np.zeros(2), "a numpy array"),
    ],
)
def test_each_wrong_number_is_diagnosed(check, answer, words):
    assert_wrong(check.number("how many", answer, 250), words)
    assert "250" not in check.verdicts["how many"].message.replace(repr(answer), "").replace("-250", "")


def test_right_numbers(check):
    for answer in (250, 251.0, torch.tensor(250.0), np.float32(250), np.int64(250)):
        assert check.number("n", answer, 250).ok
    assert not check.number("n", 251, 250, tolerance=0).ok
    assert check.number("n", 0.001, 0, tolerance=0.01).ok
    assert "because" in check.number("n", 250, 250, why="because").message
    assert not check.number("n", 1, 0).ok


def test_choices(check):
    explain = {"a": "there is no sun.", "b": "that is so."}
    assert check.choice("q", " B ", correct="b", explain=explain).message == "right. that is so."
    assert_wrong(check.choice("q", "a", correct="b", explain=explain), "there is no sun")
    assert_wrong(check.choice("q", "z", correct="b", explain=explain), "none of the answers; choose from a, b")
    assert_wrong(check.choice("q", 2, correct="b", explain=explain), "in quotes")
    assert_wrong(check.choice("q", "a", correct="b"), "'a' is not right")
    assert check.choice("q", "relu4_2", correct=["relu4_1", "relu4_2"]).ok
    assert check.choice("q", "", correct="b").state == OPEN


def test_pictures(check, photo):
    assert check.picture("p", photo, shape=(48, 64)).ok
    assert check.picture("p", photo, like=photo + 0.001, unlike=1 - photo).ok

    class Result:
        image, records = photo, ()

    with_alpha = torch.cat([photo, photo[:, :1]], 1)
    nan = photo.clone()
    nan[0, 0, 0, 0] = float("nan")
    for wrong, words in (
        (Result(), ".image"),
        (photo[0], "batch dimension first"),
        (photo.permute(0, 2, 3, 1), "permute"),
        (with_alpha, "alpha channel"),
        (photo[:, :1], "greyscale"),
        (photo * 255, "up to 255"),
        ((photo * 255).byte(), "uint8"),
        (photo - 0.5, "clamp"),
        (nan, "not finite"),
        (photo * 0, "one colour"),
        (photo.numpy(), "numpy array"),
        (photo.mT, "swapped"),
        (photo[:, :, 8:], "40 high"),
        (photo * 0.9, "differs"),
        (photo.flip(1), "BGR"),
    ):
        assert_wrong(check.picture("p", wrong, shape=(48, 64), like=photo, tolerance=0.01), words)
    assert_wrong(check.picture("p", photo, unlike=photo), "nothing has changed")
    assert_wrong(check.picture("p", photo, test=lambda p: "too dark."), "too dark.")
    assert_wrong(check.picture("p", photo, test=lambda p: False), "yet")


def test_hints_are_given_one_by_one(check):
    first, second = check.hint("gram_matrix"), check.hint("gram_matrix")
    assert str(first).startswith("Hint 1 of 3")
    assert str(second).startswith("Hint 2 of 3")
    check.hint("gram_matrix")
    assert "all 3 hints" in str(check.hint("gram_matrix"))
    assert "no hints" in str(check.hint("something"))
    verdict = check.number("n", 1, 7, hint="count again")
    assert 'check.hint("n")' in verdict.message
    assert "count again" in str(check.hint("n"))
    assert "check.hint" not in check.number("n", 1, 7, hint="count again").message, "no offer once all are given"
    assert "<div" in check.hint("n")._repr_html_()


def test_summary_and_require_all(check):
    assert not check.summary().ok
    with pytest.raises(UnsolvedError, match="no exercise"):
        check.require_all()
    check.content_loss(content_loss)
    assert check.require_all().ok
    check.choice("q", "a", correct="b")
    check.number("n", ..., 3)
    with pytest.raises(UnsolvedError, match="q: .*\n.*n: ") as caught:
        check.require_all()
    assert "content_loss" not in str(caught.value)
    assert check.summary().line == "1 of 3 exercises right."
    assert "q: wrong" in str(check.summary())
    assert "not done yet" in check.summary()._repr_html_()
    check.choice("q", "b", correct="b")
    check.number("n", 3, 3)
    assert check.require_all().line.endswith("Well done!")
    with pytest.raises(UnsolvedError, match="gram_matrix: never checked"):
        check.require_all(["gram_matrix"])
    check.reset()
    assert check.verdicts == {}


def test_a_verdict_is_plain_text_and_escaped_html(check):
    verdict = check.choice("<q>", "<b>", correct="a")
    assert str(verdict).startswith("✗ <q>: ")
    assert "&lt;q&gt;" in verdict._repr_html_()
    assert "<b>&" not in verdict.message
    assert check.choice("c", "a", correct="a").state == RIGHT


@pytest.mark.slow
def test_checks_need_only_torch():
    """The course can be imported in a fresh process without matplotlib, ipywidgets and IPython."""
    code = (
        "import sys\n"
        "missing = ('matplotlib', 'ipywidgets', 'IPython', 'matplotlib_inline', 'skimage')\n"
        "sys.modules.update(dict.fromkeys(missing))\n"
        "from nstlib import course, gram_matrix\n"
        "from nstlib.course import anatomy, figures, widgets\n"
        "course.setup()\n"
        "assert course.check.gram_matrix(gram_matrix).ok\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 2
    assert "profile: smoke" in lines[1]


def test_work_grows_with_the_profile(monkeypatch):
    names = [lesson.name for lesson in course.LESSONS]
    assert [name[:2] for name in names] == [f"{i:02d}" for i in range(13)]
    for name in names:
        profiles = []
        for profile in ("smoke", "cpu", "gpu"):
            monkeypatch.setenv("NST_PROFILE", profile)
            profiles.append(course.profile_for(name))
        smoke, cpu, gpu = profiles
        assert smoke.size < cpu.size <= gpu.size  # lesson 12 has one size for cpu and gpu
        assert smoke.steps < cpu.steps <= gpu.steps
    assert set(course.PROFILES_BY_LESSON) <= {*names, "every other lesson"}
    with pytest.raises(SettingError, match="there is no lesson '13_x'"):
        course.profile_for("13_x")


def test_lesson_table_shows_which_lessons_exist():
    table = course.lesson_table(["00_start_here"])
    assert str(table).count("ready") == 1
    assert str(table).count("planned") == 12
    assert "href='00_start_here.ipynb'" in table._repr_html_()
    assert "href='01" not in table._repr_html_()
    assert course.LESSONS[1].title == "VGG anatomy"


def test_the_lessons_of_the_repository_are_found_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert notebooks_folder() == ROOT / "notebooks"
    assert "00_start_here" in course.existing_lessons()


def test_setup_seeds_and_resets_the_checks(capsys):
    course.check.choice("old", "a", correct="a")
    course.setup()
    first = torch.rand(3)
    course.setup()
    assert torch.equal(first, torch.rand(3))
    assert course.check.verdicts == {}
    assert capsys.readouterr().out.count("\n") == 4


def test_the_first_lesson_is_valid_python_and_marks_its_solutions():
    text = (ROOT / "notebooks" / "source" / "00_start_here.py").read_text(encoding="utf-8")
    ast.parse(text)
    assert text.count("# SOLUTION") == text.count("# END SOLUTION") == text.count('tags=["exercise"]') >= 2


# --- time limit, the student's line, predictions -------------------------------------------------------


def test_an_endless_loop_ends_with_a_sentence(monkeypatch, check):
    monkeypatch.setattr("nstlib.course.grading.call_with_limit", lambda f, a, _: call_with_limit(f, a, 0.2))

    def endless(x):
        while True:
            with contextlib.suppress(Exception):  # even if it catches everything that is raised in it
                x = x * 1

    assert_wrong(check.gram_matrix(endless), "loop that never ends")
    before = threading.active_count()
    assert_wrong(check.gram_matrix(lambda x: [x for _ in iter(int, 1)]), "loop that never ends")
    assert threading.active_count() == before


def test_a_program_that_ends_the_kernel_is_a_wrong_answer(check):
    assert_wrong(check.gram_matrix(lambda x: sys.exit(1)), "it ends the program")


def test_the_line_that_raised_is_shown(check):
    assert_wrong(check.gram_matrix(wrong_product), "in the line 'return x @ torch.zeros(7, 7)'")


def test_small_and_large_values_and_other_dtypes_are_tried(check):
    assert_wrong(check.gram_matrix(lambda x: gram_matrix(x.clamp(-5, 5))), "1000 times as large")
    assert_wrong(check.gram_matrix(lambda x: gram_matrix(x) + 1e-6), "0.001 times as large")


def test_a_prediction_is_never_wrong(check):
    assert check.prediction("p", ..., 3.0).state == OPEN
    assert check.prediction("p", 5, 3.0, "dB").message == "you predicted 5 dB; measured: 3 dB."
    assert check.prediction("p", 5, 3.0).ok
    assert_wrong(check.prediction("p", "much", 3.0), "a number is expected")


def test_tasks_have_keys_that_fit_and_hints_without_the_answer():
    for name, task in all_tasks().items():
        assert task.name == name
        if isinstance(task, Choice):
            options = {key_of(name, option): option for option in task.remarks}
            assert task.keys, name
            assert set(task.keys) <= set(options), f"{name}: no option has this key"
            assert len(options) >= 2
            wrong = [option for key, option in options.items() if key not in task.keys]
            assert all(task.remarks[option].strip() for option in wrong)
