"""Bound methods: the observed form is a bound method too, of the same object."""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable
from typing import Any

from plugwarden.operation import Operation

__all__ = ["observe_method"]

_kept: dict[int, tuple[Any, dict[Any, Any]]] = {}
"""By an object's id: a weak reference that forgets the entry when the object ends, and the functions of its observed
methods, one for each operation and method. A host that holds a method weakly (`weakref.WeakMethod`, as signals do)
counts on the object to keep it."""


def observe_method(operation: Operation, method: types.MethodType, function: Callable[..., Any]) -> types.MethodType:
    """`function`, the observed form of the method's own, bound to its object."""
    owner = method.__self__
    key = id(owner)
    if key not in _kept:
        try:
            _kept[key] = (weakref.ref(owner, lambda gone: _forget(key)), {})
        except TypeError:
            return types.MethodType(function, owner)  # nothing can hold it weakly, so nobody does
    _kept[key][1][operation, method.__func__] = function
    return types.MethodType(function, owner)


def _forget(key: int) -> None:
    _kept.pop(key, None)
