"""Hostile SQL by the million: statements that parse more often than not, put together from a grammar.

`statement(random)` needs nothing but a `random.Random`, so that a long fuzz run can use it without Hypothesis; the same seed gives the
same statement.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

__all__ = ["HOSTILE_PATH", "statement"]

HOSTILE_PATH = "/tmp/plugwarden-fuzz-must-not-exist"
VIEWS = ("spans", "logs", "metric_points", "plugin_calls", "slo_status", "alerts", "decisions", "changes", "resources")
HIDDEN = ("meta", "requests", "span_rows", "migrations", "duckdb_tables", "sqlite_master", "pg_catalog.pg_class",
          "information_schema.columns", "main.meta", "plugwarden.main.spans", "'/etc/passwd'", "'/proc/self/environ'", "secret",
          f"'{HOSTILE_PATH}'", '"s3://bucket/x.parquet"', "temp.x", "system.main.duckdb_settings")  # fmt: skip
COLUMNS = ("plugin_id", "name", "started_at", "time", "calls", "bucket_index", "attributes", "duration_seconds", "x", "spans", "rowid",
           "*", '"a b"', "events[1].name", "labels->>'$.a'", "main.spans.name", "é")  # fmt: skip
LITERALS = ("0", "1", "-1", "9223372036854775807", "170141183460469231731687303715884105728", "1e400", "0.1", "1e-400", "''", "'x'",
            "'\\'", "''''", "'é🙂'", "null", "true", "'nan'::double", "'infinity'::timestamp", "date '0001-01-01'", "interval '1 month'",
            "timestamp '294247-01-10'", "'\\xff'::blob", "[]", "[1, null]", "{'a': 1}", "map {}", "$a", "?", "$1", "x'00'",
            "'00000000-0000-0000-0000-000000000000'::uuid", "1::hugeint", "'1'::bit", "e'\\0'", "E'\\u0000'", "u&'\\0041'",
            "$$text$$", "0x7fffffffffffffff", "1_000")  # fmt: skip
SCALARS = ("abs", "lower", "concat", "md5", "regexp_matches", "regexp_extract_all", "list_transform", "list_sort", "strftime", "printf",
           "format", "repeat", "lpad", "range", "json_extract", "to_json", "from_json", "struct_pack", "map", "map_keys", "unnest",
           "list_zip", "array_slice", "epoch", "date_trunc", "time_bucket", "make_timestamp", "hash", "encode", "decode", "chr",
           "unhex", "to_base", "bitstring", "get_bit", "factorial", "pow", "round", "cast_to_type", "typeof", "coalesce", "ifnull",
           "error", "current_setting", "getvariable", "nextval", "sleep_ms", "pg_sleep", "write_log", "json_serialize_sql",
           "json_serialize_plan", "list_reduce", "setseed", "getenv", "stats", "vector_type", "version", "add", "alias",
           "create_sort_key", "remap_struct", "variant_extract", "st_astext", "union_value", "enum_range", "in_search_path",
           "txid_current", "current_query", "url_decode", "strptime", "levenshtein", "list_resize", "equi_width_bins",
           "__internal_compress_string_ubigint", "pg_get_viewdef", "has_table_privilege", "obj_description", "index_key")  # fmt: skip
AGGREGATES = ("count", "sum", "avg", "min", "max", "list", "string_agg", "histogram", "quantile_cont", "approx_quantile", "mode",
              "arg_max", "first", "median", "bitstring_agg", "approx_top_k", "entropy", "product", "reservoir_quantile")  # fmt: skip
TABLE_FUNCTIONS = ("range", "generate_series", "unnest", "json_each", "json_tree", "repeat_row", "read_csv", "read_text", "read_blob",
                   "read_parquet", "parquet_metadata", "glob", "sniff_csv", "query", "query_table", "duckdb_settings", "duckdb_tables",
                   "duckdb_secrets", "which_secret", "pragma_database_size", "pragma_storage_info", "checkpoint", "force_checkpoint",
                   "enable_logging", "truncate_duckdb_logs", "json_execute_serialized_sql", "summary", "test_all_types", "seq_scan",
                   "arrow_scan", "pandas_scan", "python_map_function", "histogram", "duckdb_logs_parsed", "register_external_resource",
                   "read_duckdb", "disable_profiling", "duckdb_external_file_cache", "icu_calendar_names")  # fmt: skip
COMMANDS = (
    "set memory_limit = '1TB'", "reset threads", "pragma database_list", "pragma table_info('meta')", "checkpoint", "vacuum", "analyze",
    f"attach '{HOSTILE_PATH}'", f"copy spans to '{HOSTILE_PATH}'", f"copy (select 1) to '{HOSTILE_PATH}' (format csv)",
    f"export database '{HOSTILE_PATH}'", "install httpfs", "load json", "drop table meta", "drop view spans", "delete from meta",
    "update meta set value = 'x'", "insert into meta values ('a', 'b')", "create table x as select 1", "create macro f(a) as a",
    "create temp view spans as select 1", "create sequence s", "create secret (type s3)", "truncate meta", "begin", "commit",
    "rollback", "prepare p as select 1", "execute p", "deallocate p", "call force_checkpoint()", "call enable_logging()",
    "use memory", "detach plugwarden", "comment on table meta is 'x'", "alter table meta add column c integer", "show tables",
    "show all tables", "describe", "set variable a = 1", "import database '/tmp'", "kill 1", "merge into meta using meta m on true "
    "when matched then delete", "pivot spans on outcome", "explain analyze insert into meta values ('a', 'b')", "create type t as int",
    "set schema = 'pg_catalog'", "force checkpoint", "listen x", "grant all on meta to public", "load '/tmp/x.duckdb_extension'",
)  # fmt: skip
JUNK = ("--", "/*", "*/", ";", "\0", "\\", "'", '"', "$$", "(", ")", "[", "}", "\u202e", "\ufeff", "\r", "\u2028", "::",
        "->", "@", "#", "%s",
        "{{", "0x", "1e", "select", "from", "with", "\x1b[2J")  # fmt: skip


OPERATORS = (
    "+",
    "-",
    "*",
    "/",
    "//",
    "%",
    "||",
    "=",
    "<",
    "and",
    "or",
    "like",
    "in",
    "^@",
    "->>",
    "@>",
    "&",
    "<<",
    "**",
    "is distinct from",
)
SOURCES = {
    "spans": {"text": ("name", "kind", "plugin_id", "attributes['a']", "status"), "number": ("duration_seconds", "resource_id"),
              "time": ("started_at",), "list": ("events", "links", "map_keys(attributes)")},
    "plugin_calls": {"text": ("plugin_id", "outcome"), "number": ("calls", "cpu_seconds"), "time": ("bucket_start",),
                     "list": ("bucket_index", "bucket_count")},
    "changes": {"text": ("kind", "plugin_id", "text"), "number": ("length(text)",), "time": ("time",), "list": ("[text]",)},
    "(from range(200) r(i))": {"text": ("i::varchar", "'x'"), "number": ("i", "i::hugeint", "i::double", "i::decimal(20, 3)"),
                               "time": ("timestamp '2026-01-01' + i * interval 1 hour",), "list": ("[i, i + 1]", "[null, i]")},
}  # fmt: skip
"""Relations, and expressions over them by type: what is made of these mostly binds and runs."""
TYPED = {
    "text": ("lower({text})", "{text} || {text}", "repeat({text}, 3)", "hex({text})", "md5({text})",
        "regexp_replace({text}, '(.)', '\\1x')",
             "strftime({time}, '%Y %j')", "({number})::varchar", "case when {bool} then {text} else {text} end", "{text}[1:2]",
             "to_json({list})::varchar", "format('{{}}', {number})", "string_agg({text})", "any_value({text})", "typeof({list})",
             "(select min(name) from spans)", "lag({text}) over (order by {time})", "reverse({text})", "{{'a': {text}}}.a"),
    "number": ("{number} + {number}", "{number} / {number}", "{number} % {number}", "abs({number})", "length({text})",
        "epoch({time})", "sum({number})",
               "count(*) filter ({bool})", "quantile_cont({number}, 0.5)", "list_sum(list_transform({list}, lambda x: 1))",
               "hash({text}, {number})",
               "row_number() over (partition by {text} order by {number})", "avg({number}) over (order by {time} rows 3 preceding)",
               "try_cast({text} as integer)", "{number}::hugeint * 9223372036854775807", "random()", "sqrt({number})", "ln({number})",
               "approx_count_distinct({text})", "len({list})", "{number} << 3", "factorial(({number})::integer % 30)",
               "pow({number}, 99)"),
    "time": ("date_trunc('hour', {time})", "{time} + to_seconds({number})", "time_bucket(interval 7 minute, {time})", "max({time})",
             "make_timestamp(({number})::bigint)", "{time}::timestamptz::timestamp", "'infinity'::timestamp", "{time}::date"),
    "list": ("list({number})", "list_sort({list})", "list_zip({list}, {list})", "{list}[2:]", "[x for x in {list}]",
        "array_agg(distinct {text})",
             "list_transform({list}, lambda x: {{'k': x}})", "histogram({text})", "[{number}, {number}]", "list_contains({list}, {number})",
             "map([{text}], [{number}])"),
    "bool": ("{number} > {number}", "{text} like '%a%'", "{bool} and not {bool}", "{time} < now()::timestamp",
        "{text} in ({text}, {text})",
             "exists (from changes where kind = {text})", "{number} is null", "regexp_matches({text}, '^(a|b)*$')",
             "{text} > any ['a', 'b']"),
}  # fmt: skip


def statement(random: Random) -> str:
    """One statement, or something close to one."""
    kind = random.random()
    if kind < 0.12:
        text = random.choice(COMMANDS)
    elif kind < 0.16:
        text = f"{random.choice(('explain', 'explain analyze', 'explain (format json)', 'describe', 'summarize'))} {_select(random, 2)}"
    elif kind < 0.20:
        text = f"{_select(random, 1)}; {random.choice((_select(random, 1), random.choice(COMMANDS)))}"
    elif kind < 0.23:
        text = f"with x as ({random.choice(COMMANDS)}) from x"
    elif kind < 0.60:
        text = _typed_select(random, 2)
    else:
        text = _select(random, 3)
    while random.random() < 0.15:
        place = random.randrange(len(text) + 1)
        cut = random.randrange(4) if random.random() < 0.3 else 0
        text = text[:place] + random.choice(JUNK) + text[place + cut :]
    if random.random() < 0.05:
        text = text.upper()
    return text


def _typed_select(random: Random, depth: int) -> str:
    source = random.choice(list(SOURCES))
    columns = [
        _typed(random, source, random.choice(("text", "number", "time", "list", "bool")), depth)
        for _ in range(random.randint(1, 3))
    ]
    named = ", ".join(f"{column} as c{index}" for index, column in enumerate(columns))
    text = f"select {named} from {source} s"
    if random.random() < 0.3:
        text += f" where {_typed(random, source, 'bool', 1)}"
    if random.random() < 0.4:
        text += " group by all"
    if random.random() < 0.3:
        text += " order by all"
    if depth and random.random() < 0.2:
        text = f"with x as ({text}) select {random.choice(('*', 'count(*)', 'c0, count(*)', 'distinct c0'))} from x"
        text += random.choice(
            ("", " group by all", " limit 3", " union all from x", " tablesample 50%", " join x y using (c0)")
        )
    return text


def _typed(random: Random, source: str, kind: str, depth: int) -> str:
    leaves = SOURCES[source].get(kind, ("true", "null", "1 = 1"))
    if depth <= 0:
        return random.choice(leaves)
    text = random.choice((*TYPED[kind], *leaves))
    for name in TYPED:
        mark = f"{{{name}}}"
        while mark in text:
            text = text.replace(mark, _typed(random, source, name, depth - 1), 1)
    return text.replace("{{", "{").replace("}}", "}")


def _select(random: Random, depth: int) -> str:
    parts = []
    if random.random() < 0.2:
        name = random.choice(("x", "meta", "spans", '"y z"'))
        recursive = random.random() < 0.3
        body = _select(random, depth - 1) if depth > 0 else "select 1 as a"
        if recursive:
            body += (
                f" union {random.choice(('', 'all '))}select {_value(random, 1)} from {name} where {_value(random, 1)}"
            )
        materialized = random.choice(("", "materialized ", "not materialized "))
        parts.append(f"with {'recursive ' if recursive else ''}{name} as {materialized}({body})")
    columns = ", ".join(_value(random, depth) for _ in range(random.randint(1, 4)))
    parts.append(f"select {random.choice(('', '', '', 'distinct ', 'distinct on (1) '))}{columns}")
    if random.random() < 0.85:
        parts.append(f"from {_relation(random, depth)}")
    for word, share in (("where", 0.4), ("group by", 0.2), ("having", 0.1), ("qualify", 0.05), ("order by", 0.2)):
        if random.random() < share:
            what = "all" if word in ("group by", "order by") and random.random() < 0.4 else _value(random, depth - 1)
            parts.append(f"{word} {what}")
    if random.random() < 0.3:
        parts.append(f"limit {random.choice(('1', '10', '10%', '-1', '(select 5)', '$a', 'null', '1e18'))}")
    if depth > 1 and random.random() < 0.1:
        parts.append(
            f"{random.choice(('union', 'union all by name', 'except', 'intersect'))} {_select(random, depth - 1)}"
        )
    return " ".join(parts)


def _relation(random: Random, depth: int) -> str:
    makers: list[Callable[[], str]] = [
        lambda: random.choice(VIEWS),
        lambda: random.choice(VIEWS),
        lambda: random.choice(VIEWS),
        lambda: random.choice(HIDDEN),
        lambda: (
            f"{random.choice(TABLE_FUNCTIONS)}({', '.join(_value(random, 0) for _ in range(random.randint(0, 2)))}) t(x)"
        ),
        lambda: f"range({random.choice(('3', '100', '10000', '1000000000'))}) t(x)",
        lambda: f"(values ({_value(random, 0)})) t(x)",
    ]
    if depth > 0:
        makers += [
            lambda: f"({_select(random, depth - 1)}) t",
            lambda: (
                f"{_relation(random, depth - 1)} {_join(random)} join {_relation(random, depth - 1)} on {_value(random, 0)}"
            ),
            lambda: f"{random.choice(VIEWS)}, lateral ({_select(random, depth - 1)}) l",
            lambda: f"(pivot {random.choice(VIEWS)} on name in ('a', 'b') using {_value(random, 0)})",
            lambda: f"(unpivot {random.choice(VIEWS)} on columns(*) into name n value v)",
            lambda: f"(describe {_select(random, depth - 1)})",
            lambda: f"{random.choice(VIEWS)} tablesample {random.choice(('10%', '5 rows', 'reservoir(3)', '200%'))}",
            lambda: f"{random.choice(VIEWS)} at (version => {_value(random, 0)})",
        ]
    return random.choice(makers)()


def _join(random: Random) -> str:
    return random.choice(("inner", "left", "full", "semi", "anti", "asof", "positional", "cross"))


def _value(random: Random, depth: int) -> str:
    if depth <= 0 or random.random() < 0.3:
        return random.choice((random.choice(COLUMNS), random.choice(LITERALS)))

    def inner() -> str:
        return _value(random, depth - 1)

    makers: list[Callable[[], str]] = [
        lambda: f"{random.choice(SCALARS)}({', '.join(inner() for _ in range(random.randint(0, 3)))})",
        lambda: f"({inner()}).{random.choice(SCALARS)}({inner()})",
        lambda: f"{random.choice(AGGREGATES)}({random.choice(('', 'distinct '))}{inner()}) filter (where {inner()})",
        lambda: f"{random.choice(AGGREGATES)}({inner()}) over (partition by {inner()} order by {inner()})",
        lambda: f"{inner()} {random.choice(OPERATORS)} {inner()}",
        lambda: (
            f"({inner()})::{random.choice(('integer', 'varchar', 'timestamp', 'json', 'blob', 'hugeint', 'date', 'meta', 'int[]'))}"
        ),
        lambda: f"try_cast({inner()} as {random.choice(('double', 'uuid', 'decimal(38, 9)', 'struct(a int)'))})",
        lambda: f"case when {inner()} then {inner()} else {inner()} end",
        lambda: f"list_transform({inner()}, lambda x: {inner()})",
        lambda: f"[{inner()} for x in {inner()} if {inner()}]",
        lambda: f"({_select(random, depth - 1)})",
        lambda: f"exists ({_select(random, depth - 1)})",
        lambda: f"({inner()})[{inner()}:{inner()}]",
        lambda: f"columns({inner()})",
        lambda: f"{{'k': {inner()}}}",
        lambda: f"{random.choice(LITERALS)}",
    ]
    return random.choice(makers)()
