"""Plugwarden's sidecar: wraps the plugin calls of a host, watches them, and keeps a bad one out."""

from plugwarden.errors import CallNotPermitted, ConfigurationError, PluginQuarantined, PlugwardenError
from plugwarden.gate import BreakerPolicy
from plugwarden.settings import Settings
from plugwarden.sidecar import Sidecar

__all__ = [
    "BreakerPolicy",
    "CallNotPermitted",
    "ConfigurationError",
    "PluginQuarantined",
    "PlugwardenError",
    "Settings",
    "Sidecar",
]
__version__ = "0.1.0"
