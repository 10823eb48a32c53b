"""The figures in the project's README, from stored results: ``python -m benchmarks.summary`` writes them there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nstlib.files import write_atomically

from .report import format_time
from .worker import ROOT

RESULTS = ROOT / "benchmarks" / "results"
MARKS = ("<!-- bench -->\n", "<!-- /bench -->\n")

CLASSES = {
    "bfloat16": "A processor with bfloat16 (AVX-512 BF16 or AMX)",
    "float32": "A processor without it (AVX2: most laptops, Colab, Binder)",
}
"""Heading of each table, by the precision that the library picks on the processor."""

Key = tuple[str, str, str]
"""Section, size and name of a row."""


def compared_rows() -> list[tuple[str, Key, Key]]:
    """Return the lines of a table: a description, the row as taught and our row."""
    lines = []
    for size in ("400 x 300", "512 x 512", "1024 x 1024"):
        taught, ours = ("step", size, "a: as taught"), ("step", size, "b: ours, full VGG-19")
        lines.append((f"a step of Gatys' method, {size}, full VGG-19", taught, ours))
    taught, ours = (("step", "512 x 512", name) for name in ("f: as taught, compact", "c: ours, compact"))
    lines.append(("a step of Gatys' method, 512 x 512, compact", taught, ours))
    taught, ours = (("race", "512 x 512", f"from the content: {name}") for name in ("as taught", "ours"))
    lines.append(("a whole transfer to the same loss, 512 x 512, compact", taught, ours))
    for size, kind in (("400 x 300", "slim"), ("400 x 300", "full"), ("1280 x 720", "full")):
        taught, ours = (("network", size, f"{kind}: {name}") for name in ("as taught", "ours"))
        lines.append((f"a picture through a {kind} network, {size}", taught, ours))
    taught, ours = (("training", "256 x 256", f"{name}, full VGG-19") for name in ("as taught", "ours"))
    lines.append(("a step of training, 4 x 256 x 256", taught, ours))
    return lines


def newest_results(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """Return the newest stored results of each class of processor, with the path of its "table", as in ``CLASSES``."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):
        data = {**json.loads(path.read_text(encoding="utf-8")), "table": f"benchmarks/results/{path.stem}.md"}
        machine = data["machine"]
        precision = machine["precision of b and c"]
        if not machine["gpu"] and (precision not in found or found[precision]["machine"]["date"] <= machine["date"]):
            found[precision] = data
    return {precision: found[precision] for precision in CLASSES if precision in found}


def summary(data: dict[str, Any]) -> str:
    """Return a Markdown table with the time as taught, our time and their ratio, and the sentences below it."""
    rows: dict[Key, dict[str, Any]] = {(row["section"], row["size"], row["name"]): row for row in data["rows"]}
    lines = ["| | as taught | ours | times as fast |", "|---|---:|---:|---:|"]
    for what, taught, ours in compared_rows():
        slow, fast = (rows.get(key, {}).get("seconds") for key in (taught, ours))
        if slow and fast:  # the default plan leaves out the largest sizes
            lines.append(f"| {what} | {format_time(slow)} | {format_time(fast)} | {slow / fast:.1f} |")
    jobs = {row["name"]: row["seconds"] for row in data["rows"] if row["section"] == "job"}
    names = ("a: as taught", "b: ours, full VGG-19")
    taught_bytes, our_bytes = (rows["step", "512 x 512", name]["tensors"] for name in names)
    machine = data["machine"]
    instructions = f" with {machine['instructions']}" if "instructions" in machine else ""
    lines += [
        "",
        f"400 iterations at 400 x 300, for which report 002 gives 27.03 s on a Tesla K80: "
        f"{jobs['ours, full VGG-19']:.0f} s with the full VGG-19, {jobs['ours, compact']:.1f} s with the compact one. "
        f"Memory of the tensors at 512 x 512: {our_bytes / taught_bytes:.2f} of as taught.",
        "",
        f"*{machine['threads']} threads of an {machine['cpu']}{instructions}; torch {machine['torch']}; "
        f"{machine['date']}; [all measurements]({data['table']}).*",
    ]
    return "\n".join(lines) + "\n"


def both_tables(folder: Path = RESULTS) -> str:
    """Return the part of README.md between the marks."""
    parts = [f"**{CLASSES[name]}**\n\n{summary(data)}" for name, data in newest_results(folder).items()]
    return MARKS[0] + "\n".join(parts) + MARKS[1]


def main() -> None:
    """Write the tables into README.md."""
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    write_atomically(readme, (before + both_tables() + after).encode())


if __name__ == "__main__":
    main()
