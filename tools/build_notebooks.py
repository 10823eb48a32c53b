"""Build the notebooks of the course from their sources, execute them, and prove that they agree.

    python tools/build_notebooks.py [NAMES...] [--profile cpu] [--check] [--no-execute] [--force]

A lesson has one source, ``notebooks/source/NN_name.py``, in jupytext's percent format, and becomes two
notebooks: ``notebooks/NN_name.ipynb`` for the student, ``notebooks/solved/NN_name.ipynb`` with everything
filled in. Both are executed, each in its own folder. A source looks like this:

    # %% [markdown]
    # # NN · The title
    #
    # *Question*: What does this lesson answer?
    #
    # *Time*: 30 minutes; and whatever else there is to say about it.

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
- In a cell tagged "exercise", what stands between ``# SOLUTION`` and ``# END SOLUTION`` is the student's to
  write: their copy has one line ``...  # your code here`` there, or the text of the ``# STUDENT:`` lines.
- Cells (code or markdown) tagged "solution-only" or "student-only" go to that copy alone.
- The builder adds the badges, the set-up cell (behind the title) and a last cell that sums up the checks.

A notebook whose source has not changed is left alone (--force builds it all the same). The notebook records
the hash of its source, so that --check can tell without executing anything whether all is as it should be.
To run all notebooks as tests:

    NST_PROFILE=smoke pytest -p no:cacheprovider --nbval-lax --nbval-current-env --nbval-cell-timeout=120 \
        notebooks/*.ipynb notebooks/solved/*.ipynb
"""

from __future__ import annotations

import argparse
import base64
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
"""A notebook larger than this does not show on GitHub and loads slowly on Colab."""

JPEG_QUALITY = 85
LIVE = "(live: run this cell to use it)"
WORDS = ("text/plain", "text/html", "text/markdown")
KERNEL_CONFIG = """\
c.InlineBackend.figure_formats = {"jpeg"}
c.InteractiveShell.colors = "nocolor"
c.InlineBackend.print_figure_kwargs = {"bbox_inches": "tight", "pil_kwargs": {"quality": 85}}
"""
NOISE = (
    (re.compile(re.escape(f"{ROOT}{os.sep}")), ""),  # nobody's folders belong in a notebook
    (re.compile(r"\S*/ipykernel_\d+/\d+\.py"), "<cell>"),
    (re.compile(r" at 0x[0-9a-f]{6,}"), ""),
    (re.compile(r"^.*\d+%\|.*\[.*\](\n|$)", re.MULTILINE), ""),  # progress bars, frozen somewhere
)


def execute(notebook: NotebookNode, folder: Path, profile: str, timeout: int) -> None:
    """Run all cells in order in a fresh kernel of this very interpreter, with ``folder`` as its directory.

    Raises CellExecutionError for the first cell that raises.
    """
    with tempfile.TemporaryDirectory() as ipython_folder:  # nobody's own IPython settings may show in the course
        config = Path(ipython_folder, "profile_default", "ipython_kernel_config.py")
        config.parent.mkdir()
        config.write_text(f"c = get_config()\n{KERNEL_CONFIG}", encoding="utf-8")
        # without folders to search, the only kernel known is the interpreter that we run in
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
    """Keep of every output one representation, pictures as JPEG, and nothing that differs from run to run."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _tidy_output(output)]
    # nbclient writes the kernel's version there, which changes with every machine
    notebook.metadata.language_info = {"name": "python"}
    notebook.metadata.pop("widgets", None)


def _tidy_output(output: NotebookNode) -> bool:
    """Tidy one output in place; False if nothing of it is worth keeping."""
    if output.output_type == "stream":
        output.text = _quiet(output.text)
        return bool(output.text)
    data = output.get("data", {})
    # a widget needs its kernel: stored, it would show as an error, and its own text is a page of settings
    if data.pop("application/vnd.jupyter.widget-view+json", None) is not None:
        if not _quiet(data.get("text/plain", "")).strip():
            return False  # a progress bar
        data["text/plain"] = LIVE
    png = data.pop("image/png", None)
    if png and "image/jpeg" not in data:
        data["image/jpeg"] = _as_jpeg(png)
        sizes = output.metadata.pop("image/png", None)
        output.metadata.update({"image/jpeg": sizes} if sizes else {})
    if "image/jpeg" in data:
        data.pop("image/svg+xml", None)
    for kind in WORDS:
        if kind in data:
            data[kind] = _quiet(data[kind])
    return True


def _quiet(text: str) -> str:
    for pattern, instead in NOISE:
        text = pattern.sub(instead, text)
    return text


def _as_jpeg(png: str) -> str:
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    buffer = io.BytesIO()
    Image.alpha_composite(white, image).convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def outputs_text(cell: NotebookNode) -> str:
    """All that a cell's outputs say in words."""
    texts = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        texts += [output.get("text", ""), *(data.get(kind, "") for kind in WORDS)]
        texts += output.get("traceback", [])
    return "\n".join(texts)


def problems(lesson: Lesson, kind: str, address: str, profile: str = "cpu") -> list[str]:
    """What is wrong with one notebook, a line each: is it what its source gives, and did it run in order?"""
    path = lesson.notebook(kind)
    label = path.relative_to(lesson.path.parent.parent.parent).as_posix()
    if not path.is_file():
        return [f"{label}: missing; run tools/build_notebooks.py {lesson.name}"]
    try:
        notebook = nbformat.read(path, as_version=4)
    except (ValueError, KeyError, nbformat.ValidationError) as error:
        return [f"{label}: cannot be read ({error}); build it again"]
    wanted = make_copy(lesson, kind, address, profile)
    found: list[str] = []
    if path.stat().st_size > MAX_BYTES:
        found.append(_too_large(notebook, path.stat().st_size))
    if notebook.metadata.get("nst", {}) != wanted.metadata.nst:
        found.append("the source, the profile or the builder has changed since it was built; build it again")
    if len(notebook.cells) != len(wanted.cells):
        found.append(f"it has {len(notebook.cells)} cells and its source gives {len(wanted.cells)}; build it again")
    for i, (cell, want) in enumerate(zip(notebook.cells, wanted.cells), start=1):
        if (cell.cell_type, cell.source) != (want.cell_type, want.source):
            stamped = {"badges", "setup"} & {*want.metadata.get("tags", [])}
            cure = "run tools/stamp_address.py" if stamped else "change the source, then build it again"
            found.append(f"cell {i} is not what the source gives; {cure}")
    found += [f"cell {i}: {what}" for i, what in _ran_badly(notebook)]
    if kind == "student":
        for i, cell in enumerate(notebook.cells, start=1):
            shown = f"{cell.source}\n{outputs_text(cell)}"
            leaks = [line for line in secrets(lesson) if line in shown]
            found += [f"cell {i} tells the student a line of a solution: {line!r}" for line in leaks]
    return [f"{label}: {what}" for what in found]


def _ran_badly(notebook: NotebookNode) -> list[tuple[int, str]]:
    found = []
    code = [(i, cell) for i, cell in enumerate(notebook.cells, start=1) if cell.cell_type == "code"]
    for turn, (i, cell) in enumerate(code, start=1):
        if cell.execution_count != turn:
            found.append((i, f"did not run in order: execution count {cell.execution_count}, not {turn}"))
        if any(output.output_type == "error" for output in cell.outputs):
            found.append((i, "has an error in its output"))
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            found.append((i, "holds a PNG; pictures are JPEG here"))
    return found


def _too_large(notebook: NotebookNode, size: int) -> str:
    weights = {i: len(str(cell.get("outputs", ""))) for i, cell in enumerate(notebook.cells, start=1)}
    worst = max(weights, key=weights.__getitem__)
    return (
        f"{size / 1e6:.2f} MB, more than the {MAX_BYTES / 1e6:.1f} MB that a notebook may have; show fewer "
        f"or smaller pictures (cell {worst} alone holds {weights[worst] / 1e6:.2f} MB)"
    )


def strays(folder: Path) -> list[str]:
    """Notebooks that no source gives."""
    known = {lesson.notebook(kind) for lesson in find_lessons(folder) for kind in KINDS}
    there = [*folder.glob("*.ipynb"), *folder.glob("solved/*.ipynb")]
    label = "{}: has no source in notebooks/source; remove it or write one"
    return [label.format(path.relative_to(folder.parent).as_posix()) for path in sorted(there) if path not in known]


def check(folder: Path, address: str, profile: str = "cpu") -> list[str]:
    """All problems of all notebooks of a folder."""
    found = []
    for lesson in find_lessons(folder):
        try:
            found += [line for kind in KINDS for line in problems(lesson, kind, address, profile)]
        except SourceError as error:
            found.append(str(error))
    return found + strays(folder)


def build(lesson: Lesson, kind: str, address: str, profile: str = "cpu", run: bool = True, timeout: int = 1800) -> Path:
    """Make one notebook, execute it and write it. Raises SourceError, or what the execution raised."""
    notebook = make_copy(lesson, kind, address, profile)
    path = lesson.notebook(kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    if run:
        execute(notebook, path.parent, profile, timeout)
    tidy(notebook)
    text = nbformat.writes(notebook) + "\n"
    if len(text.encode()) > MAX_BYTES:
        raise SourceError(f"{path.name} ({kind}): {_too_large(notebook, len(text.encode()))}.")
    path.write_text(text, encoding="utf-8")
    return path


def choose(names: list[str], lessons: list[Lesson]) -> list[Lesson]:
    """The lessons named, by name or number; all if none is named."""
    chosen = [lesson for lesson in lessons if not names or lesson.name in names or lesson.name[:2] in names]
    known = {lesson.name for lesson in chosen} | {lesson.name[:2] for lesson in chosen}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SourceError(f"no lesson is called {', '.join(unknown)}; there are {', '.join(x.name for x in lessons)}.")
    return chosen


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build and execute the course's notebooks from notebooks/source.")
    parser.add_argument("names", nargs="*", help="lessons, as 02_gram or 02; all if left out")
    parser.add_argument("--profile", default="cpu", choices=("smoke", "cpu", "gpu"), help="the profile to run at")
    parser.add_argument("--check", action="store_true", help="execute nothing; say what is wrong with what is there")
    parser.add_argument("--no-execute", action="store_true", help="write the notebooks without outputs")
    parser.add_argument("--force", action="store_true", help="build also what has not changed")
    parser.add_argument("--timeout", type=int, default=1800, help="seconds that one cell may take")
    parser.add_argument("--folder", type=Path, default=ROOT / "notebooks", help="the folder that holds source/")
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
    label = f"{lesson.name} ({kind})"
    if not options.force and not problems(lesson, kind, address, options.profile):
        print(f"{label}: unchanged")
        return True
    start = time.monotonic()
    try:
        path = build(lesson, kind, address, options.profile, not options.no_execute, options.timeout)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print(f"{label}: a cell failed\n{error}", file=sys.stderr)
        return False
    print(f"{label}: built in {time.monotonic() - start:.0f} s, {path.stat().st_size / 1e6:.2f} MB")
    found = [] if options.no_execute else problems(lesson, kind, address, options.profile)
    print("".join(f"{line}\n" for line in found), file=sys.stderr, end="")
    return not found


if __name__ == "__main__":
    sys.exit(main())
