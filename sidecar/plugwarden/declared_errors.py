"""Exceptions that a host or a plugin's author declares, and how an exception is looked at without asking it anything.

    caller_errors=[KeyError, "shop.NoSuchOrder", Status("shop.ApiError", "status", 400, 500), lambda error: ...]

A full name stands for the class that a loaded module has under it: nothing is imported, and a class that merely has the
same name is not meant. Attributes are read past properties, `__getattr__` and metaclasses, so that no exception's code runs.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

from plugwarden.contract.value import value
from plugwarden.errors import ConfigurationError
from plugwarden.inspection import bases_of, is_a, namespace_of

__all__ = ["ErrorKind", "ErrorTest", "Errors", "Status", "defined", "number_at", "plain_attribute"]

ErrorTest = Callable[[BaseException], bool]
"""Says of an exception whether it is meant."""
ErrorKind = type[BaseException] | str | ErrorTest
"""A type of exception, the full name of one, or a function that knows them."""


@value
class Errors:
    """Exceptions, declared by their types, by their types' names, or by functions that know them."""

    types: tuple[type[BaseException], ...] = ()
    names: tuple[str, ...] = ()
    """Full names, as "celery.exceptions.Retry". The type is looked for when something is raised, and never imported."""
    tests: tuple[ErrorTest, ...] = ()

    @classmethod
    def of(cls, field: str, given: Any) -> Errors:
        """Make one from a type, name or function, or a list of them. Raises `ConfigurationError` that names the field."""
        if isinstance(given, Errors):
            return given
        kinds: list[type[BaseException]] = []
        names: list[str] = []
        tests: list[ErrorTest] = []
        alone = isinstance(given, str) or callable(given) or not isinstance(given, Iterable)
        for item in [given] if alone else given:
            if isinstance(item, type):
                if not issubclass(item, BaseException):
                    raise ConfigurationError(f"{field}: {item!r} is not a type of exception")
                kinds.append(item)
            elif isinstance(item, str):
                names.append(_checked(field, item))
            elif callable(item):
                tests.append(item)
            else:
                raise ConfigurationError(
                    f"{field}: {item!r:.200} is neither a type of exception, nor the full name of one, "
                    "nor a function that is given the exception"
                )
        return cls(tuple(kinds), tuple(names), tuple(tests))

    @property
    def loaded(self) -> tuple[type[BaseException], ...]:
        """The types that are declared, and those of the names that a loaded module defines."""
        named = [found for name in self.names if isinstance(found := defined(name), type)]
        return (*self.types, *(kind for kind in named if issubclass(kind, BaseException)))

    def __bool__(self) -> bool:
        return bool(self.types or self.names or self.tests)

    def match(self, error: BaseException) -> bool:
        """Whether an exception is among them. A test that fails does not know it."""
        if is_a(error, self.types):
            return True
        if self.names:
            line = bases_of(type(error))
            if any(_among(defined(name), line) for name in self.names):
                return True
        for test in self.tests:
            try:
                if test(error):
                    return True
            except Exception:  # noqa: BLE001, S112 - a function of the host's must not change what the caller gets
                continue
        return False


@value
class Status:
    """An exception with a number: `Status("shop.ApiError", "status", 400, 500)` knows those of 400 to 499."""

    type: str
    """Its full name."""
    attribute: str = "status_code"
    """Where the number stands: on the exception or its class; a property is not asked."""
    at_least: int = 400
    below: int = 500

    def __post_init__(self) -> None:
        _checked("type", self.type)
        if not self.attribute.isidentifier():
            raise ConfigurationError(f"attribute: {self.attribute!r} is not an attribute's name")
        if not self.at_least < self.below:
            raise ConfigurationError(f"below: {self.below} is not above at_least ({self.at_least})")

    def __call__(self, error: BaseException) -> bool:
        if not _among(defined(self.type), bases_of(type(error))):
            return False
        number = number_at(error, self.attribute)
        return number is not None and self.at_least <= number < self.below


def _checked(field: str, name: str) -> str:
    """A full name, with its module; raises `ConfigurationError` when it cannot be one, or is known not to be an exception's."""
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(
            f'{field}: {name!r:.200} is not the full name of an exception, as "json.JSONDecodeError"'
        )
    name = name if "." in name else f"builtins.{name}"
    found = defined(name)
    if found is None and name.rpartition(".")[0] in sys.modules:
        raise ConfigurationError(f"{field}: there is no {name}")
    if found is not None and not (isinstance(found, type) and issubclass(found, BaseException)):
        raise ConfigurationError(f"{field}: {name} is not a type of exception")
    return name


_HOLDERS = (types.GetSetDescriptorType, types.MemberDescriptorType)
"""How C gives an object its `__dict__`; a property of that name is the class's own invention."""
_MISSING: Any = object()


def plain_attribute(thing: object, name: str) -> Any:
    """An attribute as it is stored on an object or its class; None where there is none, or it would have to be computed."""
    line = bases_of(type(thing))
    for base in line:
        holder: Any = namespace_of(base).get("__dict__")
        if type(holder) in _HOLDERS:
            found = holder.__get__(thing).get(name, _MISSING)
            if found is not _MISSING:
                return found
            break
    for base in line:
        found = namespace_of(base).get(name, _MISSING)
        if type(found) is types.MemberDescriptorType:  # a slot
            try:
                return found.__get__(thing)
            except AttributeError:
                return None  # never set
        if found is not _MISSING:
            return None if hasattr(type(found), "__get__") else found
    return None


def number_at(thing: object, place: str) -> int | None:
    """The whole number at a dotted path of plain attributes; None where there is none."""
    found: Any = thing
    for name in place.split("."):
        found = plain_attribute(found, name)
    return int.__int__(found) if issubclass(type(found), int) else None


def defined(name: str) -> Any:
    """What stands under a full name in the modules that are loaded; None where nothing does."""
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:length]))
        if found is not None:
            for part in parts[length:]:
                is_class = issubclass(type(found), type)
                found = namespace_of(found).get(part) if is_class else plain_attribute(found, part)
                if found is None:
                    return None
            return found
    return None


def _among(kind: Any, line: tuple[type, ...]) -> bool:
    return any(kind is base for base in line)  # not `in`: a metaclass may have its classes compared as it likes
