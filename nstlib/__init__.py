"""nstlib: neural style transfer in small pieces. Images, VGG features, losses, presets, synthesis, networks.

>>> from nstlib import load, save, transfer
>>> result = transfer(load("photo.jpg", 384), load("painting.jpg"))
>>> save(result.image, "out.png")

What is named here is the public interface, with the public names of the modules that it comes from, of ``nstlib.data``
(COCO, the course's pictures) and of ``nstlib.feedforward.export`` (ONNX). docs/architecture.md shows how they fit.
"""

from . import environment  # isort: skip  # noqa: F401  before PyTorch is loaded
from .architecture import layer_names
from .classification import classify
from .errors import (
    CocoError,
    ExportError,
    FileError,
    GalleryError,
    ImageError,
    LayerError,
    NstError,
    SettingError,
    TrainingError,
    WeightsError,
)
from .feedforward.config import TrainingConfig
from .feedforward.models import load_model, model_names, style_weights, styles_of
from .feedforward.training import train
from .feedforward.transformer import TransformerNet, stylize
from .images import as_image, from_pil, load, resize, save, side_by_side, to_pil
from .losses import content_loss, gram_matrix, style_loss, total_variation
from .objective import Objective
from .optimize import synthesize
from .presets import PRESETS, Preset, get_preset
from .pretrained import default_weights
from .records import Record, Result
from .synthesis import paint, reconstruct, texture, transfer
from .version import __version__
from .vgg import VGGFeatures

__all__ = [
    "PRESETS",
    "CocoError",
    "ExportError",
    "FileError",
    "GalleryError",
    "ImageError",
    "LayerError",
    "NstError",
    "Objective",
    "Preset",
    "Record",
    "Result",
    "SettingError",
    "TrainingConfig",
    "TrainingError",
    "TransformerNet",
    "VGGFeatures",
    "WeightsError",
    "__version__",
    "classify",
    "content_loss",
    "default_weights",
    "as_image",
    "from_pil",
    "get_preset",
    "gram_matrix",
    "layer_names",
    "load",
    "load_model",
    "model_names",
    "paint",
    "reconstruct",
    "resize",
    "save",
    "side_by_side",
    "style_loss",
    "style_weights",
    "styles_of",
    "stylize",
    "synthesize",
    "texture",
    "to_pil",
    "total_variation",
    "train",
    "transfer",
]
