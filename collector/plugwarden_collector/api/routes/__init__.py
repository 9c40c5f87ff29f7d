"""The routes of the HTTP API: one file a noun, each a function of `Parts`."""

from .alertmanager import alertmanager_routes
from .alerts import alert_routes
from .audit import audit_routes
from .backup import backup_routes
from .budgets import budget_routes
from .caller import caller_routes
from .capacity import capacity_routes
from .corrections import correction_routes
from .directives import directive_routes
from .health import health_routes
from .logs import log_routes
from .notifications import notification_routes
from .plugins import plugin_routes
from .pushed_alerts import pushed_routes
from .quarantine import quarantine_routes
from .query import query_routes
from .rules import rules_routes
from .silences import silence_routes
from .traces import trace_routes
from .upkeep import upkeep_routes
from .upstreams import upstream_routes

__all__ = ["ROUTERS"]

ROUTERS = (
    health_routes,
    caller_routes,
    query_routes,
    plugin_routes,
    upstream_routes,
    rules_routes,
    budget_routes,
    alert_routes,
    silence_routes,
    correction_routes,
    notification_routes,
    capacity_routes,
    trace_routes,
    log_routes,
    quarantine_routes,
    directive_routes,
    pushed_routes,
    alertmanager_routes,
    upkeep_routes,
    backup_routes,
    audit_routes,
)
