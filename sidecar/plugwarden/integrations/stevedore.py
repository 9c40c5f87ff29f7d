"""stevedore: wraps the methods of every extension that a manager has loaded, or the extension itself if it is a function."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from plugwarden.integrations.objects import Terms, no_terms, public_methods, version_of, wrap_methods

if TYPE_CHECKING:
    from stevedore.extension import ExtensionManager

    from plugwarden.sidecar import Sidecar

__all__ = ["instrument"]


def instrument(
    manager: ExtensionManager[Any],
    sidecar: Sidecar,
    *,
    methods: Iterable[str] | None = None,
    terms: Terms = no_terms,
) -> int:
    """Answers how many operations were wrapped. `methods`: which of each extension's object; none: its public ones.

    The plugin is the extension's name; its version, that of the distribution it comes from.
    """
    wrapped = 0
    for extension in manager.extensions:
        distribution = getattr(extension.entry_point, "dist", None)
        version = (
            distribution.version if distribution is not None else version_of(extension.module_name.partition(".")[0])
        )
        if extension.obj is not None:
            names = public_methods(extension.obj) if methods is None else methods
            wrapped += wrap_methods(sidecar, extension.obj, names, plugin=extension.name, version=version, terms=terms)
        elif not isinstance(extension.plugin, type) and not hasattr(extension.plugin, "__plugwarden__"):
            options = terms(extension.name, version, "call")
            extension.plugin = sidecar.wrap(
                extension.plugin, plugin=extension.name, version=version, operation="call", **options
            )
            wrapped += 1
    return wrapped
