"""The figures in the project's README, from stored results: ``python -m benchmarks.summary`` writes them there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .__main__ import format_time
from .worker import ROOT

TABLE = ROOT / "benchmarks" / "results" / "amd_epyc_2_threads.json"
MARKS = ("<!-- bench -->\n", "<!-- /bench -->\n")

Key = tuple[str, str, str]
"""Section, size and name of a row."""


def compared_rows() -> list[tuple[str, Key, Key]]:
    """Return the lines of the table: a description, the row as taught and our row."""
    lines = []
    for size in ("400 x 300", "512 x 512", "1024 x 1024"):
        taught, ours = ("step", size, "a: as taught"), ("step", size, "b: ours, full VGG-19")
        lines.append((f"a step of Gatys' method, {size}, full VGG-19", taught, ours))
    taught, ours = (("race", "512 x 512", f"from the content: {name}") for name in ("as taught", "ours"))
    lines.append(("a whole transfer to the same loss, 512 x 512, compact", taught, ours))
    for size, kind in (("400 x 300", "slim"), ("400 x 300", "full"), ("1280 x 720", "full")):
        taught, ours = (("network", size, f"{kind}: {name}") for name in ("as taught", "ours"))
        lines.append((f"a picture through a {kind} network, {size}", taught, ours))
    taught, ours = (("training", "256 x 256", f"{name}, full VGG-19") for name in ("as taught", "ours"))
    lines.append(("a step of training, 4 x 256 x 256", taught, ours))
    return lines


def summary(path: Path = TABLE) -> str:
    """Return a Markdown table with the time as taught, our time and their ratio, and the sentences below it."""
    data = json.loads(path.read_text(encoding="utf-8"))
    rows: dict[Key, dict[str, Any]] = {(row["section"], row["size"], row["name"]): row for row in data["rows"]}
    lines = ["| | as taught | ours | times as fast |", "|---|---:|---:|---:|"]
    for what, taught, ours in compared_rows():
        slow, fast = rows[taught]["seconds"], rows[ours]["seconds"]
        lines.append(f"| {what} | {format_time(slow)} | {format_time(fast)} | {slow / fast:.1f} |")
    jobs = {row["name"]: row["seconds"] for row in data["rows"] if row["section"] == "job"}
    machine = data["machine"]
    names = ("a: as taught", "b: ours, full VGG-19")
    taught_bytes, our_bytes = (rows["step", "512 x 512", name]["tensors"] for name in names)
    lines += [
        "",
        f"400 iterations at 400 x 300, for which report 002 gives 27.03 s on a Tesla K80: "
        f"{jobs['ours, full VGG-19']:.0f} s with the full VGG-19, {jobs['ours, compact']:.1f} s with the compact one. "
        f"Memory of the tensors at 512 x 512: {our_bytes / taught_bytes:.2f} of as taught.",
        "",
        f"*Measured on {machine['threads']} cores of an {machine['cpu']} with bfloat16, torch {machine['torch']}.*",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the summary into README.md."""
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    readme.write_text(before + MARKS[0] + summary() + MARKS[1] + after, encoding="utf-8")


if __name__ == "__main__":
    main()
