"""nstlib: neural style transfer in small pieces. Images, VGG features, losses, presets, synthesis.

>>> from nstlib import load, save, transfer
>>> result = transfer(load("photo.jpg", 384), load("painting.jpg"))
>>> save(result.image, "out.png")
"""

__version__ = "0.1.0"

from .errors import ImageError, LayerError, NstError, SettingError, WeightsError
from .images import load, resize, save, side_by_side
from .losses import content_loss, gram_matrix, style_loss, total_variation
from .models import load_model, model_names
from .objective import Objective
from .presets import PRESETS, Preset, get_preset
from .synthesis import Record, Result, paint, reconstruct, synthesize, texture, transfer
from .training_config import TrainingConfig
from .transformer import TransformerNet, stylize
from .vgg import VGGFeatures, classify, default_weights, layer_names

__all__ = [
    "PRESETS",
    "ImageError",
    "LayerError",
    "NstError",
    "Objective",
    "Preset",
    "Record",
    "Result",
    "SettingError",
    "TrainingConfig",
    "TransformerNet",
    "VGGFeatures",
    "WeightsError",
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
    "transfer",
]
