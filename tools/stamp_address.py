"""Write the repository's address into every file that contains it.

    python tools/stamp_address.py                                  # the address in pyproject.toml, everywhere
    python tools/stamp_address.py https://github.com/OWNER/REPO    # a new address, in pyproject.toml too
    python tools/stamp_address.py --check                          # list the files that differ; change nothing

Whoever publishes the course runs this once. Before, the address is one that cannot exist (``setup_cell.UNSTAMPED``),
so that nobody can register the name from which the set-up cell takes its code.

The address is set in one place, ``[project.urls] Repository`` in pyproject.toml. From it come the links and the
set-up cell of every notebook, and the lesson table of README.md (between ``<!-- lessons -->`` and
``<!-- /lessons -->``). A new address also replaces the old one in CITATION.cff and in the Markdown files of the
repository's folder and of docs/. The outputs of the notebooks do not change, because nothing is executed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import nbformat
from lessons import KINDS, SourceError, find_lessons, header
from setup_cell import NO_LINKS, ROOT, SETTING, UNSTAMPED, check_address, links, links_cell, read_address, setup_cell

BEGIN, END = "<!-- lessons -->", "<!-- /lessons -->"


def lesson_table(folder: Path, address: str) -> str:
    """Return README's table with a row for every lesson, or "" if there is no lesson.

    Without a public address it has no column of links, but a sentence below.
    """
    published = address != UNSTAMPED
    rows = []
    for lesson in find_lessons(folder):
        about = {key: text.replace("|", "\\|") for key, text in header(lesson).items()}
        student, solved = (lesson.notebook(kind).relative_to(folder.parent).as_posix() for kind in KINDS)
        title = f"[{about['title']}]({student}) ([solved]({solved}))"
        row = [about["number"], title, about["question"], about["time"]]
        rows.append([*row, links(address, student)] if published else row)
    if not rows:
        return ""
    head = ["", "Lesson", "Question", "Time", *(["Open in"] if published else [])]
    table = "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *rows])
    return table if published else f"{table}\n{NO_LINKS}\n"


def stamped_readme(text: str, folder: Path, address: str) -> str:
    """Return README's text with an up-to-date lesson table. Raises SourceError if its marks are missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SourceError(f"README.md has no place for the lesson table; add the lines {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n{lesson_table(folder, address)}{END}{after}"


def stamped_notebook(text: str, path: str, address: str) -> str:
    """Return a notebook's text with up-to-date links and set-up cell; nothing else changes."""
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "links" in tags:
            cell.source = links_cell(address, path)
        elif "setup" in tags:
            cell.source = setup_cell(address)
    return nbformat.writes(notebook) + "\n"


def wanted(root: Path, address: str) -> dict[Path, str]:
    """Return README.md and every notebook with the text that each should have."""
    folder = root / "notebooks"
    readme = root / "README.md"
    texts = {readme: stamped_readme(readme.read_text(encoding="utf-8"), folder, address)}
    for lesson in find_lessons(folder):
        for path in map(lesson.notebook, KINDS):
            if path.is_file():  # build_notebooks.py reports the missing ones
                relative = path.relative_to(root).as_posix()
                texts[path] = stamped_notebook(path.read_text(encoding="utf-8"), relative, address)
    return texts


def move(root: Path, old: str, new: str) -> None:
    """Replace the old address in pyproject.toml, CITATION.cff, and the Markdown files of the root and of docs/."""
    pyproject = root / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(SETTING.sub(f'Repository = "{new}"', text), encoding="utf-8")
    for path in [*root.glob("CITATION.cff"), *root.glob("*.md"), *root.glob("docs/**/*.md")]:
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(old, new), encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Write the repository's address into every file that contains it.")
    parser.add_argument("address", nargs="?", help="a new address, https://github.com/OWNER/REPO")
    parser.add_argument("--check", action="store_true", help="list the files that differ; change nothing")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository's folder")
    options = parser.parse_args(argv)
    root = options.root.resolve()
    try:
        address = read_address(root / "pyproject.toml")
        if options.address and not options.check:
            new = options.address.rstrip("/").removesuffix(".git")
            check_address(new)
            move(root, address, new)
            address = new
        texts = wanted(root, address)
    except (SourceError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    outdated = [path for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    if options.check:
        for path in outdated:
            print(f"{path.relative_to(root).as_posix()}: out of step; run tools/stamp_address.py")
        return 1 if outdated else 0
    for path in outdated:
        path.write_text(texts[path], encoding="utf-8")
        print(f"stamped {path.relative_to(root).as_posix()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
