"""The checks of the exercises, with right answers and with the mistakes that students make."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nstlib import SettingError, content_loss, course, exercises, gram_matrix, style_loss, total_variation
from nstlib.checks import OPEN, RIGHT, WRONG, Check, UnsolvedError


@pytest.fixture
def check() -> Check:
    return Check()


def rows(x):
    return x.flatten(2)


def tutorial(x):
    """The PyTorch tutorial's Gram matrix: fine for one picture, wrong for two."""
    n, c, h, w = x.size()
    features = x.view(n * c, h * w)
    return torch.mm(features, features.t()).div(n * c * h * w)


def in_place(x):
    n, c, h, w = x.shape
    x /= (h * w) ** 0.5
    return rows(x) @ rows(x).transpose(1, 2)


def mixed(x):
    flat = rows(x - x.mean(0, keepdim=True) if len(x) > 1 else x)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def hard_coded(x):
    return rows(x) @ rows(x).transpose(1, 2) / 20


def raises(x):
    return x @ torch.zeros(7, 7)


RIGHT_GRAMS = [
    lambda x: rows(x) @ rows(x).transpose(1, 2) / (x.shape[2] * x.shape[3]),
    lambda x: torch.bmm(rows(x), rows(x).mT).div(x.shape[-1] * x.shape[-2]),
    lambda x: torch.einsum("nchw,ndhw->ncd", x, x) / x[0, 0].numel(),
    gram_matrix,
]
WRONG_GRAMS = [
    (lambda x: rows(x) @ rows(x).mT, "by nothing"),
    (lambda x: gram_matrix(x, "chw"), "C*H*W"),
    (lambda x: gram_matrix(x, "none") / x.shape[1], "by C only"),
    (lambda x: gram_matrix(x, "none") / x.numel(), "N*C*H*W"),
    (lambda x: gram_matrix(x, "none") / x.shape[1] ** 2, "mean over the matrix"),
    (lambda x: gram_matrix(x, "none") / x.shape[2], "by H only"),
    (lambda x: gram_matrix(x) / x.shape[0], "N*H*W"),
    (lambda x: gram_matrix(x) * 0.123, "0.123 times"),
    (lambda x: rows(x).mT @ rows(x), "transpose"),
    (tutorial, "mixes the pictures of the batch"),
    (lambda x: gram_matrix(x).mean(0), "added up"),
    (lambda x: x @ x.mT, "rows with rows"),
    (lambda x: x * x, "matrix product"),
    (lambda x: rows(x).mean(2), "all pairs of channels"),
    (lambda x: gram_matrix(x).detach(), "no gradient"),
    (lambda x: gram_matrix(x.data), "no gradient"),
    (lambda x: gram_matrix(x).detach().numpy(), "numpy"),
    (lambda x: gram_matrix(x).double(), "float64"),
    (lambda x: gram_matrix(x).sum().item(), "plain number"),
    (lambda x: [gram_matrix(x)], "a list"),
    (in_place, "in place"),
    (mixed, "mixes the pictures"),
    (hard_coded, "not for (1, 6, 3, 2)"),
    (raises, "raises RuntimeError"),
    (lambda x: gram_matrix(x - x.mean((2, 3), keepdim=True)), "covariance"),
    (lambda x: gram_matrix(F.normalize(rows(x), dim=2)[..., None], "none"), "cosines"),
    (lambda x: x.reshape(len(x), -1, x.shape[1]).mT @ x.reshape(len(x), -1, x.shape[1]) / x[0, 0].numel(), "tears"),
    (lambda x: gram_matrix(x).abs(), "sign"),
    (lambda x: gram_matrix(x) * 0, "zero"),
    (lambda x: gram_matrix(x) / 0, "not finite"),
    (lambda x: gram_matrix(x).cos(), "differ by up to"),
    (lambda x, y: x, "raises TypeError"),
    (torch.zeros(3, 3), "not a function"),
]


def differs(a, b):
    return (a - b).flatten(1)


WRONG_CONTENTS = [
    (lambda a, b: differs(a, b).square().mean(1), "mean over all elements"),
    (lambda a, b: (a - b).square().sum(), "mixes the pictures"),
    (F.mse_loss, "mixes the pictures"),
    (lambda a, b: (a - b).square().sum((2, 3)), "each channel"),
    (lambda a, b: (a - b).square(), "nothing is added up"),
    (lambda a, b: (a - b).square().sum((1, 2, 3), keepdim=True), "keepdim"),
    (lambda a, b: (a - b).square().sum(0), "other way round"),
    (lambda a, b: 0.5 * differs(a, b).square().sum(1), "half"),
    (lambda a, b: 2 * differs(a, b).square().sum(1), "twice"),
    (lambda a, b: differs(a, b).abs().sum(1), "absolute"),
    (lambda a, b: differs(a, b).sum(1), "not squared"),
    (lambda a, b: differs(a, b).sum(1).square(), "squares after adding"),
    (lambda a, b: differs(a, b).norm(dim=1), "root"),
    (lambda a, b: (a + b).square().sum((1, 2, 3)), "adds where it should subtract"),
    (lambda a, b: a.square().sum((1, 2, 3)), "second input"),
    (lambda a, b: (a * b).sum((1, 2, 3)), "multiplies"),
    (lambda a, b: content_loss(a, b, "relative"), "own sum of squares"),
    (lambda a, b: content_loss(a, b).detach(), "no gradient"),
    (lambda a, b: content_loss(a.sub_(b), torch.zeros_like(b)), "in place"),
    (lambda a: a, "raises TypeError"),
]


def no_mean(x):
    return total_variation(x, 2, "sum")


WRONG_VARIATIONS = [
    (no_mean, "sum of each direction"),
    (lambda x: total_variation(x, 1), "absolute differences"),
    (lambda x: (x[:, :, 1:] - x[:, :, :-1]).square().flatten(1).mean(1), "columns, too"),
    (lambda x: (x[..., 1:] - x[..., :-1]).square().flatten(1).mean(1), "rows, too"),
    (lambda x: sum((x - x.roll(1, d)).square().flatten(1).mean(1) for d in (2, 3)), "wraps round"),
    (lambda x: total_variation(x).mean(), "mixes the pictures"),
    (lambda x: total_variation(x) / 2, "half"),
    (lambda x: total_variation(x).sqrt(), "root"),
    (lambda x: sum((x[:, :, 1:] - x[:, :, :-1]).flatten(1).mean(1) for _ in "ab"), "differ"),
]


@pytest.mark.parametrize("f", RIGHT_GRAMS)
def test_right_gram_matrices(check, f):
    verdict = check.gram_matrix(f)
    assert verdict.ok, verdict.message


def told(verdict, words):
    assert verdict.state == WRONG, verdict
    assert words in verdict.message, verdict.message
    first = verdict.message.split(" A hint:")[0]
    assert first.count(". ") == 0, "one sentence"
    assert "\n" not in verdict.message
    assert not verdict.ok


WRONG_SHIFTS = [
    (lambda x, down, right: gram_matrix(x), "nothing is shifted"),
    (lambda x, down, right: exercises.shifted_gram(x, right, down), "swapped"),
    (lambda x, down, right: exercises.shifted_gram(x, down, right).mT, "i and j are swapped"),
    (
        lambda x, down, right: torch.einsum("nihw,njhw->nij", x, x.roll((-down, -right), (2, 3))) / x[0, 0].numel(),
        "wraps",
    ),
]


@pytest.mark.parametrize(("f", "words"), WRONG_SHIFTS)
def test_wrong_shifted_grams_are_told_apart(check, f, words):
    told(check.shifted_gram(f), words)


def test_shifted_gram_matrices(check):
    assert check.shifted_gram(exercises.shifted_gram).ok
    assert check.shifted_gram(...).state == OPEN
    assert check.shifted_gram(lambda x, down, right: ...).state == OPEN
    x = torch.rand(2, 3, 5, 4)
    assert torch.allclose(exercises.shifted_gram(x, 0, 0), gram_matrix(x))
    entry = (x[0, 1, :3, :3] * x[0, 2, 2:, 1:]).mean()  # two down, one to the right
    assert torch.allclose(exercises.shifted_gram(x, 2, 1)[0, 1, 2], entry)


@pytest.mark.parametrize(("f", "words"), WRONG_GRAMS)
def test_wrong_gram_matrices_are_told_apart(check, f, words):
    told(check.gram_matrix(f), words)


def test_other_divisors(check):
    assert check.gram_matrix(lambda x: gram_matrix(x, "chw"), divisor="chw").ok
    assert check.gram_matrix(lambda x: gram_matrix(x, "none"), divisor="none").ok
    told(check.gram_matrix(gram_matrix, divisor="none"), "it divides by H*W; the divisor here is nothing")
    told(check.gram_matrix(gram_matrix, divisor="chw"), "the divisor here is C*H*W")


@pytest.mark.parametrize(("f", "words"), WRONG_CONTENTS)
def test_wrong_content_losses_are_told_apart(check, f, words):
    told(check.content_loss(f), words)


def test_right_losses(check):
    assert check.content_loss(lambda a, b: ((a - b) ** 2).sum(dim=(1, 2, 3))).ok
    assert check.content_loss(lambda a, b: ((a - b) ** 2).mean(dim=(1, 2, 3)), reduction="mean").ok
    assert check.content_loss(lambda a, b: content_loss(a, b, "relative"), reduction="relative").ok
    assert check.style_loss(style_loss).ok
    assert check.total_variation(total_variation).ok
    assert check.total_variation(lambda x: total_variation(x, 1, "sum"), power=1, reduction="sum").ok
    told(check.content_loss(content_loss, reduction="mean"), "it is the sum")
    told(check.content_loss(content_loss, reduction="relative"), "own sum of squares")
    told(check.style_loss(lambda a, b: style_loss(a, b, "mean")), "the mean over all elements")
    told(check.style_loss(lambda a, b: style_loss(a, b) / 4), "a quarter")
    told(check.total_variation(lambda x: total_variation(x, 2), power=1), "squares")


@pytest.mark.parametrize(("f", "words"), WRONG_VARIATIONS)
def test_wrong_total_variations_are_told_apart(check, f, words):
    told(check.total_variation(f), words)


def test_the_gradient_of_the_content_loss_agrees_with_autograd(check):
    right = exercises.gradient_exercise().reference
    generator = torch.Generator().manual_seed(0)
    before, target = (torch.randn(2, 3, 4, 5, generator=generator) for _ in range(2))
    before[..., 0] = 0  # at the bend
    before.requires_grad_()
    (wanted,) = torch.autograd.grad(0.5 * content_loss(before.relu(), target).sum(), before)
    assert torch.allclose(right(before, target), wanted)
    assert check.content_gradient(right).ok
    assert check.content_gradient(lambda b, p: torch.where(b > 0, b - p, torch.zeros_like(b))).ok


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda b, p: b.relu() - p, "where the ReLU is shut"),
        (lambda b, p: b - p, "without ReLU"),
        (lambda b, p: (b.relu() - p) * (b >= 0), "at the bend"),
        (lambda b, p: (b.relu() - p) * (p > 0), "its own input"),
        (lambda b, p: 2 * (b.relu() - p) * (b > 0), "twice"),
        (lambda b, p: (p - b.relu()) * (b > 0), "sign"),
        (lambda b, p: 0.5 * (b.relu() - p).square(), "the loss of every element"),
        (lambda b, p: ((b.relu() - p) * (b > 0)).sum(), "is wanted"),
    ],
)
def test_wrong_gradients_are_told_apart(check, f, words):
    told(check.content_gradient(f), words)


def unfinished(*_):
    raise NotImplementedError


@pytest.mark.parametrize(
    "nothing", [..., None, NotImplemented, NotImplementedError, lambda *a: None, lambda *a: ..., unfinished]
)
def test_not_done_yet_never_raises(check, nothing):
    verdicts = [
        check.gram_matrix(nothing),
        check.content_loss(nothing),
        check.style_loss(nothing),
        check.total_variation(nothing),
    ]
    if not callable(nothing) or isinstance(nothing, type):
        verdicts += [check.number("n", nothing, 3), check.choice("c", nothing, "a"), check.picture("p", nothing)]
    assert {v.state for v in verdicts} == {OPEN}
    assert not any(v.ok for v in verdicts)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (-250, "the sign"),
        (500, "two times too large"),
        (0.25, "a thousand times too small"),
        (300, "too large"),
        (2, "much too small"),
        (float("nan"), "no usable number"),
        ("250", "a str"),
        (True, "a bool"),
        (torch.zeros(3), "a tensor of shape (3,)"),
        (np.zeros(2), "a numpy array"),
    ],
)
def test_wrong_numbers(check, answer, words):
    told(check.number("how many", answer, 250), words)
    assert "250" not in check.verdicts["how many"].message.replace(repr(answer), "").replace("-250", "")


def test_right_numbers(check):
    for answer in (250, 251.0, torch.tensor(250.0), np.float32(250), np.int64(250)):
        assert check.number("n", answer, 250).ok
    assert not check.number("n", 251, 250, tolerance=0).ok
    assert check.number("n", 0.001, 0, tolerance=0.01).ok
    assert "because" in check.number("n", 250, 250, why="because").message
    assert not check.number("n", 1, 0).ok


def test_choices(check):
    explain = {"a": "no sun is there.", "b": "so it is."}
    assert check.choice("q", " B ", "b", explain).message == "right. so it is."
    told(check.choice("q", "a", "b", explain), "no sun is there")
    told(check.choice("q", "z", "b", explain), "none of the answers; choose from a, b")
    told(check.choice("q", 2, "b", explain), "in quotes")
    told(check.choice("q", "a", "b"), "'a' is not it")
    assert check.choice("q", "relu4_2", ["relu4_1", "relu4_2"]).ok
    assert check.choice("q", "", "b").state == OPEN


def test_pictures(check, photo):
    assert check.picture("p", photo, shape=(48, 64)).ok
    assert check.picture("p", photo, like=photo + 0.001, unlike=1 - photo).ok

    class Result:
        image, records = photo, ()

    four = torch.cat([photo, photo[:, :1]], 1)
    nan = photo.clone()
    nan[0, 0, 0, 0] = float("nan")
    for wrong, words in (
        (Result(), ".image"),
        (photo[0], "batch in front"),
        (photo.permute(0, 2, 3, 1), "permute"),
        (four, "transparency"),
        (photo[:, :1], "grey"),
        (photo * 255, "up to 255"),
        ((photo * 255).byte(), "uint8"),
        (photo - 0.5, "clamp"),
        (nan, "not finite"),
        (photo * 0, "flat"),
        (photo.numpy(), "numpy array"),
        (photo.mT, "swapped"),
        (photo[:, :, 8:], "40 high"),
        (photo * 0.9, "nothing has changed" if False else "differs"),
        (photo.flip(1), "BGR"),
    ):
        told(check.picture("p", wrong, shape=(48, 64), like=photo, tolerance=0.01), words)
    told(check.picture("p", photo, unlike=photo), "nothing has changed")
    told(check.picture("p", photo, test=lambda p: "too dark."), "too dark.")
    told(check.picture("p", photo, test=lambda p: False), "not yet")


def test_hints_come_one_by_one(check):
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
    check.choice("q", "a", "b")
    check.number("n", ..., 3)
    with pytest.raises(UnsolvedError, match="q: .*\n.*n: ") as caught:
        check.require_all()
    assert "content_loss" not in str(caught.value)
    assert check.summary().line == "1 of 3 exercises right."
    assert "q: wrong" in str(check.summary())
    assert "not done yet" in check.summary()._repr_html_()
    check.choice("q", "b", "b")
    check.number("n", 3, 3)
    assert check.require_all().line.endswith("Well done!")
    with pytest.raises(UnsolvedError, match="gram_matrix: never checked"):
        check.require_all(["gram_matrix"])
    check.reset()
    assert check.verdicts == {}


def test_a_verdict_is_plain_text_and_safe_html(check):
    verdict = check.choice("<q>", "<b>", "a")
    assert str(verdict).startswith("✗ <q>: ")
    assert "&lt;q&gt;" in verdict._repr_html_()
    assert "<b>&" not in verdict.message
    assert check.choice("c", "a", "a").state == RIGHT


def test_checks_need_only_torch():
    """In a fresh process without matplotlib, ipywidgets and IPython."""
    code = (
        "import sys\n"
        "missing = ('matplotlib', 'ipywidgets', 'IPython', 'matplotlib_inline', 'skimage')\n"
        "sys.modules.update(dict.fromkeys(missing))\n"
        "from nstlib import course, gram_matrix\n"
        "course.setup()\n"
        "assert course.check.gram_matrix(gram_matrix).ok\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 2
    assert "scale: smoke" in lines[1]


def test_scales(monkeypatch):
    names = [lesson.name for lesson in course.LESSONS]
    assert [n[:2] for n in names] == [f"{i:02d}" for i in range(13)]
    for name in names:
        sizes = []
        for scale in ("smoke", "cpu", "gpu"):
            monkeypatch.setenv("NST_SCALE", scale)
            sizes.append(course.scale_for(name))
        assert sizes[0].size < sizes[1].size <= sizes[2].size  # lesson 12 has the report's size at both
        assert sizes[0].steps < sizes[1].steps <= sizes[2].steps
    assert set(course.SCALES) <= {*names, "every other lesson"}
    with pytest.raises(SettingError, match="there is no lesson '13_x'"):
        course.scale_for("13_x")


def test_lesson_table_says_which_exist():
    table = course.lesson_table(["00_start_here"])
    assert str(table).count("ready") == 1
    assert str(table).count("planned") == 12
    assert "href='00_start_here.ipynb'" in table._repr_html_()
    assert "href='01" not in table._repr_html_()
    assert course.LESSONS[1].title == "VGG anatomy"
    assert "00_start_here" in course.existing_lessons()


def test_setup_seeds_and_forgets(capsys):
    course.check.choice("old", "a", "a")
    course.setup()
    first = torch.rand(3)
    course.setup()
    assert torch.equal(first, torch.rand(3))
    assert course.check.verdicts == {}
    assert capsys.readouterr().out.count("\n") == 4


def test_the_lesson_is_python_and_hides_its_solutions():
    source = Path(course.__file__).parent.parent / "notebooks" / "source" / "00_start_here.py"
    text = source.read_text(encoding="utf-8")
    ast.parse(text)
    assert text.count("# SOLUTION") == text.count("# END SOLUTION") == text.count('tags=["exercise"]') >= 2
