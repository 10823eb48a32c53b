"""The command line: ``nst transfer``, ``texture``, ``demo``, ``info``; networks: see ``cli_networks``.

What a user can mend ends in one line on standard error and exit status 2, never in a traceback.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import NoReturn

from . import cli_networks
from .errors import NstError, SettingError

DEMO = {"content": "chelsea", "style": "stained_glass", "size": 384, "steps": 300}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"nst: {message}; see '{self.prog} --help'.", file=sys.stderr)
        raise SystemExit(2)


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="nst", description="Neural style transfer on any machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    transfer = commands.add_parser("transfer", help="paint one picture in the style of another")
    transfer.add_argument("content", type=Path, metavar="CONTENT")
    transfer.add_argument("style", type=Path, metavar="STYLE")
    transfer.add_argument("--content-weight", type=float, metavar="W")
    transfer.add_argument("--init", metavar="START", help="content, content+noise, noise, grey, or a picture's path")

    texture = commands.add_parser("texture", help="make a new picture with the texture of one")
    texture.add_argument("style", type=Path, metavar="STYLE")

    for command in (transfer, texture):
        command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="the picture to write")
        command.add_argument("--size", type=int, default=384, metavar="PX", help="long side (default 384)")
        command.add_argument("--steps", type=int, metavar="N", help="evaluations (default: the preset's)")
        command.add_argument(
            "--preset", default="course", help="course, gatys2016, gatys_pytorch, pytorch_tutorial ..."
        )
        command.add_argument("--weights", metavar="W", help="compact, imagenet, or a file (default: by NST_SCALE)")
        command.add_argument("--style-weight", type=float, metavar="W")
        command.add_argument("--scales", type=int, default=1, metavar="N", help="paint small first: N sizes, doubling")
        command.add_argument("--tile", type=int, metavar="PX", help="paint large pictures in tiles, to save memory")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: a GPU if there is one)")
        command.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
        command.add_argument("--report", action="store_true", help="also write a sheet and a JSON record beside OUT")
        command.add_argument("--quiet", action="store_true", help="no progress bar")

    demo = commands.add_parser("demo", help="a first transfer with what comes with the package")
    demo.add_argument("-o", "--output", type=Path, default=Path("out/demo.png"), metavar="OUT")
    demo.add_argument("--style", default=DEMO["style"], metavar="NAME", help="a style of data/styles")
    demo.add_argument("--content", default=DEMO["content"], metavar="NAME", help="a photo of scikit-image")
    demo.add_argument("--size", type=int, default=DEMO["size"], metavar="PX")
    demo.add_argument("--steps", type=int, default=DEMO["steps"], metavar="N")

    commands.add_parser("info", help="device, extractor, versions")
    cli_networks.add_parsers(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    try:
        args = build_parser().parse_args(argv)
        return RUN[args.command](args)
    except NstError as error:
        print(f"nst: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print("nst: there is not enough memory for this size; use a smaller --size or --tile 512.", file=sys.stderr)
        return 2
    except RuntimeError as error:  # torch has no type of its own for this on the CPU
        if "memory" not in str(error).lower():
            raise
        print("nst: there is not enough memory for this size; use a smaller --size or --tile 512.", file=sys.stderr)
        return 2


def _info(args: argparse.Namespace) -> int:
    from .runtime import describe

    for key, value in describe().items():
        print(f"{key:10} {value}")
    return 0


def _options(args: argparse.Namespace) -> dict:
    """The options of ``synthesis.paint`` that all commands share."""
    from .images import MIN_SIDE

    if args.size < MIN_SIDE:
        raise SettingError(f"--size must be at least {MIN_SIDE} pixels, not {args.size}.")
    if args.steps is not None and args.steps < 1:
        raise SettingError(f"--steps must be at least 1, not {args.steps}.")
    _check_output(args.output)  # before the work, not after it
    return {
        "preset": args.preset, "steps": args.steps, "weights": args.weights, "style_weight": args.style_weight,
        "scales": args.scales, "tile": args.tile, "seed": args.seed, "device": args.device,
        "precision": args.precision, "progress": not args.quiet,
    }  # fmt: skip


def _check_output(path: Path) -> None:
    from PIL import Image

    from .errors import ImageError

    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in Image.SAVE:
        raise ImageError(f"'{path}' does not end in a picture's suffix; use .png, .jpg or .webp.")
    folder = next((p for p in path.parents if p.exists()), None)
    if path.is_dir() or (folder is not None and not folder.is_dir()):
        raise ImageError(f"'{path}' cannot be written; choose another place.")


def _transfer(args: argparse.Namespace) -> int:
    from .images import load
    from .starts import STARTS
    from .synthesis import transfer

    options = _options(args)
    content, style = load(args.content, args.size), load(args.style, args.size)
    start = args.init
    if start is not None and start not in STARTS:
        if not Path(start).exists():
            raise SettingError(f"--init {start!r} is neither a picture nor one of {', '.join(STARTS)}.")
        start = load(start)
    result = transfer(content, style, content_weight=args.content_weight, start=start, **options)
    names = {"content": str(args.content), "style": str(args.style)}
    return _finish(result, args.output, [content, style], ["content", "style"], names, args.report)


def _texture(args: argparse.Namespace) -> int:
    from .images import load
    from .synthesis import texture

    options = _options(args)
    style = load(args.style, args.size)
    result = texture(style, **options)
    return _finish(result, args.output, [style], ["style"], {"style": str(args.style)}, args.report)


def _demo(args: argparse.Namespace) -> int:
    from . import gallery
    from .synthesis import transfer

    begin = time.perf_counter()
    args.preset, args.weights, args.style_weight, args.seed = "course", None, None, 0
    args.scales, args.tile, args.device, args.precision, args.quiet = 1, None, None, "auto", False
    options = _options(args)
    name = args.style
    content, style = gallery.content(args.content, args.size), gallery.style(name, args.size)
    result = transfer(content, style, **options)
    names = {"content": args.content, "style": name}
    status = _finish(result, args.output, [content, style], [args.content, name], names, report=True)
    print(f"{time.perf_counter() - begin:.1f} s in all")
    return status


def _finish(result, output: Path, shown: list, labels: list[str], names: dict, report: bool) -> int:  # noqa: ANN001
    from .images import save, side_by_side, write_atomically

    written = [save(result.image, output)]
    if report:
        sheet = side_by_side([*shown, result.image], [*labels, "result"])
        written.append(save(sheet, output.with_name(f"{output.stem}_sheet.jpg")))
        record = output.with_suffix(".json")
        write_atomically(record, json.dumps({**names, **result.report()}, indent=1).encode())
        written.append(record)
    best = result.best
    if result.stopped != "finished":
        print(
            f"nst: {result.stopped} after {len(result.records)} evaluations; this is the best picture so far.",
            file=sys.stderr,
        )
    used = f"extractor {result.settings['weights']}, preset {result.settings['name']}"
    print(f"{used}: content {best.content_total:.4g}, style {best.style_total:.4g}, {result.seconds:.1f} s")
    for path in written:
        print(path)
    return 0


RUN = {
    "transfer": _transfer, "texture": _texture, "demo": _demo, "info": _info, "train": cli_networks.run_train,
    "stylize": cli_networks.run_stylize, "models": cli_networks.run_models, "export": cli_networks.run_export,
}  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
