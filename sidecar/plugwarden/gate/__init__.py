"""May this call run? Quarantine directives first, then the breaker."""

from .breaker import Breaker, BreakerPolicy, Transition
from .rules import Rule, resolve
from .subscription import DirectiveFile, Subscription

__all__ = ["Breaker", "BreakerPolicy", "DirectiveFile", "Rule", "Subscription", "Transition", "resolve"]
