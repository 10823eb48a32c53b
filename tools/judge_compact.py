"""Measure an extractor's pictures as the real VGG-19 sees them, and lay them out as a sheet.

    python tools/judge_compact.py --judge JUDGE.py --styles DIR --contents DIR [--weights FILE] [--out DIR]

JUDGE.py offers ``distances(style, picture, content)``. For every style: a texture from noise (300
evaluations) and, for every content, a transfer from the content (200 evaluations), long side 256.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from pathlib import Path

from nstlib import VGGFeatures, load, save, side_by_side, texture, transfer
from nstlib.presets import get_preset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--styles", type=Path, required=True)
    parser.add_argument("--contents", type=Path, required=True)
    parser.add_argument("--weights", default="compact")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--texture-steps", type=int, default=300)
    parser.add_argument("--transfer-steps", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("out/judge"))
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE", help="fields of the preset to change")
    args = parser.parse_args()
    if not args.judge.exists():
        raise SystemExit(f"{args.judge} is not there; nothing was measured")
    spec = importlib.util.spec_from_file_location("judge", args.judge)
    judge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(judge)
    known = judge.load_file(judge.WEIGHTS) if hasattr(judge, "WEIGHTS") else None
    changes = {k: (v if not v.replace(".", "").replace("e", "").replace("-", "").isdigit() else float(v))
               for k, v in (pair.split("=") for pair in args.set)}  # fmt: skip
    preset = get_preset("course").replace(**changes)
    features = VGGFeatures(weights=args.weights, pooling=preset.pooling, rescale=preset.rescale)
    styles = sorted(p for p in args.styles.iterdir() if p.suffix in (".jpg", ".png"))
    contents = sorted(p for p in args.contents.iterdir() if p.suffix in (".jpg", ".png"))
    rows, textures, transfers = [], [], []
    for style in styles:
        started = time.perf_counter()
        result = texture(load(style, args.size), preset=preset, features=features, steps=args.texture_steps)
        path = save(result.image, args.out / f"texture_{style.stem}.png")
        seen = judge.distances(style, path, weights=known)
        rows.append({"kind": "texture", "style": style.stem, **seen, "seconds": time.perf_counter() - started})
        print(json.dumps(rows[-1]), flush=True)
        textures.append(path)
        for content in contents:
            result = transfer(
                load(content, args.size), load(style), preset, features=features, steps=args.transfer_steps
            )
            path = save(result.image, args.out / f"{content.stem}_{style.stem}.png")
            seen = judge.distances(style, path, content, weights=known)
            rows.append(
                {
                    "kind": "transfer",
                    "style": style.stem,
                    "of": content.stem,
                    **seen,
                    "seconds": result.seconds,
                }
            )
            print(json.dumps(rows[-1]), flush=True)
            transfers.append(path)
    mean = {
        kind: {k: round(statistics.mean(r[k] for r in rows if r["kind"] == kind and r.get(k) is not None), 4)
               for k in ("relu1_1", "relu2_1", "relu3_1", "style", "content", "seconds")
               if any(r["kind"] == kind and r.get(k) is not None for r in rows)}
        for kind in ("texture", "transfer")
    }  # fmt: skip
    (args.out / "judge.json").write_text(json.dumps({"mean": mean, "rows": rows}, indent=1))
    print(json.dumps(mean))
    save(
        side_by_side([load(p) for p in textures], [p.stem for p in styles], height=256),
        args.out / "textures.png",
    )
    for i, content in enumerate(contents):
        shown = [load(p) for p in transfers[i :: len(contents)]]
        save(
            side_by_side(shown, [p.stem for p in styles], height=256),
            args.out / f"transfers_{content.stem}.png",
        )


if __name__ == "__main__":
    main()
