"""`plugwarden query` and `plugwarden export`: SQL from the command line."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plugwarden_collector.figures import MISSING, counted
from plugwarden_collector.named_path import file_to_read, file_to_write

from .grid import Column, grid
from .options import DEFAULT_URL, AsJson, Url, client
from .output import clean, console, emit_json, fail, prose, show
from .patience import patiently

if TYPE_CHECKING:
    from plugwarden_collector.api.client import CollectorClient

__all__ = ["export", "query"]

ALL_ROWS = 100_000_000
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, max=300, help="Seconds; then the query is interrupted.")]


def query(
    sql: Annotated[str | None, typer.Argument(help='One SELECT over the views of --views; "-": from stdin.')] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Take the SQL from this file.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE for $NAME; a number, true, false, null, [list] or text. NAME:text=VALUE is always text."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, max=ALL_ROWS, help="Rows at most. [1000; files: all]")] = None,
    timeout: Timeout = 15.0,
    as_json: AsJson = False,
    csv: Annotated[bool, typer.Option("--csv", help="CSV instead of a table.")] = False,
    parquet: Annotated[Path | None, typer.Option(help="Write the rows to this file.")] = None,
    watch: Annotated[float | None, typer.Option(min=0.5, help="Ask again every so many seconds.")] = None,
    views: Annotated[bool, typer.Option("--views", help="Show the views with their columns, and end.")] = False,
    named: Annotated[
        bool,
        typer.Option("--named", help="The argument is the name of a question of planners; without one, list them."),
    ] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Run read-only SQL on the collector's store."""
    if named:
        sql = _question(sql, file, as_json)
        if sql is None:
            return
    if views:
        _show_views(as_json, sql)
        return
    if sum((as_json, csv, parquet is not None)) > 1:
        fail("--json, --csv and --parquet: choose one", 2)
    text, values = _sql(sql, file), _values(param or [])
    if parquet is not None:
        file_to_write("--parquet", parquet)
    try:
        with client(url) as api:
            while True:
                if watch is not None and sys.stdout.isatty():
                    console.clear()
                once = partial(_answer, api, text, values, limit, timeout, as_json, csv, parquet)
                if watch is None:
                    once()
                    return
                patiently(once)
                sys.stdout.flush()
                time.sleep(watch)
    except KeyboardInterrupt:
        if watch is None:
            raise  # a watch ends with Ctrl-C; everything else is cut short by it


def export(
    view: Annotated[str, typer.Argument(help="A view, such as plugin_calls; `plugwarden query --views` lists them.")],
    file: Annotated[Path, typer.Argument(help="Parquet file to write.")],
    limit: Annotated[int, typer.Option(min=1, max=ALL_ROWS)] = ALL_ROWS,
    timeout: Timeout = 300.0,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Write all rows of a view to a Parquet file."""
    from plugwarden_collector.store.views import stable_views

    if view not in stable_views():
        fail(f"{view!r} is not a view; the views are {', '.join(stable_views())}")
    from .row_files import write_parquet

    file_to_write("FILE", file)
    with client(url) as api, api.stream(f'from "{view}"', limit=limit, timeout_seconds=timeout) as rows:
        count = write_parquet(rows, file, _progress)
    _clear_progress()
    if as_json:
        emit_json({"file": str(file), "rows": count, "truncated": rows.truncated})
    else:
        console.print(f"{counted(count, 'row')} written to {file}{_more(rows.truncated)}", soft_wrap=True)


def _answer(
    api: CollectorClient,
    sql: str,
    values: dict[str, Any],
    limit: int | None,
    timeout: float,
    as_json: bool,
    csv: bool,
    parquet: Path | None,
) -> None:
    whole = csv or parquet is not None
    with api.stream(sql, values, limit=limit or (ALL_ROWS if whole else 1000), timeout_seconds=timeout) as rows:
        if parquet is not None:
            from .row_files import write_parquet

            count = write_parquet(rows, parquet, _progress)
            _clear_progress()
            console.print(f"{counted(count, 'row')} written to {parquet}{_more(rows.truncated)}", soft_wrap=True)
            return
        if csv:
            from .row_files import write_csv

            write_csv(rows)
            sys.stdout.flush()
            return
        import pyarrow as pa

        from plugwarden_collector.api.plain import plain_rows

        table = pa.Table.from_batches(list(rows), rows.schema)
    if as_json:
        found = {"columns": table.column_names, "rows": plain_rows(table), "truncated": rows.truncated}
        emit_json({**found, "elapsed_ms": rows.elapsed_ms})
        return
    said = counted(len(table), "row")
    text = _grid(table.column_names, plain_rows(table), console.width)
    sys.stdout.write(f"{text}\n\n{said}{_more(rows.truncated)}\n")


def _grid(names: Sequence[str], rows: Sequence[Sequence[Any]], width: int) -> str:
    """Return rows of a statement as text; columns of numbers alone end at one place."""
    right = [bool(rows) and all(_is_number(row[index]) for row in rows) for index in range(len(names))]
    columns = [Column(clean(name), right=numeric) for name, numeric in zip(names, right, strict=True)]
    return grid(columns, [list(map(_text, row)) for row in rows], width)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, list | dict):
        return clean(json.dumps(value, default=str, ensure_ascii=False)) if value else MISSING
    return clean(value)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))


def _more(truncated: bool) -> str:
    return " (there are more; raise --limit)" if truncated else ""


def _sql(sql: str | None, file: Path | None) -> str:
    if (sql is None) == (file is None):
        fail('give the SQL as an argument, with --file FILE, or as "-" for stdin; --views shows what there is', 2)
    if file is not None:
        file_to_read("--file", file)
        try:
            return file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            fail(f"--file: {file}: {error}", 2)
    return sys.stdin.read() if sql == "-" else str(sql)


def _question(name: str | None, file: Path | None, as_json: bool) -> str | None:
    """Return the SQL of a question by its name; without a name show them all."""
    from plugwarden_collector.store.questions import questions

    if file is not None:
        fail("--named, --file: choose one", 2)
    if name is None:
        if as_json:
            emit_json({item.name: {"text": item.text, "sql": item.sql} for item in questions().values()})
        else:
            show(
                [{"name": item.name, "text": item.text} for item in questions().values()],
                {"name": "name", "text": ("answers", prose)},
            )
        return None
    if name not in questions():
        fail(f"{name!r:.80} is no question; they are {', '.join(questions())}")
    return questions()[name].sql


def _values(params: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in params:
        key, separator, value = item.partition("=")
        name, _, kind = key.removeprefix("$").partition(":")
        if not separator or not name.isidentifier():
            fail(f"--param: {item!r} is not NAME=VALUE", 2)
        if kind not in ("", "text"):
            fail(
                f"--param: {key!r}: the only type to ask for is NAME:text; cast others in SQL, as in ${name}::timestamp",
                2,
            )
        found[name] = value if kind else _typed(value)
    return found


def _typed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _show_views(as_json: bool, only: str | None) -> None:
    from plugwarden_collector.store.views import stable_views

    if only is not None and only not in stable_views():
        fail(f"{only!r} is not a view; the views are {', '.join(stable_views())}")
    found = [view for name, view in stable_views().items() if only in (None, name)]
    if as_json:
        emit_json(
            {
                view.name: {
                    "text": view.text,
                    "columns": [
                        {"name": c.name, "type": c.type, "null": c.null or None, "text": c.text} for c in view.columns
                    ],
                }
                for view in found
            }
        )
        return
    for view in found:
        console.print(f"{view.name}: {view.text}", soft_wrap=True)
        for column in view.columns:
            console.print(f"  {column.name:24}{column.type:14} {column.text}", soft_wrap=True)
        console.print()


def _progress(count: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{counted(count, 'row')} …")
        sys.stderr.flush()


def _clear_progress() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
