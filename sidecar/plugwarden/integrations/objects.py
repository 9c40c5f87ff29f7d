"""Wraps chosen methods of an object, class or module in place; what the other integrations share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from plugwarden.errors import ConfigurationError

if TYPE_CHECKING:
    from plugwarden.sidecar import Sidecar

__all__ = ["Terms", "no_terms", "public_methods", "version_of", "wrap_methods"]

Terms = Callable[[str, str, str], dict[str, Any]]
"""(plugin, version, operation) -> terms for `Sidecar.wrap`."""


def no_terms(plugin: str, version: str, operation: str) -> dict[str, Any]:
    """The default terms for everything."""
    return {}


def wrap_methods(
    sidecar: Sidecar, target: Any, names: Iterable[str], *, plugin: str, version: str, terms: Terms = no_terms
) -> int:
    """Put the observed form in place of each named method; answers how many. What is wrapped already is left alone.

    Raises `ConfigurationError` for a name that is not there or cannot be set.
    """
    wrapped = 0
    for name in names:
        method = getattr(target, name, None)
        if not callable(method):
            raise ConfigurationError(f"methods: {plugin} has no method {name}")
        if hasattr(method, "__plugwarden__"):
            continue
        # On a class, the descriptor has to stay what it is, and what is wrapped is the function behind it.
        found = inspect.getattr_static(target, name) if inspect.isclass(target) else None
        descriptor = type(found) if isinstance(found, staticmethod | classmethod) else None
        if isinstance(found, staticmethod | classmethod):
            method = found.__func__
            if hasattr(method, "__plugwarden__"):
                continue
        observed: Any = sidecar.wrap(
            method, plugin=plugin, version=version, operation=name, **terms(plugin, version, name)
        )
        if descriptor is not None:
            observed = descriptor(observed)
        try:
            setattr(target, name, observed)
        except (AttributeError, TypeError) as error:
            raise ConfigurationError(f"methods: {name} of {plugin} cannot be exchanged: {error}") from error
        wrapped += 1
    return wrapped


def public_methods(target: Any) -> list[str]:
    """The methods that an object's own classes define, without those that begin with an underscore."""
    kind = target if inspect.isclass(target) else type(target)
    return [
        name
        for name, member in inspect.getmembers(kind)
        if not name.startswith("_") and inspect.isfunction(member) and member.__module__ != "builtins"
    ]


def version_of(distribution: str | None) -> str:
    """The installed version of a distribution; "0" where there is none."""
    try:
        return version(distribution) if distribution else "0"
    except PackageNotFoundError:
        return "0"
