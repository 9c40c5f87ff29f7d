"""Resources: told apart once per request, so that spans, points and records only carry their id."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from plugwarden.contract import attributes

from .attributes import AttributeColumn

__all__ = ["ResourceColumns", "read_resources"]


@dataclass(frozen=True, slots=True)
class ResourceColumns:
    """The resources of a request, in the order in which they came."""

    ids: pa.Array
    """uint64 per resource: the same attributes give the same id, in every process and at any time."""
    service: pa.Array
    """`service.name`; `unknown_service` where it is missing, as OpenTelemetry has it."""
    instance: pa.Array
    """`service.instance.id`, or an empty string."""
    table: pa.Table
    """For the `resources` table: id, service_name, instance_id, host_name, environment, attributes."""


def read_resources(resources: pa.StructArray) -> ResourceColumns:
    """Read the `resource` field of each element of a request."""
    column = AttributeColumn(_attribute_lists(resources))
    service = column.take(attributes.SERVICE_NAME).fill_null("unknown_service")
    instance = column.take(attributes.SERVICE_INSTANCE_ID).fill_null("")
    host = column.take(attributes.HOST_NAME)
    environment = column.take(attributes.ENVIRONMENT)
    rest = column.rest()
    columns = (service, instance, host, environment, rest)
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    ids = np.array([_identity(*row) for row in rows], dtype=np.uint64)
    table = pa.table(
        {
            "id": ids,
            "service_name": service,
            "instance_id": instance,
            "host_name": host,
            "environment": environment,
            "attributes": rest,
        }
    )
    return ResourceColumns(pa.array(ids), service, instance, table)


def _attribute_lists(resources: pa.StructArray) -> pa.ListArray:
    import pyarrow.compute as pc

    return pc.struct_field(resources, "attributes")


def _identity(*row: object) -> int:
    service, instance, host, environment, rest = row
    canonical = repr((service, instance, host, environment, sorted(rest)))  # type: ignore[call-overload]
    return int.from_bytes(hashlib.blake2b(canonical.encode(), digest_size=8).digest(), "big")
