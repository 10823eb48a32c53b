"""Build the course's notebooks from their sources, execute them, and check that both agree.

    python tools/build_notebooks.py [NAMES...] [--profile cpu] [--check] [--no-execute] [--force]

A lesson has one source, ``notebooks/source/NN_name.py``, in jupytext's percent format. It becomes two notebooks:
``notebooks/NN_name.ipynb`` for the student, without outputs, and ``notebooks/solved/NN_name.ipynb`` with the solutions,
executed in its own folder. A source looks like this:

    # %% [markdown]
    # # NN · The title
    #
    # *Question*: What does this lesson answer?
    #
    # *Time*: 30 minutes; further remarks may follow.

    # %% tags=["exercise"]
    def gram(features):
        # SOLUTION
        flat = features.flatten(1)
        return flat @ flat.T / flat.shape[1]
        # STUDENT: flat = ...
        # STUDENT: return flat @ ...
        # END SOLUTION

    # %%
    check.gram(gram)

- The first cell is markdown: the title, then the lines *Question* and *Time*, which README's table shows too.
- In a cell tagged "exercise", the student writes the part between ``# SOLUTION`` and ``# END SOLUTION``. In the
  student's copy it is replaced by the line ``...  # your code here``, or by the text of the ``# STUDENT:`` lines.
- Cells (code or markdown) tagged "solution-only" or "student-only" are in that copy only. Cells tagged "test", which
  hold the lesson's claims with assertions, are in the solved copy only, collapsed.
- The builder adds the links to Colab, Kaggle and Binder, the set-up cell (after the title) and a last cell with a
  summary of the checks.

A notebook whose source has not changed is not built again, except with --force. The notebook stores the hash of its
source, so --check finds outdated notebooks without executing anything. To run all notebooks as tests:

    NST_PROFILE=smoke pytest -p no:cacheprovider --nbval-lax --nbval-current-env --nbval-cell-timeout=120 \
        notebooks/*.ipynb notebooks/solved/*.ipynb
"""

from __future__ import annotations

import argparse
import base64
import copy
import io
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager
from lessons import KINDS, Lesson, SourceError, find_lessons, make_copy, secrets
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from PIL import Image
from setup_cell import ROOT, read_address

MAX_BYTES = 1_500_000
"""GitHub does not display a larger notebook, and Colab loads it slowly."""

JPEG_QUALITY = 85
SMALLER = ((1.0, 75), (1.0, 66), (1.0, 56), (0.75, 66), (0.6, 54))
"""What is tried in turn with the pictures of a notebook that is too large: scale of their sides, quality."""

LEAST_EMBEDDED_QUALITY = 54
"""Pictures within HTML have one pixel per pixel of the page, so they keep their size and at least this quality."""

EMBEDDED_JPEG = re.compile(r"(data:image/jpeg;base64,)([A-Za-z0-9+/=]+)")
"""A picture within HTML, such as one of a slider."""

LIVE = "(live: run this cell to use it)"
"""Replaces a widget in a stored notebook, below its still picture, because a widget works only with its kernel."""

PICTURES = ("image/jpeg", "image/svg+xml")
TEXT_TYPES = ("text/plain", "text/html", "text/markdown")
KERNEL_CONFIG = """\
c.InlineBackend.figure_formats = {"jpeg"}
c.InteractiveShell.colors = "nocolor"
c.InlineBackend.print_figure_kwargs = {"bbox_inches": "tight", "pil_kwargs": {"quality": 85}}
"""
UNSTABLE = (
    (re.compile(re.escape(f"{ROOT}{os.sep}")), ""),  # folders of the machine that built it
    (re.compile(r"\S*/ipykernel_\d+/\d+\.py"), "<cell>"),
    (re.compile(r" at 0x[0-9a-f]{6,}"), ""),
    (re.compile(r"^.*\d+%\|.*\[.*\](\n|$)", re.MULTILINE), ""),  # progress bars
)
"""Text of outputs that differs between runs or machines, as (pattern, replacement)."""


def execute(notebook: NotebookNode, folder: Path, profile: str, timeout: int) -> None:
    """Run all cells in order in a fresh kernel of this interpreter, with ``folder`` as its working directory.

    Raises CellExecutionError if a cell raises.
    """
    with tempfile.TemporaryDirectory() as ipython_folder:  # instead of the user's own IPython settings
        config = Path(ipython_folder, "profile_default", "ipython_kernel_config.py")
        config.parent.mkdir()
        config.write_text(f"c = get_config()\n{KERNEL_CONFIG}", encoding="utf-8")
        # without folders to search, the only kernel is the one of the interpreter that runs this program
        manager = KernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
        client = NotebookClient(
            notebook,
            km=manager,
            extra_arguments=["--log-level=ERROR"],
            timeout=timeout,
            resources={"metadata": {"path": str(folder)}},
            record_timing=False,
            coalesce_streams=True,
        )
        client.execute(cleanup_kc=True, env={**os.environ, "NST_PROFILE": profile, "IPYTHONDIR": ipython_folder})


def tidy(notebook: NotebookNode) -> None:
    """Keep one representation of every output, pictures as JPEG, and remove what differs from run to run."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [tidied for output in cell.outputs for tidied in _tidied(output)]
    # nbclient writes the kernel's version there, which differs between machines
    notebook.metadata.language_info = {"name": "python"}
    notebook.metadata.pop("widgets", None)


def _tidied(output: NotebookNode) -> list[NotebookNode]:
    """Tidy one output in place; return what to keep of it, and what replaces it if it is a widget."""
    if output.output_type == "stream":
        output.text = _without_unstable(output.text)
        return [output] if output.text else []
    data = output.get("data", {})
    # a stored widget would be displayed as an error, because it needs its kernel
    is_widget = data.pop("application/vnd.jupyter.widget-view+json", None) is not None
    if is_widget and not _without_unstable(data.get("text/plain", "")).strip():
        return []  # a progress bar
    if "image/png" in data and "image/jpeg" not in data:
        data["image/jpeg"] = _as_jpeg(data.pop("image/png"))
        sizes = output.metadata.pop("image/png", None)
        output.metadata.update({"image/jpeg": sizes} if sizes else {})
    if "image/jpeg" in data:
        data.pop("image/svg+xml", None)
        data.pop("image/png", None)
    for text_type in TEXT_TYPES:
        if text_type in data and "base64," not in data[text_type]:  # the patterns are slow on files of pictures
            data[text_type] = _without_unstable(data[text_type])
    if not is_widget:
        return [output]
    note = nbformat.v4.new_output("display_data", {"text/plain": LIVE})
    return [output, note] if "image/jpeg" in data else [note]  # its text is a page of settings


def _without_unstable(text: str) -> str:
    for pattern, replacement in UNSTABLE:
        text = pattern.sub(replacement, text)
    return text


def _as_jpeg(png: str) -> str:
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    buffer = io.BytesIO()
    Image.alpha_composite(white, image).convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def with_smaller_pictures(notebook: NotebookNode, scale: float, quality: int) -> NotebookNode:
    """Return a copy of a notebook whose JPEG pictures have fewer bytes; they are as wide on the page as before.

    Pictures within HTML keep their size; see ``LEAST_EMBEDDED_QUALITY``.
    """
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/jpeg" in data and "width" in output.metadata.get("image/jpeg", {}):
                data["image/jpeg"] = _smaller(data["image/jpeg"], scale, quality)
            if "text/html" in data:
                data["text/html"] = EMBEDDED_JPEG.sub(
                    lambda found: found[1] + _smaller(found[2], 1.0, max(quality, LEAST_EMBEDDED_QUALITY)),
                    data["text/html"],
                )
    return notebook


def _smaller(jpeg: str, scale: float, quality: int) -> str:
    image = Image.open(io.BytesIO(base64.b64decode(jpeg)))
    size = round(image.width * scale), round(image.height * scale)
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=quality, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def outputs_text(cell: NotebookNode) -> str:
    """Return the text of all outputs of a cell."""
    texts = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        texts += [output.get("text", ""), *(data.get(text_type, "") for text_type in TEXT_TYPES)]
        texts += output.get("traceback", [])
    return "\n".join(texts)


def problems(lesson: Lesson, kind: str, address: str, profile: str = "cpu") -> list[str]:
    """Return what is wrong with one notebook: where it differs from its source, and whether it ran in order."""
    path = lesson.notebook(kind)
    label = path.relative_to(lesson.path.parent.parent.parent).as_posix()
    if not path.is_file():
        return [f"{label}: missing; run tools/build_notebooks.py {lesson.name}"]
    try:
        notebook = nbformat.read(path, as_version=4)
    except (ValueError, KeyError, nbformat.ValidationError) as error:
        return [f"{label}: cannot be read ({error}); build it again"]
    found: list[str] = []
    if path.stat().st_size > MAX_BYTES:
        found.append(_too_large(notebook, path.stat().st_size))
    found += _differences(notebook, make_copy(lesson, kind, address, profile))
    if kind == "student":
        found += _stored_outputs(notebook) + _leaks(notebook, secrets(lesson))
    else:
        found += _execution_problems(notebook)
    return [f"{label}: {problem}" for problem in found]


def _differences(notebook: NotebookNode, wanted: NotebookNode) -> list[str]:
    """Return where a notebook differs from the one that its source gives now."""
    found = []
    if notebook.metadata.get("nst", {}) != wanted.metadata.nst:
        found.append("the source, the profile or the builder has changed since it was built; build it again")
    if len(notebook.cells) != len(wanted.cells):
        found.append(f"it has {len(notebook.cells)} cells and its source gives {len(wanted.cells)}; build it again")
    for number, (cell, want) in enumerate(zip(notebook.cells, wanted.cells), start=1):
        if (cell.cell_type, cell.source) != (want.cell_type, want.source):
            contains_address = {"links", "setup"} & {*want.metadata.get("tags", [])}
            cure = "run tools/stamp_address.py" if contains_address else "change the source, then build it again"
            found.append(f"cell {number} is not what the source gives; {cure}")
    return found


def _execution_problems(notebook: NotebookNode) -> list[str]:
    """Return code cells that were not executed in order, or whose outputs may not be stored."""
    found = []
    code = [(number, cell) for number, cell in enumerate(notebook.cells, start=1) if cell.cell_type == "code"]
    for count, (number, cell) in enumerate(code, start=1):
        if cell.execution_count != count:
            found.append(f"cell {number}: did not run in order: execution count {cell.execution_count}, not {count}")
        if any(output.output_type == "error" for output in cell.outputs):
            found.append(f"cell {number}: has an error in its output")
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            found.append(f"cell {number}: holds a PNG; pictures are JPEG here")
        if not all(_has_alt(output) for output in cell.outputs):
            found.append(f"cell {number}: has a picture without a text for readers who cannot see it")
    return found


def _has_alt(output: NotebookNode) -> bool:
    """Return whether every figure of an output has an alternative text in its metadata."""
    shown = [kind for kind in PICTURES if kind in output.get("data", {})]
    # JPEG figures without a width were stored before figures had texts; their lessons are rebuilt one by one
    figures = [kind for kind in shown if kind != "image/jpeg" or "width" in output.metadata.get(kind, {})]
    return all(output.metadata.get(kind, {}).get("alt") for kind in figures)


def _stored_outputs(notebook: NotebookNode) -> list[str]:
    """Return code cells with an output, which would answer the lesson's questions before they are asked."""
    cells = enumerate(notebook.cells, start=1)
    return [f"cell {number}: has outputs; clear them" for number, cell in cells if cell.get("outputs")]


def _leaks(notebook: NotebookNode, hidden_lines: list[str]) -> list[str]:
    """Return where the student's copy shows a line of a solution."""
    found = []
    for number, cell in enumerate(notebook.cells, start=1):
        shown = f"{cell.source}\n{outputs_text(cell)}"
        leaks = [line for line in hidden_lines if line in shown]
        found += [f"cell {number} tells the student a line of a solution: {line!r}" for line in leaks]
    return found


def _too_large(notebook: NotebookNode, size: int) -> str:
    """Return a sentence about a notebook that is too large, with its largest cell."""
    sizes = {number: len(str(cell.get("outputs", ""))) for number, cell in enumerate(notebook.cells, start=1)}
    largest = max(sizes, key=sizes.__getitem__)
    return (
        f"{size / 1e6:.2f} MB, more than the {MAX_BYTES / 1e6:.1f} MB that a notebook may have; show fewer "
        f"or smaller pictures (cell {largest} alone holds {sizes[largest] / 1e6:.2f} MB)"
    )


def strays(folder: Path) -> list[str]:
    """Return a message for every notebook that has no source."""
    known = {lesson.notebook(kind) for lesson in find_lessons(folder) for kind in KINDS}
    existing = sorted([*folder.glob("*.ipynb"), *folder.glob("solved/*.ipynb")])
    return [
        f"{path.relative_to(folder.parent).as_posix()}: has no source in notebooks/source; remove it or write one"
        for path in existing
        if path not in known
    ]


def check(folder: Path, address: str, profile: str = "cpu") -> list[str]:
    """Return the problems of all notebooks of a folder."""
    found = []
    for lesson in find_lessons(folder):
        try:
            found += [line for kind in KINDS for line in problems(lesson, kind, address, profile)]
        except SourceError as error:
            found.append(str(error))
    return found + strays(folder)


def build(lesson: Lesson, kind: str, address: str, profile: str = "cpu", run: bool = True, timeout: int = 1800) -> Path:
    """Make and write one notebook, and execute it first unless it is the student's; return its path.

    Raises SourceError if the source cannot be used or the notebook is too large, or the error of the execution.
    """
    notebook = make_copy(lesson, kind, address, profile)
    path = lesson.notebook(kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    if run and kind == "solved":
        execute(notebook, path.parent, profile, timeout)
    tidy(notebook)
    text = nbformat.writes(notebook) + "\n"
    for scale, quality in SMALLER:
        if len(text.encode()) <= MAX_BYTES:
            break
        text = nbformat.writes(with_smaller_pictures(notebook, scale, quality)) + "\n"
    if len(text.encode()) > MAX_BYTES:
        rejected = Path(tempfile.gettempdir()) / f"rejected_{path.name}"
        rejected.write_text(text, encoding="utf-8")
        raise SourceError(
            f"{path.name} ({kind}): {_too_large(notebook, len(text.encode()))}. It is kept in {rejected}."
        )
    path.write_text(text, encoding="utf-8")
    return path


def choose(names: list[str], lessons: list[Lesson]) -> list[Lesson]:
    """Return the lessons with these names or numbers; all if no name is given."""
    chosen = [lesson for lesson in lessons if not names or lesson.name in names or lesson.name[:2] in names]
    known = {lesson.name for lesson in chosen} | {lesson.name[:2] for lesson in chosen}
    unknown = [name for name in names if name not in known]
    if unknown:
        existing = ", ".join(lesson.name for lesson in lessons)
        raise SourceError(f"no lesson is called {', '.join(unknown)}; there are {existing}.")
    return chosen


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Build and execute the course's notebooks from notebooks/source.")
    parser.add_argument("names", nargs="*", help="lessons, such as 02_gram or 02; default: all")
    parser.add_argument("--profile", default="cpu", choices=("smoke", "cpu", "gpu"), help="the profile to run with")
    parser.add_argument("--check", action="store_true", help="list outdated or faulty notebooks; execute nothing")
    parser.add_argument("--no-execute", action="store_true", help="write the notebooks without outputs")
    parser.add_argument("--force", action="store_true", help="also build lessons that have not changed")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds that one cell may take")
    parser.add_argument("--folder", type=Path, default=ROOT / "notebooks", help="the folder that contains source/")
    options = parser.parse_args(argv)
    folder, address = options.folder.resolve(), read_address()
    if options.check:
        found = check(folder, address, options.profile)
        print("\n".join(found) or "all notebooks agree with their sources")
        return 1 if found else 0
    failed = 0
    try:
        for lesson in choose(options.names, find_lessons(folder)):
            for kind in KINDS:
                failed += not _build_one(lesson, kind, address, options)
    except SourceError as error:
        print(error, file=sys.stderr)
        return 1
    return 1 if failed else 0


def _build_one(lesson: Lesson, kind: str, address: str, options: argparse.Namespace) -> bool:
    """Build one notebook unless it is up to date; return whether it is now without problems."""
    label = f"{lesson.name} ({kind})"
    if not options.force and not problems(lesson, kind, address, options.profile):
        print(f"{label}: unchanged")
        return True
    started = time.monotonic()
    try:
        path = build(lesson, kind, address, options.profile, not options.no_execute, options.timeout)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print(f"{label}: a cell failed\n{error}", file=sys.stderr)
        return False
    print(f"{label}: built in {time.monotonic() - started:.0f} s, {path.stat().st_size / 1e6:.2f} MB")
    found = [] if options.no_execute else problems(lesson, kind, address, options.profile)
    print("".join(f"{line}\n" for line in found), file=sys.stderr, end="")
    return not found


if __name__ == "__main__":
    sys.exit(main())
