"""Starts a host whose plugins are wrapped as they are loaded, and tells what was wrapped.

The host is the same program with one folder ahead on its path: the interpreter imports `sitecustomize` from it before any code of
the host's, as it would one that an administrator had put there. Processes that the host starts with Python inherit it.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from plugwarden.errors import ConfigurationError

from .handed import READ_VARIABLE, hand_on, handed_on
from .wanted import WantedPlugins, read

if TYPE_CHECKING:
    from .hooks import Placed

__all__ = ["FILE_VARIABLE", "REPORT_VARIABLE", "activate", "activate_in_otel", "run", "say_unobserved"]

SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")  # noqa: PTH100, PTH118, PTH120 - as below
FILE_VARIABLE = "PLUGWARDEN_HOST_FILE"
"""The host file; without it `activate` does nothing."""
_active = False
REPORT_VARIABLE = "PLUGWARDEN_HOST_REPORT"
"""When it is set: at its end, each process says on standard error what was wrapped, for a program where it is `json`."""


def run(file: str, command: Sequence[str], *, report: str = "") -> None:
    """Become the host; `report` is what `REPORT_VARIABLE` will be.

    Raises `ConfigurationError` when the host file is wrong or the program is not there.
    """
    raw, state = read(file)
    WantedPlugins.of_file(file, raw)
    if not command:
        raise ConfigurationError("the command is missing: plugwarden run -- python -m host")
    environ = {**os.environ, FILE_VARIABLE: os.path.realpath(file)}
    environ.pop(READ_VARIABLE, None)
    environ.update(hand_on(environ[FILE_VARIABLE], raw, state))
    environ["PYTHONPATH"] = os.pathsep.join([SITE, *filter(None, [os.environ.get("PYTHONPATH")])])
    if report:
        environ[REPORT_VARIABLE] = report
    sys.stdout.flush()
    try:
        os.execvpe(command[0], list(command), environ)  # noqa: S606 - what the user asked for, and no shell between
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        raise ConfigurationError(f"{command[0]}: there is no such program") from None


def activate() -> None:
    """Wrap the plugins of the host file in the host's interpreter, before its own code; asked again, do nothing. Raises
    `ConfigurationError` when the host file is wrong."""
    global _active
    file = os.environ.get(FILE_VARIABLE)
    if not file or _active:
        return
    _active = True
    from .hooks import Placed, place

    raw = handed_on(file, os.environ)
    placed = Placed(WantedPlugins.of_file(file, read(file)[0] if raw is None else raw))
    place(placed)
    if os.environ.get(REPORT_VARIABLE):
        process = os.getpid()
        atexit.register(lambda: _report(placed) if os.getpid() == process else None)


def activate_in_otel() -> None:
    """The same as a hook of `opentelemetry-instrument` (entry point group opentelemetry_pre_instrument).

    It is among what runs before the instrumentations, because one of those that fails takes all after it along. It must not
    raise: nothing would be instrumented then.
    """
    try:
        activate()
    except Exception as error:  # noqa: BLE001 - the host comes first
        say_unobserved(error)


def say_unobserved(error: Exception) -> None:
    """One line, and the host runs on as if there were nothing of ours."""
    print(f"plugwarden: nothing is observed: {error}", file=sys.stderr)


def _report(placed: Placed) -> None:
    program = os.path.basename(sys.argv[0]) if sys.argv else "python"  # noqa: PTH119 - as above
    if os.environ.get(REPORT_VARIABLE) == "json":
        wanted = [{"kind": kind, "name": name, "wrapped": count} for kind, name, count in placed.found()]
        told = {
            "event": "report",
            "program": program,
            "process": os.getpid(),
            "wanted": wanted,
            "faults": placed.faults,
        }
        print(json.dumps(told), file=sys.stderr)
        return
    for line in placed.report():
        print(f"plugwarden: {program}[{os.getpid()}]: {line}", file=sys.stderr)
