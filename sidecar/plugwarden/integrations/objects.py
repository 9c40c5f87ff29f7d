"""Wraps chosen methods of an object, class or module in place; what the other integrations share."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from plugwarden.errors import ConfigurationError
from plugwarden.integrations.answering import standing_for

if TYPE_CHECKING:
    from plugwarden.sidecar import Sidecar

__all__ = ["Terms", "no_terms", "public_methods", "wrap_methods"]

Terms = Callable[[str, str, str], dict[str, Any]]
"""Terms for `Sidecar.wrap`, by (plugin, version, operation)."""


def no_terms(plugin: str, version: str, operation: str) -> dict[str, Any]:
    """The default terms for everything."""
    return {}


def wrap_methods(
    sidecar: Sidecar,
    target: Any,
    names: Iterable[str],
    *,
    plugin: str,
    version: str,
    terms: Terms = no_terms,
    prefix: str = "",
) -> int:
    """Put the observed form in place of each named method; return how many. What is wrapped already is left alone.

    The operation is `prefix` and the method's name. On a class, a call counts once and as the class of its object, though
    the method of a base class that `super()` calls be wrapped too. Where an object takes no attributes (`__slots__`), its
    class is wrapped, and with it all its objects.

    Raises `ConfigurationError` for a name that is not there, before any is wrapped, or that cannot be exchanged.
    """
    names = tuple(names)
    for name in names:
        if not callable(getattr(target, name, None)):
            raise ConfigurationError(f"methods: {plugin} has no method {name}")
    wrapped = 0
    for name in names:
        operation = prefix + name
        wrap: Callable[[Any], Any] = functools.partial(
            sidecar.wrap, plugin=plugin, version=version, operation=operation, **terms(plugin, version, operation)
        )
        if inspect.isclass(target):
            wrapped += _on_class(target, name, wrap, plugin)
            continue
        method = getattr(target, name)
        if hasattr(method, "__plugwarden__"):
            continue
        if _takes(target, name):
            _put(target, name, wrap(method))
            wrapped += 1
        else:
            wrapped += _on_class(type(target), name, wrap, plugin)
    return wrapped


def public_methods(target: Any) -> list[str]:
    """The methods that an object's own classes define, without those that begin with an underscore."""
    kind = target if inspect.isclass(target) else type(target)
    return [
        name
        for name, member in inspect.getmembers(kind)
        if not name.startswith("_") and inspect.isfunction(member) and member.__module__ != "builtins"
    ]


# -- in the place of an object's attribute ------------------------------------------------------------------------------


def _takes(target: Any, name: str) -> bool:
    """Whether an object has room for an attribute of its own: modules have, and what has a `__dict__`."""
    return isinstance(target, types.ModuleType) or isinstance(getattr(target, "__dict__", None), dict)


def _put(target: Any, name: str, observed: Any) -> None:
    if isinstance(target, types.ModuleType):
        setattr(target, name, observed)
    else:
        # Past a `__setattr__` of the class: frozen dataclasses refuse, and pydantic's models take it for a field.
        target.__dict__[name] = observed


# -- in the place of a class's method -----------------------------------------------------------------------------------


def _on_class(owner: type, name: str, wrap: Callable[[Any], Any], plugin: str) -> int:
    found = inspect.getattr_static(owner, name)
    # The descriptor has to stay what it is, and what is wrapped is the function behind it.
    descriptor = type(found) if isinstance(found, staticmethod | classmethod) else None
    function = found.__func__ if isinstance(found, staticmethod | classmethod) else found
    if hasattr(function, "__plugwarden__"):
        if name in vars(owner):
            return 0
        # Inherited from a class that is wrapped too: what is called here is this class's, and counts once.
        function = getattr(function, "__plugwarden_original__", None) or getattr(function, "__wrapped__", function)
    observed = wrap(function)
    if descriptor is not staticmethod and inspect.isroutine(function):
        observed = _counted_once(observed, function, name, of_class=descriptor is classmethod)
    if descriptor is not None:
        observed = descriptor(observed)
    try:
        setattr(owner, name, observed)
    except (AttributeError, TypeError) as error:
        raise ConfigurationError(f"methods: {name} of {plugin} cannot be exchanged: {error}") from error
    return 1


def _counted_once(observed: Any, function: Any, name: str, *, of_class: bool) -> Any:
    """`observed`, but `function` itself where it is called by way of `super()` from an observed method of the same name."""

    def choose(args: tuple[Any, ...]) -> Any:
        if args and _overridden(args[0] if of_class else type(args[0]), args[0], name, method):
            return function
        return observed

    if inspect.iscoroutinefunction(observed):

        async def method(*args: Any, **kwargs: Any) -> Any:
            return await choose(args)(*args, **kwargs)

    elif inspect.isgeneratorfunction(observed):

        def method(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]  # each as what it stands for
            return (yield from choose(args)(*args, **kwargs))

    else:

        def method(*args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]
            return choose(args)(*args, **kwargs)

    standing_for(method, observed)
    method.__plugwarden_original__ = function  # type: ignore[attr-defined]
    return method


def _overridden(kind: Any, thing: Any, name: str, method: Any) -> bool:
    """Whether what is observed under this name, for this object, is another method than this one."""
    held = getattr(thing, "__dict__", None)
    if held is not None and kind is not thing and hasattr(held.get(name), "__plugwarden__"):
        return True
    for base in getattr(kind, "__mro__", ()):
        if name in base.__dict__:
            found = base.__dict__[name]
            found = getattr(found, "__func__", found)
            return found is not method and hasattr(found, "__plugwarden__")
    return False
