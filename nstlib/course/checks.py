"""Checks of the exercises: each says in one plain sentence what is wrong, and never what is right.

``check`` is the one object that the lessons use. A check returns a ``Verdict``, never raises an exception, and keeps
the verdict for ``check.summary()`` and ``check.require_all()``. What is asked, and what is right, is defined in the
package ``tasks`` and in ``exercises.py``. This module needs torch only.
"""

from __future__ import annotations

import html
import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import Tensor

from ..errors import SettingError
from ..losses import GramDivisor, Reduction, TVReduction
from . import exercises
from .grading import NO_RESULT, Exercise, call, describe_value, examine, picture_fault
from .tasks import Choice, Number, Program, Task, all_tasks, key_of
from .tasks.kinds import simplify

State = Literal["right", "made", "wrong", "not done yet"]
RIGHT: State = "right"
MADE: State = "made"
"""A prediction, which is neither right nor wrong."""

WRONG: State = "wrong"
OPEN: State = "not done yet"

_MARK = {RIGHT: "✓", MADE: "→", WRONG: "✗", OPEN: "○"}
_COLOUR = {RIGHT: "#3d8b4f", MADE: "#2f6f9f", WRONG: "#c9503c", OPEN: "#8a8f98"}


@dataclass(frozen=True)
class Verdict:
    """The result of one check.

    Attributes:
        name: Name of the exercise.
        state: "right", "wrong", "not done yet", or "made" for a prediction.
        message: One sentence for the student, and an offer of a hint where there is one.
    """

    name: str
    state: State
    message: str

    @property
    def ok(self) -> bool:
        """Whether the answer is right, or the prediction made."""
        return self.state in (RIGHT, MADE)

    def __str__(self) -> str:
        return f"{_MARK[self.state]} {self.name}: {self.message}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _box(self.state, f"<b>{_MARK[self.state]} {html.escape(self.name)}</b> · {html.escape(self.message)}")


@dataclass(frozen=True)
class Hint:
    """A hint, or the message that there are no more."""

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
        """Whether at least one exercise was checked and all answers are right."""
        return bool(self.verdicts) and all(v.ok for v in self.verdicts)

    @property
    def line(self) -> str:
        """How many exercises are right, in one sentence."""
        if not self.verdicts:
            return "no exercise has been checked yet."
        right, made = (sum(v.state == state for v in self.verdicts) for state in (RIGHT, MADE))
        predictions = "" if not made else f", {made} prediction{'s' * (made > 1)} made"
        return f"{right} of {len(self.verdicts) - made} exercises right{predictions}." + " Well done!" * self.ok

    def __str__(self) -> str:
        return "\n".join([self.line, *(f"  {_MARK[v.state]} {v.name}: {v.state}" for v in self.verdicts)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<div style='color:{_COLOUR[v.state]}'>{_MARK[v.state]} {html.escape(v.name)}: {v.state}</div>"
            for v in self.verdicts
        )
        return _box(RIGHT if self.ok else OPEN, f"<b>{html.escape(self.line)}</b>{rows}")


def _box(state: State, content: str) -> str:
    # without a background, so that it is legible on a light and on a dark page
    style = f"border-left:4px solid {_COLOUR[state]};padding:.35em .8em;margin:.3em 0;line-height:1.5"
    return f"<div style='{style}'>{content}</div>"


class UnsolvedError(AssertionError):
    """Raised by ``Check.require_all`` only: an exercise is not solved."""


class Check:
    """The checks of a lesson.

    Attributes:
        verdicts: The latest verdict of each exercise, by name.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all verdicts and hints; ``course.setup`` calls it at the start of a lesson."""
        self.verdicts: dict[str, Verdict] = {}
        tasks: dict[str, Task] = {**exercises.all_exercises(), **all_tasks()}
        self._hints = {name: task.hints for name, task in tasks.items()}
        self._hints_given: dict[str, int] = {}

    # --- functions that the student writes -------------------------------------------------------------

    def gram_matrix(self, function: object, divisor: GramDivisor = "hw") -> Verdict:
        """Check f(features (N, C, H, W)) -> Gram matrices (N, C, C), divided by H*W, C*H*W or nothing ("none")."""
        return self._check_function(function, exercises.gram_matrix_exercise(divisor))

    def shifted_gram(self, function: object) -> Verdict:
        """Check f(features (N, C, H, W), down, right) -> (N, C, C), see ``exercises.shifted_gram``."""
        return self._check_function(function, exercises.shifted_gram_exercise())

    def content_loss(self, function: object, reduction: Reduction = "sum") -> Verdict:
        """Check f(features, target), both (N, C, H, W), -> squared distance (N,), see ``nstlib.content_loss``."""
        return self._check_function(function, exercises.content_loss_exercise(reduction))

    def content_gradient(self, function: object) -> Verdict:
        """Check f(before, target), both (N, C, H, W), -> (N, C, H, W), see ``exercises.content_gradient``."""
        return self._check_function(function, exercises.content_gradient_exercise())

    def style_loss(self, function: object, reduction: Reduction = "sum") -> Verdict:
        """Check f(gram, target), both (N, C, C), -> squared distance (N,), see ``nstlib.style_loss``."""
        return self._check_function(function, exercises.style_loss_exercise(reduction))

    def total_variation(self, function: object, power: exercises.Power = 2, reduction: TVReduction = "mean") -> Verdict:
        """Check f(images (N, 3, H, W)) -> total variation (N,), see ``nstlib.total_variation``."""
        return self._check_function(function, exercises.total_variation_exercise(power, reduction))

    def instance_norm(self, function: object) -> Verdict:
        """Check f(features (N, C, H, W)) -> (N, C, H, W), see ``exercises.instance_norm``."""
        return self._check_function(function, exercises.instance_norm_exercise())

    def function(self, name: str, function: object) -> Verdict:
        """Check a function; what it should do is defined by the task of this name."""
        task = all_tasks().get(name)
        if not isinstance(task, (Exercise, Program)):
            raise SettingError(f"no lesson has an exercise {name!r} about a function; correct the name.")
        return self._check_function(function, task)

    def _check_function(self, function: object, exercise: Exercise | Program) -> Verdict:
        name = exercise.name
        if _is_unanswered(function):
            return self._record(name, OPEN, "replace the dots with your code, then run this cell again.")
        if not callable(function):
            found = describe_value(function)
            return self._record(name, WRONG, f"this is {found}, not a function; pass the name that follows 'def'.")
        if isinstance(exercise, Program):
            fault = _run_program(function, exercise)
            praise = f"right. {exercise.why}".strip()
        else:
            fault = examine(function, exercise)
            praise = "right: values, shapes, batches and gradients agree with the reference."
        if fault is None:
            return self._record(name, RIGHT, praise)
        return self._record(name, OPEN if fault == NO_RESULT else WRONG, fault)

    # --- answers that the student gives ----------------------------------------------------------------

    def number(self, name: str, answer: object, *data: Any, **question: Any) -> Verdict:
        """Check a number: a number, or a tensor or numpy array with one element.

        Args:
            name: Name of the task.
            answer: The student's answer.
            data: What the task's reference needs from the notebook, such as a measured tensor.
            question: For a lesson without such a task: ``tolerance``, ``hint``, ``why``; ``data`` is the right number.
        """
        task = None if question else all_tasks().get(name)
        if task is None and data:
            task = _number_in_notebook(name, data[0], **question)
            self._hints[name], data = task.hints, ()
        if not isinstance(task, Number):
            raise SettingError(f"no lesson has a question {name!r} whose answer is a number; correct the name.")
        if _is_unanswered(answer):
            return self._record(name, OPEN, "put your number in place of the dots, then run this cell again.")
        answer = _as_plain_number(answer)
        if isinstance(answer, bool) or not isinstance(answer, numbers.Real):
            return self._record(name, WRONG, f"a number is expected, but this is {describe_value(answer)}.")
        value, expected = float(answer), float(task.reference(*data))
        accepted = abs(expected) / 100 if task.tolerance is None else task.tolerance
        if abs(value - expected) <= accepted:
            return self._record(name, RIGHT, f"right. {task.why}".strip())
        return self._record(name, WRONG, _number_fault(value, expected, accepted))

    def choice(self, name: str, answer: object, **question: Any) -> Verdict:
        """Check one of several answers; capitals, spaces and punctuation around it are ignored.

        Args:
            name: Name of the task.
            answer: The student's answer.
            question: For a lesson without such a task: ``correct``, ``explain``, ``hint``.
        """
        task = all_tasks().get(name)
        if question:
            task = _choice_in_notebook(name, **question)
            self._hints[name] = task.hints
        if not isinstance(task, Choice):
            raise SettingError(f"no lesson has a question {name!r} with several answers; correct the name.")
        if _is_unanswered(answer) or answer == "":
            return self._record(name, OPEN, "put your choice in place of the dots, then run this cell again.")
        if not isinstance(answer, str):
            found = describe_value(answer)
            return self._record(name, WRONG, f'the answer is a word in quotes, such as "a", but this is {found}.')
        remarks = {simplify(key): sentence for key, sentence in task.remarks.items()}
        chosen = simplify(answer)
        is_right = key_of(name, chosen) in task.keys
        if remarks and chosen not in remarks and not is_right:
            return self._record(name, WRONG, f"{answer!r} is none of the answers; choose from {', '.join(remarks)}.")
        if is_right:
            return self._record(name, RIGHT, f"right. {remarks.get(chosen, '')}".strip())
        return self._record(name, WRONG, remarks.get(chosen, f"{answer!r} is not right; look at the figure once more."))

    def prediction(self, name: str, guess: object, measured: float, unit: str = "") -> Verdict:
        """Return a prediction beside the measured number; any finite number counts as done.

        Args:
            name: Name of the prediction.
            guess: The student's number, given before the measurement.
            measured: What was measured.
            unit: Unit of both.
        """
        if _is_unanswered(guess):
            return self._record(name, OPEN, "write down a number first; there is no wrong prediction.")
        guess = _as_plain_number(guess)
        if isinstance(guess, bool) or not isinstance(guess, numbers.Real) or not math.isfinite(guess):
            return self._record(name, WRONG, f"a number is expected, but this is {describe_value(guess)}.")
        message = f"you predicted {float(guess):.4g} {unit}".rstrip() + f"; measured: {measured:.4g} {unit}".rstrip()
        return self._record(name, MADE, f"{message}.")

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
        """Check a picture (1, 3, H, W) in [0, 1].

        Args:
            name: Name of the exercise.
            picture: The student's picture.
            shape: Expected (H, W) or whole shape.
            like: The expected picture.
            tolerance: Largest accepted mean absolute difference from ``like``.
            unlike: A picture that the answer must differ from.
            test: Takes the picture and returns True, or one sentence that says what is wrong.
            hint: One hint or several for ``check.hint(name)``.
            why: Explanation that is added to the message when the answer is right.
        """
        self._set_hints(name, hint)
        if _is_unanswered(picture):
            return self._record(name, OPEN, "put your picture in place of the dots, then run this cell again.")
        fault = picture_fault(picture, shape, like, tolerance, unlike)
        if fault is None and test is not None and isinstance(picture, Tensor):
            found = test(picture)
            if found is not True:
                fault = found if isinstance(found, str) else "it does not fulfil the task yet."
        if fault is not None:
            return self._record(name, WRONG, fault)
        return self._record(name, RIGHT, f"right. {why}".strip())

    # --- hints and the end of the lesson ---------------------------------------------------------------

    def hint(self, name: str) -> Hint:
        """Return the next hint for an exercise; each call returns one more."""
        hints = self._hints.get(name)
        if not hints:
            known = ", ".join(sorted(set(self._hints) & set(self.verdicts))) or "run the exercise's check first"
            return Hint(f"There are no hints for {name!r} ({known}).")
        given = self._hints_given.get(name, 0)
        if given >= len(hints):
            given_all = "That was the only hint" if len(hints) == 1 else f"Those were all {len(hints)} hints"
            return Hint(f"{given_all}; the solved copy of this lesson has the answer.")
        self._hints_given[name] = given + 1
        return Hint(f"Hint {given + 1} of {len(hints)}: {hints[given]}")

    def summary(self) -> Summary:
        """Return the verdicts of this lesson so far."""
        return Summary(tuple(self.verdicts.values()))

    def require_all(self, names: Iterable[str] = ()) -> Summary:
        """Return the summary if every checked exercise, and each of ``names``, is right.

        Raises:
            UnsolvedError: An exercise is wrong, not done yet or was never checked.
        """
        never_checked = [name for name in names if name not in self.verdicts]
        faults = [str(verdict) for verdict in self.verdicts.values() if not verdict.ok]
        faults += [f"{name}: never checked" for name in never_checked]
        if not self.verdicts and not never_checked:
            faults = ["no exercise was checked at all"]
        if faults:
            raise UnsolvedError("not every exercise is right:\n" + "\n".join(faults))
        return self.summary()

    def _set_hints(self, name: str, hint: str | Sequence[str]) -> None:
        if hint:
            self._hints[name] = (hint,) if isinstance(hint, str) else tuple(hint)

    def _record(self, name: str, state: State, message: str) -> Verdict:
        """Keep and return a verdict."""
        message += "" if message.endswith((".", "?", "!")) else "."
        if state == WRONG and self._hints_given.get(name, 0) < len(self._hints.get(name, ())):
            message += f' For a hint: check.hint("{name}").'
        if state == OPEN:
            message = f"{OPEN}: {message}"
        self.verdicts[name] = Verdict(name, state, message)
        return self.verdicts[name]


def _number_in_notebook(
    name: str, expected: float, tolerance: float | None = None, hint: str | Sequence[str] = (), why: str = ""
) -> Number:
    """Return the task of a lesson that defines it in its notebook."""
    return Number(name, lambda: float(expected), tolerance, _as_tuple(hint), why)


def _choice_in_notebook(
    name: str,
    correct: str | Iterable[str],
    explain: Mapping[str, str] | None = None,
    hint: str | Sequence[str] = (),
) -> Choice:
    """Return the task of a lesson that defines it in its notebook."""
    answers = _as_tuple(correct) if isinstance(correct, str) else tuple(correct)
    return Choice(name, tuple(key_of(name, answer) for answer in answers), explain or {}, _as_tuple(hint))


def _as_tuple(texts: str | Sequence[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) and texts else tuple(texts)


def _is_unanswered(answer: object) -> bool:
    return answer is None or answer is Ellipsis or answer is NotImplemented or answer is NotImplementedError


def _as_plain_number(answer: object) -> object:
    """Return the number in a tensor or numpy array with one element; any other answer as it is."""
    if isinstance(answer, numbers.Real) or not hasattr(answer, "item"):
        return answer
    try:
        return answer.item()
    except (ValueError, RuntimeError, TypeError):  # more than one element
        return answer


def _run_program(function: Callable[..., object], task: Program) -> str | None:
    """Return what is wrong with a student's function as the task's test finds it, or None."""

    def limited(*arguments: Any, **options: Any) -> object:
        result, fault = call(partial(function, **options), arguments, task.seconds, shown=function)
        if fault:
            raise _FaultError(fault)
        if result is None or result is Ellipsis:
            raise _FaultError(NO_RESULT)
        return result

    try:
        return task.test(limited)
    except _FaultError as fault:
        return str(fault)


class _FaultError(Exception):
    """Ends a task's test; the message is the sentence for the student."""


def _number_fault(value: float, expected: float, accepted: float) -> str:
    """Return what is wrong with a number, without the right one."""
    if not math.isfinite(value):
        return f"{value} is not a usable number; was something divided by zero?"
    if abs(value + expected) <= accepted:
        return "the magnitude is right, but the sign is not."
    far = expected == 0 or not 0.5 < value / expected < 2
    return f"{value:g} is {'much too' if far else 'too'} {'large' if value > expected else 'small'}."


check = Check()
"""The checks of the lesson in this notebook."""
