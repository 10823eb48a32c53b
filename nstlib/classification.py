"""Classification with a whole VGG: which classes does the network predict for a picture?"""

from __future__ import annotations

import json

import torch
import torch.nn.functional as F
from torch import Tensor

from .errors import WeightsError, whole_number
from .images import Picture, as_image
from .pretrained import COMPACT, IMAGENET, compact_state, default_weights, download_imagenet, imagenet_entry
from .vgg import VGGFeatures


@torch.no_grad()
def classify(image: Picture, weights: str | None = None, top: int = 5) -> list[tuple[str, float]]:
    """Return the most probable classes of a picture, each with its probability.

    Args:
        image: (1, 3, H, W), RGB in [0, 1], or another picture that ``images.as_image`` takes.
        weights: "compact" knows the 202 classes that it was trained on, at 64 x 64; "imagenet" is torchvision's
            whole VGG-19 with its thousand classes, at 224 x 224. None takes ``default_weights()``.
        top: Number of classes.

    Raises:
        WeightsError: The weights have no classifier, or cannot be downloaded.
        ImageError: The picture cannot be used.
        SettingError: There are not so many classes.
    """
    image = as_image(image)[:1]
    weights = default_weights() if weights is None else weights
    if weights == COMPACT:
        scores, names = _compact_scores(image)
    elif weights == IMAGENET:
        scores, names = _imagenet_scores(image)
    else:
        raise WeightsError(f"only 'compact' and 'imagenet' can classify, not {weights!r}.")
    whole_number("top", top, most=len(names))
    probabilities, indices = scores.softmax(1)[0].topk(top)
    return [(names[i], p) for i, p in zip(indices.tolist(), probabilities.tolist())]


def _compact_scores(image: Tensor) -> tuple[Tensor, list[str]]:
    state, metadata = compact_state()
    small = F.interpolate(image, (64, 64), mode="bicubic", antialias=True).clamp(0, 1)
    deepest = VGGFeatures(weights=COMPACT)(small, ["relu5_4"])["relu5_4"].float()  # (1, C, 4, 4)
    pooled = deepest.mean((2, 3))  # (1, C)
    scores = pooled @ state["head.weight"].float().T + state["head.bias"].float()  # (1, classes)
    return scores, json.loads(metadata["classes"])


def _imagenet_scores(image: Tensor) -> tuple[Tensor, list[str]]:
    from torchvision.models import vgg19

    entry = imagenet_entry("vgg19")
    network = vgg19()
    network.load_state_dict(download_imagenet("vgg19"))
    return network.eval()(entry.transforms()(image)), entry.meta["categories"]
