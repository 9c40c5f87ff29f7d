"""Words of our SQL that stand for rules of the contract: `contract.failed(outcome)` is written out when a statement is read.

So SQL and Python have one place for what a failure is and where histograms end, the schema knows nothing of it, and DuckDB sees
the plain condition, which it can push into its scans.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from plugwarden.contract import MAX_NAME, OVERFLOW, ErrorSource, Outcome
from plugwarden.contract.histogram import MAX_INDEX, MIN_INDEX, PER_OCTAVE, SCALE
from plugwarden.contract.names import ODD_SIGNS_RE2

__all__ = ["written_out"]


def _list(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


_FAILED = f"{{0}} in ({_list(item for item in Outcome if item.failed)})"
_RULES = {
    "ended": f"{{0}} in ({_list(item for item in Outcome if item.ended)})",
    "failed": _FAILED,
    "at_fault": f"{_FAILED} and {{1}} = '{ErrorSource.PLUGIN}'",
    "refused": f"{{0}} = '{Outcome.REJECTED}'",
    "ran": f"{{0}} <> '{Outcome.REJECTED}'",
}
"""Conditions on the columns that stand in parentheses: outcome, and for `at_fault` also error source."""
_VALUES = {
    "scale": f"{SCALE}",
    "per_octave": f"{PER_OCTAVE}.0",
    "least_index": f"{MIN_INDEX}",
    "most_index": f"{MAX_INDEX}",
    "places": f"{MAX_INDEX - MIN_INDEX + 1}",
    "max_name": f"{MAX_NAME}",
    "overflow": f"'{OVERFLOW}'",
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
