"""`run`, `init` and `emulate`: the sidecar's own commands, handed on to it as they were typed.

The sidecar has no `plugwarden` script of its own: two distributions with one script would overwrite each other's (ADR 0033).
"""

from __future__ import annotations

from collections.abc import Callable

import typer
from plugwarden.command import COMMANDS
from plugwarden.command import main as sidecar_main
from typer.core import TyperCommand

__all__ = ["COMMANDS", "is_handed_on", "register"]


def is_handed_on(arguments: list[str]) -> bool:
    """Whether these arguments are the sidecar's: what it starts then gets nothing of the collector's own habits."""
    return arguments[:1] != [] and arguments[0] in COMMANDS


def register(app: typer.Typer, name: str) -> None:
    """Add one of the commands."""
    app.command(name, help=COMMANDS[name], cls=_HandedOn)(_handing_on(name))


class _HandedOn(TyperCommand):
    """Reads none of its arguments, `--help` and `--` among them."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        ctx.args = list(args)
        return ctx.args


def _handing_on(name: str) -> Callable[[typer.Context], None]:
    def hand_on(context: typer.Context) -> None:
        raise SystemExit(sidecar_main([name, *context.args]))

    return hand_on
