"""Which plugin a span, point or record belongs to: telemetry that no sidecar made names it in other attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from plugwarden.contract import attributes

__all__ = ["DEFAULT_IDENTITY", "SCOPE_NAME", "Attributes", "Identity"]

SCOPE_NAME = "scope.name"
"""Not an attribute: the name of the instrumentation scope, whose version is then the plugin's."""

_VERSION_BESIDE: Mapping[str, str] = {
    attributes.SERVICE_NAME: "service.version",
    "faas.name": "faas.version",
}
"""Where an attribute that names the plugin has a partner that names its version (OpenTelemetry conventions)."""


class Attributes(Protocol):
    """The attributes of many rows, by key."""

    def take(self, key: str) -> pa.Array:
        """The value of `key` per row as text, null where it is absent; the key is left out of `rest`."""

    def peek(self, key: str) -> pa.Array:
        """The same, and the key stays in `rest`."""

    def rest(self) -> pa.Array:
        """All other attributes per row, as a JSON object."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The attributes that may name the plugin, the first that is there wins."""

    sources: tuple[str, ...] = (attributes.PLUGIN_ID, "gen_ai.tool.name", "faas.name")
    """Attribute keys, looked for on the span, point or record and then on its resource; or `scope.name`."""

    taken: ClassVar = frozenset({attributes.PLUGIN_ID})
    """Sources that are columns and nothing else; the others keep their place among the other attributes as well."""

    def attribute_keys(self) -> tuple[str, ...]:
        """The sources that are attributes."""
        return tuple(source for source in self.sources if source != SCOPE_NAME)

    def columns(
        self, own: Attributes, resource: Mapping[str, pa.Array], scope_name: pa.Array, scope_version: pa.Array
    ) -> dict[str, pa.Array]:
        """`plugin_id` and `plugin_version` per row.

        `resource` maps a key to the resources' values of it, per row; keys that no resource has may be missing.
        """
        version = own.take(attributes.PLUGIN_VERSION)
        taken = {key: own.take(key) for key in self.taken}  # also where it does not decide
        plugin: pa.Array | None = None
        for source in self.sources:
            if plugin is not None and plugin.null_count == 0:
                break
            found: list[tuple[pa.Array, pa.Array | None]] = []
            if source == SCOPE_NAME:
                found.append((_given(scope_name), _given(scope_version)))
            else:
                # An empty `plugin.id` says that there is a plugin, and not which: it is refused. What stands in for it does not.
                own_value = taken[source] if source in taken else _given(own.peek(source))
                found.append((own_value, None))
                if source in resource:
                    beside = resource.get(_VERSION_BESIDE.get(source, ""))
                    value = resource[source] if source in taken else _given(resource[source])
                    found.append((value, None if beside is None else _given(beside)))
            for values, versions in found:
                if versions is not None:
                    fresh = values.is_valid() if plugin is None else pc.and_(values.is_valid(), plugin.is_null())
                    version = pc.coalesce(version, pc.if_else(fresh, versions, None))
                plugin = values if plugin is None else pc.coalesce(plugin, values)
        if plugin is None:
            plugin = pa.nulls(len(version), pa.string())
        return {"plugin_id": plugin, "plugin_version": version}

    def resource_keys(self) -> tuple[str, ...]:
        """What has to be known of a resource."""
        keys = self.attribute_keys()
        return tuple(dict.fromkeys([*keys, *(_VERSION_BESIDE[key] for key in keys if key in _VERSION_BESIDE)]))


def _given(values: pa.Array) -> pa.Array:
    """Null for what is there and empty."""
    return values if values.null_count == len(values) else pc.if_else(pc.equal(values, ""), None, values)


DEFAULT_IDENTITY = Identity()
