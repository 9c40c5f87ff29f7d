"""Values: frozen dataclasses with slots, made without compiling anything.

`@dataclass` writes six methods of each class as text and compiles them, which costs a process 0.8 ms a class before the
first call, and there are forty. The methods here are the same for all and read the fields' names instead. A value is a
dataclass to `dataclasses.fields`, `replace` and `asdict`, to `inspect` and to type checkers. What is made on every call is
better a `NamedTuple` or a class of its own: making a value takes some two microseconds.
"""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field
from typing import Any, TypeVar, dataclass_transform

__all__ = ["value"]

T = TypeVar("T", bound=type)


@dataclass_transform(frozen_default=True, field_specifiers=(field, dataclasses.Field))
def value(kind: T) -> T:
    """Make a frozen dataclass with slots of a class; what it defines itself stays."""
    own = set(vars(kind))
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(kind)
    told = made.__dataclass_params__
    told.init = told.repr = told.eq = told.frozen = True
    for name, method in _methods(made, dataclasses.fields(made)).items():
        if name not in own or name == "__hash__":
            setattr(made, name, method)
    return made  # type: ignore[no-any-return]  # it was said to be anything


def _methods(kind: Any, fields: tuple[Field[Any], ...]) -> dict[str, Any]:
    names = tuple(one.name for one in fields)
    setters = {name: vars(kind)[name].__set__ for name in names}
    ordered = tuple(setters.items())
    compared = tuple(vars(kind)[one.name].__get__ for one in fields if one.compare)
    checked = getattr(kind, "__post_init__", None) is not None

    def __init__(self: Any, *given: Any, **named: Any) -> None:
        if len(given) > len(names):
            raise TypeError(f"{kind.__qualname__}() takes at most {len(names)} arguments, {len(given)} were given")
        for (name, put), told in zip(ordered, given, strict=False):
            if name in named:
                raise TypeError(f"{kind.__qualname__}() got multiple values for argument {name!r}")
            put(self, told)
        for one in fields[len(given) :]:
            name = one.name
            if name in named:
                told = named.pop(name)
            elif one.default is not MISSING:
                told = one.default
            elif one.default_factory is not MISSING:
                told = one.default_factory()
            else:
                raise TypeError(f"{kind.__qualname__}() is missing the argument {name!r}")
            setters[name](self, told)
        if named:
            raise TypeError(f"{kind.__qualname__}() got an unexpected keyword argument {next(iter(named))!r}")
        if checked:
            self.__post_init__()

    def __repr__(self: Any) -> str:
        told = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields if one.repr)
        return f"{type(self).__qualname__}({told})"

    def __eq__(self: Any, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return all(get(self) == get(other) for get in compared)

    def __hash__(self: Any) -> int:
        return hash(tuple([get(self) for get in compared]))

    def __setattr__(self: Any, name: str, told: Any) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self: Any, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __getstate__(self: Any) -> list[Any]:
        return [getattr(self, name) for name in names]

    def __setstate__(self: Any, state: list[Any]) -> None:
        for (_, put), told in zip(ordered, state, strict=True):
            put(self, told)

    found: dict[str, Any] = {
        method.__name__: method
        for method in (
            __init__,
            __repr__,
            __eq__,
            __hash__,
            __setattr__,
            __delattr__,
            __getstate__,
            __setstate__,
        )
    }
    for name, method in found.items():
        method.__qualname__ = f"{kind.__qualname__}.{name}"
    return {**found, "__signature__": _SignatureOf()}


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
