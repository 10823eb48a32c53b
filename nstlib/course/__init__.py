"""The course around the library: lessons, exercises and their checks, figures and widgets.

>>> from nstlib import course
>>> course.setup()
>>> from nstlib.course import anatomy, check, curve, figures, profile_for, show, widgets

Nothing else in nstlib imports this package. It can be imported without matplotlib and ipywidgets.
"""

from . import anatomy, exercises, figures, widgets
from .checks import check
from .figures import curve, show
from .lessons import (
    LESSONS,
    PROFILES_BY_LESSON,
    Lesson,
    LessonProfile,
    existing_lessons,
    lesson_table,
    profile_for,
    setup,
)

__all__ = [
    "LESSONS",
    "PROFILES_BY_LESSON",
    "Lesson",
    "LessonProfile",
    "anatomy",
    "check",
    "curve",
    "exercises",
    "existing_lessons",
    "figures",
    "lesson_table",
    "profile_for",
    "setup",
    "show",
    "widgets",
]
