"""Alerts that others push to us through Alertmanager's API, or by its webhook."""

from .alerts import MAX_KEPT, PushedAlerts, Reader, run_pushed_alerts
from .reading import MalformedAlertsError, PushedAlert, Refused, read_alerts, read_notice

__all__ = [
    "MAX_KEPT",
    "MalformedAlertsError",
    "PushedAlert",
    "PushedAlerts",
    "Reader",
    "Refused",
    "read_alerts",
    "read_notice",
    "run_pushed_alerts",
]
