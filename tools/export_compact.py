"""Turn a checkpoint of train_compact.py into the safetensors file that the package carries.

    python tools/export_compact.py out/compact/classes.pt --photos PHOTOS --out nstlib/weights/compact_vgg19.safetensors

Batch normalisation is folded into the convolutions, every filter is rescaled so that its mean
activation over photos is 1 (Gatys 2016, section 2), and the numbers are stored in half precision.
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

from nstlib.files import write_atomically
from nstlib import layer_names


def fold(student: Student) -> dict[str, tuple[Tensor, Tensor]]:
    """Weight and bias of each convolution with its batch normalisation inside."""
    out = {}
    for name in NAMES:
        conv, norm = student.convs[name], student.norms[name]
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        weight = conv.weight * gain.view(-1, 1, 1, 1)
        out[name] = (weight.detach(), ((conv.bias - norm.running_mean) * gain + norm.bias).detach())
    return out


@torch.no_grad()
def normalise(layers: dict[str, tuple[Tensor, Tensor]], photos: Tensor) -> Tensor:
    """Rescale every filter in place to a mean activation of 1 over the photos; returns the last layer's factors."""
    x = (photos - MEAN) / STD
    before = torch.ones(3)
    for name in NAMES:
        weight, bias = layers[name]
        if name.endswith("_1") and name != "conv1_1":
            x = F.max_pool2d(x, 2)
        weight = weight / before.view(1, -1, 1, 1)  # undo the scale of the layer below
        mean = F.relu(F.conv2d(x, weight, bias, padding=1)).mean((0, 2, 3))
        # a filter that hardly ever answers would be blown up into noise
        factor = 1 / mean.clamp_min(0.02 * mean.mean())
        layers[name] = (weight * factor.view(-1, 1, 1, 1), bias * factor)
        x, before = F.relu(F.conv2d(x, *layers[name], padding=1)), factor
    return before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--names", type=Path, help="class names: lines of folder, tab, name")
    parser.add_argument("--out", type=Path, default=Path("nstlib/weights/compact_vgg19.safetensors"))
    parser.add_argument("--precision", choices=("float16", "float32"), default="float16")
    args = parser.parse_args()
    checkpoint = torch.load(args.checkpoint, weights_only=True)
    classes = checkpoint.get("classes", [])
    student = Student(classes=len(classes))
    student.load_state_dict(checkpoint["student"])
    layers = fold(student.eval())
    photos = Photos(args.photos).crops(96, 128, np.random.default_rng(0))
    last = normalise(layers, photos)
    index = {n: i for i, n in enumerate(layer_names("vgg19"))}
    state: dict[str, Tensor] = {}
    for name, (weight, bias) in layers.items():
        state[f"features.{index[name]}.weight"], state[f"features.{index[name]}.bias"] = weight, bias
    if classes:
        state["head.weight"] = student.head.weight.detach() / last
        state["head.bias"] = student.head.bias.detach()
    dtype = getattr(torch, args.precision)
    state = {k: v.to(dtype).contiguous() for k, v in state.items()}
    if not all(torch.isfinite(v).all() for v in state.values()):
        raise SystemExit("some weights do not fit into half precision; use --precision float32")
    names = dict(line.split("\t", 1) for line in args.names.read_text().splitlines()) if args.names else {}
    metadata = {"widths": json.dumps(WIDTHS), "classes": json.dumps([names.get(c, c) for c in classes])}
    data = save(state, metadata={**metadata, "format": "pt"})
    write_atomically(args.out, data)
    print(f"{args.out}: {len(data) / 1e6:.2f} MB, {sum(v.numel() for v in state.values()) / 1e6:.2f} million numbers")


if __name__ == "__main__":
    main()
