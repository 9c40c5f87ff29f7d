"""The command and every page say the same of a plugin, as the collector has it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx2
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from tests.collector.conftest import Running, running
from tests.collector.support.command_line import plugwarden

from . import linked
from .test_pages import draw

RULES = """
[[slo]]
name = "others-are-fast"
sli = "latency"
plugins = "other-*"
threshold = "5s"
objective = 0.95
[[slo]]
name = "csv-is-fast"
sli = "latency"
plugins = "csv"
threshold = "250ms"
objective = 0.95
"""
OUTCOMES = {"success": 8, "error": 2, "rejected": 10}

pytestmark = pytest.mark.filterwarnings("ignore")  # Streamlit's test runner uses what its dependencies deprecate


@pytest.fixture(scope="module")
def held_back(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A collector that was told of one plugin, half of whose calls were refused."""
    folder = tmp_path_factory.mktemp("one_rule")
    (folder / "rules.toml").write_text(RULES)
    with running(folder / "data", folder / "rules.toml") as found:
        message = trace_service_pb2.ExportTraceServiceRequest()
        resource = message.resource_spans.add()
        resource.resource.attributes.add(key="service.name").value.string_value = "host"
        spans = resource.scope_spans.add()
        at = int(found.scalar("select epoch_ns(now()::timestamp)"))
        for number, outcome in enumerate(word for word, calls in OUTCOMES.items() for _ in range(calls)):
            span = spans.spans.add(
                trace_id=bytes([number + 1] * 16), span_id=bytes([number + 1] * 8), name="export",
                start_time_unix_nano=at - 10**9, end_time_unix_nano=at - 10**9 + 10**6,
            )  # fmt: skip
            for key, value in {"plugin.id": "csv", "plugin.version": "1", "plugin.outcome": outcome}.items():
                span.attributes.add(key=key).value.string_value = value
        headers = {"content-type": "application/x-protobuf"}
        answer = httpx2.post(f"{found.http}/v1/traces", content=message.SerializeToString(), headers=headers)
        assert answer.status_code == 200
        found.collector.warden.tick()
        yield found


def test_a_tenth_of_all_calls_and_a_fifth_of_those_that_ran_is_told_as_a_fifth(
    held_back: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = held_back.api.get("plugins")
    assert (row["calls"], row["failed"], row["rejected"], row["ran"]) == (20, 2, 10, 10)
    assert row["failed_ratio"] == held_back.api.get(("plugins", "csv"))["failed_ratio"] == 0.2
    assert "20 %" in plugwarden("plugins", url=held_back.url).stdout
    fleet = draw("fleet", held_back.url, monkeypatch)
    assert [row["Failed"] for row in linked.rows(fleet, "All plugins")] == ["20 %"]
    assert linked.tiles(fleet)["Success"] == "80 %"
    page = draw("plugin", held_back.url, monkeypatch, plugin="csv")
    assert linked.tiles(page)["Failed"] == "20 %"


def test_a_plugins_page_draws_the_thresholds_of_its_own_objectives(
    held_back: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [item["name"] for item in held_back.api.get(("plugins", "csv"))["objectives"]] == ["csv-is-fast"]
    page = draw("plugin", held_back.url, monkeypatch, plugin="csv")
    heatmap = json.loads(page.get("vega_lite_chart")[0].proto.spec)
    assert json.dumps(heatmap).count("threshold") > 0
    chart = page.get("vega_lite_chart")[0].proto
    drawn = {round(float(value), 6) for value in _thresholds(chart)}
    assert drawn == {0.25}


def _thresholds(chart: object) -> list[float]:
    """Return what the chart's data hold in a column `threshold`."""
    import pyarrow as pa

    found: list[float] = []
    for dataset in chart.datasets:  # type: ignore[attr-defined]
        with pa.ipc.open_stream(dataset.data.data) as reader:
            table = reader.read_all()
        if "threshold" in table.column_names:
            found += table.column("threshold").to_pylist()
    return found
