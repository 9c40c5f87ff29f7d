"""What is declared of one operation when it is wrapped: its terms, checked once, never per call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from plugwarden.contract import Criticality
from plugwarden.errors import ConfigurationError
from plugwarden.fallback import Fallback, LastGood, Value
from plugwarden.gate import BreakerPolicy, BulkheadPolicy, QuotaPolicy, RatePolicy

__all__ = ["Declaration", "Runner", "Touches"]

Runner = Literal["inline", "thread", "process"]
RUNNERS: tuple[str, ...] = get_args(Runner)


@dataclass(frozen=True, slots=True)
class Touches:
    """What a plugin in a worker process may touch. Where the kernel cannot enforce a part, the worker says so."""

    read: tuple[Path, ...] = ()
    """Folders and files it may read, besides Python's own, its own code and the system's libraries."""
    write: tuple[Path, ...] = ()
    """Folders and files it may change."""
    environment: tuple[str, ...] = ()
    """Environment variables it is given, besides PATH, HOME, LANG, LC_ALL, TZ and PYTHONPATH."""
    network: bool = True
    """False: no TCP, in or out (Landlock from kernel 6.7)."""
    open_files: int = 256
    """RLIMIT_NOFILE."""
    processes: int = 64
    """RLIMIT_NPROC, where the worker does not run as root."""
    file_bytes: int = 256 * 1024 * 1024
    """RLIMIT_FSIZE: the largest file it may write."""

    def __post_init__(self) -> None:
        for name in ("open_files", "processes", "file_bytes"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"touches.{name}: must be 1 or more")


@dataclass(frozen=True, slots=True)
class Declaration:
    """The terms of one operation."""

    timeout_seconds: float | None = None
    """The deadline; nested calls inherit what is left of it."""
    fallback: Fallback | None = None
    """Answers in the plugin's place."""
    breaker: BreakerPolicy | None = None
    bulkhead: BulkheadPolicy | None = None
    rate: RatePolicy | None = None
    quota: QuotaPolicy | None = None
    criticality: Criticality = Criticality.NORMAL
    runner: Runner = "inline"
    workers: int = 1
    """Worker processes of the operation, under `runner="process"`."""
    touches: Touches = field(default_factory=Touches)
    returns: tuple[type, ...] = ()
    """Types, besides plain data, that a worker process may answer with."""
    failed_result: Callable[[Any], bool] | None = None
    """Says of a returned value that it means failure, as `isError` does in MCP."""
    caller_errors: tuple[type[Exception], ...] = ()
    """Exceptions that are the caller's fault."""
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
        breaker: BreakerPolicy | bool | None = True,
        bulkhead: BulkheadPolicy | int | None = None,
        rate: RatePolicy | float | None = None,
        quota: QuotaPolicy | None = None,
        criticality: str = "normal",
        runner: str = "inline",
        workers: int = 1,
        touches: Touches | None = None,
        returns: Iterable[type] = (),
        failed_result: Callable[[Any], bool] | None = None,
        caller_errors: Iterable[type[Exception]] = (),
        downstream_errors: Iterable[type[Exception]] = (),
        owner: str | None = None,
        concurrency: int | None = None,
        objective: Any = None,
        capture: Callable[..., dict[str, Any]] | None = None,
    ) -> Declaration:
        """From the keywords of `Sidecar.wrap`; raises `ConfigurationError` naming the one that is wrong."""
        if timeout is not None and (isinstance(timeout, bool) or not _positive(timeout)):
            raise ConfigurationError(f"timeout: {timeout!r} must be above 0 seconds, or None for no deadline")
        if fallback is not None and not isinstance(fallback, Fallback):
            fallback = Fallback(fallback)
        if isinstance(bulkhead, int):
            bulkhead = BulkheadPolicy(bulkhead)
        if rate is not None and not isinstance(rate, RatePolicy):
            rate = RatePolicy(rate)
        if criticality not in set(Criticality):
            raise ConfigurationError(f"criticality: {criticality!r} is none of {', '.join(Criticality)}")
        if runner not in RUNNERS:
            raise ConfigurationError(f"runner: {runner!r} is none of {', '.join(RUNNERS)}")
        if quota is not None and quota.memory_bytes is not None and runner != "process":
            raise ConfigurationError(
                f'quota.memory_bytes: memory cannot be told apart under runner="{runner}"; use runner="process"'
            )
        if touches is not None and runner != "process":
            raise ConfigurationError(f'touches: nothing can be enforced under runner="{runner}"; use runner="process"')
        if runner == "thread" and bulkhead is None:
            bulkhead = BulkheadPolicy()  # what bounds the threads that cannot be stopped
        if concurrency is not None and concurrency < 1:
            raise ConfigurationError("concurrency: must be 1 or more")
        if workers < 1:
            raise ConfigurationError("workers: must be 1 or more")
        if not all(isinstance(kind, type) for kind in returns):
            raise ConfigurationError("returns: must be types")
        for name, value in (("failed_result", failed_result), ("capture", capture)):
            if value is not None and not callable(value):
                raise ConfigurationError(f"{name}: {value!r} cannot be called")
        if criticality == Criticality.SECURITY and fallback is not None and not fallback.closed:
            raise ConfigurationError(
                "fallback: a plugin of criticality security fails closed, and this would answer in its place; "
                "leave it out, or declare that it denies: Fallback(..., closed=True)"
            )
        policy = BreakerPolicy() if breaker is True else (breaker or None)
        return cls(
            timeout_seconds=None if timeout is None else float(timeout),
            fallback=fallback,
            breaker=policy,
            bulkhead=bulkhead,
            rate=rate,
            quota=quota,
            criticality=Criticality(criticality),
            runner=runner,  # type: ignore[arg-type]  # checked above
            workers=workers,
            touches=touches or Touches(),
            returns=tuple(returns),
            failed_result=failed_result,
            caller_errors=_exception_types("caller_errors", caller_errors),
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
        """From when on a call counts as slow for the breaker."""
        if self.breaker is None:
            return None
        return self.breaker.slow_call_seconds or self.timeout_seconds

    @property
    def expected_concurrency(self) -> int | None:
        """How many calls at once are declared, enforced or not."""
        return self.concurrency or (self.bulkhead.concurrent if self.bulkhead is not None else None)


def _positive(value: Any) -> bool:
    try:
        return bool(value > 0)
    except TypeError:
        return False


def _exception_types(name: str, given: Iterable[type[Exception]]) -> tuple[type[Exception], ...]:
    types = tuple(given)
    for kind in types:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise ConfigurationError(f"{name}: {kind!r} is not a type of Exception")
    return types
