"""A sidecar that exports nowhere and remembers every invocation."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any, Unpack

from opentelemetry.util.types import AttributeValue

from plugwarden.contract import Action, Directive, DirectiveSet, ErrorSource, Outcome, RejectionReason, Scope
from plugwarden.invocation import Invocation
from plugwarden.operation import Operation
from plugwarden.pipeline import Pipeline
from plugwarden.pipeline.logs import LogEntry
from plugwarden.settings import Settings
from plugwarden.sidecar import Sidecar
from plugwarden.terms import Keywords
from plugwarden.world import World

__all__ = ["Recorded", "Recorder", "recording"]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One invocation, as telemetry would have it."""

    plugin: str
    version: str
    operation: str
    outcome: Outcome
    """`success`, `error`, `timeout`, `rejected`, `cancelled`."""
    error_type: str | None
    """The exception's qualified name, `timeout`, or why it was refused; None for a success."""
    error_source: ErrorSource | None
    """Who is to blame; None for a success and for a refusal."""
    message: str | None
    """The exception's text, as it was raised: nothing is redacted here."""
    refused: RejectionReason | None
    """Why the gate refused it."""
    duration_seconds: float
    fallback: bool
    """Whether a fallback answered the caller."""
    probe: bool
    """Whether it was a probe of a half-open breaker."""
    abandoned: bool
    """Whether its deadline passed and its thread could not be stopped."""
    queued_seconds: float
    """How long it waited for a place in the bulkhead."""
    tenant: str | None
    downstream: str | None
    """The downstream that was waited for, where this is a wait and no invocation."""
    attributes: Mapping[str, AttributeValue]
    """What the plugin, or `capture`, annotated."""

    @classmethod
    def of(cls, invocation: Invocation) -> Recorded:
        """Return the record of an invocation that has ended."""
        scope, failure, refused = invocation.operation.scope, invocation.failure, invocation.rejection
        return cls(
            scope.plugin,
            scope.version or "",
            scope.operation or "",
            invocation.outcome,
            invocation.error_type,
            invocation.source,
            None if failure is None else failure.message,
            None if refused is None else RejectionReason(refused),
            invocation.duration_ns / 1e9,
            invocation.fallback,
            invocation.probe > 0,
            invocation.abandoned,
            invocation.queued_ns / 1e9,
            invocation.tenant,
            invocation.downstream,
            dict(invocation.attributes or {}),
        )


class Recorder:
    """A sidecar and what it saw, in the order in which it ended."""

    def __init__(
        self,
        world: World,
        settings: Mapping[str, Any],
        keep: Callable[[Recorded], None] | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """`keep` and `say` are given what would else be remembered."""
        self._kept: list[Recorded] = []
        self._said: list[str] = []
        self._revision = 0
        self.sidecar: Sidecar = _RecordingSidecar(keep or self._kept.append, say or self._said.append, world, settings)
        """What the plugin is wrapped with, or a host is given."""

    @property
    def invocations(self) -> tuple[Recorded, ...]:
        """Every call so far that has ended; waits for downstreams are apart."""
        return tuple(one for one in self._kept if one.downstream is None)

    @property
    def waits(self) -> tuple[Recorded, ...]:
        """Every wait for a downstream that has ended."""
        return tuple(one for one in self._kept if one.downstream is not None)

    @property
    def last(self) -> Recorded:
        """The call that ended last. Raises `LookupError` where there is none."""
        calls = self.invocations
        if not calls:
            raise LookupError("nothing that is wrapped with this recorder's sidecar was called")
        return calls[-1]

    @property
    def said(self) -> tuple[str, ...]:
        """What the sidecar logged: changes of breakers, event loops held up, and plugins' own logs where `log_handler` is used."""
        return tuple(self._said)

    def of(self, operation: str) -> tuple[Recorded, ...]:
        """The calls of one operation."""
        return tuple(one for one in self.invocations if one.operation == operation)

    def clear(self) -> None:
        """Forget what was recorded; breakers and limits stay as they are."""
        self._kept.clear()
        self._said.clear()

    def isolate(
        self,
        plugin: str,
        version: str | None = None,
        operation: str | None = None,
        *,
        reason: str = "isolated by a test",
        share_ratio: float = 0.0,
    ) -> None:
        """Tell the sidecar what a collector would: refuse these calls, or in probation let a share of them through."""
        action = Action.PROBE if share_ratio else Action.ISOLATE
        told = Directive(f"test-{self._revision + 1}", action, Scope(plugin, version, operation), share_ratio, reason)
        self._tell((*self.sidecar.directives.directives, told))

    def release(self) -> None:
        """End all that `isolate` began."""
        self._tell(())

    def _tell(self, directives: tuple[Directive, ...]) -> None:
        self._revision += 1
        self.sidecar._apply(DirectiveSet("test", self._revision, directives))


@contextmanager
def recording(
    clock: Callable[[], int] | None = None, *, seed: int = 0, service: str = "test", **settings: Unpack[Keywords]
) -> Iterator[Recorder]:
    """A recorder, closed at the end. Nothing is read from the environment, sent, or written.

    `clock`: a `Clock`; none: time goes by as ever. `seed`: of who is let through in probation, and of how far open times of
    breakers are spread. Settings are keywords of `Sidecar`.
    """
    recorder = Recorder(World(clock or perf_counter_ns, random.Random(seed).random), {"service": service, **settings})  # noqa: S311
    try:
        yield recorder
    finally:
        recorder.sidecar.close(timeout=1.0)


class _RecordingSidecar(Sidecar):
    def __init__(
        self,
        keep: Callable[[Recorded], None],
        say: Callable[[str], None],
        world: World,
        settings: Mapping[str, Any],
    ) -> None:
        self._keep, self._say, self._world = keep, say, world
        super().__init__(**{"loop_lag_seconds": None, **settings})

    def _load_settings(self, **given: Any) -> Settings:
        worker = {name: os.environ[name] for name in ("PLUGWARDEN_WORKER",) if name in os.environ}
        return Settings.load(worker, **given)

    def _make_pipeline(self) -> Pipeline:
        return _Kept(self.settings, self._keep, self._say)


class _Kept(Pipeline):
    """Stands where calls are counted and sent; it never starts."""

    def __init__(self, settings: Settings, keep: Callable[[Recorded], None], say: Callable[[str], None]) -> None:
        super().__init__(settings, lambda: ())
        self._append = lambda invocation: keep(Recorded.of(invocation))
        self._say = say

    def connect(self, operation: Operation) -> None:
        operation.append = self._append
        operation.keep_at = -1  # no share is chosen: plain successes come here too, each of them

    def attend(self) -> None: ...
    def prepare(self) -> None: ...
    def start(self) -> None: ...
    def hurry(self) -> None: ...
    def say_goodbye(self) -> None: ...

    def emit_log(self, entry: LogEntry) -> None:
        self._say(entry.body)

    def flush(self, timeout: float) -> bool:
        return True

    def close(self, timeout: float) -> bool:
        return True
