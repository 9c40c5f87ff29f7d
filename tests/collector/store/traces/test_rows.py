"""A trace by its id says what the view says, without asking it."""

from __future__ import annotations

import httpx2
import numpy as np
import pyarrow as pa
import pytest
from plugwarden_collector.store import Database
from plugwarden_collector.store.duckdb.traces.index import TraceIndex, _Closed, _Open
from plugwarden_collector.store.duckdb.traces.rows import text_map

from tests.collector.conftest import Running
from tests.collector.support.small_store import fill


@pytest.mark.parametrize(
    "text",
    [
        '{"a":"b"}',
        "{}",
        '{ "a" : "b" , "c" : 1 }',
        '{"n":1,"big":18446744073709551615,"d":1.5,"m":-3,"t":true,"f":false,"z":null}',
        '{"list":[1,2,{"x":"}"}],"map":{"k":"v\\"w","deep":{"a":[]}},"s":"[not a list]","n":2.5}',
        '{"\\u00e9\\n":"\\ud83d\\ude42","":"empty"}',
        None,
    ],
)
def test_attributes_of_a_trace_are_those_of_the_view(database: Database, text: str | None) -> None:
    with database.reading() as cursor:
        wanted = cursor.execute("select text_map($text::varchar)", {"text": text}).fetchall()[0][0]
    assert text_map(text) == wanted


def test_a_trace_is_what_the_view_says_of_it(collector: Running) -> None:
    fill(collector)
    wanted = collector.api.query("select * from spans where plugin_id is not null limit 50").to_pylist()
    assert wanted
    for row in wanted:
        answer = httpx2.get(f"{collector.url}/api/v1/traces/{row['trace_id']}").json()
        found = next(item for item in answer["spans"] if item["span_id"] == row["span_id"])
        for name in set(found) - {"attributes", "events", "started_at"}:
            assert found[name] == row[name], name
        assert found["attributes"] == dict(row["attributes"])
        assert [item["name"] for item in found["events"]] == [item["name"] for item in row["events"]]


def test_a_trace_in_closed_blocks_is_not_looked_for_in_the_open_one() -> None:
    index = TraceIndex.__new__(TraceIndex)
    index._closed, index._open_to, index._open_spans = _Closed((), 0), 0, 0
    index._open, index._unsure = _Open(np.empty(4, np.uint64), 0), False
    for batch in range(3):
        ids = pa.array([batch * 3 + 1, batch * 3 + 2, batch * 3 + 3], pa.uint64())
        index.add(batch, ids, ids)
        assert index.candidates(1, 1) == [(0, 2**63 - 1)]
    assert index.candidates(77, 77) == []
    with pytest.raises(AttributeError):
        index.add(3, None, None)  # whatever these hold is stored all the same
    assert index.candidates(77, 77) == [(0, 2**63 - 1)]
