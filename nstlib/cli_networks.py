"""The commands around transformer networks: ``nst train``, ``nst stylize``, ``nst models``, ``nst export``."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .errors import NstError, SettingError
from .photos import SUFFIXES
from .training_config import TrainingConfig


def add_parsers(commands: Any) -> None:
    """Add the four commands to the parser of ``nst``."""
    stylize = commands.add_parser("stylize", help="paint pictures with a trained network, at once")
    stylize.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="pictures, or folders of pictures")
    stylize.add_argument("--model", required=True, metavar="NAME", help="see 'nst models'; or a .safetensors file")
    stylize.add_argument("--style", default="", metavar="S", help="of several: waves, or waves=2,golden=1")
    stylize.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the folder to write to")
    stylize.add_argument("--size", type=int, metavar="PX", help="long side (default: each picture's own)")
    stylize.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: a GPU if there is one)")
    stylize.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    stylize.add_argument("--quiet", action="store_true", help="no progress bar")

    commands.add_parser("models", help="the trained networks that come with the package")

    export = commands.add_parser("export", help="write a trained network as an ONNX file of any size")
    export.add_argument("model", metavar="NAME", help="see 'nst models'; or a .safetensors file")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.onnx")

    training = commands.add_parser(
        "train", help="train a network on a folder of photos",
        description="Train a network. Options are the fields of nstlib.TrainingConfig, which says what each does; "
        "--config reads them from a TOML or JSON file. Sizes and steps not given follow NST_SCALE. For several GPUs: "
        "accelerate launch -m nstlib.cli train ...",
    )  # fmt: skip
    training.add_argument("--config", type=Path, metavar="FILE", help="settings from a TOML or JSON file")
    training.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    training.add_argument("--quiet", action="store_true", help="no progress bar")
    defaults = TrainingConfig.for_scale()
    for field in dataclasses.fields(TrainingConfig):
        _add_option(training, field, getattr(defaults, field.name))


def _add_option(parser: argparse.ArgumentParser, field: dataclasses.Field, default: object) -> None:
    option, kind = f"--{field.name.replace('_', '-')}", str(field.type)
    hint = f"(default: {default})" if default not in (None, "", (), False) else ""
    if "bool" in kind:
        parser.add_argument(option, action="store_true", default=None, help=hint)
    elif "tuple" in kind:
        parser.add_argument(option, nargs="+", default=None, metavar="X", help=hint)
    else:
        of = int if kind == "int" else float if "float" in kind else str
        parser.add_argument(option, type=of, default=None, metavar="X", help=hint)


def run_train(args: argparse.Namespace) -> int:
    from .training import train

    names = [f.name for f in dataclasses.fields(TrainingConfig)]
    given = {n: getattr(args, n) for n in names if getattr(args, n) is not None}
    config = TrainingConfig.from_file(args.config, **given) if args.config else TrainingConfig.for_scale(**given)
    net = train(config, resume=args.resume, progress=not args.quiet)
    card = net.card
    print(f"{card['steps']} steps, {card['pictures']} crops, {card['seconds']} s; of the last hundred steps: "
          + ", ".join(f"{k} {v:.4g}" for k, v in card["losses"].items()))  # fmt: skip
    for count, words in ((card["broken"], "photos could not be read and were left out"),
                         (card["skipped"], "steps were skipped because the loss was not finite")):  # fmt: skip
        if count:
            print(f"nst: {count} {words}.", file=sys.stderr)
    if card["steps"] < config.steps:
        print("nst: stopped early; go on with --resume.", file=sys.stderr)
    print(Path(config.output) / "network.safetensors")
    return 0


def run_stylize(args: argparse.Namespace) -> int:
    from tqdm.auto import tqdm

    from . import images
    from .models import load_model, mixture
    from .runtime import pick_device

    if args.size is not None and args.size < images.MIN_SIDE:
        raise SettingError(f"--size must be at least {images.MIN_SIDE} pixels, not {args.size}.")
    if args.output.exists() and not args.output.is_dir():
        raise SettingError(f"'{args.output}' is a file; --output is the folder to write to.")
    net = load_model(args.model)
    style = mixture(net, args.style)
    net = net.for_inference(args.precision, pick_device(args.device))
    work, failed, begin = list(_pairs(args.images, args.output)), [], time.perf_counter()
    for source, target in tqdm(work, unit="picture", disable=args.quiet):
        try:
            if target.exists() and source.exists() and target.samefile(source):
                raise SettingError(f"'{source}' would be overwritten; choose another --output.")
            image = images.load(source, args.size)
            images.save(net(image.to(net.last.weight.device), style).float().cpu(), target)
        except NstError as error:
            failed.append(str(error))
        except (MemoryError, RuntimeError) as error:  # torch has no type of its own for want of memory on the CPU
            if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
                raise
            failed.append(f"there is not enough memory for '{source}'; use a smaller --size.")
    seconds = time.perf_counter() - begin
    print(f"{len(work) - len(failed)} of {len(work)} pictures painted in {seconds:.1f} s, in {args.output}")
    for message in failed:
        print(f"nst: {message}", file=sys.stderr)
    return 1 if failed else 0


def _pairs(sources: Sequence[Path], output: Path) -> Iterator[tuple[Path, Path]]:
    """Each picture and where its painting goes; folders keep their shape, equal names get a number."""
    taken: set[Path] = set()
    for source in sources:
        if source.is_dir():
            inside = output.resolve()  # what an earlier run wrote is no input
            found = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES and p.name[0] != "."
                           and (inside == source.resolve() or inside not in p.resolve().parents))  # fmt: skip
            if not found:
                raise SettingError(f"the folder '{source}' holds no pictures.")
            pairs = [(p, output / p.relative_to(source)) for p in found]
        else:
            pairs = [(source, output / source.name)]
        for picture, target in pairs:
            if target.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"):
                target = target.with_suffix(".png")
            wanted, n = target, 2
            while target in taken:
                target, n = wanted.with_stem(f"{wanted.stem}_{n}"), n + 1
            taken.add(target)
            yield picture, target


def run_models(args: argparse.Namespace) -> int:
    from .models import describe_model, model_names

    rows = [describe_model(name) for name in model_names()]
    widths = {k: max(len(k), *(len(r[k]) for r in rows)) for k in rows[0] if k != "styles"} if rows else {}
    for row in [{k: k for k in rows[0]}, *rows] if rows else []:
        print("  ".join(row[k].ljust(w) for k, w in widths.items()), row["styles"], sep="  ")
    return 0


def run_export(args: argparse.Namespace) -> int:
    from .export import check_onnx, export_onnx
    from .models import load_model, styles_of

    if args.output.suffix != ".onnx":
        raise SettingError(f"'{args.output}' does not end in .onnx.")
    net = load_model(args.model)
    path = export_onnx(net, args.output)
    sizes = ((64, 64), (75, 101), (240, 320))
    difference = check_onnx(net, path, sizes)
    tried = ", ".join(f"{w} x {h}" for h, w in sizes)
    print(f"largest difference from PyTorch at {tried}: {difference:.1e}")
    several = f", 'style' (1, {net.styles}): weights of {', '.join(styles_of(net))}" if net.styles > 1 else ""
    print(f"input 'image' (1, 3, H, W) in [0, 1]{several}; output 'painted'")
    print(path)
    return 0
