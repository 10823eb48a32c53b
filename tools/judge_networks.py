"""Compare the networks of the package with Gatys' method on held-out photos; write their cards and sheets.

    python tools/judge_networks.py NAME ... --photos HELD_OUT [--styles DIR ...]

For every style of a network and every photo, the program computes content and style loss of the network's picture, and
of the picture that 200 evaluations of L-BFGS reach from the same photo on the same loss (preset ``course_network``,
compact extractor, float32, style pictures as large as in the training). It writes ``NAME.md`` beside the network, and
``docs/images/networks/NAME.jpg``, a sheet of photos from scikit-image.
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
SHEET_PHOTOS = ("chelsea", "astronaut", "coffee", "rocket")

CARD = """\
# Model card: {name}

`{file}`, {megabytes:.2f} MB, half precision. `TransformerNet` with norm "{norm}", width {width} and {blocks} residual
blocks: {parameters:.2f} million parameters. Styles: {styles}.

![Photos painted by the network](../../../docs/images/networks/{name}.jpg)

## How it was trained

{stages}

The last stage ran on one CPU core in bfloat16, with Adam, a learning rate of {learning_rate:g} with a cosine schedule,
and batches of {batch}. Style pictures had a long side of {style_size} pixels. The loss was that of the preset
`{preset}` with content weight {content_weight:g}; extractor: {extractor}. Mean losses of the last hundred steps:
content {content_loss:.0f}, style {style_loss:.0f}, total variation {tv_loss:.0f}. Program: `tools/train_networks.py`.

Photos: 490 photos of BSDS500 (Berkeley), randomly cropped and mirrored; its other ten photos are held out. Styles:
pictures of this course (`data/styles`) and paintings in the public domain. The weights are our own, under the project's
licence.

## How good it is

Means over {count} held-out photos with a long side of {size} pixels, for the loss of the preset `course_network` in
float32. "Gatys" is the result of {steps} evaluations of L-BFGS on the same loss, from the same photo. A network has
only one forward pass and is not expected to reach these values. "Photo" is the unchanged photo. "Checkerboard" is the
mean amplitude of the finest checkerboard pattern, in grey levels.

| style | content | style | Gatys: content | Gatys: style | photo: style | checkerboard: network / Gatys |
|---|---|---|---|---|---|---|
{table}
"""


def find_style(name: str, folders: list[Path]) -> Path:
    """Return the style picture with this name."""
    found = [path for folder in folders for path in sorted(folder.glob(f"{name}.*"))]
    if not found:
        raise SystemExit(f"the style {name} is in none of these folders: {', '.join(map(str, folders))}")
    return found[0]


def checkerboard(image: Tensor) -> float:
    """Return the mean amplitude of the finest checkerboard pattern, in grey levels of 255.

    Transposed convolutions produce such patterns.
    """
    h, w = (side // 8 * 8 for side in image.shape[2:])
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    signs = 1.0 - 2.0 * ((x + y) % 2)
    amplitudes = torch.nn.functional.avg_pool2d(image[:, :, :h, :w] * signs, 8)  # (1, 3, H/8, W/8)
    return 255 * amplitudes.abs().mean().item()


@torch.no_grad()
def losses(objective: Objective, image: Tensor) -> tuple[float, float]:
    """Return the weighted content and style loss of a picture (1, 3, H, W)."""
    content, style, _ = objective.weighted_terms(objective.terms(image))[:, 0].tolist()
    return content, style


def judge(
    net: TransformerNet, style_index: int, style: Tensor, photos: list[Path], size: int, steps: int
) -> dict[str, float]:
    """Return mean losses and checkerboards over the photos, for the network and, with ``steps``, for Gatys' method."""
    preset = get_preset("course_network")
    exact_features = VGGFeatures(weights="compact", pooling="avg", precision="float32")
    fast_features = VGGFeatures(weights="compact", pooling="avg")
    fast_net = net.for_inference()
    rows = []
    for path in photos:
        photo = load(path, size)
        objective = Objective(preset, exact_features, photo, style)
        with torch.no_grad():
            painted = fast_net(photo, style_index)
        row = dict(zip(("content", "style"), losses(objective, painted)))
        row["photo style"] = losses(objective, photo)[1]
        row["checkerboard"] = checkerboard(painted)
        if steps:
            gatys = _paint_by_gatys(photo, style, fast_features, steps)
            row |= dict(zip(("gatys content", "gatys style"), losses(objective, gatys)))
            row["gatys checkerboard"] = checkerboard(gatys)
        rows.append(row)
    return {key: statistics.fmean(row[key] for row in rows) for key in rows[0]}


def _paint_by_gatys(photo: Tensor, style: Tensor, features: VGGFeatures, steps: int) -> Tensor:
    preset, shape = get_preset("course_network"), tuple(photo.shape)
    return paint(photo, style, shape, preset, features=features, optimizer="lbfgs", steps=steps).image


def sheet(net: TransformerNet, styles: dict[str, Tensor], steps: int) -> Image.Image:
    """Return photos from scikit-image, painted by the network; with a single style, by Gatys' method as well."""
    fast_net, lines = net.for_inference(), []
    names = list(styles)
    if len(names) == 1:
        features = VGGFeatures(weights="compact", pooling="avg")
        for name in SHEET_PHOTOS:
            photo = gallery.content(name, 448)
            with torch.no_grad():
                painted = fast_net(photo)
            gatys = _paint_by_gatys(photo, styles[names[0]], features, steps)
            lines.append(images.side_by_side([photo, painted, gatys], ["photo", "network", f"Gatys, {steps} steps"]))
    else:
        photo = gallery.content("chelsea", 448)
        with torch.no_grad():
            pictures = [photo, *(fast_net(photo, i) for i in range(len(names)))]
        labels = ["photo", *names]
        for i in range(0, len(pictures), 4):
            lines.append(images.side_by_side(pictures[i : i + 4], labels[i : i + 4], height=240))
    return _stacked(lines)


def _stacked(lines: list[Image.Image]) -> Image.Image:
    """Return pictures one below the other."""
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
    """Return the model card of a network.

    ``rows`` has the values of ``judge`` by style, measured on ``count`` photos with a long side of ``size``.
    """
    card, config = net.card, net.card["config"]
    file = NETWORKS / f"{name}.safetensors"
    stages = []
    for number, stage in enumerate([*card.get("before", []), card], start=1):
        plural = "s" if stage["styles"] > 1 else ""
        stages.append(
            f"{number}. {stage['steps']} steps, {stage['pictures']} crops of {stage['size']} pixels, "
            f"{stage['styles']} style{plural}, {stage['seconds'] / 60:.0f} minutes"
        )
    return CARD.format(
        name=name,
        file=file.name,
        megabytes=file.stat().st_size / 1e6,
        norm=net.config["norm"],
        width=net.config["width"],
        blocks=net.config["blocks"],
        parameters=sum(p.numel() for p in net.parameters()) / 1e6,
        styles=", ".join(styles_of(net)),
        stages="\n".join(stages),
        learning_rate=config["learning_rate"],
        batch=config["batch"],
        style_size=config["style_size"],
        preset=config["preset"],
        content_weight=config["content_weight"] or get_preset(config["preset"]).content_weight,
        extractor=card["extractor"],
        content_loss=card["losses"]["content"],
        style_loss=card["losses"]["style"],
        tv_loss=card["losses"]["tv"],
        count=count,
        size=size,
        steps=steps,
        table="\n".join(_table_row(style, row) for style, row in rows.items()),
    )


def _table_row(style: str, row: dict[str, float]) -> str:
    cells = [f"{row[key]:.0f}" for key in ("content", "style", "gatys content", "gatys style", "photo style")]
    checkerboards = f"{row['checkerboard']:.1f} / {row['gatys checkerboard']:.1f}"
    return f"| {' | '.join([style, *cells, checkerboards])} |"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME", help="networks of the package")
    parser.add_argument("--photos", type=Path, required=True, help="folder of held-out photos, .jpg")
    parser.add_argument("--styles", type=Path, nargs="*", default=[], help="folders of paintings, besides data/styles")
    parser.add_argument("--count", type=int, default=10, help="number of photos")
    parser.add_argument("--size", type=int, default=256, help="long side of the photos in pixels")
    parser.add_argument("--steps", type=int, default=200, help="evaluations of Gatys' method")
    args = parser.parse_args()
    photos = sorted(path for path in args.photos.iterdir() if path.suffix == ".jpg")[: args.count]
    folders = [*args.styles, gallery.styles_folder()]
    for name in args.names:
        net = load_model(name)
        style_size = net.card["config"]["style_size"]
        styles = {style: load(find_style(style, folders), style_size) for style in styles_of(net)}
        rows = {}
        for i, (style, picture) in enumerate(styles.items()):
            rows[style] = judge(net, i, picture, photos, args.size, args.steps)
            print(name, style, {key: round(value, 1) for key, value in rows[style].items()}, flush=True)
        images.save(sheet(net, styles, args.steps), SHEETS / f"{name}.jpg", quality=85)
        text = card_text(name, net, rows, count=len(photos), size=args.size, steps=args.steps)
        write_atomically(NETWORKS / f"{name}.md", text.encode())


if __name__ == "__main__":
    main()
