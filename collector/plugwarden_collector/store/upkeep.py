"""What a store keeps, how large and how well it is: values that every engine answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from plugwarden_collector.latency import Distribution

__all__ = [
    "SECONDS_KEPT",
    "Capabilities",
    "CrowdedWord",
    "Health",
    "Keep",
    "LogFolding",
    "Names",
    "Refused",
    "Retained",
    "SetAside",
    "Size",
]


SECONDS_KEPT = timedelta(hours=2)
"""Calls by the second: longer than any short window; after that, by the minute."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How long telemetry is kept, and how much of it."""

    raw: timedelta = timedelta(days=7)
    """Spans, logs and metric points."""
    minutes: timedelta = timedelta(days=35)
    """Calls by the minute, so that a 30-day budget is always exact."""
    hours: timedelta = timedelta(days=400)
    """Calls by the hour."""
    max_bytes: int = 20 * 1000**3
    """The file's size in use; above it the oldest raw rows are let go early. 0: no limit."""
    max_share_ratio: float = 1.0
    """Share of a view's rows that one round lets go for their age at most; more waits for a person. 1: whatever is old (the flag
    --max-deletion has a lower one)."""
    archive: Path | None = None
    """Folder for Parquet files of what is let go; none: it is gone."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A deletion that a person has to allow."""

    rows: int
    share_ratio: float
    """Share of all rows of the view, in [0, 1]."""
    before: datetime


@dataclass(frozen=True, slots=True)
class Retained:
    """What rounds of cleaning up have done since the start."""

    rounds: int
    failures: int
    early: int
    """Rounds in which raw rows had to go before their age for want of room."""
    rows: Mapping[str, int]
    """View -> rows let go."""
    refused: Mapping[str, Refused]
    """View -> what the last round did not let go, because it was too much at once."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """Rows that could not be counted and are kept apart with the reason."""

    id: str
    time: datetime
    """When they were set aside, UTC."""
    batch: int
    """Number of the commit that they came in."""
    what: str
    rows: int
    service_name: str | None
    plugin_id: str | None
    error: str
    """Why they could not be counted."""
    kept: bool
    """Whether the rows are still there, to be counted after all."""


@dataclass(frozen=True, slots=True)
class CrowdedWord:
    """A plugin of which more error types or downstreams came than are told apart."""

    kind: str
    """`error_type` or `downstream`."""
    plugin: str
    service: str


@dataclass(frozen=True, slots=True)
class Names:
    """Names and words that are told apart, and who lately sent more than that; of each list the 50 with most calls."""

    names: int
    """Plugin versions of services that have a place of their own."""
    calls_beyond: int
    """Calls ever counted under one name with others."""
    services_beyond: Sequence[str]
    words: int
    """Error types and downstreams that have a place of their own."""
    calls_beyond_words: int
    """Calls and waits ever counted under one word, or one tenant, with others."""
    words_beyond: Sequence[CrowdedWord]
    shared_starts: Sequence[str]
    """Services of which several processes wrote one cumulative stream."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, and within which bounds."""

    names: int
    """Plugin versions that are told apart."""
    words: int
    """Error types and downstreams that are told apart."""
    entry_with_act: bool
    """Whether an act of a person and its entry in the decision log are stored together; if not, the entry is stored first."""


@dataclass(frozen=True, slots=True)
class Size:
    """What telemetry takes on disk, as far as the engine can tell."""

    file_bytes: int
    """Rows as they lie on disk, with the room that new ones can take; without the log."""
    log_bytes: int
    """What is on disk already and not yet in its place."""
    used_bytes: int | None
    """Bytes of file and log that rows take; None when the engine does not say right now."""
    free_bytes: int | None
    """Bytes of the file that new rows can take; None when the engine does not say right now."""
    disk_free_bytes: int | None
    """Bytes that the file system has left; None where there is none that can be asked."""
    disk_total_bytes: int | None
    """Bytes of the file system; None where there is none that can be asked."""

    @property
    def total_bytes(self) -> int:
        """File and log."""
        return self.file_bytes + self.log_bytes


@dataclass(frozen=True, slots=True)
class LogFolding:
    """How often what is in the log was brought to its place since the start."""

    done: int = 0
    put_off: int = 0
    """Times that it had to wait for readers of an older state."""
    times: Distribution = field(default_factory=Distribution)
    """How long each took; it goes on growing."""


@dataclass(frozen=True, slots=True)
class Health:
    """How the engine is, from memory: asked at each scrape and each look. What is counted is counted since the start."""

    writing: bool
    """Whether rows can be stored at all."""
    warmed: bool
    """Whether what memory keeps of the store was read."""
    queued_requests: int
    queued_bytes: int
    """Rows that wait to be stored."""
    queue_bound_bytes: int
    """What may wait before senders are told to come back."""
    commits: int
    commit_seconds_last: float
    commit_times: Distribution
    """It goes on growing."""
    duplicates: int
    """Requests whose token was stored before."""
    failed_requests: int
    stored_rows: Mapping[str, int]
    """Table -> rows stored."""
    uncounted_rows: int
    """Rows that are stored and not counted yet."""
    counting_lag_seconds: float
    """How long the oldest of them has waited."""
    set_aside_rows: int
    set_aside_let_go: int
    """Entries of what was set aside that went for want of room or for their age."""
    folding: LogFolding
