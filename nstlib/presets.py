"""Named settings of well-known implementations, each with its source, and ``course``, our own.

A preset fixes everything in the loss that two implementations may do differently. For activations F, Gram matrices G
(already divided by ``gram_divisor``) and a style layer with N channels the total is

    content_weight * sum_l c_l * content_factor * D(F_l, P_l)
  + style_weight   * sum_l s_l * style_factor / N_l^channel_power * D(G_l, A_l)
  + tv_weight      * TV(image * factor of the preprocessing)

where D is the sum, the mean or the relative sum of squares (``content_reduction``, ``style_reduction``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

from torch import Tensor

from .architecture import layer_names
from .errors import SettingError, did_you_mean, finite_number, shown, whole_number
from .losses import GramDivisor, Reduction, TVReduction
from .vgg import Pooling, Preprocessing

InitName = Literal["content", "content+noise", "noise", "grey", "mean"]
OptimizerName = Literal["lbfgs", "adam", "sign"]
Layers = str | Iterable[str] | Mapping[str, float]
"""Layer names with their weights; names alone weigh the same and 1 together."""

RELU_1 = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def _each(layers: tuple[str, ...], weight: float = 1.0) -> dict[str, float]:
    return dict.fromkeys(layers, weight)


@dataclass(frozen=True)
class Preset:
    """Layers, weights and conventions of one implementation; see the module's formula.

    All fields are checked when a preset is made. The weights of content, style and layers may also be tensors (N,), one
    weight for each picture of a batch.

    Attributes:
        name: Key in ``PRESETS``.
        source: Where the settings come from.
        content_layers: Weight of each content layer, c_l; see ``layer_weights`` for what may be given.
        style_layers: Weight of each style layer, s_l; likewise.
        content_weight: Weight of the content term.
        style_weight: Weight of the style term.
        tv_weight: Weight of the total variation.
        tv_power: Exponent of the total variation.
        tv_reduction: "sum" or "mean" over pixels.
        content_reduction: D of the content term.
        content_factor: Constant of the content term.
        style_reduction: D of the style term.
        style_factor: Constant of the style term.
        channel_power: Power of the number of channels that divides a style layer's loss.
        gram_divisor: What a Gram matrix is divided by; see ``gram_matrix``.
        arch: "vgg19" or "vgg16".
        preprocessing: See ``vgg.PREPROCESSING``.
        pooling: "max" or "avg".
        rescale: See ``VGGFeatures``.
        init: The first picture; see ``make_init``.
        optimizer: "lbfgs", "adam" or "sign".
        learning_rate: Of the optimizer; None takes ``optimize.LEARNING_RATE``.
        history: Steps that L-BFGS remembers.
        steps: Evaluations of loss and gradient.
        notes: What else there is to know; what differs from the original.

    Raises:
        SettingError: A field has a value that cannot be used.
    """

    name: str
    source: str
    content_layers: Mapping[str, float]
    style_layers: Mapping[str, float]
    content_weight: float
    style_weight: float
    tv_weight: float = 0.0
    tv_power: int = 1
    tv_reduction: TVReduction = "sum"
    content_reduction: Reduction = "mean"
    content_factor: float = 1.0
    style_reduction: Reduction = "mean"
    style_factor: float = 1.0
    channel_power: int = 0
    gram_divisor: GramDivisor = "hw"
    arch: str = "vgg19"
    preprocessing: Preprocessing = "imagenet"
    pooling: Pooling = "max"
    rescale: bool = False
    init: InitName = "content"
    optimizer: OptimizerName = "lbfgs"
    learning_rate: float | None = None
    history: int = 10
    steps: int = 500
    notes: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for name in ("content_layers", "style_layers"):
            object.__setattr__(self, name, layer_weights(getattr(self, name)))  # the class is frozen
        layer_names(self.arch)  # checks it
        for name, hint in get_type_hints(Preset).items():
            value = getattr(self, name)
            if get_origin(hint) is Literal and value not in get_args(hint):
                raise SettingError(f"{name} {value!r:.60} is unknown; use one of {', '.join(get_args(hint))}.")
            if hint is int:
                whole_number(name, value, least=0 if name == "channel_power" else 1)
            elif hint is float:
                _check_weight(name.replace("_", " "), value)
        if self.learning_rate is not None:
            finite_number("learning rate", self.learning_rate, above_zero=True)

    def __hash__(self) -> int:
        return hash((self.name, self.source))  # the layers are dictionaries, which have no hash

    def check_weights(self, content: bool = True, style: bool = True) -> None:
        """Check that a term of the loss has a weight.

        Args:
            content: Whether there is a content, so that its term counts.
            style: Whether there is a style.

        Raises:
            SettingError: All weights are 0.
        """
        weights = [self.tv_weight]
        weights += [self.content_weight * weight for weight in self.content_layers.values() if content]
        weights += [self.style_weight * weight for weight in self.style_layers.values() if style]
        has_weight = any(weight.any() if isinstance(weight, Tensor) else weight for weight in weights)
        if (content or style) and not has_weight:
            raise SettingError("the weights are all 0, so there is nothing to minimise; give a weight above 0.")

    def replace(self, **changes: Any) -> Preset:
        """Return the preset with some fields replaced; None leaves a field as it is.

        Raises:
            SettingError: There is no such field.
        """
        unknown = sorted(set(changes) - {f.name for f in dataclasses.fields(self)})
        if unknown:
            raise SettingError(f"a preset has no field {unknown[0]!r}.")
        return dataclasses.replace(self, **{k: v for k, v in changes.items() if v is not None})


def layer_weights(layers: Layers) -> dict[str, float]:
    """Return the weight of each layer.

    Args:
        layers: Names with their weights; or one name, or several, which then weigh the same and 1 together.

    Raises:
        SettingError: A name is not a text, or a weight is not a number >= 0.
    """
    names = list(layers) if isinstance(layers, Iterable) and not isinstance(layers, str) else [layers]
    if not all(isinstance(name, str) for name in names):
        raise SettingError(f"layers are names such as 'relu4_2', alone or with weights, not {shown(layers)}.")
    weights = dict(layers) if isinstance(layers, Mapping) else dict.fromkeys(names, 1 / max(1, len(names)))
    for name, weight in weights.items():
        _check_weight(f"the weight of {name}", weight)
    return weights


def _check_weight(name: str, weight: float | Tensor) -> None:
    for number in weight.flatten().tolist() if isinstance(weight, Tensor) else [weight]:
        finite_number(name, number)


COURSE = Preset(
    "course",
    "this course: each loss is divided by its target's own sum of squares, so that one weight means the same for "
    "every extractor, layer and picture size",
    content_layers=_each(("relu4_2",)),
    style_layers=_each(RELU_1, 0.2),
    content_weight=1e2,
    style_weight=1e4,
    tv_weight=1e3,
    tv_power=2,
    tv_reduction="mean",
    content_reduction="relative",
    style_reduction="relative",
    pooling="avg",
    steps=300,
)

PRESETS: dict[str, Preset] = {
    p.name: p
    for p in (
        COURSE,
        COURSE.replace(
            name="course_network",
            source="``course`` for training a network (found by trying: with relu4_2, or with a smaller weight, a "
            "network paints texture and loses the photo)",
            content_layers=_each(("relu3_3",)),
            content_weight=1.2e3,
            optimizer="adam",
        ),
        Preset(
            "gatys2016",
            "Gatys, Ecker, Bethge: Image Style Transfer Using Convolutional Neural Networks (CVPR 2016), eqs. 1 to 7, "
            "and arXiv:1508.06576",
            content_layers=_each(("relu4_2",)),
            style_layers=_each(RELU_1, 0.2),
            content_weight=1.0,
            style_weight=1e3,
            content_reduction="sum",
            content_factor=0.5,
            style_factor=0.25,  # 1/(4 N^2 M^2) sum (G - A)^2 is a quarter of the mean over N^2 of Grams over M
            preprocessing="caffe255",
            pooling="avg",
            init="noise",
            notes="alpha/beta = 1e-3 as in figure 3, B; their weights are scaled to mean activation 1. Where the two "
            "pictures differ in size, each Gram matrix is divided by its own M.",
        ),
        Preset(
            "gatys_pytorch",
            "leongatys/PytorchNeuralStyleTransfer, NeuralStyleTransfer.ipynb",
            content_layers=_each(("relu4_2",)),
            style_layers=_each(RELU_1, 1e3),
            content_weight=1.0,
            style_weight=1.0,
            channel_power=2,  # its weights are 1e3 / n^2 for n = 64, 128, 256, 512, 512
            preprocessing="caffe255",
            history=100,
            notes="weights scaled to mean activation 1; starts from the content; brings both pictures to a short side "
            "of 512.",
        ),
        Preset(
            "pytorch_tutorial",
            "pytorch.org, Neural Transfer Using PyTorch (A. Jacq)",
            content_layers=_each(("conv2_2",)),
            style_layers=_each(("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")),
            content_weight=1.0,
            style_weight=1e6,
            gram_divisor="chw",
            history=100,
            steps=300,
            notes="conv_1 to conv_5 are the first five convolutions, before their ReLUs; conv_4 is conv2_2. "
            "Both pictures have the same size there.",
        ),
        Preset(
            "gordicaleksa",
            "gordicaleksa/pytorch-neural-style-transfer",
            content_layers=_each(("relu4_2",)),
            style_layers=_each(RELU_1, 0.2),
            content_weight=1e5,
            style_weight=3e4,
            tv_weight=1.0,
            style_reduction="sum",
            gram_divisor="chw",
            preprocessing="imagenet255",
            history=100,
            steps=1000,
            notes="its content layer is called conv4_2 and is relu4_2: the ReLU after it works in place. L-BFGS has a "
            "strong Wolfe line search there, and the guard here; both pictures are brought to the same height.",
        ),
        Preset(
            "neural_style_pt",
            "ProGamerGov/neural-style-pt",
            content_layers=_each(("relu4_2",)),
            style_layers=_each(RELU_1),
            content_weight=5.0,
            style_weight=1e2,
            tv_weight=1e-3,
            gram_divisor="chw",
            preprocessing="caffe255",
            init="mean",
            history=100,
            steps=1000,
            notes="as of December 2020, when it began to multiply pictures by 255 (before, by 256). Its random start "
            "is the mean color, plus noise of 0.001 on that scale. Its weight files expect BGR: channel_order='bgr'.",
        ),
        Preset(
            "pytorch_examples",
            "pytorch/examples, fast_neural_style: what trains a network there, and in report 000 (docs/sources.md)",
            content_layers=_each(("relu2_2",)),
            style_layers=_each(("relu1_2", "relu2_2", "relu3_3", "relu4_3")),
            content_weight=1e5,
            style_weight=1e10,
            gram_divisor="chw",
            arch="vgg16",
            optimizer="adam",
            notes="Report 000 writes a squared Frobenius norm; its code uses MSELoss, C^2 times smaller.",
        ),
    )
}


def get_preset(preset: str | Preset) -> Preset:
    """Return a preset by name; a ``Preset`` is returned as it is.

    Raises:
        SettingError: The name is unknown; the message suggests the nearest one.
    """
    if isinstance(preset, Preset):
        return preset
    if not isinstance(preset, str) or preset not in PRESETS:
        raise SettingError(
            f"preset {preset!r:.60} is unknown; {did_you_mean(preset, PRESETS)}There are {', '.join(PRESETS)}."
        )
    return PRESETS[preset]
