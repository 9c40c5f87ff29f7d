"""Units of time as senders write them: UCUM's codes, and the words that libraries have for them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

__all__ = ["CODES", "seconds_per"]

CODES: Mapping[str, float] = {
    "": 1.0,  # a sender that says none means the contract's
    "s": 1.0, "ds": 1e-1, "cs": 1e-2, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9, "ps": 1e-12,
    "min": 60.0, "h": 3600.0, "d": 86400.0, "wk": 604800.0,
}  # fmt: skip
"""UCUM code (case counts: `S` is siemens) -> seconds. There are two signs for micro that look the same."""
_WORDS: Mapping[str, float] = {
    "second": 1.0, "sec": 1.0, "millisecond": 1e-3, "milli": 1e-3, "msec": 1e-3, "microsecond": 1e-6, "micro": 1e-6,
    "usec": 1e-6, "nanosecond": 1e-9, "nano": 1e-9, "nsec": 1e-9, "minute": 60.0, "hour": 3600.0, "hr": 3600.0, "day": 86400.0,
}  # fmt: skip
"""Word in the singular and in small letters -> seconds. Micrometer, Dropwizard and Prometheus clients send such."""


@lru_cache(maxsize=256)
def seconds_per(unit: str) -> float | None:
    """How many seconds one of a unit is; None of what measures no time, such as `By`, `1` or `{call}`.

    An annotation after the code (`ms{latency}`) says what is measured and is left out, as UCUM has it.
    """
    code = unit.partition("{")[0] if unit.endswith("}") else unit
    if unit and not code:
        return None
    found = CODES.get(code)
    if found is not None:
        return found
    word = code.lower()
    return _WORDS.get(word, _WORDS.get(word.removesuffix("s")))
