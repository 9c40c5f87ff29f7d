"""Plugwarden's sidecar: wraps the plugin calls of a host, watches them, and keeps a bad one out."""

from plugwarden.declaration import Touches
from plugwarden.errors import (
    CallNotPermitted,
    ConfigurationError,
    DeadlineExceeded,
    PluginQuarantined,
    PlugwardenError,
    QuotaExceeded,
    ResultRefused,
    WorkerDied,
)
from plugwarden.fallback import Fallback, LastGood, Value
from plugwarden.gate import BreakerPolicy, BulkheadPolicy, QuotaPolicy, RatePolicy
from plugwarden.settings import Settings
from plugwarden.sidecar import Sidecar

__all__ = [
    "BreakerPolicy",
    "BulkheadPolicy",
    "CallNotPermitted",
    "ConfigurationError",
    "DeadlineExceeded",
    "Fallback",
    "LastGood",
    "PluginQuarantined",
    "PlugwardenError",
    "QuotaExceeded",
    "QuotaPolicy",
    "RatePolicy",
    "ResultRefused",
    "Settings",
    "Sidecar",
    "Touches",
    "Value",
    "WorkerDied",
]
__version__ = "0.1.0"
