"""Ready-made wrapping for plugin systems and for hosts that use OpenTelemetry already."""
