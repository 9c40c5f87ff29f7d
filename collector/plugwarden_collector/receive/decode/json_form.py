"""OTLP/JSON to protobuf bytes, so that both forms take the same way in.

OTLP's JSON is protobuf's mapping with differences (OTLP specification, "JSON Protobuf Encoding"): ids are hex, enums are
integers only, keys are lowerCamelCase only, unknown keys are ignored. A converter is compiled from each message's
descriptor once; a document then becomes nested dicts, and those one message in a single call of protobuf's C code.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from plugwarden_collector.errors import MalformedTelemetryError

from .requests import REQUESTS, Signal

__all__ = ["HALF_PAIR", "MAX_DEPTH", "to_protobuf"]

HALF_PAIR = "half a surrogate pair is no character"

MAX_DEPTH = 32
"""Arrays and key-value lists within each other. Protobuf's own parsers stop at 100 messages, which is 33 of them."""

_OLD_NAMES = {
    "ResourceSpans": {"instrumentationLibrarySpans": "scopeSpans"},
    "ResourceMetrics": {"instrumentationLibraryMetrics": "scopeMetrics"},
    "ResourceLogs": {"instrumentationLibraryLogs": "scopeLogs"},
    "ScopeSpans": {"instrumentationLibrary": "scope"},
    "ScopeMetrics": {"instrumentationLibrary": "scope"},
    "ScopeLogs": {"instrumentationLibrary": "scope", "logs": "logRecords"},
    "Status": {"deprecatedCode": "code"},
    "Metric": {
        "intGauge": "gauge", "doubleGauge": "gauge", "intSum": "sum", "doubleSum": "sum", "intHistogram": "histogram",
        "doubleHistogram": "histogram", "doubleSummary": "summary",
    },
    "NumberDataPoint": {"labels": "attributes", "value": "asDouble or asInt"},
    "HistogramDataPoint": {"labels": "attributes"},
    "SummaryDataPoint": {"labels": "attributes"},
    "Exemplar": {"filteredLabels": "filteredAttributes", "value": "asDouble or asInt"},
}  # fmt: skip
"""Message -> what fields were called in OTLP before 1.0 (its changelog, 0.5 to 0.20), and what they are called now."""

Convert = Callable[[Any, int], Any]
"""(JSON value, depth of nested attribute values) -> what a message's constructor takes; raises `_WrongError`."""

_ID_FIELDS = frozenset({"trace_id", "span_id", "parent_span_id"})
_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_NUMBER = re.compile(r"-?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,5})?", re.ASCII)
_INTEGER = re.compile(r"-?\d{1,20}", re.ASCII)
_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def to_protobuf(signal: Signal, body: bytes) -> bytes:
    """The same request in protobuf; raises `MalformedTelemetryError` with the field that is wrong."""
    document, faults = _parse(body)
    request = REQUESTS[signal]
    try:
        values = _converter(request.DESCRIPTOR)(document, 0)
    except _WrongError as wrong:
        raise MalformedTelemetryError(wrong.text, wrong.field) from wrong
    if faults:  # in a part that nobody reads: no JSON all the same
        raise MalformedTelemetryError(f"not JSON: {faults[0].text}")
    return bytes(request(**values).SerializeToString())


class _WrongError(Exception):
    """A value that cannot be meant. The path grows while the error rises."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.field = ""

    def under(self, key: str) -> _WrongError:
        self.field = f"{key}{self.field}" if self.field.startswith("[") or not self.field else f"{key}.{self.field}"
        return self


class _Fault:
    """Stands in the document for what is no JSON, so that the field it is in can be named."""

    def __init__(self, text: str) -> None:
        self.text = text


def _parse(body: bytes) -> tuple[Any, list[_Fault]]:
    faults: list[_Fault] = []

    def fault(text: str) -> _Fault:
        faults.append(_Fault(text))
        return faults[-1]

    def unique(pairs: list[tuple[str, Any]]) -> Any:
        found = dict(pairs)
        if len(found) == len(pairs):
            return found
        seen: set[str] = set()
        return fault(f"key {next(key for key, _ in pairs if key in seen or seen.add(key))[:100]!r} is given twice")  # type: ignore[func-returns-value]

    def integer(text: str) -> Any:
        return int(text) if len(text) <= 400 else fault(f"a number of {len(text)} digits")

    def constant(text: str) -> Any:
        return fault(f"{text} is no number in JSON; write it as a string")

    try:
        text = body.decode("utf-8")
        try:
            document = json.loads(text, object_pairs_hook=unique, parse_constant=constant)
        except json.JSONDecodeError:
            raise
        except ValueError:  # digits without end, which Python refuses to read: once more, to find out where
            faults.clear()
            document = json.loads(text, object_pairs_hook=unique, parse_constant=constant, parse_int=integer)
    except RecursionError as error:
        raise MalformedTelemetryError("nested too deeply") from error
    except ValueError as error:
        raise MalformedTelemetryError(f"not JSON: {error}") from error
    return document, faults


def _mismatch(value: Any, wanted: str) -> _WrongError:
    if type(value) is _Fault:
        return _WrongError(value.text)
    return _WrongError(f"must be {wanted}, not {_KINDS.get(type(value), 'null')}")


# Messages ------------------------------------------------------------------------------------------------------------

_CONVERTERS: dict[str, Convert] = {}


def _converter(descriptor: Descriptor) -> Convert:
    """The converter of a message, made at its first use; AnyValue contains itself."""
    name = descriptor.full_name
    if name not in _CONVERTERS:
        _CONVERTERS[name] = _any_value(descriptor) if descriptor.name == "AnyValue" else _message(descriptor)
    return _CONVERTERS[name]


def _message(descriptor: Descriptor) -> Convert:
    fields: dict[str, tuple[str, Convert]] = {}
    originals: dict[str, str] = {}
    for field in descriptor.fields:
        fields[field.json_name] = (field.name, _field(field))
        if field.name != field.json_name:
            originals[field.name] = field.json_name
    for old, new in _OLD_NAMES.get(descriptor.name, {}).items():
        originals[old] = originals[re.sub("([A-Z])", lambda found: f"_{found[1].lower()}", old)] = new
    choices = [
        (frozenset(field.name for field in group.fields), " and ".join(field.json_name for field in group.fields))
        for group in descriptor.oneofs
        if len(group.fields) > 1
    ]

    def convert(node: Any, depth: int) -> Any:
        if type(node) is not dict:
            raise _mismatch(node, "an object")
        values: dict[str, Any] = {}
        key = ""
        try:
            for key, value in node.items():
                entry = fields.get(key)
                if entry is not None:
                    if value is not None:
                        values[entry[0]] = entry[1](value, depth)
                elif key in originals:  # ignored like other unknown keys, it would lose data without a word
                    raise _WrongError(f"write {originals[key]}")
        except _WrongError as wrong:
            raise wrong.under(key) from None
        for names, text in choices:
            if len(names & values.keys()) > 1:
                raise _WrongError(f"only one of {text} can be given")
        return values

    return convert


def _any_value(descriptor: Descriptor) -> Convert:
    general = _message(descriptor)

    def convert(node: Any, depth: int) -> Any:
        if depth >= MAX_DEPTH:
            raise _WrongError(f"nested deeper than {MAX_DEPTH}")
        return general(node, depth + 1)

    return convert


def _key_values(descriptor: Descriptor) -> Convert:
    """Most of a document is attributes, and most of those have a string: a shortcut for them."""
    general = _repeated(_message(descriptor))

    def convert(node: Any, depth: int) -> Any:
        values: list[Any] = []
        if type(node) is list:
            for item in node:
                if type(item) is not dict or len(item) != 2:
                    break
                key, value = item.get("key"), item.get("value")
                if type(key) is not str or type(value) is not dict or len(value) != 1 or not key.isascii():
                    break
                text = value.get("stringValue")
                if type(text) is not str or not text.isascii():
                    break
                values.append({"key": key, "value": {"string_value": text}})
            else:
                return values
        return general(node, depth)

    return convert


def _field(field: FieldDescriptor) -> Convert:
    inner = field.message_type
    if inner is not None and inner.name == "KeyValue" and field.is_repeated:
        return _late(lambda: _key_values(inner))
    if inner is not None:
        one = _late(lambda: _converter(inner))
    elif field.type == FieldDescriptor.TYPE_BYTES:
        one = _hex if field.name in _ID_FIELDS else _base64
    else:
        one = _SCALARS[field.type]
    return _repeated(one) if field.is_repeated else one


def _late(make: Callable[[], Convert]) -> Convert:
    """A converter made at its first use: messages contain each other."""
    made: list[Convert] = []

    def convert(value: Any, depth: int) -> Any:
        if not made:
            made.append(make())
        return made[0](value, depth)

    return convert


def _repeated(one: Convert) -> Convert:
    def convert(node: Any, depth: int) -> Any:
        if type(node) is not list:
            raise _mismatch(node, "an array")
        values: list[Any] = []
        try:
            for value in node:
                values.append(one(value, depth))  # noqa: PERF401 - their number names the one that failed
        except _WrongError as wrong:
            raise wrong.under(f"[{len(values)}]") from None
        return values

    return convert


# Scalars -------------------------------------------------------------------------------------------------------------


def _string(value: Any, depth: int) -> str:
    if type(value) is not str:
        raise _mismatch(value, "a string")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _WrongError(HALF_PAIR) from None
    return value


def _boolean(value: Any, depth: int) -> bool:
    if type(value) is not bool:
        raise _mismatch(value, "true or false")
    return value


def _double(value: Any, depth: int) -> float:
    kind = type(value)
    if kind is str and value in _SPECIAL:
        return _SPECIAL[value]
    if kind is float or kind is int or (kind is str and _NUMBER.fullmatch(value)):
        try:
            number = float(value)
        except OverflowError:
            number = float("inf")
        if number - number != 0:
            raise _WrongError("larger than a double can be")
        return number
    raise _mismatch(value, "a number") if kind is not str else _WrongError(f"{value[:40]!r} is not a number")


def _integer(bits: int, signed: bool) -> Convert:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

    def convert(value: Any, depth: int) -> int:
        kind = type(value)
        if kind is str:
            if not _INTEGER.fullmatch(value):
                raise _WrongError(f"{value[:40]!r} is not an integer")
            value = int(value)
        elif kind is float and value.is_integer():  # 1e3 is an integer in JSON
            value = int(value)
        elif kind is not int:
            raise _mismatch(value, "an integer") if kind is not float else _WrongError(f"{value} is not an integer")
        if not low <= value <= high:
            raise _WrongError(f"must be between {low} and {high}")
        return int(value)

    return convert


def _enum(value: Any, depth: int) -> int:
    if type(value) is not int:
        raise _mismatch(value, "the enum's number")
    if not -(1 << 31) <= value < 1 << 31:
        raise _WrongError("is no number of an enum")
    return value


def _hex(value: Any, depth: int) -> bytes:
    if type(value) is not str:
        raise _mismatch(value, "a hex string")
    try:
        return binascii.unhexlify(value)
    except ValueError:
        raise _WrongError(f"{value[:40]!r} is not hex") from None


def _base64(value: Any, depth: int) -> bytes:
    """Standard or URL-safe, padded or not (protobuf's JSON mapping, "bytes")."""
    if type(value) is not str:
        raise _mismatch(value, "a base64 string")
    try:
        text = value.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise _WrongError(f"{value[:40]!r} is not base64") from None


_SCALARS: dict[int, Convert] = {
    FieldDescriptor.TYPE_STRING: _string,
    FieldDescriptor.TYPE_BOOL: _boolean,
    FieldDescriptor.TYPE_DOUBLE: _double,
    FieldDescriptor.TYPE_ENUM: _enum,
    FieldDescriptor.TYPE_INT32: _integer(32, True),
    FieldDescriptor.TYPE_SINT32: _integer(32, True),
    FieldDescriptor.TYPE_UINT32: _integer(32, False),
    FieldDescriptor.TYPE_FIXED32: _integer(32, False),
    FieldDescriptor.TYPE_INT64: _integer(64, True),
    FieldDescriptor.TYPE_SFIXED64: _integer(64, True),
    FieldDescriptor.TYPE_UINT64: _integer(64, False),
    FieldDescriptor.TYPE_FIXED64: _integer(64, False),
}
