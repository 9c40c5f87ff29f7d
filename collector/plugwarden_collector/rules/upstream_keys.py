"""The keys of an `[[upstream]]` table: an objective of what plugins call, and its alerts, or what is wrong with each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .alert_rule import AlertKind, AlertRule, NoData, Severity
from .pattern import EVERY
from .slice_keys import SLICE_KEYS
from .slo_keys import SLO_KEYS, objective_in, patterns_in
from .table import unknown_keys
from .tiers import BurnWindows
from .upstream import Upstream

__all__ = ["MAX_UPSTREAMS", "alerts_of", "upstream_in"]

MAX_UPSTREAMS = 100
"""Tables of a file: each is looked at four times a minute by the thread that looks at alerts."""
EVERY_SECONDS = 15.0
"""Seconds from one look to the next: sidecars send every five, and the shortest window of a page at 30 days is five minutes."""
ADVICE = "Ask who answers for it. Its plugins are well: isolating them does not help."
_OWN = frozenset({"upstreams", "services"})
_OF_SLO = SLO_KEYS - SLICE_KEYS - {"plugins", "versions", "operations"}
SPENT_EVERY_SECONDS = 300.0
"""Seconds from one look at a whole budget to the next: it reads the calls of the period, and a budget of weeks is not spent in minutes."""
_BURN = {Severity.PAGE: "upstream budget burn", Severity.TICKET: "upstream slow burn"}
"""Severity -> end of the name of its alert; before it stands the objective's name."""
_SPENT = "upstream budget exhausted"


def upstream_in(
    table: Mapping[str, Any], place: str, problems: list[str], known: Mapping[str, BurnWindows]
) -> Upstream | None:
    """Return the objective of a table; `known` are the tables of windows that it may name."""
    before = len(problems)
    unknown_keys(table, _OF_SLO | _OWN, place, problems)
    if "upstreams" not in table:
        problems.append(
            f'{place}.upstreams: is missing; write the names that plugins give what they call, such as "payments-*"'
        )
    patterns = {key: patterns_in(table, key, EVERY, place, problems) for key in sorted(_OWN)}
    rest = {key: value for key, value in table.items() if key in _OF_SLO}
    objective = objective_in(rest, place, problems, known)
    if objective is not None and objective.saturation is not None:
        problems.append(
            f"{place}.sli: nobody tells its callers what an upstream can take; write availability or latency"
        )
    if objective is None or len(problems) > before:
        return None
    return Upstream(objective, **patterns)


def alerts_of(rule: Upstream, place: str) -> list[AlertRule]:
    """Return the alerts of an objective: a page on burn rates that are high, a ticket on the others, and a ticket on a budget that is
    spent. What nobody calls any more is not well for that: it stays as it is, for a day."""
    item = rule.objective
    return [
        AlertRule(
            f"{item.name} {name}",
            AlertKind.UPSTREAM,
            severity,
            SPENT_EVERY_SECONDS if spent else EVERY_SECONDS,
            item.for_seconds,
            item.keep_firing_seconds,
            no_data=NoData.KEEP,
            upstream=rule,
            spent=spent,
            place=place,
            display_name=f"{item.display_name or item.name} {name}",
            description=f"{item.description} {ADVICE}".strip(),
            owner=item.owner,
            runbook=item.runbook,
            labels=item.labels,
        )
        for severity, name, spent in (
            *((severity, name, False) for severity, name in _BURN.items()),
            (Severity.TICKET, _SPENT, True),
        )
    ]
