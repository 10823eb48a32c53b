"""Measure what a lesson costs: the memory of its kernel with all children, and the processor time.

    OMP_NUM_THREADS=1 taskset -c 0 python tools/measure_lessons.py [NAMES...] [--profile cpu]

Executes the solved copy of each lesson in a fresh kernel and prints one row a lesson as it ends. Nothing is written.
Binder allows 2 GB of memory and one core; the course must stay below 1.6 GB a lesson and one hour in all.
"""

from __future__ import annotations

import argparse
import resource
import sys
import threading

import psutil
from build_notebooks import choose, execute
from lessons import Lesson, find_lessons, make_copy
from nbformat import NotebookNode
from setup_cell import ROOT, UNSTAMPED

EVERY = 0.1
"""Seconds between two samples of the memory."""


class MemoryWatch:
    """Samples the memory of all descendants of this process while it is open.

    Attributes:
        peaks: The largest memory in bytes by cell, counted from 1 with the markdown cells; 0 is before the first one.
            What the processes share, such as PyTorch's libraries, counts once.
    """

    def __init__(self, notebook: NotebookNode) -> None:
        self.notebook = notebook
        self.peaks: dict[int, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(EVERY):
            memory, cell = family_memory(), self._running_cell()
            self.peaks[cell] = max(memory, self.peaks.get(cell, 0))

    def _running_cell(self) -> int:
        started = [number for number, cell in enumerate(self.notebook.cells, 1) if cell.get("execution_count")]
        return max(started, default=0)


def family_memory() -> int:
    """Return the memory of all descendants of this process, in bytes."""
    own, shared = [0], [0]
    for process in psutil.Process().children(recursive=True):
        try:
            memory = process.memory_full_info()
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # it ended between the two calls
            continue
        own.append(memory.uss)
        shared.append(memory.rss - memory.uss)
    return sum(own) + max(shared)


def cpu_seconds() -> float:
    """Return the processor time of all children that have ended, and of their children."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(lesson: Lesson, profile: str, timeout: int) -> tuple[dict[int, int], float]:
    """Execute a lesson; return the peak memory in bytes of each cell, and the processor time in seconds."""
    notebook = make_copy(lesson, "solved", UNSTAMPED, profile)
    before = cpu_seconds()
    with MemoryWatch(notebook) as watch:
        execute(notebook, lesson.notebook("solved").parent, profile, timeout)
    return watch.peaks, cpu_seconds() - before


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Measure the memory and the processor time of lessons.")
    parser.add_argument("names", nargs="*", help="lessons, such as 12; default: all")
    parser.add_argument("--profile", default="cpu", choices=("smoke", "cpu", "gpu"))
    parser.add_argument("--timeout", type=int, default=3600, help="seconds that one cell may take")
    options = parser.parse_args(argv)
    print("| lesson | peak memory, GB | at cells | processor time, s |\n|---|---:|---|---:|")
    total = 0.0
    for lesson in choose(options.names, find_lessons(ROOT / "notebooks")):
        peaks, seconds = measure(lesson, options.profile, options.timeout)
        total += seconds
        largest = sorted(peaks, key=peaks.__getitem__, reverse=True)[:3]
        cells = ", ".join(f"{cell} ({peaks[cell] / 1e9:.2f})" for cell in largest)
        print(f"| {lesson.name} | {peaks[largest[0]] / 1e9:.2f} | {cells} | {seconds:.0f} |", flush=True)
    print(f"| all | | | {total:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
