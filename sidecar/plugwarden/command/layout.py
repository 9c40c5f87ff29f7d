"""How help is laid out: as wide as the terminal.

`argparse` makes a formatter for each argument that it is told of, long before there is anything to lay out, and its own asks `shutil`
for the width, which loads three compressors; so `plugwarden run` would pay for them before each host.
"""

from __future__ import annotations

import argparse
import os
import sys

__all__ = ["Layout", "TextLayout"]

USUAL_COLUMNS = 80


class Layout(argparse.HelpFormatter):
    """`argparse`'s own, and the width of the terminal."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


class TextLayout(argparse.RawDescriptionHelpFormatter, Layout):
    """The same, with texts that are laid out already."""


def _columns() -> int:
    """As `shutil.get_terminal_size` has it: what the variable says, else the terminal, else the usual."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or USUAL_COLUMNS  # type: ignore[union-attr]  # None is caught
    except (AttributeError, ValueError, OSError):
        return USUAL_COLUMNS
