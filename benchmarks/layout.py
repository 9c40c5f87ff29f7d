"""How spans are laid out, and what that costs: attributes as a map or as text, large commits or small, row groups merged or not.

The figures behind ADR 0012. Each layout takes the same rows into a file of its own; CPU is the whole process's, storing and
checkpoint together, and the ratio is to the layout in use.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import duckdb
import pyarrow as pa
from load.span_requests import make_requests
from plugwarden_collector.receive.decode.requests import Signal, read

ROUNDS, MERGED = 3, 100
"""Repetitions, of which the least counts; DuckDB's own setting for merging row groups at checkpoints."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to store."""

    name: str
    commit_rows: int
    vacuum_tasks: int = 0
    as_map: bool = False


LAYOUTS = (
    Layout("in use: JSON text, full row groups", 122_880),
    Layout("commits of 8,000 rows", 8_000),
    Layout("attributes as a map", 122_880, as_map=True),
    Layout("row groups merged, 124,000 rows", 124_000, MERGED),
    Layout("row groups merged, 40,000 rows", 40_000, MERGED),
)


def schema(as_map: bool) -> str:
    """The statement that makes the table of spans, from the migration."""
    text = (
        resources.files("plugwarden_collector.store.duckdb")
        .joinpath("migrations", "0002_layout.sql")
        .read_text("utf-8")
    )
    found = re.search(r"create table span_rows \(.*?\n\);", text, re.DOTALL)
    if found is None:
        raise SystemExit("the migration no longer makes span_rows; look again at what this measures")
    return (
        found[0].replace("attributes varchar not null,", "attributes map(varchar, varchar),", 1) if as_map else found[0]
    )


def measure(layout: Layout, rows: pa.Table) -> tuple[float, float]:
    """CPU microseconds and bytes per span."""
    if layout.as_map:
        texts = duckdb.sql(
            """select from_json(attributes, '"MAP(VARCHAR, VARCHAR)"') as attributes from rows"""
        ).to_arrow_table()
        rows = rows.set_column(rows.column_names.index("attributes"), "attributes", texts["attributes"])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spans.duckdb"
        config = {"threads": 2, "memory_limit": "1GB", "checkpoint_threshold": "1TB"}
        connection = duckdb.connect(str(file), config={**config, "max_vacuum_tasks": layout.vacuum_tasks})
        connection.execute(schema(layout.as_map)).fetchall()
        started = time.process_time()
        for batch, at in enumerate(range(0, len(rows), layout.commit_rows)):
            connection.register("incoming", rows.slice(at, layout.commit_rows))
            connection.execute(
                f"insert into span_rows by name select {batch}::ubigint as batch, * from incoming"
            ).fetchall()
            connection.unregister("incoming")
            # As the writer does: a checkpoint about every 64 MiB of log, which is every commit of this size.
            if layout.commit_rows > 30_000 or batch % 40 == 39:
                connection.execute("checkpoint").fetchall()
        connection.execute("checkpoint").fetchall()
        spent = time.process_time() - started
        connection.close()
        return spent / len(rows) * 1e6, file.stat().st_size / len(rows)


def main() -> None:
    """Print the table; `--json` for programs."""
    requests, _ = make_requests(40, lambda number: ("bench", f"plugin-{number % 10}", "1.0.0", f"op {number % 20}"))
    bodies = [request.stamp(0, round_ * 100 + number) for round_ in range(8) for number, request in enumerate(requests)]
    rows = pa.concat_tables([read(Signal.TRACES, body).tables["incoming_spans"] for body in bodies])
    found = {layout.name: min(measure(layout, rows) for _ in range(ROUNDS)) for layout in LAYOUTS}
    if "--json" in sys.argv:
        print(json.dumps({name: {"cpu_us": cpu, "bytes": size} for name, (cpu, size) in found.items()}))
        return
    base = found[LAYOUTS[0].name][0]
    print(f"{len(rows):,} spans with 7 attributes, the least of {ROUNDS}\n")
    for name, (cpu, size) in found.items():
        print(f"{name:<38}{cpu:6.2f} µs CPU a span {cpu / base:6.2f} ×{size:8.1f} bytes a span")


if __name__ == "__main__":
    main()
