"""The entry point of ``nst`` and its parser.

What a user can fix ends in one line on standard error and exit status 2, never in a traceback.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..errors import OUT_OF_MEMORY, NstError, is_out_of_memory
from ..runtime import leave_dynamo_unloaded
from ..version import __version__
from . import networks, pictures
from .options import print_error


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        print_error(f"{message}; see '{self.prog} --help'.")
        raise SystemExit(2)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of ``nst``; each command stores its function as ``run``."""
    parser = _Parser(prog="nst", description="Neural style transfer on any machine.")
    parser.add_argument("--version", action="version", version=f"nst {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    pictures.add_parsers(commands)
    networks.add_parsers(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files that the terminal cannot show
    leave_dynamo_unloaded()
    try:
        args = build_parser().parse_args(argv)
        status: int = args.run(args)
        return status
    except NstError as error:
        print_error(error)
    except BrokenPipeError:  # the reader of our output, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print_error(f"{error.filename or 'a file'!r} cannot be used ({error.strerror or error}).")
    except KeyboardInterrupt:
        print_error("interrupted.")
        return 130
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print_error(OUT_OF_MEMORY)
    return 2
