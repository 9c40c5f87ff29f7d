"""Directives: what the collector tells sidecars about a scope, and their wire form.

A directive set is always complete: it replaces the one before. Its revision only grows within an epoch; a collector
with a new database has a new epoch, so sidecars take its lower revision for what it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Action", "Directive", "DirectiveSet", "MalformedDirective", "Newcomers", "Scope"]

MAX_DIRECTIVES = 10_000
"""A set larger than this is refused: with hundreds of plugins it can only be a mistake or an attack."""
_MAX_TEXT = 1_000


class MalformedDirective(ValueError):
    """A directive set that does not follow the schema; the message names the field."""


class Action(StrEnum):
    """What a sidecar does with calls in the scope."""

    ISOLATE = "isolate"
    PROBE = "probe"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
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
        for name, value in (("operation", self.operation), ("instance", self.instance), ("tenant", self.tenant)):
            if value is not None:
                text += f" {name}={value}"
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
        plugin = _text(raw, "plugin")
        if not plugin:
            raise MalformedDirective("scope.plugin: must be a non-empty string")
        return cls(
            plugin,
            _text(raw, "version"),
            _text(raw, "operation"),
            _text(raw, "instance"),
            _text(raw, "tenant"),
        )


@dataclass(frozen=True, slots=True)
class Newcomers:
    """How a version that nobody has judged yet is let in while another version of its plugin is isolated."""

    known_versions: tuple[str, ...]
    """Versions that ran before the quarantine and stay allowed."""
    share_ratio: float
    """The share of calls a version outside `known_versions` gets, in [0, 1]."""


@dataclass(frozen=True, slots=True)
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
            if not all(isinstance(version, str) for version in versions):
                raise MalformedDirective("newcomers.known_versions: must be a list of versions")
            newcomers = Newcomers(tuple(versions), _ratio(newcomers, "share_ratio"))
        return cls(
            identity,
            action,
            Scope.from_dict(scope),
            _ratio(raw, "share_ratio"),
            _text(raw, "reason") or "",
            newcomers,
        )


@dataclass(frozen=True, slots=True)
class DirectiveSet:
    """Everything in force at one revision."""

    epoch: str = ""
    """The identity of the collector's database."""
    revision: int = 0
    """Grows with every change within an epoch."""
    directives: Sequence[Directive] = field(default_factory=tuple)
    """All directives in force."""

    def as_dict(self) -> dict[str, Any]:
        """The wire form."""
        return {
            "epoch": self.epoch,
            "revision": self.revision,
            "directives": [directive.as_dict() for directive in self.directives],
        }

    @classmethod
    def from_dict(cls, raw: Any) -> DirectiveSet:
        """Read the wire form; raises `MalformedDirective` naming the field. Nothing is accepted by halves."""
        if not isinstance(raw, Mapping):
            raise MalformedDirective("a directive set must be an object")
        revision, directives = raw.get("revision"), raw.get("directives")
        if not isinstance(revision, int) or isinstance(revision, bool) or revision < 0:
            raise MalformedDirective("revision: must be a whole number, 0 or more")
        if not isinstance(directives, list) or len(directives) > MAX_DIRECTIVES:
            raise MalformedDirective(f"directives: must be a list of at most {MAX_DIRECTIVES}")
        return cls(_text(raw, "epoch") or "", revision, tuple(Directive.from_dict(item) for item in directives))


def _text(raw: Mapping[str, Any], name: str) -> str | None:
    value = raw.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > _MAX_TEXT):
        raise MalformedDirective(f"{name}: must be a string of at most {_MAX_TEXT} characters")
    return value


def _ratio(raw: Mapping[str, Any], name: str) -> float:
    value = raw.get(name, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise MalformedDirective(f"{name}: must be a number from 0 to 1")
    return float(value)
