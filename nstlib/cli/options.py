"""Options that several commands share, and options made from the fields of a dataclass."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import sys
import types
import typing
from pathlib import Path
from typing import Any, Literal

from ..errors import whole_number
from ..images import MIN_SIDE
from ..runtime import PRECISIONS

Commands = Any
"""What ``ArgumentParser.add_subparsers`` returns; its type is private to argparse."""


def print_error(message: object) -> None:
    """Print a message on standard error, as one line also if the name of a file in it has several."""
    print("nst:", " ".join(str(message).split()), file=sys.stderr)


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``, ``--precision`` and ``--quiet``."""
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: a GPU if there is one)")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="precision of the convolutions (default: %(default)s)"
    )
    add_quiet(parser)


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add ``--quiet``."""
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")


def file_path(text: str) -> Path:
    """Return the path on a command line; argparse reports an empty one, or one that no file can have."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a file or folder")
    return Path(text)


def check_size(size: int | None) -> None:
    """Raise SettingError for a ``--size`` that is too small; ``images.load`` refuses one that is too large."""
    if size is not None:
        whole_number("--size", size, MIN_SIDE)


def add_fields(parser: argparse.ArgumentParser, config: Any) -> None:
    """Add one option per field of a dataclass object: its type, its documentation, its value as the default.

    An option that is not given is None in the result, so that a configuration file can be told from the command line.
    """
    hints, help_texts = typing.get_type_hints(type(config)), field_docs(type(config))
    for field in dataclasses.fields(config):
        option, text = f"--{field.name.replace('_', '-')}", help_texts[field.name].replace("%", "%%")
        default = getattr(config, field.name)
        if default is not None and default is not False and default not in ("", ()):
            text += f" (default: {default})"
        hint = hints[field.name]
        if hint is bool:
            parser.add_argument(option, action="store_true", default=None, help=text)
        elif hint == tuple[str, ...]:
            parser.add_argument(option, nargs="+", metavar="X", help=text)
        elif hint == tuple[int, ...]:
            parser.add_argument(option, nargs="+", type=int, metavar="X", help=text)
        elif typing.get_origin(hint) is Literal:
            parser.add_argument(option, choices=typing.get_args(hint), help=text)
        else:
            parser.add_argument(option, type=_scalar_type(hint), metavar="X", help=text)


def given_fields(args: argparse.Namespace, cls: type) -> dict[str, Any]:
    """Return the fields of a dataclass that were given on the command line."""
    names = [field.name for field in dataclasses.fields(cls)]
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def field_docs(cls: type) -> dict[str, str]:
    """Return the description of each attribute in the "Attributes:" section of a class's docstring."""
    section = (inspect.getdoc(cls) or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()).rstrip(".") for name, text in entries}


def _scalar_type(hint: Any) -> type:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    scalar: type = next(kind for kind in kinds if kind is not type(None))
    return scalar
