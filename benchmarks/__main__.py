"""``make bench``: how fast everything is on this machine, beside the code as it is taught. See README.md here."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from nstlib import runtime
from nstlib.timing import compare

from .worker import ROOT, Worker

RESULTS = ROOT / "benchmarks" / "results"
COCO = 82_783  # photos of COCO train2014
SHORT = 400_000  # pixels
PAUSE = 0.02  # seconds between calls: threads of the process before spin a little before they sleep


@dataclass
class Row:
    """One candidate of one section. Seconds are a median; low and high hold the middle half of the calls."""

    section: str
    size: str
    name: str
    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    repeats: int = 1
    peak: int | None = None  # bytes that the process grows by
    tensors: int | None = None  # bytes of its tensors alone
    multiply_adds: int | None = None
    note: str = ""


@dataclass
class Plan:
    """What is measured. Sizes are (height, width)."""

    steps: dict[tuple[int, int], int] = field(  # size: repeats
        default_factory=lambda: {(256, 256): 9, (300, 400): 9, (512, 512): 7, (1024, 1024): 3}
    )
    networks: dict[tuple[int, int], int] = field(
        default_factory=lambda: {(256, 256): 15, (300, 400): 15, (720, 1280): 5}
    )
    widths: dict[str, int] = field(default_factory=lambda: {"full": 32, "slim": 16})
    compiled: tuple[tuple[int, int], ...] = ((300, 400),)
    training: tuple[int, int] = (256, 256)
    training_repeats: int = 3
    job: dict[str, int] = field(  # evaluations really done
        default_factory=lambda: {"full": 60, "compact": 400, "compact, float32_until='conv1_1'": 400}
    )
    job_size: tuple[int, int] = (300, 400)
    race_size: tuple[int, int] = (512, 512)
    race_steps: int = 200
    race_first: int = 200  # evaluations of the first of three scales; the last goes on for race_steps
    full: str = "full"  # weights of (a) and (b)


QUICK = Plan(
    steps={(64, 64): 2}, networks={(64, 64): 2}, widths={"slim": 16}, compiled=(), training=(64, 64),
    training_repeats=1, job={"compact": 4}, job_size=(48, 64), race_size=(64, 64), race_steps=20, race_first=20,
    full="compact",
)  # fmt: skip
"""Every section once, in seconds: for a test, its figures mean nothing."""


def name_of(size: tuple[int, int]) -> str:
    return f"{size[1]} x {size[0]}"


def run(module: str, **spec: object) -> dict:
    """The answer of a module of ours that does its work in a process of its own."""
    command = [sys.executable, "-m", f"benchmarks.{module}", json.dumps(spec)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it ended without a word"])[-1])
    return json.loads(done.stdout.splitlines()[-1])


def interleaved(section: str, size: tuple[int, int], repeats: int, specs: dict[str, dict]) -> list[Row]:
    """Candidates in processes of their own, timed in turn; one that cannot run here says why in its row.

    Where a call is short, each counted one follows one that is not, so that the caches are its own.
    """
    workers, rows = {}, {name: Row(section, name_of(size), name) for name in specs}
    for name, spec in specs.items():
        worker = Worker(size=size, **spec)
        try:
            worker._read("ready")
            worker()
            workers[name] = worker
        except (RuntimeError, BrokenPipeError) as error:
            rows[name].note = f"not here: {str(error)[:120]}"
    if workers:
        found = compare(workers, repeats=repeats, warmup=1, pause=PAUSE, rewarm=size[0] * size[1] < SHORT)
        for name, worker in workers.items():
            row, t = rows[name], found.timings[name]
            row.seconds, (row.low, row.high), row.repeats = t.median, t.middle, repeats
            told = worker.close()
            row.peak, row.tensors, row.multiply_adds = told["peak"], told["tensors"], told["multiply_adds"] or None
    return list(rows.values())


def steps(plan: Plan, device: str) -> list[Row]:
    rows = []
    for size, repeats in plan.steps.items():
        say(f"Gatys' step, {name_of(size)}")
        full = {"what": "step", "which": plan.full, "device": device, "count": True}
        rows += interleaved(
            "step", size, repeats,
            {"a: as taught": {**full, "how": "plain"}, "b: ours, full VGG-19": {**full, "how": "ours"},
             "c: ours, compact": {**full, "how": "ours", "which": "compact"},
             "e: b, freed memory handed back": {**full, "how": "ours", "keep": False}},
        )  # fmt: skip
        sums = run("floor", which=plan.full, size=size, device=device, repeats=max(2, repeats // 2))
        note = f"forward {1e3 * sums['forward']:.4g} ms, backward {1e3 * sums['backward']:.4g} ms"
        rows.append(Row("step", name_of(size), "d: the floor of b", sum(sums.values()), note=note))
    return rows


def networks(plan: Plan, device: str) -> list[Row]:
    rows = []
    for size, repeats in plan.networks.items():
        for kind, width in plan.widths.items():
            say(f"{kind} network, {name_of(size)}")
            spec = {"what": "network", "which": width, "device": device, "count": True}
            hows = {"as taught": "plain", "ours": "ours"}
            if size in plan.compiled:
                hows["ours, torch.compile"] = "compiled"
            if device == "cpu":
                hows["ours, onnxruntime, float32"] = "onnx"
            specs = {f"{kind}: {k}": {**spec, "how": v, "count": v in ("plain", "ours")} for k, v in hows.items()}
            rows += interleaved("network", size, repeats, specs)
    return rows


def training(plan: Plan, device: str) -> list[Row]:
    say("one step of training")
    spec = {"what": "training", "device": device}
    rows = interleaved(
        "training", plan.training, plan.training_repeats,
        {"as taught, full VGG-19": {**spec, "how": "plain", "which": plan.full},
         "ours, full VGG-19": {**spec, "how": "ours", "which": plan.full},
         "ours, compact": {**spec, "how": "ours", "which": "compact"}},
    )  # fmt: skip
    for row in rows:
        if row.seconds:
            hours = row.seconds * 2 * COCO / 4 / 3600
            row.note = f"{4 / row.seconds:.3g} photos a second; report 000's two epochs would take {hours:.3g} hours"
    return rows


def job(plan: Plan, device: str) -> list[Row]:
    """Report 002's table 2: 400 iterations at 400 x 300 took 27.03 s on a Tesla K80."""
    rows = []
    for which, count in plan.job.items():
        say(f"400 iterations at {name_of(plan.job_size)}, {which}")
        weights, _, exact = which.partition(", float32_until=")
        common = {"which": weights, "size": plan.job_size, "steps": count, "device": device, "every": 10**9}
        found = run("race", how="ours", float32_until=exact.strip("'") or None, **common)
        note = "" if count == 400 else f"{count} evaluations measured, times {400 / count:.3g}"
        name = f"ours, {which.replace('full', 'full VGG-19')}"
        rows.append(Row("job", name_of(plan.job_size), name, found["seconds"] * 400 / count, note=note))
    return rows


def races(plan: Plan, device: str) -> list[Row]:
    """Seconds until the loss, judged in float32, is as low as the plain code's at the end of its run."""
    common = {"which": "compact", "size": plan.race_size, "device": device}
    runs = {
        "as taught": {"how": "plain", "steps": plan.race_steps},
        "ours": {"how": "ours", "steps": 2 * plan.race_steps},
        "ours, coarse to fine": {"how": "ours", "steps": plan.race_first, "scales": 3, "more": plan.race_steps},
    }
    rows = []
    for start in ("content", "noise"):
        target = None
        for name, spec in runs.items():
            say(f"a whole transfer from the {start}, {name}")
            losses = run("race", **common, **spec, start=start)["losses"]
            lowest = min(loss for _, loss in losses)
            target = lowest if target is None else target
            reached = [t for t, loss in losses if loss <= target]
            note = f"to a loss of {target:.4g}" if reached else f"not reached: {lowest:.4g}, not {target:.4g}"
            name = f"from the {start}: {name}"
            rows.append(Row("race", name_of(plan.race_size), name, reached[0] if reached else None, note=note))
    return rows


SECTIONS = {"step": steps, "network": networks, "training": training, "job": job, "race": races}
TITLES = {
    "step": "Gatys' step: losses at relu1_1 to relu5_1 and relu4_2, and the gradient with respect to the picture",
    "network": "A picture through a transformer network",
    "training": "One step of training a full network on four photos of 256 x 256",
    "job": "400 iterations at 400 x 300 (27.03 s on the Tesla K80 of report 002)",
    "race": "A whole transfer to equal loss, compact extractor",
}


def machine(device: str) -> dict[str, object]:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((s.split(":")[1].strip() for s in info.read_text().splitlines() if s.startswith("model name")), cpu)
    precision = runtime.pick_precision("auto", torch.device(device))
    return {
        "cpu": cpu, "cores": os.cpu_count(), "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else "",
        "precision of b and c": str(precision).removeprefix("torch."), "system": platform.system(),
        **{k: v for k, v in runtime.describe().items() if k in ("nstlib", "torch", "python")},
        "load before the run": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


def ratios(rows: list[Row]) -> list[str]:
    """What the table is for, in sentences."""
    lines, by = [], {(r.section, r.size, r.name): r for r in rows}
    for size in dict.fromkeys(r.size for r in rows if r.section == "step"):
        of = {r.name[0]: r for r in rows if (r.section, r.size) == ("step", size)}
        t, peak, tensors = ({k: getattr(r, field) for k, r in of.items()} for field in ("seconds", "peak", "tensors"))
        if None in t.values():
            continue
        lines.append(
            f"- {size}: a/b = {t['a'] / t['b']:.2f}, d/b = {t['d'] / t['b']:.2f}, a/c = {t['a'] / t['c']:.1f}, "
            f"a/e = {t['a'] / t['e']:.2f}; tensors b/a = {tensors['b'] / tensors['a']:.2f}; the process's growth "
            f"b/a = {peak['b'] / peak['a']:.2f}, e/a = {peak['e'] / peak['a']:.2f}"
        )
    for row in rows:
        first = by.get((row.section, row.size, row.name.replace("ours", "as taught")))
        if row.section in ("network", "training") and row.seconds and first and first is not row and first.seconds:
            lines.append(f"- {row.size}, {row.name}: {first.seconds / row.seconds:.2f} times as fast as as taught")
    race = [r for r in rows if r.section == "race"]
    for begin in range(0, len(race), 3):
        (taught, ours, fine), start = (r.seconds for r in race[begin : begin + 3]), race[begin].name.split(":")[0]
        if taught and ours:
            lines.append(f"- to equal loss {start}, as taught takes {taught / ours:.2f} times as long as ours")
        if taught and ours and fine:
            lines[-1] += f"; coarse to fine takes {fine / taught:.2f} of as taught, {fine / ours:.2f} of ours"
    return lines


def table(rows: list[Row], about: dict[str, object]) -> str:
    """All of it in Markdown."""
    out = ["# Benchmark", "", "Made by `make bench`; what each row is stands in [the README](../README.md).", ""]
    out += [f"- {k}: {v}" for k, v in about.items() if v not in ("", None)]
    for section, title in TITLES.items():
        found = [r for r in rows if r.section == section]
        if not found:
            continue
        out += [
            "",
            f"## {title}",
            "",
            "| size | candidate | time | middle half | tensors | process | arithmetic | note |",
        ]
        out += ["|---|---|---:|---:|---:|---:|---:|---|"]
        for r in found:
            middle = "" if r.low is None else f"{time_of(r.low)} to {time_of(r.high)}"
            peak, tensors = ("" if n is None else f"{n / 2**20:.0f} MiB" for n in (r.peak, r.tensors))
            work = "" if r.multiply_adds is None else f"{r.multiply_adds / 1e9:.4g} G"
            out.append(
                f"| {r.size} | {r.name} | {time_of(r.seconds)} | {middle} | {tensors} | {peak} | {work} | {r.note} |"
            )
    return "\n".join([*out, "", "## Ratios", "", *ratios(rows), ""])


def time_of(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def say(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)


def main(words: list[str] | None = None) -> Path:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure this machine; see README.md.")
    parser.add_argument("--quick", action="store_true", help="every section once, tiny: to see that it works")
    parser.add_argument("--no-large", action="store_true", help="leave out 1024 x 1024")
    parser.add_argument("--whole", action="store_true", help="do all 400 iterations with the full VGG-19, too")
    parser.add_argument("--only", choices=SECTIONS, nargs="*", help="these sections only")
    parser.add_argument("--device", default=str(runtime.pick_device()), help="cpu or cuda")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where the table is stored")
    told = parser.parse_args(words)
    plan = QUICK if told.quick else Plan()
    if told.no_large:
        plan.steps.pop((1024, 1024), None)
    if told.whole:
        plan.job = dict.fromkeys(plan.job, 400)
    about, begin = machine(told.device), time.perf_counter()
    rows = [row for name, section in SECTIONS.items() if name in (told.only or SECTIONS)
            for row in section(plan, told.device)]  # fmt: skip
    about["minutes it took"] = round((time.perf_counter() - begin) / 60, 1)
    text = table(rows, about)
    slug = re.sub(r"[^a-z0-9]+", "_", f"{about['gpu'] or about['cpu']} {about['threads']} threads".lower()).strip("_")
    told.folder.mkdir(parents=True, exist_ok=True)
    path = told.folder / f"{slug}.md"
    path.write_text(text, encoding="utf-8")
    data = {"machine": about, "rows": [asdict(r) for r in rows]}
    path.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print(text)
    return path


if __name__ == "__main__":
    main()
