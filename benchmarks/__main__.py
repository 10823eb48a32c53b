"""``make bench``: the speed of this machine, for the library and for the code as it is taught; see README.md here."""

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
from typing import Any

import torch

from nstlib import runtime
from nstlib.info import describe
from nstlib.timing import compare

from .worker import ROOT, Worker, last_line

RESULTS = ROOT / "benchmarks" / "results"

COCO_PHOTOS = 82_783
"""Photos in COCO train2014, the training set of report 000 (docs/sources.md)."""

SHORT_CALL_PIXELS = 400_000
"""Below so many pixels a call is short enough for the state of the caches to matter."""

PAUSE = 0.02
"""Seconds between calls: the threads of the process before keep spinning for a moment."""

JOB_EVALUATIONS = 400
"""Evaluations of report 002's job."""

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass
class Row:
    """One candidate of one section, as stored in the results.

    Attributes:
        section: A key of ``SECTIONS``.
        size: WIDTH x HEIGHT.
        name: Name of the candidate.
        seconds: Median time of a call; None if the candidate cannot run here.
        low: First quartile of the times in seconds.
        high: Third quartile of the times in seconds.
        repeats: Measured calls.
        peak: Growth of the process in bytes.
        tensors: Peak memory of the tensors in bytes.
        multiply_adds: Multiply-add operations of a call.
        note: What else there is to say.
    """

    section: str
    size: str
    name: str
    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    repeats: int = 1
    peak: int | None = None
    tensors: int | None = None
    multiply_adds: int | None = None
    note: str = ""


@dataclass
class Job:
    """A candidate of the section "job"; ``measured`` is how many of the evaluations it runs."""

    name: str
    weights: str
    measured: int
    float32_until: str | None = None


def default_jobs() -> list[Job]:
    """Return the jobs of a full benchmark."""
    return [
        Job("ours, full VGG-19", "full", 60),
        Job("ours, compact", "compact", JOB_EVALUATIONS),
        Job("ours, compact, float32_until='conv1_1'", "compact", JOB_EVALUATIONS, float32_until="conv1_1"),
    ]


@dataclass
class Plan:
    """What is measured.

    Attributes:
        steps: Repeats of Gatys' step by size.
        networks: Repeats of a network's forward pass by size.
        widths: Width of each kind of network.
        compiled: Sizes at which networks also run through torch.compile.
        training: Size of the photos of a training step.
        training_repeats: Repeats of a training step.
        jobs: Candidates of report 002's job.
        job_size: Size of that job.
        race_size: Size of the transfers to equal loss.
        race_steps: Evaluations of the code as taught.
        race_first: Evaluations at the first of three scales; ``race_steps`` more follow at the full size.
        full: Weights that stand for the full VGG-19.
    """

    steps: dict[Size, int] = field(
        default_factory=lambda: {(256, 256): 9, (300, 400): 9, (512, 512): 7, (1024, 1024): 3}
    )
    networks: dict[Size, int] = field(default_factory=lambda: {(256, 256): 15, (300, 400): 15, (720, 1280): 5})
    widths: dict[str, int] = field(default_factory=lambda: {"full": 32, "slim": 16})
    compiled: tuple[Size, ...] = ((300, 400),)
    training: Size = (256, 256)
    training_repeats: int = 3
    jobs: list[Job] = field(default_factory=default_jobs)
    job_size: Size = (300, 400)
    race_size: Size = (512, 512)
    race_steps: int = 200
    race_first: int = 200
    full: str = "full"


def quick_plan() -> Plan:
    """Return a plan that runs every section once, in seconds, for tests; its times mean nothing."""
    return Plan(
        steps={(64, 64): 2},
        networks={(64, 64): 2},
        widths={"slim": 16},
        compiled=(),
        training=(64, 64),
        training_repeats=1,
        jobs=[Job("ours, compact", "compact", 4)],
        job_size=(48, 64),
        race_size=(64, 64),
        race_steps=20,
        race_first=20,
        full="compact",
    )


# --- measuring ------------------------------------------------------------------------------------------------


def run_module(module: str, **spec: object) -> dict[str, Any]:
    """Run a module of the benchmark in a process of its own; return its result."""
    command = [sys.executable, "-m", f"benchmarks.{module}", json.dumps(spec)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(last_line(done.stderr))
    return json.loads(done.stdout.splitlines()[-1])


def interleaved(section: str, size: Size, repeats: int, specs: dict[str, dict[str, Any]]) -> list[Row]:
    """Time candidates in turn, each in a process of its own.

    Where a call is short, an unmeasured call comes before each measured one, so that the caches hold the candidate's
    own data. A candidate that cannot run here gets a row whose note gives the reason.

    Args:
        section: Section of the rows.
        size: Size of the pictures.
        repeats: Measured calls of each candidate.
        specs: Specification of each candidate by name; see ``Worker``.
    """
    workers, rows = {}, {name: Row(section, format_size(size), name) for name in specs}
    for name, spec in specs.items():
        worker = Worker(size=size, **spec)
        try:
            worker.wait_until_ready()
            worker()
            workers[name] = worker
        except (RuntimeError, BrokenPipeError) as error:
            rows[name].note = f"not here: {str(error)[:120]}"
    if workers:
        rewarm = size[0] * size[1] < SHORT_CALL_PIXELS
        comparison = compare(workers, repeats=repeats, warmup=1, pause=PAUSE, rewarm=rewarm)
        for name, worker in workers.items():
            row, timing, report = rows[name], comparison.timings[name], worker.close()
            row.seconds, (row.low, row.high), row.repeats = timing.median, timing.middle, repeats
            row.peak, row.tensors = report["peak"], report["tensors"]
            row.multiply_adds = report["multiply_adds"] or None
    return list(rows.values())


def steps(plan: Plan, device: str) -> list[Row]:
    """Measure Gatys' step."""
    rows = []
    for size, repeats in plan.steps.items():
        show_progress(f"Gatys' step, {format_size(size)}")
        spec = {"what": "step", "which": plan.full, "device": device, "count": True}
        candidates = {
            "a: as taught": {**spec, "how": "plain"},
            "b: ours, full VGG-19": {**spec, "how": "ours"},
            "c: ours, compact": {**spec, "how": "ours", "which": "compact"},
            "e: b, freed memory handed back": {**spec, "how": "ours", "keep": False},
        }
        rows += interleaved("step", size, repeats, candidates)
        floor = run_module("floor", weights=plan.full, size=size, device=device, repeats=max(2, repeats // 2))
        note = f"forward {1e3 * floor['forward']:.4g} ms, backward {1e3 * floor['backward']:.4g} ms"
        rows.append(Row("step", format_size(size), "d: the floor of b", sum(floor.values()), note=note))
    return rows


def networks(plan: Plan, device: str) -> list[Row]:
    """Measure the forward pass of transformer networks."""
    rows = []
    for size, repeats in plan.networks.items():
        for kind, width in plan.widths.items():
            show_progress(f"{kind} network, {format_size(size)}")
            spec = {"what": "network", "which": width, "device": device}
            candidates = {
                f"{kind}: as taught": {**spec, "how": "plain", "count": True},
                f"{kind}: ours": {**spec, "how": "ours", "count": True},
            }
            if size in plan.compiled:
                candidates[f"{kind}: ours, torch.compile"] = {**spec, "how": "compiled"}
            if device == "cpu":
                candidates[f"{kind}: ours, onnxruntime, float32"] = {**spec, "how": "onnx"}
            rows += interleaved("network", size, repeats, candidates)
    return rows


def training(plan: Plan, device: str) -> list[Row]:
    """Measure a training step."""
    show_progress("a training step")
    spec = {"what": "training", "device": device}
    candidates = {
        "as taught, full VGG-19": {**spec, "how": "plain", "which": plan.full},
        "ours, full VGG-19": {**spec, "how": "ours", "which": plan.full},
        "ours, compact": {**spec, "how": "ours", "which": "compact"},
    }
    rows = interleaved("training", plan.training, plan.training_repeats, candidates)
    for row in rows:
        if row.seconds:
            hours = row.seconds * 2 * COCO_PHOTOS / 4 / 3600
            row.note = f"{4 / row.seconds:.3g} photos per second; report 000's two epochs would take {hours:.3g} hours"
    return rows


def job(plan: Plan, device: str) -> list[Row]:
    """Measure the job of report 002, table 2 (docs/sources.md): 400 iterations at 400 x 300, 27.03 s on a Tesla K80."""
    rows = []
    size = format_size(plan.job_size)
    for candidate in plan.jobs:
        show_progress(f"{JOB_EVALUATIONS} iterations at {size}, {candidate.name}")
        found = run_module(
            "race",
            how="ours",
            weights=candidate.weights,
            size=plan.job_size,
            steps=candidate.measured,
            device=device,
            every=10**9,  # no losses
            float32_until=candidate.float32_until,
        )
        factor = JOB_EVALUATIONS / candidate.measured
        note = "" if factor == 1 else f"{candidate.measured} evaluations measured, times {factor:.3g}"
        rows.append(Row("job", size, candidate.name, found["seconds"] * factor, note=note))
    return rows


def races(plan: Plan, device: str) -> list[Row]:
    """Measure the seconds until the float32 loss is as low as the lowest one of the code as taught."""
    common = {"weights": "compact", "size": plan.race_size, "device": device}
    runs = {
        "as taught": {"how": "plain", "steps": plan.race_steps},
        "ours": {"how": "ours", "steps": 2 * plan.race_steps},
        "ours, coarse to fine": {
            "how": "ours",
            "steps": plan.race_first,
            "scales": 3,
            "extra_steps": plan.race_steps,
        },
    }
    rows = []
    for init in ("content", "noise"):
        target = None
        for name, spec in runs.items():
            show_progress(f"a whole transfer from the {init}, {name}")
            losses = run_module("race", **common, **spec, init=init)["losses"]
            lowest = min(loss for _, loss in losses)
            target = lowest if target is None else target  # the first run is the code as taught
            reached = [seconds for seconds, loss in losses if loss <= target]
            note = f"to a loss of {target:.4g}" if reached else f"not reached: {lowest:.4g}, not {target:.4g}"
            first = reached[0] if reached else None
            rows.append(Row("race", format_size(plan.race_size), f"from the {init}: {name}", first, note=note))
    return rows


SECTIONS = {"step": steps, "network": networks, "training": training, "job": job, "race": races}
TITLES = {
    "step": "Gatys' step: losses at relu1_1 to relu5_1 and relu4_2, and the gradient with respect to the picture",
    "network": "Forward pass of a transformer network",
    "training": "Training step of a full network on four photos of 256 x 256",
    "job": "400 iterations at 400 x 300 (27.03 s on the Tesla K80 of report 002)",
    "race": "A whole transfer to equal loss, compact extractor",
}


def describe_machine(device: str) -> dict[str, object]:
    """Return what the times depend on."""
    cpu = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        models = [line for line in cpu_info.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].split(":")[1].strip() if models else cpu
    precision = runtime.pick_precision("auto", torch.device(device))
    versions = describe()
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else "",
        "precision of b and c": str(precision).removeprefix("torch."),
        "system": platform.system(),
        "nstlib": versions["nstlib"],
        "torch": versions["torch"],
        "python": versions["python"],
        "load before the run": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "date": time.strftime("%Y-%m-%d"),
    }


# --- writing --------------------------------------------------------------------------------------------------


def ratios(rows: list[Row]) -> list[str]:
    """Return the conclusions of the table, a line each."""
    return [*step_ratios(rows), *baseline_ratios(rows), *race_ratios(rows)]


def step_ratios(rows: list[Row]) -> list[str]:
    """Return the ratios of Gatys' step by size, for the candidates a to e."""
    lines = []
    rows = [row for row in rows if row.section == "step"]
    for size in dict.fromkeys(row.size for row in rows):
        by_letter = {row.name[0]: row for row in rows if row.size == size}
        if any(row.seconds is None for row in by_letter.values()):
            continue
        seconds = {letter: row.seconds for letter, row in by_letter.items()}
        peak = {letter: row.peak for letter, row in by_letter.items()}
        tensors = {letter: row.tensors for letter, row in by_letter.items()}
        lines.append(
            f"- {size}: a/b = {seconds['a'] / seconds['b']:.2f}, d/b = {seconds['d'] / seconds['b']:.2f}, "
            f"a/c = {seconds['a'] / seconds['c']:.1f}, a/e = {seconds['a'] / seconds['e']:.2f}; "
            f"tensors b/a = {tensors['b'] / tensors['a']:.2f}; "
            f"the process's growth b/a = {peak['b'] / peak['a']:.2f}, e/a = {peak['e'] / peak['a']:.2f}"
        )
    return lines


def baseline_ratios(rows: list[Row]) -> list[str]:
    """Return how many times as fast as the baseline networks and training steps are."""
    by_key = {(row.section, row.size, row.name): row for row in rows}
    lines = []
    for row in rows:
        if row.section not in ("network", "training") or not row.seconds or "ours" not in row.name:
            continue
        baseline = by_key.get((row.section, row.size, row.name.replace("ours", "as taught")))
        if baseline and baseline.seconds:
            lines.append(f"- {row.size}, {row.name}: {baseline.seconds / row.seconds:.2f} times the speed of as taught")
    return lines


def race_ratios(rows: list[Row]) -> list[str]:
    """Return the ratios of the times to equal loss, by first picture."""
    lines = []
    rows = [row for row in rows if row.section == "race"]
    by_init: dict[str, list[Row]] = {}
    for row in rows:
        by_init.setdefault(row.name.split(":")[0], []).append(row)
    for init, (taught, ours, coarse_to_fine) in by_init.items():
        if not taught.seconds or not ours.seconds:
            continue
        line = f"- to equal loss {init}, as taught takes {taught.seconds / ours.seconds:.2f} times as long as ours"
        if coarse_to_fine.seconds:
            of_taught, of_ours = coarse_to_fine.seconds / taught.seconds, coarse_to_fine.seconds / ours.seconds
            line += f"; coarse to fine takes {of_taught:.2f} of as taught, {of_ours:.2f} of ours"
        lines.append(line)
    return lines


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


def format_size(size: Size) -> str:
    """Return WIDTH x HEIGHT."""
    return f"{size[1]} x {size[0]}"


def format_time(seconds: float | None) -> str:
    """Return a time in seconds or milliseconds, with three digits; "" for None."""
    if seconds is None:
        return ""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def show_progress(text: str) -> None:
    """Print what is being measured."""
    print(f"... {text}", file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> Path:
    """Run the command line; return the path of the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure this machine; see README.md.")
    parser.add_argument("--quick", action="store_true", help="run every section once, on tiny pictures, as a test")
    parser.add_argument("--no-large", action="store_true", help="leave out 1024 x 1024")
    parser.add_argument("--whole", action="store_true", help="run all 400 iterations with the full VGG-19, too")
    parser.add_argument("--only", choices=SECTIONS, nargs="*", help="measure these sections only")
    parser.add_argument("--device", default=str(runtime.pick_device()), help="cpu or cuda")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(argv)
    plan = quick_plan() if options.quick else Plan()
    if options.no_large:
        plan.steps.pop((1024, 1024), None)
    if options.whole:
        for candidate in plan.jobs:
            candidate.measured = JOB_EVALUATIONS
    machine, started = describe_machine(options.device), time.perf_counter()
    rows: list[Row] = []
    for name, measure in SECTIONS.items():
        if name in (options.only or SECTIONS):
            rows += measure(plan, options.device)
    machine["minutes it took"] = round((time.perf_counter() - started) / 60, 1)
    text = table(rows, machine)
    path = options.folder / f"{file_stem(machine)}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    data = {"machine": machine, "rows": [asdict(row) for row in rows]}
    path.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print(text)
    return path


def file_stem(machine: dict[str, object]) -> str:
    """Return the name of the results of a machine, such as amd_epyc_2_threads."""
    name = f"{machine['gpu'] or machine['cpu']} {machine['threads']} threads"
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


if __name__ == "__main__":
    main()
