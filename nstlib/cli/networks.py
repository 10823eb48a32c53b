"""The commands around transformer networks: ``nst train``, ``stylize``, ``models``, ``export``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor
from tqdm.auto import tqdm

from .. import images
from ..errors import OUT_OF_MEMORY, NstError, SettingError, is_out_of_memory
from ..feedforward.card import LAST_STEPS
from ..feedforward.config import RECIPES, TrainingConfig
from ..feedforward.export import check_onnx, export_onnx
from ..feedforward.models import describe_model, load_model, model_names, style_weights, styles_of
from ..feedforward.training import NETWORK, train
from ..feedforward.transformer import TransformerNet
from ..files import try_place
from ..images import PICTURE_SUFFIXES
from ..runtime import pick_device
from .options import (
    Commands,
    add_fields,
    add_machine_options,
    add_quiet,
    check_size,
    file_path,
    given_fields,
    print_error,
)

ONNX_CHECK_SIZES = ((64, 64), (75, 101), (240, 320))
"""(height, width) of the pictures with which an exported network is compared with PyTorch."""


def add_parsers(commands: Commands) -> None:
    """Add the commands of this module to the parser of ``nst``."""
    parser = commands.add_parser("stylize", help="paint pictures with a trained network")
    parser.set_defaults(run=run_stylize)
    parser.add_argument("images", nargs="+", type=file_path, metavar="IMAGE", help="pictures, or folders of pictures")
    parser.add_argument("--model", required=True, metavar="NAME", help="see 'nst models'; or a .safetensors file")
    parser.add_argument("--style", default="", metavar="S", help="of several: waves, or waves=2,golden=1")
    parser.add_argument("-o", "--output", type=file_path, required=True, metavar="DIR", help="the folder to write to")
    parser.add_argument("--size", type=int, metavar="PX", help="long side (default: each picture's own)")
    add_machine_options(parser)

    parser = commands.add_parser("models", help="list the trained networks that come with the package")
    parser.set_defaults(run=run_models)

    parser = commands.add_parser("export", help="write a trained network as an ONNX file for any size")
    parser.set_defaults(run=run_export)
    parser.add_argument("model", metavar="NAME", help="see 'nst models'; or a .safetensors file")
    parser.add_argument("-o", "--output", type=file_path, required=True, metavar="FILE.onnx", help="the file to write")

    parser = commands.add_parser(
        "train",
        help="train a network on a folder of photos",
        description="Train a network. Defaults depend on NST_PROFILE; --config reads settings with the same names from "
        "a TOML or JSON file, which options on the command line replace. For several GPUs: accelerate launch -m "
        "nstlib.cli train ...",
    )
    parser.set_defaults(run=run_train)
    parser.add_argument("--config", type=file_path, metavar="FILE", help="TOML or JSON file with settings")
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        help='settings that belong together: "course" (the defaults below) or "pytorch_examples" (as published there: '
        "VGG-16 with ImageNet weights, two epochs at batch 4, center crops of 256, no tanh, no decay)",
    )
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in the output folder")
    parser.add_argument("--overwrite", action="store_true", help="replace the training in the output folder")
    add_quiet(parser)
    add_fields(parser, TrainingConfig.for_profile())


def run_train(args: argparse.Namespace) -> int:
    """Run ``nst train``."""
    given = given_fields(args, TrainingConfig)
    if args.recipe:
        given["recipe"] = args.recipe
    config = TrainingConfig.from_file(args.config, **given) if args.config else TrainingConfig.for_profile(**given)
    card = train(config, resume=args.resume, progress=not args.quiet, overwrite=args.overwrite).card
    losses = ", ".join(f"{name} {value:.4g}" for name, value in card["losses"].items())
    print(f"{card['steps']} steps, {card['pictures']} crops, {card['seconds']} s")
    print(f"mean of the last {LAST_STEPS} steps: {losses}")
    if card["broken"]:
        print_error(f"{card['broken']} photos could not be read and were left out.")
    if card["broken_samples"]:
        print_error(f"{card['broken_samples']} samples could not be read and were left out.")
    if card["skipped"]:
        print_error(f"{card['skipped']} steps were skipped because the loss was not finite.")
    if card["steps"] < card["config"]["steps"]:
        print_error("stopped early; continue with --resume.")
    print(Path(config.output) / NETWORK)
    return 0


def run_stylize(args: argparse.Namespace) -> int:
    """Run ``nst stylize``; the status is 1 if a picture could not be painted, 2 if none could."""
    check_size(args.size)
    if args.output.exists() and not args.output.is_dir():
        raise SettingError(f"'{args.output}' is a file; --output is the folder to write to.")
    try_place(args.output / "picture.png")
    net = load_model(args.model)
    style = style_weights(net, args.style)
    net = net.for_inference(args.precision, pick_device(args.device))
    begin, failures = time.perf_counter(), []
    work = list(_with_targets(args.images, args.output))
    for source, target in tqdm(work, unit="picture", disable=args.quiet):
        try:
            _stylize_file(net, style, source, target, args.size)
        except NstError as error:
            failures.append(str(error))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            failures.append(f"'{source}': {OUT_OF_MEMORY}")
    seconds = time.perf_counter() - begin
    print(f"{len(work) - len(failures)} of {len(work)} pictures painted in {seconds:.1f} s, in {args.output}")
    for message in failures:
        print_error(message)
    return 0 if not failures else 1 if len(failures) < len(work) else 2


def _stylize_file(net: TransformerNet, style: int | Tensor, source: Path, target: Path, size: int | None) -> None:
    if target.exists() and source.exists() and target.samefile(source):
        raise SettingError(f"'{source}' would be overwritten; choose another --output.")
    image = images.load(source, size)
    images.save(net(image.to(net.last.weight.device), style).float().cpu(), target)


def _with_targets(sources: Sequence[Path], output: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each picture with the path of its painting; folders keep their structure, equal names get a number."""
    taken: set[Path] = set()
    for source in sources:
        found = _pictures_in(source, output) if source.is_dir() else [source]
        for picture in found:
            relative = picture.relative_to(source) if source.is_dir() else Path(picture.name)
            target = _free_path(_with_written_suffix(output / relative), taken)
            taken.add(target)
            yield picture, target


def _pictures_in(folder: Path, output: Path) -> list[Path]:
    """Return the pictures in a folder and its subfolders, without those that an earlier run wrote to ``output``."""
    output_inside = output.resolve() != folder.resolve()
    found = []
    for path in sorted(folder.rglob("*")):
        is_output = output_inside and output.resolve() in path.resolve().parents
        if images.is_picture_file(path) and not is_output:
            found.append(path)
    if not found:
        raise SettingError(f"the folder '{folder}' contains no pictures.")
    return found


def _with_written_suffix(path: Path) -> Path:
    """Return the path with a suffix that ``images.save`` writes; uncompressed BMP becomes PNG."""
    writable = path.suffix.lower() in PICTURE_SUFFIXES and path.suffix.lower() != ".bmp"
    return path if writable else path.with_suffix(".png")


def _free_path(path: Path, taken: set[Path]) -> Path:
    free, number = path, 2
    while free in taken:
        free, number = path.with_stem(f"{path.stem}_{number}"), number + 1
    return free


def run_models(args: argparse.Namespace) -> int:
    """Run ``nst models``."""
    rows = [describe_model(name) for name in model_names()]
    if not rows:
        return 0
    columns = [column for column in rows[0] if column != "styles"]
    widths = {column: max(len(column), *(len(row[column]) for row in rows)) for column in columns}
    header = {column: column for column in rows[0]}
    for row in [header, *rows]:
        print("  ".join(row[column].ljust(width) for column, width in widths.items()), row["styles"], sep="  ")
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Run ``nst export``."""
    if args.output.suffix != ".onnx":
        raise SettingError(f"'{args.output}' does not end in .onnx; give a name such as 'network.onnx'.")
    try_place(args.output)
    net = load_model(args.model)
    path = export_onnx(net, args.output)
    difference = check_onnx(net, path, ONNX_CHECK_SIZES)
    tried = ", ".join(f"{width} x {height}" for height, width in ONNX_CHECK_SIZES)
    print(f"largest difference from PyTorch at {tried}: {difference:.1e}")
    several = f", 'style' (1, {net.styles}): weights of {', '.join(styles_of(net))}" if net.styles > 1 else ""
    print(f"input 'image' (1, 3, H, W) in [0, 1]{several}; output 'painted'")
    print(path)
    return 0
