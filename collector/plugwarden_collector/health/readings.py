"""Everything that one look at the collector says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["Readings"]


@dataclass(frozen=True, slots=True)
class Readings:
    """As of `at`; what is counted "within a minute" is counted since about a minute before."""

    at: datetime
    # -- who sends
    quiet_seconds: float | None = None
    """Since anything arrived; None when nothing ever did."""
    quiet_limit_seconds: float | None = None
    """How long that may be: 3 export intervals of whoever sent last; None while nobody's interval is known."""
    senders: int = 0
    """Known and not replaced."""
    silent: tuple[str, ...] = ()
    """Names of those that are stale."""
    event_age_seconds: Mapping[str, float] = field(default_factory=dict)
    """Signal -> age of the newest stored row, by the time it carries."""
    arrival_age_seconds: Mapping[str, float] = field(default_factory=dict)
    """Signal -> since rows of it last arrived."""
    # -- taking and storing
    items_per_second: Mapping[str, float] = field(default_factory=dict)
    """Signal -> spans, points or records, over a minute."""
    lag_p50_seconds: float | None = None
    lag_p99_seconds: float | None = None
    """From receipt to disk, over a minute."""
    stalled_seconds: float = 0.0
    """Something waits, and nothing was committed for so long."""
    commit_p50_seconds: float | None = None
    commit_p99_seconds: float | None = None
    busy: int = 0
    """Requests told to come back, within a minute."""
    failed: int = 0
    """Requests that could not be stored, within a minute."""
    queued_requests: int = 0
    queued_bytes: int = 0
    queue_bound_bytes: int = 0
    writer_alive: bool = True
    # -- judging
    tick_age_seconds: float = 0.0
    tick_seconds: float = 0.0
    tick_failures: int = 0
    """Within a minute."""
    alert_rules: Mapping[str, str] = field(default_factory=dict)
    """Name of an `[[alert]]` -> why it cannot be looked at."""
    uncounted_rows: int = 0
    """Raw rows that no rollup has counted yet."""
    rollup_lag_seconds: float = 0.0
    """How long the oldest of them has waited."""
    names: int = 0
    """Plugin versions of services that are told apart."""
    names_beyond: tuple[str, ...] = ()
    """Services that lately sent more than are told apart."""
    words: int = 0
    """Error types and downstreams of plugins that are told apart."""
    words_beyond: tuple[tuple[str, str, str], ...] = ()
    """Kind (`error_type` or `downstream`), plugin and service of which more came lately than are told apart."""
    calls_beyond_words: int = 0
    """Calls and waits ever counted under one word with others."""
    shared_starts: tuple[str, ...] = ()
    """Services of which several processes lately wrote one cumulative stream."""
    calls_beyond: int = 0
    """Calls ever counted under one name with others."""
    unannounced: tuple[str, ...] = ()
    """Quarantines in force that no sidecar can be told of."""
    untold_seconds: Mapping[str, float] = field(default_factory=dict)
    """Receiver -> for how long it has been owed something; 0 where it is owed nothing."""
    set_aside: tuple[str, ...] = ()
    """What could not be counted, an entry each: commit, whose rows, why. Newest first."""
    set_aside_rows: int = 0
    """Rows of these entries."""
    audit_breaks: tuple[str, ...] = ()
    """What a start found to be missing from the decision log, and nobody explained."""
    clock_step_seconds: float | None = None
    """How far the wall clock is ahead of the time that is kept, after a step; negative: behind. None: it is where it should be."""
    # -- the file
    file_bytes: int = 0
    used_bytes: int = 0
    """Bytes that rows take of the file and its log; what was let go does not count."""
    free_bytes: int = 0
    """Bytes of the file that new rows can take."""
    wal_bytes: int = 0
    max_bytes: int = 0
    """--max-size; 0: no limit."""
    growth_bytes_per_second: float | None = None
    """Growth of what is used, over ten minutes; None until there are five to tell from."""
    checkpoint_put_off_seconds: float = 0.0
    """Since a checkpoint was first put off; 0 when none is."""
    early: bool = False
    """Within ten minutes, raw rows had to go before their age for want of room."""
    refused_deletions: Mapping[str, float] = field(default_factory=dict)
    """View -> the share of its rows that is older than it is kept, and too much to go without a person."""
    disk_free_bytes: int | None = None
    disk_total_bytes: int | None = None

    @property
    def seconds_until_full(self) -> float | None:
        """Until --max-size is reached, growing as now; None when it is not growing or there is no limit."""
        if not self.max_bytes or self.growth_bytes_per_second is None or self.growth_bytes_per_second <= 0:
            return None
        return max(0.0, self.max_bytes - self.used_bytes) / self.growth_bytes_per_second
