"""Answers for planners of capacity in Python, as pandas or Arrow: `CollectorClient(...).plans`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Plans", "Rows"]

TIME = "time"
"""Column of moments, which are UTC."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one answer; without any it has no columns either."""

    rows: tuple[Mapping[str, Any], ...]
    """Column -> value, a row each: what is nested in an answer is flat here, `limit.plugin_id` as `limit_plugin_id`. None is not known."""

    def frame(self) -> pd.DataFrame:
        """Return them as a pandas frame; `time` is a moment with its zone, and what is not known NaN or None."""
        import pandas as pd

        found = pd.DataFrame(list(self.rows))
        return found.assign(**{TIME: pd.to_datetime(found[TIME], utc=True)}) if TIME in found else found

    def table(self) -> pa.Table:
        """Return them as an Arrow table; `time` is a moment with its zone, and what is not known null."""
        import pyarrow as pa

        found = pa.Table.from_pylist([dict(row) for row in self.rows])
        if TIME not in found.column_names:
            return found
        place = found.column_names.index(TIME)
        moments = pa.compute.cast(pa.array(self.frame()[TIME]), pa.timestamp("us", "UTC"))
        return found.set_column(place, TIME, moments)


class Plans:
    """Questions of planners, each as its route answers it (docs/how-to/capacity.md). Units stand in the names of columns."""

    def __init__(self, get: Callable[..., Any]) -> None:
        self._get = get

    def demand(
        self, *, since: str = "24h", until: str | None = None, plugin: str | None = None, by: str = "plugin"
    ) -> Rows:
        """Return what plugins ask of their hosts, a row for each `plugin`, `operation` or `tenant`."""
        return _rows(self._get("capacity", since=since, until=until, plugin=plugin, by=by))

    def utilisation(self, *, since: str = "7d", until: str | None = None, plugin: str | None = None) -> Rows:
        """Return how full limits are, a row each, of plugins and of machines."""
        found = self._get("capacity/utilisation", since=since, until=until, plugin=plugin)
        return _rows([*found["plugins"], *found["machines"]])

    def until_full(self, *, until: str | None = None, plugin: str | None = None) -> Rows:
        """Return when limits are reached, a row each, the soonest first: `until_median_days`, `until_soonest_days`, `record_confidence`."""
        return _rows(self._get("capacity/full", until=until, plugin=plugin))

    def forecast(
        self, plugin: str, *, resource: str = "calls_per_second", days: int = 28, until: str | None = None
    ) -> Rows:
        """Return a plugin's load by the hour: `time` with `value` of the past, and with `expected`, `low_80` … of what is to come."""
        found = self._get("capacity/forecast", plugin=plugin, resource=resource, days=days, until=until)
        return _rows([*found["past"], *found["ahead"]])

    def what_if(self, *changes: str, since: str = "7d", until: str | None = None) -> Rows:
        """Return each limit before and after changes such as `"traffic=1.5"`, the fullest afterwards first."""
        return _rows(self._get("capacity/what-if", change=list(changes), since=since, until=until)["outcomes"])

    def showback(self, *, since: str = "7d", until: str | None = None, by: str = "owner") -> Rows:
        """Return who uses what, a row for each `owner` or `tenant`."""
        return _rows(self._get("capacity/showback", since=since, until=until, by=by))

    def store(self) -> Rows:
        """Return how the collector's own store grows, a row for each table."""
        return _rows(self._get("capacity/store")["tables"])


def _rows(answer: Iterable[Mapping[str, Any]]) -> Rows:
    """Return rows that all have the same columns, in the order in which they come."""
    flat = [_flat(row) for row in answer]
    names = dict.fromkeys(name for row in flat for name in row)
    return Rows(tuple({name: row.get(name) for name in names} for row in flat))


def _flat(row: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{before}{name}_")
        else:
            found[before + name] = value
    return found
