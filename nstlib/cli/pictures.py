"""The commands that paint by optimisation: ``nst transfer``, ``texture``, ``demo``; and ``nst info``."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ..data import gallery
from ..errors import FileError, ImageError, SettingError
from ..files import try_place, write_atomically
from ..images import check_output, load, save, side_by_side
from ..info import describe
from ..initialization import INITS
from ..presets import PRESETS
from ..records import Result
from ..synthesis import texture, transfer
from .options import Commands, add_machine_options, check_size, file_path, print_error

DEMO_CONTENT, DEMO_STYLE = "chelsea", "stained_glass"
DEMO_SIZE, DEMO_STEPS = 352, 220  # of the default pair: style 4 % worse than with 384 and 300, in 60 % of the time


def add_parsers(commands: Commands) -> None:
    """Add the commands of this module to the parser of ``nst``."""
    parser = commands.add_parser("transfer", help="paint one picture in the style of another")
    parser.set_defaults(run=run_transfer)
    parser.add_argument("content", type=file_path, metavar="CONTENT", help="the photo")
    parser.add_argument("style", type=file_path, metavar="STYLE", help="the painting")
    parser.add_argument("--content-weight", type=float, metavar="W", help="(default: the preset's)")
    parser.add_argument("--init", metavar="INIT", help=f"first picture: {', '.join(INITS)}, or a picture's path")
    _add_synthesis_options(parser)

    parser = commands.add_parser("texture", help="make a new picture with the texture of one")
    parser.set_defaults(run=run_texture)
    parser.add_argument("style", type=file_path, metavar="STYLE", help="the picture with the texture")
    _add_synthesis_options(parser)

    parser = commands.add_parser("demo", help="a first transfer with pictures that come with the course")
    parser.set_defaults(run=run_demo, report=True)
    parser.add_argument(
        "-o", "--output", type=file_path, default=Path("out/demo.png"), metavar="OUT", help="(%(default)s)"
    )
    parser.add_argument("--style", default=DEMO_STYLE, metavar="NAME", help="of data/styles (default: %(default)s)")
    parser.add_argument("--content", default=DEMO_CONTENT, metavar="NAME", help="of scikit-image (%(default)s)")
    parser.add_argument("--size", type=int, default=DEMO_SIZE, metavar="PX", help="long side (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=DEMO_STEPS, metavar="N", help="evaluations (%(default)s)")

    parser = commands.add_parser("info", help="show device, extractor and versions")
    parser.set_defaults(run=run_info)


def _add_synthesis_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-o", "--output", type=file_path, required=True, metavar="OUT", help="the picture to write")
    parser.add_argument("--size", type=int, default=384, metavar="PX", help="long side (default: %(default)s)")
    parser.add_argument("--steps", type=int, metavar="N", help="evaluations (default: the preset's)")
    presets = ", ".join(PRESETS)
    parser.add_argument("--preset", default="course", metavar="NAME", help=f"{presets} (default: %(default)s)")
    parser.add_argument("--weights", metavar="W", help="compact, imagenet, or a file (default: by NST_PROFILE)")
    parser.add_argument("--style-weight", type=float, metavar="W", help="(default: the preset's)")
    parser.add_argument(
        "--scales", type=int, default=1, metavar="N", help="coarse to fine: N sizes, each twice the last"
    )
    parser.add_argument("--tile", type=int, metavar="PX", help="paint large pictures in tiles, to save memory")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: %(default)s)")
    parser.add_argument("--report", action="store_true", help="also write a sheet and a JSON record beside OUT")
    add_machine_options(parser)


def _synthesis_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments of ``transfer`` and ``texture`` that both commands share."""
    return {
        "preset": args.preset,
        "steps": args.steps,
        "weights": args.weights,
        "style_weight": args.style_weight,
        "scales": args.scales,
        "tile": args.tile,
        "seed": args.seed,
        "device": args.device,
        "precision": args.precision,
        "progress": not args.quiet,
    }


def _check(args: argparse.Namespace) -> None:
    """Raise an error for what can be known before the work."""
    check_size(args.size)
    check_output(args.output)
    if args.report:
        check_output(_sheet_path(args.output))
        try_place(args.output.with_suffix(".json"))


def run_transfer(args: argparse.Namespace) -> int:
    """Run ``nst transfer``."""
    _check(args)
    content, style = load(args.content, args.size), load(args.style, args.size)
    result = transfer(
        content, style, content_weight=args.content_weight, init=_read_init(args.init), **_synthesis_options(args)
    )
    names = {"content": str(args.content), "style": str(args.style)}
    return _write(result, args.output, names, [content, style], list(names), args.report)


def _read_init(init: str | None) -> Any:
    if init is None or init in INITS:
        return init
    if not Path(init).exists():
        raise SettingError(f"--init {init!r} is neither a picture nor one of {', '.join(INITS)}.")
    return load(init)


def run_texture(args: argparse.Namespace) -> int:
    """Run ``nst texture``."""
    _check(args)
    style = load(args.style, args.size)
    result = texture(style, **_synthesis_options(args))
    return _write(result, args.output, {"style": str(args.style)}, [style], ["style"], args.report)


def run_demo(args: argparse.Namespace) -> int:
    """Run ``nst demo``."""
    begin = time.perf_counter()
    _check(args)
    content, style = gallery.content(args.content, args.size), gallery.style(args.style, args.size)
    result = transfer(content, style, steps=args.steps, progress=True)
    names = {"content": args.content, "style": args.style}
    status = _write(result, args.output, names, [content, style], list(names.values()), args.report)
    print(f"{time.perf_counter() - begin:.1f} s in all")
    return status


def run_info(args: argparse.Namespace) -> int:
    """Run ``nst info``."""
    for key, value in describe().items():
        print(f"{key:10} {value}")
    return 0


def _sheet_path(output: Path) -> Path:
    return output.with_name(f"{output.stem}_sheet.jpg")


def _save_somewhere(image: Tensor, output: Path) -> Path:
    """Write the picture; where that fails after all the work, keep it in the temporary folder and say so.

    Raises:
        FileError: The picture is not where it should be; the message says where it is.
    """
    try:
        return save(image, output)
    except (FileError, ImageError) as error:
        try:
            place = save(image, Path(tempfile.mkdtemp(prefix="nst_"), output.name).with_suffix(".png"))
        except (OSError, FileError):  # there is no place for temporary files, either
            raise error from None
        raise FileError(f"{error} The picture is kept as '{place}'.") from error


def _write(
    result: Result, output: Path, names: dict[str, str], shown: Sequence[Tensor], labels: Sequence[str], report: bool
) -> int:
    """Write the picture, and with ``report`` a sheet and a JSON record; print what was done."""
    written = [_save_somewhere(result.image, output)]
    if report:
        sheet = side_by_side([*shown, result.image], [*labels, "result"])
        written.append(save(sheet, _sheet_path(output)))
        record = json.dumps({**names, **result.report()}, indent=1)
        written.append(write_atomically(output.with_suffix(".json"), record.encode()))
    if result.stopped != "finished":
        print_error(f"{result.stopped} after {len(result.records)} evaluations; this is the best picture so far.")
    if result.records:
        best, settings = result.best, result.settings
        print(
            f"extractor {settings['weights']}, preset {settings['name']}: content {best.content_total:.4g}, "
            f"style {best.style_total:.4g}, {result.seconds:.1f} s"
        )
    for path in written:
        print(path)
    return 0
