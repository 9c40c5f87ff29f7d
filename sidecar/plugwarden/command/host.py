"""`run` and `init`: a host with its plugins wrapped, nothing in it changed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from plugwarden.errors import ConfigurationError

from .layout import Layout

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["add_init", "add_run"]


def add_run(commands: argparse._SubParsersAction[Any], help: str) -> None:
    """The arguments of `run`."""
    parser = commands.add_parser("run", help=help, description=help, formatter_class=Layout)
    parser.add_argument("--file", default="plugwarden.toml", help="the host file [plugwarden.toml]")
    parser.add_argument("--report", action="store_true", help="at the end, say what was wrapped")
    parser.add_argument("--json", action="store_true", help="the same as an object a process, on standard error")
    parser.add_argument("host", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="what starts the host")
    parser.set_defaults(act=_run)


def add_init(commands: argparse._SubParsersAction[Any], help: str) -> None:
    """The arguments of `init`."""
    from pathlib import Path  # here and below, for `run` has no use for it, and a host waits for that

    parser = commands.add_parser("init", help=help, description=help, formatter_class=Layout)
    parser.add_argument(
        "--file", type=Path, default=Path("plugwarden.toml"), help="where to [plugwarden.toml]; - prints it"
    )
    parser.add_argument("--group", action="append", default=[], help="only this entry-point group; may be given again")
    parser.add_argument("--service", default=Path.cwd().name or "host", help="the host's name")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    parser.add_argument("--json", action="store_true", help="say what was written as an object")
    parser.set_defaults(act=_init)


def _run(given: argparse.Namespace) -> int:
    from plugwarden.auto.run import run

    report = "json" if given.json else "1" if given.report else ""
    run(given.file, given.host[1:] if given.host[:1] == ["--"] else given.host, report=report)
    return 0


def _init(given: argparse.Namespace) -> int:
    import json

    from plugwarden.auto.installed import host_file, plugin_groups

    groups = plugin_groups()
    for group in given.group:
        if group not in groups:
            raise ConfigurationError(
                f"--group: nothing is installed for {group}; there are {', '.join(groups) or 'none'}"
            )
    wanted = {name: points for name, points in groups.items() if not given.group or name in given.group}
    text = host_file(wanted, given.service)
    printed = str(given.file) == "-"
    then = f"{given.program} run -- COMMAND"
    if not printed:
        _write(given, text)
    if given.json:
        told = {"file": None if printed else str(given.file), "service": given.service, "groups": wanted, "then": then}
        print(json.dumps(told | {"text": text} if printed else told))
    elif printed:
        print(text, end="")
    else:
        print(f"{given.file}: {len(wanted)} groups; take out what is no plugin, then: {then}")
    return 0


def _write(given: argparse.Namespace, text: str) -> None:
    file: Path = given.file
    try:
        with file.open("w" if given.force else "x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise ConfigurationError(f"{file} is there already; --force writes over it") from None
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be written: {error.strerror}") from error
