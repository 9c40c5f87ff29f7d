"""Upstreams whose calls spend an error budget too fast: a sample for each, by the machine of all burn rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from plugwarden_collector.cycle.alerts import reading_of
from plugwarden_collector.decide.upstream import UPSTREAM
from plugwarden_collector.durations import duration
from plugwarden_collector.figures import counted, percent
from plugwarden_collector.judge.burn import Burn, burns
from plugwarden_collector.judge.sli import indicator_of
from plugwarden_collector.judge.upstreams import UpstreamCounts, by_plugin, by_upstream, together
from plugwarden_collector.rules.alert_rule import AlertRule
from plugwarden_collector.rules.upstream import Upstream
from plugwarden_collector.wording import one_line

from .sample import Sample
from .statement import MAX_LABEL, MAX_ROWS

__all__ = ["burning"]

NAMED = 5
"""Plugins that a sentence names."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """One upstream with failures enough to speak of."""

    name: str
    counts: Sequence[UpstreamCounts]
    tiers: tuple[Burn, ...]

    @property
    def worst(self) -> Burn:
        return max(self.tiers, key=lambda burn: (burn.met, burn.long_rate / burn.tier.factor))


def burning(rule: AlertRule, counts: Iterable[UpstreamCounts]) -> list[Sample]:
    """Return a sample for every upstream that failed often enough to be spoken of. Where more than `MAX_ROWS` burn they are one sample, and
    the rest is not told. Raises `ValueError` for a rule of another kind."""
    if rule.upstream is None:
        raise ValueError(f"{rule.name} is about no upstream")
    objective = rule.upstream.objective
    sizes = objective.sizes_of(rule.severity.value)
    seen = [
        _Seen(name, parts, burns(objective, together(parts, sizes), rule.severity.value))
        for name, parts in by_upstream(rule.upstream, counts).items()
    ]
    told = [item for item in seen if max(burn.long.bad for burn in item.tiers) >= objective.min_failures]
    found = [_sample(rule.upstream, item) for item in told]
    many = [sample for sample in found if sample.met]
    if len(many) <= MAX_ROWS:
        return found
    said = f"{len(many)} upstreams fail, {', '.join(sample.labels[UPSTREAM] for sample in many[:NAMED])} and others"
    held = [Sample(sample.labels, None, None, said) for sample in many]
    return [*held, Sample({}, True, False, said, {"value": len(many), "limit": MAX_ROWS})]


def _sample(rule: Upstream, item: _Seen) -> Sample:
    reading, worst = reading_of(item.tiers), item.worst
    parts = by_plugin(item.counts, worst.tier.long_seconds)
    good = indicator_of(rule.objective).good
    plugins = {
        plugin: {"calls": part.total, "bad": part.total - good(part)}
        for plugin, part in sorted(parts.items())
        if part.total > good(part)
    }
    names = sorted(plugins, key=lambda name: (-plugins[name]["bad"], name))
    first = one_line(", ".join(names[:NAMED]), 300) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    said = (
        f"{worst.long.bad} of {worst.long.total} {indicator_of(rule.objective).why()} "
        f"({percent(worst.long.bad / worst.long.total)}) within {duration(worst.tier.long_seconds)}, against an objective of "
        f"{percent(rule.objective.target_ratio)}, as {counted(len(names), 'plugin')} saw it: {first}"
    )
    detail = {
        "objective": rule.name,
        "long": {"seconds": worst.tier.long_seconds, "total": worst.long.total, "bad": worst.long.bad},
        "short": {"seconds": worst.tier.short_seconds, "total": worst.short.total, "bad": worst.short.bad},
        "long_burn_rate": worst.long_rate,
        "short_burn_rate": worst.short_rate,
        "factor": worst.tier.factor,
        "plugins": plugins,
    }
    over = None if reading.burning is None else not reading.burning
    return Sample({UPSTREAM: item.name[:MAX_LABEL]}, reading.burning, over, said, detail)
