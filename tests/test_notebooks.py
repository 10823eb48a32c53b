"""The notebooks in the repository agree with their sources, and the builder reports it when one does not."""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from PIL import Image

from nstlib.course.lessons import LESSONS

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import build_notebooks as builder  # noqa: E402
import stamp_address  # noqa: E402
from lessons import (  # noqa: E402
    Lesson,
    SourceError,
    find_lessons,
    header,
    make_copy,
    split_exercise,
    work_minutes,
)
from setup_cell import NO_LINKS, UNSTAMPED, links, links_cell, read_address, setup_cell  # noqa: E402

ADDRESS = "https://github.com/someone/a-course"

SOURCE = '''\
# %% [markdown]
# # 00 · Twice | one
#
# *Question* What is twice one?
#
# *Time*: 1 minute; less on a GPU.

# %%
import base64, io, os, sys
import ipywidgets
import matplotlib.pyplot as plt
from IPython.display import display
from PIL import Image
widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}}
buffer = io.BytesIO()
Image.new("RGB", (8, 8)).save(buffer, "JPEG")
STILL = base64.b64encode(buffer.getvalue()).decode()
display({**widget, "text/plain": "a bar"}, raw=True)
display({**widget, "text/plain": " 0%|    | 0/3 [00:00<?]"}, raw=True)
display({**widget, "text/plain": "a slider", "image/jpeg": STILL}, raw=True, metadata={"image/jpeg": {"alt": "a"}})
display(Image.new("RGBA", (4, 4)), metadata={"image/png": {"alt": "nothing"}})
figure, ax = plt.subplots()
ax.plot([1, 2])
display(figure, metadata={"image/jpeg": {"alt": "a line"}})
plt.close()
ipywidgets.interact(lambda x: print(x), x=(0, 3))
print(os.environ["NST_PROFILE"], object())
print("100%|####| 3/3 [00:01<00:00]", file=sys.stderr)

# %% tags=["exercise"]
def double(x):
    """Twice x."""
    # SOLUTION
    answer = x + x  # a sum
    return answer
    # END SOLUTION

# %%
course.check.double(double)

# %% [markdown] tags=["solution-only"]
# The worked answer.

# %% tags=["test"]
assert 1 + 1 == 2  # a claim

# %% tags=["student-only"]
print("try it")
'''

COURSE = """\
class Check:
    done = None
    def double(self, f):
        self.done = f(1)
        print("not done yet" if self.done is None else self.done)
    def summary(self):
        print("summary")
    def require_all(self):
        assert self.done == 2, "the checks have not all passed"
check = Check()
def setup():
    print("device, profile, extractor")
"""
"""Replaces nstlib.course: without torch a kernel starts in a second."""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the replacement of nstlib.course, for a kernel to import."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "nstlib").mkdir()
    (folder / "nstlib" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "nstlib" / "course.py").write_text(COURSE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, course: Path) -> Path:
    """A notebooks folder with one lesson, built and executed in two kernels, so that tests that use it are slow."""
    folder = tmp_path_factory.mktemp("built") / "notebooks"
    (folder / "source").mkdir(parents=True)
    (folder / "source" / "00_twice.py").write_text(SOURCE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(course))
        for kind in ("student", "solved"):
            builder.build(find_lessons(folder)[0], kind, ADDRESS, "cpu")
    return folder


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    """A copy of the built folder, which a test may change."""
    return shutil.copytree(built, tmp_path / "notebooks")


def picture(mime: str, **metadata: str) -> NotebookNode:
    return nbformat.v4.new_output("display_data", {mime: "x"}, metadata={mime: metadata})


def only_lesson(folder: Path) -> Lesson:
    (lesson,) = find_lessons(folder)
    return lesson


def change(path: Path, edit: Callable[[NotebookNode], object]) -> None:
    notebook = nbformat.read(path, as_version=4)
    edit(notebook)
    nbformat.write(notebook, path)


def tagged(notebook: NotebookNode, tag: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if tag in cell.metadata.get("tags", []))


# --- the repository ------------------------------------------------------------------------------


def test_notebooks_agree_with_their_sources():
    problems = builder.check(ROOT / "notebooks", read_address())
    assert not problems, "\n".join(problems[:20])


def test_stated_times_are_those_counted():
    """The minutes to read and work, in the first cell and in the list of lessons."""
    stated = {lesson.name: lesson.minutes for lesson in LESSONS}
    for lesson in find_lessons(ROOT / "notebooks"):
        time = header(lesson)["time"]
        if time.endswith("to read and work"):
            assert time == f"{work_minutes(lesson)} minutes to read and work", lesson.name
            assert stated[lesson.name] == work_minutes(lesson)


def test_address_is_the_same_everywhere(capsys: pytest.CaptureFixture):
    assert stamp_address.main(["--check"]) == 0, capsys.readouterr()


# --- from a source to its copies -----------------------------------------------------------------


@pytest.mark.slow
def test_student_copy_has_dots_and_solved_copy_has_the_solution(folder: Path):
    student, solved = (
        nbformat.read(only_lesson(folder).notebook(kind), as_version=4) for kind in ("student", "solved")
    )
    assert tagged(student, "exercise").source == 'def double(x):\n    """Twice x."""\n    ...  # your code here'
    assert tagged(solved, "exercise").source.endswith("    answer = x + x  # a sum\n    return answer")
    student_text, solved_text = (str([cell.source for cell in copy.cells]) for copy in (student, solved))
    for text, expected in (("SOLUTION", False), ("worked answer", False), ("try it", True)):
        assert (text in student_text) == expected
    assert "try it" not in solved_text
    assert "worked answer" in solved_text
    assert [copy.cells[-1].source for copy in (student, solved)] == [
        "course.check.summary()",
        "course.check.require_all()",
    ]


@pytest.mark.slow
def test_claims_are_in_the_solved_copy_only_and_collapsed(folder: Path):
    student, solved = (
        nbformat.read(only_lesson(folder).notebook(kind), as_version=4) for kind in ("student", "solved")
    )
    assert not any("a claim" in cell.source for cell in student.cells)
    claim = tagged(solved, "test")
    assert claim.source == "assert 1 + 1 == 2  # a claim"
    assert claim.metadata.jupyter == {"source_hidden": True}
    assert claim.metadata.tags == ["test", "hide-cell"]
    assert not any("hide-cell" in cell.metadata.get("tags", []) for cell in solved.cells if cell is not claim)


def test_student_lines_replace_the_dots():
    code = (
        "for x in y:\n    # SOLUTION\n    z = 1\n    # STUDENT: if x:\n    # STUDENT:     z = ...\n    # END SOLUTION"
    )
    student, solved, solution_lines = split_exercise(code)
    assert student == "for x in y:\n    if x:\n        z = ..."
    assert solved == "for x in y:\n    z = 1"
    assert solution_lines == ["z = 1"]


@pytest.mark.parametrize("code", ["# SOLUTION\nx", "x\n# END SOLUTION", "# SOLUTION\n# SOLUTION\n# END SOLUTION"])
def test_error_for_unbalanced_solution_marks(code: str):
    with pytest.raises(SourceError, match="SOLUTION"):
        split_exercise(code)


@pytest.mark.slow
def test_error_for_a_solution_without_the_exercise_tag(folder: Path):
    path = only_lesson(folder).path
    path.write_text(SOURCE.replace(' tags=["exercise"]', ""), encoding="utf-8")
    with pytest.raises(SourceError, match="'exercise' go together"):
        make_copy(only_lesson(folder), "student", ADDRESS)
    (line,) = builder.check(folder, ADDRESS)
    assert line.startswith("00_twice.py, cell 3: a solution")


@pytest.mark.slow
def test_links_and_set_up_come_first_and_ids_are_stable(folder: Path):
    first, again = (make_copy(only_lesson(folder), "solved", ADDRESS) for _ in range(2))
    assert first == again
    assert len({cell.id for cell in first.cells}) == len(first.cells)
    assert first.cells[0].source == links_cell(ADDRESS, "notebooks/solved/00_twice.ipynb")
    assert first.cells[1].source.startswith("# 00 · Twice")
    assert first.cells[2].source == setup_cell(ADDRESS)


def test_links_open_the_notebook_and_are_text():
    text = links_cell(ADDRESS, "notebooks/00_x.ipynb")
    assert "(https://colab.research.google.com/github/someone/a-course/blob/main/notebooks/00_x.ipynb)" in text
    source = "https://github.com/someone/a-course/blob/main/notebooks/00_x.ipynb"
    assert f"(https://kaggle.com/kernels/welcome?src={source})" in text
    assert "(https://mybinder.org/v2/gh/someone/a-course/main?labpath=notebooks/00_x.ipynb)" in text
    assert "![" not in text  # a picture would be fetched whenever the notebook is opened


def test_an_unstamped_notebook_has_no_links_but_says_what_to_do():
    assert links_cell(UNSTAMPED, "notebooks/00_x.ipynb") == NO_LINKS
    assert "://" not in NO_LINKS
    assert "tools/stamp_address.py" in NO_LINKS
    with pytest.raises(ValueError, match="cannot be opened"):
        links(UNSTAMPED, "notebooks/00_x.ipynb")


# --- an executed notebook ---------------------------------------------------------------------------


@pytest.mark.slow
def test_a_built_lesson_has_no_problems(folder: Path):
    assert builder.check(folder, ADDRESS) == []


@pytest.mark.slow
def test_outputs_are_small_and_reproducible(folder: Path):
    notebook = nbformat.read(only_lesson(folder).notebook("solved"), as_version=4)
    cell = next(cell for cell in notebook.cells if "plt.subplots" in cell.source)
    outputs = cell.outputs
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert kinds == {"text/plain", "image/jpeg"}
    pictures = [output.data["image/jpeg"] for output in outputs if "image/jpeg" in output.get("data", {})]
    assert len(pictures) == 3
    alts = [output.metadata["image/jpeg"]["alt"] for output in outputs if "image/jpeg" in output.get("data", {})]
    assert alts == ["a", "nothing", "a line"]
    for picture in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(picture))).format == "JPEG"
    text = builder.outputs_text(cell)
    assert "cpu <object object>" in text
    assert text.count(builder.LIVE) == 3
    assert "a bar" not in text
    assert "%|" not in text
    assert "widgets" not in notebook.metadata
    assert notebook.metadata.nst == {"source_sha256": only_lesson(folder).digest, "kind": "solved", "profile": "cpu"}


@pytest.mark.slow
def test_unchanged_notebooks_are_not_built_again(folder: Path, capsys: pytest.CaptureFixture, monkeypatch):
    monkeypatch.setattr(builder, "read_address", lambda: ADDRESS)
    monkeypatch.setattr(builder, "execute", lambda *args: pytest.fail("it was executed"))
    assert builder.main(["--folder", str(folder)]) == 0
    assert capsys.readouterr().out == "00_twice (student): unchanged\n00_twice (solved): unchanged\n"
    assert builder.main(["--folder", str(folder), "--check"]) == 0
    assert builder.main(["--folder", str(folder), "07"]) == 1


# --- what --check reports ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda n: n.metadata.nst.update(source_sha256="0"), "has changed since it was built"),
        (lambda n: n.metadata.nst.update(profile="smoke"), "has changed since it was built"),
        (lambda n: n.cells[3].update(source="1"), "cell 4 is not what the source gives; change the source"),
        (lambda n: n.cells[2].update(source="1"), "cell 3 is not what the source gives; run tools/stamp_address.py"),
        (lambda n: n.cells.pop(), "its source gives"),
        (lambda n: n.cells[3].update(execution_count=7), "cell 4: did not run in order"),
        (lambda n: n.cells[3].update(execution_count=None), "cell 4: did not run in order"),
        (
            lambda n: n.cells[3].update(outputs=[nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]),
            "cell 4: has an error in its output",
        ),
        (lambda n: n.cells[3].update(outputs=[picture("image/png", alt="a cat")]), "cell 4: holds a PNG"),
        (
            lambda n: n.cells[3].update(outputs=[picture("image/jpeg", width="840")]),
            "cell 4: has a picture without a text",
        ),
        (
            lambda n: n.cells[3].update(outputs=[picture("image/svg+xml", alt="")]),
            "cell 4: has a picture without a text",
        ),
        (
            lambda n: n.cells[3].update(outputs=[nbformat.v4.new_output("stream", text="x" * 1_500_001)]),
            "1.50 MB, more than the 1.5 MB",
        ),
    ],
)
def test_check_reports_changes_and_bad_outputs(folder: Path, edit: Callable[[NotebookNode], object], message: str):
    change(only_lesson(folder).notebook("solved"), edit)
    found = builder.check(folder, ADDRESS)
    assert len(found) == 1
    assert found[0].startswith("notebooks/solved/00_twice.ipynb: ")
    assert message in found[0]


@pytest.mark.slow
def test_the_copy_of_a_student_has_no_outputs(folder: Path):
    path = only_lesson(folder).notebook("student")
    assert not any(cell.get("outputs") for cell in nbformat.read(path, as_version=4).cells)
    output = nbformat.v4.new_output("stream", text="answer = x + x  # a sum")
    change(path, lambda notebook: notebook.cells[3].update(outputs=[output]))
    assert builder.check(folder, ADDRESS) == [
        "notebooks/00_twice.ipynb: cell 4: has outputs; clear them",
        "notebooks/00_twice.ipynb: cell 4 tells the student a line of a solution: 'answer = x + x  # a sum'",
    ]


@pytest.mark.slow
def test_check_reports_changed_sources_and_missing_or_unknown_notebooks(folder: Path):
    lesson = only_lesson(folder)
    lesson.path.write_text(SOURCE + "\n# %%\nprint(1)\n", encoding="utf-8")
    assert any("has changed since it was built" in line for line in builder.check(folder, ADDRESS))
    lesson.path.write_text(SOURCE, encoding="utf-8")
    lesson.notebook("solved").rename(folder / "solved" / "05_gone.ipynb")
    assert builder.check(folder, ADDRESS) == [
        "notebooks/solved/00_twice.ipynb: missing; run tools/build_notebooks.py 00_twice",
        "notebooks/solved/05_gone.ipynb: has no source in notebooks/source; remove it or write one",
    ]
    lesson.notebook("student").write_text("{", encoding="utf-8")
    assert "cannot be read" in builder.check(folder, ADDRESS)[0]


@pytest.mark.slow
def test_check_reports_a_solution_in_the_text(folder: Path):
    lesson = only_lesson(folder)
    lesson.path.write_text(SOURCE + "\n# %% [markdown]\n# Write `answer = x + x  # a sum`.\n", encoding="utf-8")
    nbformat.write(make_copy(lesson, "student", ADDRESS), lesson.notebook("student"))
    assert any("tells the student" in line for line in builder.problems(lesson, "student", ADDRESS))


# --- building ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_wrong_answer_fails_the_build_and_keeps_the_old_notebook(folder: Path, course: Path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(course))
    monkeypatch.setattr(builder, "read_address", lambda: ADDRESS)
    lesson = only_lesson(folder)
    lesson.path.write_text(SOURCE.replace("x + x  #", "x + x + x  #"), encoding="utf-8")
    before = lesson.notebook("solved").read_bytes()
    assert builder.main(["--folder", str(folder)]) == 1
    assert "the checks have not all passed" in capsys.readouterr().err
    assert lesson.notebook("solved").read_bytes() == before


def test_pictures_of_a_slider_are_made_smaller_too():
    buffer = io.BytesIO()
    Image.effect_noise((64, 48), 80).convert("RGB").save(buffer, "JPEG", quality=95)
    before = f"<img src='data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}' width='64'>"
    output = nbformat.v4.new_output("display_data", {"text/html": before})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("slider", outputs=[output])])
    after = builder.with_smaller_pictures(notebook, 0.5, 40).cells[0].outputs[0].data["text/html"]
    found = builder.EMBEDDED_JPEG.search(after)
    assert found is not None
    assert len(after) < 0.6 * len(before)
    assert Image.open(io.BytesIO(base64.b64decode(found[2]))).size == (64, 48)
    assert after.endswith("' width='64'>")


@pytest.mark.slow
def test_error_for_a_notebook_that_is_too_large(folder: Path, monkeypatch):
    monkeypatch.setattr(builder, "MAX_BYTES", 1000)
    path = only_lesson(folder).notebook("student")
    before = path.read_bytes()
    with pytest.raises(SourceError, match="show fewer or smaller pictures"):
        builder.build(only_lesson(folder), "student", ADDRESS, run=False)
    assert path.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, True])
def test_nbval_passes_for_both_copies_and_fails_for_a_wrong_answer(folder: Path, course: Path, wrong: bool):
    solved = only_lesson(folder).notebook("solved")
    if wrong:
        change(solved, lambda n: tagged(n, "exercise").update(source="def double(x):\n    return 3"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env"]
    command += ["--nbval-cell-timeout=120", "-c", os.devnull, str(only_lesson(folder).notebook("student")), str(solved)]
    environment = {**os.environ, "NST_PROFILE": "smoke", "PYTHONPATH": str(course)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == int(wrong), done.stdout + done.stderr
    assert ("the checks have not all passed" in done.stdout) == wrong


# --- the address ------------------------------------------------------------------------------------


@pytest.fixture
def repository(folder: Path) -> Path:
    root = folder.parent
    (root / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{ADDRESS}"\n', encoding="utf-8")
    text = f"# A course\n\n`git clone {ADDRESS}`\n\n<!-- lessons -->\n<!-- /lessons -->\n\nThe end.\n"
    (root / "README.md").write_text(text, encoding="utf-8")
    return root


@pytest.mark.slow
def test_a_new_address_is_written_everywhere_and_outputs_are_kept(repository: Path, capsys: pytest.CaptureFixture):
    root = ["--root", str(repository)]
    assert stamp_address.main([*root, "--check"]) == 1
    assert capsys.readouterr().out == "README.md: out of step; run tools/stamp_address.py\n"
    assert stamp_address.main(root) == 0
    assert stamp_address.main([*root, "--check"]) == 0

    lesson = only_lesson(repository / "notebooks")
    before = nbformat.read(lesson.notebook("solved"), as_version=4)
    new = "https://github.com/other/place"
    assert stamp_address.main([*root, new]) == 0
    assert stamp_address.main([*root, "--check"]) == 0
    assert read_address(repository / "pyproject.toml") == new
    texts = [path.read_text(encoding="utf-8") for path in repository.rglob("*.*") if path.suffix in (".md", ".ipynb")]
    assert len(texts) == 3
    for text in texts:
        assert new in text
        assert "someone" not in text
    assert builder.check(repository / "notebooks", new) == []
    after = nbformat.read(lesson.notebook("solved"), as_version=4)
    assert [cell.get("outputs") for cell in before.cells] == [cell.get("outputs") for cell in after.cells]


@pytest.mark.slow
def test_lesson_table_has_a_row_for_each_lesson(repository: Path):
    assert header(only_lesson(repository / "notebooks")) == {
        "number": "00",
        "title": "Twice | one",
        "question": "What is twice one?",
        "time": "1 minute",
    }
    rows = stamp_address.lesson_table(repository / "notebooks", ADDRESS).splitlines()
    assert len(rows) == 3
    link = "[Twice \\| one](notebooks/00_twice.ipynb) ([solved](notebooks/solved/00_twice.ipynb))"
    assert rows[2].startswith(f"| 00 | {link} | What is twice one? | 1 minute | [Colab](https://colab.")


@pytest.mark.slow
def test_stamping_and_unstamping_are_idempotent(repository: Path):
    def texts() -> dict[str, str]:
        files = [path for path in repository.rglob("*.*") if path.is_file()]
        return {str(path): path.read_text(encoding="utf-8") for path in files}

    def stamped(*address: str) -> dict[str, str]:
        assert stamp_address.main(["--root", str(repository), *address]) == 0
        return texts()

    (repository / "CITATION.cff").write_text(f"repository-code: {ADDRESS}\n", encoding="utf-8")
    first = stamped(ADDRESS)
    assert stamped() == stamped(ADDRESS) == first
    without = stamped(UNSTAMPED)
    assert stamped() == stamped(UNSTAMPED) == without
    assert "someone" not in "".join(without.values())
    assert builder.check(repository / "notebooks", UNSTAMPED) == []
    readme = without[str(repository / "README.md")]
    assert NO_LINKS in readme
    assert "mybinder" not in readme
    assert stamped(ADDRESS) == first


@pytest.mark.slow
def test_errors_for_bad_addresses_and_readmes(repository: Path, capsys: pytest.CaptureFixture):
    root = ["--root", str(repository)]
    assert stamp_address.main([*root, "https://example.org/x"]) == 1
    assert "does not look like https://github.com/OWNER/REPO" in capsys.readouterr().err
    (repository / "README.md").write_text("nothing", encoding="utf-8")
    assert stamp_address.main(root) == 1
    assert "no place for the lesson table" in capsys.readouterr().err
