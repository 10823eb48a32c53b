"""Pictures by optimisation: reconstruction, texture synthesis and style transfer, in one loop.

``synthesize`` moves the pixels to make an ``Objective`` small; ``paint`` puts network, objective and loop
together, and ``transfer``, ``texture`` and ``reconstruct`` are its three uses.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial

import torch
from torch import Tensor
from tqdm.auto import tqdm

from .errors import ImageError, SettingError
from .images import resize
from .objective import Objective
from .presets import Preset, get_preset
from .runtime import keep_freed_memory, pick_device
from .starts import coarse_to_fine, make_start
from .tiles import OPTIMIZER, TiledObjective, check_tile
from .vgg import VGGFeatures

OPTIMIZERS = ("lbfgs", "adam", "sign")
LEARNING_RATE = {"lbfgs": 1.0, "adam": 0.02, "sign": 0.005}
"""Default step sizes; for "adam" and "sign" in units of the pixels' range [0, 1]."""

MAX_STEP, FIRST_STEP = 0.05, 0.004
"""How far the guard lets the mean pixel move in a step of L-BFGS (range [0, 1]; half after a rise, and so on), and how
far it goes first. A calm run moves it 0.003 to 0.006 a step, a spike 0.4 or more; torch's own first step of 0.0001
drowns in bfloat16's rounding, and a curvature learnt from that can hold up the whole run."""


@dataclass
class Record:
    """One evaluation: losses before and after the weights, and the picture on demand.

    content, style: loss by layer before layer weights and content or style weight.
    content_total, style_total, tv_total: what each term adds to ``total``. Sums over a batch.
    size: width and height of the picture, which is smaller at the coarse scales.
    """

    step: int
    seconds: float
    total: float
    content_total: float
    style_total: float
    tv_total: float
    content: dict[str, float]
    style: dict[str, float]
    note: str = ""
    size: tuple[int, int] = (0, 0)
    _picture: Callable[[], Tensor] | None = field(default=None, repr=False)

    @property
    def image(self) -> Tensor:
        """A copy of the picture that was measured, (N, 3, H, W) on the CPU. Only valid inside the callback."""
        if self._picture is None:
            raise SettingError("the picture of a record is only there inside the callback; copy it there.")
        return self._picture()

    def as_dict(self) -> dict:
        return {k: v for k, v in asdict(self).items() if k != "_picture"}


@dataclass
class Result:
    """The best picture found, (N, 3, H, W) in [0, 1] on the CPU, and how it came about.

    stopped: "finished", "interrupted" (Ctrl-C), "callback" (it returned False) or "diverged" (the guard gave up).
    rollbacks: how often the guard went back to the last good picture.
    """

    image: Tensor
    records: list[Record]
    seconds: float
    stopped: str
    rollbacks: int
    settings: dict = field(default_factory=dict)

    @property
    def best(self) -> Record:
        """The record with the smallest total at the last scale; totals of pictures of two sizes do not compare."""
        last = [r for r in self.records if r.size == self.records[-1].size]
        return min(last, key=lambda r: r.total if math.isfinite(r.total) else math.inf)

    def report(self) -> dict:
        """Settings, losses and seconds as plain data, ready for JSON."""
        return {
            "settings": self.settings,
            "seconds": round(self.seconds, 3),
            "evaluations": len(self.records),
            "stopped": self.stopped,
            "rollbacks": self.rollbacks,
            "best": self.best.as_dict() if self.records else None,
            "records": [r.as_dict() for r in self.records],
        }


class _DivergedError(Exception):
    pass


def synthesize(
    objective: Objective,
    start: Tensor,
    *,
    steps: int = 300,
    optimizer: str = "lbfgs",
    learning_rate: float | None = None,
    history: int = 10,
    callback: Callable[[Record], object] | None = None,
    progress: bool = False,
    guard: bool = True,
) -> Result:
    """Move the pixels of ``start`` (N, 3, H, W) to make the objective small, for ``steps`` evaluations.

    optimizer: "lbfgs" (torch's, one evaluation an iteration), "adam", or "sign": x - learning_rate * sign(gradient).
    callback: called with one ``Record`` an evaluation; returning False stops.
    guard: L-BFGS, which has no line search here, moves the mean pixel by no more than ``MAX_STEP`` a step; and a loss
        that is not finite, or ten times the best so far, sends the picture back to the best one with half the
        step; after eight times in a row without progress the run stops. Each is noted in the record.

    Pixels stay in [0, 1] by projection: where a pixel lies on the border and its gradient points outwards, that
    component is dropped, and after the step the picture is clamped. The loss itself never sees a clamp, which
    would stop the gradient of every pixel outside. Ctrl-C gives back the best picture so far.
    """
    if optimizer not in OPTIMIZERS:
        raise SettingError(f"optimizer {optimizer!r} is unknown; use one of {', '.join(OPTIMIZERS)}.")
    if steps < 1:
        raise SettingError(f"steps must be at least 1, not {steps}.")
    rate = LEARNING_RATE[optimizer] if learning_rate is None else learning_rate
    if start.device.type == "cpu":
        keep_freed_memory()
    x = start.detach().clone(memory_format=torch.contiguous_format).clamp_(0, 1).requires_grad_()
    del start  # a large picture counts
    best, best_total = x.detach().clone(), math.inf
    records: list[Record] = []
    begin, rollbacks, in_a_row, note, stopped = time.perf_counter(), 0, 0, "", "finished"

    def evaluate() -> Tensor:
        nonlocal best_total, note, in_a_row
        x.grad = None  # a large picture counts
        content, style, tv = objective.terms(x)
        parts = objective.weigh(content, style, tv)
        total = parts.sum()
        (gradient,) = torch.autograd.grad(total, x)
        x.grad = gradient.contiguous()  # L-BFGS flattens it as a view
        with torch.no_grad():
            # a pixel on the border that a step along the gradient would not move
            x.grad.mul_(x.grad.sign().neg_().add_(x).clamp_(0, 1) != x)
            values = [
                parts.sum(1),
                *(torch.stack([v.sum() for v in d.values()]) for d in (content, style) if d),
            ]
            *numbers, sound = torch.cat([*values, x.grad.sum()[None]]).tolist()  # one transfer from the device
            sound = math.isfinite(sound)
        layers = numbers[3:]
        record = Record(
            step=len(records) + 1,
            seconds=time.perf_counter() - begin,
            total=sum(numbers[:3]),
            content_total=numbers[0],
            style_total=numbers[1],
            tv_total=numbers[2],
            content=dict(zip(content, layers)),
            style=dict(zip(style, layers[len(content) :])),
            note=note,
            size=(x.shape[3], x.shape[2]),
        )
        note = ""
        diverged = not (sound and math.isfinite(record.total)) or record.total > 10 * best_total
        if diverged and guard:
            record.note = "diverged: back to the best picture with half the step"
        records.append(record)
        if record.total < best_total and sound:
            best_total, in_a_row = record.total, 0
            best.copy_(x.detach())
        if callback is not None:
            record._picture = lambda: x.detach().float().cpu().clone()
            keep_going = callback(record)
            record._picture = None
            if keep_going is False:
                raise StopIteration
        if diverged and guard:
            raise _DivergedError
        return total.detach()

    mover = _mover(optimizer, x, rate, history, guard)
    bar = tqdm(total=steps, unit="step", desc=f"{x.shape[3]} x {x.shape[2]}", disable=not progress)
    try:
        while len(records) < steps:
            try:
                mover(evaluate)
            except _DivergedError:
                rollbacks, in_a_row = rollbacks + 1, in_a_row + 1
                if in_a_row > 8 or not math.isfinite(best_total):
                    stopped = "diverged"
                    break
                rate /= 2
                with torch.no_grad():
                    x.copy_(best)
                mover = _mover(optimizer, x, rate, history, guard)
                note = f"step size now {rate:g}"
            bar.update()
            last = records[-1]
            bar.set_postfix_str(f"content {last.content_total:.4g}, style {last.style_total:.4g}", refresh=False)
    except KeyboardInterrupt:
        stopped = "interrupted"
    except StopIteration:
        stopped = "callback"
    finally:
        bar.close()
    return Result(best.float().cpu(), records, time.perf_counter() - begin, stopped, rollbacks)


def _mover(optimizer: str, x: Tensor, rate: float, history: int, guard: bool) -> Callable[[Callable[[], Tensor]], None]:
    """A function that evaluates once and moves x once."""
    if optimizer == "lbfgs":
        tolerances = {"tolerance_grad": -1, "tolerance_change": -1}  # off: a plateau is no reason to stop early
        inner = torch.optim.LBFGS([x], lr=rate, max_iter=1, history_size=history, **tolerances)
        most = MAX_STEP * min(1.0, rate) if guard else math.inf
        reach, last, first = most, math.inf, guard

        def move(evaluate: Callable[[], Tensor]) -> None:
            nonlocal reach, last, first
            before = x.detach().clone()
            with torch.enable_grad():
                loss = float(inner.step(evaluate))
            reach, last = min(2 * reach, most) if loss <= last else max(reach / 2, most / 16), loss
            with torch.no_grad():
                far = (x.clamp_(0, 1) - before).abs().mean().item()
                if far > reach or (first and far > 0):
                    x.sub_(before).mul_((min(FIRST_STEP, reach) if first else reach) / far).add_(before).clamp_(0, 1)
                first = False
                # tell L-BFGS the step that was really made, or its picture of the curvature is wrong
                state = inner.state[x]
                state["d"] = (x - before).flatten() / state["t"]

        return move

    lean = x.numel() > 2**23 and torch.__version__ >= "2.4"  # a fused step spares two pictures on the way
    adam = torch.optim.Adam([x], lr=rate, fused=lean or None) if optimizer == "adam" else None

    def move(evaluate: Callable[[], Tensor]) -> None:
        evaluate()
        if adam is not None:
            adam.step()
        with torch.no_grad():
            if adam is None:
                x.sub_(rate * x.grad.sign())
            x.clamp_(0, 1)

    return move


def paint(
    content: Tensor | None,
    style: Tensor | None,
    shape: tuple[int, ...],
    preset: str | Preset = "course",
    *,
    start: str | Tensor | None = None,
    seed: int = 0,
    scales: int | Sequence[int] = 1,
    tile: int | None = None,
    style_side: int | None = None,
    features: VGGFeatures | None = None,
    weights: str | None = None,
    device: str | None = None,
    precision: str = "auto",
    callback: Callable[[Record], object] | None = None,
    progress: bool = False,
    guard: bool = True,
    **changes: object,
) -> Result:
    """A picture of ``shape`` (N, 3, H, W) that matches a content, a style or both; the options of all below.

    start: see ``make_start``; None takes the preset's. seed: of the noise.
    scales: paint small first, then larger; see ``starts.coarse_to_fine``. ``steps`` are those of the first scale.
    tile: side of the tiles in which a picture with a longer side is painted, with the optimiser "adam" unless
        ``optimizer`` says otherwise; see ``tiles``.
    style_side: long side in pixels that the style is brought to; None takes its own.
    features: a network that is already there; else one is made from ``weights``, ``device``, ``precision``
        and the preset's pooling and preprocessing.
    callback, progress, guard: see ``synthesize``.
    changes: fields of the preset to replace: ``steps``, ``content_weight``, ``style_weight``, ``optimizer``,
        ``content_layers``, ``style_layers`` ...

    Raises ImageError and SettingError for pictures and values that cannot be used.
    """
    preset = get_preset(preset).but(**changes)
    for name, picture in (("content", content), ("style", style)):
        if picture is not None:
            _check(picture, name)
    for name in ("content_weight", "style_weight", "tv_weight"):
        value = getattr(preset, name)
        if not (math.isfinite(value) and value >= 0):
            raise SettingError(f"{name.replace('_', ' ')} must be a number >= 0, not {value}.")
    if features is None:
        features = VGGFeatures(
            weights=weights, pooling=preset.pooling, rescale=preset.rescale, precision=precision,
            device=pick_device(device), preprocessing=preset.preprocessing,
        )  # fmt: skip
    check_tile(tile)
    home, result, stages = features.gain.device, None, []
    start = preset.start if start is None else start
    for size, steps in coarse_to_fine(shape[2:], preset.steps, scales):
        tiled = tile is not None and max(size) > tile
        mover = OPTIMIZER if tiled and changes.get("optimizer") is None else preset.optimizer
        stages.append({"size": [size[1], size[0]], "steps": steps, "optimizer": mover, "tiled": tiled})
        done, spent = (len(result.records), result.seconds) if result else (0, 0.0)

        def watch(record: Record, done: int = done, spent: float = spent) -> object:
            record.step, record.seconds = record.step + done, record.seconds + spent
            return callback and callback(record)

        try:
            photo = None if content is None else resize(content.float(), size).to(home)
            kind = partial(TiledObjective, tile=tile) if tiled else Objective
            factor = max(size) / max(shape[2:])
            aim = kind(preset, features, photo, None if style is None else _at(style, style_side, factor).to(home))
            first = result.image if result else start
            stage = synthesize(
                aim, make_start(first, photo, (*shape[:2], *size), seed).to(home), steps=steps, optimizer=mover,
                learning_rate=preset.learning_rate if mover == preset.optimizer else None,
                history=preset.history, callback=watch, progress=progress, guard=guard,
            )  # fmt: skip
        except KeyboardInterrupt:
            if result is None:
                raise
            result.stopped = "interrupted"
            break
        if result is not None:
            stage.records, stage.seconds = result.records + stage.records, result.seconds + stage.seconds
            stage.rollbacks += result.rollbacks
        result = stage
        if result.stopped != "finished":
            break
    result.image = resize(result.image, tuple(shape[2:]))
    result.settings = {
        **asdict(preset),
        "start": "a picture" if isinstance(start, Tensor) else start,
        "size": [shape[3], shape[2]],
        "scales": stages,
        "seed": seed,
        "weights": features.source,
        "device": str(home),
        "precision": str(features.dtype).removeprefix("torch."),
    }
    return result


def transfer(content: Tensor, style: Tensor, preset: str | Preset = "course", **options: object) -> Result:
    """The content of one picture in the style of another (Gatys et al. 2016). ``options``: see ``paint``.

    content (N, 3, H, W) and style (1, 3, h, w), RGB in [0, 1], of any two sizes; the style is brought to the
    content's long side, so that its strokes have the size they have in the painting.
    """
    return paint(content, style, tuple(content.shape), preset, **{"style_side": max(content.shape[-2:]), **options})


def texture(
    style: Tensor, size: tuple[int, int] | None = None, preset: str | Preset = "course", **options: object
) -> Result:
    """A new picture with the texture of ``style`` (Gatys et al. 2015). ``options``: see ``paint``.

    ``size`` is (height, width), by default the style's own; the start is noise unless ``options`` say otherwise.
    """
    shape = (style.shape[0], 3, *(size or style.shape[2:]))
    return paint(None, style, shape, preset, **{"start": "noise", **options})


def reconstruct(
    content: Tensor, layer: str | Mapping[str, float], preset: str | Preset = "course", **options: object
) -> Result:
    """A picture with the activations of ``content`` at ``layer``, a name or names with weights, from noise.

    Mahendran and Vedaldi 2015; Gatys et al. 2016, figure 1. ``options``: see ``paint``.
    """
    layers = {layer: 1.0} if isinstance(layer, str) else dict(layer)
    options = {"start": "noise", "content_layers": layers, **options}
    return paint(content, None, tuple(content.shape), preset, **options)


def _at(style: Tensor, side: int | None, factor: float) -> Tensor:
    """The style with its long side at ``side`` pixels, or as it is, times ``factor``."""
    factor *= side / max(style.shape[2:]) if side else 1
    return resize(style.float(), tuple(max(1, round(n * factor)) for n in style.shape[2:]))


def _check(picture: Tensor, name: str) -> None:
    if picture.dim() != 4 or picture.shape[1] != 3:
        raise ImageError(f"the {name} has the shape (N, 3, H, W), not {tuple(picture.shape)}.")
    if not torch.isfinite(picture).all():
        raise ImageError(f"the {name} holds values that are not finite; load it again.")
