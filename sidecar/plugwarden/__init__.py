"""Plugwarden's sidecar: wraps the plugin calls of a host, watches them, and keeps a bad one out.

The names below are loaded when they are first asked for: a program that reads the contract, or is started by `plugwarden run`
and loads no plugin, does not pay for the sidecar.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from plugwarden.version import __version__ as __version__

if TYPE_CHECKING:
    from plugwarden.codec import Codec
    from plugwarden.errors import (
        CallNotPermitted,
        ConfigurationError,
        DeadlineExceeded,
        PluginFailed,
        PluginQuarantined,
        PlugwardenError,
        QuotaExceeded,
        ResultRefused,
        WorkerDied,
    )
    from plugwarden.fallback import Fallback, LastGood, Value
    from plugwarden.gate import BreakerPolicy, BulkheadPolicy, QuotaPolicy, RatePolicy
    from plugwarden.grants import Grants
    from plugwarden.settings import Settings
    from plugwarden.sidecar import Sidecar
    from plugwarden.terms import Keywords, Terms
    from plugwarden.touches import Touches

__all__ = [
    "BreakerPolicy",
    "BulkheadPolicy",
    "CallNotPermitted",
    "Codec",
    "ConfigurationError",
    "DeadlineExceeded",
    "Fallback",
    "Grants",
    "Keywords",
    "LastGood",
    "PluginFailed",
    "PluginQuarantined",
    "PlugwardenError",
    "QuotaExceeded",
    "QuotaPolicy",
    "RatePolicy",
    "ResultRefused",
    "Settings",
    "Sidecar",
    "Terms",
    "Touches",
    "Value",
    "WorkerDied",
]
_HOMES = {
    "Codec": "codec",
    "CallNotPermitted": "errors",
    "ConfigurationError": "errors",
    "DeadlineExceeded": "errors",
    "PluginFailed": "errors",
    "PluginQuarantined": "errors",
    "PlugwardenError": "errors",
    "QuotaExceeded": "errors",
    "ResultRefused": "errors",
    "WorkerDied": "errors",
    "Fallback": "fallback",
    "LastGood": "fallback",
    "Value": "fallback",
    "BreakerPolicy": "gate",
    "BulkheadPolicy": "gate",
    "QuotaPolicy": "gate",
    "RatePolicy": "gate",
    "Grants": "grants",
    "Settings": "settings",
    "Sidecar": "sidecar",
    "Keywords": "terms",
    "Terms": "terms",
    "Touches": "touches",
}
"""Where each name stands."""


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
