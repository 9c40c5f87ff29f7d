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
import difflib
import importlib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from plugwarden.contract import Criticality
from plugwarden.declaration import Touches
from plugwarden.errors import ConfigurationError
from plugwarden.fallback import Fallback, LastGood, Value
from plugwarden.gate import BreakerPolicy, BulkheadPolicy, QuotaPolicy, RatePolicy

if TYPE_CHECKING:
    from plugwarden.sidecar import Sidecar

__all__ = ["DeclaredPlugin", "Manifest", "Objective"]

F = TypeVar("F", bound=Callable[..., Any])
_POLICIES: dict[str, type[Any]] = {
    "breaker": BreakerPolicy,
    "bulkhead": BulkheadPolicy,
    "rate": RatePolicy,
    "quota": QuotaPolicy,
}
_PLAIN = ("timeout", "concurrency", "runner", "workers")
_OPERATION_KEYS = (*_PLAIN, *_POLICIES, "fallback", "objective", "caller_errors")
_SCALARS = {"int": int, "float": int | float, "str": str, "bool": bool}


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Manifest:
    """One plugin, declared."""

    id: str
    version: str
    owner: str | None = None
    criticality: Criticality = Criticality.NORMAL
    downstreams: Mapping[str, tuple[type[Exception], ...]] = field(default_factory=dict)
    """Name -> exceptions that are its fault and not the plugin's."""
    touches: Touches | None = None
    operations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Operation -> terms for `Sidecar.wrap`."""

    @classmethod
    def load(cls, path: Path | str) -> Manifest:
        """Read a TOML file; raises `ConfigurationError` naming the file and the field."""
        try:
            raw = tomllib.loads(Path(path).read_text("utf-8"))
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path}: not TOML: {error}") from error
        try:
            return cls.from_dict(raw)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from None

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Manifest:
        """From the same structure in Python; raises `ConfigurationError` naming the field."""
        _known("", raw, ("plugin", "downstreams", "touches", "operations"))
        about = _table("plugin", raw.get("plugin"))
        _known("plugin", about, ("id", "version", "owner", "criticality"))
        for name in ("id", "version"):
            if not isinstance(about.get(name), str) or not about[name]:
                raise ConfigurationError(f"plugin.{name}: is missing, or not a text")
        criticality = about.get("criticality", "normal")
        if criticality not in set(Criticality):
            raise ConfigurationError(f"plugin.criticality: {criticality!r} is none of {', '.join(Criticality)}")
        downstreams = {
            name: tuple(_exception(f"downstreams.{name}", path) for path in _texts(f"downstreams.{name}", paths))
            for name, paths in _table("downstreams", raw.get("downstreams", {})).items()
        }
        touches = None
        if "touches" in raw:
            terms = dict(_table("touches", raw["touches"]))
            for key in ("read", "write"):
                terms[key] = tuple(map(Path, _texts(f"touches.{key}", terms.get(key, []))))
            terms["environment"] = _texts("touches.environment", terms.get("environment", []))
            touches = _made("touches", Touches, terms)
        operations = _table("operations", raw.get("operations"))
        if not operations:
            raise ConfigurationError("operations: at least one is needed, as [operations.NAME]")
        return cls(
            about["id"],
            about["version"],
            about.get("owner"),
            Criticality(criticality),
            downstreams,
            touches,
            {name: _terms(f"operations.{name}", _table(f"operations.{name}", one)) for name, one in operations.items()},
        )


class DeclaredPlugin:
    """A plugin whose operations are wrapped as its manifest says."""

    def __init__(self, sidecar: Sidecar, manifest: Manifest) -> None:
        self._sidecar = sidecar
        self.manifest = manifest

    def wrap(self, function: Callable[..., Any], operation: str | None = None, **terms: Any) -> Any:
        """The observed form of a function as a declared operation; `terms` go over the manifest's.

        Raises `ConfigurationError` for an operation that the manifest does not know.
        """
        manifest = self.manifest
        name = operation or str(getattr(function, "__name__", "call"))
        if name not in manifest.operations:
            near = difflib.get_close_matches(name, manifest.operations, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"operations.{name}: {manifest.id} does not declare it{hint}")
        declared = dict(manifest.operations[name])
        if manifest.touches is not None and declared.get("runner") == "process":
            declared["touches"] = manifest.touches
        failures = [kind for kinds in manifest.downstreams.values() for kind in kinds]
        declared |= {"owner": manifest.owner, "criticality": manifest.criticality, "downstream_errors": failures}
        return self._sidecar.wrap(
            function, plugin=manifest.id, version=manifest.version, operation=name, **{**declared, **terms}
        )

    def operation(self, name: str | None = None, **terms: Any) -> Callable[[F], F]:
        """The same as a decorator."""

        def decorate(function: F) -> F:
            wrapped: F = self.wrap(function, name, **terms)
            return wrapped

        return decorate


def _terms(path: str, raw: Mapping[str, Any]) -> dict[str, Any]:
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
    if "caller_errors" in raw:
        texts = _texts(f"{path}.caller_errors", raw["caller_errors"])
        terms["caller_errors"] = [_exception(f"{path}.caller_errors", text) for text in texts]
    if "fallback" in raw:
        steps = raw["fallback"] if isinstance(raw["fallback"], list) else [raw["fallback"]]
        terms["fallback"] = Fallback(*(_step(f"{path}.fallback", step) for step in steps))
    try:
        from plugwarden.declaration import Declaration

        Declaration.of(**terms)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}.{error}") from None
    return terms


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
        wanted = [made for name, made in _SCALARS.items() if name in str(one.type).split(" | ")]
        value = given.get(one.name)
        if wanted and value is not None and not any(isinstance(value, made) for made in wanted):
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
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise ConfigurationError(f"{path}.{key}: no such field; {hint}".lstrip("."))


def _exception(path: str, text: str) -> type[Exception]:
    module, _, name = text.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module or "builtins"), name)
    except (ImportError, AttributeError, ValueError):
        raise ConfigurationError(f"{path}: there is no {text}") from None
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise ConfigurationError(f"{path}: {text} is not a type of Exception")
    return kind
