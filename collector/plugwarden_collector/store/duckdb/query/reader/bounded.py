"""Which statements may run in the collector's own process, where they are quickest: those that cannot outgrow their limits.

There a statement is held by DuckDB's memory limit for operators, which spill, and by an interrupt, which is heard between
two pieces of 2,048 rows. What escapes both are values that grow within one step, and steps that take long by themselves.
So a statement is bounded when each of its functions answers with something of fixed size, or with what is stored as it is,
in time that grows with its arguments and no faster. Everything that is not known here runs in a reader process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["SAFE_FUNCTIONS", "is_bounded"]

MAX_NODES = 1_500
MAX_RELATIONS = 8
MAX_DEPTH = 80
MAX_WINDOWS = 4
MAX_CONSTANT = 1_000
"""Characters of a text in the statement itself, where a function may copy it into every row."""

_AGGREGATES = {
    **dict.fromkeys(("sum", "avg", "mean", "fsum", "favg", "bool_and", "bool_or", "any_value", "first", "last"), 1),
    **dict.fromkeys(("min", "max", "stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop"), 1),
    **dict.fromkeys(("arg_min", "arg_max", "min_by", "max_by", "argmin", "argmax", "approx_quantile", "count_if"), 2),
    **dict.fromkeys(("approx_count_distinct", "count", "count_star"), 1),
}
"""Name -> the most arguments; with one more some of them answer with a list."""
_SCALARS = frozenset(
    (
        *("-", "*", "/", "//", "%", "**", "^", "abs", "round", "floor", "ceil", "ceiling", "trunc", "sign", "sqrt", "ln", "log"),
        *("log2", "log10", "exp", "pow", "power", "mod", "divide", "isnan", "isinf", "isfinite", "greatest", "least", "hash"),
        *("lower", "upper", "length", "len", "strlen", "contains", "starts_with", "prefix", "suffix", "ends_with", "md5"),
        *("instr", "strpos", "position", "trim", "ltrim", "rtrim", "left", "right", "substring", "substr", "nullif", "ifnull"),
        *("now", "today", "get_current_timestamp", "current_date", "current_timestamp", "date_trunc", "time_bucket", "epoch"),
        *("epoch_ms", "epoch_us", "epoch_ns", "date_part", "date_diff", "datediff", "age", "year", "month", "day", "hour"),
        *("minute", "second", "dayofweek", "isodow", "week", "dayname", "monthname", "last_day", "make_timestamp"),
        *("to_timestamp", "to_seconds", "to_minutes", "to_hours", "to_days", "to_weeks", "to_months", "to_years"),
        *("to_milliseconds", "to_microseconds", "random", "cardinality", "map_extract_value", "struct_extract", "typeof"),
        *("array_extract", "list_extract", "element_at", "json_extract_string", "->>", "list_sum", "list_min", "list_max"),
    )
)  # fmt: skip
SAFE_FUNCTIONS = frozenset({*_SCALARS, *_AGGREGATES, "+"})
_SEARCHES = frozenset({"contains", "instr", "strpos", "position"})
_LIKES = frozenset({"~~", "!~~", "~~*", "!~~*"})
_WINDOWS = frozenset(
    ("row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead", "first_value", "last_value",
     "sum", "count", "avg", "min", "max", "count_star")
)  # fmt: skip
_CLASSES = frozenset(
    ("COLUMN_REF", "CONSTANT", "COMPARISON", "CONJUNCTION", "CASE", "BETWEEN", "STAR", "PARAMETER", "SUBQUERY", "TYPE",
     "POSITIONAL_REFERENCE", "DEFAULT", "OPERATOR", "CAST", "FUNCTION", "WINDOW")
)  # fmt: skip
_OPERATORS = frozenset(
    ("OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "OPERATOR_COALESCE", "OPERATOR_NULLIF", "COMPARE_IN",
     "COMPARE_NOT_IN", "ARRAY_EXTRACT", "STRUCT_EXTRACT", "OPERATOR_TRY", "GROUPING_FUNCTION", "OPERATOR_UNPACK")
)  # fmt: skip
_RELATIONS = frozenset({"BASE_TABLE", "SUBQUERY", "JOIN", "EXPRESSION_LIST", "EMPTY", "TABLE_FUNCTION", "SHOW_REF"})
_JOINS = frozenset({"INNER", "LEFT", "RIGHT", "OUTER", "SEMI", "ANTI"})
_TABLE_FUNCTIONS = frozenset({"range", "generate_series"})
_TYPES = frozenset(
    ("boolean", "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint",
     "float", "double", "real", "varchar", "text", "string", "date", "time", "timestamp", "timestamptz", "interval", "int", "bool",
     "timestamp with time zone", "int4", "int8", "int2", "long", "short", "numeric", "decimal", "char", "float8", "float4")
)  # fmt: skip
_FIXED = frozenset(
    ("count", "count_star", "now", "today", "date_trunc", "time_bucket", "epoch", "length", "len", "hour", "minute", "second",
     "to_seconds", "to_minutes", "to_hours", "to_days", "to_weeks", "to_months", "to_years", "to_milliseconds", "-", "*", "/", "//",
     "%", "abs", "floor", "ceil", "log2", "ln", "sum", "avg", "round", "pow", "get_current_timestamp")
)  # fmt: skip
"""Functions whose answer is a number or a time, so that `+` beside it adds; of two lists it makes a longer one."""


def is_bounded(tree: Any) -> bool:
    """Whether a statement, as `json_serialize_sql` gives its tree, may run in the collector's process."""
    return _Look().fits(tree, 0)


class _Look:
    """One pass over a tree. It counts what it may have only so much of."""

    def __init__(self) -> None:
        self._nodes = self._relations = self._windows = 0

    def fits(self, node: Any, depth: int) -> bool:
        if isinstance(node, list):
            return all(self.fits(item, depth) for item in node)
        if not isinstance(node, dict):
            return True
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            return False
        if not self._allowed(node):
            return False
        # Of a function that makes rows, the rows come one step after the other, however many: its name is not one to judge by.
        below = node["function"].get("arguments") if node.get("type") == "TABLE_FUNCTION" else list(node.values())
        return self.fits(below, depth + 1)

    def _allowed(self, node: dict[str, Any]) -> bool:
        kind = str(node.get("type") or "")
        if kind.endswith("_NODE"):
            # Several sets group the same rows as often.
            return kind in ("SELECT_NODE", "SET_OPERATION_NODE") and len(node.get("group_sets") or ()) <= 1
        if "class" in node:
            return self._expression(node, str(node["class"]), kind)
        if "query_location" in node and kind:
            self._relations += 1
            return self._relations <= MAX_RELATIONS and _relation(node, kind)
        return True

    def _expression(self, node: dict[str, Any], group: str, kind: str) -> bool:
        if group not in _CLASSES:
            return False
        if group == "OPERATOR":
            return kind in _OPERATORS
        if group == "CAST":
            return _plain_type(node.get("type_expr"))
        if group == "STAR":
            return not node.get("columns")
        if group == "WINDOW":
            self._windows += 1
            return self._windows <= MAX_WINDOWS and _window(node)
        return group != "FUNCTION" or _function(node)


def _relation(node: dict[str, Any], kind: str) -> bool:
    if kind == "JOIN":
        return str(node.get("join_type")) in _JOINS and str(node.get("ref_type")) in ("REGULAR", "CROSS", "NATURAL")
    if kind == "TABLE_FUNCTION":
        return str(node["function"].get("function_name")).lower() in _TABLE_FUNCTIONS
    return kind in _RELATIONS


def _window(node: dict[str, Any]) -> bool:
    frame = (node.get("start"), node.get("end"), node.get("exclude_clause"))
    usual = frame == ("UNBOUNDED_PRECEDING", "CURRENT_ROW_RANGE", "NO_OTHER")
    return usual and str(node.get("function_name")).lower() in _WINDOWS and not node.get("distinct")


def _function(node: dict[str, Any]) -> bool:
    name = str(node.get("function_name") or "").lower()
    if len((node.get("qualified_name") or {}).get("path") or ()) > 1:
        return False  # `x.f(y)`: what stands first is known only to the binder
    arguments = [item.get("expression") or {} for item in node.get("arguments") or ()]
    if (node.get("order_bys") or {}).get("orders"):
        return False  # an aggregate in an order keeps all its rows
    if any(len(str((item.get("literal") or {}).get("text", ""))) > MAX_CONSTANT for item in arguments):
        return False
    if name in ("unnest", "list_value"):
        # Of a stored list, one row after the other; of a list that is written out, as long as the statement at most.
        return all(item.get("class") == ("COLUMN_REF" if name == "unnest" else "CONSTANT") for item in arguments)
    if name in _LIKES:
        return len(arguments) == 2 and _simple_pattern(arguments[1])
    if name in _SEARCHES:
        # Of one long text in another the steps multiply, and may be all for a single row.
        return all(item.get("class") == "CONSTANT" for item in arguments[1:])
    if name == "+":
        return len(arguments) == 1 or any(_never_a_list(item) for item in arguments)
    if name in _AGGREGATES:
        return len(arguments) <= _AGGREGATES[name]
    return name in SAFE_FUNCTIONS


def _simple_pattern(node: dict[str, Any]) -> bool:
    """With more gaps a search goes back and forth within one text."""
    text = (node.get("literal") or {}).get("text")
    return isinstance(text, str) and text.count("%") <= 2 and "_" not in text


def _never_a_list(node: dict[str, Any]) -> bool:
    group = node.get("class")
    if group == "CONSTANT":
        return True
    if group == "CAST":
        return _plain_type(node.get("type_expr"))
    return group == "FUNCTION" and str(node.get("function_name")).lower() in _FIXED


def _plain_type(node: Any) -> bool:
    if not isinstance(node, dict):
        return False
    children: Iterable[Any] = node.get("children") or ()
    plain = all(isinstance(item, dict) and item.get("class") == "CONSTANT" for item in children)
    return str(node.get("type_name") or "").lower() in _TYPES and plain
