"""The resource that all telemetry of this process carries."""

from __future__ import annotations

import os

from opentelemetry.sdk.resources import Resource

from plugwarden.contract import attributes
from plugwarden.settings import Settings

__all__ = ["make_resource"]


def make_resource(settings: Settings) -> Resource:
    """Settings over OTEL_RESOURCE_ATTRIBUTES over the SDK's defaults."""
    values: dict[str, str | int] = {
        **settings.resource,
        attributes.SERVICE_NAME: settings.service,
        attributes.SERVICE_INSTANCE_ID: settings.instance_id,
        attributes.HOST_NAME: settings.host_name,
        "process.pid": os.getpid(),
        "telemetry.distro.name": "plugwarden",
    }
    if settings.environment:
        values[attributes.ENVIRONMENT] = settings.environment
    return Resource.create(values)
