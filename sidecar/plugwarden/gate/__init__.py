"""May this call run? Directives first, then deadline, breaker, quota, rate limit and bulkhead."""

from .breaker import Breaker, BreakerPolicy, Transition
from .bulkhead import Bulkhead, BulkheadPolicy
from .limits import CpuQuota, QuotaPolicy, RateLimit, RatePolicy
from .rules import Rule, resolve
from .subscription import DirectiveFile, Subscription

__all__ = [
    "Breaker",
    "BreakerPolicy",
    "Bulkhead",
    "BulkheadPolicy",
    "CpuQuota",
    "DirectiveFile",
    "QuotaPolicy",
    "RateLimit",
    "RatePolicy",
    "Rule",
    "Subscription",
    "Transition",
    "resolve",
]
