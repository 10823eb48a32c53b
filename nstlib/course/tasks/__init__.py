"""The questions and exercises of the lessons, a module for each lesson; the notebooks hold only their names.

A lesson's module defines ``TASKS``. Right choices are stored as salted hashes (``key_of``), and right numbers are
computed by a reference when they are checked, so that an answer cannot be read by chance.
"""

from __future__ import annotations

from functools import cache

from ..grading import Exercise
from . import (
    lesson_00,
    lesson_01,
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
    lesson_10,
    lesson_11,
    lesson_12,
)
from .kinds import Choice, Number, Program, Task, key_of

__all__ = ["Choice", "Exercise", "Number", "Program", "Task", "all_tasks", "key_of"]

_LESSONS = (
    lesson_00,
    lesson_01,
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
    lesson_10,
    lesson_11,
    lesson_12,
)


@cache
def all_tasks() -> dict[str, Task]:
    """Return the tasks of all lessons by name; names are unique."""
    tasks = [task for lesson in _LESSONS for task in lesson.TASKS]
    names = [task.name for task in tasks]
    repeated = {name for name in names if names.count(name) > 1}
    assert not repeated, f"two tasks have the same name: {repeated}"
    return dict(zip(names, tasks))
