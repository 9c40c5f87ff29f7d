"""What a host can see raised by the sidecar.

PlugwardenError              base of all below
├── CallNotPermitted         the gate refused the call and there was no fallback
│   └── PluginQuarantined    ... because a directive isolates the plugin
└── ConfigurationError       a wrap() argument or setting is wrong; raised at wrap time, never by a call
"""

from __future__ import annotations

from plugwarden.contract import RejectionReason, Scope

__all__ = ["CallNotPermitted", "ConfigurationError", "PluginQuarantined", "PlugwardenError"]


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
        super().__init__(f"{scope}: {explanation}")
        self.scope = scope
        """The operation that was refused."""
        self.reason = reason
        """Why, as a fixed word."""
        self.explanation = explanation
        """Why, in a sentence."""
        self.retry_after_seconds = retry_after_seconds
        """When another try may succeed, where that is known."""
        self.directive_id = directive_id
        """The quarantine behind it, to look up in the collector."""

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call __init__ with the message alone, and break hosts that pickle exceptions.
        return (_rebuild, (type(self), self.scope, self.reason, self.explanation, self.__dict__))


class PluginQuarantined(CallNotPermitted):
    """The collector, or a person, took the plugin out of service."""


def _rebuild(
    cls: type[CallNotPermitted], scope: Scope, reason: RejectionReason, explanation: str, state: dict[str, object]
) -> CallNotPermitted:
    error = cls(scope, reason, explanation)
    error.__dict__.update(state)
    return error
