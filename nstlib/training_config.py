"""What a training is told: one typed configuration, from a file, the command line or Python."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import SettingError
from .presets import Preset, get_preset
from .runtime import scale

SCALE_DEFAULTS: dict[str, dict[str, Any]] = {
    "smoke": {"width": 8, "blocks": 2, "size": 64, "style_size": 128, "batch": 2, "steps": 12, "warmup": 3},
    # a visible style in two or three minutes on two cores
    "cpu": {"width": 16, "size": 144, "crop": 0.35, "steps": 1200, "warmup": 40, "style_size": 448},
    # Johnson 2016 and report 000: two epochs of COCO's 82 783 photos
    "gpu": {"width": 32, "size": 256, "steps": 41_391, "workers": 4, "style_size": 512, "checkpoint_every": 1000,
            "picture_every": 500},
}  # fmt: skip
"""What ``TrainingConfig.for_scale`` and ``nst train`` begin with."""


@dataclass(frozen=True)
class TrainingConfig:
    """All that decides what is learnt, and where it goes. From a file: ``from_file``.

    photos: a folder of pictures (searched with its subfolders). styles: pictures, one row of the network each.
    output: folder of the checkpoint, the sheets and the network. samples: photos that the sheets show; they are
        not trained on. start: a network's file to go on from, in place of random weights.
    preset: layers and weights of the loss; "course_network" (ours) or "pytorch_examples" (report 000, rows F2 and
        F3). content_weight, style_weight, tv_weight replace the preset's; content_layers and style_layers its layers,
        each counting the same. arch, weights: see ``VGGFeatures``.
    norm, width, blocks, upsample: see ``TransformerNet``; one style or "conditional".
    size: side of the square crops in pixels. crop: the smallest crop, as a share of a photo's short side.
    style_size: long side of the style pictures, which decides how large strokes get.
    batch: photos a step in each process. steps: of Adam in all. warmup: so many of them first learn the identity
        (report 002), with the mean squared difference of pixels as the loss.
    spike_weight: of ``InstanceNorm.excess``, which keeps spots away; 0 is Johnson's training.
    learning_rate: of Adam. decay: "none", or "cosine": up in 50 steps, then down to zero at the last step.
    seed: of weights, photos, crops and styles. precision: of the convolutions, see ``pick_precision``.
    compile: torch.compile for network and loss: minutes to start, a third less time a step.
    workers: processes that read photos. checkpoint_every, picture_every: steps; 0 is never.
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
    norm: str = "instance"
    width: int = 32
    blocks: int = 5
    upsample: str = "nearest"
    size: int = 256
    crop: float = 0.5
    style_size: int = 384
    batch: int = 4
    steps: int = 2000
    warmup: int = 0
    spike_weight: float = 200.0
    learning_rate: float = 1e-3
    decay: str = "cosine"
    seed: int = 0
    device: str | None = None
    precision: str = "auto"
    compile: bool = False
    workers: int = 0
    checkpoint_every: int = 200
    picture_every: int = 200

    @classmethod
    def from_file(cls, path: str | Path, **changes: Any) -> TrainingConfig:
        """Settings from a TOML or JSON file with the names above; ``changes`` that are not None replace them."""
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8")
            found = json.loads(text) if path.suffix.lower() == ".json" else _toml().loads(text)
        except OSError as error:
            raise SettingError(f"the configuration '{path}' cannot be read ({error.strerror}).") from error
        except ValueError as error:  # both readers' errors are of this kind
            raise SettingError(f"'{path}' is no valid {path.suffix[1:].upper() or 'TOML'} ({error}).") from error
        return cls.for_scale(**{**found, **{k: v for k, v in changes.items() if v is not None}})

    @classmethod
    def for_scale(cls, **values: Any) -> TrainingConfig:
        """``of`` with the defaults of the scale in force (NST_SCALE) for what is not given."""
        return cls.of(**{**SCALE_DEFAULTS[scale()], **values})

    @classmethod
    def of(cls, **values: Any) -> TrainingConfig:
        """A configuration from plain values; each is checked against the type of its field."""
        hints, out = typing.get_type_hints(cls), {}
        for name, value in values.items():
            if name not in hints:
                raise SettingError(f"there is no setting {name!r}; there are {', '.join(hints)}.")
            kinds = typing.get_args(hints[name]) if isinstance(hints[name], types.UnionType) else (hints[name],)
            if hints[name] == tuple[str, ...]:
                good, value = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value), tuple(value)
            else:
                value = float(value) if float in kinds and type(value) is int else value
                good = type(value) in kinds
            if not good:
                raise SettingError(f"{name} is {value!r}, which is not of the kind {_words(kinds)}.")
            out[name] = value
        return cls(**out)

    def check(self) -> None:
        """Raise SettingError for the first value that cannot be used."""
        least = {"size": 32, "style_size": 32, "batch": 1, "steps": 1, "warmup": 0, "workers": 0,
                 "checkpoint_every": 0, "picture_every": 0}  # fmt: skip
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise SettingError(f"{name} must be at least {bound}, not {getattr(self, name)}.")
        for name in ("content_weight", "style_weight", "tv_weight"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise SettingError(f"{name} must be a number >= 0, not {value}.")
        if not (math.isfinite(self.spike_weight) and self.spike_weight >= 0):
            raise SettingError(f"spike_weight must be a number >= 0, not {self.spike_weight}.")
        if not (0 < self.learning_rate < 1 and 0 < self.crop <= 1):
            raise SettingError("learning_rate and crop must be larger than 0 and not larger than 1.")
        if self.decay not in ("none", "cosine"):
            raise SettingError(f"decay {self.decay!r} is unknown; use 'none' or 'cosine'.")
        if not self.styles:
            raise SettingError("there is no style to learn; name at least one picture in 'styles'.")
        if len(self.styles) > 1 and self.norm != "conditional":
            raise SettingError(f"{len(self.styles)} styles in one network need norm 'conditional', not {self.norm!r}.")

    def loss_preset(self) -> Preset:
        """The preset with this configuration's weights and layers."""
        layers = {name: dict.fromkeys(names, 1 / len(names))
                  for name in ("content_layers", "style_layers") if (names := getattr(self, name))}  # fmt: skip
        weights = {name: getattr(self, name) for name in ("content_weight", "style_weight", "tv_weight")}
        return get_preset(self.preset).but(**weights, **layers)


def _words(kinds: Sequence[Any]) -> str:
    return " or ".join("none" if k is type(None) else getattr(k, "__name__", str(k)) for k in kinds)


def _toml() -> types.ModuleType:
    try:
        import tomllib
    except ModuleNotFoundError as error:
        raise SettingError("Python 3.10 cannot read TOML; write the configuration as JSON.") from error
    return tomllib
