"""What memory of calls is made from: the rollups as far as they are counted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import duckdb
import pyarrow as pa

from plugwarden_collector.store.duckdb.rows import Row
from plugwarden_collector.store.duckdb.statements import Statement

from .resolutions import Tiers

__all__ = ["CallSource"]

T = TypeVar("T")


class CallSource(Protocol):
    """What caches need of the open file."""

    tiers: Tiers
    """How far the rollups have come."""

    def reading(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A cursor for one piece of reading, with one view of the data."""

    def fetch(self, statement: Statement, parameters: Mapping[str, Any] | None = None) -> list[Row]:
        """The rows of one named statement, as dictionaries."""

    def values(self, kind: type[T], name: str, parameters: Mapping[str, Any] | None = None) -> list[T]:
        """The rows of one named statement, each as a value of a dataclass."""

    def fetch_arrow(self, statement: Statement, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The rows of one named statement, as an Arrow table."""
