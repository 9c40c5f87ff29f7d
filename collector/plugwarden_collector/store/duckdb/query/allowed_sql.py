"""What a user's SQL may name, checked on its syntax tree before anything of it is bound or run.

DuckDB's own locks (no external access, read-only transaction, locked configuration) stay in force underneath. This check
closes what they leave open: tables that are ours alone, the catalog with its paths, and functions that run other SQL, act,
sleep or show settings. Everything that is not known here is refused, so that a newer DuckDB opens no door by itself. What a
statement costs is not judged here but held by limits (query/reader); the bounds below only give a clear word early.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb

from plugwarden_collector.errors import QueryError
from plugwarden_collector.store.duckdb.engine import connect
from plugwarden_collector.store.duckdb.query.reader.bounded import is_bounded

__all__ = ["MAX_SQL_CHARACTERS", "Checked", "check", "split_explain"]

MAX_SQL_CHARACTERS = 100_000
MAX_NODES = 20_000
"""Nodes of a statement's tree. A larger one is written by a program, which can pass lists in `params`."""
MAX_RELATIONS = 40
MAX_DEPTH = 400

_QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"})
_RELATIONS = frozenset({"SUBQUERY", "JOIN", "EXPRESSION_LIST", "EMPTY", "PIVOT"})
_TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree", "repeat_row"})

_FORBIDDEN = {
    **dict.fromkeys(
        ("current_setting", "getvariable", "json_serialize_plan", "parse_duckdb_log_message"), "shows settings"
    ),
    **dict.fromkeys(("current_query", "current_schemas", "in_search_path", "get_block_size"), "shows internals"),
    **dict.fromkeys(("sleep_ms", "write_log", "setseed", "nextval", "setval", "currval"), "does more than compute"),
}
_PREFIXES = (
    "pg_",
    "has_",
    "inet_",
    "__internal",
    "duckdb_",
    "pragma_",
    "read_",
    "parquet_",
    "col_desc",
    "obj_desc",
    "shobj_",
)
_VOLATILE_BUT_HARMLESS = frozenset({"random", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "error"})

_EXPLAIN = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*explain\s+(analyze\s+)?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Checked:
    """SQL that may run."""

    sql: str
    """One SELECT, or EXPLAIN of one."""
    explains: bool
    """Whether it is an EXPLAIN."""
    select: str
    """The SELECT alone."""
    bounded: bool
    """Whether it may run in the collector's own process (query/reader/bounded.py)."""
    columns: int | None
    """Columns of its answer, where its text says how many."""


def check(cursor: duckdb.DuckDBPyConnection, sql: str, views: Iterable[str]) -> Checked:
    """The statement, if it only reads these views; else raises `QueryError` that says what to write instead.

    Syntax errors raise `duckdb.ParserException`.
    """
    if len(sql) > MAX_SQL_CHARACTERS:
        raise QueryError(f"the statement is longer than {MAX_SQL_CHARACTERS} characters")
    if "\0" in sql:
        raise QueryError("the statement holds a NUL character")
    statements = cursor.extract_statements(sql)
    if len(statements) != 1:
        raise QueryError(f"one statement at a time, please; this is {len(statements)}")
    kind = statements[0].type
    if kind is duckdb.StatementType.EXPLAIN:
        found = split_explain(sql)
        if found is None:
            raise QueryError("write EXPLAIN or EXPLAIN ANALYZE followed by one SELECT")
        prefix, select = found
        return Checked(prefix + select, True, select, *_walk(cursor, select, views))
    if kind is duckdb.StatementType.MULTI:
        raise QueryError("PIVOT must name its values here: PIVOT … ON outcome IN ('success', 'error') USING …")
    if kind is not duckdb.StatementType.SELECT:
        raise QueryError(f"{kind.name} is not allowed here: this interface only reads; write a SELECT")
    return Checked(sql, False, sql, *_walk(cursor, sql, views))


def split_explain(sql: str) -> tuple[str, str] | None:
    """`explain ` or `explain analyze `, and what is explained; None when it does not begin like that."""
    found = _EXPLAIN.match(sql)
    return None if found is None else (f"explain {found.group(1) or ''}", sql[found.end() :])


def _walk(cursor: duckdb.DuckDBPyConnection, sql: str, views: Iterable[str]) -> tuple[bool, int | None]:
    """Whether the statement is bounded, and its columns, once it is known to name nothing that it must not."""
    row = cursor.execute("select json_serialize_sql($sql::varchar)", {"sql": sql}).fetchall()[0]
    try:
        tree: dict[str, Any] = json.loads(row[0])
    except RecursionError as error:
        raise QueryError("the statement is nested too deeply") from error
    if tree.get("error") or len(tree["statements"]) != 1:
        raise QueryError(f"this interface only reads; write a SELECT ({tree.get('error_message', 'one statement')})")
    node = tree["statements"][0]["node"]
    _Walker(sql, frozenset(views)).visit(node, frozenset(), 0)
    return is_bounded(node), _columns(node)


def _columns(node: dict[str, Any]) -> int | None:
    listed = node.get("select_list") if node.get("type") == "SELECT_NODE" else None
    return None if not listed or any(item.get("class") == "STAR" for item in listed) else len(listed)


@dataclass(slots=True)
class _Walker:
    """One pass over a tree; `scope` are the CTEs that a name may mean."""

    sql: str
    views: frozenset[str]
    nodes: int = 0
    relations: int = 0

    def visit(self, node: Any, scope: frozenset[str], depth: int) -> None:
        """Look at a node and everything below it."""
        if isinstance(node, list):
            for item in node:
                self.visit(item, scope, depth)
            return
        if not isinstance(node, dict):
            return
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise QueryError("the statement is too large; pass lists through `params`, or aggregate in steps")
        if depth > MAX_DEPTH:
            raise QueryError("the statement is nested too deeply")
        kind = node.get("type")
        if isinstance(kind, str) and kind.endswith("_NODE"):
            self._query(node, kind, scope, depth)
            return
        if "class" in node:
            self._function(node)
        elif "query_location" in node and isinstance(kind, str):
            self._relation(node, kind, scope, depth)
            if kind == "TABLE_FUNCTION":
                return
        for item in node.values():
            if isinstance(item, dict | list):
                self.visit(item, scope, depth + 1)

    def _query(self, node: dict[str, Any], kind: str, scope: frozenset[str], depth: int) -> None:
        if kind not in _QUERY_NODES:
            raise QueryError(f"{kind.split('_')[0]} is not allowed here: this interface only reads; write a SELECT")
        # A CTE sees those before it. Where DuckDB would see more, this sees less, and refuses.
        for entry in (node.get("cte_map") or {}).get("map", ()):
            self.visit(entry["value"], scope, depth + 1)
            scope |= {entry["key"].lower()}
        for name, item in node.items():
            if name == "cte_map":
                continue
            inner = scope
            if kind == "RECURSIVE_CTE_NODE" and name == "right":
                inner |= {str(node["cte_name"]).lower()}
            self.visit(item, inner, depth + 1)

    def _relation(self, node: dict[str, Any], kind: str, scope: frozenset[str], depth: int) -> None:
        if kind == "BASE_TABLE":
            self._table(node, scope)
            self.relations += 1
            if self.relations > MAX_RELATIONS:
                raise QueryError(f"at most {MAX_RELATIONS} relations in one statement")
        elif kind == "TABLE_FUNCTION":
            function = node["function"]
            name = str(function["function_name"]).lower()
            if name not in _TABLE_FUNCTIONS:
                hint = _nearest(name, _TABLE_FUNCTIONS)
                raise QueryError(f"{self._at(node)}the table function {name} is not allowed here{hint}")
            self.visit(function.get("arguments"), scope, depth + 1)
        elif kind == "SHOW_REF":
            if node.get("query") is None:
                raise QueryError(
                    f"SHOW is not allowed here; the views are {', '.join(sorted(self.views))}; try DESCRIBE spans"
                )
        elif kind not in _RELATIONS:
            raise QueryError(f"{self._at(node)}{kind} is not allowed here")

    def _table(self, node: dict[str, Any], scope: frozenset[str]) -> None:
        name = str(node["table_name"])
        catalog, schema = str(node.get("catalog_name") or ""), str(node.get("schema_name") or "").lower()
        if not catalog and (schema in ("", "main") and name.lower() in self.views):
            return
        if not catalog and schema in ("", "recurring") and name.lower() in scope:
            return
        full = ".".join(part for part in (catalog, schema, name) if part)
        hint = _nearest(name, self.views) or f"; the views are {', '.join(sorted(self.views))}"
        raise QueryError(f'{self._at(node)}view "{full}" does not exist{hint}')

    def _function(self, node: dict[str, Any]) -> None:
        name = str(node.get("function_name") or "").lower()
        if not name:
            return
        why = _FORBIDDEN.get(name)
        if why is None and (name.startswith(_PREFIXES) and name != "pg_typeof"):
            why = "shows internals"
        if why is None and name in _volatile():
            why = "does more than compute"
        if why is not None:
            raise QueryError(f"{self._at(node)}the function {name} is not allowed here: it {why}")

    def _at(self, node: dict[str, Any]) -> str:
        """Where a node stands, as people count: `line 2, column 7: `."""
        offset = node.get("query_location")
        raw = self.sql.encode()
        if not isinstance(offset, int) or offset > len(raw):
            return ""
        before = raw[:offset].decode(errors="replace")
        return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}: "


def _nearest(name: str, names: frozenset[str]) -> str:
    found = difflib.get_close_matches(name.lower(), sorted(names), 1, 0.55)
    return f'; did you mean "{found[0]}"?' if found else ""


@cache
def _volatile() -> frozenset[str]:
    """Functions that DuckDB itself calls volatile: whatever acts, acts through one of them."""
    with connect() as connection:
        rows = connection.execute(
            "select distinct function_name from duckdb_functions() where function_type = 'scalar' and stability = 'VOLATILE'"
        ).fetchall()
    return frozenset(str(row[0]) for row in rows) - _VOLATILE_BUT_HARMLESS
