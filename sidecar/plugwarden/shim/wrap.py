"""Chooses the wrapper for a callable."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal

from plugwarden.operation import Operation

from .coroutine import observe_coroutine
from .function import observe_function
from .generator import observe_async_generator, observe_generator

__all__ = ["Kind", "kind_of", "wrap"]

Kind = Literal["function", "coroutine", "generator", "async generator"]
_WRAPPERS = {
    "function": observe_function,
    "coroutine": observe_coroutine,
    "generator": observe_generator,
    "async generator": observe_async_generator,
}


def kind_of(function: Callable[..., Any]) -> Kind:
    """What a call of `function` answers."""
    # The function itself, not what it wraps: a decorator may have made something else of a generator or coroutine.
    plain = inspect.isroutine(function) or isinstance(function, functools.partial)
    target = function if plain else getattr(type(function), "__call__", function)  # noqa: B004 - an object's own
    if inspect.iscoroutinefunction(target):
        return "coroutine"
    if inspect.isasyncgenfunction(target):
        return "async generator"
    return "generator" if inspect.isgeneratorfunction(target) else "function"


def wrap(operation: Operation, function: Callable[..., Any], runs: Callable[..., Any] | None = None) -> Any:
    """The observed form of `function`. `runs` is what is called in its stead: a runner's form of it, same signature."""
    wrapped = _WRAPPERS[kind_of(function)](operation, runs or function)
    functools.update_wrapper(wrapped, function)
    wrapped.__plugwarden__ = operation  # type: ignore[attr-defined]  # lets an integration see what is wrapped already
    return wrapped
