"""What the API takes and what it answers: one file a noun. `/openapi.json` is made from these."""

from plugwarden_collector.capacity.demand import Demand
from plugwarden_collector.capacity.growth import StoreGrowth
from plugwarden_collector.capacity.outlook import Curve, Outlook
from plugwarden_collector.capacity.showback import Share
from plugwarden_collector.capacity.whatif import WhatIf
from plugwarden_collector.control.planner import Standing

from .alerts import AlertRule, Alerts, ChangeRow, Pushed, PushProblem, Runbook
from .audit import Accepted, AuditEntry, AuditHeads, AuditVerdict
from .budgets import Budget, BudgetHistory
from .caller import Caller
from .corrections import Correction, CorrectionRequest
from .directives import Directives
from .health import Health, Status
from .logs import Logs
from .notifications import GivenUp, GiveUpRequest, Notifications
from .plugins import FleetSeries, Plugin, PluginDetail, PluginSeries
from .problem import Problem
from .quarantine import (
    Automation,
    AutomationRequest,
    QuarantineAct,
    QuarantineEndRequest,
    QuarantineForecast,
    QuarantineRequest,
    QuarantineRow,
    RunningCalls,
)
from .query import QueryAnswer, QueryRequest
from .rules import Rules, SloRow
from .silences import (
    Acknowledgement,
    AcknowledgementRequest,
    Silence,
    SilenceEnd,
    SilenceExtension,
    SilenceMade,
    SilencePreview,
    SilencePreviewRequest,
    SilenceRequest,
)
from .traces import Trace, TraceSummary
from .upkeep import Deletion, SetAside
from .upstreams import Upstream, Upstreams
from .words import ReasonedRequest

__all__ = [
    "Accepted",
    "Acknowledgement",
    "AcknowledgementRequest",
    "AlertRule",
    "Alerts",
    "AuditEntry",
    "AuditHeads",
    "AuditVerdict",
    "Automation",
    "AutomationRequest",
    "Budget",
    "BudgetHistory",
    "Caller",
    "ChangeRow",
    "Correction",
    "CorrectionRequest",
    "Curve",
    "Deletion",
    "Demand",
    "Directives",
    "FleetSeries",
    "GiveUpRequest",
    "GivenUp",
    "Health",
    "Logs",
    "Notifications",
    "Outlook",
    "Plugin",
    "PluginDetail",
    "PluginSeries",
    "Problem",
    "PushProblem",
    "Pushed",
    "QuarantineAct",
    "QuarantineEndRequest",
    "QuarantineForecast",
    "QuarantineRequest",
    "QuarantineRow",
    "QueryAnswer",
    "QueryRequest",
    "ReasonedRequest",
    "Rules",
    "Runbook",
    "RunningCalls",
    "SetAside",
    "Share",
    "Silence",
    "SilenceEnd",
    "SilenceExtension",
    "SilenceMade",
    "SilencePreview",
    "SilencePreviewRequest",
    "SilenceRequest",
    "SloRow",
    "Standing",
    "Status",
    "StoreGrowth",
    "Trace",
    "TraceSummary",
    "Upstream",
    "Upstreams",
    "WhatIf",
]  # fmt: skip
