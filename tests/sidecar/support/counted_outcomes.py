"""How calls were counted: outcome and error source."""

from __future__ import annotations

from plugwarden import Sidecar

PLUGIN, CALLER, CONTROL = ("error", "plugin"), ("error", "caller"), ("cancelled", "caller")


def outcomes(sidecar: Sidecar, operation: str = "call") -> dict[tuple[str, str], int]:
    """Calls by outcome and error source, as Prometheus reads them."""
    found: dict[tuple[str, str], int] = {}
    for family in sidecar.prometheus().collect():
        for sample in family.samples:
            labels = sample.labels
            if (
                sample.name == "plugin_invocation_duration_seconds_count"
                and labels["plugin_operation"] == operation
                and sample.value
            ):
                key = (labels["plugin_outcome"], labels["plugin_error_source"])
                found[key] = found.get(key, 0) + int(sample.value)
    return found
