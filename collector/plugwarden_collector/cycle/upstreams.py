"""What the upstreams explain on which a page fires: what fails in no more calls than saw them fail, but for what objectives allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from plugwarden_collector.decide.alert import AlertRecord
from plugwarden_collector.decide.standing import Incident
from plugwarden_collector.decide.upstream import UPSTREAM, firing_upstreams, is_unnamed
from plugwarden_collector.judge.burn import burn_rate, burns
from plugwarden_collector.judge.causes.error_kinds import ErrorKind, leading_kind
from plugwarden_collector.judge.sli import NO_CALLS, Windows, indicator_of, summed
from plugwarden_collector.judge.upstreams import UpstreamCounts, by_plugin, by_upstream
from plugwarden_collector.rules.objective import Objective
from plugwarden_collector.rules.tiers import PAGE
from plugwarden_collector.rules.upstream import Upstream

from .tick import Tick

__all__ = ["Explaining"]


class Explaining:
    """The upstreams on which a page fires, as of one tick. How their calls went is asked once, and only where it matters."""

    def __init__(self, tick: Tick) -> None:
        self._tick = tick
        known = {rule.name: rule.upstream for rule in tick.rules.alerts if rule.upstream is not None}
        self._firing: list[tuple[AlertRecord, Upstream]] = [
            (record, known[record.name]) for record in firing_upstreams(tick.standing) if record.name in known
        ]
        self._sizes = sorted({size for objective in tick.rules.isolating for size in objective.windows})
        self._asked: dict[int | None, Mapping[str, list[UpstreamCounts]]] = {}

    def page(self, record: AlertRecord) -> str | None:
        """Return the page on an upstream that explains a page on failures: the plugin fails by errors that point outward, and in no more
        calls than it saw the upstream fail in, over every window that burns. What it fails in besides, nobody else would tell."""
        told = next((item for item in self._tick.rules.isolating if item.name == record.slo), None)
        if not self._firing or told is None or record.severity != PAGE or indicator_of(told).waits_explain:
            return None  # what makes a plugin slow is found with what came before it (`cycle.causes`)
        errors, long = record.detail.get("errors"), record.detail.get("long")
        if not errors or not long or leading_kind(errors) is not ErrorKind.OUTWARD:
            return None
        windows = self._tick.seen.windows.get(record.slo, {}).get((record.plugin, record.version or ""), {})
        burning = {burn.tier.long_seconds for burn in burns(told, windows, PAGE) if burn.met}
        return next(
            (
                upstream.alert.fingerprint
                for upstream, rule in self._firing
                if all(
                    self._explains(upstream, rule, told, record.plugin, size) for size in burning or {long["seconds"]}
                )
            ),
            None,
        )

    def incident(self, incident: Incident) -> str | None:
        """Return the page on an upstream that explains a shared cause without a name: of each of its plugins all that it failed in
        since the cause began, as far as the windows of the objectives reach."""
        if not self._firing or not is_unnamed(incident):
            return None
        age = (self._tick.at - incident.started_at).total_seconds()
        slow = incident.cause.startswith("slow ")
        told = [item for item in self._tick.rules.isolating if indicator_of(item).waits_explain is slow]
        return next(
            (
                upstream.alert.fingerprint
                for upstream, rule in self._firing
                if all(self._explains_since(upstream, rule, told, plugin, age) for plugin in incident.plugins)
            ),
            None,
        )

    def _explains_since(
        self, upstream: AlertRecord, rule: Upstream, told: list[Objective], plugin: str, age: float
    ) -> bool:
        mine = [objective for objective in told if any(self._windows(objective, plugin))]
        spans = [next((size for size in objective.windows if size >= age), objective.windows[-1]) for objective in mine]
        return bool(mine) and all(
            self._explains(upstream, rule, objective, plugin, size) for objective, size in zip(mine, spans, strict=True)
        )

    def _explains(self, upstream: AlertRecord, rule: Upstream, told: Objective, plugin: str, size: float) -> bool:
        """Whether a plugin failed, or was slow, within a window in no more calls than it saw an upstream fail, or be slow, in, over all of
        its versions and measured as its objective does. What it is allowed to fail in is nothing that anybody would be told of."""
        good = indicator_of(told).good
        mine = summed(windows.get(size, NO_CALLS) for windows in self._windows(told, plugin))
        parts = by_upstream(rule, self._counts(told).get(upstream.more[UPSTREAM], ())).get(upstream.more[UPSTREAM], [])
        seen = by_plugin(parts, size).get(plugin, NO_CALLS)
        bad, rest = seen.total - good(seen), mine.total - good(mine)
        return bad > 0 and burn_rate(max(0, rest - bad), mine.total, told.target_ratio) <= 1.0

    def _windows(self, told: Objective, plugin: str) -> Iterator[Windows]:
        for (name, _), windows in self._tick.seen.windows.get(told.name, {}).items():
            if name == plugin:
                yield windows

    def _counts(self, told: Objective) -> Mapping[str, list[UpstreamCounts]]:
        fast = told.threshold_index
        if fast not in self._asked:
            found: dict[str, list[UpstreamCounts]] = {}
            for item in self._tick.evidence.upstreams(self._sizes, fast, self._tick.at):
                found.setdefault(item.upstream, []).append(item)
            self._asked[fast] = found
        return self._asked[fast]
