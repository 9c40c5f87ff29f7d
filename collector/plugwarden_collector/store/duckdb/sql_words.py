"""Words of our SQL that stand for rules of the contract: `contract.failed(outcome)` is written out when a statement is read.

So SQL and Python have one place for what a failure is and where histograms end, the schema knows nothing of it, and DuckDB sees
the plain condition, which it can push into its scans.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from plugwarden.contract import MAX_NAME, OVERFLOW, ErrorSource, Outcome, RejectionReason
from plugwarden.contract.histogram import MAX_INDEX, MIN_INDEX, PER_OCTAVE, SCALE
from plugwarden.contract.names import ODD_SIGNS_RE2

from plugwarden_collector.rules.slices import MILLION

__all__ = ["written_out"]


def _list(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


_FAILED = f"{{0}} in ({_list(item for item in Outcome if item.failed)})"
_AT_FAULT = f"{_FAILED} and {{1}} = '{ErrorSource.PLUGIN}'"
_ENDED = f"{{0}} in ({_list(item for item in Outcome if item.ended)}) and {{1}} <> '{ErrorSource.CALLER}'"
_CUT_OFF = (
    f"{{0}} = '{Outcome.REJECTED}' and {{1}} = '{ErrorSource.PLUGIN}'"
    f" and {{2}} in ({_list(item for item in RejectionReason if item.tells_of_failures)})"
)
_RULES = {
    "ended": _ENDED,
    "failed": _FAILED,
    "at_fault": _AT_FAULT,
    "refused": f"{{0}} = '{Outcome.REJECTED}'",
    "cancelled": f"{{0}} = '{Outcome.CANCELLED}'",
    "ran": f"{{0}} <> '{Outcome.REJECTED}'",
    "cut_off": _CUT_OFF,
    "judged": f"({_ENDED}) or ({_CUT_OFF})",
    "bad": f"({_AT_FAULT}) or ({_CUT_OFF})",
    "bad_calls": (
        f"case when {_CUT_OFF} then calls when $fast::integer is null then if({_AT_FAULT}, calls, 0) "
        "else slow_calls(calls, bucket_index, bucket_count, $fast::integer) end"
    ),
    "bad_slice": f"({{0}}::hugeint - {{1}}::hugeint) * {MILLION} < {{0}}::hugeint * $good_millionths::bigint",
    "full": f"{{0}} * {MILLION} >= {{1}} * $threshold_millionths::bigint",
    "meant": f"{{0}} <> '{OVERFLOW}' and ($versions::varchar is null or regexp_full_match({{0}}, $versions::varchar, 's'))",
    "wanted": (
        f"$operations::varchar is null or ({{0}} <> '{OVERFLOW}' and regexp_full_match({{0}}, $operations::varchar, 's'))"
    ),
}
"""Conditions on the columns that stand in parentheses: outcome; for `at_fault` and `ended` (by itself, and by no mistake of its caller)
also error source; for `cut_off` (refused because the plugin fails), `judged` (what an objective is of) and `bad` (what counts against
an availability) also error type. `wanted` is about an operation and takes the parameter `operations`: a regular expression, or null for
all of them; `meant` is the same of a version, by the parameter `versions`. `bad_calls` is how many calls of a row are bad, by the parameter
`fast`; `bad_slice` is about the calls of a slice, all and bad ones; `full` is about what is used of a limit, and the limit, by the
parameter `threshold_millionths`."""
_VALUES = {
    "scale": f"{SCALE}",
    "per_octave": f"{PER_OCTAVE}.0",
    "least_index": f"{MIN_INDEX}",
    "most_index": f"{MAX_INDEX}",
    "places": f"{MAX_INDEX - MIN_INDEX + 1}",
    "max_name": f"{MAX_NAME}",
    "overflow": f"'{OVERFLOW}'",
    "reasons": _list(RejectionReason),
    "odd_signs": f"'{ODD_SIGNS_RE2}'",
}
_WORD = re.compile(r"\bcontract\.(\w+)(?:\((\w+(?:, \w+)*)\))?")


def written_out(sql: str) -> str:
    """Return a statement with its words of the contract written out. Raises `KeyError` for a word that there is not."""
    return _WORD.sub(_written, sql)


def _written(found: re.Match[str]) -> str:
    name, columns = found.groups()
    if columns is None:
        return _VALUES[name]
    return f"({_RULES[name].format(*columns.split(', '))})"
