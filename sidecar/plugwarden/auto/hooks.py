"""Puts the observed forms of plugins in place where a host would load the plain ones.

Nothing here may cost the host more than its plugins unobserved: what cannot be wrapped is left as it is, and said in the report.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from plugwarden.errors import ConfigurationError

from .imports import after_import
from .wanted import WantedCallable, WantedManager, WantedPlugins

if TYPE_CHECKING:
    from plugwarden.sidecar import Sidecar

__all__ = ["Placed", "place"]

ENTRY_POINT_MODULES = ("importlib.metadata", "importlib_metadata", "pkg_resources")
"""Whose `EntryPoint.load` is what a host, or stevedore on its behalf, loads plugins with."""

_log = logging.getLogger("plugwarden")


class Placed:
    """What has been wrapped so far, and what could not be; one for a process."""

    def __init__(self, wanted: WantedPlugins) -> None:
        self.wanted = wanted
        self.met: dict[str, int] = {}
        """How many plugins or hooks of each wanted group, manager and callable were wrapped."""
        self.faults: list[str] = []
        self._forms: dict[tuple[str, ...], Any] = {}
        """Callables that are in place."""
        self._lock = threading.RLock()
        self._sidecar: Sidecar | None = None
        self._making = False
        self._loading = threading.local()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        """Make the lock anew in a forked child, where the thread that held it is not."""
        self._lock._at_fork_reinit()  # type: ignore[attr-defined]  # as the standard library does
        self._making = False

    @property
    def sidecar(self) -> Sidecar:
        """The host's, made when the first plugin appears: a process that loads none pays for nothing.

        Raises `ConfigurationError` to who asks while it is being made: what it imports for itself may be wanted too.
        """
        with self._lock:
            if self._sidecar is None:
                if self._making:
                    raise ConfigurationError("the sidecar itself imports it, before it can wrap anything")
                self._making = True
                try:
                    from plugwarden.sidecar import Sidecar

                    sidecar = Sidecar(service=self.wanted.service) if self.wanted.service else Sidecar()
                    sidecar._prepare()
                    self._sidecar = sidecar
                finally:
                    self._making = False
            return self._sidecar

    def found(self) -> list[tuple[str, str, int]]:
        """Kind, name and how many were wrapped, of each thing wanted."""
        wanted = (
            ("entry_points", self.wanted.groups),
            ("pluggy", self.wanted.managers),
            ("callable", {_target(item): item for item in self.wanted.callables}),
        )
        return [(kind, name, self.met.get(f"{kind} {name}", 0)) for kind, names in wanted for name in names]

    def report(self) -> list[str]:
        """A line for each thing wanted, and one for each that went wrong."""
        lines = [f"{kind} {name}: {f'{count} wrapped' if count else 'not met'}" for kind, name, count in self.found()]
        return lines + self.faults

    def count(self, what: str, wrapped: int) -> None:
        """Note that so many more were wrapped for one thing wanted."""
        with self._lock:
            self.met[what] = self.met.get(what, 0) + wrapped

    def fault(self, what: str, error: BaseException) -> None:
        """Note that something stays unobserved, and why, and say so in the log."""
        if self.note(what, error):
            _log.warning("%s: left as it is: %s", what, error)

    def note(self, what: str, why: object, became: str = "left as it is") -> bool:
        """Note for the report what became of something, and why; return whether it was not known already."""
        text = f"{what}: {became}: {why}"
        if text in self.faults or len(self.faults) >= 100:
            return False
        self.faults.append(text)
        return True

    # -- where things are loaded --------------------------------------------------------------------------------------

    def load(self, point: Any, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """An entry point's object, observed when its group is wanted."""
        wanted = self.wanted.groups.get(str(getattr(point, "group", "")))
        if wanted is None:
            return original(point, *args, **kwargs)
        if getattr(self._loading, "point", None) is point:
            self._loading.plain = (original(point, *args, **kwargs),)
            return self._loading.plain[0]
        from plugwarden.integrations import entry_points

        self._loading.point, self._loading.plain = point, ()
        try:
            found = next(
                iter(
                    entry_points.load(
                        wanted.group,
                        self.sidecar,
                        methods=wanted.methods,
                        terms=lambda *_: dict(wanted.terms),
                        entry_points=[point],
                    )
                )
            )
            plain = self._loading.plain
        finally:
            self._loading.point, self._loading.plain = None, ()
        if found.error is None:
            if isinstance(found.object, type) and not wanted.methods:
                self.note(f"entry_points {wanted.group}: {point.name}", "a class, and no methods of it are named")
            else:
                self.count(f"entry_points {wanted.group}", 1)
            return found.object
        if not plain or not isinstance(found.error, Exception):
            raise found.error
        # It is loaded, and cannot be wrapped: it is still the host's plugin.
        self.fault(f"entry_points {wanted.group}: {point.name}", found.error)
        return plain[0]

    def register(
        self, manager: Any, wanted: WantedManager, original: Callable[..., Any], plugin: Any, name: Any
    ) -> Any:
        """Register a plugin with a wanted manager, its hook implementations observed; return what pluggy answers."""
        try:
            registering = self._registering(manager, wanted, plugin)
        except Exception as error:  # noqa: BLE001 - a plugin that cannot be wrapped is still the host's plugin
            self.fault(f"pluggy {wanted.project}", error)
            return original(manager, plugin, name)
        self._loading.registering, before = registering, getattr(self._loading, "registering", None)
        try:
            registered = original(manager, plugin, name)
        finally:
            self._loading.registering = before
        if registered is not None:
            try:
                registering.observe_all(registered)
            except Exception as error:  # noqa: BLE001 - as above
                self.fault(f"pluggy {wanted.project}", error)
        self.count(f"pluggy {wanted.project}", registering.wrapped)
        return registered

    def _registering(self, manager: Any, wanted: WantedManager, plugin: Any) -> _Registering:
        from plugwarden.integrations.pluggy import HookNames

        names = HookNames(manager, coming=getattr(self._loading, "coming", ()))
        return _Registering(manager, plugin, names, self.sidecar, lambda *_: dict(wanted.terms))

    def load_group(self, group: str, load: Callable[[], Any]) -> Any:
        """Have a manager load the plugins of a group, which are known by their distributions."""
        import importlib.metadata  # loaded by whoever loads plugins so; a host that does not, does not pay for it

        self._loading.coming, before = (
            importlib.metadata.entry_points(group=group),
            getattr(self._loading, "coming", ()),
        )
        try:
            return load()
        finally:
            self._loading.coming = before

    def implementation(self, made: Any) -> None:
        """A `HookImpl` that pluggy has just made, perhaps of a plugin that is being registered."""
        registering = getattr(self._loading, "registering", None)
        if registering is not None:
            try:
                registering.observe_past(made)
            except Exception as error:  # noqa: BLE001 - as above
                self.fault(f"hook {getattr(made.function, '__name__', '')}", error)

    def exchange(self, module: ModuleType, wanted: WantedCallable) -> None:
        """One callable of a module that was just imported."""
        owner: Any = module
        for name in wanted.path[:-1]:
            owner = getattr(owner, name)
        name = wanted.path[-1]
        found = inspect.getattr_static(owner, name)
        # On a class, the descriptor has to stay what it is, and what is wrapped is the function behind it.
        descriptor = type(found) if isinstance(found, staticmethod | classmethod) else None
        function = found.__func__ if isinstance(found, staticmethod | classmethod) else found
        from plugwarden.integrations.distributions import version_of

        earlier = self.wanted.earlier(wanted)
        previous = None if earlier is None else self._form_of(earlier, wanted)
        wrap: Callable[..., Any] = functools.partial(
            self.sidecar.wrap,
            function,
            plugin=wanted.plugin,
            version=wanted.version or version_of(module.__name__),
            operation=wanted.operation,
            **wanted.terms,
        )
        try:
            observed = wrap(previous=previous)
        except ConfigurationError as error:
            if previous is None:
                raise
            observed = wrap()  # where it is not the way back that is wrong, this says so
            self._stays(wanted, error)
        setattr(owner, name, observed if descriptor is None else descriptor(observed))
        self._forms[_identity(wanted)] = observed
        self.count(f"callable {_target(wanted)}", 1)

    def exchanged(self, wanted: WantedCallable) -> bool:
        """Whether it is in place, as what a later version goes back to is before its turn."""
        return _identity(wanted) in self._forms

    def _form_of(self, earlier: WantedCallable, wanted: WantedCallable) -> Any:
        """Return the wrapped form of an earlier version, whose module is imported for it; None where it cannot be had, which is said."""
        try:
            module = importlib.import_module(earlier.module)
            if not self.exchanged(earlier):
                self.exchange(module, earlier)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the host did not ask for it, and the newer version is observed
            self._stays(wanted, f"previous: {earlier.version} cannot be had: {type(error).__name__}: {error}")
            return None
        return self._forms.get(_identity(earlier))

    def _stays(self, wanted: WantedCallable, why: object) -> None:
        """Note that calls go back to nothing, and say so in the log."""
        if self.note(f"callable {_target(wanted)}", why, "goes back to nothing"):
            _log.warning("callable %s: goes back to nothing: %s", _target(wanted), why)


@dataclass
class _Registering:
    """A plugin on its way into a manager."""

    manager: Any
    plugin: Any
    names: Any
    sidecar: Sidecar
    options: Callable[[str, str, str], dict[str, Any]]
    wrapped: int = 0

    def observe_past(self, made: Any) -> None:
        """A hook that remembers its calls (`historic`) makes them before the plugin is registered, so it is wrapped before that."""
        from plugwarden.integrations.pluggy import observe

        if made.plugin is not self.plugin:
            return  # of another manager, in which the past of a hook has something registered
        hook = getattr(made.function, "__name__", "")
        caller = getattr(self.manager.hook, hook, None)
        if caller is not None and caller.is_historic():
            self.wrapped += observe(made, hook, made.plugin_name, self.names, self.sidecar, self.options)

    def observe_all(self, registered: str) -> None:
        """All others, when it is registered: by then it is known which hook each is for."""
        from plugwarden.integrations.pluggy import observe_plugin

        self.wrapped += observe_plugin(self.manager, self.plugin, registered, self.names, self.sidecar, self.options)


def place(placed: Placed) -> None:
    """Have everything wanted wrapped as it appears; modules that are there already at once."""
    if placed.wanted.groups:
        for name in ENTRY_POINT_MODULES:
            after_import(name, functools.partial(_watch_entry_points, placed))
    if placed.wanted.managers:
        after_import("pluggy", functools.partial(_watch_managers, placed))
    by_module: dict[str, list[WantedCallable]] = {}
    for item in placed.wanted.callables:
        by_module.setdefault(item.module, []).append(item)
    for name, items in by_module.items():
        after_import(name, functools.partial(_exchange_all, placed, items))


def _watch_entry_points(placed: Placed, module: ModuleType) -> None:
    kind = module.EntryPoint
    original = kind.load

    @functools.wraps(original)
    def load(self: Any, *args: Any, **kwargs: Any) -> Any:
        return placed.load(self, original, *args, **kwargs)

    kind.load = load


def _watch_managers(placed: Placed, module: ModuleType) -> None:
    kind = module.PluginManager
    register_plainly, load_plainly, init_plainly = (
        kind.register,
        kind.load_setuptools_entrypoints,
        module.HookImpl.__init__,
    )

    def wanted_of(manager: Any) -> WantedManager | None:
        return placed.wanted.managers.get(str(getattr(manager, "project_name", "")))

    @functools.wraps(register_plainly)
    def register(self: Any, plugin: Any, name: Any = None) -> Any:
        wanted = wanted_of(self)
        if wanted is None:
            return register_plainly(self, plugin, name)
        return placed.register(self, wanted, register_plainly, plugin, name)

    @functools.wraps(load_plainly)
    def load_setuptools_entrypoints(self: Any, group: str, name: Any = None) -> Any:
        if wanted_of(self) is None:
            return load_plainly(self, group, name)
        return placed.load_group(group, lambda: load_plainly(self, group, name))

    @functools.wraps(init_plainly)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        init_plainly(self, *args, **kwargs)
        placed.implementation(self)

    kind.register, kind.load_setuptools_entrypoints = register, load_setuptools_entrypoints
    module.HookImpl.__init__ = init


def _exchange_all(placed: Placed, items: list[WantedCallable], module: ModuleType) -> None:
    for item in items:
        try:
            if not placed.exchanged(item):
                placed.exchange(module, item)
        except Exception as error:  # noqa: BLE001 - the host gets its module, whatever we could not do with it
            placed.fault(f"callable {_target(item)}", error)


def _identity(wanted: WantedCallable) -> tuple[str, ...]:
    return (_target(wanted), wanted.plugin, wanted.version or "", wanted.operation)


def _target(wanted: WantedCallable) -> str:
    return f"{wanted.module}:{'.'.join(wanted.path)}"
