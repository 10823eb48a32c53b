"""Make the two copies of a lesson from its source: the student's and the solved one.

build_notebooks.py describes the format of a source. Nothing is executed here.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode
from setup_cell import links_cell, setup_cell

BUILDER_VERSION = "4"
"""Part of every notebook's hash; increase it when the same source would give a different notebook."""

KINDS = ("student", "solved")
PLACEHOLDER = "...  # your code here"
LAST_CELL = {"student": "course.check.summary()", "solved": "course.check.require_all()"}

WORDS_PER_MINUTE, CODE_LINES_PER_MINUTE = 200, 15
"""How fast a student reads."""

MINUTES_PER_SOLUTION_LINE, MINUTES_PER_QUESTION = 0.3, 1.0
"""How long a student works: three minutes for an exercise of ten lines."""

LONGEST_COMMON_LINE = 12
"""Lines of a solution up to this length may occur elsewhere by coincidence; they do not count as secret."""


class SourceError(Exception):
    """A source cannot become a notebook; the message names the file and says what to change."""


@dataclass(frozen=True)
class Lesson:
    """A source file, NN_name.py in the folder ``source``."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the lesson, NN_name."""
        return self.path.stem

    @property
    def digest(self) -> str:
        """Hash of everything that this lesson's notebooks depend on, except the repository's address."""
        text = self.path.read_text(encoding="utf-8")
        return hashlib.sha256(f"{BUILDER_VERSION}\n{text}".encode()).hexdigest()

    def notebook(self, kind: str) -> Path:
        """Return the path of the student's or the solved notebook."""
        folder = self.path.parent.parent
        return (folder if kind == "student" else folder / "solved") / f"{self.name}.ipynb"

    def cells(self) -> list[NotebookNode]:
        """Return the cells of the source. Raises SourceError if the first one has no title."""
        cells = jupytext.read(self.path, fmt="py:percent").cells
        if not cells or cells[0].cell_type != "markdown" or not cells[0].source.startswith("# "):
            raise SourceError(f"{self.path.name}: the first cell must be markdown that begins with '# ' and the title.")
        return cells


def find_lessons(folder: Path) -> list[Lesson]:
    """Return the lessons of a notebooks folder, in order."""
    return [Lesson(path) for path in sorted((folder / "source").glob("*.py"))]


def header(lesson: Lesson) -> dict[str, str]:
    """Return number, title, question and time of a lesson, from its first cell."""
    text = lesson.cells()[0].source
    title = text.splitlines()[0].removeprefix("# ")
    found = {"number": lesson.name[:2], "title": re.sub(r"^\d\d\W+", "", title).strip()}
    for key in ("Question", "Time"):
        line = re.search(rf"^\*{key}\*:?\s+(\S.*)$", text, re.MULTILINE)
        if line is None:
            raise SourceError(f"{lesson.path.name}: the first cell has no line that begins with '*{key}* '; add it.")
        found[key.lower()] = line[1].strip()
    found["time"] = re.split("[.;,]", found["time"])[0]  # the table has no room for the remarks that may follow
    return found


def work_minutes(lesson: Lesson) -> int:
    """Return the minutes that a student needs to read and work through a lesson, rounded up to a multiple of five."""
    words = given = written = questions = 0
    for cell in lesson.cells():
        tags = cell.metadata.get("tags", [])
        if {"test", "solution-only"} & {*tags}:
            continue
        lines = [line for line in cell.source.splitlines() if line.strip() and not line.strip().startswith("#")]
        if cell.cell_type == "markdown":
            words += len(re.findall(r"[\w']+", re.sub(r"\]\([^)]*\)|\$[^$]*\$", "", cell.source)))
        elif "exercise" not in tags:
            given += len(lines)
        elif len(lines) <= 2:
            questions += 1
        else:
            written += len(lines)
    minutes = words / WORDS_PER_MINUTE + given / CODE_LINES_PER_MINUTE
    minutes += written * MINUTES_PER_SOLUTION_LINE + questions * MINUTES_PER_QUESTION
    return 5 * math.ceil(minutes / 5)


def split_exercise(code: str, where: str = "the cell") -> tuple[str, str, list[str]]:
    """Split the code of a cell into the student's code, the solved code, and the lines hidden from the student.

    Raises SourceError, which names ``where``, if the marks of a solution do not match.
    """
    student: list[str] = []
    solved: list[str] = []
    secret: list[str] = []
    replacement: list[str] = []
    indent: str | None = None  # of the solution that the current line belongs to
    for line in code.splitlines():
        mark = line.strip()
        if mark == "# SOLUTION":
            if indent is not None:
                raise SourceError(f"{where}: '# SOLUTION' within a solution; close the first with '# END SOLUTION'.")
            indent, replacement = line[: len(line) - len(line.lstrip())], []
        elif mark == "# END SOLUTION":
            if indent is None:
                raise SourceError(f"{where}: '# END SOLUTION' without '# SOLUTION' before it.")
            student += [indent + text for text in replacement or [PLACEHOLDER]]
            indent = None
        elif indent is None:
            student.append(line)
            solved.append(line)
        elif mark.startswith("# STUDENT:"):
            replacement.append(mark.removeprefix("# STUDENT:").removeprefix(" "))
        else:
            solved.append(line)
            secret.append(mark)
    if indent is not None:
        raise SourceError(f"{where}: a solution is not closed; add '# END SOLUTION'.")
    return "\n".join(student), "\n".join(solved), secret


def secrets(lesson: Lesson) -> list[str]:
    """Return the lines of a lesson's solutions that must not appear anywhere in the student's copy."""
    lines = [line for cell in lesson.cells() if cell.cell_type == "code" for line in split_exercise(cell.source)[2]]
    return [line for line in dict.fromkeys(lines) if len(line) > LONGEST_COMMON_LINE]


def make_copy(lesson: Lesson, kind: str, address: str, profile: str = "cpu") -> NotebookNode:
    """Return the student's or the solved notebook, not executed."""
    digest = lesson.digest
    path = lesson.notebook(kind).relative_to(lesson.path.parent.parent.parent).as_posix()
    cells = [_make_cell("markdown", links_cell(address, path), ["links"])]
    for number, source_cell in enumerate(lesson.cells(), start=1):
        cell = _copy_cell(source_cell, kind, where=f"{lesson.path.name}, cell {number}")
        if cell is not None:
            cells.append(cell)
        if number == 1:
            cells.append(_make_cell("code", setup_cell(address), ["setup"]))
    cells.append(_make_cell("code", LAST_CELL[kind], ["summary"]))
    for i, cell in enumerate(cells):
        cell.id = hashlib.sha256(f"{digest}{i}".encode()).hexdigest()[:12]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.update(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
        nst={"source_sha256": digest, "kind": kind, "profile": profile},
    )
    return notebook


def _copy_cell(cell: NotebookNode, kind: str, where: str) -> NotebookNode | None:
    """Return a cell of the source as the copy contains it, or None if it belongs to the other copy only."""
    tags = list(cell.metadata.get("tags", []))
    text = cell.source
    if cell.cell_type == "code":
        student, solved, secret = split_exercise(text, where)
        in_one_copy = {"student-only", "solution-only"} & {*tags}  # an exercise may also be written as two cells
        if bool(secret) != ("exercise" in tags) and not in_one_copy:
            raise SourceError(f"{where}: a solution and the tag 'exercise' go together; one of them is missing.")
        text = student if kind == "student" else solved
    others = {"solution-only", "test"} if kind == "student" else {"student-only"}
    if others & {*tags}:
        return None
    new = _make_cell(cell.cell_type, text, tags)
    if "test" in tags:  # JupyterLab and Jupyter Book collapse such cells
        new.metadata.tags = [*tags, "hide-cell"]
        new.metadata.jupyter = {"source_hidden": True}
    return new


def _make_cell(kind: str, text: str, tags: list[str]) -> NotebookNode:
    new = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}.get(kind)
    if new is None:
        raise SourceError(f"a lesson cannot contain a cell of the kind {kind!r}; use markdown or code.")
    return new(text, metadata={"tags": tags} if tags else {})
