"""nstlib: neural style transfer in small pieces. Images, VGG features, losses, presets, synthesis, networks.

>>> from nstlib import load, save, transfer
>>> result = transfer(load("photo.jpg", 384), load("painting.jpg"))
>>> save(result.image, "out.png")

What is named here is the public interface; docs/architecture.md shows how the modules fit together.
"""

from .architecture import layer_names
from .classify import classify
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
from .feedforward.models import load_model, model_names
from .feedforward.training import train
from .feedforward.transformer import TransformerNet, stylize
from .images import load, resize, save, side_by_side
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
    "stylize",
    "synthesize",
    "texture",
    "total_variation",
    "train",
    "transfer",
]
