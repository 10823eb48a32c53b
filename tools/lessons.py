"""From a lesson's source to its two copies, the student's and the solved one. The format of a source
is described in build_notebooks.py; nothing is executed here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode
from setup_cell import badges, setup_cell

BUILDER_VERSION = "2"
"""Part of every notebook's hash: raise it when the same source would give another notebook."""

KINDS = ("student", "solved")
YOUR_TURN = "...  # your code here"
LAST_CELL = {"student": "course.check.summary()", "solved": "course.check.require_all()"}
LEAST_SECRET = 12
"""A solution's lines up to this length are too common to tell anything."""


class SourceError(Exception):
    """A source that cannot become a notebook; the message names the file and says what to change."""


@dataclass(frozen=True)
class Lesson:
    """One source file: NN_name.py in the folder ``source``."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def digest(self) -> str:
        """The hash of all that this lesson's notebooks depend on, except for the address."""
        text = self.path.read_text(encoding="utf-8")
        return hashlib.sha256(f"{BUILDER_VERSION}\n{text}".encode()).hexdigest()

    def notebook(self, kind: str) -> Path:
        folder = self.path.parent.parent
        return (folder if kind == "student" else folder / "solved") / f"{self.name}.ipynb"

    def cells(self) -> list[NotebookNode]:
        cells = jupytext.read(self.path, fmt="py:percent").cells
        if not cells or cells[0].cell_type != "markdown" or not cells[0].source.startswith("# "):
            raise SourceError(f"{self.path.name}: the first cell must be markdown that begins with '# ' and the title.")
        return cells


def find_lessons(folder: Path) -> list[Lesson]:
    """All sources of a notebooks folder, in their order."""
    return [Lesson(path) for path in sorted((folder / "source").glob("*.py"))]


def header(lesson: Lesson) -> dict[str, str]:
    """Number, title, question and time of a lesson, from its first cell."""
    text = lesson.cells()[0].source
    title = text.splitlines()[0].removeprefix("# ")
    found = {"number": lesson.name[:2], "title": re.sub(r"^\d\d\W+", "", title).strip()}
    for key in ("Question", "Time"):
        line = re.search(rf"^\*{key}\*:?\s+(\S.*)$", text, re.MULTILINE)
        if line is None:
            raise SourceError(f"{lesson.path.name}: the first cell has no line that begins with '*{key}* '; add it.")
        found[key.lower()] = line[1].strip()
    found["time"] = re.split("[.;,]", found["time"])[0]  # a lesson may say more than fits into a table
    return found


def split_exercise(code: str, where: str = "the cell") -> tuple[str, str, list[str]]:
    """The student's code, the solved code, and the lines that the student must not see."""
    student: list[str] = []
    solved: list[str] = []
    secret: list[str] = []
    instead: list[str] = []
    indent: str | None = None  # of the block that we are in
    for line in code.splitlines():
        mark = line.strip()
        if mark == "# SOLUTION":
            if indent is not None:
                raise SourceError(f"{where}: '# SOLUTION' within a solution; close the first with '# END SOLUTION'.")
            indent, instead = line[: len(line) - len(line.lstrip())], []
        elif mark == "# END SOLUTION":
            if indent is None:
                raise SourceError(f"{where}: '# END SOLUTION' without '# SOLUTION' before it.")
            student += [indent + text for text in instead or [YOUR_TURN]]
            indent = None
        elif indent is None:
            student.append(line)
            solved.append(line)
        elif mark.startswith("# STUDENT:"):
            instead.append(mark.removeprefix("# STUDENT:").removeprefix(" "))
        else:
            solved.append(line)
            secret.append(mark)
    if indent is not None:
        raise SourceError(f"{where}: a solution is not closed; add '# END SOLUTION'.")
    return "\n".join(student), "\n".join(solved), secret


def secrets(lesson: Lesson) -> list[str]:
    """Lines of a lesson's solutions that must stand nowhere in the student's copy."""
    lines = [line for cell in lesson.cells() if cell.cell_type == "code" for line in split_exercise(cell.source)[2]]
    return [line for line in dict.fromkeys(lines) if len(line) > LEAST_SECRET]


def make_copy(lesson: Lesson, kind: str, address: str, profile: str = "cpu") -> NotebookNode:
    """The student's or the solved notebook, not executed."""
    inside = lesson.notebook(kind).relative_to(lesson.path.parent.parent.parent).as_posix()
    cells = [_cell("markdown", badges(address, inside), ["badges"])]
    for i, cell in enumerate(lesson.cells(), start=1):
        tags = list(cell.metadata.get("tags", []))
        where = f"{lesson.path.name}, cell {i}"
        text = cell.source
        if cell.cell_type == "code":
            student, solved, secret = split_exercise(text, where)
            whole = {"student-only", "solution-only"} & {*tags}  # an exercise may also be two cells
            if bool(secret) != ("exercise" in tags) and not whole:
                raise SourceError(f"{where}: a solution and the tag 'exercise' go together; one of them is missing.")
            text = student if kind == "student" else solved
        if ("solution-only" if kind == "student" else "student-only") not in tags:
            cells.append(_cell(cell.cell_type, text, tags))
        if i == 1:
            cells.append(_cell("code", setup_cell(address), ["setup"]))
    cells.append(_cell("code", LAST_CELL[kind], ["summary"]))
    for i, cell in enumerate(cells):
        cell.id = hashlib.sha256(f"{lesson.digest}{i}".encode()).hexdigest()[:12]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.update(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
        nst={"source_sha256": lesson.digest, "kind": kind, "profile": profile},
    )
    return notebook


def _cell(kind: str, text: str, tags: list[str]) -> NotebookNode:
    new = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}.get(kind)
    if new is None:
        raise SourceError(f"a cell of the kind {kind!r} has no place in a lesson; use markdown or code.")
    return new(text, metadata={"tags": tags} if tags else {})
