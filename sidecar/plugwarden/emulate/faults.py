"""The language of faults: `latency=+2s from 10s for 10s, export: errors=50% of ConnectionError`.

    FAULTS    one or more FAULT, with commas or on lines of their own; # begins a comment
    FAULT     [OPERATION:] WHAT [on SHARE] [from TIME] [for TIME]
    WHAT      latency=+TIME   that much longer        latency=TIME    so long instead      latency=xNUMBER   so many times as long
              errors=SHARE [of EXCEPTION]   that share of the calls raises, a RuntimeError unless said
              hang            does not answer any more              exit            ends its process
              memory=SIZE     takes so much memory                  output=SIZE     answers so many bytes
              quarantine      the collector isolates the plugin     probation=SHARE lets a share of the calls through
    SHARE     50%, or 0.5     TIME  500ms, 2s, 1m     SIZE  512KB, 64MB, 1GB (by 1024)

Without OPERATION it is of all, without `from` from the start, without `for` to the end, without `on` of every call.
"""

from __future__ import annotations

import builtins
import importlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from plugwarden.errors import ConfigurationError
from plugwarden.nearest import hint

__all__ = ["Fault", "read_faults", "seconds_of", "share_of"]

KINDS = ("latency", "errors", "hang", "exit", "memory", "output", "quarantine", "probation")
_VALUED = {"latency": "+2s", "errors": "50%", "memory": "64MB", "output": "1MB", "probation": "25%"}
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB)", re.IGNORECASE)
_UNITS = {
    "ms": 0.001,
    "s": 1.0,
    None: 1.0,
    "m": 60.0,
    "h": 3600.0,
    "b": 1.0,
    "kb": 1024.0,
    "mb": 1024.0**2,
    "gb": 1024.0**3,
}
_LIKE_A_FILE = re.compile(r"[^\s,=:]+[./][^\s,=:]+")
MAX_OUTPUT_BYTES = 64 * 1024 * 1024
"""An answer is really made."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong for a while."""

    kind: str
    text: str
    """As it was written."""
    operation: str | None = None
    """None: of all."""
    amount: float = 0.0
    """Seconds or a factor, a share, or bytes."""
    how: str = ""
    """What a latency does to the time of a call: `+`, `=` or `x`."""
    error: type[Exception] = RuntimeError
    """What is raised."""
    share_ratio: float = 1.0
    """Share of the calls that the fault hits, in [0, 1]."""
    from_seconds: float = 0.0
    for_seconds: float = math.inf

    @property
    def ends_seconds(self) -> float:
        """When it is over."""
        return self.from_seconds + self.for_seconds

    def is_on(self, operation: str, at_seconds: float) -> bool:
        """Whether it bears on an operation now."""
        return self.operation in (None, operation) and self.from_seconds <= at_seconds < self.ends_seconds


def read_faults(given: str, operations: Iterable[str]) -> list[Fault]:
    """Read faults from a file of that name, or as they stand. Raises `ConfigurationError` naming the one that is wrong, and how it is
    written."""
    operations = tuple(operations)
    path = Path(given)
    try:
        is_file = "=" not in given and path.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file and _LIKE_A_FILE.fullmatch(given):
        raise ConfigurationError(f"--faults: {given}: there is no such file")
    where, text = "--faults", given
    if is_file:
        where = given
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{given}: cannot be read: {error}") from error
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for piece in line.partition("#")[0].split(","):
            if piece.strip():
                place = f"{where}: line {number}" if is_file else where
                found.append(_fault(place, piece.strip(), operations))
    if not found:
        raise ConfigurationError(
            f"{where}: there is no fault in it; one is, for instance, latency=+2s from 10s for 10s"
        )
    return found


def _fault(where: str, text: str, operations: tuple[str, ...]) -> Fault:
    place = f"{where}: {text!r:.80}"
    head, colon, rest = text.partition(":")
    operation = None
    if colon:
        operation = head.strip()
        if operation not in operations:
            raise ConfigurationError(f"{place}: {_unknown('operation', operation, operations)}")
        text = rest
    words = text.split()
    if not words:
        raise ConfigurationError(f"{place}: says no fault after the operation; {_known()}")
    kind, equals, value = words.pop(0).partition("=")
    if kind not in KINDS:
        raise ConfigurationError(f"{place}: {_unknown('fault', kind, KINDS)}")
    if (kind in _VALUED) != bool(equals and value):
        way = f"{kind}={_VALUED[kind]}" if kind in _VALUED else kind
        raise ConfigurationError(f"{place}: is written {way}")
    terms = _terms(place, words, kind)
    amount, how = _amount(place, kind, value)
    return Fault(
        kind,
        text.strip(),
        operation,
        amount,
        how,
        _error(place, terms["of"]) if "of" in terms else RuntimeError,
        share_of(f"{place}: on", terms["on"]) if "on" in terms else 1.0,
        seconds_of(f"{place}: from", terms["from"]) if "from" in terms else 0.0,
        seconds_of(f"{place}: for", terms["for"]) if "for" in terms else math.inf,
    )


def _terms(place: str, words: list[str], kind: str) -> dict[str, str]:
    known: tuple[str, ...] = ("on", "from", "for") if kind != "errors" else ("of", "from", "for")
    if kind in ("quarantine", "probation"):
        known = ("from", "for")
    terms: dict[str, str] = {}
    while words:
        name = words.pop(0)
        if name not in known:
            raise ConfigurationError(f"{place}: {_unknown('word', name, known)}")
        if not words:
            raise ConfigurationError(f"{place}: nothing stands after {name!r}")
        if name in terms:
            raise ConfigurationError(f"{place}: {name!r} stands twice")
        terms[name] = words.pop(0)
    return terms


def _amount(place: str, kind: str, value: str) -> tuple[float, str]:
    if kind == "latency":
        if value[0] == "x":
            try:
                return float(value[1:]), "x"
            except ValueError:
                raise ConfigurationError(f"{place}: {value!r} is no factor; write latency=x3") from None
        return seconds_of(f"{place}: latency", value.removeprefix("+")), "+" if value[0] == "+" else "="
    if kind in ("errors", "probation"):
        return share_of(f"{place}: {kind}", value), ""
    if kind in ("memory", "output"):
        sized = _SIZE.fullmatch(value)
        if sized is None:
            raise ConfigurationError(f"{place}: {kind}: {value!r} is no size; write 512KB, 64MB or 1GB")
        size = float(sized[1]) * _UNITS[sized[2].lower()]
        if kind == "output" and size > MAX_OUTPUT_BYTES:
            raise ConfigurationError(f"{place}: output: at most 64MB")
        return size, ""
    return 0.0, ""


def seconds_of(field: str, text: str) -> float:
    """A time above 0, as `500ms`, `2s`, `1m`. Raises `ConfigurationError` naming the field."""
    found = _TIME.fullmatch(text.strip())
    if found is None or (field.rpartition(": ")[2] != "from" and float(found[1]) == 0):
        raise ConfigurationError(f"{field}: {text!r:.40} is no time; write 500ms, 2s or 1m")
    return float(found[1]) * _UNITS[found[2]]


def share_of(field: str, text: str) -> float:
    """A share in (0, 1], as `50%` or `0.5`. Raises `ConfigurationError` naming the field."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise ConfigurationError(f"{field}: {text!r:.40} is no share; write 50% or 0.5")
    return share


def _error(place: str, name: str) -> type[Exception]:
    module, _, last = name.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module) if module else builtins, last, None)
    except Exception as error:  # noqa: BLE001 - a module may raise anything
        raise ConfigurationError(f"{place}: {module} cannot be imported: {type(error).__name__}: {error}") from None
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise ConfigurationError(f"{place}: {name} is no exception; write its full name, as builtins.ConnectionError")
    return kind


def _unknown(what: str, given: str, known: Iterable[str]) -> str:
    return f"there is no {what} {given!r:.60}; {hint(given, known)}"


def _known() -> str:
    return f"known are {', '.join(KINDS)}"
