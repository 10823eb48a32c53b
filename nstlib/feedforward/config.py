"""Settings of a training: one typed configuration, from a file, the command line or Python."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import SettingError
from ..presets import Preset, get_preset
from ..runtime import Precision, profile
from .layers import Norm, Upsample

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

AT_LEAST = {"size": 32, "style_size": 32, "batch": 1, "steps": 1, "identity_steps": 0, "workers": 0,
            "checkpoint_every": 0, "picture_every": 0}  # fmt: skip
"""Smallest values of the whole-number settings."""


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides what a network learns, and where the result goes.

    Attributes:
        photos: Folder of pictures to train on, searched with its subfolders.
        styles: Style pictures, or names in data/styles; each becomes one style of the network.
        output: Folder of the checkpoint, the sheets and the network.
        samples: Photos shown on the sheets and not trained on; without them the sheets show the first two photos.
        start: File of a network to continue from, in place of random weights.
        preset: Layers and weights of the loss: "course_network" (ours) or "pytorch_examples" (report 000).
        content_weight: Weight of the content term, in place of the preset's.
        style_weight: Weight of the style term, in place of the preset's.
        tv_weight: Weight of the total variation, in place of the preset's.
        content_layers: Content layers in place of the preset's, all with the same weight.
        style_layers: Style layers in place of the preset's, all with the same weight.
        arch: Architecture of the extractor, "vgg19" or "vgg16".
        weights: Weights of the extractor: "compact", "imagenet" or a file; by default the profile decides.
        norm: Normalisation of the network: "instance", "batch", or "conditional" for several styles.
        width: Feature maps of the first layer.
        blocks: Residual blocks.
        upsample: Upsampling, "nearest" or "transposed".
        size: Side of the square crops in pixels.
        crop: Smallest crop, as a share of a photo's short side.
        style_size: Long side of the style pictures in pixels; it decides how large strokes become.
        batch: Photos per step in each process.
        steps: Steps of Adam in all.
        identity_steps: First steps, in which the network learns to copy the photo (mean squared error of pixels).
        outlier_weight: Weight of the penalty on outliers in feature maps, which prevents spots; Johnson has 0.
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
    arch: str = "vgg19"
    weights: str | None = None
    norm: Norm = "instance"
    width: int = 32
    blocks: int = 5
    upsample: Upsample = "nearest"
    size: int = 256
    crop: float = 0.5
    style_size: int = 384
    batch: int = 4
    steps: int = 2000
    identity_steps: int = 0
    outlier_weight: float = 200.0
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
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
            values = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
        except OSError as error:
            raise SettingError(f"the configuration '{path}' cannot be read ({error.strerror}).") from error
        except ValueError as error:  # both readers' errors are of this kind
            raise SettingError(f"'{path}' is not valid {path.suffix[1:].upper() or 'TOML'} ({error}).") from error
        return cls.for_profile(**{**values, **{k: v for k, v in changes.items() if v is not None}})

    @classmethod
    def for_profile(cls, **values: Any) -> TrainingConfig:
        """Return ``from_dict`` with the defaults of the profile (NST_PROFILE) for what is not given."""
        return cls.from_dict({**PROFILE_DEFAULTS[profile()], **values})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainingConfig:
        """Return a configuration from plain values, each checked against the type of its field.

        Raises:
            SettingError: A setting is unknown or of another type.
        """
        hints = typing.get_type_hints(cls)
        unknown = [name for name in values if name not in hints]
        if unknown:
            raise SettingError(f"there is no setting {unknown[0]!r}; there are {', '.join(hints)}.")
        return cls(**{name: _converted(name, value, hints[name]) for name, value in values.items()})

    def check(self) -> None:
        """Raise SettingError for a value that cannot be used; network and extractor check what they take themselves."""
        for name, least in AT_LEAST.items():
            if getattr(self, name) < least:
                raise SettingError(f"{name} must be at least {least}, not {getattr(self, name)}.")
        for name in ("content_weight", "style_weight", "tv_weight", "outlier_weight"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise SettingError(f"{name} must be a number >= 0, not {value}.")
        if not (0 < self.learning_rate < 1 and 0 < self.crop <= 1):
            raise SettingError("learning_rate and crop must be above 0, learning_rate below 1 and crop at most 1.")
        if self.decay not in typing.get_args(Decay):
            raise SettingError(f"decay {self.decay!r} is unknown; use 'none' or 'cosine'.")
        if not self.styles:
            raise SettingError("there is no style to learn; name at least one picture in 'styles'.")
        if len(self.styles) > 1 and self.norm != "conditional":
            raise SettingError(f"{len(self.styles)} styles in one network need norm 'conditional', not {self.norm!r}.")

    def loss_preset(self) -> Preset:
        """Return the preset with this configuration's weights and layers."""
        return get_preset(self.preset).replace(
            content_weight=self.content_weight,
            style_weight=self.style_weight,
            tv_weight=self.tv_weight,
            content_layers=_equal_weights(self.content_layers),
            style_layers=_equal_weights(self.style_layers),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return all settings as plain data."""
        return dataclasses.asdict(self)


def _equal_weights(layers: Sequence[str]) -> dict[str, float] | None:
    return dict.fromkeys(layers, 1 / len(layers)) if layers else None


def _converted(name: str, value: Any, hint: Any) -> Any:
    """Return a value as its field holds it, or raise SettingError."""
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if hint == tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise SettingError(f"{name} is {value!r}, which is not a list of texts.")
        return tuple(value)
    if typing.get_origin(hint) is Literal:
        kinds = (str,)  # which word it is, is checked where it is used
    if float in kinds and type(value) is int:
        return float(value)
    if type(value) not in kinds:
        raise SettingError(f"{name} is {value!r}, which is not of the type {_type_names(kinds)}.")
    return value


def _type_names(kinds: Sequence[Any]) -> str:
    return " or ".join("none" if kind is type(None) else getattr(kind, "__name__", str(kind)) for kind in kinds)
