"""Chooses the wrapper for a callable, and the form in which the host gets it.

A function or method comes back as a function or method; what is more than that, or is found elsewhere than its name
says, as an object in its place (`StandIn`); static and class methods as what they are; a class as itself.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any, Literal

from plugwarden.errors import ConfigurationError

from .codes import binder, flagged, unseen
from .construction import observe_class
from .coroutine import observe_coroutine
from .form import Form
from .function import observe_function
from .generator import observe_async_generator, observe_generator
from .method import observe_method
from .opened import begin_misused
from .stand_in import leads_to, stand_in

__all__ = ["Kind", "kind_of", "require_callable", "wrap"]

Kind = Literal["function", "coroutine", "generator", "async generator"]
Runs = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A runner's form of a function: same arguments, same result."""

_STARTED_LATER: dict[str, tuple[Callable[..., Callable[..., Any]], int]] = {
    "coroutine": (observe_coroutine, inspect.CO_COROUTINE),
    "generator": (observe_generator, inspect.CO_GENERATOR),
    "async generator": (observe_async_generator, inspect.CO_ASYNC_GENERATOR),
}
"""Wrappers of what does not run when it is called, made of the arguments as (args, kwargs); and the flag they show."""


def require_callable(function: Any) -> None:
    """Raises `ConfigurationError` for what cannot be wrapped, with the way to do it."""
    if isinstance(function, staticmethod | classmethod):
        require_callable(function.__func__)
    elif not callable(function):
        way = ""
        if isinstance(function, property | functools.cached_property):
            way = "; wrap the function below the decorator that makes a property of it"
        elif isinstance(function, functools.partialmethod | functools.singledispatchmethod):
            way = "; wrap the functions that it is made of"
        raise ConfigurationError(f"function: {function!r:.300} cannot be called{way}")


def kind_of(function: Callable[..., Any]) -> Kind:
    """What a call of `function` answers."""
    if isinstance(function, staticmethod | classmethod):
        return kind_of(function.__func__)
    # The function itself, not what it wraps: a decorator may have made something else of a generator or coroutine.
    plain = inspect.isroutine(function) or isinstance(function, functools.partial)
    target = function if plain else getattr(type(function), "__call__", function)  # noqa: B004 - an object's own
    if inspect.iscoroutinefunction(target):
        return "coroutine"
    if inspect.isasyncgenfunction(target):
        return "async generator"
    return "generator" if inspect.isgeneratorfunction(target) else "function"


def wrap(form: Form, function: Any, runs: Runs | None = None, skip: int = 0) -> Any:
    """The observed form of `function`. `runs` makes a runner's form of what is called; `skip` is how many of the first arguments
    the host did not give, as the object of a bound method: fallbacks and `capture` are not given them either."""
    if isinstance(function, staticmethod | classmethod):
        return type(function)(wrap(form, function.__func__, runs))
    if isinstance(function, type) and type(function).__call__ is type.__call__:
        return observe_class(form, function)
    if type(function) is types.MethodType and type(function.__func__) is types.FunctionType:
        if form.operation.declaration.runner != "process":  # that one has to find it by its name
            return observe_method(form.operation, function, wrap(form, function.__func__, runs, 1))
    elif type(function) is types.FunctionType:
        return _as_function(form, function, runs, skip)
    return stand_in(form.operation, _observed(form, function, runs), function, _again(form, runs))


def _again(form: Form, runs: Runs | None) -> Callable[[Any], Any]:
    return lambda other: wrap(form, other, runs)


def _as_function(form: Form, function: types.FunctionType, runs: Runs | None, skip: int) -> Any:
    observed = _observed(form, function, runs, skip)
    outer = function.__qualname__.rpartition(".")[0]
    in_a_class = bool(outer) and not outer.endswith("<locals>")
    if not in_a_class and (leads_to(function) or _says_more(function)):
        return stand_in(form.operation, observed, function, _again(form, runs))
    functools.update_wrapper(observed, function)
    observed.__defaults__ = function.__defaults__  # read by hosts, not by the call
    observed.__kwdefaults__ = function.__kwdefaults__
    observed.__plugwarden__ = form.operation  # type: ignore[attr-defined]  # lets an integration see what is wrapped already
    if not hasattr(function, "__wrapped__") and not _says_more(function):
        try:
            observed.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        except (TypeError, ValueError):
            pass  # it has none
    return observed


def _says_more(function: types.FunctionType) -> bool:
    """Whether its signature depends on who asks: text stands where types will, as `from __future__ import annotations`
    has it. A signature made now would be wrong for `eval_str`, and one made by following `__wrapped__` is not seen by all."""
    return any(isinstance(said, str) for said in function.__annotations__.values())


def _observed(form: Form, function: Any, runs: Runs | None, skip: int = 0) -> Callable[..., Any]:
    called = function if runs is None else runs(function)
    kind = kind_of(function)
    if kind == "function":
        return observe_function(form, called, skip)
    observe, flag = _STARTED_LATER[kind]
    started = observe(form, called, skip)
    for name in ("__name__", "__qualname__"):  # what a coroutine that is never awaited is called in the warning
        said = getattr(function, name, None)
        if isinstance(said, str):
            setattr(started, name, said)
    entry = _entry(form, started, function)
    entry.__code__ = flagged(entry.__code__, flag)
    return entry


@unseen
def _entry(form: Form, started: Callable[..., Any], function: Any) -> types.FunctionType:
    """Called by the host: wrong arguments are an error at once, all else when the answer is awaited or iterated."""
    if type(function) is not types.FunctionType:

        def unchecked(*args: Any, **kwargs: Any) -> Any:
            return started(args, kwargs)

        return unchecked  # type: ignore[return-value]  # mypy does not take it for the FunctionType that it is
    bind = binder(function)

    def entry(*args: Any, **kwargs: Any) -> Any:
        try:
            bind(*args, **kwargs)
        except TypeError as error:
            begin_misused(form, error)
            raise
        return started(args, kwargs)

    return entry  # type: ignore[return-value]  # as above
