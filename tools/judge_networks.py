"""Judge the networks of the package on held-out photos, beside Gatys' own method, and write their cards and sheets.

    python tools/judge_networks.py NAME ... --photos HELD_OUT [--styles DIR ...]

For every style of a network and every photo: content and style loss of what the network paints, and of what 200
evaluations of L-BFGS reach from the same photo under the same loss (preset ``course_network``, the compact
extractor, float32, style at the long side that the network was trained with). Writes ``NAME.md`` beside the network
and ``docs/images/networks/NAME.jpg``; the sheet shows photos of scikit-image.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from nstlib import Objective, TransformerNet, VGGFeatures, get_preset, images, load, paint
from nstlib.data import gallery
from nstlib.feedforward.models import load_model, styles_of
from nstlib.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent
NETWORKS, SHEETS = ROOT / "nstlib" / "weights" / "networks", ROOT / "docs" / "images" / "networks"
SHOWN = ("chelsea", "astronaut", "coffee", "rocket")


def find_style(name: str, folders: list[Path]) -> Path:
    found = [p for folder in folders for p in sorted(folder.glob(f"{name}.*"))]
    if not found:
        raise SystemExit(f"the style {name} is in none of {', '.join(map(str, folders))}")
    return found[0]


def checkerboard(image: Tensor) -> float:
    """Mean amplitude of the finest checkerboard, in grey levels of 255: what transposed convolution leaves behind."""
    h, w = (s // 8 * 8 for s in image.shape[2:])
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    signs = 1.0 - 2.0 * ((x + y) % 2)
    tiles = torch.nn.functional.avg_pool2d(image[:, :, :h, :w] * signs, 8)
    return 255 * tiles.abs().mean().item()


@torch.no_grad()
def losses(objective: Objective, image: Tensor) -> tuple[float, float]:
    content, style, _ = objective.weighted_terms(objective.terms(image))[:, 0].tolist()
    return content, style


def judge(net: TransformerNet, row: int, style: Tensor, photos: list[Path], size: int, steps: int) -> dict[str, float]:
    """Means over the photos, at one size: losses of the network and of Gatys' method, and checkerboards."""
    preset = get_preset("course_network")
    exact = VGGFeatures(weights="compact", pooling="avg", precision="float32")
    quick = VGGFeatures(weights="compact", pooling="avg")
    fast, rows = net.for_inference(), []
    for path in photos:
        photo = load(path, size)
        goal = Objective(preset, exact, photo, style)
        with torch.no_grad():
            painted = fast(photo, row)
        found = dict(zip(("content", "style"), losses(goal, painted)))
        found["photo style"] = losses(goal, photo)[1]
        found["checkerboard"] = checkerboard(painted)
        if steps:
            other = paint(photo, style, tuple(photo.shape), preset, features=quick, optimizer="lbfgs", steps=steps)
            found |= dict(zip(("gatys content", "gatys style"), losses(goal, other.image)))
            found["gatys checkerboard"] = checkerboard(other.image)
        rows.append(found)
    return {k: statistics.fmean(r[k] for r in rows) for k in rows[0]}


def sheet(net: TransformerNet, styles: dict[str, Tensor], steps: int) -> Image.Image:
    """Photos of scikit-image as the network paints them; with one style also what Gatys' method makes of them."""
    fast, lines = net.for_inference(), []
    names = list(styles)
    if len(names) == 1:
        quick, preset = VGGFeatures(weights="compact", pooling="avg"), get_preset("course_network")
        for name in SHOWN:
            photo = gallery.content(name, 448)
            with torch.no_grad():
                painted = fast(photo)
            options = {"features": quick, "optimizer": "lbfgs", "steps": steps}
            other = paint(photo, styles[names[0]], tuple(photo.shape), preset, **options).image
            lines.append(images.side_by_side([photo, painted, other], ["photo", "network", f"Gatys, {steps} steps"]))
    else:
        photo = gallery.content("chelsea", 448)
        with torch.no_grad():
            painted = [photo, *(fast(photo, i) for i in range(len(names)))]
        for i in range(0, len(painted), 4):
            lines.append(images.side_by_side(painted[i : i + 4], ["photo", *names][i : i + 4], height=240))
    width = max(line.width for line in lines)
    whole = Image.new("RGB", (width, sum(line.height for line in lines)), "white")
    y = 0
    for line in lines:
        whole.paste(line, (0, y))
        y += line.height
    return whole


def card_text(
    name: str, net: TransformerNet, rows: dict[str, dict[str, float]], count: int, size: int, steps: int
) -> str:
    card, config = net.card, net.card["config"]
    file = NETWORKS / f"{name}.safetensors"
    styles = ", ".join(styles_of(net))
    trainings = [*card.get("before", []), card]
    stages = "\n".join(
        f"{i}. {t['steps']} steps, {t['pictures']} crops of {t['size']} pixels, {t['styles']} "
        f"style{'s' if t['styles'] > 1 else ''}, {t['seconds'] / 60:.0f} minutes"
        for i, t in enumerate(trainings, start=1)
    )
    numbers = sum(p.numel() for p in net.parameters()) / 1e6
    table = "\n".join(
        f"| {style} | {r['content']:.0f} | {r['style']:.0f} | {r['gatys content']:.0f} | {r['gatys style']:.0f} "
        f"| {r['photo style']:.0f} | {r['checkerboard']:.1f} / {r['gatys checkerboard']:.1f} |"
        for style, r in rows.items()
    )
    return f"""# Model card: {name}

`{file.name}`, {file.stat().st_size / 1e6:.2f} MB, half precision. `TransformerNet` with norm
"{net.config["norm"]}", width {net.config["width"]}, {net.config["blocks"]} residual blocks: {numbers:.2f} million
numbers. Styles: {styles}.

![What the network paints](../../../docs/images/networks/{name}.jpg)

## How it was made

{stages}

The last one: one CPU core, bfloat16, Adam {config["learning_rate"]:g} with a cosine schedule, batch
{config["batch"]}, style pictures at {config["style_size"]} pixels, loss preset `{config["preset"]}` with content
weight {config["content_weight"] or get_preset(config["preset"]).content_weight:g}. Loss network: {card["extractor"]}.
Mean losses of the last hundred steps: content {card["losses"]["content"]:.0f}, style {card["losses"]["style"]:.0f},
variation {card["losses"]["tv"]:.0f}. Program: `tools/train_networks.py`.

Photos: BSDS500 (Berkeley), 490 of them, with random crops and mirroring; the ten others are held out. Styles: pictures
of this course (`data/styles`) and paintings in the public domain. The weights are ours, under the project's licence.

## How good it is

Means over {count} held-out photos at a long side of {size}, under the preset `course_network` in float32. "Gatys" is
{steps} evaluations of L-BFGS from the same photo under the same loss, which a network cannot beat on average: it has
one pass. "Photo" is the style loss of the photo itself. Checkerboard: amplitude of the finest one, in grey levels.

| style | content | style | Gatys: content | Gatys: style | photo: style | checkerboard: network / Gatys |
|---|---|---|---|---|---|---|
{table}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--styles", type=Path, nargs="*", default=[])
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()
    photos = sorted(p for p in args.photos.iterdir() if p.suffix == ".jpg")[: args.count]
    folders = [*args.styles, gallery.styles_folder()]
    for name in args.names:
        net = load_model(name)
        size = net.card["config"]["style_size"]
        styles = {s: load(find_style(s, folders), size) for s in styles_of(net)}
        rows = {}
        for i, (style, picture) in enumerate(styles.items()):
            rows[style] = judge(net, i, picture, photos, args.size, args.steps)
            print(name, style, {k: round(v, 1) for k, v in rows[style].items()}, flush=True)
        images.save(sheet(net, styles, args.steps), SHEETS / f"{name}.jpg", quality=85)
        text = card_text(name, net, rows, count=len(photos), size=args.size, steps=args.steps)
        write_atomically(NETWORKS / f"{name}.md", text.encode())


if __name__ == "__main__":
    main()
