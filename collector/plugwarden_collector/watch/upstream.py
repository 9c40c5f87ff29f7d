"""Upstreams whose calls spend an error budget too fast, or have spent it: a sample for each, by the machine of all objectives."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from plugwarden_collector.cycle.alerts import reading_of
from plugwarden_collector.cycle.budgets import of_period
from plugwarden_collector.decide.upstream import UPSTREAM
from plugwarden_collector.durations import duration
from plugwarden_collector.figures import counted, percent
from plugwarden_collector.judge.budget_state import spent
from plugwarden_collector.judge.burn import Burn, budget, burns
from plugwarden_collector.judge.sli import NO_CALLS, Windows, indicator_of
from plugwarden_collector.judge.upstreams import UpstreamCounts, by_plugin, by_upstream, period_seconds, together
from plugwarden_collector.rules.alert_rule import AlertRule
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.upstream import Upstream
from plugwarden_collector.wording import one_line

from .alarms import MAX_KEPT
from .sample import Sample, key_of
from .statement import MAX_LABEL, MAX_ROWS

__all__ = ["burning", "sizes_of"]

NAMED = 5
"""Plugins, or upstreams, that a sentence names."""


def sizes_of(rule: AlertRule, at: datetime) -> tuple[float, ...]:
    """Return the windows that a look at a rule needs, in seconds. Raises `ValueError` for a rule of another kind."""
    objective = _upstream(rule).objective
    if rule.spent:
        return _longest(objective), period_seconds(_upstream(rule), at)
    return objective.sizes_of(rule.severity.value)


def burning(
    rule: AlertRule, counts: Iterable[UpstreamCounts], kept: Collection[str] = (), *, at: datetime
) -> list[Sample]:
    """Return a sample for every upstream that failed often enough to be spoken of, and for what is `kept` of the looks before, by key, as
    far as it is called. Where more of the others are trouble than there is room for they are one sample.

    Raises `ValueError` for a rule of another kind.
    """
    look = _spent if rule.spent else _burns
    found = {}
    for name, parts in by_upstream(_upstream(rule), counts).items():
        labels = {UPSTREAM: name[:MAX_LABEL]}
        known = key_of(labels) in kept
        if (sample := look(rule, labels, parts, at, known=known)) is not None and (known or sample.met):
            found[sample.key] = sample
    fresh = [sample for key, sample in found.items() if key not in kept]
    if len(fresh) <= min(MAX_ROWS, MAX_KEPT - len(kept) - 1):
        over = [Sample({}, False, True, "few enough fail to be told one by one")] if key_of({}) in kept else []
        return [*found.values(), *over]
    fresh.sort(key=lambda sample: -sample.detail["bad"])
    said = f"{len(fresh)} upstreams fail, {', '.join(sample.labels[UPSTREAM] for sample in fresh[:NAMED])} and others"
    held = [sample for key, sample in found.items() if key in kept]
    return [*held, Sample({}, True, False, said, {"value": len(fresh), "limit": MAX_ROWS})]


def _upstream(rule: AlertRule) -> Upstream:
    if rule.upstream is None:
        raise ValueError(f"{rule.name} is about no upstream")
    return rule.upstream


def _longest(objective: Objective) -> float:
    return max(tier.long_seconds for tier in objective.tiers)


def _burns(
    rule: AlertRule, labels: dict[str, str], parts: Sequence[UpstreamCounts], at: datetime, *, known: bool
) -> Sample | None:
    """Return what its burn rates say; None where too little failed to speak of, and where nobody calls it any more."""
    objective = _upstream(rule).objective
    tiers = burns(objective, together(parts, sizes_of(rule, at)), rule.severity.value)
    if max(burn.long.bad for burn in tiers) < objective.min_failures and not known:
        return None
    if not any(burn.short.total for burn in tiers):
        return None
    reading, worst = reading_of(tiers), max(tiers, key=lambda burn: (burn.met, burn.long_rate / burn.tier.factor))
    said = f"{_share(objective, worst.long.bad, worst.long.total, duration(worst.tier.long_seconds))}, "
    seen, plugins = _seen(objective, parts, worst.tier.long_seconds)
    detail = {
        "objective": objective.name, "bad": worst.long.bad, **_of(worst), "plugins": plugins,
    }  # fmt: skip
    over = None if reading.burning is None else not reading.burning
    return Sample(labels, reading.burning, over, said + seen, detail)


def _spent(
    rule: AlertRule, labels: dict[str, str], parts: Sequence[UpstreamCounts], at: datetime, *, known: bool
) -> Sample | None:
    """Return whether its budget is spent; None where nobody calls it any more, and where all calls are so young that burn rates tell."""
    objective = _upstream(rule).objective
    longest, period = sizes_of(rule, at)
    windows: Windows = together(parts, (longest, period))
    left = budget(objective, windows.get(period, NO_CALLS))
    young = left.total <= windows.get(longest, NO_CALLS).total
    if left.remaining_ratio is None or (young and not known):
        return None
    said = f"it has spent its error budget: {_share(objective, left.bad, left.total, of_period(objective))}, "
    seen, plugins = _seen(objective, parts, period)
    detail = {
        "objective": objective.name, "total": left.total, "bad": left.bad, "allowed": left.allowed,
        "remaining_ratio": left.remaining_ratio, "plugins": plugins,
    }  # fmt: skip
    met = spent(objective, left)
    return Sample(labels, met, None if met is None else not met, said + seen, detail)


def _share(objective: Objective, bad: int, total: int, within: str) -> str:
    share = percent(bad / total if total else 0.0)
    return (
        f"{bad} of {total} {indicator_of(objective).why()} ({share}) within {within}, against an objective of "
        f"{percent(objective.target_ratio)}"
    )


def _seen(
    objective: Objective, parts: Sequence[UpstreamCounts], seconds: float
) -> tuple[str, dict[str, dict[str, int]]]:
    """Return who saw it fail within so many seconds, as the end of a sentence and with calls."""
    good = indicator_of(objective).good
    plugins = {
        plugin: {"calls": part.total, "bad": part.total - good(part)}
        for plugin, part in sorted(by_plugin(parts, seconds).items())
        if part.total > good(part)
    }
    names = sorted(plugins, key=lambda name: (-plugins[name]["bad"], name))
    first = one_line(", ".join(names[:NAMED]), 300) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    return f"as {counted(len(names), 'plugin')} saw it: {first}", plugins


def _of(burn: Burn) -> dict[str, object]:
    return {
        "long": {"seconds": burn.tier.long_seconds, "total": burn.long.total, "bad": burn.long.bad},
        "short": {"seconds": burn.tier.short_seconds, "total": burn.short.total, "bad": burn.short.bad},
        "long_burn_rate": burn.long_rate,
        "short_burn_rate": burn.short_rate,
        "factor": burn.tier.factor,
    }
