"""The timer: what it calls, in which order, and what it counts. No test depends on the speed of the machine."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nstlib import gram_matrix, timing, winograd
from nstlib.errors import NstError, SettingError
from nstlib.timing import Comparison, Timing, compare, multiply_adds, peak_memory, peak_rss


class FakeClock:
    """A clock that advances only when a candidate runs."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def candidate(self, name, *seconds):
        """Return a function whose i-th call takes ``seconds[i]``; later calls take as long as the last one."""

        def work():
            turn = sum(n == name for n in self.calls)
            self.calls.append(name)
            self.now += seconds[min(turn, len(seconds) - 1)]

        return work

    def __call__(self):
        return self.now


def test_candidates_alternate_and_every_second_round_is_reversed():
    clock = FakeClock()
    compare({n: clock.candidate(n, 1) for n in "abc"}, repeats=3, warmup=1, clock=clock)
    assert "".join(clock.calls) == "cba" + "abc" + "cba" + "abc"


def test_rewarm_calls_are_not_counted():
    clock = FakeClock()
    found = compare({"a": clock.candidate("a", 9, 1, 9, 1, 9, 1)}, repeats=3, warmup=0, clock=clock, rewarm=True)
    assert len(clock.calls) == 6
    assert found.timings["a"].seconds == (1, 1, 1)


def test_warm_up_is_not_counted_and_medians_are_correct():
    clock = FakeClock()
    candidates = {
        "slow": clock.candidate("slow", 100, 90, 4, 1, 3, 2, 50),
        "fast": clock.candidate("fast", 80, 70, 1),
    }
    found = compare(candidates, repeats=5, warmup=2, clock=clock)
    slow = found.timings["slow"]
    assert slow.seconds == (4, 1, 3, 2, 50)
    assert slow.median == 3  # not the mean, 12: one disturbed call must not change the result
    assert slow.middle == (2, 4)
    assert slow.spread == pytest.approx(2 / 3)
    assert found.timings["fast"].seconds == (1,) * 5
    assert found.ratio("slow", "fast") == 3
    assert found.ratio("fast", "slow") == pytest.approx(1 / 3)


def test_gpu_is_synchronised_before_the_clock_is_read(monkeypatch):
    """A GPU that still computes when the call has returned: its time passes in ``synchronize``."""
    clock, calls_when_synchronised, done = FakeClock(), [], []

    def synchronize():
        calls_when_synchronised.append(len(clock.calls))
        clock.now += 7 * len(clock.calls[len(done) :])
        done.extend(clock.calls[len(done) :])

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    found = compare({"kernel": clock.candidate("kernel", 0)}, repeats=3, warmup=1, clock=clock)
    assert found.timings["kernel"].seconds == (7, 7, 7)
    assert calls_when_synchronised == [0, 1, 1, 2, 2, 3, 3, 4]  # before and after each call


def test_a_comparison_prints_as_a_table():
    found = Comparison({"plain": Timing("plain", (0.2, 0.2)), "ours": Timing("ours", (0.05,))})
    text = str(found).splitlines()
    assert text[0].split() == ["candidate", "median", "middle", "half", "plain", "=", "1"]
    assert "200 ms" in text[1]
    assert text[2].split()[0] == "ours"
    assert text[2].endswith("0.25")
    assert len({len(line) for line in text}) == 1
    assert found._repr_markdown_().count("\n") == 3


@pytest.mark.parametrize("settings", [{"candidates": {}}, {"repeats": 0}, {"warmup": -1}])
def test_errors_when_there_is_nothing_to_measure(settings):
    with pytest.raises(SettingError, match="at least one candidate"):
        compare(**{"candidates": {"a": lambda: None}, **settings})


def test_multiply_adds_of_a_convolution_and_its_gradient():
    x, w = torch.rand(1, 3, 8, 10, requires_grad=True), torch.rand(5, 3, 3, 3)
    forward = 8 * 10 * 5 * 3 * 9
    assert multiply_adds(lambda: F.conv2d(x, w, padding=1)) == forward
    assert multiply_adds(lambda: F.conv2d(x, w, padding=1).sum().backward()) == 2 * forward
    assert multiply_adds(lambda: torch.autograd.grad(F.conv2d(x, w, padding=1).sum(), x)) == 2 * forward
    assert multiply_adds(lambda: gram_matrix(x)) == 3 * 3 * 80
    assert multiply_adds(lambda: torch.rand(4, 6) @ torch.rand(6, 7)) == 4 * 6 * 7


@pytest.mark.skipif(not winograd.is_available(), reason="this PyTorch or processor has no NNPACK")
def test_winograd_convolutions_count_like_direct_ones():
    x, w = torch.rand(2, 64, 32, 32), torch.rand(64, 64, 3, 3)
    assert multiply_adds(lambda: winograd.conv3x3(x, w)) == multiply_adds(lambda: F.conv2d(x, w, padding=1)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("can_reset", [True, False])
def test_peak_memory_of_code_is_what_it_allocates_at_once(can_reset, monkeypatch):
    """The second piece of code frees its first block before it allocates the other."""
    if not can_reset:  # systems other than Linux
        monkeypatch.setattr(timing, "_reset_peak", lambda: False)
    both = peak_memory("a = b'1' * 60_000_000\nb = b'2' * 60_000_000", "import torch")
    one = peak_memory("a = b'1' * 60_000_000\ndel a\nb = b'2' * 60_000_000", "import torch")
    assert 55e6 < one < 80e6
    assert 115e6 < both < 140e6
    assert peak_rss() > 50e6


@pytest.mark.slow
def test_error_of_the_code_is_reported():
    with pytest.raises(NstError, match="ZeroDivisionError"):
        peak_memory("1 / 0", "import torch")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_error_for_peak_memory_of_a_function_without_a_gpu():
    with pytest.raises(SettingError, match="as a string"):
        peak_memory(lambda: None)
