"""The arguments of what is typed in a host's own environment."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from plugwarden.errors import ConfigurationError

from .emulate import add_emulate
from .host import add_init, add_run

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "run": "Start a host with its plugins wrapped, nothing in it changed.",
    "init": "Write a host file from what is installed.",
    "emulate": "Show what a plugin's callers would see with faults, as its manifest declares it.",
}
"""Command -> what it does. The collector's `plugwarden` has these too, and hands them on to here."""
_ADD = {"run": add_run, "init": add_init, "emulate": add_emulate}


def main(arguments: Sequence[str] | None = None, program: str = "plugwarden") -> int:
    """Run one command; return the exit code. What is wrong takes one line on standard error."""
    parser = argparse.ArgumentParser(program, description="Observe a host's plugins.")
    parser.set_defaults(program=program)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help in COMMANDS.items():
        _ADD[name](commands, help)
    given = parser.parse_args(arguments)
    try:
        code: int = given.act(given)
    except ConfigurationError as error:
        print(f"plugwarden: {error}", file=sys.stderr)
        return 1
    return code
