"""What the lessons share: the set-up, the scales, the list of lessons, and the names that every lesson uses.

>>> from nstlib import course
>>> course.setup()
>>> from nstlib.course import check, curve, show
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from .checks import check
from .errors import SettingError
from .figures import curve, show
from .runtime import SCALES as SCALE_NAMES
from .runtime import describe, scale

__all__ = [
    "LESSONS",
    "SCALES",
    "Lesson",
    "Scale",
    "check",
    "curve",
    "lesson_table",
    "scale_for",
    "setup",
    "show",
]

SEED = 0


@dataclass(frozen=True)
class Scale:
    """How large the work of a lesson is: long side in pixels, steps of a run, number of pictures."""

    size: int
    steps: int
    images: int = 1


SCALES: dict[str, dict[str, Scale]] = {
    # smoke: seconds, for tests; cpu: two cores and minutes; gpu: the papers' settings
    "00_start_here": {"smoke": Scale(96, 24, 2), "cpu": Scale(320, 200, 8), "gpu": Scale(512, 300, 8)},
    "01_vgg_anatomy": {"smoke": Scale(96, 12, 2), "cpu": Scale(256, 32, 4), "gpu": Scale(384, 64, 4)},
    "02_content_reconstruction": {"smoke": Scale(64, 60, 2), "cpu": Scale(144, 120, 4), "gpu": Scale(256, 500, 4)},
    "03_style_reconstruction": {"smoke": Scale(96, 40), "cpu": Scale(256, 150), "gpu": Scale(512, 500)},
    "04_texture_synthesis": {"smoke": Scale(72, 40, 1), "cpu": Scale(256, 120, 3), "gpu": Scale(512, 500, 3)},
    "05_gatys_transfer": {"smoke": Scale(72, 24), "cpu": Scale(192, 120), "gpu": Scale(512, 500)},
    "06_gatys_experiments": {"smoke": Scale(72, 16), "cpu": Scale(128, 80), "gpu": Scale(512, 400)},
    "10_training_a_style_network": {
        "smoke": Scale(96, 12, 8),
        "cpu": Scale(320, 220, 80),
        "gpu": Scale(384, 1000, 400),
    },
    "11_using_style_networks": {"smoke": Scale(80, 10), "cpu": Scale(256, 200), "gpu": Scale(512, 500)},
    "12_backprop_vs_feedforward": {"smoke": Scale(96, 24, 8), "cpu": Scale(400, 400, 200), "gpu": Scale(400, 400, 999)},
    "every other lesson": {"smoke": Scale(96, 12, 2), "cpu": Scale(256, 150, 4), "gpu": Scale(512, 500, 6)},
}
"""The one table of sizes. A lesson that needs its own adds a row here; the last row holds for the others."""


@dataclass(frozen=True)
class Lesson:
    """A lesson: its file name, its question, and minutes to read and run it at the scale "cpu"."""

    name: str
    question: str
    minutes: int

    @property
    def number(self) -> str:
        return self.name[:2]

    @property
    def title(self) -> str:
        return self.name[3:].replace("_", " ").capitalize().replace("Vgg", "VGG")


LESSONS: tuple[Lesson, ...] = (
    Lesson("00_start_here", "What is style transfer, and how does this course work?", 25),
    Lesson("01_vgg_anatomy", "What does the network see that we borrow our eyes from?", 60),
    Lesson("02_content_reconstruction", "How much of a photo survives in each layer?", 40),
    Lesson("03_style_reconstruction", "What is left of a painting when you forget where everything was?", 50),
    Lesson("04_texture_synthesis", "Can numbers alone paint new brush strokes?", 50),
    Lesson("05_gatys_transfer", "How do content and style become one picture?", 75),
    Lesson("06_gatys_experiments", "Which of the many choices matter, and which do not?", 90),
    Lesson("07_judging_results", "Can a number say which picture is better?", 60),
    Lesson("08_control", "How do I keep my colours, mix styles, or paint only the sky?", 75),
    Lesson("09_failure_lab", "What went wrong? Ten bugs that everybody meets", 60),
    Lesson("10_training_a_style_network", "Can a network learn to do it all at once?", 90),
    Lesson("11_using_style_networks", "One network, many styles, any photo: how far does it go?", 45),
    Lesson("12_backprop_vs_feedforward", "Slow and free, or fast and fixed: which one when?", 50),
)  # fmt: skip


def scale_for(lesson: str) -> Scale:
    """The sizes of a lesson at the scale in force (NST_SCALE)."""
    if lesson not in {entry.name for entry in LESSONS}:
        raise SettingError(f"there is no lesson {lesson!r}; there are {', '.join(entry.name for entry in LESSONS)}.")
    return SCALES.get(lesson, SCALES["every other lesson"])[scale()]


def setup(seed: int = SEED) -> None:
    """Start of every lesson: figures, seed, empty checks, and two lines about this machine."""
    torch.manual_seed(seed)
    check.reset()
    _sharp_figures()
    d = describe()
    print(f"{d['device']} · {d['precision']} · extractor: {d['extractor']} VGG-19")
    others = " or ".join(name for name in SCALE_NAMES if name != d["scale"])
    versions = f"nstlib {d['nstlib']}, torch {d['torch']}, Python {d['python']}"
    print(f"scale: {d['scale']} (NST_SCALE={others} changes it) · {versions}")


def _sharp_figures() -> None:
    """Figures as JPEG: photos as PNG would make a notebook ten times larger."""
    try:
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats
    except ImportError:
        return  # the checks work without figures
    if get_ipython() is not None:
        set_matplotlib_formats("jpeg", pil_kwargs={"quality": 80})


def notebooks_folder() -> Path | None:
    """Where the lessons lie: beside the package in the repository, or in or above this folder."""
    here = Path.cwd()
    for root in (Path(__file__).resolve().parent.parent, here, *here.parents):
        if (root / "notebooks").is_dir():
            return root / "notebooks"
    return None


def existing_lessons() -> set[str]:
    """Names of the lessons that are in the folder, as source or as notebook."""
    folder = notebooks_folder()
    if folder is None:
        return set()
    return {p.stem for p in (*folder.glob("source/*.py"), *folder.glob("*.ipynb"))}


@dataclass(frozen=True)
class LessonTable:
    """The list of lessons; a notebook shows it as a table."""

    lessons: tuple[Lesson, ...]
    there: frozenset[str]

    def _state(self, lesson: Lesson) -> str:
        return "ready" if lesson.name in self.there else "planned"

    def __str__(self) -> str:
        return "\n".join(
            f"{e.number}  {e.title:28s} {e.minutes:3d} min  {self._state(e):7s}  {e.question}" for e in self.lessons
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = []
        for e in self.lessons:
            there = e.name in self.there
            name = f"<a href='{e.name}.ipynb'>{e.title}</a>" if there else e.title
            left, pale = "style='text-align:left'", "" if there else " style='opacity:.55'"
            rows.append(
                f"<tr{pale}><td>{e.number}</td><td {left}>{name}</td>"
                f"<td {left}>{e.question}</td><td>{e.minutes} min</td><td>{self._state(e)}</td></tr>"
            )
        head = "".join(f"<th style='text-align:left'>{t}</th>" for t in ("", "lesson", "question", "time", ""))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def lesson_table(there: Iterable[str] | None = None) -> LessonTable:
    """All lessons with their questions, how long they take, and which exist."""
    return LessonTable(LESSONS, frozenset(existing_lessons() if there is None else there))
