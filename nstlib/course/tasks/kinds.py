"""The kinds of tasks besides ``grading.Exercise``: a choice, a number, and a program tested by a function of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..grading import Exercise


def simplify(answer: str) -> str:
    """Return an answer without capitals and without spaces and punctuation around it."""
    return " ".join(answer.lower().strip(" .()'\"").split())


def key_of(name: str, answer: str) -> str:
    """Return the salted hash of an answer; the name of the task is the salt.

    >>> from nstlib.course.tasks import key_of
    >>> key_of("which layer", "relu4_2")
    '10e2b1c7b2b0'
    """
    return hashlib.sha256(f"{name}|{simplify(answer)}".encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Choice:
    """A question with a few answers, of which one or several are right.

    Attributes:
        name: Name of the task, as in ``check.choice(name, answer)``.
        keys: ``key_of(name, answer)`` of each right answer.
        remarks: For each answer one sentence that is shown to a student who chose it. For a wrong answer it says
            why it is wrong, and never which one is right.
        hints: Hints in the order in which they are given, from vague to concrete; none contains the answer.
    """

    name: str
    keys: tuple[str, ...]
    remarks: Mapping[str, str]
    hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Number:
    """A question whose answer is a number.

    Attributes:
        name: Name of the task, as in ``check.number(name, answer, *data)``.
        reference: Returns the right number; takes the ``data`` that the notebook gives to the check, if any.
        tolerance: Largest accepted absolute difference; None accepts a hundredth of the right number.
        hints: Hints, none of which contains the answer or a factor of it.
        why: Sentence that is added when the answer is right.
    """

    name: str
    reference: Callable[..., float]
    tolerance: float | None = None
    hints: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Program:
    """A function that students write and that a function of ours tests, because there is more than one right result.

    Attributes:
        name: Name of the task, as in ``check.function(name, function)``.
        test: Takes the student's function, calls it on inputs of its own choosing, and returns None if it is right or
            one sentence about the first fault. What the student's function raises, and a call that does not end, need
            no attention there: the check turns both into a sentence.
        seconds: Time limit of one call.
        hints: Hints, from vague to concrete.
        why: Sentence that is added when the answer is right.
    """

    name: str
    test: Callable[[Callable[..., Any]], str | None]
    seconds: float = 60.0
    hints: tuple[str, ...] = ()
    why: str = ""


Task: TypeAlias = Choice | Number | Program | Exercise
