"""The sections of the benchmark: each is a list of groups, and a group yields its rows as they are measured."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import torch

from nstlib import runtime
from nstlib.timing import compare

from .plan import JOB_EVALUATIONS, Job, Plan, Row, Size, format_size
from .worker import ROOT, Worker, last_line

COCO_PHOTOS = 82_783
"""Photos in COCO train2014, the training set of report 000 (docs/sources.md)."""

SHORT_CALL = 0.25
"""Seconds; where no candidate's call takes longer, the state of the caches matters."""

PAUSE = 0.02
"""Seconds between calls: the threads of the process before keep spinning for a moment."""

FEWEST_REPEATS = 3
"""Measured calls of a candidate, however long they take."""


class Group(NamedTuple):
    """Candidates that are measured together; a run that was stopped continues with the next group."""

    title: str
    measure: Callable[[], Iterator[Row]]


def run_module(module: str, **spec: object) -> dict[str, Any]:
    """Run a module of the benchmark in a process of its own; return its result."""
    command = [sys.executable, "-m", f"benchmarks.{module}", json.dumps(spec)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(last_line(done.stderr))
    return json.loads(done.stdout.splitlines()[-1])


def interleaved(section: str, size: Size, plan: Plan, specs: dict[str, dict[str, Any]]) -> Iterator[Row]:
    """Time candidates in turn, each in a process of its own.

    The first call of each is not counted; from its time follows how many calls fit into ``plan.seconds``. Where calls
    are short, an unmeasured call comes before each measured one, so that the caches hold the candidate's own data. A
    candidate that cannot run here gets a row whose note gives the reason.

    Args:
        section: Section of the rows.
        size: Size of the pictures.
        plan: Sets the number of measured calls.
        specs: Specification of each candidate by name; see ``Worker``.
    """
    rows = {name: Row(section, format_size(size), name) for name in specs}
    with ExitStack() as stack:
        workers, first_calls = {}, []
        for name, spec in specs.items():
            worker = stack.enter_context(Worker(size=size, **spec))
            try:
                worker.wait_until_ready()
                started = time.perf_counter()
                worker()
                first_calls.append(time.perf_counter() - started)
                workers[name] = worker
            except (RuntimeError, BrokenPipeError) as error:
                rows[name].note = f"not here: {str(error)[:120]}"
        if workers:
            rewarm = max(first_calls) < SHORT_CALL
            fitting = int(plan.seconds / sum(first_calls) / (2 if rewarm else 1))
            repeats = min(plan.most_repeats, max(FEWEST_REPEATS, fitting))
            comparison = compare(workers, repeats=repeats, warmup=0, pause=PAUSE, rewarm=rewarm)
        for name, worker in workers.items():
            row, timing, report = rows[name], comparison.timings[name], worker.report()
            row.seconds, (row.low, row.high), row.repeats = timing.median, timing.middle, repeats
            row.peak, row.tensors = report["peak"], report["tensors"]
            row.multiply_adds = report["multiply_adds"] or None
    yield from rows.values()


def steps(plan: Plan, device: str) -> Iterator[Group]:
    """Measure Gatys' step."""
    spec = {"what": "step", "which": plan.full, "device": device, "count": True}
    candidates = {
        "a: as taught": {**spec, "how": "plain"},
        "b: ours, full VGG-19": {**spec, "how": "ours"},
        "c: ours, compact": {**spec, "how": "ours", "which": "compact"},
        "f: as taught, compact": {**spec, "how": "plain", "which": "compact"},
    }
    if plan.handed_back:
        candidates["e: b, freed memory handed back"] = {**spec, "how": "ours", "keep": False}
    for size in plan.steps:
        yield Group(f"Gatys' step, {format_size(size)}", partial(interleaved, "step", size, plan, candidates))
        yield Group(f"the floor of Gatys' step, {format_size(size)}", partial(floor, plan, size, device))


def floor(plan: Plan, size: Size, device: str) -> Iterator[Row]:
    """Measure the lower bound of Gatys' step."""
    times = run_module("floor", weights=plan.full, size=size, device=device, repeats=2)
    note = f"forward {1e3 * times['forward']:.4g} ms, backward {1e3 * times['backward']:.4g} ms"
    yield Row("step", format_size(size), "d: the floor of b", sum(times.values()), note=note)


def networks(plan: Plan, device: str) -> Iterator[Group]:
    """Measure the forward pass of transformer networks."""
    for size in plan.networks:
        for kind, width in plan.widths.items():
            spec = {"what": "network", "which": width, "device": device}
            candidates = {
                f"{kind}: as taught": {**spec, "how": "plain", "count": True},
                f"{kind}: ours": {**spec, "how": "ours", "count": True},
            }
            if size in plan.compiled:
                candidates[f"{kind}: ours, torch.compile"] = {**spec, "how": "compiled"}
            if device == "cpu":
                candidates[f"{kind}: ours, onnxruntime, float32"] = {**spec, "how": "onnx"}
            measure = partial(interleaved, "network", size, plan, candidates)
            yield Group(f"{kind} network, {format_size(size)}", measure)


def training(plan: Plan, device: str) -> Iterator[Group]:
    """Measure a training step."""
    spec = {"what": "training", "device": device}
    candidates = {
        "as taught, full VGG-19": {**spec, "how": "plain", "which": plan.full},
        "ours, full VGG-19": {**spec, "how": "ours", "which": plan.full},
        "ours, compact": {**spec, "how": "ours", "which": "compact"},
    }

    def measure() -> Iterator[Row]:
        for row in interleaved("training", plan.training, plan, candidates):
            if row.seconds:
                hours = row.seconds * 2 * COCO_PHOTOS / 4 / 3600
                row.note = f"{4 / row.seconds:.3g} photos per second; report 000's two epochs would take {hours:.3g} h"
            yield row

    yield Group("a training step", measure)


def jobs(plan: Plan, device: str) -> Iterator[Group]:
    """Measure the job of report 002, table 2 (docs/sources.md): 400 iterations at 400 x 300, 27.03 s on a Tesla K80."""
    mixed = runtime.pick_precision("auto", torch.device(device)) == torch.bfloat16
    for job in plan.jobs:
        if job.float32_until and not mixed:
            continue  # the same as without
        title = f"{JOB_EVALUATIONS} iterations at {format_size(plan.job_size)}, {job.name}"
        yield Group(title, partial(run_job, job, plan.job_size, device))


def run_job(job: Job, size: Size, device: str) -> Iterator[Row]:
    """Run as many evaluations of a job as it says, and extrapolate to all."""
    found = run_module(
        "race",
        how="ours",
        weights=job.weights,
        size=size,
        steps=job.measured,
        device=device,
        every=10**9,  # no losses
        float32_until=job.float32_until,
    )
    factor = JOB_EVALUATIONS / job.measured
    note = "" if factor == 1 else f"{job.measured} evaluations measured, times {factor:.3g}"
    yield Row("job", format_size(size), job.name, found["seconds"] * factor, note=note)


def races(plan: Plan, device: str) -> Iterator[Group]:
    """Measure the seconds until the float32 loss is as low as the lowest one of the code as taught."""
    for init in plan.race_inits:
        yield Group(f"a whole transfer from the {init}", partial(race, plan, device, init))


def race(plan: Plan, device: str, init: str) -> Iterator[Row]:
    """Run the code as taught, then ours at one size and coarse to fine."""
    common = {"weights": "compact", "size": plan.race_size, "device": device, "init": init}
    runs = {
        "as taught": {"how": "plain", "steps": plan.race_steps},
        "ours": {"how": "ours", "steps": 2 * plan.race_steps},
        "ours, coarse to fine": {"how": "ours", "steps": plan.race_first, "scales": 3, "extra_steps": plan.race_steps},
    }
    target = None
    for name, spec in runs.items():
        losses = run_module("race", **common, **spec)["losses"]
        lowest = min(loss for _, loss in losses)
        target = lowest if target is None else target  # the first run is the code as taught
        reached = [seconds for seconds, loss in losses if loss <= target]
        note = f"to a loss of {target:.4g}" if reached else f"not reached: {lowest:.4g}, not {target:.4g}"
        first = reached[0] if reached else None
        yield Row("race", format_size(plan.race_size), f"from the {init}: {name}", first, note=note)


SECTIONS: dict[str, Callable[[Plan, str], Iterator[Group]]] = {
    "step": steps,
    "network": networks,
    "training": training,
    "job": jobs,
    "race": races,
}
