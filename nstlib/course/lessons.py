"""What all lessons share: the set-up, the list of lessons, and the size of each lesson's work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import SettingError
from ..info import describe
from ..runtime import PROFILES, Profile, leave_dynamo_unloaded, profile, return_freed_memory
from . import figures
from .checks import check

SEED = 0
OTHER_LESSONS = "every other lesson"


@dataclass(frozen=True)
class LessonProfile:
    """The size of a lesson's work.

    Attributes:
        size: Long side of the pictures in pixels.
        steps: Steps of a run.
        images: Number of pictures.
    """

    size: int
    steps: int
    images: int = 1


def _row(smoke: tuple[int, ...], cpu: tuple[int, ...], gpu: tuple[int, ...]) -> dict[Profile, LessonProfile]:
    """Return a row of the table from (size, steps) or (size, steps, images) for each profile."""
    return {"smoke": LessonProfile(*smoke), "cpu": LessonProfile(*cpu), "gpu": LessonProfile(*gpu)}


PROFILES_BY_LESSON: dict[str, dict[Profile, LessonProfile]] = {
    # smoke: seconds, for tests; cpu: two cores and minutes; gpu: the papers' settings
    "00_start_here": _row(smoke=(96, 20, 2), cpu=(320, 200, 3), gpu=(512, 300, 3)),
    "01_vgg_anatomy": _row(smoke=(96, 12, 2), cpu=(256, 32, 4), gpu=(384, 64, 4)),
    "02_content_reconstruction": _row(smoke=(64, 60), cpu=(256, 150), gpu=(384, 500)),
    "03_style_reconstruction": _row(smoke=(96, 40), cpu=(256, 150), gpu=(512, 500)),
    "04_texture_synthesis": _row(smoke=(72, 40, 1), cpu=(256, 120, 2), gpu=(512, 500, 3)),
    "05_gatys_transfer": _row(smoke=(72, 24), cpu=(256, 100), gpu=(512, 500)),
    "06_gatys_experiments": _row(smoke=(72, 16), cpu=(256, 80), gpu=(512, 400)),
    "10_training_a_style_network": _row(smoke=(96, 12, 8), cpu=(320, 220, 80), gpu=(384, 1000, 400)),
    "11_using_style_networks": _row(smoke=(80, 10), cpu=(256, 200), gpu=(512, 500)),
    "12_backprop_vs_feedforward": _row(smoke=(96, 24, 8), cpu=(400, 400, 200), gpu=(400, 400, 999)),
    OTHER_LESSONS: _row(smoke=(96, 12, 2), cpu=(256, 150, 4), gpu=(512, 500, 6)),
}
"""The one table of sizes. A lesson that needs its own adds a row here; the last row holds for the others."""


@dataclass(frozen=True)
class Lesson:
    """A lesson.

    Attributes:
        name: File name without suffix, such as "01_vgg_anatomy".
        question: The question that it answers, as in its first cell.
        minutes: Time to read and work through it: 200 words and 15 lines of code a minute, 3 minutes for ten lines that
            the student writes, a minute for a question (``tools/lessons.py`` counts).
    """

    name: str
    question: str
    minutes: int

    @property
    def number(self) -> str:
        """The two digits of its name."""
        return self.name[:2]

    @property
    def title(self) -> str:
        """Its name as a title, without the number."""
        return self.name[3:].replace("_", " ").capitalize().replace("Vgg", "VGG")


LESSONS: tuple[Lesson, ...] = (
    Lesson("00_start_here", "What is style transfer, and how does this course work?", 35),
    Lesson("01_vgg_anatomy", "What does each layer of the network respond to?", 55),
    Lesson("02_content_reconstruction", "How much of a photo survives in each layer?", 55),
    Lesson("03_style_reconstruction", "What is left of a painting when you forget where everything was?", 55),
    Lesson("04_texture_synthesis", "Can numbers alone paint new brush strokes?", 60),
    Lesson("05_gatys_transfer", "How do content and style become one picture?", 70),
    Lesson("06_gatys_experiments", "Which of the many choices matter, and which do not?", 65),
    Lesson("07_judging_results", "Can a number say which picture is better?", 60),
    Lesson("08_control", "How do I keep my colours, mix styles, or paint only the sky?", 75),
    Lesson("09_failure_lab", "What went wrong? Ten bugs that everybody meets", 60),
    Lesson("10_training_a_style_network", "Can a network learn to do it all at once?", 90),
    Lesson("11_using_style_networks", "One network, many styles, any photo: how far does it go?", 45),
    Lesson("12_backprop_vs_feedforward", "Slow and free, or fast and fixed: which one when?", 50),
)


def profile_for(lesson: str) -> LessonProfile:
    """Return the size of a lesson's work with the profile in force (``NST_PROFILE``).

    Raises:
        SettingError: There is no such lesson.
    """
    names = [entry.name for entry in LESSONS]
    if lesson not in names:
        raise SettingError(f"there is no lesson {lesson!r}; there are {', '.join(names)}.")
    return PROFILES_BY_LESSON.get(lesson, PROFILES_BY_LESSON[OTHER_LESSONS])[profile()]


def setup(seed: int = SEED) -> None:
    """Start a lesson: seed PyTorch, reset the checks, prepare the notebook, print two lines about this machine."""
    torch.manual_seed(seed)
    check.reset()
    leave_dynamo_unloaded()
    _prepare_notebook()
    info = describe()
    print(f"{info['device']} · {info['precision']} · extractor: {info['extractor']} VGG-19")
    others = " or ".join(name for name in PROFILES if name != info["profile"])
    versions = f"nstlib {info['nstlib']}, torch {info['torch']}, Python {info['python']}"
    print(f"profile: {info['profile']} (NST_PROFILE={others} changes it) · {versions}")


def _prepare_notebook() -> None:
    """In a notebook, show plots as SVG and pictures as JPEG, and return freed memory after each cell.

    Photos as PNG would make a notebook ten times larger. Without the second, the process would keep the memory of its
    largest cell (``runtime.keep_freed_memory``), beside which the processes of later cells must find room.
    """
    try:
        from IPython import get_ipython
        from matplotlib.figure import Figure
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return  # the checks work without figures
    shell = get_ipython()
    if shell is not None:
        shell.events.register("post_execute", return_freed_memory)
        set_matplotlib_formats("jpeg")  # removes the other formats
        shell.display_formatter.formatters["image/jpeg"].for_type(Figure, figures.jpeg_output)
        shell.display_formatter.formatters["image/svg+xml"].for_type(Figure, figures.svg_output)


def notebooks_folder() -> Path | None:
    """Return the folder of the lessons: in the repository, or in the working directory or one of its parents."""
    repository = Path(__file__).resolve().parents[2]
    here = Path.cwd()
    for root in (repository, here, *here.parents):
        if (root / "notebooks").is_dir():
            return root / "notebooks"
    return None


def existing_lessons() -> set[str]:
    """Return the names of the lessons that are in the folder, as source or as notebook."""
    folder = notebooks_folder()
    if folder is None:
        return set()
    return {path.stem for path in (*folder.glob("source/*.py"), *folder.glob("*.ipynb"))}


@dataclass(frozen=True)
class LessonTable:
    """The list of lessons, shown by a notebook as a table.

    Attributes:
        lessons: All lessons.
        existing: Names of those that can be opened.
    """

    lessons: tuple[Lesson, ...]
    existing: frozenset[str]

    def _state(self, lesson: Lesson) -> str:
        return "ready" if lesson.name in self.existing else "planned"

    def __str__(self) -> str:
        return "\n".join(
            f"{lesson.number}  {lesson.title:28s} {lesson.minutes:3d} min  {self._state(lesson):7s}  {lesson.question}"
            for lesson in self.lessons
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:left'>{t}</th>" for t in ("", "lesson", "question", "time", ""))
        rows = "".join(self._html_row(lesson) for lesson in self.lessons)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"

    def _html_row(self, lesson: Lesson) -> str:
        title, row_style = lesson.title, " style='opacity:.55'"
        if lesson.name in self.existing:
            title, row_style = f"<a href='{lesson.name}.ipynb'>{lesson.title}</a>", ""
        left = "style='text-align:left'"
        return (
            f"<tr{row_style}><td>{lesson.number}</td><td {left}>{title}</td>"
            f"<td {left}>{lesson.question}</td><td>{lesson.minutes} min</td><td>{self._state(lesson)}</td></tr>"
        )


def lesson_table(existing: Iterable[str] | None = None) -> LessonTable:
    """Return all lessons with their questions, how long they take, and which exist.

    Args:
        existing: Names of the lessons that exist; None looks in the folder.
    """
    return LessonTable(LESSONS, frozenset(existing_lessons() if existing is None else existing))
