"""An object in the place of a callable: observed when called, and in all else the callable itself.

A plain function is the cheaper wrapper, and what stands in a class. It cannot be what a host sees where an attribute is
looked up that functions do not have (`cache_info` of an `lru_cache`, a mock's counters, a command's options), where
`inspect` reads the parameters without following `__wrapped__`, or where it is pickled under another name than its own.
"""

from __future__ import annotations

import copy
import functools
import importlib
import logging
import sys
import types
import weakref
from collections.abc import Callable
from typing import Any

from plugwarden.operation import Operation

from .doorway import BUILT, Forwarding

__all__ = ["StandIn", "leads_to", "stand_in"]

_log = logging.getLogger(__name__)
_OF_ITS_CLASS = ("__module__", "__doc__")
"""Every class has these, so an object's own would not be asked for."""
_told: set[str] = set()
"""Addresses that the log has named; as many as there are callables without one."""
MAX_TOLD = 100


_NOWHERE = ("", "")
_addresses: weakref.WeakKeyDictionary[Any, tuple[str, str]] = weakref.WeakKeyDictionary()
"""Where a stand-in was found when it was pickled; a pool pickles it for every task, and looking takes milliseconds."""


class _Forwarding:
    """As `native.Forwarding`."""

    __slots__ = ("__weakref__", "__wrapped__")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)


_Base: Any = Forwarding if BUILT else _Forwarding


class StandIn(_Base):  # type: ignore[misc]  # one of two
    """See the module. Each has a class of its own, because Python looks for special methods on classes alone."""

    __slots__ = ("__again__", "__plugwarden__")

    # No annotations here: an object's own would not be asked for any more.

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__wrapped__, name, value)
        if name in _OF_ITS_CLASS:
            setattr(type(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.__wrapped__, name)

    def __dir__(self) -> Any:
        return dir(self.__wrapped__)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    @property
    def __class__(self) -> Any:
        return self.__wrapped__.__class__

    @__class__.setter
    def __class__(self, kind: Any) -> None:
        self.__wrapped__.__class__ = kind

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return self.__wrapped__.__dict__

    def __copy__(self) -> Any:
        return _in_place_of(self, copy.copy(self.__wrapped__))

    def __deepcopy__(self, memo: Any) -> Any:
        copied = copy.deepcopy(self.__wrapped__, memo)
        if id(self) in memo:  # it is part of itself, and that part was copied first
            return memo[id(self)]
        return _in_place_of(self, copied)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # With the name that it is bound to now, which may not be the one it was made with.
        address = _address(self)
        if address is not None:
            # A function is its name; any other object is sent, and stands over there where its like does.
            by_name = _is_its_name(self.__wrapped__, protocol)
            return (_found, address) if by_name else (_found_like, (*address, self.__wrapped__))
        # The host's process pool works on, and what runs over there is not seen: better than an error of ours.
        described = f"{getattr(self, '__module__', None)}.{getattr(self, '__qualname__', type(self).__name__)}"
        if described not in _told and len(_told) < MAX_TOLD:
            _told.add(described)
            _log.warning(
                "%s is sent to another process unobserved: bind it to a name at the top of a module", described
            )
        return _itself, (self.__wrapped__,)


_NOT_FORWARDED = frozenset(dir(StandIn)) | {
    "__call__",
    "__get__",
    "__del__",
    "__class_getitem__",
    "__setstate__",
    "__getattr__",
}
"""Special methods that are a stand-in's own, or that it must not have in its object's stead."""


def stand_in(
    operation: Operation, call: Callable[..., Any], original: Any, again: Callable[[Any], Any] = lambda other: other
) -> Any:
    """`original` to look at, `call` when called. `again` is what was done to make it so, for what is made of the original: a copy,
    or what it answers when it is bound."""
    kind = type(original)
    body: dict[str, Any] = {
        "__slots__": (),
        "__call__": staticmethod(call),
    }
    if not BUILT:
        # A host reads names and marks of a plugin around each call; a function of Python's would cost as much as the call.
        body["__getattr__"] = staticmethod(functools.partial(getattr, original))
    for name in _OF_ITS_CLASS:
        body[name] = getattr(original, name, None)
    if hasattr(kind, "__get__"):
        body["__get__"] = _bind
    for name in dir(kind):
        method = getattr(kind, name, None) if name.startswith("__") and name not in _NOT_FORWARDED else None
        if callable(method) and method is not getattr(object, name, None):
            body[name] = _special(name)
    made = type(kind.__name__, (StandIn,), body)()
    object.__setattr__(made, "__wrapped__", original)
    object.__setattr__(made, "__plugwarden__", operation)
    object.__setattr__(made, "__again__", again)
    return made


def leads_to(function: Any) -> bool:
    """Whether what is bound to a function's own name is this very function: a wrapper of it will have another name."""
    module, qualname = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(qualname, str):
        return False
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found is function


def _bind(self: Any, instance: Any, owner: Any = None) -> Any:
    original = self.__wrapped__
    bound = original.__get__(instance, owner)
    if type(bound) is types.MethodType and bound.__func__ is original:
        return types.MethodType(self, bound.__self__)
    if type(bound) is functools.partial and _is_call_of(
        original, bound.func
    ):  # how most decorators that are objects do it
        return functools.partial(self, *bound.args, **bound.keywords)
    if instance is not None and isinstance(original, types.MethodDescriptorType | types.WrapperDescriptorType):
        return types.MethodType(self, instance)  # of a class made in C: what it answers is the same but for its type
    return _in_place_of(self, bound)


def _is_call_of(original: Any, method: Any) -> bool:
    return type(method) is types.MethodType and method.__self__ is original and method.__name__ == "__call__"


def _in_place_of(made: StandIn, other: Any) -> Any:
    """What the host gets where it would get `other` of the original: observed as the original is, if it can be called."""
    if other is made.__wrapped__:
        return made
    if not callable(other) or isinstance(other, type) or hasattr(other, "__plugwarden__"):
        return other
    try:
        return made.__again__(other)
    except Exception:  # noqa: BLE001 - a runner may not find it; the host must not pay for that
        made.__plugwarden__.faults += 1
        return other


def _special(name: str) -> Callable[..., Any]:
    def forward(self: StandIn, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.__wrapped__, name)(*args, **kwargs)

    forward.__name__ = name
    return forward


def _address(made: StandIn) -> tuple[str, str] | None:
    """Module and name that it is bound to, at the top of a module: where its own name says, or anywhere else."""
    known = _addresses.get(made)
    if known is not None and (known == _NOWHERE or getattr(sys.modules.get(known[0]), known[1], None) is made):
        return None if known == _NOWHERE else known
    own = getattr(made, "__module__", None)
    modules = list(sys.modules.items())
    modules.sort(key=lambda item: item[0] != own)  # stable: its own first
    for module, content in modules:
        names = getattr(content, "__dict__", None)
        if not isinstance(names, dict) or module == "__mp_main__":
            continue  # that is another name of __main__'s in a spawned process
        for name, value in list(names.items()):
            if value is made:
                _addresses[made] = module, name
                return module, name
    _addresses[made] = _NOWHERE
    return None


def _is_its_name(original: Any, protocol: Any) -> bool:
    """Whether pickle would write no more of it than where it is found, as of a function."""
    if isinstance(original, types.FunctionType):
        return True
    try:
        return isinstance(original.__reduce_ex__(protocol), str)
    except Exception:  # noqa: BLE001 - pickle has other ways (`copyreg`), or says what is wrong with it
        return False


def _found(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _found_like(module: str, name: str, original: Any) -> Any:
    """An object that came from another process or a copy's file: observed as what has its name here is."""
    try:
        like = _found(module, name)
    except Exception:  # noqa: BLE001 - the object alone would have been found
        return original
    return _in_place_of(like, original) if isinstance(like, StandIn) else original


def _itself(original: Any) -> Any:
    return original
