"""`plugwarden`: all its commands, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn

import typer
from typer.main import get_group

from plugwarden_collector.api.refusals import ApiError
from plugwarden_collector.errors import CollectorError, RulesError, SettingsError
from plugwarden_collector.left_out import leave_out
from plugwarden_collector.private import narrow_umask
from plugwarden_collector.wording import harmless

from . import sidecar
from .output import fail

__all__ = ["main", "run"]

UsageError: Any = typer.BadParameter.__mro__[1]
"""What every mistake in arguments is to Typer, which exports only this kind of it."""
LOOKS: dict[str, Any] = {"add_completion": False, "rich_markup_mode": None, "pretty_exceptions_enable": False}
MODULES = {
    "backup": "backup",
    "restore": "backup",
    "aside": "aside",
    "retention": "retention",
    **dict.fromkeys(sidecar.COMMANDS, "sidecar"),
    "collector": "collector",
    "dashboards": "dashboards",
    "up": "dashboards",
    "demo": "demo",
    "query": "query",
    "plugins": "plugins",
    "upstreams": "upstreams",
    "traces": "trace",
    "trace": "trace",
    "logs": "logs",
    "slos": "slos",
    "watch": "watch",
    "alerts": "alerts",
    "silences": "silences",
    "ack": "silences",
    "runbook": "alerts",
    "notifications": "notifications",
    "quarantines": "quarantine",
    "corrections": "corrections",
    "capacity": "capacity",
    "export": "query",
    "doctor": "doctor",
    "quarantine": "quarantine",
    "approve": "quarantine",
    "decline": "quarantine",
    "release": "quarantine",
    "freeze": "automation",
    "unfreeze": "automation",
    "rules": "rules",
    "audit": "audit",
    "store": "store",
    "version": "version",
}
"""Command -> the module beside this one that has it, in the order in which `plugwarden --help` lists them."""


class _Commands(Mapping[str, Any]):
    """The commands, each loaded when it is asked for: none waits for what another one needs."""

    def __getitem__(self, name: str) -> Any:
        module = import_module(f".{MODULES[name]}", __package__)
        one = typer.Typer(**LOOKS)
        if name in sidecar.COMMANDS:
            module.register(one, name)
        elif hasattr(module, f"{name}_app"):
            one.add_typer(getattr(module, f"{name}_app"), name=name)
        else:
            one.command(name)(getattr(module, name))
        return get_group(one).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


app = get_group(
    typer.Typer(
        help="Watches the plugins inside a host, and isolates the ones that hurt it.",
        epilog="--version and -V are the command version.",
        no_args_is_help=True,
        **LOOKS,
    )
)
app.commands = _Commands()  # type: ignore[assignment]  # it is only read


def main() -> NoReturn:
    """Be the process of a command."""
    arguments = sys.argv[1:]
    if not sidecar.is_handed_on(arguments):
        narrow_umask()
        # pyarrow loads pandas with the first array that it makes, and httpcore2 the loop trio: a third of a collector's start.
        leave_out("pandas", "trio")
    run(arguments)


def run(arguments: Sequence[str]) -> NoReturn:
    """Run a command in this process; errors become one line and an exit code."""
    if arguments and arguments[0] in ("--version", "-V"):
        arguments = ["version", *arguments[1:]]
    try:
        raise SystemExit(app(list(arguments), standalone_mode=False))
    except UsageError as error:
        error.message = harmless(error.message)  # it quotes what was typed
        error.show()
        raise SystemExit(error.exit_code) from error
    except typer.Abort:
        fail("aborted")
    except ApiError as error:
        hint = ""
        if error.status == 0:
            hint = ". Start one with `plugwarden up`, or name another with --url"
        elif error.status == 401:
            hint = " (PLUGWARDEN_TOKEN is read from the environment)"
        fail(f"{error}{hint}")
    except RulesError as error:
        fail(error.lines)
    except SettingsError as error:
        fail(str(error), 2)
    except CollectorError as error:
        fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `| head` had enough
        raise SystemExit(0) from None
    except OSError as error:
        if error.filename is None:
            raise  # nothing that somebody named
        fail(f"{str(error.filename)[:200]}: {error.strerror}; name another place", 2)
