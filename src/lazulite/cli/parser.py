"""The parts that commands are declared with: help with examples, and the options that several of them have."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from lazulite.core.command_line import RESOURCE_GROUP, WORKSPACE
from lazulite.core.numbers import whole_number


class Help(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=26)


def add_command(
    commands: Any,
    name: str,
    function: Callable[[argparse.Namespace], int] | None,
    summary: str,
    *,
    description: str = "",
    examples: str = "",
    home: bool = True,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=description or summary[0].upper() + summary[1:] + ".",
        formatter_class=Help,
        epilog=f"examples:\n{examples}" if examples else None,
    )
    parser.set_defaults(parser=parser)
    if function is not None:
        parser.set_defaults(function=function)
    if home:
        parser.add_argument(
            "--home", metavar="DIR", help="the server's folder (default: LAZULITE_HOME, else ~/.lazulite)"
        )
    return parser


def add_workspace(parser: argparse.ArgumentParser) -> None:
    where = "that of config.json here or above, else"
    parser.add_argument("--workspace", metavar="W", help=f"workspace (default: {where} {WORKSPACE})")
    parser.add_argument("--group", metavar="G", help=f"its resource group (default: {where} {RESOURCE_GROUP})")
    parser.add_argument("--subscription", metavar="S", help="its subscription (default: likewise)")


def port(text: str) -> int:
    number = whole_number(text, 0, 65535)
    if number is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port (0 to 65535; 0 picks a free one)")
    return number
