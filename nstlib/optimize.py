"""The optimisation loop: move the pixels of a picture to make a loss small.

``synthesize`` is the loop, ``_Run`` holds the picture and evaluates its loss, and a stepper moves the pixels:
``_LBFGSStepper``, ``_AdamStepper`` or ``_SignStepper``. Each picture of a batch has its own L-BFGS and its own best
picture, so that a batch gives what single runs give, unless the guard acts: it rolls the whole batch back.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Protocol, get_args

import torch
from torch import Tensor
from tqdm.auto import tqdm

from .errors import SettingError, finite_number, shown, whole_number
from .images import Picture
from .initialization import as_start
from .objective import Loss
from .presets import OptimizerName
from .records import Callback, Record, Result, call_with_image, check_callback
from .runtime import keep_freed_memory

OPTIMIZERS: tuple[OptimizerName, ...] = get_args(OptimizerName)

LEARNING_RATE = {"lbfgs": 1.0, "adam": 0.02, "sign": 0.005}
"""Default learning rates; for "adam" and "sign" in units of the pixels' range [0, 1]."""

MAX_STEP = 0.05
"""How far the guard lets L-BFGS move the mean pixel in one step (range [0, 1]): half as far after each rise of the
loss, down to a sixteenth, and twice as far again after each fall. A calm run moves it by 0.003 to 0.006 per step, a
spike by 0.4 or more."""

MIN_STEP_SHARE = 1 / 16
"""The smallest limit, as a share of the largest."""

FIRST_STEP = 0.004
"""How far the first step of L-BFGS moves the mean pixel. PyTorch's own first step of 0.0001 is lost in bfloat16's
rounding, and a curvature estimated from it can hold up the whole run."""

DIVERGED_RATIO = 10.0
"""A loss this many times the best so far counts as diverged."""

MAX_ROLLBACKS = 8
"""This many rollbacks in a row without progress end the run."""

FUSED_ADAM_VALUES = 2**23
"""Pictures with more values use Adam's fused step, which needs two pictures less of memory."""


def synthesize(
    objective: Loss,
    init: Picture,
    *,
    steps: int = 300,
    optimizer: OptimizerName = "lbfgs",
    learning_rate: float | None = None,
    history: int = 10,
    callback: Callback | None = None,
    progress: bool = False,
    guard: bool = True,
) -> Result:
    """Move the pixels of a picture to make an objective small.

    Pixels stay in [0, 1] by projection: where a pixel lies on the border and a step along its gradient would leave the
    range, that component is dropped, and after the step the picture is clamped. The loss itself never sees a clamp,
    which would stop the gradient of every pixel outside. Ctrl-C returns the best picture so far.

    Args:
        objective: The loss, for example an ``Objective``.
        init: The first picture, (N, 3, H, W), RGB in [0, 1], on the device of the objective, or another picture that
            ``as_start`` takes. Not changed.
        steps: Number of evaluations of loss and gradient.
        optimizer: "lbfgs" (PyTorch's, one evaluation per iteration), "adam", or "sign":
            x - learning_rate * sign(gradient).
        learning_rate: None takes ``LEARNING_RATE``.
        history: Steps that L-BFGS remembers.
        callback: Called with one ``Record`` per evaluation; returning False stops the run.
        progress: Whether to show a progress bar.
        guard: Whether to protect the run: L-BFGS, which has no line search here, moves the mean pixel by at most
            ``MAX_STEP`` per step; and a loss that is not finite, or ``DIVERGED_RATIO`` times the best so far,
            returns the picture to the best one and halves the learning rate. After ``MAX_ROLLBACKS`` in a row
            without progress the run stops. Each is noted in the record.

    Returns:
        The best picture with the records of all evaluations.

    Raises:
        SettingError: The optimizer is unknown, or a number or the callback cannot be used.
        NotFiniteError: No evaluation was finite.
        ImageError: The first picture cannot be used.
    """
    check_callback(callback)
    if optimizer not in OPTIMIZERS:
        raise SettingError(f"optimizer {shown(optimizer)} is unknown; use one of {', '.join(OPTIMIZERS)}.")
    whole_number("steps", steps)
    whole_number("history", history)
    rate = LEARNING_RATE[optimizer] if learning_rate is None else learning_rate
    finite_number("learning rate", rate, above_zero=True)
    init = as_start(init)
    if init.device.type == "cpu":
        keep_freed_memory()
    # whatever mode the caller is in (no_grad, inference_mode), gradients are needed here
    with torch.inference_mode(False), torch.enable_grad():
        run = _Run(objective, init, callback, guard)
        del init  # one picture less in memory, where the caller has released it too
        stopped = _run_steps(run, steps, optimizer, rate, history, guard, progress)
    if run.records and not run.has_best:
        raise NotFiniteError(
            "no evaluation had a finite loss and gradient; use smaller weights, a smaller learning rate, or "
            "precision 'float32'."
        )
    return run.result(stopped)


def _run_steps(
    run: _Run, steps: int, optimizer: OptimizerName, rate: float, history: int, guard: bool, progress: bool
) -> str:
    """Do the steps; return how the run stopped."""
    step = _make_stepper(optimizer, run.pixels, rate, history, guard)
    with tqdm(total=steps, unit="step", desc=run.size_text, disable=not progress) as bar:
        try:
            while len(run.records) < steps:
                try:
                    step(run.evaluate)
                except _DivergedError:
                    if not run.can_roll_back:
                        return "diverged"
                    rate /= 2
                    run.roll_back(note=f"step size now {rate:g}")
                    step = _make_stepper(optimizer, run.pixels, rate, history, guard)
                bar.update()
                bar.set_postfix_str(run.losses_text, refresh=False)
        except KeyboardInterrupt:
            return "interrupted"
        except _StoppedByCallbackError:
            return "callback"
    return "finished"


class NotFiniteError(SettingError):
    """No evaluation of a run was finite, so that there is no picture but the first."""


class _DivergedError(Exception):
    """The last loss is not finite or far above the best."""


class _StoppedByCallbackError(Exception):
    """The callback returned False."""


class _Run:
    """The picture of one run, the best one so far, and what happened.

    Attributes:
        pixels: The picture that the stepper moves, (N, 3, H, W), a leaf tensor with ``grad``.
        best: A copy of the picture with the smallest total so far; of a batch, each picture for itself.
        best_totals: The smallest total of each picture.
        records: One per evaluation.
    """

    def __init__(self, objective: Loss, init: Tensor, callback: Callback | None, guard: bool) -> None:
        self.objective, self.callback, self.guard = objective, callback, guard
        self.pixels = init.detach().clone(memory_format=torch.contiguous_format).clamp_(0, 1).requires_grad_()
        self.best, self.best_totals = self.pixels.detach().clone(), [math.inf] * len(self.pixels)
        self.records: list[Record] = []
        self.rollbacks, self.rollbacks_in_a_row = 0, 0
        self._next_note = ""
        self._begin = time.perf_counter()

    def evaluate(self) -> list[float]:
        """Set the gradient of ``pixels``, record the loss, and return the total of each picture."""
        self.pixels.grad = None  # frees a picture before the forward pass
        terms = self.objective.terms(self.pixels)
        weighted = self.objective.weighted_terms(terms)  # (3, N)
        (gradient,) = torch.autograd.grad(weighted.sum(), self.pixels)
        self.pixels.grad = self._project(gradient)
        record, totals, finite = self._make_record(weighted, terms.content, terms.style)
        diverged = not finite or any(t > DIVERGED_RATIO * best for t, best in zip(totals, self.best_totals))
        if diverged and self.guard:
            record.note = "diverged: back to the best picture with half the step"
        self.records.append(record)
        if finite:
            self._keep_best(totals)
        if self.callback is not None and not call_with_image(self.callback, record, self._copy_of_pixels):
            raise _StoppedByCallbackError
        if diverged and self.guard:
            raise _DivergedError
        return totals

    def _keep_best(self, totals: list[float]) -> None:
        for i, total in enumerate(totals):
            if total < self.best_totals[i]:
                self.best_totals[i], self.rollbacks_in_a_row = total, 0
                self.best[i].copy_(self.pixels[i].detach())

    @torch.no_grad()
    def _project(self, gradient: Tensor) -> Tensor:
        """Drop the gradient of pixels on the border of [0, 1] that a step along it would move outside."""
        gradient = gradient.contiguous()  # L-BFGS flattens it as a view
        moves = gradient.sign().neg_().add_(self.pixels).clamp_(0, 1) != self.pixels
        return gradient.mul_(moves)

    def _make_record(
        self, weighted: Tensor, content: Mapping[str, Tensor], style: Mapping[str, Tensor]
    ) -> tuple[Record, list[float], bool]:
        """Return the record of an evaluation, each picture's total, and whether losses and gradient are finite."""
        gradient = self.pixels.grad
        assert gradient is not None
        parts, content_losses, style_losses, (gradient_sum,) = _to_numbers(
            list(weighted.T.flatten()), list(content.values()), list(style.values()), [gradient]
        )
        by_picture = [parts[i : i + 3] for i in range(0, len(parts), 3)]  # content, style and total variation
        content_total, style_total, tv_total = (sum(part) for part in zip(*by_picture))
        totals = [sum(part) for part in by_picture]
        record = Record(
            step=len(self.records) + 1,
            seconds=time.perf_counter() - self._begin,
            total=sum(totals),
            content_total=content_total,
            style_total=style_total,
            tv_total=tv_total,
            content=dict(zip(content, content_losses)),
            style=dict(zip(style, style_losses)),
            note=self._next_note,
            size=(self.pixels.shape[3], self.pixels.shape[2]),
        )
        self._next_note = ""
        return record, totals, math.isfinite(record.total) and math.isfinite(gradient_sum)

    @property
    def has_best(self) -> bool:
        """Whether an evaluation was finite, so that there is a best picture."""
        return all(map(math.isfinite, self.best_totals))

    @property
    def can_roll_back(self) -> bool:
        """Whether there is a best picture, and the run has not failed too often in a row."""
        return self.rollbacks_in_a_row < MAX_ROLLBACKS and self.has_best

    def roll_back(self, note: str) -> None:
        """Return to the best picture; ``note`` goes into the next record."""
        self.rollbacks_in_a_row += 1
        self.rollbacks += 1
        self._next_note = note
        with torch.no_grad():
            self.pixels.copy_(self.best)

    def result(self, stopped: str) -> Result:
        """Return what the run has found."""
        seconds = time.perf_counter() - self._begin
        return Result(self.best.float().cpu(), self.records, seconds, stopped, self.rollbacks)

    def _copy_of_pixels(self) -> Tensor:
        return self.pixels.detach().float().cpu().clone()

    @property
    def size_text(self) -> str:
        """Width and height for the progress bar."""
        return f"{self.pixels.shape[3]} x {self.pixels.shape[2]}"

    @property
    def losses_text(self) -> str:
        """The last losses for the progress bar."""
        last = self.records[-1]
        return f"content {last.content_total:.4g}, style {last.style_total:.4g}"


def _to_numbers(*groups: list[Tensor]) -> list[list[float]]:
    """Return the sum of each tensor as a number, in the groups given; one transfer from the device for all."""
    sums = torch.stack([tensor.sum() for group in groups for tensor in group]).tolist()
    numbers = iter(sums)
    return [[next(numbers) for _ in group] for group in groups]


# --- steppers: each evaluates once and moves the pixels once ------------------------------------------------

Evaluate = Callable[[], list[float]]


class _Stepper(Protocol):
    def __call__(self, evaluate: Evaluate) -> None: ...


def _make_stepper(optimizer: OptimizerName, pixels: Tensor, rate: float, history: int, guard: bool) -> _Stepper:
    if optimizer == "lbfgs":
        return _LBFGSStepper(pixels, rate, history, guard)
    return _AdamStepper(pixels, rate) if optimizer == "adam" else _SignStepper(pixels, rate)


class _LBFGSStepper:
    """One L-BFGS for each picture of a batch."""

    def __init__(self, pixels: Tensor, rate: float, history: int, guard: bool) -> None:
        self.pixels = pixels
        self.pictures = [_LBFGS(pixels.detach()[i : i + 1], rate, history, guard) for i in range(len(pixels))]

    def __call__(self, evaluate: Evaluate) -> None:
        losses = evaluate()
        assert self.pixels.grad is not None
        for picture, gradient, loss in zip(self.pictures, self.pixels.grad, losses):
            picture.step(gradient[None], loss)


class _LBFGS:
    """PyTorch's L-BFGS for one picture, with steps of limited length.

    Attributes:
        max_step: The longest step, as the mean change of a pixel.
        step_limit: The longest step at present: halved when the loss rises, doubled when it falls.
        last_loss: The loss before the last step.
    """

    def __init__(self, pixels: Tensor, rate: float, history: int, guard: bool) -> None:
        self.pixels = pixels
        off = -1  # a plateau is no reason to stop early
        self.lbfgs = torch.optim.LBFGS(
            [pixels], rate, max_iter=1, tolerance_grad=off, tolerance_change=off, history_size=history
        )
        self.max_step = MAX_STEP * min(1.0, rate) if guard else math.inf
        self.step_limit, self.last_loss = self.max_step, math.inf
        self.fix_next_step = guard  # the first step

    def step(self, gradient: Tensor, loss: float) -> None:
        """Move the picture (1, 3, H, W), given the gradient and the loss at its present place."""
        before = self.pixels.detach().clone()
        self.pixels.grad = gradient
        self.lbfgs.step(lambda: loss)  # type: ignore[no-untyped-call]
        self.pixels.grad = None  # frees it for the next evaluation
        if loss <= self.last_loss:
            self.step_limit = min(2 * self.step_limit, self.max_step)
        else:
            self.step_limit = max(self.step_limit / 2, self.max_step * MIN_STEP_SHARE)
        self.last_loss = loss
        with torch.no_grad():
            self._shorten_step(before)
            self._tell_lbfgs(before)

    def _shorten_step(self, before: Tensor) -> None:
        """Keep the step within its limit and the pixels in [0, 1]; give the first step its fixed length.

        The step is shortened before the clamp. A clamp of the whole step would turn it: of a step that leaves [0, 1]
        at most pixels only the signs remain, and the loss can rise along them.
        """
        step_size = (self.pixels - before).abs().mean().item()
        limit = min(FIRST_STEP, self.step_limit) if self.fix_next_step else self.step_limit
        if step_size > limit or (self.fix_next_step and step_size > 0):
            self.pixels.sub_(before).mul_(limit / step_size).add_(before)
        self.pixels.clamp_(0, 1)
        self.fix_next_step = False

    def _tell_lbfgs(self, before: Tensor) -> None:
        """Record the step that was really made, or L-BFGS would estimate the curvature from another one.

        PyTorch offers no public way: ``d`` is the direction and ``t`` the step size in its state.
        """
        state = self.lbfgs.state[self.pixels]
        state["d"] = (self.pixels - before).flatten() / state["t"]


class _AdamStepper:
    def __init__(self, pixels: Tensor, rate: float) -> None:
        self.pixels = pixels
        fused = pixels.numel() > FUSED_ADAM_VALUES and torch.__version__ >= "2.4"
        self.adam = torch.optim.Adam([pixels], lr=rate, fused=True if fused else None)  # None lets PyTorch choose

    def __call__(self, evaluate: Evaluate) -> None:
        evaluate()
        self.adam.step()
        with torch.no_grad():
            self.pixels.clamp_(0, 1)


class _SignStepper:
    def __init__(self, pixels: Tensor, rate: float) -> None:
        self.pixels, self.rate = pixels, rate

    def __call__(self, evaluate: Evaluate) -> None:
        evaluate()
        assert self.pixels.grad is not None
        with torch.no_grad():
            self.pixels.sub_(self.rate * self.pixels.grad.sign()).clamp_(0, 1)
