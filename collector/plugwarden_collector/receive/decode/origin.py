"""Where the leaves of a request come from: resource -> scope -> leaf, told per leaf."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc
from plugwarden.contract import attributes

from plugwarden_collector.errors import MalformedTelemetryError, PayloadTooLargeError

from .identity import Attributes, Identity
from .resources import ResourceColumns, read_resources, repeated
from .schema import OLD_SCOPES

__all__ = ["HOT_KEYS", "NAME_KEYS", "Origin", "flatten", "hot_columns"]

_HOT = (
    ("plugin_operation", attributes.PLUGIN_OPERATION),
    ("outcome", attributes.PLUGIN_OUTCOME),
    ("error_source", attributes.PLUGIN_ERROR_SOURCE),
    ("error_type", attributes.ERROR_TYPE),
    ("tenant_id", attributes.TENANT_ID),
    ("downstream", attributes.PLUGIN_DOWNSTREAM),
)
"""Attributes of the contract that become columns of their own."""
MAX_GROUPS, MAX_LEAVES = 1 << 16, 1 << 20
NAME_KEYS = (attributes.PLUGIN_OPERATION, attributes.PLUGIN_VERSION, attributes.TENANT_ID)
"""Keys whose values are names (naming.py), besides what names the plugin."""
HOT_KEYS = (*(key for _, key in _HOT), attributes.PLUGIN_VERSION)
"""All keys that every signal takes, but for those that name the plugin."""


@dataclass(frozen=True, slots=True)
class Origin:
    """For each leaf its resource and scope; knows how to make the columns that all signals share."""

    resources: ResourceColumns
    scope_names: pa.Array
    scope_versions: pa.Array
    """Version of each scope; empty where there is none."""
    scope_of_leaf: pa.Array
    group_of_leaf: pa.Array
    identity: Identity
    request_of_group: pa.Array
    """Where several requests were decoded at once: which of them each resource came in."""

    def columns(self, own: Attributes) -> dict[str, pa.Array]:
        """Resource, scope, plugin and the contract's attributes as columns; everything else in `attributes`."""
        group = self.group_of_leaf
        scope_name = repeated(self.scope_names, self.scope_of_leaf)
        scope_version = repeated(self.scope_versions, self.scope_of_leaf)
        named = {key: repeated(values, group) for key, values in self.resources.named.items()}
        return {
            "resource_id": self.resources.ids.take(group),
            "service_name": repeated(self.resources.service, group),
            "instance_id": repeated(self.resources.instance, group),
            "scope_name": scope_name,
            "scope_version": scope_version,
            **self.identity.columns(own, named, scope_name, scope_version),
            **hot_columns(own),
            "attributes": own.rest(),
        }

    def take(self, rows: pa.Array) -> Origin:
        """The origin of a selection of leaves."""
        scopes, groups = self.scope_of_leaf.take(rows), self.group_of_leaf.take(rows)
        return replace(self, scope_of_leaf=scopes, group_of_leaf=groups)


def hot_columns(own: Attributes) -> dict[str, pa.Array]:
    """The contract's attributes that are columns of their own, but for those that name the plugin."""
    return {name: own.take(key) for name, key in _HOT}


def flatten(batch: pa.RecordBatch, outer: str, scoped: str, inner: str, identity: Identity) -> tuple[pa.Array, Origin]:
    """The leaf elements of resource -> scope -> leaf, and what each came from."""
    requests = batch.column(outer)
    groups = requests.flatten()
    _refuse_old_names(groups, outer, scoped)
    if len(groups) > MAX_GROUPS:
        raise PayloadTooLargeError(f"more than {MAX_GROUPS} resources; send smaller batches")
    resources = read_resources(pc.struct_field(groups, "resource"), identity.resource_keys())
    scope_lists = pc.struct_field(groups, scoped)
    scopes = scope_lists.flatten()
    leaf_lists = pc.struct_field(scopes, inner)
    scope_of_leaf = pc.list_parent_indices(leaf_lists)
    if len(scope_of_leaf) > MAX_LEAVES:
        raise PayloadTooLargeError(f"more than {MAX_LEAVES} records; send smaller batches")
    group_of_leaf = pc.list_parent_indices(scope_lists).take(scope_of_leaf)
    scope = pc.struct_field(scopes, "scope")
    names, versions = (pc.struct_field(scope, name).fill_null("") for name in ("name", "version"))
    request_of_group = pc.list_parent_indices(requests)
    return leaf_lists.flatten(), Origin(
        resources, names, versions, scope_of_leaf, group_of_leaf, identity, request_of_group
    )


def _refuse_old_names(groups: pa.StructArray, outer: str, scoped: str) -> None:
    """Senders of before OTLP 0.15 put everything into a field that nobody reads any more: they are told where it goes."""
    old = next(name for name, new in OLD_SCOPES.values() if new == scoped)
    if pc.sum(pc.list_value_length(pc.struct_field(groups, old))).as_py():
        raise MalformedTelemetryError(f"write {scoped} (OTLP 0.15 and later)", f"{outer}.{old}")
