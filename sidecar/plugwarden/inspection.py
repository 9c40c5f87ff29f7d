"""Reading exceptions without running a line of theirs.

An exception's class may answer any attribute (`__getattr__`), lie about its class, compare and print as it likes, and its
metaclass too. What is needed here is read from where the interpreter keeps it, so such a failure counts like any other.
"""

from __future__ import annotations

import itertools
import reprlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType, TracebackType
from typing import Any

__all__ = [
    "attribute_of", "bases_of", "is_a", "is_or_comes_from", "leaves_of", "message_of", "namespace_of", "traceback_of",
    "type_name",
]  # fmt: skip

MAX_NAME = 200
MAX_MESSAGE = 1000
MAX_LEAVES = 1_000
"""Looked at of a group of exceptions. Groups within groups share members, so that a few objects can be more exceptions than
anybody can go through; one of a TaskGroup has as many as there were tasks."""
MAX_TOLD_ITEMS = 10_000
"""Items that an exception's arguments may hold for its text to be made: 2 ms, and a thousand characters are kept of it."""
_module = type.__dict__["__module__"].__get__
_qualname = type.__dict__["__qualname__"].__get__
_traceback = BaseException.__dict__["__traceback__"].__get__
_cause = BaseException.__dict__["__cause__"].__get__
_context = BaseException.__dict__["__context__"].__get__
_exceptions = BaseExceptionGroup.__dict__["exceptions"].__get__
_args = BaseException.__dict__["args"].__get__
bases_of: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
"""A class and all it derives from, nearest first."""
namespace_of: Callable[[type], MappingProxyType[str, Any]] = type.__dict__["__dict__"].__get__
"""What a class itself defines."""
_TELL_ARGUMENTS = (BaseException.__dict__["__str__"], KeyError.__dict__["__str__"])
"""The texts that are made of all arguments."""
_CONTAINERS = (list, tuple, dict, set, frozenset, deque)


class _Outline(reprlib.Repr):
    """The first items of each container. The library's own sorts all of a dictionary or set to show the first few."""

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        return super().repr_dict(dict(itertools.islice(x.items(), self.maxdict + 1)), level)

    def repr_set(self, x: set[Any], level: int) -> str:
        return super().repr_set(set(itertools.islice(x, self.maxset + 1)), level)

    def repr_frozenset(self, x: frozenset[Any], level: int) -> str:
        return super().repr_frozenset(frozenset(itertools.islice(x, self.maxfrozenset + 1)), level)


_outline = _Outline()


def type_name(kind: type[BaseException]) -> str:
    """An exception's qualified name, as `error.type` has it."""
    module, name = _module(kind), _plain(_qualname(kind), MAX_NAME)
    return name if module == "builtins" else f"{_plain(str(module), MAX_NAME)}.{name}"


def message_of(error: BaseException) -> str:
    """Its text, cut; any lone surrogate replaced, because it could not be sent and would hold up all behind it."""
    try:
        arguments = _args(error)
        for one in arguments:
            if type(one) is not str and _is_container(one):
                if _has_many_items(arguments) and _tells_arguments(error):
                    return _plain(_outline.repr(arguments), MAX_MESSAGE)
                break
        return _plain(str(error), MAX_MESSAGE)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - it is we who asked: what its __str__ raises must not reach the host
        return "<the exception's own text failed>"


def traceback_of(error: BaseException) -> TracebackType | None:
    """Where it was raised."""
    found: TracebackType | None = _traceback(error)
    return found


def attribute_of(error: BaseException, name: str, default: Any = None) -> Any:
    """An attribute that was set on it, without asking its `__getattr__`."""
    try:
        return BaseException.__getattribute__(error, name)
    except Exception:  # noqa: BLE001 - a property of its class may do anything
        return default


def is_a(error: BaseException, kinds: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
    """`isinstance` by its true class; what a declared type's own metaclass cannot answer is no."""
    try:
        return issubclass(type(error), kinds)
    except Exception:  # noqa: BLE001 - a metaclass may do anything
        return False


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """What a group of exceptions (a TaskGroup's) is made of; any other exception is its own leaf.

    Of one with more than `MAX_LEAVES` the last is the group itself, so that what was not looked at is nobody's exemption.
    """
    if not is_a(error, BaseExceptionGroup):
        yield error
        return
    ahead: list[Iterator[BaseException]] = [iter((error,))]
    looked_at = 0
    while ahead:
        one = next(ahead[-1], None)
        if one is None:
            ahead.pop()
            continue
        looked_at += 1
        if looked_at >= MAX_LEAVES:
            yield error
            return
        if is_a(one, BaseExceptionGroup):
            ahead.append(iter(_exceptions(one)))
        else:
            yield one


def is_or_comes_from(error: BaseException, origin: BaseException) -> bool:
    """Whether it is that exception, or was raised from or while handling it."""
    seen: BaseException | None = error
    for _ in range(10):  # a chain of causes may be a cycle
        if seen is origin:
            return True
        if seen is None:
            return False
        cause = _cause(seen)
        seen = _context(seen) if cause is None else cause
    return False


def _tells_arguments(error: BaseException) -> bool:
    for base in bases_of(type(error)):
        own = namespace_of(base).get("__str__")
        if own is not None:
            return any(own is one for one in _TELL_ARGUMENTS)
    return False


def _has_many_items(arguments: tuple[Any, ...]) -> bool:
    """Whether Python's own containers in there hold more than a text is worth."""
    ahead: list[Any] = [arguments]
    items = 0
    while ahead:
        held = ahead.pop()
        items += len(held)
        if items > MAX_TOLD_ITEMS:
            return True
        members: Iterable[Any] = itertools.chain(held, held.values()) if type(held) is dict else held
        ahead.extend(filter(_is_container, members))
    return False


def _is_container(thing: object) -> bool:
    own = type(thing)
    return any(own is kind for kind in _CONTAINERS)


def _plain(text: str, limit: int) -> str:
    """A copy of a text, which may be of a class of the plugin's own, that can be sent."""
    if type(text) is str and len(text) <= limit and text.isascii():
        return text
    return str.encode(str.__getitem__(text, slice(limit)), "utf-8", "replace").decode("utf-8")
