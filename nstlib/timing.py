"""Fair timing: several candidates in turn, warmed up and synchronised; their memory and their arithmetic.

>>> found = compare({"plain": plain_step, "ours": our_step}, repeats=9)
>>> print(found)
>>> found.ratio("plain", "ours")  # how many times as long plain takes
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from .errors import NstError, SettingError


@dataclass(frozen=True)
class Timing:
    """The seconds of each measured call of one candidate, in order."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def middle(self) -> tuple[float, float]:
        """Between these two lies the middle half of the calls."""
        low, _, high = quantiles(self.seconds, n=4, method="inclusive") if len(self.seconds) > 1 else self.seconds * 3
        return low, high

    @property
    def spread(self) -> float:
        """Width of the middle half as a share of the median: above 0.1 something else was running."""
        low, high = self.middle
        return (high - low) / self.median


@dataclass(frozen=True)
class Comparison:
    """Timings of candidates that were measured in turn. Prints as a table; a notebook shows it as one."""

    timings: dict[str, Timing]

    def ratio(self, slow: str, fast: str) -> float:
        """How many times as long ``slow`` takes: a ratio of medians."""
        return self.timings[slow].median / self.timings[fast].median

    def _rows(self) -> list[tuple[str, ...]]:
        first = next(iter(self.timings))
        rows = [("candidate", "median", "middle half", f"{first} = 1")]
        for name, t in self.timings.items():
            low, high = (1e3 * s for s in t.middle)
            rows.append(
                (name, f"{1e3 * t.median:.4g} ms", f"{low:.4g} to {high:.4g}", f"{self.ratio(name, first):.2f}")
            )
        return rows

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*self._rows())]
        return "\n".join("  ".join(map(str.rjust, row, widths)) for row in self._rows())

    def _repr_markdown_(self) -> str:
        head, *rows = (f"| {' | '.join(row)} |" for row in self._rows())
        return "\n".join([head, "|---|---:|---:|---:|", *rows])


def synchronize() -> None:
    """Wait until the GPU has done what it was given; without one there is nothing to wait for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def compare(
    candidates: Mapping[str, Callable[[], object]], repeats: int = 7, warmup: int = 2, pause: float = 0.0,
    clock: Callable[[], float] = time.perf_counter, rewarm: bool = False,
) -> Comparison:  # fmt: skip
    """Time each candidate ``repeats`` times, in turn, so that whatever disturbs the machine disturbs them alike.

    warmup: calls before, not counted: the first ones load, compile, choose algorithms and take memory.
    pause: seconds of rest before each call, for threads of the one before that still spin.
    rewarm: make each counted call behind one that is not: the candidate before has filled the caches with its own.

    Every second round goes backwards, so that none always runs behind the same other. A GPU only takes orders and
    works on: the clock is read when it has finished. Raises SettingError where there is nothing to measure.
    """
    if not candidates or repeats < 1 or warmup < 0:
        raise SettingError("give at least one candidate, at least one repeat, and no negative warm-up.")
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(-warmup, repeats):
        for name in list(candidates)[:: -1 if turn % 2 else 1]:
            time.sleep(pause)
            if rewarm:
                candidates[name]()
            synchronize()
            begin = clock()
            candidates[name]()
            synchronize()
            if turn >= 0:
                seconds[name].append(clock() - begin)
    return Comparison({name: Timing(name, tuple(s)) for name, s in seconds.items()})


class _Counter(TorchDispatchMode):
    """Sees every operator that runs. (FlopCounterMode also asks which module it is in, and fails in autograd.grad.)"""

    total = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        out = operator(*args, **(kwargs or {}))
        plain = getattr(torch.ops.aten, operator._overloadpacket.__name__.rstrip("_"), None)  # baddbmm_ is a baddbmm
        if plain in flop_registry:
            self.total += flop_registry[plain](*args, **(kwargs or {}), out_val=out)
        return out


def multiply_adds(work: Callable[[], object]) -> int:
    """Multiplications, each with its addition, in the convolutions and matrix products of one call."""
    with _Counter() as counter:
        work()
    return counter.total // 2


def peak_rss() -> int:
    """The most memory in bytes that this process has held at once so far."""
    if Path("/proc/self/status").exists():  # not getrusage: there a child inherits the peak of its parent
        return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peak_memory(work: str | Callable[[], object], setup: str = "import nstlib") -> int:
    """Bytes that ``work`` adds at its peak: a function to the GPU, code as a string to its process.

    Code runs in a fresh process behind ``setup``: freed memory stays with a process, so that in this one a second
    candidate would seem to need nothing. Raises NstError where the code fails.
    """
    if not isinstance(work, str):
        if not torch.cuda.is_available():
            raise SettingError("without a GPU, give the code as a string; it is measured in a process of its own.")
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    code = f"{setup}\nfrom nstlib.timing import peak_rss\n_before = peak_rss()\n{work}\nprint(peak_rss() - _before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        raise NstError(f"the code could not be run: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return int(done.stdout.split()[-1])
