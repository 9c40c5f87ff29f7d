"""Attribute keys, each written once here and nowhere else as a literal.

Own keys live under `plugin.`; where a stable OpenTelemetry convention exists, its key is used
(https://opentelemetry.io/docs/specs/semconv/).
"""

from typing import Final

PLUGIN_ID: Final = "plugin.id"
PLUGIN_VERSION: Final = "plugin.version"
PLUGIN_OPERATION: Final = "plugin.operation"
PLUGIN_OUTCOME: Final = "plugin.outcome"
PLUGIN_ERROR_SOURCE: Final = "plugin.error.source"
PLUGIN_REJECTION_REASON: Final = "plugin.rejection.reason"
PLUGIN_RUNTIME: Final = "plugin.runtime"
PLUGIN_FALLBACK: Final = "plugin.fallback"
PLUGIN_FALLBACK_ANSWER: Final = "plugin.fallback.answer"
PLUGIN_ABANDONED: Final = "plugin.abandoned"
PLUGIN_PROBE: Final = "plugin.probe"
PLUGIN_QUEUED: Final = "plugin.queue.wait"
PLUGIN_CPU: Final = "plugin.cpu.time"
PLUGIN_OWNER: Final = "plugin.owner"
PLUGIN_CRITICALITY: Final = "plugin.criticality"
PLUGIN_TERM: Final = "plugin.term"
PLUGIN_PREVIOUS_VERSION: Final = "plugin.previous.version"
PLUGIN_WORKER_END: Final = "plugin.worker.end"
PLUGIN_DOWNSTREAM: Final = "plugin.downstream"
PLUGIN_DIRECTIVE: Final = "plugin.directive.id"
PLUGIN_BREAKER_STATE: Final = "plugin.breaker.state"
PLUGIN_QUARANTINE_STATE: Final = "plugin.quarantine.state"
PLUGIN_SAMPLE_REASON: Final = "plugin.sample.reason"
PLUGIN_TRACE_CUT: Final = "plugin.trace.cut"
PLUGIN_DROP_REASON: Final = "plugin.telemetry.drop.reason"
PLUGIN_OVERHEAD_PART: Final = "plugin.telemetry.part"
PLUGIN_SIGNAL: Final = "plugin.telemetry.signal"

TENANT_ID: Final = "tenant.id"

ERROR_TYPE: Final = "error.type"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
CODE_FUNCTION: Final = "code.function.name"
CODE_FILE: Final = "code.file.path"
CODE_LINE: Final = "code.line.number"

SERVICE_NAME: Final = "service.name"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
HOST_NAME: Final = "host.name"
ENVIRONMENT: Final = "deployment.environment.name"
