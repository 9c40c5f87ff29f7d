"""Resources: told apart once per request, so that spans, points and records only carry their id."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from plugwarden.contract import attributes, name_fault
from ptars import HandlerPool

from plugwarden_collector.errors import PayloadTooLargeError

from .attributes import AttributeColumn
from .redacted import redacted_columns
from .schema import narrow_resource, parser_gave_up

__all__ = ["ResourceColumns", "read_resource_messages", "read_resources", "repeated"]

DISTRO = "telemetry.distro.name"
OURS = "plugwarden"
MAX_REPEATED_BYTES = 64 * 1024 * 1024
"""Bytes of one column of repeated texts, as in columns.h. Arrow's `repeat` does not look whether its 32-bit offsets overflow."""
MAX_REMEMBERED = 4096
MAX_REMEMBERED_BYTES = 64 * 1024 * 1024
"""Bytes of all that is remembered, resources and what was made of them; those of one request have a sixteenth of it."""
_HANDLER = HandlerPool([narrow_resource().file]).get_for_message(narrow_resource())
_LOCK = threading.Lock()
_REMEMBERED: dict[tuple[tuple[str, ...], bytes], tuple[ResourceColumns, int]] = {}
_remembered_bytes = 0


def repeated(values: pa.Array, rows: pa.Array) -> pa.Array:
    """`values.take(rows)`; raises `PayloadTooLargeError` where what is said once would fill the memory when each row has it."""
    if pa.types.is_string(values.type):
        lengths = pc.fill_null(pc.binary_length(values), 0).cast(pa.int64())
        size = lengths[0].as_py() * len(rows) if len(values) == 1 else pc.sum(lengths.take(rows)).as_py() or 0
        if size > MAX_REPEATED_BYTES:
            raise PayloadTooLargeError(
                f"names take more than {MAX_REPEATED_BYTES} bytes in all rows; send smaller batches"
            )
    return pa.repeat(values[0], len(rows)) if len(values) == 1 else values.take(rows)


@dataclass(frozen=True, slots=True)
class ResourceColumns:
    """The resources of a request, in the order in which they came."""

    ids: pa.Array
    """uint64 per resource: the same attributes give the same id, in every process and at any time."""
    service: pa.Array
    """`service.name`; `unknown_service` where it is missing, as OpenTelemetry has it."""
    instance: pa.Array
    """`service.instance.id`, or an empty string."""
    named: Mapping[str, pa.Array]
    """Further values by key, where any resource has them."""
    nameable: bool
    """Whether every `service.instance.id` can stand in a scope."""
    table: pa.Table
    """For the `resources` table: id, service_name, instance_id, host_name, environment, counts_calls, attributes."""


def read_resources(resources: pa.StructArray, keys: tuple[str, ...] = ()) -> ResourceColumns:
    """Read the `resource` field of each element of a request, and of it the values of `keys`.

    A sender's requests all carry the same resource, so what was read before is remembered by its bytes.
    """
    identity = keys, bytes(pa.RecordBatch.from_struct_array(resources).serialize())
    return _remembered(identity, lambda: _read(resources, keys))


def read_resource_messages(messages: Sequence[bytes], keys: tuple[str, ...]) -> ResourceColumns | None:
    """The same from the `Resource` messages themselves; None when they are not what they claim to be."""
    identity = keys, b"".join(len(message).to_bytes(4) + message for message in messages)

    def parse_and_read() -> ResourceColumns:
        batch = _HANDLER.list_to_record_batch(list(messages))
        return _read(pa.StructArray.from_arrays(batch.columns, fields=list(batch.schema)), keys)

    try:
        return _remembered(identity, parse_and_read)
    except BaseException as error:
        if not parser_gave_up(error):
            raise
        return None  # the general way says what is wrong


def _remembered(identity: tuple[tuple[str, ...], bytes], make: Callable[[], ResourceColumns]) -> ResourceColumns:
    known = _REMEMBERED.get(identity)
    if known is not None:
        return known[0]
    found = make()
    size = len(identity[1]) + found.table.nbytes + sum(values.nbytes for values in found.named.values())
    if size <= MAX_REMEMBERED_BYTES // 16:
        _remember(identity, found, size)
    return found


def _remember(identity: tuple[tuple[str, ...], bytes], found: ResourceColumns, size: int) -> None:
    global _remembered_bytes
    with _LOCK:
        _remembered_bytes += size - _REMEMBERED.pop(identity, (found, 0))[1]
        _REMEMBERED[identity] = found, size
        while len(_REMEMBERED) > MAX_REMEMBERED or _remembered_bytes > MAX_REMEMBERED_BYTES:
            _remembered_bytes -= _REMEMBERED.pop(next(iter(_REMEMBERED)))[1]  # the oldest


def _read(resources: pa.StructArray, keys: tuple[str, ...]) -> ResourceColumns:
    column = AttributeColumn(pc.struct_field(resources, "attributes"))
    given_service = column.take(attributes.SERVICE_NAME)
    service = given_service.fill_null("unknown_service")
    instance = column.take(attributes.SERVICE_INSTANCE_ID).fill_null("")
    host = column.take(attributes.HOST_NAME)
    environment = column.take(attributes.ENVIRONMENT)
    values = {key: given_service if key == attributes.SERVICE_NAME else column.peek(key) for key in keys}
    rest = redacted_columns({"attributes": column.rest()})["attributes"]
    rows = zip(*(item.to_pylist() for item in (service, instance, host, environment, rest)), strict=True)
    ids = np.array([_identity(*row) for row in rows], dtype=np.uint64)
    table = pa.table(
        {
            "id": ids,
            "service_name": service,
            "instance_id": instance,
            "host_name": host,
            "environment": environment,
            # A sidecar counts every call in its metrics; its spans are a selection and must not be counted again.
            "counts_calls": pc.fill_null(pc.equal(column.peek(DISTRO), OURS), False),
            "attributes": rest,
        }
    )
    named = {key: value for key, value in values.items() if value.null_count < len(value)}
    nameable = all(not one or name_fault("instance", one) is None for one in instance.to_pylist())
    return ResourceColumns(pa.array(ids), service, instance, named, nameable, table)


def _identity(*row: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(row).encode("utf-8", "replace"), digest_size=8).digest(), "big")
