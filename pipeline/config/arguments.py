"""The command line of a command without a config; those with one leave theirs to Hydra."""

import inspect
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable


def parser_of(main: Callable[[], object]) -> ArgumentParser:
    """Return a parser that answers --help with what `main` says of itself, and refuses what it is not told to take."""
    spec = sys.modules[main.__module__].__spec__  # a module that runs is called __main__
    prog = f"python -m {spec.name if spec else main.__module__}"
    return ArgumentParser(prog, description=inspect.getdoc(main), formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False)


def no_arguments(main: Callable[[], object]) -> None:
    """Answer --help; refuse any other word of the command line."""
    parser_of(main).parse_args()


def positive(text: str) -> int:
    """Return the whole number from 1 on that an option has."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)
