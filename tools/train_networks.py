"""Train the networks that come with the package, one stage at a time, and put them there.

    python tools/train_networks.py many   --photos PHOTOS --paintings PAINTINGS --work WORK
    python tools/train_networks.py slim waves ...       (from the network of all styles)
    python tools/train_networks.py full waves ...
    python tools/train_networks.py publish many waves ...

PHOTOS is a folder of photos, PAINTINGS one with the five paintings of ``PAINTINGS`` as .jpg. With --teacher FILE
the layers that FILE holds of the real VGG-19 judge, and the compact extractor those above. Each stage can be
interrupted; --resume goes on. On one core: many about an hour and a quarter, a slim one 6 minutes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor, nn

from nstlib import TransformerNet, VGGFeatures
from nstlib.data import gallery
from nstlib.feedforward.training import train
from nstlib.feedforward.config import TrainingConfig

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = ROOT / "nstlib" / "weights" / "networks"
OWN = ("autumn", "cubist", "golden", "hatching", "nocturne", "pointillist", "stained_glass", "waves")
PAINTINGS = ("cafe_terrace", "great_wave", "shipwreck", "starry_night", "the_scream")

COMMON = {"style_size": 448, "batch": 4, "compile": True, "checkpoint_every": 250, "picture_every": 500}
STAGES = {
    # small crops first: five times as many steps an hour, and the strokes are there all the same
    "many": (
        {"norm": "conditional", "width": 16, "size": 144, "crop": 0.35, "steps": 9000, "identity_steps": 100},
        {"norm": "conditional", "width": 16, "size": 192, "crop": 0.45, "steps": 8000, "content_weight": 900.0},
        {"norm": "conditional", "width": 16, "size": 192, "crop": 0.45, "steps": 4500, "content_weight": 900.0},
    ),
    "slim": (
        {"width": 16, "size": 176, "crop": 0.45, "steps": 500, "content_weight": 900.0, "learning_rate": 7e-4},
        {"width": 16, "size": 208, "crop": 0.45, "steps": 200, "content_weight": 900.0, "learning_rate": 3e-4},
    ),
    "full": (
        {"width": 32, "size": 144, "crop": 0.35, "steps": 3000, "identity_steps": 60, "content_weight": 900.0},
        {"width": 32, "size": 208, "crop": 0.45, "steps": 700, "content_weight": 900.0, "learning_rate": 5e-4},
    ),
}


class Both(nn.Module):
    """Two extractors as one: the first for the layers that its weights reach, the second for the others."""

    def __init__(self, first: VGGFeatures, second: VGGFeatures) -> None:
        super().__init__()
        self.first, self.second = first, second
        self.weights_name = "VGG-19 up to conv3_4, compact above"

    def forward(self, images: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        layers = list(layers)
        low = [n for n in layers if n in self.first.available]
        high = [n for n in layers if n not in low]
        found = {**(self.first(images, low) if low else {}), **(self.second(images, high) if high else {})}
        return {n: found[n] for n in layers}

    def iter_features(self, images: Tensor, layers: Iterable[str]) -> Iterable[tuple[str, Tensor]]:
        return self(images, layers).items()

    def channels(self, layer: str) -> int:
        return (self.first if layer in self.first.available else self.second).channels(layer)


def pictures(styles: Iterable[str], paintings: str) -> tuple[str, ...]:
    """Where the style pictures lie."""
    folder = gallery.styles_folder()
    return tuple(str(Path(paintings, f"{s}.jpg") if s in PAINTINGS else next(folder.glob(f"{s}.*"))) for s in styles)


def run(args: argparse.Namespace, kind: str, name: str) -> TransformerNet:
    """All stages of one network that are not finished yet."""
    work, start = Path(args.work), ""
    if kind == "slim":
        many = TransformerNet.load(args.start or work / f"many_{len(STAGES['many'])}" / "network.safetensors")
        row = [*OWN, *PAINTINGS].index(name)
        one = many.single(row)
        one.card = many.card
        start = str(one.save(work / f"{name}_start.safetensors"))
    styles = (*OWN, *PAINTINGS) if kind == "many" else (name,)
    net = None
    for number, stage in enumerate(STAGES[kind], start=1):
        output = work / f"{name}_{kind}_{number}" if kind != "many" else work / f"many_{number}"
        last = number == len(STAGES[kind])
        both = None
        if args.teacher and last and kind != "many":
            both = Both(*(VGGFeatures(weights=w, pooling="avg") for w in (args.teacher, "compact")))
        config = TrainingConfig.from_dict(
            {
                **COMMON,
                **stage,
                "photos": args.photos,
                "styles": pictures(styles, args.paintings),
                "start": start,
                "output": str(output),
                "samples": tuple(args.samples),
                "seed": number - 1,
                **json.loads(args.change),
            }  # fmt: skip
        )
        if not (output / "network.safetensors").exists():
            net = train(
                config, resume=args.resume and (output / "checkpoint.pt").exists(), progress=True, features=both
            )
        start = str(output / "network.safetensors")
    return net or TransformerNet.load(start)


def publish(name: str, source: Path) -> None:
    """Half precision into the package, with the card that the training wrote."""
    net = TransformerNet.load(source)
    net.card.update(size=net.card["config"]["size"], styles=len(net.card["config"]["styles"]))
    path = net.save(NETWORKS / f"{name}.safetensors", half=True)
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {net.card['config']['styles']}, {net.card['losses']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("many", "slim", "full", "publish"))
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--photos", default="photos")
    parser.add_argument("--paintings", default="paintings")
    parser.add_argument("--samples", nargs="*", default=[], help="photos to show on the sheets, held out")
    parser.add_argument("--work", default="out/networks")
    parser.add_argument("--teacher", default="", help="first layers of the real VGG-19, torchvision's keys")
    parser.add_argument("--start", default="", help="the network of all styles that a slim one starts from")
    parser.add_argument("--change", default="{}", help="other settings, as JSON")
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    if args.kind == "publish":
        for entry in args.names:  # NAME=FILE
            publish(*entry.split("=", 1))
    for name in args.names or ["many"]:
        if args.kind != "publish":
            run(args, args.kind, name)


if __name__ == "__main__":
    main()
