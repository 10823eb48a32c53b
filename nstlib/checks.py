"""Checks of the exercises: each compares with a reference and says in one plain sentence what is wrong.

``check`` is the one object that the lessons use. A check answers with a ``Verdict``, never with an
exception, and keeps it for ``check.summary()`` and ``check.require_all()``. No message holds a solution.
Needs torch only. What functions under test must do is in ``exercises.py``.
"""

from __future__ import annotations

import html
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from . import exercises, reference

RIGHT, WRONG, OPEN = "right", "wrong", "not done yet"
_MARK = {RIGHT: "✓", WRONG: "✗", OPEN: "○"}
_COLOUR = {RIGHT: "#3d8b4f", WRONG: "#c9503c", OPEN: "#8a8f98"}

HINTS: dict[str, tuple[str, ...]] = {
    "gram_matrix": (
        "Write each feature map as one long row: (N, C, H, W) becomes (N, C, H*W).",
        "Entry (i, j) is the inner product of row i with row j: multiply by the rows' own transpose.",
        "Transpose the last two dimensions only (the batch stays first); divide by the number of positions.",
    ),
    "shifted_gram": (
        "Make two pieces of the same shape: all but the last rows and columns, and all but the first.",
        "features[:, :, down:, right:] is the second; the first ends as many rows and columns earlier.",
        "Then the Gram matrix, but of one piece with the other, over the number of positions of a piece.",
    ),
    "content_loss": (
        "Subtract first, square each difference, then add.",
        "One number a picture: add over every dimension but the first.",
        "Tensor.sum takes a tuple of dimensions; counting starts at 0, and 0 is the batch.",
    ),
    "content_gradient": (
        "F is relu(before); without a ReLU on the way the answer would be F - P.",
        "Where the ReLU is shut, before < 0, a small change of `before` changes nothing.",
    ),
    "style_loss": (
        "It is the squared distance again, this time between two Gram matrices of shape (N, C, C).",
        "One number a picture: add over both dimensions of the matrix, not over the batch.",
    ),
    "total_variation": (
        "Neighbours differ by one slice minus another: all rows but the first minus all but the last.",
        "Do the same for columns, on the last dimension.",
        "Each of the two has its own mean over channels, rows and columns; then add the two.",
    ),
    "instance_norm": (
        "Each map of each picture has a mean of its own: reduce the last two dimensions, with keepdim=True.",
        "x.var((2, 3), correction=0, keepdim=True) divides by H*W, as the formula does; do not forget the root.",
    ),
}


@dataclass(frozen=True)
class Verdict:
    """What a check found: ``state`` is "right", "wrong" or "not done yet"."""

    name: str
    state: str
    message: str

    @property
    def ok(self) -> bool:
        return self.state == RIGHT

    def __str__(self) -> str:
        return f"{_MARK[self.state]} {self.name}: {self.message}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _box(self.state, f"<b>{_MARK[self.state]} {html.escape(self.name)}</b> · {html.escape(self.message)}")


@dataclass(frozen=True)
class Hint:
    """A hint, or the news that there are no more."""

    text: str

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _box(OPEN, html.escape(self.text))


@dataclass(frozen=True)
class Summary:
    """All verdicts of the lesson so far."""

    verdicts: tuple[Verdict, ...]

    @property
    def ok(self) -> bool:
        return bool(self.verdicts) and all(v.ok for v in self.verdicts)

    @property
    def line(self) -> str:
        if not self.verdicts:
            return "no exercise has been checked yet."
        done = sum(v.ok for v in self.verdicts)
        return f"{done} of {len(self.verdicts)} exercises right" + (". Well done!" if self.ok else ".")

    def __str__(self) -> str:
        return "\n".join([self.line, *(f"  {_MARK[v.state]} {v.name}: {v.state}" for v in self.verdicts)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<div style='color:{_COLOUR[v.state]}'>{_MARK[v.state]} {html.escape(v.name)}: {v.state}</div>"
            for v in self.verdicts
        )
        return _box(RIGHT if self.ok else OPEN, f"<b>{html.escape(self.line)}</b>{rows}")


def _box(state: str, inner: str) -> str:
    # no background: it stays legible on a light and on a dark page
    style = f"border-left:4px solid {_COLOUR[state]};padding:.35em .8em;margin:.3em 0;line-height:1.5"
    return f"<div style='{style}'>{inner}</div>"


class UnsolvedError(AssertionError):
    """Raised by ``require_all`` alone."""


class Check:
    """The checks of a lesson and their verdicts."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all verdicts and hints; ``course.setup`` does it at the start of a lesson."""
        self.verdicts: dict[str, Verdict] = {}
        self._hints: dict[str, tuple[str, ...]] = dict(HINTS)
        self._given: dict[str, int] = {}

    # --- functions that the student writes -------------------------------------------------------

    def gram_matrix(self, f: object, divisor: str = "hw") -> Verdict:
        """f(features (N, C, H, W)) -> (N, C, C), over ``divisor``: "hw", "chw" or "none"."""
        return self._function("gram_matrix", f, exercises.gram_exercise(divisor))

    def shifted_gram(self, f: object) -> Verdict:
        """f(features (N, C, H, W), down, right) -> (N, C, C): see ``exercises.shifted_gram``."""
        down, right = 1, 2
        moved = (lambda x: f(x, down, right)) if callable(f) and not _is_open(f) else f
        return self._function("shifted_gram", moved, exercises.shifted_gram_exercise(down, right))

    def content_loss(self, f: object, reduction: str = "sum") -> Verdict:
        """f(features, target), both (N, C, H, W) -> (N,); ``reduction``: "sum", "mean" or "relative"."""
        return self._function("content_loss", f, exercises.distance_exercise((2, 3, 4, 5), reduction))

    def content_gradient(self, f: object) -> Verdict:
        """f(before, target), both (N, C, H, W) -> the gradient of Gatys 2016 eq. 1 with respect to ``before``."""
        return self._function("content_gradient", f, exercises.gradient_exercise())

    def style_loss(self, f: object, reduction: str = "sum") -> Verdict:
        """f(gram, target), both (N, C, C) -> (N,); ``reduction``: "sum", "mean" or "relative"."""
        return self._function("style_loss", f, exercises.distance_exercise((2, 5, 5), reduction))

    def total_variation(self, f: object, power: int = 2, reduction: str = "mean") -> Verdict:
        """f(images (N, 3, H, W)) -> (N,); ``power``: 1 or 2, ``reduction``: "mean" or "sum"."""
        return self._function("total_variation", f, exercises.variation_exercise(power, reduction))

    def instance_norm(self, f: object) -> Verdict:
        """f(features (N, C, H, W)) -> the same shape, each map with mean 0 and variance 1; epsilon 1e-5."""
        return self._function("instance_norm", f, exercises.instance_norm_exercise())

    def _function(self, name: str, f: object, exercise: reference.Exercise) -> Verdict:
        if _is_open(f):
            return self._keep(name, OPEN, "replace the dots with your code, then run this cell again.")
        if not callable(f):
            return self._keep(name, WRONG, f"this is {_kind(f)}, not a function; hand over the name after 'def'.")
        fault = reference.examine(f, exercise)
        if fault is None:
            return self._keep(name, RIGHT, "right: values, shapes, batches and gradients agree with the library's.")
        if fault is reference.NOTHING:
            return self._keep(name, OPEN, "the function gives back None so far; write its body and end with 'return'.")
        return self._keep(name, WRONG, fault)

    # --- answers that the student gives ------------------------------------------------------------

    def number(
        self,
        name: str,
        answer: object,
        expected: float,
        tolerance: float | None = None,
        hint: str | Sequence[str] = (),
        why: str = "",
    ) -> Verdict:
        """A number, right within ``tolerance`` (absolute; by default a hundredth of ``expected``).

        ``hint`` holds hints for ``check.hint(name)``; ``why`` is added to the message once it is right.
        """
        self._learn(name, hint)
        if _is_open(answer):
            return self._keep(name, OPEN, "put your number in place of the dots, then run this cell again.")
        if isinstance(answer, Tensor) and answer.numel() == 1:
            answer = answer.item()
        if hasattr(answer, "item") and not isinstance(answer, numbers.Real):
            answer = _item(answer)
        if isinstance(answer, bool) or not isinstance(answer, numbers.Real):
            return self._keep(name, WRONG, f"a number is wanted, but this is {_kind(answer)}.")
        value, expected = float(answer), float(expected)
        allowed = abs(expected) / 100 if tolerance is None else tolerance
        if abs(value - expected) <= allowed:
            return self._keep(name, RIGHT, f"right. {why}".strip())
        return self._keep(name, WRONG, _number_fault(value, expected, allowed))

    def choice(
        self,
        name: str,
        answer: object,
        correct: str | Iterable[str],
        explain: Mapping[str, str] | None = None,
        hint: str | Sequence[str] = (),
    ) -> Verdict:
        """One of several answers, capitals and spaces aside. ``explain``: answers and what is said of them."""
        self._learn(name, hint)
        if _is_open(answer) or answer == "":
            return self._keep(name, OPEN, "put your choice in place of the dots, then run this cell again.")
        explain = {_plain(k): v for k, v in (explain or {}).items()}
        allowed = {_plain(c) for c in ([correct] if isinstance(correct, str) else correct)}
        if not isinstance(answer, str):
            return self._keep(name, WRONG, f'the answer is a word in quotes, such as "a"; this is {_kind(answer)}.')
        given = _plain(answer)
        if explain and given not in set(explain) | allowed:
            return self._keep(name, WRONG, f"{answer!r} is none of the answers; choose from {', '.join(explain)}.")
        if given in allowed:
            return self._keep(name, RIGHT, f"right. {explain.get(given, '')}".strip())
        return self._keep(name, WRONG, explain.get(given) or f"{answer!r} is not it; look at the figure once more.")

    def picture(
        self,
        name: str,
        picture: object,
        shape: Sequence[int] | None = None,
        like: Tensor | None = None,
        tolerance: float = 0.02,
        unlike: Tensor | None = None,
        test: Callable[[Tensor], bool | str] | None = None,
        hint: str | Sequence[str] = (),
        why: str = "",
    ) -> Verdict:
        """A picture (1, 3, H, W) in [0, 1]; ``shape`` may be (H, W) or the whole shape.

        like: what it must be, with a mean difference up to ``tolerance``; unlike: what it must not be.
        test: gets the picture and answers True, or one sentence that says what is wrong.
        """
        self._learn(name, hint)
        if _is_open(picture):
            return self._keep(name, OPEN, "put your picture in place of the dots, then run this cell again.")
        fault = reference.picture_fault(picture, shape, like, tolerance, unlike)
        if fault is None and test is not None:
            found = test(picture)
            fault = None if found is True else found if isinstance(found, str) else "it is not yet what was asked for."
        if fault is None:
            return self._keep(name, RIGHT, f"right. {why}".strip())
        return self._keep(name, WRONG, fault)

    # --- hints and the end of the lesson -----------------------------------------------------------

    def hint(self, name: str) -> Hint:
        """The next hint for an exercise; each call gives one more."""
        hints = self._hints.get(name)
        if not hints:
            known = ", ".join(sorted(set(self._hints) & set(self.verdicts))) or "run the exercise's check first"
            return Hint(f"There are no hints for {name!r} ({known}).")
        given = self._given.get(name, 0)
        if given >= len(hints):
            return Hint(f"Those were all {len(hints)} hints; the solved copy of this lesson has the answer.")
        self._given[name] = given + 1
        return Hint(f"Hint {given + 1} of {len(hints)}: {hints[given]}")

    def summary(self) -> Summary:
        """What is right, wrong and open in this lesson."""
        return Summary(tuple(self.verdicts.values()))

    def require_all(self, names: Iterable[str] = ()) -> Summary:
        """The summary if every exercise (and each of ``names``) is right, else UnsolvedError with the others."""
        missing = [n for n in names if n not in self.verdicts]
        faults = [str(v) for v in self.verdicts.values() if not v.ok] + [f"{n}: never checked" for n in missing]
        if not self.verdicts and not missing:
            faults = ["no exercise was checked at all"]
        if faults:
            raise UnsolvedError("not every exercise is right:\n" + "\n".join(faults))
        return self.summary()

    def _learn(self, name: str, hint: str | Sequence[str]) -> None:
        if hint:
            self._hints[name] = (hint,) if isinstance(hint, str) else tuple(hint)

    def _keep(self, name: str, state: str, message: str) -> Verdict:
        if state == WRONG and self._given.get(name, 0) < len(self._hints.get(name, ())):
            message += f' A hint: check.hint("{name}").'
        if state == OPEN:
            message = f"{OPEN}: {message}"
        self.verdicts[name] = Verdict(name, state, message)
        return self.verdicts[name]


def _is_open(answer: object) -> bool:
    return answer is None or answer is Ellipsis or answer is NotImplemented or answer is NotImplementedError


def _plain(answer: str) -> str:
    return " ".join(answer.lower().strip(" .()'\"").split())


def _item(answer: object) -> object:
    try:
        return answer.item()  # numpy's numbers
    except (ValueError, RuntimeError, TypeError):
        return answer


def _kind(value: object) -> str:
    return reference.kind(value)


_FACTORS = {2: "two times", 3: "three times", 4: "four times", 10: "ten times", 100: "a hundred times",
            1000: "a thousand times", 1e6: "a million times"}  # fmt: skip


def _number_fault(value: float, expected: float, allowed: float) -> str:
    """What is wrong with a number, without saying the right one."""
    if not math.isfinite(value):
        return f"{value} is no usable number; was something divided by zero?"
    if abs(value + expected) <= allowed:
        return "the size is right, but the sign is not."
    if expected and value:
        for factor, words in _FACTORS.items():
            if abs(value / expected / factor - 1) < 0.01:
                return f"{value:g} is {words} too large."
            if abs(value / expected * factor - 1) < 0.01:
                return f"{value:g} is {words} too small."
    side = "large" if value > expected else "small"
    far = "much too" if expected == 0 or not 0.5 < value / expected < 2 else "too"
    return f"{value:g} is {far} {side}."


check = Check()
"""The object of the lessons: one for the notebook."""
