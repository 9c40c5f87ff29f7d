"""Why the gate refused a call, and what its caller is told."""

from __future__ import annotations

from typing import TypeGuard

from plugwarden.contract import RejectionReason, Scope
from plugwarden.errors import CallNotPermitted, PluginQuarantined

__all__ = ["DECISION_SECONDS", "MOMENT_SECONDS", "REFUSALS", "Refusal", "refuses"]

_QUARANTINE_REASONS = frozenset({RejectionReason.QUARANTINED, RejectionReason.PROBATION})
_DECIDED_ELSEWHERE = frozenset({RejectionReason.QUARANTINED, RejectionReason.CIRCUIT_OPEN})
DECISION_SECONDS = 30.0
"""When to try again where a person or the collector decides (a quarantine, a breaker forced open): nobody knows; a release
is obeyed within a second, so this only bounds how often callers ask."""
MOMENT_SECONDS = 1.0
"""When to try again where nothing has to be waited for but a moment: a full bulkhead, a share of calls let through."""

REFUSALS = (CallNotPermitted, PluginQuarantined)
"""The very types that a gate raises; a class derived from one is somebody else's."""


class Refusal:
    """Why the gate refused a call."""

    __slots__ = ("directive_id", "explanation", "reason", "retry_after_seconds", "version_alone")

    def __init__(
        self,
        reason: RejectionReason,
        explanation: str,
        directive_id: str | None = None,
        retry_after_seconds: float | None = None,
        *,
        version_alone: bool = False,
    ) -> None:
        self.reason = reason
        self.explanation = explanation
        self.directive_id = directive_id
        self.retry_after_seconds = retry_after_seconds
        """None: by the reason alone."""
        self.version_alone = version_alone
        """Whether a directive refuses this version and not the plugin as a whole."""

    def as_error(self, scope: Scope) -> CallNotPermitted:
        """The exception a caller sees when there is no fallback."""
        kind = PluginQuarantined if self.reason in _QUARANTINE_REASONS else CallNotPermitted
        seconds = self.retry_after_seconds
        if seconds is None:
            seconds = DECISION_SECONDS if self.reason in _DECIDED_ELSEWHERE else MOMENT_SECONDS
        return kind(
            scope,
            self.reason,
            self.explanation,
            retry_after_seconds=seconds,
            directive_id=self.directive_id,
        )


def refuses(error: BaseException, scope: Scope) -> TypeGuard[CallNotPermitted]:
    """Whether the gate refused the call of that plugin's operation which ended with `error`, in whichever version. What a call that
    ran let out is its answer: it called itself and was refused, or raised one that it had kept."""
    if type(error) not in REFUSALS:
        return False
    assert isinstance(error, CallNotPermitted)  # noqa: S101 - one of these two
    return not error.ended_a_call and (error.scope.plugin, error.scope.operation) == (scope.plugin, scope.operation)
