"""Pictures by optimisation: style transfer, texture synthesis and reconstruction.

``transfer``, ``texture`` and ``reconstruct`` are the three uses of ``paint``, which makes the network, plans the sizes,
and runs ``optimize.synthesize`` once per size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .errors import ImageError, SettingError, shown, whole_number
from .images import MAX_PIXELS, Picture, as_image, resize
from .initialization import LARGEST_SEED, as_start, make_init
from .objective import Objective
from .optimize import LEARNING_RATE, NotFiniteError, synthesize
from .presets import InitName, Layers, OptimizerName, Preset, get_preset
from .pretrained import Weights
from .pyramid import coarse_to_fine
from .records import Callback, Result, check_callback, offset_callback
from .runtime import Precision, pick_device
from .tiling import TILE_OPTIMIZER, TiledObjective, check_tile
from .vgg import VGGFeatures, check_features


def transfer(
    content: Picture,
    style: Picture,
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
    init: InitName | Picture | None = None,
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
        content: (N, 3, H, W), RGB in [0, 1], or another picture that ``images.as_image`` takes.
        style: (1, 3, h, w) or (N, 3, h, w), RGB in [0, 1], of any size, or another picture.
        preset: A preset or its name. Conventions without a parameter here: ``get_preset(name).replace(...)``.
        steps: Evaluations of loss and gradient, at the first scale. Like all parameters down to ``history``, None takes
            the preset's value.
        content_weight: Weight of the content term.
        style_weight: Weight of the style term.
        tv_weight: Weight of the total variation.
        content_layers: Content layers with their weights; names alone weigh the same and 1 together.
        style_layers: Style layers, likewise.
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
        features: A network that exists already, whose architecture, pooling and preprocessing replace the preset's;
            None makes one from the preset, ``weights``, ``device`` and ``precision``.
        weights: See ``VGGFeatures``.
        device: See ``runtime.pick_device``.
        precision: See ``runtime.pick_precision``.
        callback: Called with a ``Record`` after each evaluation; returning False stops.
        progress: Whether to show a progress bar.
        guard: Whether to protect the run against divergence; see ``synthesize``.

    Returns:
        The best picture, (N, 3, H, W), with the records of all evaluations and the settings. The pictures of a batch
        come out as from single runs (see ``optimize``).

    Raises:
        ImageError: A picture cannot be used.
        SettingError: A value cannot be used.
        LayerError: A layer is unknown or not available.
        WeightsError: The weights cannot be loaded.
    """
    content = as_image(content, "the content")
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
        style_size=max(content.shape[2:]) if style_size is None else style_size,
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
    style: Picture,
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
    init: InitName | Picture = "noise",
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
        style: (N, 3, h, w), RGB in [0, 1], or another picture that ``images.as_image`` takes.
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
    style = as_image(style, "the style")
    sides = style.shape[2:] if size is None else size if isinstance(size, Iterable) else [size]
    shape = (len(style), 3, *sides)
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
    content: Picture,
    layer: Layers,
    preset: str | Preset = "course",
    *,
    steps: int | None = None,
    content_weight: float | None = None,
    tv_weight: float | None = None,
    optimizer: OptimizerName | None = None,
    learning_rate: float | None = None,
    history: int | None = None,
    init: InitName | Picture = "noise",
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
        content: (N, 3, H, W), RGB in [0, 1], or another picture that ``images.as_image`` takes.
        layer: A layer's name, or several, or names with weights.
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
    content = as_image(content, "the content")
    return paint(
        content,
        None,
        tuple(content.shape),
        preset,
        steps=steps,
        content_weight=content_weight,
        tv_weight=tv_weight,
        content_layers=layer,
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
    content: Picture | None,
    style: Picture | None,
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
    init: InitName | Picture | None = None,
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
        content: (N, 3, H, W) or (1, 3, H, W), RGB in [0, 1], or another picture for ``as_image``, or None.
        style: (1, 3, h, w) or (N, 3, h, w), RGB in [0, 1], or another picture, or None.
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
    check_callback(callback)
    if features is not None:
        check_features(features)
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
    preset.check_weights(content is not None, style is not None)
    content = None if content is None else as_image(content, "the content")
    style = None if style is None else as_image(style, "the style")
    init = preset.init if init is None else init
    if not isinstance(init, str):
        init = as_start(init)
    _check_shape(shape)
    _check_batch({"contents": content, "styles": style, "first pictures": init}, shape[0])
    check_tile(tile)
    whole_number("seed", seed, least=0, most=LARGEST_SEED)
    if style_size is not None:
        whole_number("style_size", style_size)
    with torch.inference_mode(False):  # tensors made in that mode could not take part in a gradient
        if features is None:
            features = VGGFeatures(
                preset.arch,
                weights=weights,
                pooling=preset.pooling,
                rescale=preset.rescale,
                precision=precision,
                device=pick_device(device),
                preprocessing=preset.preprocessing,
            )
        preset = preset.replace(
            arch=features.arch,
            pooling=features.pooling,
            rescale=features.rescale,
            preprocessing=features.preprocessing,
        )
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
        result = painting.run(stages)
    result.image = resize(result.image, (shape[2], shape[3]))
    result.settings = painting.settings(stages)
    return result


class _Stage(NamedTuple):
    """One size of the painting."""

    size: tuple[int, int]
    steps: int
    optimizer: OptimizerName
    learning_rate: float
    tiled: bool


def _plan(
    preset: Preset, shape: tuple[int, ...], scales: int | Sequence[int], tile: int | None, keep_optimizer: bool
) -> list[_Stage]:
    """Return the stages; tiled ones use ``TILE_OPTIMIZER`` unless the optimizer was asked for."""
    stages = []
    for size, steps in coarse_to_fine((shape[2], shape[3]), preset.steps, scales):
        tiled = tile is not None and max(size) > tile
        optimizer, rate = preset.optimizer, preset.learning_rate
        if tiled and not keep_optimizer and optimizer != TILE_OPTIMIZER:
            optimizer, rate = TILE_OPTIMIZER, None
        stages.append(_Stage(size, steps, optimizer, LEARNING_RATE[optimizer] if rate is None else rate, tiled))
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
            except NotFiniteError:
                if result is None:
                    raise
                result.stopped = "diverged"
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
            learning_rate=stage.learning_rate,
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

    def settings(self, stages: list[_Stage]) -> dict[str, Any]:
        """Return what ran, as plain data."""
        features, last = self.features, stages[-1]
        settings = {
            **asdict(self.preset),
            "optimizer": last.optimizer,
            "learning_rate": last.learning_rate,
            "init": "a picture" if isinstance(self.init, Tensor) else self.init,
            "size": [self.shape[3], self.shape[2]],
            "scales": [{**stage._asdict(), "size": [stage.size[1], stage.size[0]]} for stage in stages],
            "style_size": self.style_size,
            "tile": self.tile,
            "seed": self.seed,
            "guard": self.guard,
            "weights": features.weights_name,
            "device": str(features.device),
            "precision": str(features.dtype).removeprefix("torch."),
        }
        return {name: _as_plain_data(value) for name, value in settings.items()}


def _joined(earlier: Result | None, later: Result) -> Result:
    """Return the result of two stages as one."""
    if earlier is not None:
        later.records = earlier.records + later.records
        later.seconds += earlier.seconds
        later.rollbacks += earlier.rollbacks
    return later


def _check_shape(shape: tuple[int, ...]) -> None:
    if not isinstance(shape, Sequence) or len(shape) != 4 or shape[1] != 3:
        raise SettingError(f"the result has the shape (N, 3, height, width), not {shown(shape)}.")
    for side in shape:
        whole_number("each number of the result's shape", side)
    if shape[2] * shape[3] > MAX_PIXELS:
        raise SettingError(f"{shape[3]} x {shape[2]} pixels are more than {MAX_PIXELS}; choose a smaller size.")


def _check_batch(pictures: dict[str, Tensor | str | None], batch: int) -> None:
    for name, picture in pictures.items():
        if isinstance(picture, Tensor) and len(picture) not in (1, batch):
            raise ImageError(f"there are {len(picture)} {name} for {batch} pictures; give one, or one per picture.")


def _as_plain_data(value: Any) -> Any:
    """Return a setting without tensors, such as one weight for each picture, and without NumPy's numbers."""
    if isinstance(value, dict):
        return {name: _as_plain_data(entry) for name, entry in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value
