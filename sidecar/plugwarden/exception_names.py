"""Exceptions by their names, as a manifest has them: looked up among what is loaded, never imported."""

from __future__ import annotations

import builtins
import sys
from typing import Any

from plugwarden.errors import ConfigurationError

__all__ = ["Named", "check_name", "exception_type", "find", "is_named"]

_OF_DOWNSTREAMS = (ConnectionError, TimeoutError)
"""Python's own exceptions that say that somebody else failed; all others are how a program's own bugs end."""
_OF_BUGS = frozenset(
    {
        "ArithmeticError", "AssertionError", "AttributeError", "Exception", "ImportError", "IndentationError", "MemoryError",
        "ModuleNotFoundError", "NameError", "NotImplementedError", "RecursionError", "RuntimeError", "SyntaxError",
        "SystemError", "TabError", "UnboundLocalError", "ZeroDivisionError",
    }
)  # fmt: skip
"""Python's own exceptions that no caller can be blamed for."""


class Named(type):
    """The type of a stand-in: an exception is one of it when the named type is loaded by then, and the exception is of that."""

    path: str
    field: str

    def __instancecheck__(cls, error: object) -> bool:
        return cls.__subclasscheck__(type(error))

    def __subclasscheck__(cls, given: type) -> bool:
        kind = find(cls.path)
        return isinstance(kind, type) and not _fault(cls.field, kind) and issubclass(given, kind)


def find(path: str) -> Any:
    """What stands under a dotted name in a loaded module, without running anything; None where nothing does."""
    module, _, name = path.rpartition(".")
    if not module:
        return vars(builtins).get(name)
    loaded = sys.modules.get(module)
    return None if loaded is None else getattr(loaded, "__dict__", {}).get(name)


def check_name(field: str, path: str) -> None:
    """Raises `ConfigurationError` for what is known to be no exception, or stands for a plugin's own bugs.

    `field`: where it was written, beginning with `downstreams`, or else of errors that are the caller's.
    """
    if len(path) > 200 or not all(part.isidentifier() for part in path.split(".")):
        raise ConfigurationError(f"{field}: {path!r:.100} is no dotted name of an exception")
    module = path.rpartition(".")[0] or "builtins"
    kind = find(path)
    if kind is None:
        loaded = sys.modules.get(module)
        if loaded is not None and "__getattr__" not in getattr(loaded, "__dict__", {}):
            raise ConfigurationError(f"{field}: there is no {path}")
        return  # it is looked up again when something was raised
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise ConfigurationError(f"{field}: {path} is not a type of Exception")
    fault = _fault(field, kind)
    if fault:
        raise ConfigurationError(f"{field}: {path} {fault}")


def exception_type(field: str, path: str) -> type[Exception]:
    """The named type where it is loaded, else a stand-in for it."""
    kind = find(path)
    if isinstance(kind, type) and issubclass(kind, Exception) and not _fault(field, kind):
        return kind
    made: type[Exception] = Named(path.rpartition(".")[2], (Exception,), {"path": path, "field": field})  # type: ignore[assignment]
    return made


def is_named(path: str, allowed: type[Exception] | str) -> bool:
    """Whether a name is one of the allowed type or of a subclass of it, as far as what is loaded tells."""
    kind, limit = find(path), find(allowed) if isinstance(allowed, str) else allowed
    if isinstance(kind, type) and isinstance(limit, type):
        return issubclass(kind, limit)
    return path == (allowed if isinstance(allowed, str) else f"{allowed.__module__}.{allowed.__qualname__}")


def _fault(field: str, kind: type) -> str:
    if kind.__module__ != "builtins":
        return ""
    if not field.startswith("downstreams"):
        return "is how a plugin's own bugs end, and no caller's fault" if kind.__name__ in _OF_BUGS else ""
    if issubclass(kind, _OF_DOWNSTREAMS):
        return ""
    return (
        "is how a plugin's own bugs end; name what the downstream's client raises, or ConnectionError or TimeoutError"
    )
