"""What can go wrong in the collector, and what its callers should do about it.

CollectorError
├── MalformedTelemetryError   the bytes are not OTLP: permanent, do not send again
│   └── UnreadableTelemetryError   our decoder failed at them: a fault of ours, and as permanent
├── PayloadTooLargeError      above the size limit: permanent
├── BusyError                 the queue is full: send again later
│   └── TooManyError          with the caller's own requests
├── StoreError                the database would not do it
│   ├── StaleError            somebody else committed first: load again
│   ├── UnstorableError      rows that the database can never take: permanent, do not send again
│   ├── UncountableError      rows that say what cannot be: they are set aside, the rest is counted
│   ├── QueryError            the caller's SQL is wrong or not allowed
│   ├── QueryTimeoutError     the caller's SQL took too long
│   └── QueryCancelledError   whoever asked has gone
├── WatchError                the statement of an `[[alert]]` gave what cannot be looked at
├── RulesError                a rules file is wrong; names file, key and fix
├── MatcherError              what is said of a label cannot be used; names it and the fix
├── CapacityError             a question of planners that cannot be answered; names the field and the fix
├── NotFoundError             no such plugin, quarantine, ...
├── ConflictError             the request does not fit the state it meets
└── SettingsError             a flag or variable is wrong; the process does not start
"""

from __future__ import annotations

__all__ = [
    "BusyError",
    "CapacityError",
    "CollectorError",
    "ConflictError",
    "MalformedTelemetryError",
    "MatcherError",
    "NotFoundError",
    "PayloadTooLargeError",
    "QueryCancelledError",
    "QueryError",
    "QueryTimeoutError",
    "RulesError",
    "SettingsError",
    "StaleError",
    "StoreError",
    "TooManyError",
    "UncountableError",
    "UnreadableTelemetryError",
    "UnstorableError",
    "WatchError",
]


class CollectorError(Exception):
    """Base of everything the collector raises on purpose."""


class MalformedTelemetryError(CollectorError):
    """The bytes are not what they claim to be."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        """Path of the field that is wrong, where it is known."""


class UnreadableTelemetryError(MalformedTelemetryError):
    """Bytes at which the decoder failed in a way that nobody foresaw."""


class PayloadTooLargeError(CollectorError):
    """A request above the size limit, before or after decompression."""


class BusyError(CollectorError):
    """The store cannot take more right now."""

    def __init__(self, message: str, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        """When to try again."""


class TooManyError(BusyError):
    """The caller has as much under way as one may have."""


class StoreError(CollectorError):
    """The database would not do it."""


class StaleError(StoreError):
    """The ledger has gone on since it was loaded: nothing was stored, and what was decided was decided on an old state."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"the ledger is at revision {found}, and this was decided at revision {expected}")
        self.expected, self.found = expected, found
        """Revisions."""


class UnstorableError(StoreError):
    """Rows that the database refuses for what they are, by themselves as well: the same bytes would be refused again."""


class UncountableError(StoreError):
    """Rows that cannot be counted, whatever else is right."""


class QueryError(StoreError):
    """SQL that is wrong, or that a read-only user must not run."""


class QueryTimeoutError(StoreError):
    """SQL that was interrupted at its time limit."""


class QueryCancelledError(StoreError):
    """SQL that nobody waits for any more."""


class WatchError(CollectorError):
    """What the statement of an `[[alert]]` gave cannot be looked at; says why, and what to write instead."""


class RulesError(CollectorError):
    """A rules file that cannot be used. Every problem found is listed."""

    def __init__(self, file: str, problems: list[str]) -> None:
        super().__init__(f"{file}: " + "; ".join(problems))
        self.file = file
        self.problems = problems

    @property
    def lines(self) -> list[str]:
        """One line for each problem, for people."""
        return [f"{self.file}: {problem}" for problem in self.problems]


class MatcherError(CollectorError, ValueError):
    """A matcher that cannot be used; says which one, and what to write instead."""


class CapacityError(CollectorError, ValueError):
    """A question of planners that cannot be answered as it is asked."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        """Parameter that is wrong."""


class NotFoundError(CollectorError):
    """What was asked for does not exist."""


class ConflictError(CollectorError):
    """The request does not fit the state it meets."""


class SettingsError(CollectorError):
    """A flag or variable is wrong."""
