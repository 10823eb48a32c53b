"""``make bench``: the speed of this machine, for the library and for the code as it is taught; see README.md here."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from nstlib import runtime
from nstlib.files import write_atomically
from nstlib.info import describe

from .plan import Plan, Row, quick_plan, whole_plan
from .report import format_time, table
from .sections import SECTIONS, Group
from .worker import ROOT

RESULTS = ROOT / "benchmarks" / "results"

ISA_VARIABLES = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
"""Environment variables that restrict the instructions of PyTorch, oneDNN and MKL."""


def describe_machine(device: str, plan: Plan) -> dict[str, object]:
    """Return what the times depend on."""
    cpu = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        models = [line for line in cpu_info.read_text().splitlines() if line.startswith("model name")]
        cpu = models[0].split(":")[1].strip() if models else cpu
    versions = describe()
    return {
        "cpu": cpu,
        "instructions": describe_instructions(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else "",
        "precision of b and c": str(runtime.pick_precision("auto", torch.device(device))).removeprefix("torch."),
        "system": platform.system(),
        "nstlib": versions["nstlib"],
        "sources": hash_sources(),
        "torch": versions["torch"],
        "python": versions["python"],
        "plan": plan.name,
        "date": time.strftime("%Y-%m-%d"),
    }


def describe_instructions() -> str:
    """Return the vector instructions that PyTorch uses, and the environment variables that chose them."""
    chosen = [f"{name}={os.environ[name]}" for name in ISA_VARIABLES if os.environ.get(name)]
    return torch.backends.cpu.get_cpu_capability() + (f", chosen by {' '.join(chosen)}" if chosen else "")


def hash_sources() -> str:
    """Return the beginning of a hash of the measured code, which a run that was stopped must continue with."""
    digest = hashlib.sha256()
    for folder in ("nstlib", "benchmarks"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def file_stem(machine: dict[str, object]) -> str:
    """Return the name of the results of a machine, such as amd_epyc_2_threads_bfloat16."""
    name = f"{machine['gpu'] or machine['cpu']} {machine['threads']} threads {machine['precision of b and c']}"
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


class Run:
    """The rows of one run by group, kept in a file after each group so that a stopped run can be continued.

    Args:
        machine: What the times depend on; a file of another machine, code, plan or day is not continued.
        kept: The file.
    """

    def __init__(self, machine: dict[str, object], kept: Path) -> None:
        self.machine, self.kept = machine, kept
        self.rows: dict[str, list[Row]] = {}
        self.seconds = 0.0
        if kept.exists():
            found = json.loads(kept.read_text(encoding="utf-8"))
            if found["machine"] == machine:
                self.rows = {title: [Row(**row) for row in rows] for title, rows in found["groups"].items()}
                self.seconds = found["seconds"]

    def measure(self, section: str, group: Group) -> None:
        """Measure a group, unless a stopped run has done so; print each row, then keep all of them."""
        if group.title in self.rows:
            print(f"{group.title}: measured before", flush=True)
            return
        print(f"{group.title} ...", flush=True)
        started, rows = time.perf_counter(), []
        try:
            for row in group.measure():
                print(f"  {row.name:42} {format_time(row.seconds):>8}  {row.note}", flush=True)
                rows.append(row)
        except RuntimeError as error:  # one process failed, for example for lack of memory
            rows.append(Row(section, "", group.title, note=f"not here: {str(error)[:120]}"))
            print(f"  {rows[-1].note}", flush=True)
        self.rows[group.title] = rows
        self.seconds += time.perf_counter() - started
        groups = {title: [asdict(row) for row in found] for title, found in self.rows.items()}
        write_json(self.kept, {"machine": self.machine, "seconds": self.seconds, "groups": groups})

    def write(self, path: Path) -> None:
        """Write the results as Markdown and JSON, print the ratios, and remove the kept rows."""
        rows = [row for found in self.rows.values() for row in found]
        machine = {**self.machine, "minutes it took": round(self.seconds / 60, 1)}
        write_json(path.with_suffix(".json"), {"machine": machine, "rows": [asdict(row) for row in rows]})
        text = table(rows, machine)
        write_atomically(path, text.encode())
        self.kept.unlink()
        print("\n" + text.partition("## Ratios\n\n")[2])


def write_json(path: Path, data: dict[str, Any]) -> None:
    """Write a file in JSON, whole or not at all."""
    write_atomically(path, (json.dumps(data, indent=1) + "\n").encode())


def choose_plan(options: argparse.Namespace) -> Plan:
    """Return the plan that the options ask for."""
    if options.quick:
        return quick_plan()
    return whole_plan() if options.whole else Plan()


def main(argv: list[str] | None = None) -> Path:
    """Run the command line; return the path of the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure this machine; see README.md.")
    parser.add_argument("--whole", action="store_true", help="all sizes, candidates and evaluations")
    parser.add_argument("--quick", action="store_true", help="run every section once, on tiny pictures, as a test")
    parser.add_argument("--only", choices=SECTIONS, nargs="+", help="measure these sections only")
    parser.add_argument("--device", default=str(runtime.pick_device()), help="cpu or cuda")
    parser.add_argument("--folder", type=Path, help="folder of the results (default: benchmarks/results, or out/bench)")
    options = parser.parse_args(argv)
    plan = choose_plan(options)
    # a part of the benchmark must not replace the whole table
    folder = options.folder or (ROOT / "out" / "bench" if options.quick or options.only else RESULTS)
    machine = describe_machine(options.device, plan)
    path = folder / f"{file_stem(machine)}.md"
    if hasattr(os, "getloadavg"):
        print(f"load before the run: {os.getloadavg()[0]:.2f} (close all other programs)")
    run = Run(machine, path.with_suffix(".part"))
    try:
        for name in options.only or SECTIONS:
            for group in SECTIONS[name](plan, options.device):
                run.measure(name, group)
    except KeyboardInterrupt:
        print(f"\nStopped. {run.kept} has what was measured; the same command continues, today.", file=sys.stderr)
        raise SystemExit(130) from None
    run.write(path)
    print(f"written to {path} and .json")
    return path


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended politely like by Ctrl-C
    main()
