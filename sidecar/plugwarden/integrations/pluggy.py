"""pluggy: wraps every hook implementation of every registered plugin, without touching the plugins.

pluggy calls `HookImpl.function`; that attribute is exchanged for the observed form. Hook wrappers (`wrapper=True`,
`hookwrapper=True`) stay as they are: they are generators that pluggy drives around the others' calls.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from plugwarden.fallback import Fallback, Value
from plugwarden.integrations.objects import Terms, no_terms

if TYPE_CHECKING:
    import pluggy

    from plugwarden.sidecar import Sidecar

__all__ = ["instrument"]

Describe = Callable[[object, str], tuple[str, str]]
"""(plugin object, registered name) -> (plugin id, version)."""


def instrument(
    manager: pluggy.PluginManager,
    sidecar: Sidecar,
    *,
    describe: Describe | None = None,
    options: Terms = no_terms,
) -> int:
    """Wrap all hook implementations registered so far; answers how many. Calling it again wraps only new ones.

    `describe` names a plugin and its version; by default the registered name and the version of the distribution it
    comes from. `options` gives `Sidecar.wrap` its terms for (plugin, version, operation).

    A refused hook answers None, which is pluggy's "nothing to say", so the host goes on without that plugin; errors are
    the host's to see, as ever. A plugin of criticality `security` raises instead, and terms of your own go first.
    """
    describe = describe or _describe(manager)
    wrapped = 0
    for registered, plugin in manager.list_name_plugin():
        if plugin is None:
            continue  # blocked by name
        plugin_id, plugin_version = describe(plugin, registered)
        for caller in manager.get_hookcallers(plugin) or ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin is not plugin or implementation.wrapper or implementation.hookwrapper:
                    continue
                if hasattr(implementation.function, "__plugwarden__"):
                    continue
                terms = options(plugin_id, plugin_version, caller.name)
                if terms.get("criticality") != "security":
                    terms = {"fallback": Fallback(Value(None), answers=["refused"]), **terms}
                # pluggy has read the argument names already, so the wrapper's own signature does not matter to it.
                implementation.function = sidecar.wrap(  # type: ignore[misc]  # final for type checkers, a plain slot at run time
                    implementation.function,
                    plugin=plugin_id,
                    version=plugin_version,
                    operation=caller.name,
                    **terms,
                )
                wrapped += 1
    return wrapped


def _describe(manager: pluggy.PluginManager) -> Describe:
    distributions = {id(plugin): info for plugin, info in manager.list_plugin_distinfo()}

    def describe(plugin: object, registered: str) -> tuple[str, str]:
        info = distributions.get(id(plugin))
        if info is not None:
            return str(info.project_name), str(info.version)
        module = getattr(plugin, "__name__", type(plugin).__module__)
        try:
            return registered, version(str(module).partition(".")[0])
        except PackageNotFoundError:
            return registered, "0"

    return describe
