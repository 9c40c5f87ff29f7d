"""Sidecars whose exporter is the process's edge: it keeps what it is given, or fails when told to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from plugwarden import Sidecar
from plugwarden.pipeline import pipeline as pipeline_module


class Outbox:
    """Stands where the OTLP exporters stand."""

    def __init__(self) -> None:
        self.metrics_sent: list[Any] = []
        self.metrics_tried: list[Any] = []
        self.spans_sent: list[Any] = []
        self.logs_sent: list[Any] = []
        self.works = True

    def metrics(self, data: Any) -> bool:
        self.metrics_tried.append(data)
        if self.works:
            self.metrics_sent.append(data)
        return self.works

    def spans(self, batch: Any) -> bool:
        if self.works:
            self.spans_sent.extend(batch)
        return self.works

    def logs(self, batch: Any) -> bool:
        if self.works:
            self.logs_sent.extend(batch)
        return self.works

    def shutdown(self) -> None:
        pass

    def calls(self, **wanted: str) -> int:
        """Invocations exported whose attributes match, `plugin_outcome` for `plugin.outcome`."""
        keys = {name.replace("_", "."): value for name, value in wanted.items()}
        total = 0
        for data in self.metrics_sent:
            for scope in data.resource_metrics[0].scope_metrics:
                for metric in scope.metrics:
                    if metric.name == "plugin.invocation.duration":
                        for point in metric.data.data_points:
                            if all(point.attributes.get(key) == value for key, value in keys.items()):
                                total += point.count
        return total


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def sidecar(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sidecar]:
    monkeypatch.setattr(pipeline_module.Pipeline, "_get_exporters", lambda self: outbox)
    made = Sidecar(service="test", trace_ratio=1.0, export_interval_seconds=0.2)
    yield made
    outbox.works = True
    made.close(timeout=5)
