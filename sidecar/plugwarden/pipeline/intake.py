"""Where finished calls wait to be folded, and what operations are given to put them there.

The caller's thread only appends to a deque, or with a journal leaves a word in its ring first.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from plugwarden.invocation import Invocation
from plugwarden.settings import Settings

from .journal import Journal
from .keeping import make_journal
from .logs import LogEntry
from .sampling import gaps

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from plugwarden.operation import Operation

__all__ = ["Intake"]

MAX_PENDING_LOGS = 8_192

_log = logging.getLogger(__name__)
_DEAD_END: deque[Any] = deque(maxlen=0)


class Intake:
    """Callers append, and whoever holds the interval's lock takes out."""

    def __init__(
        self,
        settings: Settings,
        operations: Callable[[], Collection[Operation]],
        *,
        make_room: Callable[[], None],
        named: Callable[[Invocation], Invocation],
        count_drop: Callable[[str, str], None],
    ) -> None:
        """`make_room` folds what waits, from a caller's thread; `named` gives a plain success ids that are kept."""
        self._operations = operations
        self._make_room = make_room
        self._named = named
        self._count_drop = count_drop
        self.settings = settings
        self.closed = settings.disabled
        """Whether nothing is taken any more, in the children of this process either."""
        self.queue: deque[Invocation | ReadableSpan] = deque()
        """Finished invocations, and spans of the host's own provider."""
        self.chosen: deque[Invocation] = deque()
        """Plain successes whose spans are kept, as their callers decided."""
        self.logs: deque[LogEntry] = deque()
        self.journal: Journal | None = None
        """Keeps what is counted where a kill does not reach; None: there is no place for it, or not yet."""
        self.append: Callable[[Invocation], None] = self.queue.append
        """Takes a finished invocation: into the queue, or with a journal, there first."""
        self._gap = gaps(settings.trace_ratio)

    @property
    def waiting(self) -> int:
        """Finished invocations that are not folded."""
        journal = self.journal
        waiting = len(self.queue) + len(self.chosen) + sum([len(operation.tally) for operation in self._operations()])
        return waiting if journal is None else waiting + len(journal.queue)

    def connect(self, operation: Operation) -> None:
        """Have an operation's calls come here."""
        operation.append, operation.gap = self.append, self._gap
        if self.closed:
            operation.count = operation.choose = _DEAD_END.append
            return
        if self.journal is None:
            operation.count, operation.choose = operation.tally.append, self.chosen.append
        else:
            # A journal takes them all in the order in which they end, those that are chosen too.
            operation.count = self.journal.counter(operation, self._make_room)
            operation.choose = self._choose
        if self.settings.trace_ratio >= 1.0:
            operation.keep_at, operation.keep_every_ns = -1, 0
        else:
            operation.keep_at = operation.calls + self._gap()
            operation.keep_every_ns = int(1e9 / self.settings.traces_per_second)

    def _choose(self, invocation: Invocation) -> None:
        self.append(self._named(invocation))

    def _set_append(self, append: Callable[[Invocation], None]) -> None:
        self.append = append
        for operation in self._operations():
            self.connect(operation)

    def put_log(self, entry: LogEntry) -> None:
        """Take a log record; the oldest goes where too many wait."""
        self.logs.append(entry)
        if len(self.logs) > MAX_PENDING_LOGS:
            try:
                self.logs.popleft()
                self._count_drop("logs", "queue_full")
            except IndexError:
                pass  # the drain emptied it in between

    def take_logs(self) -> list[LogEntry]:
        """The log records that wait."""
        logs = []
        while self.logs:
            logs.append(self.logs.popleft())
        return logs

    def open_journal(self, ancestor: str | None) -> Journal | None:
        """Make a journal, if there is a place for it and an heir, and return it; nothing goes there before `use`.

        `ancestor`: in a forked child, the process that looks after what its family leaves.
        """
        try:
            self.journal = make_journal(self.settings, ancestor, make_room=self._make_room, spare=self.queue.append)
        except Exception:  # noqa: BLE001 - no disk, no room, no such system: it counts in memory
            self._count_drop("internal", "no_journal")
            _log.debug("no journal", exc_info=True)
        return self.journal

    def use(self, journal: Journal) -> None:
        """Have what ends from here on go into the journal."""
        self._set_append(journal.record)

    def hand_over(self, journal: Journal) -> None:
        """Put what ended in other threads meanwhile into the journal, too."""
        for _ in range(len(self.queue)):
            try:
                item = self.queue.popleft()
            except IndexError:
                return  # whoever holds the interval's lock folded it meanwhile
            if type(item) is Invocation:
                journal.record(item)
            else:
                self.queue.append(item)

    def close(self) -> None:
        """Take nothing any more: calls go on, unobserved."""
        self.closed = True
        self._set_append(_DEAD_END.append)

    def clear(self) -> None:
        """Forget what waits."""
        self.queue.clear()
        self.chosen.clear()
        self.logs = deque()

    def renew_after_fork(self) -> None:
        """Begin anew in a forked child, whose parent's the journal is."""
        if self.journal is not None:
            self.journal.forget()
            self.journal = None
        if not self.closed:
            self._set_append(self.queue.append)
