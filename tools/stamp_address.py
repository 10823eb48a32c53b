"""Write the repository's address into everything that carries it.

    python tools/stamp_address.py                                  # what pyproject.toml says, everywhere
    python tools/stamp_address.py https://github.com/OWNER/REPO    # a new address, pyproject.toml included
    python tools/stamp_address.py --check                          # say what does not agree; change nothing

The address is one setting, ``[project.urls] Repository`` in pyproject.toml. From it come the badges and the
set-up cell of every notebook and the lesson table of README.md (between ``<!-- lessons -->`` and
``<!-- /lessons -->``). A new address replaces the old one in the rest of the Markdown files too. Outputs of
the notebooks stay as they are: nothing is executed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import nbformat
from lessons import KINDS, SourceError, find_lessons, header
from setup_cell import ROOT, SETTING, badges, check_address, read_address, setup_cell

BEGIN, END = "<!-- lessons -->", "<!-- /lessons -->"


def lesson_table(folder: Path, address: str) -> str:
    """README's table, a row for every lesson that exists; nothing if there is none."""
    rows = ["| | Lesson | Question | Time | Open |", "|---|---|---|---|---|"]
    for lesson in find_lessons(folder):
        about = {key: text.replace("|", "\\|") for key, text in header(lesson).items()}
        student, solved = (lesson.notebook(kind).relative_to(folder.parent).as_posix() for kind in KINDS)
        title = f"[{about['title']}]({student}) ([solved]({solved}))"
        row = [about["number"], title, about["question"], about["time"], badges(address, student)]
        rows.append(f"| {' | '.join(row)} |")
    return "".join(f"{row}\n" for row in rows) if len(rows) > 2 else ""


def stamped_readme(text: str, folder: Path, address: str) -> str:
    """README's text with the lesson table as it should be. Raises SourceError if it has no place for one."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SourceError(f"README.md has no place for the lesson table; add the lines {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n{lesson_table(folder, address)}{END}{after}"


def stamped_notebook(text: str, path: str, address: str) -> str:
    """A notebook's text with its badges and set-up cell as they should be; nothing else changes."""
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "badges" in tags:
            cell.source = badges(address, path)
        elif "setup" in tags:
            cell.source = setup_cell(address)
    return nbformat.writes(notebook) + "\n"


def wanted(root: Path, address: str) -> dict[Path, str]:
    """Every file that carries the address, with the text that it should have."""
    folder = root / "notebooks"
    readme = root / "README.md"
    texts = {readme: stamped_readme(readme.read_text(encoding="utf-8"), folder, address)}
    for lesson in find_lessons(folder):
        for path in map(lesson.notebook, KINDS):
            if path.is_file():  # a missing one is the builder's to report
                place = path.relative_to(root).as_posix()
                texts[path] = stamped_notebook(path.read_text(encoding="utf-8"), place, address)
    return texts


def move(root: Path, old: str, new: str) -> None:
    """Replace the old address in pyproject.toml and in the Markdown files."""
    pyproject = root / "pyproject.toml"
    text = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(SETTING.sub(f'Repository = "{new}"', text), encoding="utf-8")
    owner_repo = [address.removeprefix("https://github.com/") for address in (old, new)]
    for path in [*root.glob("*.md"), *root.glob("docs/**/*.md")]:
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(*owner_repo), encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write the repository's address into notebooks and README.md.")
    parser.add_argument("address", nargs="?", help="a new address, https://github.com/OWNER/REPO")
    parser.add_argument("--check", action="store_true", help="change nothing; say what does not agree")
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
    stale = [path for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    if options.check:
        for path in stale:
            print(f"{path.relative_to(root).as_posix()}: out of step; run tools/stamp_address.py")
        return 1 if stale else 0
    for path in stale:
        path.write_text(texts[path], encoding="utf-8")
        print(f"stamped {path.relative_to(root).as_posix()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
