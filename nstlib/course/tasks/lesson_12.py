"""Questions and exercises of lesson 12."""

from __future__ import annotations

from .kinds import Task

TASKS: tuple[Task, ...] = ()
