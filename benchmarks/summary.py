"""The README's few figures, taken from a stored table: ``python -m benchmarks.summary`` writes them in."""

from __future__ import annotations

import json
from pathlib import Path

from .__main__ import time_of
from .worker import ROOT

TABLE = ROOT / "benchmarks" / "results" / "amd_epyc_2_threads.json"
MARKS = ("<!-- bench -->\n", "<!-- /bench -->\n")


def summary(path: Path = TABLE) -> str:
    """A Markdown table: what, as taught, ours, how many times as fast."""
    data = json.loads(path.read_text(encoding="utf-8"))
    rows = {(r["section"], r["size"], r["name"]): r for r in data["rows"]}

    def line(what: str, taught: tuple[str, str, str], ours: tuple[str, str, str]) -> str:
        a, b = (rows[key]["seconds"] for key in (taught, ours))
        return f"| {what} | {time_of(a)} | {time_of(b)} | {a / b:.1f} |"

    out = ["| | as taught | ours | times as fast |", "|---|---:|---:|---:|"]
    for size in ("400 x 300", "512 x 512", "1024 x 1024"):
        keys = [("step", size, name) for name in ("a: as taught", "b: ours, full VGG-19")]
        out.append(line(f"a step of Gatys' method, {size}, full VGG-19", *keys))
    keys = [("race", "512 x 512", f"from the content: {name}") for name in ("as taught", "ours")]
    out.append(line("a whole transfer to the same loss, 512 x 512, compact", *keys))
    for size, kind in (("400 x 300", "slim"), ("400 x 300", "full"), ("1280 x 720", "full")):
        keys = [("network", size, f"{kind}: {name}") for name in ("as taught", "ours")]
        out.append(line(f"a picture through a {kind} network, {size}", *keys))
    keys = [("training", "256 x 256", f"{name}, full VGG-19") for name in ("as taught", "ours")]
    out.append(line("a step of training, 4 x 256 x 256", *keys))
    jobs = {r["name"]: r["seconds"] for r in data["rows"] if r["section"] == "job"}
    machine = data["machine"]
    taught, ours = (rows["step", "512 x 512", name]["tensors"] for name in ("a: as taught", "b: ours, full VGG-19"))
    out += [
        "",
        f"400 iterations at 400 x 300, for which report 002 gives 27.03 s on a Tesla K80: "
        f"{jobs['ours, full VGG-19']:.0f} s with the full VGG-19, {jobs['ours, compact']:.1f} s with the compact one. "
        f"Memory of the tensors at 512 x 512: {ours / taught:.2f} of as taught.",
        "",
        f"*Measured on {machine['threads']} cores of an {machine['cpu']} with bfloat16, torch {machine['torch']}.*",
    ]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    readme.write_text(before + MARKS[0] + summary() + MARKS[1] + after, encoding="utf-8")
