"""What one tick is handed of the store: the one place that knows its form."""

from __future__ import annotations

from plugwarden_collector.cycle import Observation
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.objective import Sli

from .store import BUDGETS_EVERY_SECONDS, RUNNING_SECONDS, Store

__all__ = ["observation"]


def observation(store: Store, rules: Rules, now: float) -> Observation:
    """Return what the store counted until now, as a tick reads it."""
    sizes = sorted({size for item in rules.objectives for size in item.windows})
    counted = store.windows(sizes, now)
    windows = {
        item.name: {key: found for key, found in counted.items() if item.covers(key[0])} for item in rules.objectives
    }
    periods = None
    if now - store.budgets_at >= BUDGETS_EVERY_SECONDS:
        store.budgets_at = now
        periods = {
            item.name: {
                key: left for key, left in store.counted(item.period_seconds, now).items() if item.covers(key[0])
            }
            for item in rules.objectives
        }
    thresholds = len({item.threshold_index for item in rules.objectives if item.sli is Sli.LATENCY})
    store.thresholds = thresholds
    store.slow = {item.name for item in rules.objectives if item.sli is Sli.LATENCY}
    usual = dict(store.past(thresholds))
    for (plugin, _, operation), past in list(usual.items()):
        usual.setdefault((plugin, "", operation), past)  # what is usual whatever the version (`control.observe`)
    return Observation(
        store.at(now),
        windows,
        periods,
        store.running(now),
        dict(store.versions),
        {key: store.at(at) for key, at in store.called.items() if now - at < RUNNING_SECONDS},
        store.arrivals(thresholds),
        usual,
    )
