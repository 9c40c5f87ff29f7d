"""Reads what is pushed, by Prometheus or by an Alertmanager's webhook; what is wrong with one alert is no reason to lose the others.

Alertmanager stores the good alerts of a request that holds bad ones and answers 400 (its `api/v2`, postAlertsHandler), but gives
up the whole request at the first time or label that JSON cannot be decoded into. Here both are the fault of that alert alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from plugwarden_collector.decide.labels import TOLD_BY, TOLDER
from plugwarden_collector.matcher import MAX_NAME, MAX_VALUE  # what a matcher cannot say nobody could silence

__all__ = [
    "MAX_ALERTS",
    "RESOLVE_TIMEOUT",
    "TOLD_AGAIN",
    "MalformedAlertsError",
    "PushedAlert",
    "Refused",
    "read_alerts",
    "read_notice",
]

RESOLVE_TIMEOUT = timedelta(minutes=5)
"""An alert without an end, or one that we were away for, ends when it was not pushed for this long (Alertmanager's default)."""
TOLD_AGAIN = timedelta(days=1)
"""An alert of an Alertmanager's webhook, which tells its end, fires for this long at most unless it is told again: six times its
`repeat_interval`, which is 4 h unless somebody sets it."""

MAX_ALERTS = 10_000
"""In one request: Prometheus sends at most 256 (`--alertmanager.notification-batch-size`)."""
MAX_LABELS = 64
MAX_TEXT = 16 * 1024
"""Characters of one alert in all, annotations included: ten thousand alerts of this size are 160 MB in the store, and no more."""
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,12})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
"""RFC 3339."""
_YEARS = range(1970, 9000)


class MalformedAlertsError(ValueError):
    """The body is not a list of alerts: nothing of it can be used."""


@dataclass(frozen=True, slots=True)
class PushedAlert:
    """One alert as it was pushed."""

    fingerprint: str
    """Hash of its labels, which are its identity."""
    labels: Mapping[str, str]
    """Sorted; labels without a value are left out, as Alertmanager does."""
    annotations: Mapping[str, str]
    starts_at: datetime | None
    """UTC; None where the sender leaves it to us."""
    ends_at: datetime | None
    """UTC; past: it is over; None: until it is no longer pushed."""
    generator: str
    lasts: timedelta = RESOLVE_TIMEOUT
    """How long it fires without an end, unless it is pushed again."""

    def is_told_by(self, tolder: str) -> bool:
        """Whether this collector told it, and it comes back. Versions before the label existed did not say which: theirs count as ours."""
        name, value = TOLD_BY
        return self.labels.get(TOLDER, tolder if self.annotations.get(name) == value else None) == tolder

    @property
    def digest(self) -> bytes:
        """Return a hash of everything that is shown: a repeat has the same. When it will end is not part of it."""
        shown = [dict(self.labels), sorted(self.annotations.items()), str(self.starts_at), self.generator]
        return hashlib.blake2b(json.dumps(shown).encode(), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Refused:
    """One alert that was not taken."""

    index: int
    """Its place in the request, from 0."""
    field: str
    """Empty: the alert as a whole."""
    why: str


class _Bad(Exception):
    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}")
        self.field, self.why = field, why


def read_alerts(body: bytes) -> tuple[list[PushedAlert], list[Refused]]:
    """The alerts of a request, and those that are none; raises `MalformedAlertsError` when it holds no list of them."""
    items = _decoded(body)
    if not isinstance(items, list):
        raise MalformedAlertsError("the body must be a list of alerts, as Prometheus posts them")
    return _each(items, _alert)


def read_notice(body: bytes) -> tuple[list[PushedAlert], list[Refused]]:
    """The alerts of what an Alertmanager posts to a webhook (`webhook_configs`, version 4 of its payload), and those that are none; raises
    `MalformedAlertsError` when it is no such notice."""
    notice = _decoded(body)
    if not isinstance(notice, dict) or notice.get("version") != "4" or not isinstance(notice.get("alerts"), list):
        raise MalformedAlertsError('the body must be a notice of version "4" with alerts, as webhook_configs posts it')
    return _each(notice["alerts"], _told)


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits and broken UTF-8 are ValueErrors
        raise MalformedAlertsError(f"the body is not JSON: {str(error)[:200]}") from error


def _each(items: Sequence[Any], read: Callable[[Any], PushedAlert]) -> tuple[list[PushedAlert], list[Refused]]:
    if len(items) > MAX_ALERTS:
        raise MalformedAlertsError(
            f"{len(items)} alerts in one request; at most {MAX_ALERTS} are taken, send the rest in others"
        )
    found: list[PushedAlert] = []
    refused: list[Refused] = []
    for index, item in enumerate(items):
        try:
            found.append(read(item))
        except _Bad as error:
            refused.append(Refused(index, error.field, error.why))
    return found, refused


def _told(item: Any) -> PushedAlert:
    """Return an alert of a notice: its status says whether it is over."""
    alert = _alert(item)
    match item.get("status"):
        case "firing":
            return replace(alert, ends_at=None, lasts=TOLD_AGAIN)
        case "resolved" if alert.ends_at is not None:
            return alert
        case "resolved":
            raise _Bad("endsAt", "is missing: what is resolved has ended at some time")
        case status:
            raise _Bad("status", f"{ascii(status)[:60]} is neither firing nor resolved")


def _alert(item: Any) -> PushedAlert:
    if not isinstance(item, dict):
        raise _Bad("", "must be an object with labels")
    labels = _texts(item, "labels", MAX_VALUE)
    labels = {name: value for name, value in sorted(labels.items()) if value}
    if not labels:
        raise _Bad("labels", "there is none with a value; at least one is needed")
    annotations = _texts(item, "annotations", MAX_TEXT)
    generator = item.get("generatorURL") or ""
    _check_text(generator, "generatorURL", MAX_TEXT)
    size = len(generator) + sum(len(name) + len(value) for name, value in (*labels.items(), *annotations.items()))
    if size > MAX_TEXT:
        raise _Bad("", f"has {size} characters of labels and annotations; at most {MAX_TEXT} are taken")
    starts_at, ends_at = _moment(item, "startsAt"), _moment(item, "endsAt")
    if starts_at is not None and ends_at is not None and ends_at < starts_at:
        raise _Bad("endsAt", "is before startsAt")
    fingerprint = "x-" + hashlib.blake2b(json.dumps(labels).encode(), digest_size=8).hexdigest()
    return PushedAlert(fingerprint, labels, annotations, starts_at, ends_at, generator)


def _texts(item: Mapping[str, Any], field: str, limit: int) -> dict[str, str]:
    found = item.get(field)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _Bad(field, "must be an object of strings")
    if len(found) > MAX_LABELS:
        raise _Bad(field, f"has {len(found)} names; at most {MAX_LABELS} are taken")
    for name, value in found.items():
        if not name or len(name) > MAX_NAME or not name.isprintable():
            raise _Bad(
                field, f"a name must have 1 to {MAX_NAME} characters that can be seen, which {ascii(name)[:60]} has not"
            )
        _check_text(value, f"{field}.{name}", limit)
    return found


def _check_text(value: Any, field: str, limit: int) -> None:
    if not isinstance(value, str):
        raise _Bad(field, "must be a string")
    if len(value) > limit:
        raise _Bad(field, f"has {len(value)} characters; at most {limit} are taken")
    if "\0" in value:
        raise _Bad(field, "holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Bad(field, "holds half of a surrogate pair, which is no character") from None


def _moment(item: Mapping[str, Any], field: str) -> datetime | None:
    text = item.get(field)
    if text is None or text == "":
        return None
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        raise _Bad(field, f"{ascii(text)[:60]} is not RFC 3339, such as 2026-01-01T12:00:00Z")
    if text.startswith("0001-01-01"):
        return None  # Go's zero time
    try:
        # Python reads nanoseconds and leaves out what is below a microsecond.
        moment = datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment.year not in _YEARS:
        raise _Bad(field, f"{text[:60]!r} is no time from {_YEARS.start} to {_YEARS.stop - 1}")
    return moment
