"""stevedore: wraps the methods of every extension that a manager has loaded, or the extension itself if it is a function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from plugwarden.contract import fitting
from plugwarden.errors import ConfigurationError
from plugwarden.integrations.distributions import name_and_version, version_of
from plugwarden.integrations.objects import Terms, no_terms, public_methods, wrap_methods

if TYPE_CHECKING:
    from stevedore.extension import Extension, ExtensionManager

    from plugwarden.sidecar import Sidecar

__all__ = ["instrument"]


def instrument(
    manager: ExtensionManager[Any],
    sidecar: Sidecar,
    *,
    methods: Iterable[str] | None = None,
    terms: Terms = no_terms,
) -> int:
    """Wrap what a manager has loaded, and return how many operations that were. `methods`: which of each extension's object; none: its
    public ones. The plugin is the extension's name; its version, that of the distribution it comes from. Raises
    `ConfigurationError` that names the extensions that could not be wrapped, when all others are."""
    wrapped = 0
    refused: list[str] = []
    names = None if methods is None else tuple(methods)
    for extension in manager.extensions:
        try:
            wrapped += _wrap(extension, sidecar, names, terms)
        except ConfigurationError as error:
            refused.append(f"{extension.name}: {error}")
    if refused:
        raise ConfigurationError("; ".join(refused))
    return wrapped


def _wrap(extension: Extension[Any], sidecar: Sidecar, names: tuple[str, ...] | None, terms: Terms) -> int:
    distribution = getattr(extension.entry_point, "dist", None)
    version = version_of(extension.module_name) if distribution is None else name_and_version(distribution, "")[1]
    plugin, version = fitting("plugin", extension.name), fitting("version", version)
    if extension.obj is not None:
        chosen = public_methods(extension.obj) if names is None else names
        return wrap_methods(sidecar, extension.obj, chosen, plugin=plugin, version=version, terms=terms)
    if isinstance(extension.plugin, type) or hasattr(extension.plugin, "__plugwarden__"):
        return 0
    options = terms(plugin, version, "call")
    extension.plugin = sidecar.wrap(extension.plugin, plugin=plugin, version=version, operation="call", **options)
    return 1
