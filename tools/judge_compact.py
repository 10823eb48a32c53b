"""Measure the pictures that an extractor produces by means of the real VGG-19, and write them as sheets.

    python tools/judge_compact.py --judge JUDGE.py --styles DIR --contents DIR [--weights FILE] [--out DIR]

JUDGE.py defines ``distances(style, picture, content)``, which returns the distances in the real VGG-19 by name. For
every style, the program paints a texture from noise (300 evaluations) and, for every content, a transfer from the
content (200 evaluations), at a long side of 256.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from nstlib import VGGFeatures, load, save, side_by_side, texture, transfer
from nstlib.presets import Preset, get_preset

MEASURED = ("relu1_1", "relu2_1", "relu3_1", "style", "content", "seconds")


def load_judge(path: Path) -> ModuleType:
    """Import the program that measures pictures in the real VGG-19."""
    if not path.exists():
        raise SystemExit(f"{path} does not exist; nothing was measured")
    spec = importlib.util.spec_from_file_location("judge", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def changed_preset(pairs: list[str]) -> Preset:
    """Return the course preset with the fields of ``pairs``, each FIELD=VALUE, replaced."""
    changes: dict[str, float | str] = {}
    for pair in pairs:
        name, value = pair.split("=")
        try:
            changes[name] = float(value)
        except ValueError:
            changes[name] = value
    return get_preset("course").replace(**changes)


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures in a folder, sorted."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))


def means(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the mean of each measured value over the rows that have it."""
    found = {}
    for key in MEASURED:
        values = [row[key] for row in rows if row.get(key) is not None]
        if values:
            found[key] = round(statistics.mean(values), 4)
    return found


def write_sheet(pictures: list[Path], labels: list[str], path: Path) -> None:
    """Write pictures side by side, with a label each."""
    save(side_by_side([load(picture) for picture in pictures], labels, height=256), path)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", type=Path, required=True, help="Python file that defines distances()")
    parser.add_argument("--styles", type=Path, required=True, help="folder of style pictures")
    parser.add_argument("--contents", type=Path, required=True, help="folder of content pictures")
    parser.add_argument("--weights", default="compact", help="the extractor: compact, imagenet or a file")
    parser.add_argument("--size", type=int, default=256, help="long side in pixels")
    parser.add_argument("--texture-steps", type=int, default=300, help="evaluations of a texture")
    parser.add_argument("--transfer-steps", type=int, default=200, help="evaluations of a transfer")
    parser.add_argument("--out", type=Path, default=Path("out/judge"), help="folder of pictures, sheets and judge.json")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of the preset to change")
    args = parser.parse_args()
    judge = load_judge(args.judge)
    judge_weights = judge.load_file(judge.WEIGHTS) if hasattr(judge, "WEIGHTS") else None
    preset = changed_preset(args.set)
    features = VGGFeatures(weights=args.weights, pooling=preset.pooling, rescale=preset.rescale)
    contents = pictures_in(args.contents)
    textures: list[dict[str, Any]] = []
    transfers: list[dict[str, Any]] = []
    styles = pictures_in(args.styles)
    for style in styles:
        started = time.perf_counter()
        result = texture(load(style, args.size), preset=preset, features=features, steps=args.texture_steps)
        path = save(result.image, args.out / f"texture_{style.stem}.png")
        distances = judge.distances(style, path, weights=judge_weights)
        seconds = time.perf_counter() - started
        textures.append({"kind": "texture", "style": style.stem, **distances, "seconds": seconds})
        print(json.dumps(textures[-1]), flush=True)
        for content in contents:
            photo = load(content, args.size)
            result = transfer(photo, load(style), preset, features=features, steps=args.transfer_steps)
            path = save(result.image, args.out / f"{content.stem}_{style.stem}.png")
            distances = judge.distances(style, path, content, weights=judge_weights)
            row = {"kind": "transfer", "style": style.stem, "of": content.stem, **distances, "seconds": result.seconds}
            transfers.append(row)
            print(json.dumps(row), flush=True)
    mean = {"texture": means(textures), "transfer": means(transfers)}
    (args.out / "judge.json").write_text(json.dumps({"mean": mean, "rows": [*textures, *transfers]}, indent=1))
    print(json.dumps(mean))
    names = [style.stem for style in styles]
    write_sheet([args.out / f"texture_{name}.png" for name in names], names, args.out / "textures.png")
    for content in contents:
        pictures = [args.out / f"{content.stem}_{name}.png" for name in names]
        write_sheet(pictures, names, args.out / f"transfers_{content.stem}.png")


if __name__ == "__main__":
    main()
