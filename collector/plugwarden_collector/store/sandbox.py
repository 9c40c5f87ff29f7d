"""What a user's SQL may name, checked on its syntax tree before anything of it is bound or run.

DuckDB's own locks (no external access, read-only transaction, locked configuration) stay in force underneath. This check
closes what they leave open: tables that are ours alone, the catalog with its paths, functions that run other SQL, act or
sleep, and calls that make gigabytes within one step, where neither the memory limit nor an interrupt reaches them.
Everything that is not known here is refused, so that a newer DuckDB opens no door by itself.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import duckdb

from plugwarden_collector.errors import QueryError

from .views import stable_views

__all__ = ["MAX_SQL_CHARACTERS", "Checked", "check"]

MAX_SQL_CHARACTERS = 100_000
MAX_NODES = 20_000
"""Planning cannot be interrupted; its time is bounded by the size of what is planned. Large lists go into `params`."""
MAX_RELATIONS = 40
MAX_DEPTH = 400
MAX_SIZE = 1_000
"""The largest length that a call may ask for, and the largest product of all repetitions in one statement."""

_QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"})
_RELATIONS = frozenset({"SUBQUERY", "JOIN", "EXPRESSION_LIST", "EMPTY", "PIVOT"})
_TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree", "repeat_row"})

_FORBIDDEN = {
    **dict.fromkeys(
        ("current_setting", "getvariable", "json_serialize_plan", "parse_duckdb_log_message"), "shows settings"
    ),
    **dict.fromkeys(("current_query", "current_schemas", "in_search_path", "get_block_size"), "shows internals"),
    **dict.fromkeys(("sleep_ms", "write_log", "setseed", "nextval", "setval", "currval"), "does more than compute"),
    **dict.fromkeys(
        ("list_reduce", "array_reduce", "reduce"), "grows without bound; aggregate with list_sum and the like"
    ),
    **dict.fromkeys(
        (
            *(
                "levenshtein",
                "editdist3",
                "damerau_levenshtein",
                "json_merge_patch",
                "json_merge_patch_diff",
                "json_deep_merge",
            ),
            *("json_contains", "list_intersect", "array_intersect", "list_has_all", "array_has_all", "list_has_any"),
            *("array_has_any", "&&", "@>", "<@"),
        ),
        "takes quadratic time that cannot be interrupted; unnest and join instead",
    ),
    **dict.fromkeys(
        (
            *(
                "list_distinct",
                "array_distinct",
                "list_unique",
                "array_unique",
                "list_mode",
                "list_histogram",
                "list_entropy",
            ),
            *(
                "list_approx_count_distinct",
                "list_aggr",
                "list_aggregate",
                "array_aggr",
                "array_aggregate",
                "aggregate",
            ),
        ),
        "takes long in one step that cannot be interrupted; unnest and aggregate instead, or use list(distinct …)",
    ),
    **dict.fromkeys(("generate_subscripts",), "grows without bound; write `unnest(...) with ordinality`"),
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

_SIZES = {
    "lpad": 1,
    "rpad": 1,
    "list_resize": 1,
    "array_resize": 1,
    "to_base": 2,
    "bitstring": 1,
    "bar": 3,
    "equi_width_bins": 2,
}
"""Function -> which argument says how large the result is."""
_FACTORS = {
    "hex": 2,
    "to_hex": 2,
    "bin": 8,
    "to_binary": 8,
    "url_encode": 3,
    "to_json": 2,
    "json_quote": 2,
    "row_to_json": 2,
}
"""Function -> how much longer its result can be; nested, they multiply."""
_JOINS = frozenset({"||", "concat", "concat_ws", "list_concat", "list_cat", "array_concat", "array_cat"})
_MEASURED = {*_SIZES, *_FACTORS, "repeat", "replace", "regexp_replace", "format", "printf"}
_WIDE = re.compile(r"\d{4,}|\{[^}]*\{|\*")
"""A format that asks for a width of thousands, or takes its width from an argument."""

_EXPLAIN = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*explain\s+(analyze\s+)?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Checked:
    """SQL that may run."""

    sql: str
    """One SELECT, or EXPLAIN of one."""
    explains: bool
    """Whether it is an EXPLAIN."""


def check(cursor: duckdb.DuckDBPyConnection, sql: str) -> Checked:
    """The statement, if it only reads stable views; else raises `QueryError` that says what to write instead.

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
        found = _EXPLAIN.match(sql)
        if found is None:
            raise QueryError("write EXPLAIN or EXPLAIN ANALYZE followed by one SELECT")
        _walk(cursor, sql[found.end() :])
        return Checked(f"explain {found.group(1) or ''}{sql[found.end() :]}", True)
    if kind is duckdb.StatementType.MULTI:
        raise QueryError("PIVOT must name its values here: PIVOT … ON outcome IN ('success', 'error') USING …")
    if kind is not duckdb.StatementType.SELECT:
        raise QueryError(f"{kind.name} is not allowed here: this interface only reads; write a SELECT")
    _walk(cursor, sql)
    return Checked(sql, False)


def _walk(cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
    row = cursor.execute("select json_serialize_sql($sql::varchar)", {"sql": sql}).fetchone()
    try:
        tree: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
    except RecursionError as error:
        raise QueryError("the statement is nested too deeply") from error
    if tree.get("error") or len(tree["statements"]) != 1:
        raise QueryError(f"this interface only reads; write a SELECT ({tree.get('error_message', 'one statement')})")
    walker = _Walker(sql)
    walker.visit(tree["statements"][0]["node"], frozenset(), 0)


@dataclass(slots=True)
class _Walker:
    """One pass over a tree; `scope` are the CTEs that a name may mean."""

    sql: str
    nodes: int = 0
    relations: int = 0
    growth: int = 1
    joined: set[int] = field(default_factory=set)
    views: frozenset[str] = field(default_factory=lambda: frozenset(stable_views()))

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
            self._expression(node, scope)
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

    def _expression(self, node: dict[str, Any], scope: frozenset[str]) -> None:
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
        arguments = [item.get("expression") for item in node.get("arguments") or ()]
        if (node.get("schema") or node.get("catalog")) and name in _MEASURED:
            # `x.repeat(5)` may be a call on the column x: where the length stands is known only to the binder.
            raise QueryError(f"{self._at(node)}{name}: write it as {name}(…), without a name before it")
        if name in ("range", "generate_series"):
            raise QueryError(f"{self._at(node)}{name} makes whole lists here; write it in FROM: from {name}(…) t(x)")
        if name in _SIZES and len(arguments) > _SIZES[name]:
            self._sized(node, name, arguments[_SIZES[name]])
        elif name in _JOINS:
            self._joined(node, name)
        elif name == "repeat":
            self._grow(node, self._sized(node, name, arguments[1]) if len(arguments) > 1 else 1)
        elif name in ("replace", "regexp_replace") and len(arguments) > 2:
            text = _constant(arguments[2])
            if text is None:
                raise QueryError(f"{self._at(node)}{name}: its third argument must be a text in quotes here")
            self._grow(node, len(text))
        elif name in ("format", "printf") and arguments:
            text = _constant(arguments[0])
            if text is None or _WIDE.search(text):
                raise QueryError(
                    f"{self._at(node)}{name}: its first argument must be a text in quotes, with widths below 1000"
                )
        elif name in _FACTORS:
            self._grow(node, _FACTORS[name] if _nests(arguments) else 1)
        for item in arguments:
            if isinstance(item, dict) and item.get("class") == "LAMBDA":
                self._lambda(item)

    def _joined(self, node: dict[str, Any], name: str) -> None:
        # `x || x` doubles; in step after step, or in a recursion, it fills the memory before anything can end it.
        if id(node) in self.joined:
            return
        seen: dict[tuple[str, ...], int] = {}
        for inner in _below(node.get("arguments")):
            if inner.get("function_name") in _JOINS:
                self.joined.add(id(inner))  # part of the same chain
            if inner.get("class") == "COLUMN_REF":
                column = tuple(inner["column_names"])
                seen[column] = seen.get(column, 0) + 1
        self._grow(node, max(seen.values(), default=1))

    def _lambda(self, node: dict[str, Any]) -> None:
        # A search of a list inside a loop over a list is quadratic, in one step that nothing interrupts.
        for inner in _below(node.get("expr")):
            name = str(inner.get("function_name") or "")
            if inner.get("class") == "LAMBDA" or (
                name.startswith(("list_", "array_")) and name not in ("list_value", "array_extract")
            ):
                raise QueryError(
                    f"{self._at(node)}a lambda may not search or loop over lists here; unnest the list and join or group instead"
                )

    def _sized(self, node: dict[str, Any], name: str, argument: Any) -> int:
        text = _constant(argument)
        if text is None or not text.lstrip("-").isdigit() or int(text) > MAX_SIZE:
            raise QueryError(f"{self._at(node)}{name}: the length must be a number up to {MAX_SIZE} here")
        return int(text)

    def _grow(self, node: dict[str, Any], factor: int) -> None:
        self.growth *= max(1, factor)
        if self.growth > MAX_SIZE:
            raise QueryError(f"{self._at(node)}the repetitions of this statement multiply to more than {MAX_SIZE}-fold")

    def _at(self, node: dict[str, Any]) -> str:
        """Where a node stands, as people count: `line 2, column 7: `."""
        offset = node.get("query_location")
        raw = self.sql.encode()
        if not isinstance(offset, int) or offset > len(raw):
            return ""
        before = raw[:offset].decode(errors="replace")
        return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}: "


def _below(node: Any) -> Iterator[dict[str, Any]]:
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _nests(arguments: list[Any]) -> bool:
    """Whether one multiplying call stands inside another."""
    return any(str(item.get("function_name") or "").lower() in {*_FACTORS, "repeat"} for item in _below(arguments))


def _constant(node: Any) -> str | None:
    """The text of a literal; a minus sign before it is part of it."""
    if not isinstance(node, dict):
        return None
    if node.get("class") == "CONSTANT":
        literal = node.get("literal")
        if isinstance(literal, dict) and "text" in literal:
            return str(literal["text"])
        value = node.get("value")
        return str(value["value"]) if isinstance(value, dict) and value.get("value") is not None else None
    return None


def _nearest(name: str, names: frozenset[str]) -> str:
    found = difflib.get_close_matches(name.lower(), sorted(names), 1, 0.55)
    return f'; did you mean "{found[0]}"?' if found else ""


@cache
def _volatile() -> frozenset[str]:
    """Functions that DuckDB itself calls volatile: whatever acts, acts through one of them."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select distinct function_name from duckdb_functions() where function_type = 'scalar' and stability = 'VOLATILE'"
        ).fetchall()
    return frozenset(str(row[0]) for row in rows) - _VOLATILE_BUT_HARMLESS
