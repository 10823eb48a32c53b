"""Load mutated pictures and compare with plain Pillow: ``python tests/fuzz/run.py --count 5000 --seed 0``.

Every picture that Pillow decodes must be accepted with Pillow's pixels, every other one refused by an ImageError of
one sentence; within 10 seconds of processor time, with at most 1 GB of memory more than before, and without starting a
program. The pictures are loaded in processes of their own, so that a crash or a hang is one failure. Prints counts by
format and outcome, keeps the pictures that failed, and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import multiprocessing
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

SECONDS = 10
"""Limit on the processor time of one picture."""

HANG_SECONDS = 60
"""A process that has not answered for so long is ended; other programs may slow it down."""

MEGABYTES = 2**30 / 1e6
"""Limit on the memory that loading one picture adds at its peak."""

GOOD = ("accepted", "refused")


@dataclass
class Outcome:
    """What became of one picture."""

    number: int
    format: str
    kind: str
    detail: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0


# --- in the process that loads ------------------------------------------------------------------------------


def memory(field: str) -> float:
    """Return a figure of this process in MB: VmRSS, or VmHWM, its peak. 0 where there is no /proc."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0.0
    return int(re.search(rf"{field}:\s+(\d+)", status)[1]) * 1024 / 1e6


def reset_peak() -> None:
    """Let VmHWM begin again at the present memory."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def check(sample, path: Path, use_path: bool) -> Outcome:
    """Load one picture as a file or as a stream, and compare it with the reference."""
    import reference

    from nstlib import ImageError, images

    started: list[str] = []
    AUDITED[:] = [started]
    source: object = io.BytesIO(sample.data)
    if use_path:
        source = path.with_suffix(sample.suffix)
        source.write_bytes(sample.data)
    reset_peak()
    before, begin = memory("VmRSS"), time.process_time()
    loaded, message = None, ""
    try:
        loaded = images.load(source)
        kind = "accepted"
    except ImageError as error:
        kind, message = "refused", str(error)
    except BaseException as error:
        kind, message = "raw error", f"{type(error).__name__}: {error}"
    seconds, added = time.process_time() - begin, memory("VmHWM") - before
    if use_path:
        source.unlink()
    AUDITED.clear()
    outcome = Outcome(0, sample.format, kind, message, seconds, added)
    if started:
        outcome.kind, outcome.detail = "program started", ", ".join(started)
    elif kind in GOOD and seconds > SECONDS:
        outcome.kind, outcome.detail = "slow", f"{seconds:.1f} s"
    elif kind in GOOD and added > MEGABYTES:
        outcome.kind, outcome.detail = "memory", f"{added:.0f} MB"
    elif kind in GOOD:
        compare(outcome, loaded, reference.expected(sample.data, images.READ_FORMATS))
    return outcome


def compare(outcome: Outcome, loaded, expected) -> None:
    """Compare what was loaded (a tensor, or None for a refusal) with what is expected; a difference is the outcome."""
    import numpy as np

    if loaded is None:
        message = outcome.detail
        if expected is not None:
            outcome.kind = "wrongly refused"
        elif not (message.isprintable() and message.endswith(".") and 20 < len(message) < 300):
            outcome.kind = "bad sentence"
        return
    if expected is None:
        outcome.kind = "wrongly accepted"
    elif tuple(loaded.shape) != (1, 3, *expected.size):
        outcome.kind, outcome.detail = "wrong size", f"{tuple(loaded.shape)}, not {expected.size}"
    elif not (loaded.min() >= 0 and loaded.max() <= 1):  # NaN fails, too
        outcome.kind = "wrong range"
    elif expected.pixels is not None:
        difference = np.abs(loaded[0].permute(1, 2, 0).numpy() * np.float32(255) - expected.pixels).max()
        if difference > expected.tolerance:
            outcome.kind, outcome.detail = "wrong pixels", f"{expected.mode}, {difference:.2f}"


AUDITED: list[list[str]] = []
"""While a picture is loaded: the list that programs and connections are written into."""


def _audit(event: str, _: object) -> None:
    if AUDITED and event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect"):
        AUDITED[0].append(event)


def work(seed: int, numbers: list[int], pipe: Connection) -> None:
    """Check pictures one after the other; each number is announced before its outcome is sent."""
    import pictures
    import torch

    import nstlib.images  # noqa: F401  imported before the clock runs

    torch.set_num_threads(1)
    sys.addaudithook(_audit)
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            pipe.send(number)
            outcome = check(pictures.case(seed, number), Path(folder) / "picture", use_path=number % 2 == 0)
            outcome.number = number
            pipe.send(outcome)
    pipe.send(None)


# --- in the process that was started -------------------------------------------------------------------------


class Worker:
    """A process that checks its share of the pictures, and is replaced when it hangs or crashes."""

    def __init__(self, seed: int, numbers: list[int]) -> None:
        self.seed, self.numbers = seed, numbers
        self.start()

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, child = context.Pipe(duplex=False)
        self.process = context.Process(target=work, args=(self.seed, self.numbers, child), daemon=True)
        self.process.start()
        child.close()
        self.current, self.heard = None, time.monotonic() + 60  # the first message waits for the imports

    def receive(self) -> Outcome | None:
        """Return the next outcome if there is one; start again behind a picture that ended the process."""
        hung = time.monotonic() - self.heard > HANG_SECONDS
        try:
            if not hung:
                if not self.pipe.poll(0):
                    return None
                message = self.pipe.recv()
                self.heard = time.monotonic()
                if isinstance(message, Outcome):
                    self.numbers = [n for n in self.numbers if n > message.number]
                    return message
                self.current = message
                return None
        except EOFError:
            pass
        self.process.kill()
        self.process.join()
        if self.current is None:
            raise RuntimeError(f"a process ended by itself (exit code {self.process.exitcode})")
        kind = "hang" if hung else "crash"
        lost = Outcome(self.current, "?", kind, f"exit code {self.process.exitcode}")
        self.numbers = [n for n in self.numbers if n > self.current]
        self.start()
        return lost


def run(seed: int, numbers: list[int], processes: int) -> list[Outcome]:
    """Return the outcome of each picture, by number."""
    workers = [Worker(seed, numbers[i::processes]) for i in range(min(processes, len(numbers)))]
    outcomes: list[Outcome] = []
    while any(worker.numbers for worker in workers):
        wait([worker.pipe for worker in workers if worker.numbers], timeout=1)
        for worker in workers:
            outcome = worker.receive() if worker.numbers else None
            if outcome is not None:
                outcomes.append(outcome)
                if sys.stderr.isatty():
                    print(f"\r{len(outcomes)} of {len(numbers)}", end="", file=sys.stderr)
    for worker in workers:
        worker.process.join()
    return sorted(outcomes, key=lambda outcome: outcome.number)


def table(outcomes: list[Outcome]) -> str:
    """Return the counts by format and outcome."""
    kinds = list(dict.fromkeys([*GOOD, *sorted({o.kind for o in outcomes})]))
    counts = collections.Counter((o.format, o.kind) for o in outcomes)
    rows = [["format", *kinds]]
    rows += [[name, *(str(counts[name, kind]) for kind in kinds)] for name in sorted({o.format for o in outcomes})]
    rows.append(["all", *(str(sum(o.kind == kind for o in outcomes)) for kind in kinds)])
    return "\n".join("".join(f"{cell:>{10 if i == 0 else 17}}" for i, cell in enumerate(row)) for row in rows)


def keep(outcome: Outcome, seed: int, folder: Path) -> Path:
    """Write the picture of a failure into a folder."""
    import pictures

    sample = pictures.case(seed, outcome.number)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{outcome.kind.replace(' ', '_')}_{seed}_{outcome.number}{sample.suffix}"
    path.write_bytes(sample.data)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000, help="how many pictures")
    parser.add_argument("--first", type=int, default=0, help="number of the first picture")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--keep", type=Path, default=Path("out/fuzz"), help="where pictures that failed are kept")
    args = parser.parse_args()
    begin = time.monotonic()
    outcomes = run(args.seed, list(range(args.first, args.first + args.count)), args.processes)
    print(table(outcomes))
    slowest = max(outcomes, key=lambda o: o.seconds)
    largest = max(outcomes, key=lambda o: o.megabytes)
    print(
        f"{len(outcomes)} pictures, seed {args.seed}, {time.monotonic() - begin:.0f} s; "
        f"slowest {slowest.seconds:.1f} s (number {slowest.number}); "
        f"most memory added {largest.megabytes:.0f} MB (number {largest.number})"
    )
    failures = [outcome for outcome in outcomes if outcome.kind not in GOOD]
    for outcome in failures:
        path = keep(outcome, args.seed, args.keep)
        print(f"FAILED: {outcome.kind}: number {outcome.number}, {outcome.format}: {outcome.detail[:200]}; {path}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
