"""`plugwarden`: all its commands, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from plugwarden_collector.api.client import ApiError
from plugwarden_collector.errors import CollectorError, RulesError, SettingsError
from plugwarden_collector.private import narrow_umask
from plugwarden_collector.wording import harmless

from . import sidecar
from .alerts import alerts
from .aside import aside
from .audit import audit_app
from .automation import freeze, unfreeze
from .backup import backup, restore
from .capacity import capacity
from .collector import collector
from .dashboards import dashboards, up
from .demo import demo
from .doctor import doctor
from .output import fail
from .plugins import plugins
from .quarantine import approve, decline, quarantine, quarantines, release
from .query import export, query
from .retention import retention
from .rules import rules_app
from .store import store_app

__all__ = ["main"]

UsageError: Any = typer.BadParameter.__mro__[1]
"""What every mistake in arguments is to Typer, which exports only this kind of it."""
Commands = tuple[Callable[..., None], ...]
OF_STORES: Commands = (backup, restore, aside, retention)
RUNNING: Commands = (collector, dashboards, up, demo)
ASKING: Commands = (query, plugins, alerts, quarantines, capacity, export, doctor)
ACTING: Commands = (quarantine, approve, decline, release, freeze, unfreeze)

app = typer.Typer(
    help="Watches the plugins inside a host, and isolates the ones that hurt it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
# In the order in which `plugwarden --help` lists them.
for command in OF_STORES:
    app.command()(command)
sidecar.register(app)
for command in (*RUNNING, *ASKING, *ACTING):
    app.command()(command)
app.add_typer(rules_app, name="rules")
app.add_typer(audit_app, name="audit")
app.add_typer(store_app, name="store")


def main() -> None:
    """Run the command; errors become one line and an exit code."""
    try:
        if not sidecar.is_handed_on(sys.argv[1:]):
            narrow_umask()
        raise SystemExit(app(standalone_mode=False))
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
    except OSError as error:
        if error.filename is None:
            raise  # nothing that somebody named
        fail(f"{str(error.filename)[:200]}: {error.strerror}; name another place", 2)
