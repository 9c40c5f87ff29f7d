"""The resource that all telemetry of this process carries."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from opentelemetry.util.types import AttributeValue

from plugwarden.contract import attributes
from plugwarden.contract.value import value
from plugwarden.settings import Settings
from plugwarden.version import __version__

__all__ = ["Resource", "make_resource", "resource_from"]


@value
class Resource:
    """Who sends. The SDK's class of this name says the same; hosts with exporters of their own are given that one."""

    attributes: Mapping[str, AttributeValue]


def make_resource(settings: Settings) -> Resource:
    """Settings, which have OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME in them, and what the process knows of itself."""
    values: dict[str, AttributeValue] = {
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "plugwarden",
        "telemetry.sdk.version": __version__,
        "process.pid": os.getpid(),
        "telemetry.distro.name": "plugwarden",
        **settings.resource,
        attributes.SERVICE_NAME: settings.service,
        attributes.SERVICE_INSTANCE_ID: settings.instance_id,
        attributes.HOST_NAME: settings.host_name,
    }
    if settings.environment:
        values[attributes.ENVIRONMENT] = settings.environment
    return Resource(values)


def resource_from(about: Mapping[str, Any], settings: Settings) -> Resource:
    """The resource of a process that has ended: its attributes, or what it said of itself before it had made them."""
    if "attributes" in about:
        return Resource(about["attributes"])
    own = {name: value for name, value in about.items() if name != "pid"}
    made = make_resource(dataclasses.replace(settings, **own))
    return Resource({**made.attributes, "process.pid": about["pid"]})
