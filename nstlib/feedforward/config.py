"""Settings of a training: one typed configuration, from a file, the command line or Python."""

from __future__ import annotations

import dataclasses
import json
import math
import reprlib
import sys
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import SettingError, did_you_mean, finite_number, whole_number
from ..presets import Preset, get_preset
from ..runtime import Precision, profile
from .layers import Norm, Upsample
from .photos import Crop
from .transformer import Noise, Pixels

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Decay = Literal["none", "cosine"]

PROFILE_DEFAULTS: dict[str, dict[str, Any]] = {
    "smoke": {"width": 8, "blocks": 2, "size": 64, "style_size": 128, "batch": 2, "steps": 12, "identity_steps": 3},
    # a visible style in two or three minutes on two cores
    "cpu": {"width": 16, "size": 144, "crop": 0.35, "steps": 1200, "identity_steps": 40, "style_size": 448},
    # Johnson 2016 and report 000: two epochs of COCO's 82 783 photos
    "gpu": {"width": 32, "size": 256, "steps": 41_391, "workers": 4, "style_size": 512, "checkpoint_every": 1000,
            "picture_every": 500},
}  # fmt: skip
"""Defaults of ``TrainingConfig.for_profile`` and of ``nst train``."""

RECIPES: dict[str, dict[str, Any]] = {
    "course": {},
    "pytorch_examples": {
        "preset": "pytorch_examples", "arch": "vgg16", "weights": "imagenet", "norm": "instance", "width": 32,
        "blocks": 5, "upsample": "nearest", "pixels": "byte", "size": 256, "crops": "center", "style_size": 0,
        "batch": 4, "epochs": 2, "identity_steps": 0, "outlier_weight": 0.0, "learning_rate": 1e-3, "decay": "none",
        "seed": 42,
    },
}  # fmt: skip
"""Settings that belong together, by name: the value of "recipe" in ``TrainingConfig.from_dict`` and in a file, and of
``nst train --recipe``. They take the place of the profile's defaults; settings given beside them take theirs.

"course" is this library's own training: the defaults. "pytorch_examples" is ``fast_neural_style`` of pytorch/examples
as published, the training of report 000. Not as there: the loss sees the output clamped to [0, 255] (gradients as
without the clamp), a random start of other numbers, and a last batch that is filled up."""

MAX_STEPS = 10_000_000
"""Sixty times the two epochs of COCO at batch 1."""

LIMITS = {
    "size": (32, 4096),  # one feature map of the first layer has 2 GB at 4096
    "style_size": (32, 8000),  # 64 megapixels, as ``images.MAX_PIXELS``
    "batch": (1, 4096),
    "steps": (1, MAX_STEPS),
    "epochs": (0, 10_000),
    "identity_steps": (0, MAX_STEPS),
    "seed": (0, 2**32 - 1),  # as NumPy's
    "workers": (0, 128),
    "checkpoint_every": (0, MAX_STEPS),
    "picture_every": (0, MAX_STEPS),
}
"""Smallest and largest values of the whole-number settings; ``TransformerNet`` checks its own."""

MAX_FILE_BYTES = 1_000_000
"""No configuration file is longer."""


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides what a network learns, and where the result goes.

    ``from_dict``, ``for_profile``, ``from_file`` and the command line also take a ``recipe``, a name in ``RECIPES``:
    ``TrainingConfig.for_profile(recipe="pytorch_examples", photos="coco", styles=("mosaic.jpg",))`` trains as
    pytorch/examples does.

    Attributes:
        photos: Folder of pictures to train on, searched with its subfolders.
        styles: Style pictures, or names in data/styles; each becomes one style of the network.
        output: Folder of the checkpoint, the sheets and the network.
        samples: Photos that are not trained on; the sheets show the first eight, without samples the first two photos.
        start: File of a network to continue from, in place of random weights.
        preset: Layers and weights of the loss, and nothing else: "course_network" (ours) or "pytorch_examples"
            (report 000).
        content_weight: Weight of the content term, in place of the preset's.
        style_weight: Weight of the style term, in place of the preset's.
        tv_weight: Weight of the total variation, in place of the preset's.
        content_layers: Content layers in place of the preset's, all with the same weight.
        style_layers: Style layers in place of the preset's, all with the same weight.
        arch: Architecture of the extractor, "vgg19" or "vgg16"; by default the preset's.
        weights: Weights of the extractor: "compact", "imagenet" or a file; by default the profile decides.
        norm: Normalisation of the network: "instance", "batch", or "conditional" for several styles.
        width: Feature maps of the first layer.
        blocks: Residual blocks.
        upsample: Upsampling, "nearest", "bilinear" or "transposed".
        pixels: Output of the network: "unit" (bounded by a tanh) or "byte" (unbounded, as in pytorch/examples).
        noise: Where noise enters the network, "none", "input" or "bottleneck"; it prevents tiles that repeat.
        sizes: Long sides of pictures for which every style has strokes of its own, such as 384 and 768. Each crop then
            shows a photo as it is at one of these sizes, and has the style picture at this size as its target; "crop"
            and "style_size" are not used.
        size: Side of the square crops in pixels.
        crops: Squares to train on: "random" (place, size and mirroring; photos in random order) or "center" (the
            largest square in the middle; photos in the order of their names).
        crop: Smallest random crop, as a share of a photo's short side.
        style_size: Long side of the style pictures in pixels; it decides how large strokes become; 0 keeps their own.
        batch: Photos per step in each process.
        steps: Steps of Adam in all.
        epochs: Passes over all photos, in place of steps; 0 takes steps.
        identity_steps: First steps, in which the network learns to copy the photo (mean squared error of pixels).
        outlier_weight: Weight of the penalty on outliers in feature maps, which prevents spots; Johnson has 0.
        grid_weight: Weight of the penalty on a tile that repeats every four pixels (``grid_share``); Johnson has 0.
        learning_rate: Learning rate of Adam.
        decay: Schedule of the learning rate: "none", or "cosine" (up in 50 steps, then down to zero at the last step).
        seed: Seed of weights, photos, crops and styles.
        device: Device: cpu, cuda, cuda:1 ...; by default a GPU if there is one.
        precision: Precision of the convolutions: "auto", "float32" or "bfloat16".
        compile: Compile network and loss with torch.compile: minutes to start, a third less time per step.
        workers: Processes that read photos.
        checkpoint_every: Steps between checkpoints; 0 writes one at the end only.
        picture_every: Steps between sheets of painted samples; 0 writes none.
    """

    photos: str = ""
    styles: tuple[str, ...] = ()
    output: str = "out/training"
    samples: tuple[str, ...] = ()
    start: str = ""
    preset: str = "course_network"
    content_weight: float | None = None
    style_weight: float | None = None
    tv_weight: float | None = None
    content_layers: tuple[str, ...] = ()
    style_layers: tuple[str, ...] = ()
    arch: str | None = None
    weights: str | None = None
    norm: Norm = "instance"
    width: int = 32
    blocks: int = 5
    upsample: Upsample = "nearest"
    pixels: Pixels = "unit"
    noise: Noise = "none"
    sizes: tuple[int, ...] = ()
    size: int = 256
    crops: Crop = "random"
    crop: float = 0.5
    style_size: int = 384
    batch: int = 4
    steps: int = 2000
    epochs: int = 0
    identity_steps: int = 0
    outlier_weight: float = 200.0
    grid_weight: float = 0.0
    learning_rate: float = 1e-3
    decay: Decay = "cosine"
    seed: int = 0
    device: str | None = None
    precision: Precision = "auto"
    compile: bool = False
    workers: int = 0
    checkpoint_every: int = 200
    picture_every: int = 200

    @classmethod
    def from_file(cls, path: str | Path, **changes: Any) -> TrainingConfig:
        """Return the settings of a TOML or JSON file, with the defaults of the profile for what it leaves out.

        Args:
            path: The file; its keys are the names above.
            changes: Settings that replace the file's; None leaves one as it is.

        Raises:
            SettingError: The file cannot be read, or a setting is unknown or of another type.
        """
        values = _read_settings(Path(path))
        return cls.for_profile(**{**values, **{k: v for k, v in changes.items() if v is not None}})

    @classmethod
    def for_profile(cls, **values: Any) -> TrainingConfig:
        """Return ``from_dict`` with the defaults of the profile (NST_PROFILE) for what is not given."""
        return cls.from_dict({**PROFILE_DEFAULTS[profile()], **_recipe_of(values), **values})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingConfig:
        """Return a configuration from plain values, each checked against the type of its field.

        Args:
            values: Settings by name; "recipe" is a name in ``RECIPES``, whose settings hold for what is not given.

        Raises:
            SettingError: A setting is unknown or of another type.
        """
        values = {**_recipe_of(values), **values}
        values.pop("recipe", None)
        hints = typing.get_type_hints(cls)
        unknown = [name for name in values if name not in hints]
        if unknown:
            raise SettingError(f"there is no setting {reprlib.repr(unknown[0])}; there are {', '.join(hints)}.")
        return cls(**{name: _converted(name, value, hints[name]) for name, value in values.items()})

    def check(self) -> None:
        """Raise SettingError for a value that cannot be used; network and extractor check what they take themselves."""
        for name, hint in typing.get_type_hints(TrainingConfig).items():
            if hint not in (int, float, float | None):  # numbers follow
                _converted(name, getattr(self, name), hint)
        for name, (least, most) in LIMITS.items():
            if not (name == "style_size" and self.style_size == 0):
                whole_number(name, getattr(self, name), least, most)
        for name in ("content_weight", "style_weight", "tv_weight", "outlier_weight", "grid_weight"):
            if getattr(self, name) is not None:
                finite_number(name, getattr(self, name))
        rate, crop = (finite_number(name, getattr(self, name)) for name in ("learning_rate", "crop"))
        if not (0 < rate < 1 and 0 < crop <= 1):
            raise SettingError("learning_rate and crop must be above 0, learning_rate below 1 and crop at most 1.")
        for size in self.sizes:
            whole_number("each of sizes", size, *LIMITS["size"])
        for name, choices in (("decay", typing.get_args(Decay)), ("crops", typing.get_args(Crop))):
            if getattr(self, name) not in choices:
                raise SettingError(f"{name} {getattr(self, name)!r} is unknown; use {' or '.join(map(repr, choices))}.")
        self._check_paths()

    def _check_paths(self) -> None:
        for path in (self.photos, self.output, self.start, self.weights or "", *self.styles, *self.samples):
            if "\0" in path:
                raise SettingError(f"{path!r} is not the name of a file or folder.")
        if not self.output:
            raise SettingError("there is no folder to write to; name one in 'output'.")
        if not all(self.samples):
            raise SettingError("a name in 'samples' is empty; name pictures.")
        if not self.styles or not all(self.styles):
            raise SettingError("there is no style to learn; name at least one picture in 'styles'.")
        if len(self.styles) > 1 and self.norm != "conditional":
            raise SettingError(f"{len(self.styles)} styles in one network need norm 'conditional', not {self.norm!r}.")

    def with_steps_for(self, photos: int, batch: int) -> TrainingConfig:
        """Return the configuration with the steps that ``epochs`` stands for.

        Args:
            photos: Number of photos.
            batch: Photos per step in all processes.

        Raises:
            SettingError: There are more steps than ``MAX_STEPS``.
        """
        if not self.epochs:
            return self
        steps = self.epochs * math.ceil(photos / batch)
        return dataclasses.replace(self, steps=whole_number("the steps of these epochs", steps, most=MAX_STEPS))

    def loss_preset(self) -> Preset:
        """Return the preset with this configuration's architecture, weights and layers."""
        return get_preset(self.preset).replace(
            arch=self.arch,
            content_weight=self.content_weight,
            style_weight=self.style_weight,
            tv_weight=self.tv_weight,
            content_layers=self.content_layers or None,
            style_layers=self.style_layers or None,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return all settings as plain data."""
        return dataclasses.asdict(self)


def _recipe_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the recipe that is named in ``values``."""
    name = values.get("recipe", "course")
    if not isinstance(name, str) or name not in RECIPES:
        guess = did_you_mean(name, RECIPES)
        raise SettingError(f"there is no recipe {reprlib.repr(name)}; {guess}There are {', '.join(RECIPES)}.")
    return RECIPES[name]


def _read_settings(path: Path) -> dict[str, Any]:
    """Return the content of a TOML or JSON file."""
    kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise SettingError(f"'{path}' is too long for a configuration; give a {kind} file with settings.")
        text = data.decode("utf-8-sig")  # Windows' editor begins a file with a byte order mark
        values = json.loads(text, object_pairs_hook=_without_duplicates) if kind == "JSON" else tomllib.loads(text)
    except OSError as error:
        raise SettingError(f"the configuration '{path}' cannot be read ({error.strerror}).") from error
    except RecursionError as error:
        raise SettingError(f"'{path}' nests too deeply; a configuration holds settings and their values.") from error
    except SettingError:
        raise
    except ValueError as error:  # both readers' errors are of this kind
        raise SettingError(f"'{path}' is not valid {kind} ({error}).") from error
    if not isinstance(values, dict):
        raise SettingError(f"'{path}' holds no settings with names, but a {type(values).__name__}.")
    return values


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of a JSON object as a dictionary; TOML refuses a name that is there twice by itself."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name is there twice")
    return values


def _converted(name: str, value: Any, hint: Any) -> Any:
    """Return a value as its field holds it, or raise SettingError."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if hint == tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise SettingError(f"{name} is {reprlib.repr(value)}, which is not a list of texts.")
        return tuple(value)
    if hint == tuple[int, ...]:
        if not isinstance(value, list | tuple) or not all(type(item) is int for item in value):
            raise SettingError(f"{name} is {reprlib.repr(value)}, which is not a list of whole numbers.")
        return tuple(value)
    if typing.get_origin(hint) is Literal:
        kinds = (str,)  # which word it is, is checked where it is used
    if float in kinds and type(value) is int:
        return float(value) if abs(value) < 2**1023 else math.inf  # which no setting may be
    if type(value) not in kinds:
        raise SettingError(f"{name} is {reprlib.repr(value)}, which is not of the type {_type_names(kinds)}.")
    return value


def _type_names(kinds: Sequence[Any]) -> str:
    return " or ".join("none" if kind is type(None) else getattr(kind, "__name__", str(kind)) for kind in kinds)
