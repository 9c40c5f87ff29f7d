"""`emulate`: what would happen to a plugin's callers, as its manifest declares it and with faults."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plugwarden.errors import ConfigurationError

from .layout import TextLayout

__all__ = ["add_emulate"]

MAX_SECONDS = 24 * 3600.0
MAX_CALLS = 5_000_000
"""Most calls of one emulation: a quarter of an hour at some 0.15 ms each."""


def add_emulate(commands: argparse._SubParsersAction[Any], help: str) -> None:
    """The arguments of `emulate`."""
    parser = commands.add_parser("emulate", help=help, description=help, epilog=_LANGUAGE, formatter_class=TextLayout)
    parser.add_argument("manifest", type=Path, help="the plugin's plugin.toml")
    parser.add_argument(
        "--faults", action="append", default=[], metavar="FAULTS", help="faults, or a file of them; may be given again"
    )
    parser.add_argument("--for", dest="seconds", default="60s", metavar="TIME", help="how long [60s]")
    parser.add_argument("--rate", default="20", metavar="N", help="calls a second of each operation [20]")
    parser.add_argument(
        "--latency", default="50ms", metavar="TIME", help="of an operation in good health, the median [50ms]"
    )
    parser.add_argument("--every", default="1s", metavar="TIME", help="how often a row is told [1s]")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the same seed, the same emulation [0]")
    parser.add_argument(
        "--async", dest="coroutines", action="store_true", help="operations are coroutines, not plain functions"
    )
    parser.add_argument("--real-time", action="store_true", help="wait as long as it would take")
    parser.add_argument(
        "--call", action="append", default=[], metavar="OPERATION=MODULE:FUNCTION",
        help="call the plugin's own function, in real time; may be given again",
    )  # fmt: skip
    parser.add_argument(
        "--arguments", action="append", default=[], metavar="OPERATION=JSON", help="what it is called with: a list, or an object"
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="an object a line")
    parser.set_defaults(act=_emulate)


_LANGUAGE = """\
faults, with commas between them:
  [OPERATION:] WHAT [on SHARE] [from TIME] [for TIME]
  latency=+2s  latency=2s  latency=x3      errors=50% [of EXCEPTION]
  hang   exit   memory=512MB   output=2MB  quarantine   probation=25%

  plugwarden emulate plugin.toml --faults "latency=+2s from 10s for 10s"
"""


def _emulate(given: argparse.Namespace) -> int:
    from plugwarden.emulate import Course, Terms, read_faults
    from plugwarden.emulate.faults import seconds_of
    from plugwarden.emulate.screen import JsonLines, Screen
    from plugwarden.manifest import Manifest

    manifest = Manifest.load(given.manifest)
    faults = [fault for text in given.faults for fault in read_faults(text, manifest.operations)]
    terms = Terms(
        seconds=seconds_of("--for", given.seconds),
        rate=_rate(given.rate),
        latency_seconds=seconds_of("--latency", given.latency),
        every_seconds=seconds_of("--every", given.every),
        seed=given.seed,
        coroutines=given.coroutines,
        functions=_functions(given.call, given.arguments, manifest.operations),
        real_time=given.real_time,
    )
    if terms.seconds > MAX_SECONDS:
        raise ConfigurationError("--for: at most 24h")
    if terms.seconds * terms.rate * len(manifest.operations) > MAX_CALLS:
        raise ConfigurationError(f"--rate: more than {MAX_CALLS} calls in all; take a lower rate or a shorter time")
    for fault in faults:
        if fault.from_seconds >= terms.seconds:
            raise ConfigurationError(
                f"--faults: {fault.text!r} begins after the end; make --for longer than {fault.from_seconds:g}s"
            )
    course = Course(manifest, faults, terms)

    had_enough = False

    def write(line: str) -> None:
        nonlocal had_enough
        try:
            print(line, flush=True)
        except BrokenPipeError:  # `| head` had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            had_enough = True
            course.stop()

    shown: Any = (JsonLines if given.json else Screen)(course, write)
    shown.begin()
    before = signal.signal(signal.SIGINT, lambda *_: course.stop())
    try:
        course.run(shown.tell, shown.say)
    finally:
        signal.signal(signal.SIGINT, before)
    shown.end()
    return 130 if course.cut_short and not had_enough else 0


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 100_000:
        raise ConfigurationError(f"--rate: {text!r:.40} is no number of calls a second above 0")
    return rate


def _functions(calls: list[str], arguments: list[str], operations: Any) -> dict[str, Callable[[], Any]]:
    given = {}
    for text in arguments:
        name, value = _pair("--arguments", text, operations)
        try:
            given[name] = json.loads(value)
        except ValueError as error:
            raise ConfigurationError(f"--arguments: {name}: not JSON: {error}") from None
        if not isinstance(given[name], list | dict):
            raise ConfigurationError(f"--arguments: {name}: {value!r:.40} is neither a list nor an object")
    found: dict[str, Callable[[], Any]] = {}
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` has it
    for text in calls:
        name, address = _pair("--call", text, operations)
        found[name] = _bound(_found(name, address), given.pop(name, []))
    for name in given:
        raise ConfigurationError(f"--arguments: {name}: is for a function; name it with --call {name}=MODULE:FUNCTION")
    return found


def _pair(option: str, text: str, operations: Any) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or name not in operations:
        raise ConfigurationError(
            f"{option}: {text!r:.60} does not begin with OPERATION=; there are {', '.join(operations)}"
        )
    return name, value


def _found(name: str, address: str) -> Callable[..., Any]:
    module, _, path = address.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:  # noqa: BLE001 - a module may raise anything
        raise ConfigurationError(f"--call: {name}: {address} is not there: {type(error).__name__}: {error}") from None
    if not callable(found):
        raise ConfigurationError(f"--call: {name}: {address} cannot be called")
    return found  # type: ignore[no-any-return]  # it was looked at just now


def _bound(function: Callable[..., Any], arguments: Any) -> Callable[[], Any]:
    import functools

    args, kwargs = ([], arguments) if isinstance(arguments, dict) else (arguments, {})
    return functools.partial(function, *args, **kwargs)
