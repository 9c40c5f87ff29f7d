"""The arguments of what is typed in a host's own environment."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from plugwarden.errors import ConfigurationError

from .layout import Layout

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "run": "Start a host with its plugins wrapped, nothing in it changed.",
    "init": "Write a host file from what is installed.",
    "emulate": "Show what a plugin's callers would see with faults, as its manifest declares it.",
}
"""Command -> what it does. The collector's `plugwarden` has these too, and hands them on to here."""
_HOMES = {"run": "host", "init": "host", "emulate": "emulate"}
"""Where the arguments of each stand. Only what is typed is loaded: a host is started for every file that somebody saves."""


def main(arguments: Sequence[str] | None = None, program: str = "plugwarden") -> int:
    """Run one command; return the exit code. What is wrong takes one line on standard error."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(program, description="Observe a host's plugins.", formatter_class=Layout)
    parser.set_defaults(program=program)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", prog=program)
    typed = [name for name in arguments[:1] if name in COMMANDS]
    for name in typed or COMMANDS:
        getattr(importlib.import_module(f".{_HOMES[name]}", __package__), f"add_{name}")(commands, COMMANDS[name])
    given = parser.parse_args(arguments)
    try:
        code: int = given.act(given)
    except ConfigurationError as error:
        print(f"plugwarden: {error}", file=sys.stderr)
        return 1
    return code
