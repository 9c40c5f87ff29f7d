"""May this call run? Directives first, then deadline, breaker, quota, rate limit and bulkhead.

`subscription` is not loaded with the others: only who has a collector to ask, or a folder to keep directives in, needs it.
"""

from .breaker import Breaker, BreakerPolicy, Transition
from .bulkhead import Bulkhead, BulkheadPolicy
from .limits import CpuQuota, QuotaPolicy, RateLimit, RatePolicy
from .rules import Rule, by_plugin, resolve

__all__ = [
    "Breaker",
    "BreakerPolicy",
    "Bulkhead",
    "BulkheadPolicy",
    "CpuQuota",
    "QuotaPolicy",
    "RateLimit",
    "RatePolicy",
    "Rule",
    "Transition",
    "by_plugin",
    "resolve",
]
