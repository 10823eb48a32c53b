"""Train the networks that come with the package, one stage at a time, and put them into the package.

    python tools/train_networks.py many --photos PHOTOS --paintings PAINTINGS --work WORK
    python tools/train_networks.py slim NAME ...            (each starts from the network of all styles)
    python tools/train_networks.py full NAME ...
    python tools/train_networks.py publish NAME=FILE ...

PHOTOS is a folder of photos. PAINTINGS is a folder with the five paintings of ``PAINTINGS`` below, as .jpg. NAME is a
style, such as waves. FILE is the network that a training wrote, such as WORK/waves_slim_2/network.safetensors. With
--teacher FILE, the loss uses the real VGG-19, whose first layers FILE contains, for the style at relu1_1 to relu3_1,
and the compact extractor for all else. Each stage can be interrupted; --resume continues it.

The networks in the package were trained by an earlier version of this program; their cards hold those settings. The
numbers of steps below are first guesses: no training with them has ended yet.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nstlib import TransformerNet, VGGFeatures
from nstlib.data import gallery
from nstlib.feedforward.config import TrainingConfig
from nstlib.feedforward.training import train

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = ROOT / "nstlib" / "weights" / "networks"
OWN = ("autumn", "cubist", "golden", "hatching", "nocturne", "pointillist", "stained_glass", "waves")
PAINTINGS = ("cafe_terrace", "great_wave", "shipwreck", "starry_night", "the_scream")
ALL_STYLES = (*OWN, *PAINTINGS)

COMMON: dict[str, Any] = {
    "upsample": "bilinear",
    "noise": "bottleneck",
    "sizes": [384, 768],
    "size": 192,
    "batch": 2,
    "content_weight": 1000.0,
    "grid_weight": 1000.0,
    "learning_rate": 2e-3,
    "compile": True,
    "checkpoint_every": 250,
    "picture_every": 500,
}
STAGES: dict[str, tuple[dict[str, Any], ...]] = {
    "many": ({"norm": "conditional", "width": 16, "steps": 40000},),
    "slim": ({"width": 16, "steps": 1500, "learning_rate": 1e-3},),  # starts from the network of all styles
    "full": ({"width": 32, "steps": 6000},),
}

LAYERS_OF_TEACHER = ("relu1_1", "relu2_1", "relu3_1")
"""Layers of the loss that the real VGG-19 computes with --teacher."""


class CombinedFeatures(nn.Module):
    """Two extractors as one: the first for the layers in ``LAYERS_OF_TEACHER``, the second for all others."""

    def __init__(self, first: VGGFeatures, second: VGGFeatures) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.weights_name = "VGG-19 up to relu3_1, compact above"

    def forward(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Return the activations of ``layers``; see ``VGGFeatures.forward``."""
        layers = list(layers)
        low = [name for name in layers if name in LAYERS_OF_TEACHER]
        high = [name for name in layers if name not in low]
        found = {**(self.first(images, low) if low else {}), **(self.second(images, high) if high else {})}
        return {name: found[name] for name in layers}

    def iter_features(self, images: Tensor, layers: Iterable[str]) -> Iterable[tuple[str, Tensor]]:
        """Return (name, activation) pairs; see ``VGGFeatures.iter_features``."""
        return self(images, layers).items()


def style_files(styles: Iterable[str], paintings: str) -> tuple[str, ...]:
    """Return the paths of the style pictures."""
    folder = gallery.styles_folder()
    files = []
    for style in styles:
        file = Path(paintings, f"{style}.jpg") if style in PAINTINGS else next(folder.glob(f"{style}.*"))
        files.append(str(file))
    return tuple(files)


def stage_folder(work: Path, kind: str, name: str, number: int) -> Path:
    """Return the output folder of a stage, counted from 1."""
    return work / (f"many_{number}" if kind == "many" else f"{name}_{kind}_{number}")


def write_start(args: argparse.Namespace, name: str) -> Path:
    """Write one style of the network of all styles as a network of its own, for a slim one to start from."""
    work = Path(args.work)
    many = TransformerNet.load(
        args.start or stage_folder(work, "many", "", len(STAGES["many"])) / "network.safetensors"
    )
    single = many.single(ALL_STYLES.index(name))
    single.card = many.card
    return single.save(work / f"{name}_start.safetensors")


def run(args: argparse.Namespace, kind: str, name: str) -> TransformerNet:
    """Run all stages of one network that are not finished yet; return the network."""
    start = str(write_start(args, name)) if kind == "slim" else ""
    styles = ALL_STYLES if kind == "many" else (name,)
    net = None
    for number, stage in enumerate(STAGES[kind], start=1):
        output = stage_folder(Path(args.work), kind, name, number)
        settings = {
            **COMMON,
            **stage,
            "photos": args.photos,
            "styles": style_files(styles, args.paintings),
            "start": start,
            "output": str(output),
            "samples": tuple(args.samples),
            "seed": number - 1,
            **json.loads(args.change),
        }
        if not (output / "network.safetensors").exists():
            features = None
            if args.teacher:
                first, second = (  # with bfloat16 from conv1_2 on, to save time
                    VGGFeatures(weights=weights, pooling="avg", float32_until="conv1_1")
                    for weights in (args.teacher, "compact")
                )
                features = CombinedFeatures(first, second)
            resume = args.resume and (output / "checkpoint.pt").exists()
            net = train(TrainingConfig.from_dict(settings), resume=resume, progress=True, features=features)
        start = str(output / "network.safetensors")
    return net or TransformerNet.load(start)


def publish(name: str, source: str) -> None:
    """Write a trained network into the package, in half precision, with the card that the training wrote."""
    net = TransformerNet.load(source)
    net.card.update(size=net.card["config"]["size"], styles=len(net.card["config"]["styles"]))
    path = net.save(NETWORKS / f"{name}.safetensors", half=True)
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {net.card['config']['styles']}, {net.card['losses']}")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("many", "slim", "full", "publish"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="styles; for publish, NAME=FILE")
    parser.add_argument("--photos", default="photos", help="folder of photos to train on")
    parser.add_argument("--paintings", default="paintings", help="folder of the five paintings")
    parser.add_argument("--samples", nargs="*", default=[], help="photos for the sheets; they are not trained on")
    parser.add_argument("--work", default="out/networks", help="folder of all stages")
    parser.add_argument("--teacher", default="", help="first layers of the real VGG-19, with torchvision's keys")
    parser.add_argument("--start", default="", help="network of all styles that slim networks start from")
    parser.add_argument("--change", default="{}", help="other settings of TrainingConfig, as JSON")
    parser.add_argument("--resume", action="store_true", help="continue from checkpoints")
    args = parser.parse_args()
    if args.kind == "publish":
        for entry in args.names:
            name, _, file = entry.partition("=")
            if not file:
                parser.error(f"publish needs NAME=FILE, not {entry!r}")
            publish(name, file)
    elif args.kind == "many":
        run(args, "many", "many")
    else:
        if not args.names:
            parser.error(f"{args.kind} needs the name of at least one style")
        for name in args.names:
            run(args, args.kind, name)


if __name__ == "__main__":
    main()
