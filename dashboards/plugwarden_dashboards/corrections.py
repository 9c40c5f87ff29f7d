"""What corrections leave out of error budgets, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plugwarden_dashboards import linked, words
from plugwarden_dashboards.address import address
from plugwarden_dashboards.linked import Cell, Column

__all__ = ["table"]

_COLUMNS = (
    Column("From"), Column("Until", narrow=False), Column("Why", wide=True), Column("Who"), Column("Plugins", narrow=False),
    Column("Objectives", narrow=False), Column("Owners", narrow=False),
)  # fmt: skip
_HOW = "plugwarden corrections add leaves a stretch of time out, withdraw takes that back. Isolation takes no notice of it."


def table(caption: str, rows: Sequence[dict[str, Any]]) -> None:
    """Draw corrections in the order given."""
    linked.table(caption, _COLUMNS, [_row(row) for row in rows], key="corrections", note=_HOW)


def _row(row: dict[str, Any]) -> list[linked.Said]:
    until = Cell(words.moment(row["ends_at"]), value=row["ends_at"])
    return [
        Cell(words.moment(row["starts_at"]), value=row["starts_at"]),
        [Cell("◐ now", tone="probe"), until] if row["running"] else until,
        row["reason"],
        Cell(row["created_by"], href=address("audit")),
        *(words.option(row[name]) for name in ("plugins", "objectives", "owners")),
    ]
