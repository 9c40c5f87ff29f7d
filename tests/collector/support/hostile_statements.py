"""Statements that want more memory or time than anybody may have, by what they do. Each must end within its limits."""

# ruff: noqa: E501 - a statement is easier to read on one line

from __future__ import annotations

__all__ = ["HOSTILE"]


def _nested(expression: str, times: int, start: str) -> str:
    """`select {expression} as x from (…)`, so many times around `select {start} as x`; the optimiser cannot unfold it."""
    text = f"select {start} as x, random() as r"
    for _ in range(times):
        text = f"select {expression} as x, random() as r from ({text})"
    return f"select length(x::varchar) from ({text})"


def _tower(times: int) -> str:
    """A union of two unions of two unions …, from few characters."""
    text = "with t0 as (select range from range(1000))"
    for step in range(1, times):
        text += f", t{step} as (from t{step - 1} union all from t{step - 1})"
    return text + f" select count(*) from t{times - 1}"


LONG = "select string_agg(range::varchar, '') as x from range(200000)"

HOSTILE = {
    # text that grows
    "doubling by ||": _nested("x || x", 60, "'abcdefgh'"),
    "doubling by concat": _nested("concat(x, x)", 60, "'abcdefgh'"),
    "doubling by turns": _nested("x || reverse(x)", 60, "'abcdefgh'"),
    "doubling in a recursion": "with recursive t as (select 'a' as x union all select x || x from t) select max(length(x)) from t",
    "repeat": "select length(repeat('a', 3000000000))",
    "repeat of a repeat": "select length(repeat(repeat(repeat('a', 1000), 1000), 1000)) from range(100)",
    "repeat by a column": "select max(length(repeat('ab', n))) from (select 1500000000 + range as n from range(10))",
    "lpad": "select length(lpad('a', 2000000000, 'b'))",
    "rpad by a column": "select max(length(rpad('a', n::integer, 'b'))) from (select 1000000000 + range as n from range(10))",
    "format with a width": "select length(format('{:2000000000}', 1))",
    "format with a width from an argument": "select length(format('{:{}}', 1, 2000000000))",
    "printf with a width": "select length(printf('%2000000000d', 1))",
    "replace": "select length(replace(x, '1', x)) from (" + LONG + ")",
    "regexp_replace": "select length(regexp_replace(x, '.', repeat('b', 10000), 'g')) from (" + LONG + ")",
    "hex of hex": _nested("hex(x)", 40, "'abcdefgh'"),
    "url_encode": _nested("url_encode(x)", 40, "'%%%%'"),
    "quotes of quotes": _nested("to_json(x)::varchar", 40, "'\"\"\"'"),
    "bitstring": "select length(bitstring('1', 2000000000)::varchar)",
    "string_agg": "select length(string_agg('abcdefgh' || range)) from range(10000000000)",
    "string_agg over a window": "select max(length(x)) from (select string_agg(range::varchar, ',') over (order by range) as x from range(1000000))",
    "array_to_string": "select length(array_to_string(list(range), repeat(',', 1000))) from range(10000000)",
    "translate through a list": "select length(list_aggregate(list_transform(range(5000000), lambda i: repeat('x', 500)), 'string_agg', ''))",
    # lists, maps and structs that grow
    "list of everything": "select len(list(range)) from range(10000000000)",
    "range as a list": "select len(range(3000000000))",
    "list_resize": "select len(list_resize([1], 3000000000, 1))",
    "list doubling": _nested("list_concat(x, x)", 60, "[1, 2, 3, 4]"),
    "a loop in a loop": "select len(list_transform(range(100000), lambda i: list_transform(range(100000), lambda j: i * j)))",
    "a loop that grows": "select length(list_reduce(range(100)::varchar[], lambda a, b: a || a || b))",
    "list_zip": "select len(flatten(list_transform(range(20000), lambda i: list_zip(range(20000), range(20000)))))",
    "list_distinct": "select len(list_distinct(list_transform(range(200000000), lambda i: i % 10)))",
    "a histogram of everything": "select cardinality(histogram(range)) from range(10000000000)",
    "a map of everything": "select cardinality(map_from_entries(list((range, range::varchar)))) from range(1000000000)",
    "structs in structs": _nested("{'a': x, 'b': x}", 40, "1"),
    "quantiles of everything": "select quantile_cont(range, list_transform(range(1, 100), lambda i: i / 100)) from range(10000000000)",
    "unnest of unnest": "select count(*) from (select unnest(range(1000000)) as a), (select unnest(range(1000000)) as b) where a * b % 7 = 3",
    "list_cross": "select sum(len(list_concat(a.l, b.l))) from (select range(10000) as l from range(10000)) a, (select range(10000) as l from range(10000)) b",
    "combinations as lists": "select count(*) from (select [a.range, b.range, c.range] as l from range(100000) a, range(100000) b, range(100000) c) where l[1] = l[3]",
    # time
    "a cross join": "select count(*) from range(1000000000) a, range(1000000000) b where a.range % 7 = b.range % 5",
    "a recursion without an end": "with recursive t as (select 1::hugeint as a union all select a + 1 from t) select max(a) from t",
    "a recursion that branches": "with recursive t as (select 1::bigint as a union all select a * 2 + i.range from t, range(2) i) select count(*) from t",
    "a distinct recursion": "with recursive t as (select 1 as a union select (a * 7 + i.range) % 100000007 from t, range(3) i) select count(*) from t",
    "levenshtein": "select levenshtein(x, reverse(x)) from (" + LONG + ")",
    "damerau_levenshtein": "select damerau_levenshtein(x, reverse(x)) from (" + LONG + ")",
    "jaro of long texts": "select jaro_winkler_similarity(x, reverse(x)) from (" + LONG + ")",
    "list_contains in a loop": "select len(list_filter(range(1000000), lambda i: list_contains(range(1000000), -i)))",
    "list_intersect": "select len(list_intersect(range(3000000), range(1000000, 4000000)))",
    "list_has_any": "select list_has_any(range(100000000), range(100000000, 200000000))",
    "a pattern with many gaps": "select count(*) from (" + LONG + ") where x like '%0%1%2%3%4%5%6%7%8%9%0%1%2%3%4%5%6%7%8%9%z' and length(x) > 0",
    "patterns in lists": "select sum(len(regexp_extract_all(x, '(\\d+?)+'))) from (" + LONG + "), range(1000)",
    "a pattern of patterns": "select regexp_matches(x, '((a{1,30}){1,30})z') from (" + LONG + ")",
    "similar to": "select x similar to '(((\\d|\\d\\d)*)*)*z' from (" + LONG + ")",
    "a frame over everything": "select sum(m) from (select median(range) over (order by range rows between 500000 preceding and 500000 following) as m from range(3000000))",
    "mode over frames": "select max(m) from (select mode(range % 1000) over (order by range rows between unbounded preceding and current row) as m from range(10000000))",
    "many windows": "select " + ", ".join(f"sum(range) over (order by hash(range, {i})) as c{i}" for i in range(30)) + " from range(2000000) order by all limit 1",
    "factorials": "select max(factorial((range % 33)::integer) % 7) from range(100000000000)",
    "hashes": "select max(sha256(range::varchar)) from range(100000000000)",
    "json in json": "select json_structure(x) from (select '[' || string_agg('{\"a' || range || '\":[1,{\"b\":2}]}', ',') || ']' as x from range(2000000))",
    "json_merge_patch": "select length(json_merge_patch(j, j)) from (select '{' || string_agg('\"k' || range || '\":' || range, ',') || '}' as j from range(300000))",
    "json without an end": _nested("json_object('a', x, 'b', x)::varchar", 40, "'x'"),
    # planning
    "a tower of unions": _tower(26),
    "grouping sets": "select count(*) from (select 1 from (select range as a from range(1000)) group by cube(" + ", ".join(f"a + {i}" for i in range(16)) + "))",
    "many relations": "select count(*) from " + ", ".join(f"range(100) r{i}" for i in range(38)),
    "deep parentheses": "select " + "(" * 5000 + "1" + ")" * 5000,
    "deep negation": "select " + "- " * 20000 + "1",
    "deep not": "select " + "not " * 20000 + "true",
    "deep subqueries": "select * from " + "(select * from " * 900 + "range(3)" + ")" * 900,
    "a deep sum": "select " + " + ".join("1" for _ in range(15000)),
    "a deep list": "select " + "[" * 3000 + "1" + "]" * 3000,
    "a deep type": "select null::" + "struct(a " * 3000 + "integer" + ")" * 3000,
    "a wide in": "select count(*) from range(1000000) where range in (" + ", ".join(str(i * i) for i in range(9000)) + ") or random() > 2",
    "many columns": "select " + ", ".join(f"range + {i}" for i in range(5000)) + " from range(1000000)",
    "one column many times": "select " + ", ".join("x" for _ in range(9000)) + " from (" + LONG + ")",
    "stars of stars": "select *, *, *, *, *, *, *, * from (select *, *, *, * from (select *, *, *, * from (select *, *, *, *, * from spans)))",
    "a sort of everything": "select x from (select md5(range::varchar) || md5(range::varchar) as x from range(1000000000)) order by x desc limit 1 offset 500000000",
    "distinct texts": "select count(distinct md5(range::varchar) || range) from range(10000000000)",
    "an answer of long lists": "select list(true) from range(2000000000)",
    "an answer of long texts": "select repeat('x', 100000000) from range(1000)",
}  # fmt: skip

ENDLESS = "select count(*) from range(1000000000) a, range(1000000000) b where a.range % 7 = b.range % 5"
