"""Planners in Python: frames and tables that say the same, and the notebook, cell by cell against a real collector."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pytest
from plugwarden_collector.api.plans import Plans

from tests.collector.conftest import Running, running
from tests.collector.support.small_store import fill
from tests.collector.support.waiting import eventually

ROOT = Path(__file__).parents[3]
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("plans")) as found:
        fill(found)
        eventually(lambda: len(found.api.plans.demand().rows) == 2)
        yield found


def test_there_is_a_notebook() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_its_first_cell_to_its_last(
    small_store: Running, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a kernel would run it; there is none in the lock file, and cells of plain Python need none."""
    monkeypatch.setenv("PLUGWARDEN_COLLECTOR_URL", small_store.url)
    notebook = json.loads(path.read_text("utf-8"))
    assert (notebook["nbformat"], len({cell["id"] for cell in notebook["cells"]})) == (4, len(notebook["cells"]))
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "outputs of somebody's run are not kept"
            exec(compile("".join(cell["source"]), f"{path.name} {cell['id']}", "exec"), names)
    assert len(names["demand"]) == 2


def test_frames_and_tables_say_the_same(small_store: Running) -> None:
    plans = small_store.api.plans
    answers = [
        plans.demand(), plans.demand(by="operation"), plans.utilisation(), plans.until_full(), plans.forecast("csv", days=2),
        plans.what_if("traffic=2"), plans.showback(), plans.store(),
    ]  # fmt: skip
    for answer in answers:
        frame, table = answer.frame(), answer.table()
        assert len(answer.rows) == len(frame) == table.num_rows > 0
        assert list(frame.columns) == table.column_names
    demand = plans.demand(plugin="csv").table()
    assert demand.column("plugin_id").to_pylist() == ["csv"]
    assert plans.demand(plugin="nobody").rows == ()
    assert plans.demand(plugin="nobody").frame().empty


def test_what_is_nested_is_flat_and_what_is_not_known_is_null() -> None:
    past = [{"time": "2026-11-20T11:00:00Z", "value": 1.0}, {"time": "2026-11-20T12:00:00Z", "value": None}]
    ahead = [{"time": "2026-11-20T13:00:00Z", "expected": 2.0}]
    found = Plans(lambda *_, **__: {"past": past, "ahead": ahead}).forecast("csv")
    table = found.table()
    assert table.schema.field("time").type == pa.timestamp("us", "UTC")
    assert table.column("time").to_pylist()[2] == datetime(2026, 11, 20, 13, tzinfo=UTC)
    assert table.column("value").to_pylist() == [1.0, None, None]
    assert table.column("expected").to_pylist() == [None, None, 2.0]
    assert str(found.frame()["time"].dt.tz) == "UTC"
    nested = Plans(lambda *_, **__: [{"limit": {"plugin_id": "csv"}, "until": {"median_days": None}}]).until_full()
    assert nested.rows == ({"limit_plugin_id": "csv", "until_median_days": None},)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("capacity/what-if", {"change": "traffic=1e-320", "since": "7d"}),  # what is left is more than a number holds
        ("traces", {"since": "1970-01-01", "until": "8999-12-31"}),
        ("plugins/csv", {"since": "1970-01-01", "until": "8999-12-31"}),
    ],
)
def test_the_most_that_can_be_asked_for_has_an_answer_that_strict_readers_take(
    small_store: Running, path: str, asked: dict[str, str]
) -> None:
    answer = httpx2.get(f"{small_store.url}/api/v1/{path}", params=asked)
    assert answer.status_code == 200, answer.text
    json.loads(answer.text, parse_constant=pytest.fail)
