"""The keywords of `Sidecar` and the terms of `wrap` and `plugin`, as editors and type checkers know them.

    def observed(function, **terms: Unpack[Terms]):
        return sidecar.wrap(function, plugin="csv", version="1.4.0", **terms)

What they mean and what stands for one that is left out is said where they are read: in `Settings` and `Declaration`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any, Literal, TypedDict

from plugwarden.codec import Codec
from plugwarden.contract import Criticality, ErrorSource
from plugwarden.declaration import Level, Runner
from plugwarden.declared_errors import ErrorKind, Errors
from plugwarden.fallback import Fallback, Value
from plugwarden.gate import BreakerPolicy, BulkheadPolicy, QuotaPolicy, RatePolicy
from plugwarden.touches import Touches

__all__ = ["Keywords", "Level", "OwnTerms", "Runner", "Terms"]


class Keywords(TypedDict, total=False):
    """Keywords of `Sidecar`. None of most: as the environment says."""

    instance_id: str | None
    environment: str | None
    collector_url: str | None
    token: str | None
    trace_ratio: float | None
    traces_per_second: float | None
    state_dir: PathLike[str] | str | None
    export_interval_seconds: float | None
    protocol: Literal["grpc", "http/protobuf", "http/json"] | None
    endpoint: str | None
    spool_bytes: int | None
    redact: bool | Callable[[str], str] | None
    loop_lag_seconds: float | None
    """None: not watched."""
    span_exporter: Any
    metric_exporter: Any
    log_exporter: Any
    breakers: bool | None
    disabled: bool | None
    resource: Mapping[str, str] | None
    host_name: str | None
    exit_seconds: float | None
    sigterm: bool | None


class OwnTerms(TypedDict, total=False):
    """Terms of one version by itself, beside what is observed."""

    timeout: float | None
    fallback: Fallback | Callable[..., Any] | Value | None
    breaker: BreakerPolicy | bool | None
    bulkhead: BulkheadPolicy | int | None
    rate: RatePolicy | float | None
    quota: QuotaPolicy | None
    criticality: Criticality | Level
    runner: Runner
    workers: int
    touches: Touches | None
    returns: Iterable[type | Codec] | type | Codec
    failed_result: Callable[[Any], bool | ErrorSource] | None
    caller_errors: Errors | ErrorKind | Iterable[ErrorKind]
    control_flow: Errors | ErrorKind | Iterable[ErrorKind]
    known_outcomes: bool
    downstream_errors: Iterable[type[Exception]] | type[Exception]
    owner: str | None
    concurrency: int | None
    objective: Any
    capture: Callable[..., dict[str, Any]] | None


class Terms(OwnTerms, total=False):
    """Terms of `wrap` and `plugin`, beside what is observed."""

    previous: Callable[..., Any] | None
