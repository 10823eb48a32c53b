"""Draw the course's stored figures with the real VGG-19, beside those of the compact VGG-19.

    python tools/real_vgg19.py WEIGHTS [--out docs/images/real_vgg19] [--only A2 B1 C1 C2 D1] [--size 256] [--steps N]

WEIGHTS is a safetensors or .pth file with torchvision's keys (``features.0.weight`` ...), and may end after any layer:
every figure shows the layers that the file holds. The figures are A2 (feature maps), B1 (content reconstruction), C1
and C2 (style reconstruction from growing sets of layers and from single poolings) and D1 (texture synthesis). Beside
them, numbers.json holds every number that they show, the settings, the versions and the hashes of both networks.

A finished picture is kept in the folder --cache and not computed again.
"""

from __future__ import annotations

import argparse
import bisect
import hashlib
import io
import itertools
import json
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

import nstlib
from nstlib import VGGFeatures, gram_matrix, reconstruct, resize, style_loss, texture
from nstlib.course import anatomy, figures
from nstlib.data import gallery
from nstlib.errors import NstError, whole_number
from nstlib.files import write_atomically

LIMIT_BYTES = 300_000
SCALE = 2
"""Pixels that are stored for a pixel of the page."""

COLUMNS = 3
COLUMN = figures.WIDTH / COLUMNS - figures.PAD
DETAIL = round(COLUMN * figures.DPI / 2)
"""Side of a detail in pixels: at 200 % it fills a column."""

PHOTO, FACE = "astronaut", (0.16, 0.0)
"""The photo, and the left and upper edge of its detail as shares of its side."""

STYLE = "nocturne"
TEXTURES = ("nocturne", "stained_glass")
STEPS = {"B1": 200, "C1": 150, "C2": 150, "D1": 150}
SEED = 0

Cell = tuple[str, Tensor] | None
"""A title and a picture (1, 3, H, W), or an empty place."""


class Network(NamedTuple):
    """One of the two networks: its name in titles, its extractor, and the hash of its weights."""

    name: str
    features: VGGFeatures
    sha256: str


class Studio:
    """Both networks, and the pictures that were made with them.

    Attributes:
        real: The network whose weights were given.
        compact: The network in the package.
        size: Side of all pictures in pixels.
        steps: Evaluations for every picture; None takes ``STEPS``.
        cache: Folder of the finished pictures.
        numbers: What numbers.json says about each figure.
    """

    def __init__(self, weights: Path, size: int, steps: int | None, cache: Path) -> None:
        own = Path(nstlib.__file__).parent / "weights" / "compact_vgg19.safetensors"
        self.real = Network("real", self._extractor(weights), _sha256(weights))
        self.compact = Network("compact", self._extractor("compact"), _sha256(own))
        self.size, self.steps, self.cache = size, steps, cache
        self.numbers: dict[str, Any] = {}

    @staticmethod
    def _extractor(weights: Path | str) -> VGGFeatures:
        # float32: in bfloat16, the loss of the lowest layers stops falling early
        return VGGFeatures("vgg19", weights=weights, pooling="avg", precision="float32")

    @property
    def networks(self) -> tuple[Network, Network]:
        """The real network and the compact one."""
        return self.real, self.compact

    def held(self, layers: Sequence[str]) -> list[str]:
        """Return the layers that the given weights reach."""
        return [name for name in layers if name in self.real.features.available]

    def evaluations(self, row: str) -> int:
        """Return the number of evaluations for each picture of a figure."""
        return self.steps or STEPS[row]

    def make(self, network: Network, what: Mapping[str, Any], paint: Callable[[], nstlib.Result]) -> dict[str, Any]:
        """Return a picture and its losses, from the cache if it was made before.

        Args:
            network: The network that it is made with.
            what: Its settings, which together with the weights determine the picture.
            paint: Makes it.
        """
        key = json.dumps({**what, "weights": network.sha256, "size": self.size, "seed": SEED}, sort_keys=True)
        path = self.cache / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.pt"
        if path.is_file():
            found: dict[str, Any] = torch.load(path, weights_only=True)
            return found
        print(f"{network.name}: {' '.join(map(str, what.values()))}", file=sys.stderr, flush=True)
        result = paint()
        first, last = result.records[0].total, result.best.total
        made = {"image": result.image, "first_loss": first, "last_loss": last}
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(made, path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
        return made

    def style(self, name: str) -> Tensor:
        """Return the square in the middle of one of our styles, (1, 3, size, size)."""
        picture = gallery.style(name)
        side = min(picture.shape[2:])
        top, left = ((length - side) // 2 for length in picture.shape[2:])
        return resize(picture[:, :, top : top + side, left : left + side], (self.size, self.size))

    def texture(self, row: str, network: Network, style: str, layers: Sequence[str]) -> dict[str, Any]:
        """Return a texture from white noise, with the Gram matrices of some layers."""
        steps = self.evaluations(row)
        what = {"method": "texture", "style": style, "layers": list(layers), "prior": 0, "steps": steps}
        return self.make(
            network,
            what,
            lambda: texture(
                self.style(style),
                style_layers=list(layers),
                tv_weight=0.0,
                steps=steps,
                seed=SEED,
                features=network.features,
            ),
        )

    def style_distance(self, picture: Tensor, style: Tensor, layers: Sequence[str]) -> dict[str, float]:
        """Return the distance of Gram matrices in the real network, in % of the style's, by layer and as mean."""
        found, wanted = (self.real.features(image, layers) for image in (picture, style))
        distances = {
            name: 100 * style_loss(gram_matrix(found[name]), gram_matrix(wanted[name]), "relative").sqrt().item()
            for name in layers
        }
        return {**distances, "mean": sum(distances.values()) / len(distances)}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def psnr(picture: Tensor, photo: Tensor) -> float:
    """Return the peak signal-to-noise ratio of a picture in dB."""
    return float(-10 * (picture - photo).square().mean().clamp_min(1e-12).log10())


# --- drawing -------------------------------------------------------------------------------------------


def rows_of(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return cells in rows of ``COLUMNS``; the last row is filled with empty places."""
    filled = [*cells, *[None] * (-len(cells) % COLUMNS)]
    return [list(filled[first : first + COLUMNS]) for first in range(0, len(filled), COLUMNS)]


def sheet(rows: Sequence[Sequence[Cell]], caption: str) -> Any:
    """Return a figure of square pictures in rows, each under its title, with a caption of one or more lines.

    All are drawn on one pair of axes, in inches: with axes for each picture, a figure takes seconds.
    """
    pad, title_height = figures.PAD, figures.TITLE_HEIGHT
    row_height = title_height + COLUMN + pad
    caption_top = len(rows) * row_height
    height = caption_top + (0.8 + caption.count("\n")) * figures.CAPTION_HEIGHT + pad
    with figures.course_style():
        figure = figures.new_figure(figures.WIDTH, height)
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1), frameon=False)
        for (i, row), j in itertools.product(enumerate(rows), range(COLUMNS)):
            cell = row[j]
            if cell is None:
                continue
            left, top = pad / 2 + j * (COLUMN + pad), i * row_height + title_height
            axes.imshow(
                figures.to_array(cell[1]),
                extent=(left, left + COLUMN, top + COLUMN, top),
                aspect="auto",
                interpolation="lanczos" if cell[1].shape[3] < 400 else "nearest",
            )
            axes.text(left + COLUMN / 2, top - 0.07, cell[0], ha="center", va="baseline", fontsize=11)
        middle = figures.WIDTH / 2
        axes.text(middle, caption_top, caption, ha="center", va="top", fontsize=10, color=figures.CAPTION_COLOUR)
        axes.set(xlim=(0, figures.WIDTH), ylim=(height, 0))
        axes.set_axis_off()
    return figure


def encode(figure: Any, limit: int = LIMIT_BYTES) -> bytes:
    """Return a figure as the best JPEG file below ``limit``, of ``SCALE`` times the page's pixels or at worst fewer."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="raw", dpi=SCALE * figures.DPI)
    width, height = (int(inches * SCALE * figures.DPI) for inches in figure.get_size_inches())
    image = Image.frombytes("RGBA", (width, height), buffer.getvalue()).convert("RGB")
    best_first = [(1.0, quality) for quality in range(90, 42, -2)] + [(0.75, quality) for quality in range(70, 20, -5)]

    def file(index: int) -> bytes:
        share, quality = best_first[index]
        resized = image if share == 1 else image.resize([round(share * side) for side in image.size])
        return figures.jpeg(resized, quality)

    first = bisect.bisect_left(range(len(best_first) - 1), True, key=lambda index: len(file(index)) < limit)
    return file(first)


def detail(picture: Tensor, left: float = 0.5, top: float = 0.5) -> Tensor:
    """Return the square part that is shown at 200 %; its corner is given as shares of the side."""
    side = min(DETAIL, picture.shape[3] // 2 + 1)
    x, y = (min(round(share * picture.shape[3]), picture.shape[3] - side) for share in (left, top))
    return picture[:, :, y : y + side, x : x + side]


def comparison(studio: Studio, original: tuple[str, Tensor], made: Mapping[str, list[tuple[str, Tensor]]]) -> list[Any]:
    """Return the rows of a figure: each network's pictures, then the original and a detail of each one's last."""
    corner = FACE if original[0] == "the photo" else (0.25, 0.3)
    rows = [row for cells in made.values() for row in rows_of(cells)]
    details: list[Cell] = [original]
    for name, cells in made.items():
        title, picture = cells[-1]
        layer = re.sub(rf"^{name}, |: .*$", "", title)
        details.append((f"{name}, {layer}, at 200 %", detail(picture, *corner)))
    return [*rows, *rows_of(details)]


# --- the figures: each returns the figure, or None where the weights hold too few layers ----------------


def layers_to_show(available: Sequence[str]) -> list[str]:
    """Return six convolutions: the first of each block, then the last ones, of late blocks first; in order."""
    blocks = [[name for name in available if name.startswith(f"conv{block}")] for block in range(1, 6)]
    chosen = [block[0] for block in blocks if block]
    lasts = [block[-1] for block in reversed(blocks) if len(block) > 1]
    return sorted((chosen + lasts)[: 2 * COLUMNS], key=available.index)


def feature_maps(studio: Studio) -> Any:
    """A2: a map of the photo at six layers of the real network and, below, the most similar one of the compact one."""
    layers = layers_to_show(studio.real.features.available)
    photo = gallery.content(PHOTO, studio.size)
    # max pooling, as trained: this figure shows the networks, not a method
    nets = [VGGFeatures(weights=network.features.state_dict(), precision="float32") for network in studio.networks]
    real_maps, own_maps = (net(photo, layers) for net in nets)
    cells: tuple[list[Cell], list[Cell]] = ([], [])
    numbers: dict[str, Any] = {}
    for layer in layers:
        similar = _correlations(real_maps[layer], own_maps[layer])  # (C, C'), real by compact
        channel = anatomy.top_channels(real_maps[layer], 1)[0]
        partner = int(similar[channel].argmax())
        titles = (
            f"real, {layer}, channel {channel}",
            f"compact, channel {partner}, r = {similar[channel, partner]:.2f}",
        )
        for title, maps, number, row in zip(titles, (real_maps, own_maps), (channel, partner), cells):
            row.append((title, _map_picture(maps[layer][0, number])))
        numbers[layer] = {
            "channel": channel,
            "channel_of_compact": partner,
            "correlation": similar[channel, partner].item(),
            "mean_over_all_channels": similar.max(1).values.mean().item(),
            "explained_percent": 100 * _explained(own_maps[layer], real_maps[layer]),
            "channels": [len(similar), similar.shape[1]],
            "size_of_maps": list(real_maps[layer].shape[2:]),
        }
    rows = [row for pair in zip(*map(rows_of, cells)) for row in pair]
    settings = {"picture": PHOTO, "size": studio.size, "pooling": "max", "precision": "float32"}
    studio.numbers["A2"] = {**settings, "layers": numbers}
    shares = ", ".join(f"{entry['explained_percent']:.0f}" for entry in numbers.values())
    caption = (
        f"Photo {PHOTO}, {studio.size} x {studio.size} pixels, max pooling; maps before the ReLU: blue is negative, "
        "red positive.\nReal VGG-19: the channel that varies most. Compact VGG-19 below: its channel with the largest "
        "correlation r.\nVariance of all real maps that a linear map of the compact ones explains, by layer: "
        f"{shares} %."
    )
    return sheet(rows, caption)


def _explained(inputs: Tensor, outputs: Tensor) -> float:
    """Return the share of the variance of ``outputs`` (1, C, H, W) that a linear map of ``inputs`` explains."""
    a, b = ((maps[0].flatten(1) - maps[0].flatten(1).mean(1, keepdim=True)).double() for maps in (inputs, outputs))
    inverse = torch.linalg.pinv(a @ a.T, rtol=1e-9, hermitian=True)  # a channel may be constant
    rest = b - (b @ a.T) @ inverse @ a
    return float(1 - rest.square().sum() / b.square().sum().clamp_min(1e-12))


def _map_picture(values: Tensor) -> Tensor:
    """Return a map (H, W) as a picture; of a small one each value becomes a square."""
    large = max(values.shape) > 64
    return anatomy.heatmap(values, max(values.shape) if large else round(2 * COLUMN * figures.DPI), signed=True)


def _correlations(a: Tensor, b: Tensor) -> Tensor:
    """Return the correlation of every channel of ``a`` (1, C, H, W) with every channel of ``b`` (1, C', H, W)."""
    unit = []
    for maps in (a, b):
        values = maps[0].flatten(1) - maps[0].flatten(1).mean(1, keepdim=True)
        unit.append(torch.nn.functional.normalize(values))
    return unit[0] @ unit[1].T


def content(studio: Studio) -> Any:
    """B1: the photo from the activations of one layer."""
    layers = studio.held([f"conv{block}_1" for block in range(1, 6)])
    photo = gallery.content(PHOTO, studio.size)
    photo = resize(photo, (studio.size, studio.size))
    steps = studio.evaluations("B1")
    cells: dict[str, list[tuple[str, Tensor]]] = {}
    numbers: dict[str, Any] = {}
    for network in studio.networks:
        for layer in layers:
            what = {"method": "reconstruct", "photo": PHOTO, "layer": layer, "steps": steps, "prior": 0}

            def paint(network: Network = network, layer: str = layer) -> nstlib.Result:
                options = {"content_weight": 1.0, "tv_weight": 0.0, "steps": steps, "seed": SEED}
                return reconstruct(photo, layer, features=network.features, **options)  # type: ignore[arg-type]

            made = studio.make(network, what, paint)
            decibels = psnr(made["image"], photo)
            cells.setdefault(network.name, []).append((f"{network.name}, {layer}: {decibels:.1f} dB", made["image"]))
            numbers.setdefault(network.name, {})[layer] = {
                "psnr_db": round(decibels, 2),
                "first_loss": made["first_loss"],
                "last_loss": made["last_loss"],
            }
    studio.numbers["B1"] = {**_settings(studio, "B1", PHOTO), "content_loss": "relative", **numbers}
    if not layers:
        return None
    caption = (
        f"Real VGG-19 above, compact VGG-19 below. From white noise, {steps} steps of L-BFGS, relative content loss of "
        f"one layer,\nno smoothness prior, average pooling, {studio.size} x {studio.size} pixels, float32. "
        "Titles: PSNR against the photo."
    )
    return sheet(comparison(studio, ("the photo", photo), cells), caption)


def style_sets(studio: Studio) -> Any:
    """C1: the style from growing sets of layers."""
    layers = studio.held([f"relu{block}_1" for block in range(1, 6)])
    names = [f"({letter}) {'to ' * (k > 0)}{layer}" for k, (letter, layer) in enumerate(zip("abcde", layers))]
    sets = {name: layers[: k + 1] for k, name in enumerate(names)}
    return _style_figure(studio, "C1", sets, layers, "relative style loss of growing sets of layers")


def style_single(studio: Studio) -> Any:
    """C2: the style from one pooling layer."""
    pools = studio.held([f"pool{block}" for block in range(1, 6)])
    layers = studio.held([f"relu{block}_1" for block in range(1, 6)])
    return _style_figure(studio, "C2", {name: [name] for name in pools}, layers, "relative style loss of one layer")


def _style_figure(
    studio: Studio, row: str, sets: Mapping[str, Sequence[str]], judged: Sequence[str], method: str
) -> Any:
    """Return the pictures of both networks for each set of style layers."""
    if not sets:
        return None
    style = studio.style(STYLE)
    cells: dict[str, list[tuple[str, Tensor]]] = {}
    noise = torch.rand(style.shape, generator=torch.Generator().manual_seed(SEED))
    numbers: dict[str, Any] = {"distance_of_noise": studio.style_distance(noise, style, judged)}
    for network in studio.networks:
        for name, layers in sets.items():
            made = studio.texture(row, network, STYLE, layers)
            distance = studio.style_distance(made["image"], style, judged)
            title = f"{network.name}, {name}: {distance['mean']:.3g} %"
            cells.setdefault(network.name, []).append((title, made["image"]))
            numbers.setdefault(network.name, {})[name] = {
                "distance_percent": distance,
                "first_loss": made["first_loss"],
                "last_loss": made["last_loss"],
            }
    studio.numbers[row] = {**_settings(studio, row, STYLE), "style_loss": "relative", **numbers}
    steps = studio.evaluations(row)
    caption = (
        f"Real VGG-19 above, compact VGG-19 below. From white noise, {steps} steps of L-BFGS,\n{method}, no smoothness "
        f"prior, average pooling, {studio.size} x {studio.size} pixels, float32.\nTitles: distance of the Gram "
        f"matrices from the style's in the real network,\nmean of {_first_to_last(judged)} (noise: "
        f"{numbers['distance_of_noise']['mean']:.3g} %)."
    )
    return sheet(comparison(studio, ("the style", style), cells), caption)


def textures(studio: Studio) -> Any:
    """D1: texture synthesis of two styles."""
    layers = studio.held([f"relu{block}_1" for block in range(1, 6)])
    if not layers:
        return None
    rows: list[list[Cell]] = []
    numbers: dict[str, Any] = {}
    for name in TEXTURES:
        style = studio.style(name)
        row: list[Cell] = [(f"the style {name}", style)]
        row_details: list[Cell] = [(f"{name}, at 200 %", detail(style, 0.25, 0.3))]
        for network in studio.networks:
            made = studio.texture("D1", network, name, layers)
            distance = studio.style_distance(made["image"], style, layers)
            row.append((f"{network.name}: {distance['mean']:.3g} %", made["image"]))
            row_details.append((f"{network.name}, at 200 %", detail(made["image"], 0.25, 0.3)))
            numbers.setdefault(name, {})[network.name] = {
                "distance_percent": distance,
                "first_loss": made["first_loss"],
                "last_loss": made["last_loss"],
            }
        rows += [row, row_details]
    steps = studio.evaluations("D1")
    settings = {**_settings(studio, "D1", ""), "layers": layers}
    del settings["picture"]
    studio.numbers["D1"] = {**settings, "style_loss": "relative", **numbers}
    caption = (
        f"Real and compact VGG-19, {_first_to_last(layers)} each. From white noise, {steps} steps of L-BFGS, relative "
        f"style loss,\nno smoothness prior, average pooling, {studio.size} x {studio.size} pixels, float32. Titles: "
        "distance of the\nGram matrices from the style's in the real network, mean of these layers."
    )
    return sheet(rows, caption)


def _first_to_last(layers: Sequence[str]) -> str:
    return ", ".join(layers) if len(layers) < 4 else f"{layers[0]} to {layers[-1]}"


def _settings(studio: Studio, row: str, picture: str) -> dict[str, Any]:
    return {
        "picture": picture,
        "size": studio.size,
        "steps": studio.evaluations(row),
        "optimizer": "lbfgs",
        "start": f"white noise, seed {SEED}",
        "pooling": "avg",
        "precision": "float32",
        "smoothness_prior": 0,
    }


FIGURES: dict[str, tuple[str, Callable[[Studio], Any]]] = {
    "A2": ("A2_feature_maps.jpg", feature_maps),
    "B1": ("B1_content.jpg", content),
    "C1": ("C1_style_sets.jpg", style_sets),
    "C2": ("C2_style_single.jpg", style_single),
    "D1": ("D1_texture.jpg", textures),
}


def write_numbers(studio: Studio, path: Path) -> None:
    """Write numbers.json; figures of the same weights that were not drawn this time stay in it."""
    head = {
        "real": {"sha256": studio.real.sha256, "last_layer": studio.real.features.available[-1]},
        "compact": {"sha256": studio.compact.sha256},
        "versions": {"nstlib": nstlib.__version__, "torch": torch.__version__, "python": platform.python_version()},
    }
    kept: dict[str, Any] = {}
    if path.is_file():
        before = json.loads(path.read_text("utf-8"))
        if all(before.get(name) == head[name] for name in ("real", "compact")):
            kept = before["figures"]
    numbers = {**head, "figures": dict(sorted({**kept, **studio.numbers}.items()))}
    write_atomically(path, (json.dumps(rounded(numbers), indent=1) + "\n").encode())


def rounded(data: Any) -> Any:
    """Return plain data with all numbers rounded to five digits."""
    if isinstance(data, dict):
        return {key: rounded(value) for key, value in data.items()}
    if isinstance(data, list):
        return [rounded(value) for value in data]
    return float(f"{data:.5g}") if isinstance(data, float) else data


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="safetensors or .pth file of VGG-19")
    parser.add_argument("--out", type=Path, default=Path("docs/images/real_vgg19"), help="folder of the figures")
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=list(FIGURES), help="figures to draw")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures in pixels")
    parser.add_argument("--steps", type=int, help="evaluations for each picture (default: see numbers.json)")
    parser.add_argument("--cache", type=Path, default=Path("out/real_vgg19"), help="folder of the finished pictures")
    args = parser.parse_args(words)
    try:
        whole_number("size", args.size, least=32)
        if args.steps is not None:
            whole_number("steps", args.steps)
        studio = Studio(args.weights, args.size, args.steps, args.cache)
        for row in args.only:
            name, draw = FIGURES[row]
            figure = draw(studio)
            if figure is None:
                print(f"{row}: these weights hold none of its layers; no figure was drawn", file=sys.stderr)
                continue
            path = write_atomically(args.out / name, encode(figure))
            write_numbers(studio, args.out / "numbers.json")
            print(f"{path}: {path.stat().st_size:,} bytes")
    except (NstError, OSError) as error:
        print(f"real_vgg19: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
