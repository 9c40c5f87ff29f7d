"""The fast way and the general way make the same of every request, or the fast way leaves it alone."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from plugwarden_collector.errors import MalformedTelemetryError
from plugwarden_collector.receive.decode import native
from plugwarden_collector.receive.decode.batch import Batch, Signal
from plugwarden_collector.receive.decode.fast import read_plain
from plugwarden_collector.receive.decode.identity import Identity
from plugwarden_collector.receive.decode.metrics import read_metrics
from plugwarden_collector.receive.decode.naming import leave_out_unnameable
from plugwarden_collector.receive.decode.native import available
from plugwarden_collector.receive.decode.redacted import redacted_batch
from plugwarden_collector.receive.decode.requests import parse, read, read_many
from plugwarden_collector.receive.decode.spans import read_spans

from tests.collector.support.otlp_requests import NOW, damaged, full_requests, metric_requests, trace_requests
from tests.collector.support.sanitized_decoder import build, environment, sanitizers
from tests.share import repetitions

from .test_decode import spans

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler: the fast way was not built")

ROOT = Path(__file__).parents[4]
READERS = {Signal.TRACES: read_spans, Signal.METRICS: read_metrics}
REQUESTS = st.one_of(
    st.tuples(st.just(Signal.TRACES), st.lists(trace_requests(), min_size=1, max_size=4)),
    st.tuples(st.just(Signal.METRICS), st.lists(metric_requests(), min_size=1, max_size=4)),
)
SOURCES = st.sampled_from(
    [
        Identity(),
        Identity(("scope.name",)),
        Identity(("gen_ai.tool.name", "plugin.id", "service.name")),
        Identity(("tenant.id", "scope.name", "plugin.version")),
    ]
)


def general(signal: Signal, body: bytes, identity: Identity) -> Batch | None:
    if not body:
        return Batch(signal)
    try:
        return redacted_batch(leave_out_unnameable(READERS[signal](parse(signal, body), identity, NOW)))
    except MalformedTelemetryError:
        return None


def plain(value: Any) -> Any:
    """A stored value to compare by: NaN is not the same as itself."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def assert_same(signal: Signal, bodies: Sequence[bytes], identity: Identity) -> bool:
    """Whether the fast way took them."""
    together = read_plain(signal, bodies, identity, NOW)
    if together is None:
        return False
    assert len(together) == len(bodies)
    for fast, body in zip(together, bodies, strict=True):
        slow = general(signal, body, identity)
        assert slow is not None, "the fast way took what cannot be read"
        assert (fast.accepted, fast.rejected, fast.adjusted) == (slow.accepted, slow.rejected, slow.adjusted)
        assert list(fast.tables) == list(slow.tables)
        for name, table in slow.tables.items():
            fast.tables[name].validate(full=True)
            assert fast.tables[name].schema == table.schema
            for column in table.column_names:
                mine, theirs = fast.tables[name][column], table[column]
                assert plain(mine.to_pylist()) == plain(theirs.to_pylist()), column
    return True


def test_the_library_is_there() -> None:
    assert available()


@given(REQUESTS, SOURCES)
@settings(deadline=None, max_examples=repetitions(400), suppress_health_check=[HealthCheck.too_slow])
def test_both_ways_make_the_same_of_what_is_well_formed(requests: tuple[Signal, list[Any]], identity: Identity) -> None:
    signal, messages = requests
    assert assert_same(signal, [message.SerializeToString() for message in messages], identity)


@given(REQUESTS, st.integers(0, 2**32), SOURCES)
@settings(deadline=None, max_examples=repetitions(600), suppress_health_check=[HealthCheck.too_slow])
def test_what_is_damaged_is_left_alone_or_read_the_same(
    requests: tuple[Signal, list[Any]], seed: int, identity: Identity
) -> None:
    chance, (signal, messages) = random.Random(seed), requests
    bodies = [message.SerializeToString() for message in messages]
    hurt = chance.randrange(len(bodies))
    bodies[hurt] = damaged(chance, bodies[hurt], bodies[-1])
    taken = assert_same(signal, [bodies[hurt]], identity)
    # What is odd in one sends all of them the other way, and nothing else does.
    assert assert_same(signal, bodies, identity) == taken


@given(st.lists(st.one_of(st.floats(), st.floats(-1e18, 1e18), st.integers(-1074, 1023).map(lambda power: 2.0**power))))
@settings(deadline=None, max_examples=repetitions(300))
def test_numbers_are_written_by_the_same_rules(numbers: list[float]) -> None:
    message = spans(max(1, len(numbers)))
    for span, number in zip(message.resource_spans[0].scope_spans[0].spans, numbers, strict=False):
        for key in ("tenant.id", "other"):
            span.attributes.add(key=key).value.double_value = number
        span.attributes.add(key="nested").value.array_value.values.add().double_value = number
    assert assert_same(Signal.TRACES, [message.SerializeToString()], Identity())


def test_many_real_requests_at_once_are_what_each_is_by_itself() -> None:
    bodies = [spans(count).SerializeToString() for count in (3, 0, 1, 700)] + [b""]
    together = read_many(Signal.TRACES, bodies, now_ns=NOW)
    assert together is not None
    assert [batch.accepted for batch in together] == [3, 0, 1, 700, 0]
    for body, batch in zip(bodies, together, strict=True):
        alone = read(Signal.TRACES, body, now_ns=NOW)
        assert {name: table.to_pylist() for name, table in batch.tables.items()} == {
            name: table.to_pylist() for name, table in alone.tables.items()
        }


@given(REQUESTS)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_duckdb_reads_from_the_slice_of_each_request_what_is_in_it(requests: tuple[Signal, list[Any]]) -> None:
    signal, messages = requests
    batches = read_plain(signal, [message.SerializeToString() for message in messages], Identity(), NOW)
    assert batches is not None
    for batch in batches:
        for table in batch.tables.values():
            with duckdb.connect() as connection:
                connection.register("staged", table)
                read_back = connection.sql("select * from staged").to_arrow_table()
            assert plain(read_back.to_pylist()) == plain(table.to_pylist())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda span: setattr(span, "span_id", b"short"),
        lambda span: setattr(span, "start_time_unix_nano", 1),
    ],
)
def test_what_is_odd_takes_the_general_way(spoil: Any) -> None:
    message = spans(3)
    spoil(message.resource_spans[0].scope_spans[0].spans[1])
    assert read_plain(Signal.TRACES, [message.SerializeToString()], Identity(), NOW) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda metric: setattr(metric.gauge.data_points[0], "time_unix_nano", 1),
        lambda metric: metric.histogram.data_points.add(
            time_unix_nano=NOW, bucket_counts=[1, 2, 3], explicit_bounds=[1.0]
        ),
        lambda metric: metric.summary.data_points.add(time_unix_nano=NOW).quantile_values.add(quantile=0.5, value=1),
    ],
)
def test_points_that_are_odd_take_the_general_way(spoil: Any) -> None:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    metric.gauge.data_points.add(time_unix_nano=NOW, as_int=1)
    good = message.SerializeToString()
    assert read_plain(Signal.METRICS, [good], Identity(), NOW) is not None
    spoil(metric)
    odd = message.SerializeToString()
    assert read_plain(Signal.METRICS, [odd], Identity(), NOW) is None
    assert read_plain(Signal.METRICS, [good, odd, good], Identity(), NOW) is None


def test_data_of_two_kinds_in_one_metric_takes_the_general_way() -> None:
    message = metrics_service_pb2.ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="m")
    metric.gauge.data_points.add(time_unix_nano=NOW, as_int=1)
    first = metric.SerializeToString()
    metric.sum.data_points.add(time_unix_nano=NOW, as_int=2)
    both = first + metric.SerializeToString()
    body = both
    for _ in range(3):  # metric in scope in group in request: fields 2, 2 and 1, all shorter than 128 bytes
        number = 1 if _ == 2 else 2
        body = bytes([number << 3 | 2, len(body)]) + body
    assert read_plain(Signal.METRICS, [body], Identity(), NOW) is None
    assert read(Signal.METRICS, body, now_ns=NOW).accepted


def test_lists_of_attributes_are_taken_up_to_a_length() -> None:
    for signal, full, longer in zip(READERS, full_requests(64), full_requests(65), strict=True):
        assert assert_same(signal, full, Identity())
        for body in longer:
            assert read_plain(signal, [body], Identity(), NOW) is None
            assert read(signal, body, now_ns=NOW).accepted == 1


def test_what_a_long_name_makes_too_large_takes_the_general_way() -> None:
    message = spans(70)
    message.resource_spans[0].scope_spans[0].scope.name = "n" * 2**20
    assert read_plain(Signal.TRACES, [message.SerializeToString()], Identity(), NOW) is None
    message.resource_spans[0].scope_spans[0].scope.name = "n" * 2**19
    assert read_plain(Signal.TRACES, [message.SerializeToString()], Identity(), NOW) is not None


def test_values_nested_without_end_take_the_general_way() -> None:
    message = spans()
    value = message.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="deep").value
    for _ in range(40):
        value = value.array_value.values.add()
    assert read_plain(Signal.TRACES, [message.SerializeToString()], Identity(), NOW) is None


def test_rows_outlive_what_they_were_read_from_and_with() -> None:
    batches = read_plain(Signal.TRACES, [spans(50).SerializeToString() for _ in range(8)], Identity(), NOW)
    assert batches is not None
    last = batches[-1].tables["incoming_spans"]
    del batches
    for _ in range(50):  # whatever was let go of is now something else
        read_plain(Signal.TRACES, [spans(50).SerializeToString()], Identity(), NOW)
    assert last["name"].to_pylist() == [f"span {number}" for number in range(50)]


def test_without_the_library_everything_works_as_well() -> None:
    code = (
        "from plugwarden_collector.receive.decode.native import available\n"
        "from plugwarden_collector.receive.decode.requests import Signal, read, read_many\n"
        f"body = bytes.fromhex({spans(2).SerializeToString().hex()!r})\n"
        f"print(available(), read(Signal.TRACES, body, now_ns={NOW}).accepted)\n"
        f"print(read_many(Signal.TRACES, [body], now_ns={NOW}), len(read_many(Signal.METRICS, [b'', b''])))"
    )
    environ = {**os.environ, "PLUGWARDEN_NATIVE": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
    assert done.stdout.split() == ["False", "2", "None", "2"]


@pytest.mark.skipif(not sanitizers(), reason="no gcc with its sanitizers")
def test_damaged_requests_do_not_touch_memory_that_is_not_theirs(tmp_path: Path) -> None:
    seed = str(random.randrange(2**32))
    command = [sys.executable, "-m", "tests.collector.support.sanitized_decoder", "--library", str(build(tmp_path))]
    done = subprocess.run(
        [*command, "--inputs", str(repetitions(2000)), "--seed", seed],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=ROOT,
    )
    assert done.returncode == 0, f"--seed {seed}: {done.stderr}"
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["traces", "metrics"]


def test_a_library_with_other_columns_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert native._library.__wrapped__() is not None
    monkeypatch.setitem(native._COLUMNS, Signal.METRICS, native.POINT_COLUMNS[1:])
    assert native._library.__wrapped__() is None
