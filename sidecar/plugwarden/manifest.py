"""A plugin's own declaration, as TOML or as keywords: who it is, what it does, what it needs, what may be expected of it.

    [plugin]
    id = "csv-export"
    version = "1.4.0"
    owner = "reports team"
    criticality = "normal"

    [downstreams]
    geo-api = ["urllib.error.URLError"]

    [touches]
    read = ["/srv/templates"]
    network = false

    [operations.export]
    timeout = 2.0
    concurrency = 4
    runner = "process"
    fallback = { last_good_seconds = 300 }
    objective = { availability = 0.999, latency_seconds = 0.5 }

Errors name the field by its path, as in `operations.export.timeout`.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from plugwarden.contract import Criticality, name_fault
from plugwarden.contract.value import value
from plugwarden.declared_errors import Errors, Status
from plugwarden.errors import ConfigurationError
from plugwarden.exception_names import check_name
from plugwarden.fallback import Fallback, LastGood, Value
from plugwarden.gate import BreakerPolicy, BulkheadPolicy, QuotaPolicy, RatePolicy
from plugwarden.grants import Grants
from plugwarden.nearest import hint
from plugwarden.touches import Touches
from plugwarden.way_back import Versioned, check_way_back

__all__ = ["EXEMPT", "Manifest", "Objective", "asked_names", "previous_of", "terms_of"]

MAX_BYTES = 12 * 1024
"""Bytes of a manifest: one of 30 operations has 8 KiB. Reading TOML takes time by the square of its longest key (20 ms at this size)."""
_POLICIES: dict[str, type[Any]] = {
    "breaker": BreakerPolicy,
    "bulkhead": BulkheadPolicy,
    "rate": RatePolicy,
    "quota": QuotaPolicy,
}
_PLAIN = ("timeout", "concurrency", "runner", "workers")
EXEMPT = ("caller_errors", "control_flow")
"""Terms by which exceptions are no failures of the plugin: what they name, the host has to grant."""
_OPERATION_KEYS = (*_PLAIN, *_POLICIES, "fallback", "objective", "previous", *EXEMPT)
_SCALARS = {"int": int, "float": int | float, "str": str, "bool": bool}


@value
class Objective:
    """What may be expected of an operation; exported as `plugin.terms.declared`, beside what the collector measures."""

    availability: float | None = None
    """The share of calls that succeed, in (0, 1)."""
    latency_seconds: float | None = None
    """Within which nearly all calls answer."""

    def __post_init__(self) -> None:
        if self.availability is not None and not 0 < self.availability < 1:
            raise ConfigurationError(f"availability: {self.availability} is outside (0, 1)")
        if self.latency_seconds is not None and self.latency_seconds <= 0:
            raise ConfigurationError("latency_seconds: must be above 0")


@value
class Manifest:
    """One plugin, declared."""

    id: str
    version: str
    owner: str | None = None
    criticality: Criticality = Criticality.NORMAL
    downstreams: Mapping[str, tuple[type[Exception] | str, ...]] = field(default_factory=dict)
    """Name -> exceptions, or their dotted names, that are its fault and not the plugin's."""
    touches: Touches | None = None
    operations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Operation -> terms for `Sidecar.wrap`; `previous` is the earlier version's name here, for which a host has its wrapped form."""

    @classmethod
    def load(cls, path: Path | str) -> Manifest:
        """Read a TOML file; raises `ConfigurationError` naming the file and the field."""
        try:
            if not Path(path).is_file() and Path(path).exists():
                raise ConfigurationError(f"{path}: is no file")  # a pipe would be waited for
            with Path(path).open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
        try:
            return cls.parse(data)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from None

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Read the bytes of a TOML file; raises `ConfigurationError` naming the field. Nothing is imported, found or run."""
        if len(data) > MAX_BYTES:
            raise ConfigurationError(f"is larger than {MAX_BYTES} bytes")
        try:
            raw = tomllib.loads(data.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"not TOML: {error}") from error
        return cls.from_dict(raw)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Manifest:
        """Make one from the same structure in Python; raises `ConfigurationError` naming the field."""
        _known("", raw, ("plugin", "downstreams", "touches", "operations"))
        about = _table("plugin", raw.get("plugin"))
        _known("plugin", about, ("id", "version", "owner", "criticality"))
        for name in ("id", "version"):
            if not isinstance(about.get(name), str) or not about[name]:
                raise ConfigurationError(f"plugin.{name}: is missing, or not a text")
            _nameable(f"plugin.{name}", "plugin" if name == "id" else name, about[name])
        if not isinstance(about.get("owner", ""), str):
            raise ConfigurationError("plugin.owner: is not a text")
        criticality = about.get("criticality", "normal")
        if criticality not in tuple(Criticality):  # it may be anything, hashable or not
            raise ConfigurationError(f"plugin.criticality: {criticality!r} is none of {', '.join(Criticality)}")
        downstreams = {
            name: _error_names(f"downstreams.{name}", paths)
            for name, paths in _table("downstreams", raw.get("downstreams", {})).items()
        }
        touches = None
        if "touches" in raw:
            terms = dict(_table("touches", raw["touches"]))
            for key in ("read", "write"):
                terms[key] = tuple(map(Path, _texts(f"touches.{key}", terms.get(key, []))))
            for key in ("environment", "require_enforced"):
                terms[key] = _texts(f"touches.{key}", terms.get(key, []))
            terms.setdefault("network", False)  # what is not asked for is not given
            touches = _made("touches", Touches, terms)
        operations = _table("operations", raw.get("operations"))
        if not operations:
            raise ConfigurationError("operations: at least one is needed, as [operations.NAME]")
        for name in operations:
            _nameable("operations", "operation", name)
        told = {
            name: terms_of(f"operations.{name}", _table(f"operations.{name}", one)) for name, one in operations.items()
        }
        made = cls(
            about["id"], about["version"], about.get("owner"), Criticality(criticality), downstreams, touches, told
        )
        for name, terms in told.items():
            if "previous" in terms:
                newer = made.versioned(name)
                check_way_back(newer, [newer._replace(version=terms["previous"])], f"operations.{name}.")
        return made

    def versioned(self, operation: str) -> Versioned:
        """One of its operations, for what it may go back to."""
        return Versioned(self.id, self.version, operation, self.criticality is Criticality.SECURITY)

    @property
    def asked(self) -> Grants:
        """All that it asks for and nothing more: for tests and emulations, where no host is to be kept from the plugin."""
        touches = self.touches or Touches(network=False)
        exempt = [Errors.of(key, terms.get(key, ())) for terms in self.operations.values() for key in EXEMPT]
        return Grants(
            read=touches.read,
            write=touches.write,
            environment=touches.environment,
            network=touches.network,
            open_files=touches.open_files,
            processes=touches.processes,
            file_bytes=touches.file_bytes,
            downstream_errors=tuple(kind for kinds in self.downstreams.values() for kind in kinds),
            caller_errors=tuple(name for errors in exempt for name in asked_names(errors)),
            without_breaker=True,
        )


def _nameable(path: str, part: str, name: str) -> None:
    fault = name_fault(part, name)
    if fault is not None:
        raise ConfigurationError(f"{path}: {fault}, got {name!r:.300}")


def terms_of(path: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Terms for `Sidecar.wrap` from a table; raises `ConfigurationError` with `path` before the field that is wrong."""
    _known(path, raw, _OPERATION_KEYS)
    terms: dict[str, Any] = {}
    for key in _PLAIN:
        if key in raw:
            terms[key] = raw[key]
    for key, kind in {"timeout": int | float, "concurrency": int, "runner": str, "workers": int}.items():
        if key in terms and (not isinstance(terms[key], kind) or isinstance(terms[key], bool)):
            raise ConfigurationError(f"{path}.{key}: {terms[key]!r} is not a {'text' if kind is str else 'number'}")
    for key, policy in _POLICIES.items():
        if key in raw:
            given = raw[key]
            if isinstance(given, Mapping):
                terms[key] = _made(f"{path}.{key}", policy, given)
            elif key == "breaker" and isinstance(given, bool):
                terms[key] = given
            elif key in {"bulkhead", "rate"} and isinstance(given, int | float) and not isinstance(given, bool):
                terms[key] = _made(f"{path}.{key}", policy, {dataclasses.fields(policy)[0].name: given})
            else:
                raise ConfigurationError(f"{path}.{key}: must be a table of {', '.join(_names(policy))}")
    if "objective" in raw:
        terms["objective"] = _made(f"{path}.objective", Objective, _table(f"{path}.objective", raw["objective"]))
    for key in EXEMPT:
        if key in raw:
            terms[key] = _errors(f"{path}.{key}", raw[key])
    if "fallback" in raw:
        steps = raw["fallback"] if isinstance(raw["fallback"], list) else [raw["fallback"]]
        terms["fallback"] = Fallback(*(_step(f"{path}.fallback", step) for step in steps))
    try:
        from plugwarden.declaration import Declaration

        Declaration.of(**terms)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}.{error}") from None
    if "previous" in raw:
        terms["previous"] = previous_of(path, raw["previous"])
    return terms


def previous_of(path: str, raw: Any) -> str:
    """Return the name of an earlier version; raises `ConfigurationError` for what can be none."""
    if not isinstance(raw, str) or not raw:
        raise ConfigurationError(f"{path}.previous: must be the earlier version, as a text")
    _nameable(f"{path}.previous", "version", raw)
    return raw


def _errors(path: str, raw: Any) -> Errors:
    """Exceptions by their full names, or as tables `{ type, attribute, at_least, below }`. Nothing is imported for it."""
    if not isinstance(raw, list):
        raise ConfigurationError(f"{path}: must be a list of exceptions' full names, or of tables")
    for item in raw:
        name = item.get("type") if isinstance(item, Mapping) else item
        if not isinstance(name, str):
            raise ConfigurationError(
                f"{path}: {item!r:.200} is neither an exception's full name nor a table with its type"
            )
        check_name(path, name)
    return Errors.of(path, [_made(path, Status, item) if isinstance(item, Mapping) else item for item in raw])


def asked_names(errors: Errors) -> list[str]:
    """Return the names that a manifest has of exceptions; what is no name was written by the host."""
    names = [*errors.names, *(test.type for test in errors.tests if isinstance(test, Status))]
    return [name.removeprefix("builtins.") for name in names]


def _step(path: str, raw: Any) -> Any:
    table = _table(path, raw)
    _known(path, table, ("value", "last_good_seconds"))
    if len(table) != 1:
        raise ConfigurationError(f"{path}: each step has one of value and last_good_seconds")
    return Value(table["value"]) if "value" in table else LastGood(table["last_good_seconds"])


def _made(path: str, kind: type[Any], given: Mapping[str, Any]) -> Any:
    """A policy from a table; its own complaints get the path in front."""
    _known(path, given, _names(kind))
    for one in dataclasses.fields(kind):
        nothing = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        if nothing and one.name not in given:
            raise ConfigurationError(f"{path}.{one.name}: is missing")
        wanted = [made for name, made in _SCALARS.items() if name in str(one.type).split(" | ")]
        value = given.get(one.name)
        fits = any(isinstance(value, made) and (made is bool or not isinstance(value, bool)) for made in wanted)
        if wanted and value is not None and not fits:
            raise ConfigurationError(f"{path}.{one.name}: {value!r} is not a {one.type.partition(' | ')[0]}")
    try:
        return kind(**given)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _names(kind: type[Any]) -> list[str]:
    return [one.name for one in dataclasses.fields(kind) if "Callable" not in str(one.type)]


def _table(path: str, raw: Any) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise ConfigurationError(f"{path}: {'is missing' if raw is None else 'must be a table'}")
    return raw


def _texts(path: str, raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, list) or not all(isinstance(item, str) for item in raw):
        raise ConfigurationError(f"{path}: must be a list of texts")
    return tuple(raw)


def _known(path: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    for key in table:
        if key not in (known := tuple(known)):
            raise ConfigurationError(f"{path}.{key}: no such field; {hint(str(key), known)}".lstrip("."))


def _error_names(path: str, raw: Any) -> tuple[str, ...]:
    """Dotted names of exceptions, checked as far as they are loaded."""
    texts = _texts(path, raw)
    for text in texts:
        check_name(path, text)
    return texts
