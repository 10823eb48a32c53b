"""Pictures by optimisation: style transfer, texture synthesis and reconstruction.

``transfer``, ``texture`` and ``reconstruct`` are the three uses of ``paint``, which makes the network, plans the sizes,
and runs ``optimize.synthesize`` once per size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .errors import ImageError, SettingError
from .images import resize
from .initialization import make_init
from .objective import Objective
from .optimize import synthesize
from .presets import InitName, OptimizerName, Preset, get_preset
from .pretrained import Weights
from .pyramid import coarse_to_fine
from .records import Callback, Result, offset_callback
from .runtime import Precision, pick_device
from .tiling import TILE_OPTIMIZER, TiledObjective, check_tile
from .vgg import VGGFeatures

Layers = Mapping[str, float]
"""Layer names with their weights."""


def transfer(
    content: Tensor,
    style: Tensor,
    preset: str | Preset = "course",
    *,
    steps: int | None = None,
    content_weight: float | None = None,
    style_weight: float | None = None,
    tv_weight: float | None = None,
    content_layers: Layers | None = None,
    style_layers: Layers | None = None,
    optimizer: OptimizerName | None = None,
    learning_rate: float | None = None,
    history: int | None = None,
    init: InitName | Tensor | None = None,
    seed: int = 0,
    style_size: int | None = None,
    scales: int | Sequence[int] = 1,
    tile: int | None = None,
    features: VGGFeatures | None = None,
    weights: Weights | None = None,
    device: str | torch.device | None = None,
    precision: Precision = "auto",
    callback: Callback | None = None,
    progress: bool = False,
    guard: bool = True,
) -> Result:
    """Paint the content of one picture in the style of another (Gatys et al. 2016).

    Args:
        content: (N, 3, H, W), RGB in [0, 1].
        style: (1, 3, h, w), RGB in [0, 1], of any size.
        preset: A preset or its name. Conventions without a parameter here: ``get_preset(name).replace(...)``.
        steps: Evaluations of loss and gradient, at the first scale. Like all parameters down to ``history``, None takes
            the preset's value.
        content_weight: Weight of the content term.
        style_weight: Weight of the style term.
        tv_weight: Weight of the total variation.
        content_layers: Content layers with their weights.
        style_layers: Style layers with their weights.
        optimizer: "lbfgs", "adam" or "sign".
        learning_rate: Of the optimizer.
        history: Steps that L-BFGS remembers.
        init: The first picture; see ``make_init``. None takes the preset's.
        seed: Seed of the noise in the first picture.
        style_size: Long side in pixels to which the style is resized; None takes the content's, so that strokes keep
            their size relative to the picture.
        scales: Coarse to fine; see ``pyramid.coarse_to_fine``.
        tile: Side of the tiles in which a picture with a longer side is painted, with the optimizer "adam" unless
            ``optimizer`` is given; see ``tiling``.
        features: A network that exists already, whose pooling and preprocessing count; None makes one from the preset,
            ``weights``, ``device`` and ``precision``.
        weights: See ``VGGFeatures``.
        device: See ``runtime.pick_device``.
        precision: See ``runtime.pick_precision``.
        callback: Called with a ``Record`` after each evaluation; returning False stops.
        progress: Whether to show a progress bar.
        guard: Whether to protect the run against divergence; see ``synthesize``.

    Returns:
        The best picture, (N, 3, H, W), with the records of all evaluations and the settings.

    Raises:
        ImageError: A picture cannot be used.
        SettingError: A value cannot be used.
        LayerError: A layer is unknown or not available.
        WeightsError: The weights cannot be loaded.
    """
    return paint(
        content,
        style,
        tuple(content.shape),
        preset,
        steps=steps,
        content_weight=content_weight,
        style_weight=style_weight,
        tv_weight=tv_weight,
        content_layers=content_layers,
        style_layers=style_layers,
        optimizer=optimizer,
        learning_rate=learning_rate,
        history=history,
        init=init,
        seed=seed,
        style_size=style_size or max(content.shape[-2:]),
        scales=scales,
        tile=tile,
        features=features,
        weights=weights,
        device=device,
        precision=precision,
        callback=callback,
        progress=progress,
        guard=guard,
    )


def texture(
    style: Tensor,
    size: tuple[int, int] | None = None,
    preset: str | Preset = "course",
    *,
    steps: int | None = None,
    style_weight: float | None = None,
    tv_weight: float | None = None,
    style_layers: Layers | None = None,
    optimizer: OptimizerName | None = None,
    learning_rate: float | None = None,
    history: int | None = None,
    init: InitName | Tensor = "noise",
    seed: int = 0,
    style_size: int | None = None,
    scales: int | Sequence[int] = 1,
    tile: int | None = None,
    features: VGGFeatures | None = None,
    weights: Weights | None = None,
    device: str | torch.device | None = None,
    precision: Precision = "auto",
    callback: Callback | None = None,
    progress: bool = False,
    guard: bool = True,
) -> Result:
    """Paint a new picture with the texture of ``style`` (Gatys et al. 2015), from noise.

    Args:
        style: (N, 3, h, w), RGB in [0, 1].
        size: (height, width) of the new picture; None takes the style's.
        preset: A preset or its name.
        steps: This and all other parameters: see ``transfer``.
        style_weight: Weight of the style term.
        tv_weight: Weight of the total variation.
        style_layers: Style layers with their weights.
        optimizer: "lbfgs", "adam" or "sign".
        learning_rate: Of the optimizer.
        history: Steps that L-BFGS remembers.
        init: The first picture.
        seed: Seed of the noise.
        style_size: Long side in pixels to which the style is resized; None leaves it as it is.
        scales: Coarse to fine.
        tile: Side of the tiles of a large picture.
        features: A network that exists already.
        weights: See ``VGGFeatures``.
        device: See ``runtime.pick_device``.
        precision: See ``runtime.pick_precision``.
        callback: Called with a ``Record`` after each evaluation.
        progress: Whether to show a progress bar.
        guard: Whether to protect the run against divergence.

    Returns:
        The best picture, (N, 3, *size).

    Raises:
        NstError: As ``transfer``.
    """
    shape = (style.shape[0], 3, *(size or tuple(style.shape[2:])))
    return paint(
        None,
        style,
        shape,
        preset,
        steps=steps,
        style_weight=style_weight,
        tv_weight=tv_weight,
        style_layers=style_layers,
        optimizer=optimizer,
        learning_rate=learning_rate,
        history=history,
        init=init,
        seed=seed,
        style_size=style_size,
        scales=scales,
        tile=tile,
        features=features,
        weights=weights,
        device=device,
        precision=precision,
        callback=callback,
        progress=progress,
        guard=guard,
    )


def reconstruct(
    content: Tensor,
    layer: str | Layers,
    preset: str | Preset = "course",
    *,
    steps: int | None = None,
    content_weight: float | None = None,
    tv_weight: float | None = None,
    optimizer: OptimizerName | None = None,
    learning_rate: float | None = None,
    history: int | None = None,
    init: InitName | Tensor = "noise",
    seed: int = 0,
    scales: int | Sequence[int] = 1,
    tile: int | None = None,
    features: VGGFeatures | None = None,
    weights: Weights | None = None,
    device: str | torch.device | None = None,
    precision: Precision = "auto",
    callback: Callback | None = None,
    progress: bool = False,
    guard: bool = True,
) -> Result:
    """Paint a picture with the activations of ``content`` at a layer, from noise.

    Mahendran and Vedaldi 2015; Gatys et al. 2016, figure 1.

    Args:
        content: (N, 3, H, W), RGB in [0, 1].
        layer: A layer's name, or names with weights.
        preset: A preset or its name.
        steps: This and all other parameters: see ``transfer``.
        content_weight: Weight of the content term.
        tv_weight: Weight of the total variation.
        optimizer: "lbfgs", "adam" or "sign".
        learning_rate: Of the optimizer.
        history: Steps that L-BFGS remembers.
        init: The first picture.
        seed: Seed of the noise.
        scales: Coarse to fine.
        tile: Side of the tiles of a large picture.
        features: A network that exists already.
        weights: See ``VGGFeatures``.
        device: See ``runtime.pick_device``.
        precision: See ``runtime.pick_precision``.
        callback: Called with a ``Record`` after each evaluation.
        progress: Whether to show a progress bar.
        guard: Whether to protect the run against divergence.

    Returns:
        The best picture, of the shape of ``content``.

    Raises:
        NstError: As ``transfer``.
    """
    content_layers = {layer: 1.0} if isinstance(layer, str) else dict(layer)
    return paint(
        content,
        None,
        tuple(content.shape),
        preset,
        steps=steps,
        content_weight=content_weight,
        tv_weight=tv_weight,
        content_layers=content_layers,
        optimizer=optimizer,
        learning_rate=learning_rate,
        history=history,
        init=init,
        seed=seed,
        scales=scales,
        tile=tile,
        features=features,
        weights=weights,
        device=device,
        precision=precision,
        callback=callback,
        progress=progress,
        guard=guard,
    )


def paint(
    content: Tensor | None,
    style: Tensor | None,
    shape: tuple[int, ...],
    preset: str | Preset = "course",
    *,
    steps: int | None = None,
    content_weight: float | None = None,
    style_weight: float | None = None,
    tv_weight: float | None = None,
    content_layers: Layers | None = None,
    style_layers: Layers | None = None,
    optimizer: OptimizerName | None = None,
    learning_rate: float | None = None,
    history: int | None = None,
    init: InitName | Tensor | None = None,
    seed: int = 0,
    style_size: int | None = None,
    scales: int | Sequence[int] = 1,
    tile: int | None = None,
    features: VGGFeatures | None = None,
    weights: Weights | None = None,
    device: str | torch.device | None = None,
    precision: Precision = "auto",
    callback: Callback | None = None,
    progress: bool = False,
    guard: bool = True,
) -> Result:
    """Paint a picture that matches a content, a style or both.

    Args:
        content: (N, 3, H, W), RGB in [0, 1], or None.
        style: (1, 3, h, w) or (N, 3, h, w), RGB in [0, 1], or None.
        shape: (N, 3, H, W) of the result.
        preset: A preset or its name.
        steps: This and all other parameters: see ``transfer``.
        content_weight: Weight of the content term.
        style_weight: Weight of the style term.
        tv_weight: Weight of the total variation.
        content_layers: Content layers with their weights.
        style_layers: Style layers with their weights.
        optimizer: "lbfgs", "adam" or "sign".
        learning_rate: Of the optimizer.
        history: Steps that L-BFGS remembers.
        init: The first picture.
        seed: Seed of the noise.
        style_size: Long side in pixels to which the style is resized; None leaves it as it is.
        scales: Coarse to fine.
        tile: Side of the tiles of a large picture.
        features: A network that exists already.
        weights: See ``VGGFeatures``.
        device: See ``runtime.pick_device``.
        precision: See ``runtime.pick_precision``.
        callback: Called with a ``Record`` after each evaluation.
        progress: Whether to show a progress bar.
        guard: Whether to protect the run against divergence.

    Returns:
        The best picture, of the given shape, with the records of all evaluations and the settings.

    Raises:
        NstError: As ``transfer``.
    """
    preset = get_preset(preset).replace(
        steps=steps,
        content_weight=content_weight,
        style_weight=style_weight,
        tv_weight=tv_weight,
        content_layers=content_layers,
        style_layers=style_layers,
        optimizer=optimizer,
        learning_rate=learning_rate,
        history=history,
    )
    _check_picture(content, "content")
    _check_picture(style, "style")
    _check_picture(init if isinstance(init, Tensor) else None, "first picture")
    _check_batch(content, style, shape[0])
    _check_weights(preset)
    check_tile(tile)
    with torch.inference_mode(False):  # tensors made in that mode could not take part in a gradient
        if features is None:
            features = VGGFeatures(
                weights=weights,
                pooling=preset.pooling,
                rescale=preset.rescale,
                precision=precision,
                device=pick_device(device),
                preprocessing=preset.preprocessing,
            )
    init = preset.init if init is None else init
    stages = _plan(preset, shape, scales, tile, keep_optimizer=optimizer is not None)
    painting = _Painting(
        preset=preset,
        features=features,
        content=content,
        style=style,
        shape=shape,
        init=init,
        seed=seed,
        style_size=style_size,
        tile=tile,
        callback=callback,
        progress=progress,
        guard=guard,
    )
    with torch.inference_mode(False):
        result = painting.run(stages)
    result.image = resize(result.image, (shape[2], shape[3]))
    result.settings = _settings(preset, init, shape, stages, seed, features)
    return result


class _Stage(NamedTuple):
    """One size of the painting."""

    size: tuple[int, int]
    steps: int
    optimizer: OptimizerName
    tiled: bool


def _plan(
    preset: Preset, shape: tuple[int, ...], scales: int | Sequence[int], tile: int | None, keep_optimizer: bool
) -> list[_Stage]:
    """Return the stages; tiled ones use ``TILE_OPTIMIZER`` unless the optimizer was asked for."""
    stages = []
    for size, steps in coarse_to_fine((shape[2], shape[3]), preset.steps, scales):
        tiled = tile is not None and max(size) > tile
        optimizer = TILE_OPTIMIZER if tiled and not keep_optimizer else preset.optimizer
        stages.append(_Stage(size, steps, optimizer, tiled))
    return stages


@dataclass
class _Painting:
    """Everything that the stages of one painting share; the fields are the parameters of ``paint``."""

    preset: Preset
    features: VGGFeatures
    content: Tensor | None
    style: Tensor | None
    shape: tuple[int, ...]
    init: str | Tensor
    seed: int
    style_size: int | None
    tile: int | None
    callback: Callback | None
    progress: bool
    guard: bool

    def run(self, stages: list[_Stage]) -> Result:
        """Paint the stages one after the other, each from the result before."""
        result: Result | None = None
        for stage in stages:
            try:
                part = self.run_stage(stage, result)
            except KeyboardInterrupt:  # while the targets of a later stage were computed
                if result is None:
                    raise
                result.stopped = "interrupted"
                break
            result = _joined(result, part)
            if result.stopped != "finished":
                break
        assert result is not None  # there is at least one stage
        return result

    def run_stage(self, stage: _Stage, previous: Result | None) -> Result:
        """Paint one size."""
        device = self.features.device
        content = None if self.content is None else resize(self.content.float(), stage.size).to(device)
        objective = self.objective(stage, content)
        init = self.init if previous is None else previous.image
        steps, seconds = (len(previous.records), previous.seconds) if previous else (0, 0.0)
        return synthesize(
            objective,
            make_init(init, content, (*self.shape[:2], *stage.size), self.seed).to(device),
            steps=stage.steps,
            optimizer=stage.optimizer,
            learning_rate=self.preset.learning_rate if stage.optimizer == self.preset.optimizer else None,
            history=self.preset.history,
            callback=offset_callback(self.callback, steps, seconds),
            progress=self.progress,
            guard=self.guard,
        )

    def objective(self, stage: _Stage, content: Tensor | None) -> Objective:
        """Return the loss of one size."""
        style = None if self.style is None else self.scaled_style(self.style, stage).to(self.features.device)
        if stage.tiled and self.tile is not None:
            return TiledObjective(self.preset, self.features, content, style, self.tile)
        return Objective(self.preset, self.features, content, style)

    def scaled_style(self, style: Tensor, stage: _Stage) -> Tensor:
        """Return the style with its long side at ``style_size`` (None: its own), scaled as the stage is."""
        factor = max(stage.size) / max(self.shape[2:])
        if self.style_size:
            factor *= self.style_size / max(style.shape[2:])
        height, width = (max(1, round(length * factor)) for length in style.shape[2:])
        return resize(style.float(), (height, width))


def _joined(earlier: Result | None, later: Result) -> Result:
    """Return the result of two stages as one."""
    if earlier is not None:
        later.records = earlier.records + later.records
        later.seconds += earlier.seconds
        later.rollbacks += earlier.rollbacks
    return later


def _settings(
    preset: Preset, init: str | Tensor, shape: tuple[int, ...], stages: list[_Stage], seed: int, features: VGGFeatures
) -> dict[str, Any]:
    """Return what ran, as plain data; the network that was used counts, not the one that the preset asks for."""
    return {
        **asdict(preset),
        "arch": features.arch,
        "pooling": features.pooling,
        "rescale": features.rescale,
        "preprocessing": features.preprocessing,
        "init": "a picture" if isinstance(init, Tensor) else init,
        "size": [shape[3], shape[2]],
        "scales": [{**stage._asdict(), "size": [stage.size[1], stage.size[0]]} for stage in stages],
        "seed": seed,
        "weights": features.weights_name,
        "device": str(features.device),
        "precision": str(features.dtype).removeprefix("torch."),
    }


def _check_picture(picture: Tensor | None, name: str) -> None:
    if picture is None:
        return
    if picture.dim() != 4 or picture.shape[1] != 3:
        raise ImageError(f"the {name} has the shape (N, 3, H, W), not {tuple(picture.shape)}.")
    if not torch.isfinite(picture).all():
        raise ImageError(f"the {name} contains values that are not finite; load it again.")


def _check_batch(content: Tensor | None, style: Tensor | None, batch: int) -> None:
    for name, picture in (("contents", content), ("styles", style)):
        if picture is not None and len(picture) not in (1, batch):
            raise ImageError(f"there are {len(picture)} {name} for {batch} pictures; give one, or one per picture.")


def _check_weights(preset: Preset) -> None:
    for name in ("content_weight", "style_weight", "tv_weight"):
        value = getattr(preset, name)
        if not (math.isfinite(value) and value >= 0):
            raise SettingError(f"{name.replace('_', ' ')} must be a number >= 0, not {value}.")
