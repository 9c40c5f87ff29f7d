"""Values: frozen dataclasses with slots, made without compiling anything.

`@dataclass` writes six methods of each class as text and compiles them, which costs a process 0.8 ms a class before the
first call, and there are forty. The methods here are the same for all and read the fields' names instead, and what only
`dataclasses` asks of a class (its `Field`s and parameters) is made for who asks first. A value is a dataclass to
`dataclasses.fields`, `replace` and `asdict`, to `inspect` and to type checkers. What is made on every call is better a
`NamedTuple` or a class of its own: making a value takes some two microseconds.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field
from typing import Any, NoReturn, TypeVar, dataclass_transform

__all__ = ["value"]

T = TypeVar("T", bound=type)


@dataclass_transform(frozen_default=True, field_specifiers=(field, dataclasses.Field))
def value(kind: T) -> T:
    """Make a frozen dataclass with slots of a class, which has no other for its base; what it defines itself stays."""
    own = dict(vars(kind))
    told = {name: own.pop(name, MISSING) for name in own.get("__annotations__", {})}
    for name in ("__dict__", "__weakref__"):
        own.pop(name, None)
    names = tuple(told)
    parts: list[_Part] = []  # known once the class is there, whose slots they hold
    methods = _methods(kind, parts, checked="__post_init__" in own)
    of_dataclasses = {name: _OfDataclasses(told) for name in ("__dataclass_fields__", "__dataclass_params__")}
    made: Any = type(kind)(
        kind.__name__,
        kind.__bases__,
        {
            **methods,
            **of_dataclasses,
            **own,
            "__hash__": methods["__hash__"],
            "__slots__": names,
            "__match_args__": names,
        },
    )
    parts.extend(_Part(name, vars(made)[name], given) for name, given in told.items())
    return made  # type: ignore[no-any-return]  # it was said to be anything


class _Part:
    """One field of a value: what it is called, what stands for it where it is not given, and the slot that it is in."""

    __slots__ = ("compared", "default", "get", "make", "name", "put", "shown")

    def __init__(self, name: str, slot: Any, given: Any) -> None:
        self.name, self.get, self.put = name, slot.__get__, slot.__set__
        self.default, self.shown, self.compared = given, True, True
        self.make: Any = MISSING
        if type(given) is Field:
            self.default, self.make = given.default, given.default_factory
            self.shown, self.compared = given.repr, given.compare


def _methods(kind: type, parts: list[_Part], *, checked: bool) -> dict[str, Any]:
    def __init__(self: Any, *given: Any, **named: Any) -> None:
        if len(given) > len(parts):
            raise TypeError(f"{kind.__qualname__}() takes at most {len(parts)} arguments, {len(given)} were given")
        place = 0
        for told in given:
            part = parts[place]
            if part.name in named:
                raise TypeError(f"{kind.__qualname__}() got multiple values for argument {part.name!r}")
            part.put(self, told)
            place += 1
        take = named.pop
        for part in parts[place:] if place else parts:
            told = take(part.name, part.default)
            if told is MISSING:
                if part.make is MISSING:
                    raise TypeError(f"{kind.__qualname__}() is missing the argument {part.name!r}")
                told = part.make()
            part.put(self, told)
        if named:
            raise TypeError(f"{kind.__qualname__}() got an unexpected keyword argument {next(iter(named))!r}")
        if checked:
            self.__post_init__()

    def __repr__(self: Any) -> str:
        told = ", ".join(f"{part.name}={part.get(self)!r}" for part in parts if part.shown)
        return f"{type(self).__qualname__}({told})"

    def __eq__(self: Any, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(part.get(self) == part.get(other) for part in parts if part.compared)

    def __hash__(self: Any) -> int:
        return hash(tuple([part.get(self) for part in parts if part.compared]))

    def __setattr__(self: Any, name: str, told: Any) -> NoReturn:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self: Any, name: str) -> NoReturn:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __getstate__(self: Any) -> list[Any]:
        return [part.get(self) for part in parts]

    def __setstate__(self: Any, state: list[Any]) -> None:
        for part, told in zip(parts, state, strict=True):
            part.put(self, told)

    methods: tuple[Callable[..., Any], ...] = (
        __init__,
        __repr__,
        __eq__,
        __hash__,
        __setattr__,
        __delattr__,
        __getstate__,
        __setstate__,
    )
    for method in methods:
        method.__qualname__ = f"{kind.__qualname__}.{method.__name__}"
    return {**{method.__name__: method for method in methods}, "__signature__": _SignatureOf()}


class _OfDataclasses:
    """What `dataclasses` keeps of a class, which it makes of one that has the same fields when somebody asks."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = {name: given for name, given in told.items() if given is not MISSING}

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner: Any = owner
        self._name = name

    def __get__(self, instance: object, kind: Any) -> Any:
        owner = self._owner
        about = {"__annotations__": owner.__annotations__, "__module__": owner.__module__, "__doc__": owner.__name__}
        made: Any = dataclass(init=False, repr=False, eq=False)(type(owner.__name__, (), {**about, **self._told}))
        told = made.__dataclass_params__
        told.init = told.repr = told.eq = told.frozen = True
        owner.__dataclass_params__, owner.__dataclass_fields__ = told, made.__dataclass_fields__
        return getattr(made, self._name)


class _SignatureOf:
    """The signature of a value's class, worked out for who asks."""

    def __get__(self, instance: object, kind: Any) -> inspect.Signature:
        parameters = []
        for one in dataclasses.fields(kind):
            default = one.default if one.default is not MISSING else inspect.Parameter.empty
            if one.default_factory is not MISSING:
                default = "<made>"
            parameters.append(
                inspect.Parameter(
                    one.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=one.type
                )
            )
        return inspect.Signature(parameters, return_annotation=None)
