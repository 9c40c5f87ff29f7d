"""How objects of a host's own types come back from a worker process: taken apart there, made here, by what the host says."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from plugwarden.contract.value import value
from plugwarden.errors import ConfigurationError

__all__ = ["Carrier", "Codec"]


@value
class Codec:
    """For a type in `returns=` that is no dataclass, named tuple, enum, pydantic model or exception."""

    kind: type
    """The type itself; its subclasses need codecs of their own."""
    encode: Callable[[Any], Any]
    """An object -> plain data, in the worker: a function at the top of a module."""
    decode: Callable[[Any], Any]
    """That data -> an object, in the host. What it is given may be anything: it should check it, and may raise."""


@value
class Carrier:
    """One type in `returns=`, and how it is carried."""

    kind: type
    how: tuple[Any, ...]
    """What the worker does: ("fields", name, …), ("items",), ("member",), ("value",), ("model",), ("raise",), or
    ("call",) with a codec's function."""
    make: Callable[[Any], Any]
    """What was sent -> an object; raises whatever the type does when it is not what it should be."""

    @classmethod
    def of(cls, declared: Any) -> Carrier:
        """Raises `ConfigurationError` for a type that needs a codec."""
        if isinstance(declared, Codec):
            if not isinstance(declared.kind, type) or not callable(declared.encode) or not callable(declared.decode):
                raise ConfigurationError("returns: a Codec has a type and two functions")
            return cls(declared.kind, ("call", declared.encode), declared.decode)
        if not isinstance(declared, type):
            raise ConfigurationError(f"returns: {declared!r:.200} is neither a type nor a Codec")
        kind: Any = declared
        if issubclass(kind, Exception):
            return cls(kind, ("raise",), kind)
        if issubclass(kind, enum.Flag):
            return cls(kind, ("value",), kind)
        if issubclass(kind, enum.Enum):
            return cls(kind, ("member",), lambda name: kind[name])
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            return cls(kind, ("items",), lambda items: kind(*_several(items, len(kind._fields))))
        if callable(getattr(kind, "model_validate", None)) and callable(getattr(kind, "model_dump", None)):
            if any(field.alias or field.validation_alias for field in kind.model_fields.values()):
                raise ConfigurationError(f"returns: {kind.__qualname__} has fields with other names; {_WRITE_ONE}")
            return cls(kind, ("model",), lambda fields: kind.model_validate(_mapping(fields)))
        if dataclasses.is_dataclass(kind):
            return cls._of_dataclass(kind)
        raise ConfigurationError(f"returns: nothing is known of how {kind.__qualname__} is made; {_WRITE_ONE}")

    @classmethod
    def _of_dataclass(cls, kind: Any) -> Carrier:
        names = tuple(one.name for one in dataclasses.fields(kind) if one.init)
        for name, wanted in inspect.signature(kind).parameters.items():
            if name not in names and wanted.default is wanted.empty:
                raise ConfigurationError(
                    f"returns: {kind.__qualname__} is made from {name}, which is none of its fields; {_WRITE_ONE}"
                )
        return cls(
            kind,
            ("fields", *names),
            lambda values: kind(**dict(zip(names, _several(values, len(names)), strict=True))),
        )


_WRITE_ONE = "give a Codec(type, encode, decode)"


def _several(given: Any, count: int) -> tuple[Any, ...]:
    if type(given) is not tuple or len(given) != count:
        raise ValueError(f"{count} values are needed")
    return given


def _mapping(given: Any) -> Mapping[Any, Any]:
    if type(given) is not dict:
        raise ValueError("a dictionary is needed")
    return given
