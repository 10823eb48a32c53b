"""Fair timing of several candidates: in turn, warmed up and synchronised; also their memory and their arithmetic.

>>> comparison = compare({"plain": plain_step, "ours": our_step}, repeats=9)
>>> print(comparison)
>>> comparison.ratio("plain", "ours")  # how many times as long "plain" takes
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import conv_flop_count, flop_registry

from .errors import NstError, SettingError
from .runtime import return_freed_memory


@dataclass(frozen=True)
class Timing:
    """The measured calls of one candidate.

    Attributes:
        name: Name of the candidate.
        seconds: Duration of each call, in order.
    """

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median duration of a call in seconds."""
        return median(self.seconds)

    @property
    def middle(self) -> tuple[float, float]:
        """First and third quartile in seconds; the middle half of the calls lies between them."""
        if len(self.seconds) == 1:
            return self.seconds[0], self.seconds[0]
        first_quartile, _, third_quartile = quantiles(self.seconds, n=4, method="inclusive")
        return first_quartile, third_quartile

    @property
    def spread(self) -> float:
        """Width of the middle half as a share of the median; above 0.1, something else was running."""
        low, high = self.middle
        return (high - low) / self.median


@dataclass(frozen=True)
class Comparison:
    """Timings of candidates that were measured in turn; prints as a table, also in a notebook.

    Attributes:
        timings: Timing of each candidate by name; the first is the reference of the table.
    """

    timings: dict[str, Timing]

    def ratio(self, slow: str, fast: str) -> float:
        """Return how many times as long ``slow`` takes as ``fast``: the ratio of their medians."""
        return self.timings[slow].median / self.timings[fast].median

    def _rows(self) -> list[tuple[str, ...]]:
        reference = next(iter(self.timings))
        rows: list[tuple[str, ...]] = [("candidate", "median", "middle half", f"{reference} = 1")]
        for name, timing in self.timings.items():
            low, high = (f"{1e3 * seconds:.4g}" for seconds in timing.middle)
            median_text = f"{1e3 * timing.median:.4g} ms"
            rows.append((name, median_text, f"{low} to {high}", f"{self.ratio(name, reference):.2f}"))
        return rows

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*self._rows())]
        return "\n".join("  ".join(map(str.rjust, row, widths)) for row in self._rows())

    def _repr_markdown_(self) -> str:
        head, *rows = (f"| {' | '.join(row)} |" for row in self._rows())
        return "\n".join([head, "|---|---:|---:|---:|", *rows])


def synchronize() -> None:
    """Wait until the GPU has finished its work; without a GPU return at once."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def compare(
    candidates: Mapping[str, Callable[[], object]],
    repeats: int = 7,
    warmup: int = 2,
    pause: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
    rewarm: bool = False,
) -> Comparison:
    """Time the candidates in turn, so that a disturbance of the machine affects all of them alike.

    Every second round runs in reverse order, so that no candidate always follows the same other one. A GPU runs
    asynchronously: the clock is read after it has finished.

    Args:
        candidates: Functions without arguments, by name.
        repeats: Measured calls of each candidate.
        warmup: Calls of each candidate before the measured ones. The first calls load code, compile, choose algorithms
            and allocate memory.
        pause: Seconds to wait before each call, until the threads of the candidate before have stopped spinning.
        clock: Returns the time in seconds.
        rewarm: Whether to make one more unmeasured call directly before each measured one, because the candidate before
            has replaced the contents of the caches.

    Returns:
        The timings, in the order of ``candidates``.

    Raises:
        SettingError: There is no candidate or no repeat, or ``warmup`` is negative.
    """
    if not candidates or repeats < 1 or warmup < 0:
        raise SettingError("give at least one candidate, at least one repeat, and no negative warm-up.")
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(-warmup, repeats):
        for name in list(candidates)[:: -1 if turn % 2 else 1]:  # every second round in reverse order
            time.sleep(pause)
            if rewarm:
                candidates[name]()
            synchronize()
            start = clock()
            candidates[name]()
            synchronize()
            if turn >= 0:
                seconds[name].append(clock() - start)
    return Comparison({name: Timing(name, tuple(durations)) for name, durations in seconds.items()})


class _MultiplyAddCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count the arithmetic of every operator that runs.

    PyTorch's own FlopCounterMode also records the module of each operator, and fails in ``autograd.grad``.
    """

    flops: int = 0

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = operator(*args, **(kwargs or {}))
        name = operator._overloadpacket.__name__.rstrip("_")  # baddbmm_ is baddbmm in place
        out_of_place = getattr(torch.ops.aten, name, None)
        if out_of_place in flop_registry:
            self.flops += flop_registry[out_of_place](*args, **(kwargs or {}), out_val=out)
        elif name == "_nnpack_spatial_convolution":  # counts like the direct one
            self.flops += conv_flop_count(args[0].shape, args[1].shape, out.shape)
        return out


def multiply_adds(work: Callable[[], object]) -> int:
    """Return the multiply-add operations of the convolutions and matrix products in one call of ``work``.

    Args:
        work: Any function, with or without a backward pass.
    """
    counter = _MultiplyAddCounter()  # type: ignore[no-untyped-call]
    with counter:
        work()
    return counter.flops // 2


def peak_rss() -> int:
    """Return the largest resident memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # not getrusage: on Linux a child process inherits its parent's peak there
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peak_memory(work: str | Callable[[], object], setup: str = "import nstlib") -> int:
    """Return by how many bytes ``work`` raises the peak of the memory in use.

    Code runs after ``setup``. Before it, freed memory is returned to the system and the peak is reset, which Linux can;
    elsewhere it runs in a process of its own, because in this one a second candidate would reuse the memory that the
    first has freed, and would seem to need none.

    Args:
        work: Python code, measured as the memory of its process; or, with a GPU, a function, measured as the GPU memory
            that PyTorch allocates.
        setup: Python code that runs before; its memory is not counted.

    Raises:
        SettingError: ``work`` is a function and there is no GPU.
        NstError: The code failed; the message contains its error.
    """
    if not isinstance(work, str):
        if not torch.cuda.is_available():
            raise SettingError("without a GPU, give the code as a string.")
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    if not _reset_peak():
        return _peak_in_a_process(work, setup)
    names: dict[str, object] = {}
    try:
        exec(setup, names)
        return_freed_memory()
        _reset_peak()
        resident = peak_rss()
        exec(work, names)
    except Exception as error:
        raise NstError(f"the code could not be run: {type(error).__name__}: {error}") from error
    return peak_rss() - resident


def _reset_peak() -> bool:
    """Set the peak of this process to the memory in use now; return whether the system can do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # see man proc_pid_clear_refs
    except OSError:
        return False
    return True


def _peak_in_a_process(work: str, setup: str) -> int:
    """Return by how many bytes ``work`` raises the peak of a new process."""
    code = f"{setup}\nfrom nstlib.timing import peak_rss\n_before = peak_rss()\n{work}\nprint(peak_rss() - _before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if done.returncode:
        last_line = (done.stderr.strip() or "no reason given").splitlines()[-1]
        raise NstError(f"the code could not be run: {last_line}")
    return int(done.stdout.split()[-1])
