"""A plugin whose operations are wrapped as its manifest says, within what the host grants."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, Protocol, TypeVar, Unpack

from plugwarden.declared_errors import Errors
from plugwarden.errors import ConfigurationError
from plugwarden.exception_names import Named, exception_type
from plugwarden.fallback import Fallback
from plugwarden.grants import Grants
from plugwarden.manifest import EXEMPT, Manifest, asked_names
from plugwarden.nearest import hint
from plugwarden.terms import Terms
from plugwarden.way_back import Versioned, check_way_back

__all__ = ["DeclaredPlugin", "KeptVersions", "Wrapping"]

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")


class Wrapping(Protocol):
    """What it needs of a sidecar."""

    def wrap(
        self, function: Callable[P, R], *, plugin: str, version: str, operation: str, **terms: Unpack[Terms]
    ) -> Callable[P, R]:
        """Return the observed form of a function."""


class KeptVersions:
    """The wrapped forms of declared operations, by version: a manifest names the version that it goes back to, and no function.

    What the host has let go of, as one that loads its plugins anew does, is not kept alive.
    """

    def __init__(self) -> None:
        self._forms: dict[tuple[str, str, str | None], list[weakref.ref[Any]]] = {}

    def add(self, plugin: str, version: str, operation: str, form: Any) -> None:
        """Know a form for as long as the host has it."""
        forms = self._forms.setdefault((plugin, version, operation), [])
        if isinstance(form, staticmethod | classmethod):
            form = form.__func__  # they cannot be referred to weakly
        forms.append(weakref.ref(form, forms.remove))

    def form(self, newer: Versioned, version: str) -> Any:
        """Return the form of an earlier version. Raises `ConfigurationError` where there is none, or where there are several: a host
        that wraps for each of its tenants must not have the calls of one answered for another."""
        earlier, path = newer._replace(version=version), f"operations.{newer.operation}."
        refs = list(self._forms.get((newer.plugin, version, newer.operation), ()))
        forms = [form for form in (ref() for ref in refs) if form is not None]
        if not forms:
            raise ConfigurationError(
                f"{path}previous: {earlier} is not wrapped here; declare and wrap it first, with this sidecar, and keep it"
            )
        check_way_back(newer, [earlier] * len(forms), path)
        return forms[0]


class DeclaredPlugin:
    """A plugin whose operations are wrapped as its manifest says."""

    def __init__(
        self, sidecar: Wrapping, manifest: Manifest, grants: Grants | None = None, kept: KeptVersions | None = None
    ) -> None:
        """Raises `ConfigurationError` for what the manifest asks beyond what the host grants. `kept` is what all plugins of a sidecar
        share, so that a later version finds an earlier one."""
        grants = grants or Grants()
        self._sidecar = sidecar
        self._kept = KeptVersions() if kept is None else kept
        self._touches = grants.touches(manifest.touches)
        for name, errors in manifest.downstreams.items():
            grants.check_errors(f"downstreams.{name}", errors)
        for name, terms in manifest.operations.items():
            grants.check_terms(f"operations.{name}", terms)
            for key in EXEMPT:
                grants.check_errors(f"operations.{name}.{key}", asked_names(Errors.of(key, terms.get(key, ()))))
        self.manifest = manifest

    def wrap(self, function: Callable[..., Any], operation: str | None = None, **terms: Unpack[Terms]) -> Any:
        """The observed form of a function as a declared operation; `terms` go over the manifest's.

        Raises `ConfigurationError` for an operation that the manifest does not know.
        """
        manifest = self.manifest
        name = operation or str(getattr(function, "__name__", "call"))
        if name not in manifest.operations:
            meant = hint(name, manifest.operations)
            raise ConfigurationError(f"operations.{name}: {manifest.id} does not declare it; {meant}")
        declared = dict(manifest.operations[name])
        if isinstance(fallback := declared.get("fallback"), Fallback):
            declared["fallback"] = fallback.anew()  # what one function last answered is not another's
        runner = {**declared, **terms}.get("runner", "inline")
        if runner == "process":
            declared["touches"] = self._touches
        elif self._touches.require_enforced:
            words = " and ".join(self._touches.require_enforced)
            raise ConfigurationError(
                f'operations.{name}.runner: "{runner}" enforces nothing, and {words} must be enforced; use "process"'
            )
        failures = _types("downstreams", [kind for kinds in manifest.downstreams.values() for kind in kinds])
        for key in EXEMPT:
            if key in declared:
                declared[key] = _bound(key, Errors.of(key, declared[key]))
        if "previous" in declared and "previous" not in terms:
            declared["previous"] = self._kept.form(manifest.versioned(name), declared["previous"])
        declared |= {"owner": manifest.owner, "criticality": manifest.criticality, "downstream_errors": failures}
        wrapped = self._sidecar.wrap(
            function, plugin=manifest.id, version=manifest.version, operation=name, **{**declared, **terms}
        )
        self._kept.add(manifest.id, manifest.version, name, wrapped)
        return wrapped

    def operation(self, name: str | None = None, **terms: Unpack[Terms]) -> Callable[[F], F]:
        """The same as a decorator."""

        def decorate(function: F) -> F:
            wrapped: F = self.wrap(function, name, **terms)
            return wrapped

        return decorate


def _bound(field: str, errors: Errors) -> Errors:
    """The same, except that a name which turns out to be that of a plugin's own bugs exempts nothing."""
    kinds = [exception_type(field, name) for name in errors.names]
    later = [functools.partial(_is_one, kind) for kind in kinds if isinstance(kind, Named)]
    known = [kind for kind in kinds if not isinstance(kind, Named)]
    return Errors((*errors.types, *known), (), (*errors.tests, *later))


def _is_one(kind: type[Exception], error: BaseException) -> bool:
    return isinstance(error, kind)


def _types(field: str, errors: Iterable[type[Exception] | str]) -> list[type[Exception]]:
    return [exception_type(field, error) if isinstance(error, str) else error for error in errors]
