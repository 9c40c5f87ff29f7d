"""Rows of a rule's statement, made into samples: the column `value` is compared, every other one is a label."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from plugwarden_collector.decide.labels import LABELS
from plugwarden_collector.errors import WatchError
from plugwarden_collector.figures import number
from plugwarden_collector.rules.alert_rule import AlertRule

from .sample import Sample

__all__ = ["MAX_ROWS", "TIME", "VALUE", "column_fault", "labels_in", "number_in", "samples_of"]

MAX_ROWS = 100
"""Rows of a rule: a person who is told of more than a hundred things is told of none."""
MAX_LABEL = 200
"""Characters of a label; names of plugins have no more."""
VALUE = "value"
"""The column that is compared."""
TIME = "time"
"""The column of a forecast that says when the value was so."""
ABOUT = ("plugin", "version", "operation", "instance", "tenant")
"""Labels of ours that a row may give."""
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
"""Source: Prometheus, "Metric names and labels"."""
_TAKEN = (set(LABELS) - set(ABOUT)) | {"owner"}


def column_fault(columns: Sequence[str], *, timed: bool = False) -> str | None:
    """What is wrong with the names of the columns that a statement gives; `timed`: one of them must be the time."""
    if VALUE not in columns:
        return f"gives no column {VALUE}; name the number that is compared: … as {VALUE}"
    if timed and TIME not in columns:
        return f"gives no column {TIME}; name the time that each value is of: … as {TIME}"
    for name in columns:
        if columns.count(name) > 1:
            return f"gives the column {name} twice; name each of them otherwise"
        if name != VALUE and not _LABEL.fullmatch(name):
            return f"gives a column {name!r:.80}, which is no name of a label; write {name!r:.80} as a name of letters, digits and _"
        if name in _TAKEN:
            return f"gives a column {name}, a label that has a meaning of its own; name it otherwise"
    return None


def samples_of(rule: AlertRule, rows: Sequence[Mapping[str, Any]]) -> list[Sample]:
    """Return a sample for each row. Raises `WatchError` where they are too many, two have the same labels, or a value is no number."""
    if len(rows) > MAX_ROWS:
        raise WatchError(f"gives more than {MAX_ROWS} rows; group them, or leave out those that are well")
    found: dict[str, Sample] = {}
    for row in rows:
        labels = labels_in(row)
        sample = _sample(rule, labels, row[VALUE])
        if sample.key in found:
            about = ", ".join(f"{name}={value}" for name, value in labels.items()) or "without labels"
            raise WatchError(f"gives two rows {about[:200]}; add a column that tells them apart, or group by these")
        found[sample.key] = sample
    return list(found.values())


def labels_in(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of a row: every column but the value and a time, by which nothing is known again."""
    return {
        name: str(value)[:MAX_LABEL]
        for name, value in row.items()
        if name not in (VALUE, TIME) and value not in (None, "")
    }


def number_in(value: object) -> float | None:
    """Return the number that a value is; None where there is none. Raises `WatchError` for what is no number."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise WatchError(f"gives {str(value)!r:.80} as {VALUE}, which is no number")
    return None if math.isnan(value) else float(value)


def _sample(rule: AlertRule, labels: Mapping[str, str], value: object) -> Sample:
    amount = number_in(value)
    if amount is None:
        return Sample(labels, None, None, "it has no value")
    met = rule.limit.met(amount)
    over = not met if rule.recover is None else rule.recover.met(amount)
    wanted = rule.limit if met or rule.recover is None else f"{rule.limit}; it is over when {rule.recover}"
    finite = math.isfinite(amount)  # what is divided by zero is not; JSON has no number for it
    figure = number(amount) if finite else str(amount)
    said = f"{figure} is {rule.limit}" if met else f"{figure} is not {wanted}"
    return Sample(labels, met, over, said, {"value": amount if finite else str(amount), "limit": str(rule.limit)})
