"""Questions and exercises of lesson 05."""

from __future__ import annotations

from .kinds import Task

TASKS: tuple[Task, ...] = ()
