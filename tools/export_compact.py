"""Turn a checkpoint of train_compact.py into the safetensors file of the package.

    python tools/export_compact.py out/compact/classes.pt --photos PHOTOS --out nstlib/weights/compact_vgg19.safetensors

Batch normalisation is folded into the convolutions, every filter is rescaled so that its mean activation over photos is
1 (Gatys et al. 2016, section 2), and the parameters are stored in half precision.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from compact_data import Photos
from safetensors.torch import save
from torch import Tensor
from train_compact import MEAN, NAMES, STD, WIDTHS, Student

from nstlib import layer_names
from nstlib.files import write_atomically

Layers = dict[str, tuple[Tensor, Tensor]]
"""Weight and bias of each convolution, by name."""


def fold(student: Student) -> Layers:
    """Return the convolutions with their batch normalisation folded in."""
    layers = {}
    for name in NAMES:
        conv, norm = student.convs[name], student.norms[name]
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        weight = conv.weight * gain.view(-1, 1, 1, 1)
        bias = (conv.bias - norm.running_mean) * gain + norm.bias
        layers[name] = (weight.detach(), bias.detach())
    return layers


@torch.no_grad()
def normalise(layers: Layers, photos: Tensor) -> Tensor:
    """Rescale every filter in place to a mean activation of 1 over the photos; return the factors of the last layer."""
    x = (photos - MEAN) / STD
    factor = torch.ones(3)
    for name in NAMES:
        weight, bias = layers[name]
        if name.endswith("_1") and name != "conv1_1":
            x = F.max_pool2d(x, 2)
        weight = weight / factor.view(1, -1, 1, 1)  # undo the scale of the layer before
        mean = F.relu(F.conv2d(x, weight, bias, padding=1)).mean((0, 2, 3))
        # the bound keeps filters that are almost never active from being amplified to noise
        factor = 1 / mean.clamp_min(0.02 * mean.mean())
        layers[name] = (weight * factor.view(-1, 1, 1, 1), bias * factor)
        x = F.relu(F.conv2d(x, *layers[name], padding=1))
    return factor


def export(checkpoint: Path, photos: list[Path], dtype: torch.dtype) -> tuple[dict[str, Tensor], list[str]]:
    """Return the state dict with torchvision's keys, and the names of the class folders."""
    stored = torch.load(checkpoint, weights_only=True)
    classes = stored.get("classes", [])
    student = Student(classes=len(classes))
    student.load_state_dict(stored["student"])
    layers = fold(student.eval())
    last_factor = normalise(layers, Photos(photos).crops(96, 128, np.random.default_rng(0)))
    index = {name: i for i, name in enumerate(layer_names("vgg19"))}
    state: dict[str, Tensor] = {}
    for name, (weight, bias) in layers.items():
        state[f"features.{index[name]}.weight"], state[f"features.{index[name]}.bias"] = weight, bias
    if classes:
        state["head.weight"] = student.head.weight.detach() / last_factor
        state["head.bias"] = student.head.bias.detach()
    return {key: value.to(dtype).contiguous() for key, value in state.items()}, classes


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="features.pt or classes.pt of train_compact.py")
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders or zip files of photos")
    parser.add_argument("--names", type=Path, help="class names, one per line: folder, tab, name")
    parser.add_argument("--out", type=Path, default=Path("nstlib/weights/compact_vgg19.safetensors"))
    parser.add_argument("--precision", choices=("float16", "float32"), default="float16")
    args = parser.parse_args()
    state, classes = export(args.checkpoint, args.photos, getattr(torch, args.precision))
    if not all(torch.isfinite(value).all() for value in state.values()):
        raise SystemExit("some weights exceed the range of half precision; use --precision float32")
    names = dict(line.split("\t", 1) for line in args.names.read_text().splitlines()) if args.names else {}
    metadata = {"widths": json.dumps(WIDTHS), "classes": json.dumps([names.get(c, c) for c in classes])}
    data = save(state, metadata={**metadata, "format": "pt"})
    write_atomically(args.out, data)
    parameters = sum(value.numel() for value in state.values())
    print(f"{args.out}: {len(data) / 1e6:.2f} MB, {parameters / 1e6:.2f} million parameters")


if __name__ == "__main__":
    main()
