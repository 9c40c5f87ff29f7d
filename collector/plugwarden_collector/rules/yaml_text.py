"""YAML of other tools: read to values that know their place and their line, without tags, aliases, or anything that grows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .workable import shown

__all__ = ["MAX_DEPTH", "MAX_VALUES", "Value", "YamlError", "documents_in", "plain"]

MAX_DEPTH = 32
"""Levels of mappings and lists; OpenSLO needs twelve."""
MAX_VALUES = 100_000
"""Values of a file: as many as fit into `text.MAX_BYTES` at ten bytes each, and half a second's work."""
_NULL = re.compile(r"|~|null|Null|NULL")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
"""Plain words that are no texts. Source: YAML 1.2.2, 10.3.2 (core schema), without octal and hexadecimal numbers."""


class YamlError(ValueError):
    """A text that is no YAML that is read here: what is wrong, with its line."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a document: a text, number, truth value or None, a list of values, or a mapping of texts to values."""

    value: Any
    """The value; of mappings and lists what they hold are values as well."""
    line: int
    """Line of the file on which it, or its key, stands; from 1 on."""
    place: str = ""
    """Its place in its document, such as `spec.objectives[0].target`."""
    text: str = ""
    """A plain value as it was written."""

    @property
    def fields(self) -> Mapping[str, Value]:
        """Return what a mapping holds; of any other value nothing."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Value]:
        """Return what a list holds; of any other value nothing."""
        return self.value if isinstance(self.value, list) else []

    def at(self, *keys: str) -> Value | None:
        """Return the value below some keys; None where there is none, or it is null."""
        found: Value | None = self
        for key in keys:
            found = None if found is None else found.fields.get(key)
        return None if found is None or found.value is None else found

    def says(self, wrong: str) -> str:
        """Return a problem with this value, as one line for people."""
        return f"{self.place}: {wrong} (line {self.line})" if self.place else f"{wrong} (line {self.line})"


def plain(value: Value) -> Any:
    """Return a value without places and lines, as `json` would have it."""
    if isinstance(value.value, dict):
        return {key: plain(item) for key, item in value.value.items()}
    if isinstance(value.value, list):
        return [plain(item) for item in value.value]
    return value.value


def documents_in(text: str) -> list[Value]:
    """Return the documents of a text, one of JSON included; empty ones are left out. Raises `YamlError`."""
    import yaml  # most commands and collectors read no YAML

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return [
            document for document in _Reader(yaml.parse(text, Loader=loader)).documents() if document.value is not None
        ]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = "" if mark is None else f" (line {mark.line + 1})"
        raise YamlError(
            f"not valid YAML: {shown(error.problem or '')[1:-1]}; check its indentation and quotes{where}"
        ) from error
    except yaml.YAMLError as error:
        raise YamlError(f"not valid YAML: {shown(str(error))[1:-1]}; write it as UTF-8 text") from error


class _Reader:
    """Makes values of the events of a parser."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._count = 0

    def documents(self) -> Iterator[Value]:
        """Yield each document."""
        for event in self._events:
            if type(event).__name__ == "DocumentStartEvent":
                yield self._value(next(self._events), "", None, 0)

    def _value(self, event: Any, place: str, key_line: int | None, depth: int) -> Value:
        line = event.start_mark.line + 1
        self._count += 1
        if self._count > MAX_VALUES:
            raise YamlError(f"has more than {MAX_VALUES} values; cut it into several files (line {line})")
        if depth > MAX_DEPTH:
            raise YamlError(f"{place[:60]}…: is nested more than {MAX_DEPTH} levels deep; write it flat (line {line})")
        kind = type(event).__name__
        if kind == "AliasEvent" or event.anchor is not None:
            sign = "*" if kind == "AliasEvent" else "&"
            raise YamlError(
                f"{place}: holds {sign}{event.anchor[:40]}, and names for values are not read; write the value out (line {line})"
            )
        if event.tag is not None and not (kind == "ScalarEvent" and event.tag == "!"):
            raise YamlError(
                f"{place}: has the tag {shown(event.tag)}, and tags are not read; leave it out (line {line})"
            )
        at = line if key_line is None else key_line
        if kind == "MappingStartEvent":
            return Value(self._mapping(place, depth), at, place)
        if kind == "SequenceStartEvent":
            return Value(self._list(place, depth), at, place)
        return Value(event.value if event.style or event.tag == "!" else _resolved(event.value), at, place, event.value)

    def _mapping(self, place: str, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while type(event := next(self._events)).__name__ != "MappingEndEvent":
            key = self._value(event, place, None, depth + 1)
            if isinstance(key.value, dict | list):
                raise YamlError(f"{place}: has a key that is no word; write KEY: VALUE (line {key.line})")
            here = f"{place}.{_name(key.text)}" if place else _name(key.text)
            if key.text in found:
                raise YamlError(f"{here}: is given twice; leave one out (line {key.line})")
            found[key.text] = self._value(next(self._events), here, key.line, depth + 1)
        return found

    def _list(self, place: str, depth: int) -> list[Value]:
        found: list[Value] = []
        while type(event := next(self._events)).__name__ != "SequenceEndEvent":
            found.append(self._value(event, f"{place}[{len(found)}]", None, depth + 1))
        return found


def _name(key: str) -> str:
    """Return a key as it stands in a place: hostile ones are shown, and none holds the colon that ends a place."""
    return key if re.fullmatch(r"[\w./-]{1,80}", key) else shown(key).replace(":", "\\x3a")


def _resolved(word: str) -> Any:
    """Return what a plain word is: None, a truth value, a number, or itself."""
    if _NULL.fullmatch(word):
        return None
    if _BOOL.fullmatch(word):
        return word[0] in "tT"
    if _INT.fullmatch(word):
        return int(word)
    return float(word) if _FLOAT.fullmatch(word) else word
