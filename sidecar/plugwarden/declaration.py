"""What is declared of one operation when it is wrapped: its terms, checked once, never per call."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import field
from typing import Any, Literal, get_args

from plugwarden.codec import Carrier, Codec
from plugwarden.contract import Criticality, ErrorSource
from plugwarden.contract.value import value
from plugwarden.declared_errors import ErrorKind, Errors
from plugwarden.errors import ConfigurationError
from plugwarden.fallback import Fallback, LastGood, Value
from plugwarden.gate import BreakerPolicy, BulkheadPolicy, QuotaPolicy, RatePolicy
from plugwarden.given import number, whole
from plugwarden.touches import Touches

__all__ = ["Declaration", "Level", "Runner"]

Runner = Literal["inline", "thread", "process"]
Level = Literal["low", "normal", "high", "security"]
"""The words of `Criticality`."""
RUNNERS: tuple[str, ...] = get_args(Runner)
_CRITICALITIES = tuple(Criticality)
# What most declare, made once: a host wraps hundreds of hooks as it starts, and these are values.
_TOUCHES = Touches()
_BREAKER = BreakerPolicy()
_NO_ERRORS = Errors()


@value
class Declaration:
    """The terms of one operation."""

    timeout_seconds: float | None = None
    """The deadline; nested calls inherit what is left of it."""
    fallback: Fallback | None = None
    """Answers in the plugin's place."""
    previous: Callable[..., Any] | None = None
    """An earlier version's wrapped form, to which calls go back while this version alone is isolated."""
    breaker: BreakerPolicy | None = None
    bulkhead: BulkheadPolicy | None = None
    rate: RatePolicy | None = None
    quota: QuotaPolicy | None = None
    criticality: Criticality = Criticality.NORMAL
    runner: Runner = "inline"
    workers: int = 1
    """Worker processes of the operation, under `runner="process"`."""
    touches: Touches = field(default_factory=Touches)
    returns: tuple[Carrier, ...] = ()
    """Types, besides plain data, that a worker process may answer with, or raise."""
    failed_result: Callable[[Any], bool | ErrorSource] | None = None
    """Says of a returned value that it means failure, as `isError` does in MCP; an `ErrorSource` says also whose."""
    caller_errors: Errors = field(default_factory=Errors)
    """Exceptions that are the caller's fault."""
    control_flow: Errors = field(default_factory=Errors)
    """Exceptions that are no failures: a retry asked for, the end of an iteration."""
    known_outcomes: bool = True
    """Whether what well-known frameworks mean by their exceptions counts (outcomes.py)."""
    downstream_errors: tuple[type[Exception], ...] = ()
    """Exceptions that are a downstream's fault."""
    owner: str | None = None
    """Who answers for the plugin."""
    concurrency: int | None = None
    """How many calls at once the plugin's author expects, where that is not enforced."""
    objective: Any = None
    """A `manifest.Objective`: what the plugin's author promises."""
    capture: Callable[..., dict[str, Any]] | None = None
    """Given the call's arguments, answers attributes for its span; nothing of the arguments is kept otherwise."""

    @classmethod
    def of(
        cls,
        *,
        timeout: float | None = None,
        fallback: Fallback | Callable[..., Any] | Value | None = None,
        previous: Callable[..., Any] | None = None,
        breaker: BreakerPolicy | bool | None = True,
        bulkhead: BulkheadPolicy | int | None = None,
        rate: RatePolicy | float | None = None,
        quota: QuotaPolicy | None = None,
        criticality: Criticality | Level = "normal",
        runner: Runner = "inline",
        workers: int = 1,
        touches: Touches | None = None,
        returns: Iterable[type | Codec] | type | Codec = (),
        failed_result: Callable[[Any], bool | ErrorSource] | None = None,
        caller_errors: Errors | ErrorKind | Iterable[ErrorKind] = (),
        control_flow: Errors | ErrorKind | Iterable[ErrorKind] = (),
        known_outcomes: bool = True,
        downstream_errors: Iterable[type[Exception]] | type[Exception] = (),
        owner: str | None = None,
        concurrency: int | None = None,
        objective: Any = None,
        capture: Callable[..., dict[str, Any]] | None = None,
    ) -> Declaration:
        """Make one from the keywords of `Sidecar.wrap`; raises `ConfigurationError` naming the one that is wrong."""
        if timeout is not None and not 0 < number(timeout) < math.inf:
            raise ConfigurationError(f"timeout: {timeout!r} must be a time above 0 seconds, or None for no deadline")
        if fallback is not None and not isinstance(fallback, Fallback):
            fallback = Fallback(fallback)
        if isinstance(bulkhead, bool):
            bulkhead = BulkheadPolicy() if bulkhead else None
        elif isinstance(bulkhead, int):
            bulkhead = BulkheadPolicy(bulkhead)
        elif not (bulkhead is None or isinstance(bulkhead, BulkheadPolicy)):
            raise ConfigurationError(f"bulkhead: {bulkhead!r:.200} is neither a BulkheadPolicy nor a number of calls")
        if rate is not None and not isinstance(rate, RatePolicy):
            rate = RatePolicy(rate)
        if criticality not in _CRITICALITIES:
            raise ConfigurationError(f"criticality: {criticality!r} is none of {', '.join(Criticality)}")
        if runner not in RUNNERS:
            raise ConfigurationError(f"runner: {runner!r} is none of {', '.join(RUNNERS)}")
        if not (quota is None or isinstance(quota, QuotaPolicy)):
            raise ConfigurationError(
                f"quota: {quota!r:.200} is no QuotaPolicy; write QuotaPolicy(cpu_share=…) or another of its fields"
            )
        if not (touches is None or isinstance(touches, Touches)):
            raise ConfigurationError(
                f"touches: {touches!r:.200} is no Touches; write Touches(read=(…,)) or another of its fields"
            )
        if quota is not None and quota.memory_bytes is not None and runner != "process":
            raise ConfigurationError(
                f'quota.memory_bytes: memory cannot be told apart under runner="{runner}"; use runner="process"'
            )
        if touches is not None and runner != "process":
            raise ConfigurationError(f'touches: nothing can be enforced under runner="{runner}"; use runner="process"')
        if runner == "thread" and bulkhead is None:
            bulkhead = BulkheadPolicy()  # what bounds the threads that cannot be stopped
        if concurrency is not None and not whole(concurrency) >= 1:
            raise ConfigurationError(f"concurrency: must be 1 or more, a whole number; got {concurrency!r:.100}")
        if not whole(workers) >= 1:
            raise ConfigurationError(f"workers: must be 1 or more, a whole number; got {workers!r:.100}")
        for name, given in (("previous", previous), ("failed_result", failed_result), ("capture", capture)):
            if given is not None and not callable(given):
                raise ConfigurationError(f"{name}: {given!r} cannot be called")
        if criticality == Criticality.SECURITY and fallback is not None and not fallback.closed:
            raise ConfigurationError(
                "fallback: a plugin of criticality security fails closed, and this would answer in its place; "
                "leave it out, or declare that it denies: Fallback(..., closed=True)"
            )
        if not (breaker is None or isinstance(breaker, bool | BreakerPolicy)):
            raise ConfigurationError(f"breaker: {breaker!r} is neither a BreakerPolicy nor True or False")
        policy = _BREAKER if breaker is True else (breaker or None)
        if policy is not None and policy.slow_call_rate < 1 and policy.slow_call_seconds is None and timeout is None:
            raise ConfigurationError(
                "breaker.slow_call_rate: no call is ever slow without slow_call_seconds or a timeout; declare one of them"
            )
        return cls(
            timeout_seconds=None if timeout is None else float(timeout),
            fallback=fallback,
            previous=previous,
            breaker=policy,
            bulkhead=bulkhead,
            rate=rate,
            quota=quota,
            criticality=Criticality(criticality),
            runner=runner,
            workers=workers,
            touches=touches or _TOUCHES,
            returns=tuple(map(Carrier.of, _several(returns))),
            failed_result=failed_result,
            caller_errors=_NO_ERRORS if caller_errors == () else Errors.of("caller_errors", caller_errors),
            control_flow=_NO_ERRORS if control_flow == () else Errors.of("control_flow", control_flow),
            known_outcomes=bool(known_outcomes),
            downstream_errors=_exception_types("downstream_errors", downstream_errors),
            owner=owner,
            concurrency=concurrency,
            objective=objective,
            capture=capture,
        )

    @property
    def keepers(self) -> tuple[LastGood, ...]:
        """Steps of the fallback that want to know good results."""
        return () if self.fallback is None else self.fallback.keepers

    @property
    def slow_call_seconds(self) -> float | None:
        """Return the seconds from which on a call counts as slow for the breaker."""
        if self.breaker is None:
            return None
        return self.breaker.slow_call_seconds or self.timeout_seconds

    @property
    def expected_concurrency(self) -> int | None:
        """How many calls at once are declared, enforced or not."""
        return self.concurrency or (self.bulkhead.concurrent if self.bulkhead is not None else None)


def _several(given: Any) -> tuple[Any, ...]:
    """One, or those of a list."""
    alone = isinstance(given, type) or not isinstance(given, Iterable)
    return (given,) if alone else tuple(given)


def _exception_types(name: str, given: Any) -> tuple[type[Exception], ...]:
    types = _several(given)
    for kind in types:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise ConfigurationError(f"{name}: {kind!r} is not a type of Exception")
    return types
