"""Marks of direction and control characters of telemetry reach no page: not its texts, tables, choices or charts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from plugwarden_dashboards import frames
from streamlit.testing.v1 import AppTest

from tests.collector.conftest import Running
from tests.collector.test_wording import evil  # noqa: F401 - a fixture

from . import linked
from .test_pages import PAGES, draw

DECEIVING = {
    *map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)),
    "\x1b",
    "\x07",
    "\x9b",
    *map(chr, (0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF)),
}
"""What shows a text backwards, moves a cursor, or cannot be seen."""

pytestmark = pytest.mark.filterwarnings("ignore")  # Streamlit's test runner uses what its dependencies deprecate


def _shown(page: AppTest) -> Iterator[str]:
    """Give every text that a page sends to a browser."""
    for kind in ("markdown", "text", "metric", "info", "warning", "error", "success", "caption", "subheader", "code"):
        for element in page.get(kind):
            yield f"{element.proto}"
    yield from linked.strings(linked.elements(page))
    for box in page.selectbox:
        yield from box.options
    for frame in page.dataframe:
        yield frame.value.to_csv()
    for chart in page.get("vega_lite_chart"):
        proto: Any = chart.proto
        yield proto.spec
        for data in (*(item.data.data for item in proto.datasets), proto.data.data):
            if data:
                with pa.ipc.open_stream(data) as reader:
                    yield str(reader.read_all().to_pylist())


@pytest.mark.parametrize("name", PAGES)
def test_no_page_holds_what_deceives_its_reader(
    name: str,
    evil: Running,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    query = {}
    if name == "trace":
        query["trace_id"] = evil.scalar("select any_value(trace_id) from spans")
    if name == "plugin":
        query["plugin"] = "=evil"
    texts = list(_shown(draw(name, evil.url, monkeypatch, **query)))
    assert texts
    assert [text for text in texts if DECEIVING & {*text}] == []


def test_a_legend_names_versions_harmlessly() -> None:
    calls = [{"time": "2026-01-01T00:00:00Z", "plugin_version": "1\u202e\u200b", "outcome": "success", "calls": 2}]
    frame: pd.DataFrame = frames.rates(calls, "version", 1.0)
    assert frame["version"].tolist() == ["1��"]
