"""Alerts that others push to us through Alertmanager's API."""

from .alerts import PushedAlerts, run_pushed_alerts
from .reading import MalformedAlertsError, PushedAlert, Refused, read_alerts

__all__ = ["MalformedAlertsError", "PushedAlert", "PushedAlerts", "Refused", "read_alerts", "run_pushed_alerts"]
