"""pluggy: wraps every hook implementation of every registered plugin, without touching the plugins.

pluggy calls `HookImpl.function`; that attribute is exchanged for the observed form. Hook wrappers (`wrapper=True`,
`hookwrapper=True`) stay as they are: they are generators that pluggy drives around the others' calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

from plugwarden.contract import fitting
from plugwarden.fallback import Fallback, Value
from plugwarden.integrations.distributions import UNKNOWN_VERSION, name_and_version, version_of
from plugwarden.integrations.objects import Terms, no_terms

if TYPE_CHECKING:
    import pluggy

    from plugwarden.sidecar import Sidecar

__all__ = ["HookNames", "instrument", "observe", "observe_plugin"]

Describe = Callable[[object, str], tuple[str, str]]
"""Return (plugin id, version) for a plugin object and the name it is registered by."""


def instrument(
    manager: pluggy.PluginManager,
    sidecar: Sidecar,
    *,
    describe: Describe | None = None,
    options: Terms = no_terms,
    only: object = None,
) -> int:
    """Wrap all hook implementations registered so far; return how many. Calling it again wraps only new ones.

    `describe` names a plugin and its version; by default the distribution it is an entry point of, else its registered
    name and the version of the distribution its module is part of. A plugin registered without a name is called by its
    module and qualified name, and a second one of these `…#2`. Where several plugins come from one distribution, the
    operation is the registered name and the hook's: `looponfail.pytest_addoption`. `options` gives `Sidecar.wrap` its
    terms for (plugin, version, operation). With `only`, the other plugins are named as ever and left as they are.

    A refused hook answers None, which is pluggy's "nothing to say", so the host goes on without that plugin; errors are
    the host's to see, as ever. A plugin of criticality `security` raises instead, and terms of your own go first.
    """
    names = HookNames(manager, describe)
    plugins = [(plugin, registered) for registered, plugin in manager.list_name_plugin() if plugin is not None]
    return sum(observe_plugin(manager, *found, names, sidecar, options) for found in plugins)


def observe_plugin(
    manager: pluggy.PluginManager,
    plugin: object,
    registered: str,
    names: HookNames,
    sidecar: Sidecar,
    options: Terms = no_terms,
) -> int:
    """Wrap the hook implementations of one registered plugin; return how many."""
    return sum(
        observe(implementation, caller.name, registered, names, sidecar, options)
        for caller in manager.get_hookcallers(plugin) or ()
        for implementation in caller.get_hookimpls()
        if implementation.plugin is plugin
    )


def observe(
    implementation: Any, hook: str, registered: str, names: HookNames, sidecar: Sidecar, options: Terms = no_terms
) -> bool:
    """Wrap one `HookImpl`; return whether it was, and not wrapped already or a wrapper itself."""
    if implementation.wrapper or implementation.hookwrapper or hasattr(implementation.function, "__plugwarden__"):
        return False
    plugin, version, prefix = names.name(implementation.plugin, registered)
    operation = fitting("operation", prefix + hook)
    terms = options(plugin, version, operation)
    if terms.get("criticality") != "security":
        terms = {"fallback": Fallback(Value(None), answers=["refused"]), **terms}
    # pluggy has read the argument names already, so the wrapper's own signature does not matter to it.
    implementation.function = sidecar.wrap(
        implementation.function, plugin=plugin, version=version, operation=operation, **terms
    )
    return True


class HookNames:
    """Names that are the same in each process that registers the same plugins in the same order."""

    def __init__(
        self, manager: pluggy.PluginManager, describe: Describe | None = None, coming: Iterable[EntryPoint] = ()
    ) -> None:
        """`coming`: entry points that the manager is loading. It notes whose they are when they are registered already."""
        self._describe = describe
        self._distributions: dict[int, Any] = {}
        self._coming = {point.name: point.dist for point in coming if point.dist is not None}
        of_plugin = {name: str(distribution.name) for name, distribution in self._coming.items()}
        for plugin, info in manager.list_plugin_distinfo():
            self._distributions[id(plugin)] = info
            of_plugin[manager.get_name(plugin) or str(id(plugin))] = str(info.project_name)
        self._siblings = Counter(of_plugin.values())
        self._unnamed: Counter[str] = Counter()
        self._met: dict[int, tuple[str, str, str]] = {}
        for name, known in manager.list_name_plugin():
            # In their order, those without a name are numbered. The others are looked at when they are asked for: these names are
            # made anew with each plugin that is registered, of which a host has dozens. None is what is blocked by its name.
            if known is not None and name == str(id(known)):
                self.name(known, name)

    def name(self, plugin: object, registered: str) -> tuple[str, str, str]:
        """Plugin, version, and what goes before its hooks' names."""
        found = self._met.get(id(plugin))
        if found is None:
            if self._describe is None:
                name, version, prefix = self._own(plugin, registered)
            else:
                (name, version), prefix = self._describe(plugin, registered), ""
            found = self._met[id(plugin)] = (fitting("plugin", name), fitting("version", version), prefix)
        return found

    def _own(self, plugin: object, registered: str) -> tuple[str, str, str]:
        found = self._distribution(plugin, registered)
        if found is not None:
            project, version = found
            return project, version, f"{registered}." if self._siblings[project] > 1 else ""
        # A module, class or function registered as a plugin has a name of its own; an object has its class's.
        kind = plugin if hasattr(plugin, "__name__") else type(plugin)
        module = str(getattr(kind, "__module__", None) or getattr(kind, "__name__", ""))
        if module == "builtins" or not hasattr(kind, "__qualname__"):
            module = str(getattr(kind, "__name__", module))
        if registered == str(id(plugin)):  # pluggy's own name for what has none
            registered = f"{module}.{kind.__qualname__}" if hasattr(kind, "__qualname__") else module
            self._unnamed[registered] += 1
            if self._unnamed[registered] > 1:
                registered += f"#{self._unnamed[registered]}"
        return registered, version_of(module), ""

    def _distribution(self, plugin: object, registered: str) -> tuple[str, str] | None:
        info = self._distributions.get(id(plugin))
        if info is not None:
            return str(info.project_name), str(info.version or UNKNOWN_VERSION)
        coming = self._coming.get(registered)
        return None if coming is None else name_and_version(coming, registered)
