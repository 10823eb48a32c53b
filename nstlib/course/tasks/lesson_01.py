"""Questions and exercises of lesson 01."""

from __future__ import annotations

from .kinds import Task

TASKS: tuple[Task, ...] = ()
