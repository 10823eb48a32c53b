"""The results in Markdown: the table of all rows, and the ratios that follow from it."""

from __future__ import annotations

from .plan import Row

TITLES = {
    "step": "Gatys' step: losses at relu1_1 to relu5_1 and relu4_2, and the gradient with respect to the picture",
    "network": "Forward pass of a transformer network",
    "training": "Training step of a full network on four photos of 256 x 256",
    "job": "400 iterations at 400 x 300 (27.03 s on the Tesla K80 of report 002)",
    "race": "A whole transfer to equal loss, compact extractor",
}


def table(rows: list[Row], machine: dict[str, object]) -> str:
    """Return all results in Markdown."""
    lines = ["# Benchmark", "", "Made by `make bench`; [the README](../README.md) explains each row.", ""]
    lines += [f"- {key}: {value}" for key, value in machine.items() if value not in ("", None)]
    for section, title in TITLES.items():
        found = [row for row in rows if row.section == section]
        if not found:
            continue
        lines += ["", f"## {title}", ""]
        lines += ["| size | candidate | time | middle half | tensors | process | arithmetic | note |"]
        lines += ["|---|---|---:|---:|---:|---:|---:|---|"]
        lines += [table_line(row) for row in found]
    return "\n".join([*lines, "", "## Ratios", "", *ratios(rows), ""])


def table_line(row: Row) -> str:
    """Return a row of the table in Markdown."""
    middle_half = "" if row.low is None else f"{format_time(row.low)} to {format_time(row.high)}"
    tensors, peak = ("" if size is None else f"{size / 2**20:.0f} MiB" for size in (row.tensors, row.peak))
    arithmetic = "" if row.multiply_adds is None else f"{row.multiply_adds / 1e9:.4g} G"
    cells = [row.size, row.name, format_time(row.seconds), middle_half, tensors, peak, arithmetic, row.note]
    return f"| {' | '.join(cells)} |"


def format_time(seconds: float | None) -> str:
    """Return a time in seconds or milliseconds, with three digits; "" for None."""
    if seconds is None:
        return ""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def ratios(rows: list[Row]) -> list[str]:
    """Return the conclusions of the table, a line each; rows that were not measured are left out."""
    measured = [row for row in rows if row.seconds]
    return [*step_ratios(measured), *baseline_ratios(measured), *race_ratios(measured)]


def step_ratios(rows: list[Row]) -> list[str]:
    """Return the ratios of Gatys' step by size, for the candidates a to f."""
    lines = []
    rows = [row for row in rows if row.section == "step"]
    for size in dict.fromkeys(row.size for row in rows):
        by_letter = {row.name[0]: row for row in rows if row.size == size}
        if not {"a", "b"} <= set(by_letter):
            continue
        a, b = by_letter["a"], by_letter["b"]
        pairs = [pair for pair in ("ab", "db", "ac", "fc", "ae") if set(pair) <= set(by_letter)]
        times = [f"{x}/{y} = {by_letter[x].seconds / by_letter[y].seconds:.2f}" for x, y in pairs]
        growth = f"the process's growth b/a = {b.peak / a.peak:.2f}"
        if "e" in by_letter:
            growth += f", e/a = {by_letter['e'].peak / a.peak:.2f}"
        lines.append(f"- {size}: {', '.join(times)}; tensors b/a = {b.tensors / a.tensors:.2f}; {growth}")
    return lines


def baseline_ratios(rows: list[Row]) -> list[str]:
    """Return how many times as fast as the baseline networks and training steps are."""
    by_key = {(row.section, row.size, row.name): row for row in rows}
    lines = []
    for row in rows:
        if row.section not in ("network", "training") or "ours" not in row.name:
            continue
        baseline = by_key.get((row.section, row.size, row.name.replace("ours", "as taught")))
        if baseline:
            lines.append(f"- {row.size}, {row.name}: {baseline.seconds / row.seconds:.2f} times the speed of as taught")
    return lines


def race_ratios(rows: list[Row]) -> list[str]:
    """Return the ratios of the times to equal loss, by first picture."""
    lines = []
    seconds = {row.name: row.seconds for row in rows if row.section == "race"}
    for init in dict.fromkeys(name.split(":")[0] for name in seconds):
        taught, ours, coarse = (
            seconds.get(f"{init}: {name}") for name in ("as taught", "ours", "ours, coarse to fine")
        )
        if not taught or not ours:
            continue
        line = f"- to equal loss {init}, as taught takes {taught / ours:.2f} times as long as ours"
        if coarse:
            line += f"; coarse to fine takes {coarse / taught:.2f} of as taught, {coarse / ours:.2f} of ours"
        lines.append(line)
    return lines
