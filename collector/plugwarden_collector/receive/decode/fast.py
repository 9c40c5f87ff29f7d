"""The fast way: requests in which nothing is odd and nothing is to be refused, many at once, to rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
from plugwarden.contract.histogram import SCALE

from .batch import Batch, Signal
from .identity import SCOPE_NAME, Identity
from .instants import MAX_AGE_NS, MAX_AHEAD_NS
from .naming import unnameable
from .native import Decoded, Limits, decode
from .origin import HOT_KEYS, NAME_KEYS, hot_columns
from .redacted import redacted_columns
from .resources import ResourceColumns, read_resource_messages, repeated
from .spans import MAX_DURATION_NS

__all__ = ["STAGED", "read_plain"]

_ADDED = ("resource_id", "service_name", "instance_id")
STAGED = {Signal.TRACES: "incoming_spans", Signal.METRICS: "incoming_points"}
"""The signals that have a fast way, and where their rows go."""


def read_plain(signal: Signal, bodies: Sequence[bytes], identity: Identity, now_ns: int) -> list[Batch] | None:
    """A batch per request, what each would be by itself; None when any of them has to take the general way."""
    kept = tuple(key for key in identity.attribute_keys() if key not in identity.taken)
    limits = Limits(now_ns, now_ns + MAX_AHEAD_NS, now_ns - MAX_AGE_NS, MAX_DURATION_NS, SCALE)
    found = decode(
        signal, bodies, (*HOT_KEYS, *identity.taken), kept, limits, frozenset({*NAME_KEYS, *kept, *identity.taken})
    )
    if found is None:
        return None
    resources = _resources(found, identity)
    if resources is None:
        return None
    rows = sum(count.rows for count in found.counts)
    if not rows:
        return [Batch(signal)] * len(bodies)
    together = _Together(resources)
    table = _columns(found, together, identity)
    if (SCOPE_NAME in identity.sources or together.names_plugins) and unnameable(
        dict(zip(table.schema.names, table.columns, strict=True))
    ):
        return None  # what the attributes name was looked at in C; this is from elsewhere
    size = (found.nbytes + sum(table.column(name).nbytes for name in _ADDED)) / rows
    batches, start = [], 0
    for count, own in zip(found.counts, resources, strict=True):
        if own is None or not count.rows:
            batches.append(Batch(signal))
            continue
        slice_ = table if count.rows == rows else table.slice(start, count.rows)
        tables = {"incoming_resources": own.table, STAGED[signal]: pa.Table.from_batches([slice_])}
        batches.append(Batch(signal, tables, count.rows, 0, "", count.adjusted, int(size * count.rows)))
        start += count.rows
    return batches


def _resources(found: Decoded, identity: Identity) -> list[ResourceColumns | None] | None:
    """Return the resources of each request, None where it names no resource; None altogether where any cannot be read."""
    keys, each, start = identity.resource_keys(), [], 0
    for count in found.counts:
        own = None
        if count.groups:
            # A request at a time: what a sender says of itself is remembered by these bytes.
            own = read_resource_messages(found.resources[start : start + count.groups], keys)
            if own is None or not own.nameable:
                return None
        each.append(own)
        start += count.groups
    return each


class _Together:
    """The resources of several requests, one after the other."""

    def __init__(self, resources: Sequence[ResourceColumns | None]) -> None:
        self._each = [own for own in resources if own is not None]
        self.names_plugins = any(own.named for own in self._each)
        """Whether a plugin or version may be named by what all records of a request have in common."""

    def columns(self, group: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
        """Id, service and instance of each row."""
        return (
            self._of_rows([own.ids for own in self._each], group),
            self._of_rows([own.service for own in self._each], group),
            self._of_rows([own.instance for own in self._each], group),
        )

    def named(self, group: pa.Array) -> Mapping[str, pa.Array]:
        """Further values of each row, by key, where any resource has them."""
        keys = dict.fromkeys(key for own in self._each for key in own.named)
        missing = pa.scalar(None, pa.string())
        return {
            key: self._of_rows(
                [own.named[key] if key in own.named else pa.repeat(missing, len(own.ids)) for own in self._each], group
            )
            for key in keys
        }

    def _of_rows(self, parts: list[pa.Array], group: pa.Array) -> pa.Array:
        return repeated(parts[0] if len(parts) == 1 else pa.concat_arrays(parts), group)


def _columns(found: Decoded, resources: _Together, identity: Identity) -> pa.RecordBatch:
    """Return the columns in the order in which the general way has them."""
    own, group = found.columns, found.columns["group"]
    ids, service, instance = resources.columns(group)
    names = list(own)
    first, last = names.index("scope_name"), names.index("attributes")
    columns = {name: own[name] for name in names[:first]}
    columns |= {"resource_id": ids, "service_name": service, "instance_id": instance}
    columns |= {name: own[name] for name in ("scope_name", "scope_version")}
    attributes = _Attributes(found)
    columns |= identity.columns(attributes, resources.named(group), own["scope_name"], own["scope_version"])
    columns |= hot_columns(attributes)
    columns |= {name: own[name] for name in names[last:] if name != "group"}
    columns = redacted_columns(columns)
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


class _Attributes:
    """Attributes that were told apart while decoding; answers as `attributes.AttributeColumn` does."""

    def __init__(self, found: Decoded) -> None:
        self._hot, self._rest = found.hot, found.columns["attributes"]

    def take(self, key: str) -> pa.Array:
        """The value of `key` per row as text, null where it is absent."""
        return self._hot[key]

    peek = take

    def rest(self) -> pa.Array:
        """All other attributes per row, as a JSON object."""
        return self._rest
