"""What a host can see raised by the sidecar.

PlugwardenError              base of all below
├── CallNotPermitted         the gate refused the call and there was no fallback
│   └── PluginQuarantined    ... because a directive isolates the plugin
├── DeadlineExceeded         a runner stopped the call, or gave up on it, at its deadline; also a TimeoutError
├── PluginFailed             what a plugin raised in a worker process is of no type that the host makes from what is sent
├── ResultRefused            what a worker process answered is neither plain data nor declared
├── QuotaExceeded            the call used or answered more than was allowed
├── WorkerDied               the process that ran the call ended under it
└── ConfigurationError       a wrap() argument or setting is wrong; raised at wrap time, never by a call; also a ValueError
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugwarden.contract import RejectionReason, Scope

__all__ = [
    "CallNotPermitted",
    "ConfigurationError",
    "DeadlineExceeded",
    "PluginFailed",
    "PluginQuarantined",
    "PlugwardenError",
    "QuotaExceeded",
    "ResultRefused",
    "WorkerDied",
]


class PlugwardenError(Exception):
    """Base of everything the sidecar raises."""


class ConfigurationError(PlugwardenError, ValueError):
    """A setting is wrong. The message names it and says what to write instead."""


class CallNotPermitted(PlugwardenError):
    """The gate refused a call and no fallback was declared."""

    def __init__(
        self,
        scope: Scope,
        reason: RejectionReason,
        explanation: str,
        *,
        retry_after_seconds: float | None = None,
        directive_id: str | None = None,
    ) -> None:
        super().__init__(f"{scope}: {explanation}{_again(retry_after_seconds)}")
        self.scope = scope
        """The operation that was refused."""
        self.reason = reason
        """Why, as a fixed word."""
        self.explanation = explanation
        """Why, in a sentence."""
        self.retry_after_seconds = retry_after_seconds
        """When to try again. Known of a breaker, a rate and a quota; 30 s where a person or the collector decides (a
        quarantine, a breaker forced open), 1 s where a moment may do (a bulkhead, probation)."""
        self.directive_id = directive_id
        """The quarantine behind it, to look up in the collector."""
        self.ended_a_call = False
        """Whether a call that ran let it out: it is that call's answer then, and refuses no other."""

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call __init__ with the message alone, and break hosts that pickle exceptions.
        return (_rebuild, (type(self), (self.scope, self.reason, self.explanation), self.args, self.__dict__))


class PluginQuarantined(CallNotPermitted):
    """The collector, or a person, took the plugin out of service."""


class _CallEnded(PlugwardenError):
    """A runner ended a call."""

    def __init__(self, scope: Scope, explanation: str) -> None:
        super().__init__(f"{scope}: {explanation}")
        self.scope = scope
        """The operation that was called."""
        self.explanation = explanation
        """What happened, in a sentence."""

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), (self.scope, self.explanation), self.args, self.__dict__))


class DeadlineExceeded(_CallEnded, TimeoutError):
    """The call was not done at its deadline. A worker process was killed; a thread was left to end by itself."""


class WorkerDied(_CallEnded):
    """The worker process ended during the call: it exited, was killed, or could not import the plugin."""


class ResultRefused(_CallEnded):
    """The worker process answered with something that is neither plain data nor of a declared type."""


class PluginFailed(PlugwardenError):
    """A plugin in a worker process raised an exception that is neither one of Python's own nor of a declared type."""

    def __init__(self, scope: Scope, type_name: str, message: str, stack: str = "") -> None:
        super().__init__(f"{scope}: the plugin raised {type_name}: {message}")
        self.scope = scope
        """The operation that was called."""
        self.type_name = type_name
        """The exception's qualified name, as the worker told it."""
        self.message = message
        """The exception's own text."""
        self.stack = stack
        """Where it was raised, a line for each frame; empty when that is not known."""

    def __reduce__(self) -> tuple[object, ...]:
        made_from = (self.scope, self.type_name, self.message, self.stack)
        return (_rebuild, (type(self), made_from, self.args, self.__dict__))


class QuotaExceeded(PlugwardenError):
    """A call went past what its quota allows."""

    def __init__(self, scope: Scope, quota: str, explanation: str) -> None:
        super().__init__(f"{scope}: quota.{quota}: {explanation}")
        self.scope = scope
        """The operation that was called."""
        self.quota = quota
        """Which one: `memory_bytes` or `output_bytes`."""
        self.explanation = explanation
        """How far."""

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), (self.scope, self.quota, self.explanation), self.args, self.__dict__))


def _again(retry_after_seconds: float | None) -> str:
    return "" if retry_after_seconds is None else f"; try again in {retry_after_seconds:.1f} s"


def _rebuild(
    cls: type[BaseException], made_from: tuple[object, ...], args: tuple[object, ...], state: dict[str, object]
) -> BaseException:
    error = cls(*made_from)
    error.args = args
    error.__dict__.update(state)
    return error
