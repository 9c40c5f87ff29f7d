"""Directives: what the collector tells sidecars about a scope, and their wire form.

A directive set is always complete: it replaces the one before. A directive in it that cannot be meant is left out by itself,
with the reason, so that it takes nothing from the others. Its revision only grows within an epoch; a collector
with a new database has a new epoch, so sidecars take its lower revision for what it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any

from .names import PARTS, name_fault
from .value import value

__all__ = [
    "MAX_DIRECTIVES",
    "MAX_REVISION",
    "MAX_SET_BYTES",
    "Action",
    "Directive",
    "DirectiveSet",
    "MalformedDirective",
    "Newcomers",
    "Scope",
    "within_bounds",
]

MAX_DIRECTIVES = 10_000
"""Most directives of a set; what comes after is left out: with hundreds of plugins it can only be a mistake or an attack."""
MAX_SET_BYTES = 8 * 1024 * 1024
"""Bytes of a set as JSON. A larger answer is refused unread, so the collector never makes one (`within_bounds`)."""
MAX_REVISION = (1 << 53) - 1
"""The largest whole number that every reader of JSON keeps. A thousand changes a second for 285,000 years."""
MAX_KNOWN_VERSIONS = 2_000
"""Most versions of a plugin in one directive; no service has more that are told apart."""
_MAX_TEXT = 1_000
_MAX_FAULTS = 20


class MalformedDirective(ValueError):
    """A directive, or a whole set, that does not follow the schema; the message names the field."""


class Action(StrEnum):
    """What a sidecar does with calls in the scope."""

    ISOLATE = "isolate"
    PROBE = "probe"
    ALLOW = "allow"


@value
class Scope:
    """What a quarantine covers: a plugin, narrowed by whatever else is set."""

    plugin: str
    """`plugin.id`."""
    version: str | None = None
    """`plugin.version`, or every version."""
    operation: str | None = None
    """`plugin.operation`, or every operation."""
    instance: str | None = None
    """`service.instance.id` of one host process, or all of them."""
    tenant: str | None = None
    """`tenant.id`, or all tenants."""

    def __str__(self) -> str:
        text = self.plugin if self.version is None else f"{self.plugin}@{self.version}"
        for part, name in (("operation", self.operation), ("instance", self.instance), ("tenant", self.tenant)):
            if name is not None:
                text += f" {part}={name}"
        return text

    def as_dict(self) -> dict[str, str | None]:
        """The wire form, every field present."""
        return {
            "plugin": self.plugin,
            "version": self.version,
            "operation": self.operation,
            "instance": self.instance,
            "tenant": self.tenant,
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Scope:
        """Read the wire form; raises `MalformedDirective` naming the field."""
        scope = cls(*(raw.get(part) for part in PARTS))  # type: ignore[arg-type]  # looked at in the next line
        fault = scope.fault()
        if fault is not None:
            raise MalformedDirective(f"scope.{fault}")
        return scope

    def fault(self) -> str | None:
        """What cannot be a scope's in it, and why, as `version: is longer than 200 characters`; None for a good one.

        All but the plugin may be empty: that stands for calls that name none.
        """
        for part, name in zip(
            PARTS, (self.plugin, self.version, self.operation, self.instance, self.tenant), strict=True
        ):
            if part == "plugin" or (name is not None and name != ""):
                why = name_fault(part, name)
                if why is not None:
                    return f"{part}: {why}"
        return None


@value
class Newcomers:
    """How a version that nobody has judged yet is let in while another version of its plugin is isolated."""

    known_versions: tuple[str, ...]
    """Versions that ran before the quarantine and stay allowed."""
    share_ratio: float
    """The share of calls a version outside `known_versions` gets, in [0, 1]."""


@value
class Directive:
    """One instruction about one scope."""

    id: str
    """The quarantine it comes from."""
    action: Action
    """What to do with calls in the scope."""
    scope: Scope
    """Which calls."""
    share_ratio: float = 0.0
    """For `probe`: the share of calls let through, in [0, 1]."""
    reason: str = ""
    """Plain language, shown to whoever asks why a call was refused."""
    newcomers: Newcomers | None = None
    """For `isolate` of one version: what happens to versions seen for the first time."""

    def as_dict(self) -> dict[str, Any]:
        """The wire form."""
        newcomers = None
        if self.newcomers is not None:
            newcomers = {
                "known_versions": list(self.newcomers.known_versions),
                "share_ratio": self.newcomers.share_ratio,
            }
        return {
            "id": self.id,
            "action": self.action.value,
            "scope": self.scope.as_dict(),
            "share_ratio": self.share_ratio,
            "reason": self.reason,
            "newcomers": newcomers,
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Directive:
        """Read the wire form; raises `MalformedDirective` naming the field."""
        if not isinstance(raw, Mapping):
            raise MalformedDirective("directives[]: must be an object")
        identity = _text(raw, "id")
        if not identity:
            raise MalformedDirective("id: must be a non-empty string")
        try:
            action = Action(str(raw.get("action")))
        except ValueError as error:
            raise MalformedDirective(f"action: {raw.get('action')!r} is none of {[*map(str, Action)]}") from error
        scope = raw.get("scope")
        if not isinstance(scope, Mapping):
            raise MalformedDirective("scope: must be an object")
        newcomers = raw.get("newcomers")
        if newcomers is not None:
            if not isinstance(newcomers, Mapping) or not isinstance(newcomers.get("known_versions"), list):
                raise MalformedDirective("newcomers.known_versions: must be a list of versions")
            versions = newcomers["known_versions"]
            if len(versions) > MAX_KNOWN_VERSIONS or not all(
                isinstance(version, str) and len(version) <= _MAX_TEXT for version in versions
            ):
                raise MalformedDirective(
                    f"newcomers.known_versions: must be a list of versions, at most {MAX_KNOWN_VERSIONS} of {_MAX_TEXT} characters"
                )
            newcomers = Newcomers(tuple(versions), _ratio(newcomers, "share_ratio"))
        return cls(
            identity,
            action,
            Scope.from_dict(scope),
            _ratio(raw, "share_ratio"),
            _text(raw, "reason", cut=True) or "",
            newcomers,
        )


@value
class DirectiveSet:
    """Everything in force at one revision."""

    epoch: str = ""
    """The identity of the collector's database."""
    revision: int = 0
    """Grows with every change within an epoch."""
    directives: Sequence[Directive] = field(default_factory=tuple)
    """All directives in force."""
    refused: Sequence[str] = field(default=(), compare=False)
    """What could not be meant and was left out when the set was read, a sentence each (the first few)."""
    refused_total: int = field(default=0, compare=False)
    """How many directives that are."""

    def as_dict(self) -> dict[str, Any]:
        """The wire form."""
        return {
            "epoch": self.epoch,
            "revision": self.revision,
            "directives": [directive.as_dict() for directive in self.directives],
        }

    @classmethod
    def from_dict(cls, raw: Any) -> DirectiveSet:
        """Read the wire form. A directive that cannot be meant is left out and named in `refused`, the others hold.

        Raises `MalformedDirective` naming the field where the set itself does not follow the schema.
        """
        if not isinstance(raw, Mapping):
            raise MalformedDirective("a directive set must be an object")
        revision, items = raw.get("revision"), raw.get("directives")
        if not isinstance(revision, int) or isinstance(revision, bool) or not 0 <= revision <= MAX_REVISION:
            raise MalformedDirective(f"revision: must be a whole number from 0 to {MAX_REVISION}")
        if not isinstance(items, list):
            raise MalformedDirective("directives: must be a list")
        epoch = _text(raw, "epoch") or ""
        found, faults = [], []
        for place, item in enumerate(items[:MAX_DIRECTIVES]):
            try:
                found.append(Directive.from_dict(item))
            except MalformedDirective as fault:
                faults.append(f"directives[{place}].{fault}")
        beyond = len(items) - MAX_DIRECTIVES
        if beyond > 0:
            faults.append(f"{beyond} directives beyond the first {MAX_DIRECTIVES}")
        total = len(items) - len(found)
        return cls(epoch, revision, tuple(found), tuple(faults[:_MAX_FAULTS]), total)


def within_bounds(directives: Sequence[Directive]) -> int:
    """How many of these, from the first on, one set can hold: no reader takes more than that many, or bytes beyond that."""
    room = MAX_SET_BYTES - 1_000  # what stands around them
    for place, directive in enumerate(directives[:MAX_DIRECTIVES]):
        room -= len(json.dumps(directive.as_dict())) + 2
        if room < 0:
            return place
    return min(len(directives), MAX_DIRECTIVES)


def _text(raw: Mapping[str, Any], name: str, *, cut: bool = False) -> str | None:
    value = raw.get(name)
    if isinstance(value, str) and cut:
        return value[:_MAX_TEXT]
    if value is not None and (not isinstance(value, str) or len(value) > _MAX_TEXT):
        raise MalformedDirective(f"{name}: must be a string of at most {_MAX_TEXT} characters")
    return value


def _ratio(raw: Mapping[str, Any], name: str) -> float:
    value = raw.get(name, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:  # which no NaN is
        raise MalformedDirective(f"{name}: must be a number from 0 to 1")
    return float(value)
