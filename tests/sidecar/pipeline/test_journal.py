"""What a process counted and no collector took: neither lost nor counted twice, whenever it is killed."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from plugwarden import Sidecar
from plugwarden.contract import Scope
from plugwarden.declaration import Declaration
from plugwarden.invocation import Invocation
from plugwarden.operation import Operation
from plugwarden.pipeline import journal as journal_module
from plugwarden.pipeline import pipeline as pipeline_module
from plugwarden.pipeline.aggregate import Aggregator
from plugwarden.pipeline.estate import Estate, _read
from plugwarden.pipeline.journal import Journal
from plugwarden.pipeline.outlet import OtlpOutlet, Verdict
from plugwarden.pipeline.region import RING, Region

from tests.sidecar.support.otlp_receiver import Receiver

ROOT = Path(__file__).parents[3]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def run(code: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A host of its own, in a file, so that a pool that is spawned can load it."""
    host = folder / "host.py"
    host.write_text(code)
    command = [sys.executable, "-W", "error", str(host), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done


HOST = """
import multiprocessing, os, sys
from plugwarden import Sidecar
sidecar = Sidecar(service='family', endpoint=sys.argv[1])
def work(i): return i
work = sidecar.wrap(work, plugin='p', version='1', operation='x')
def many(n):
    for i in range(n): work(i)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_that_is_terminated_has_counted_every_call(receiver: Receiver, method: str, tmp_path: Path) -> None:
    ending = """
if __name__ == '__main__':
    with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
        pool.map(work, range(1_000))
    assert sidecar.close(10)
"""
    run(HOST + ending, receiver.url, method, folder=tmp_path)
    assert sum(receiver.counts) == 1_000


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 15)"])
@pytest.mark.parametrize("calls", [30, 500])
def test_children_that_end_without_a_word_have_counted_every_call(
    receiver: Receiver, end: str, calls: int, tmp_path: Path
) -> None:
    ending = f"""
work(0)
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        many({calls})
        {end}
    children.append(child)
for child in children: os.waitpid(child, 0)
assert sidecar.close(10)
"""
    run(HOST + ending, receiver.url, folder=tmp_path)
    assert sum(receiver.counts) == 1 + 2 * calls
    assert sorted(receiver.instances.values()) == [1, calls, calls]  # each under its own identity


def test_a_host_with_a_state_folder_is_counted_by_the_next_that_starts(receiver: Receiver, tmp_path: Path) -> None:
    host = HOST.replace("sidecar = Sidecar(", "sidecar = Sidecar(state_dir=sys.argv[2], ")
    run(host + "many(700); os._exit(0)", receiver.url, str(tmp_path / "state"), folder=tmp_path)
    assert sum(receiver.counts) == 0
    run(host + "work(1)", receiver.url, str(tmp_path / "state"), folder=tmp_path)
    assert sum(receiver.counts) == 701
    assert list((tmp_path / "state" / "calls").iterdir()) == []


@pytest.mark.parametrize("kept", ["in memory", "in a state folder"])
def test_kills_at_random_moments_lose_no_call_and_count_none_twice(
    receiver: Receiver, kept: str, tmp_path: Path
) -> None:
    state = [] if kept == "in memory" else [str(tmp_path)]
    command = [sys.executable, "-m", "tests.sidecar.support.kill_host", receiver.url, "8", "20", *state]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    told = json.loads(done.stdout)
    assert told["flushed"] is True
    assert told["made"] <= sum(receiver.counts) <= told["made"] + told["in_flight"]


def invocation(operation: Operation, took_ns: int = 1_000) -> Invocation:
    made = Invocation()
    made.operation, made.parent, made.ids, made.more = operation, None, None, None
    made.started_ns = made.deadline_ns = 0
    made.duration_ns = took_ns
    return made


class Bookkeeping:
    """A journal with the folding and cutting that a pipeline does, a step at a time."""

    def __init__(self, folder: Path) -> None:
        self.region = Region.create(folder, 10)
        self.journal = Journal(
            self.region, {"service": "s"}, make_room=self.fold, spare=lambda invocation: self.spared.append(invocation)
        )
        self.spared: list[Invocation] = []
        self.aggregator = Aggregator()
        self.operations = [Operation(Scope("p", "1", f"x{number}"), Declaration()) for number in range(3)]
        self.recorded = self.taken = 0
        self.requests: list[tuple[int, bytes]] = []

    def record(self, number: int) -> None:
        self.journal.record(invocation(self.operations[number % 3], number))
        self.recorded += 1

    def fold(self) -> None:
        while self.journal.queue:
            self.aggregator.add(self.journal.queue.popleft())
            self.journal.folded += 1
        self.journal.fold(1, self.aggregator.cells, {})

    def cut(self) -> None:
        self.fold()
        calls = sum(cell.count for cell in self.aggregator.cells.values())
        self.requests.append((calls, b"%d" % len(self.requests) * 9))
        self.journal.cut(*self.requests[-1])
        self.aggregator.cut()

    def take(self) -> None:
        if self.requests:
            calls, request = self.requests.pop(0)
            self.journal.taken(request)
            self.taken += calls

    def owed(self) -> int:
        """What an heir would count if this process were killed now."""
        _, outbox, batch = _read(self.region.read())
        return sum(calls for calls, _ in outbox) + batch.calls


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["record", "burst", "fold", "cut", "take"]), max_size=40))
def test_at_every_step_an_heir_finds_what_was_recorded_and_not_taken(steps: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        books = Bookkeeping(Path(folder) / "calls")
        for step in steps:
            if step == "record":
                books.record(books.recorded)
            elif step == "burst":
                for number in range(RING // 3):
                    books.record(number)
            else:
                getattr(books, step)()
            assert books.owed() == books.recorded - books.taken
        assert books.spared == []
        books.region.discard()


def test_killed_within_a_commit_an_heir_finds_the_same(tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    for last_line in range(40):
        books = Bookkeeping(tmp_path / str(last_line))
        for number in range(50):
            books.record(number)
        books.cut()
        for number in range(30):
            books.record(number)
        lines = 0

        def trace(frame: Any, event: str, argument: Any, last: int = last_line) -> Any:
            nonlocal lines
            if event == "line" and frame.f_code.co_name == "commit":
                lines += 1
                if lines > last:
                    raise Killed
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            books.fold()
        except Killed:
            pass
        finally:
            sys.settrace(before)
        assert books.owed() == 80
        books.region.discard()
    assert lines < last_line  # the last of them was not killed at all


def test_what_the_ring_has_no_room_for_waits_for_the_fold(tmp_path: Path) -> None:
    books = Bookkeeping(tmp_path / "calls")
    for number in range(3 * RING):
        books.record(number)
    assert books.owed() == 3 * RING
    assert books.spared == []
    books.region.discard()


def test_names_of_other_scripts_take_the_room_of_their_bytes(tmp_path: Path) -> None:
    """Before, escaped as ASCII, thirty of these were more than there was room for, and the rest was counted under one name."""
    books = Bookkeeping(tmp_path / "calls")
    name = "\N{CJK UNIFIED IDEOGRAPH-6F22}" * 148
    books.operations = [Operation(Scope(name, name, f"{name}{number}"), Declaration()) for number in range(30)]
    for operation in books.operations:
        books.journal.record(invocation(operation))
    _, _, batch = _read(books.region.read())
    assert {key.operation.scope for key in batch.cells} == {item.scope for item in books.operations}
    books.region.discard()


def test_the_same_is_made_of_what_was_left_whoever_makes_it(tmp_path: Path) -> None:
    books = Bookkeeping(tmp_path / "calls")
    for number in range(10):
        books.record(number)
    books.journal.tell({"attributes": {"service.name": "s", "service.instance.id": "i"}})
    books.journal.forget()  # its process has ended, as far as locks can tell
    made = []
    for _ in range(2):
        outlet = OtlpOutlet(Sidecar(service="heir").settings, Resource({"service.name": "heir"}))
        estate = Estate(tmp_path / "calls", outlet.encode_left, lambda *drop: None)
        found = estate.oldest()
        assert found is not None
        assert found.items == 10
        made.append(found.data)
        estate.close()
    assert made[0] == made[1]


def test_what_is_no_region_is_deleted_counted_and_no_trouble(tmp_path: Path) -> None:
    drops: list[tuple[str, str, int]] = []
    estate = Estate(tmp_path, lambda batch, about: b"x", lambda *drop: drops.append(drop))
    (tmp_path / "1-2-3.calls").write_bytes(b"\xff" * 500)
    region = Region.create(tmp_path, 10)
    region.name(b"\xff\xfe no JSON")
    region.release()
    assert estate.oldest() is None
    assert drops == [("internal", "unreadable_calls", 1)] * 2
    assert list(tmp_path.iterdir()) == []


def test_regions_are_private_bounded_and_follow_no_link(tmp_path: Path) -> None:
    folder = tmp_path / "calls"
    regions = [Region.create(folder, 3) for _ in range(3)]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(region.path.stat().st_mode) for region in regions} == {0o600}
    with pytest.raises(OSError, match="holds 3 files"):
        Region.create(folder, 3)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        Region.create(tmp_path / "link", 3)
    (folder / "9.calls").symlink_to(regions[0].path)
    with pytest.raises(OSError):
        Region.open(folder / "9.calls")


def test_a_collector_that_is_away_leaves_calls_to_the_next_and_close_says_so(
    receiver: Receiver, tmp_path: Path
) -> None:
    receiver.status = 503
    state = tmp_path / "state"
    host = HOST.replace("sidecar = Sidecar(", "sidecar = Sidecar(state_dir=sys.argv[2], ")
    said = "work(1); print(sidecar.flush(0.3), sidecar.close(1), sidecar.close(1))"
    assert run(host + said, receiver.url, str(state), folder=tmp_path).stdout.split() == ["False"] * 3
    receiver.status = 200
    second = Sidecar(service="t", endpoint=receiver.url, state_dir=state)
    second.wrap(lambda: 1, plugin="p", version="1", operation="y")()
    assert second.close(10) is True
    assert sum(receiver.counts) == 2


def test_what_is_dropped_is_counted_in_calls_and_flush_and_close_say_so(
    outbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "send", lambda signal, data: Verdict.REFUSED)
    sidecar = Sidecar(service="t", trace_ratio=0.0)
    wrapped = sidecar.wrap(lambda: 1, plugin="p", version="1", operation="x")
    for _ in range(500):
        wrapped()
    assert sidecar.flush(5) is False
    assert sidecar._pipeline._tally.drops["metrics", "refused"] == 500
    monkeypatch.undo()
    assert sidecar.close(5) is False  # something it recorded never arrived


@pytest.mark.parametrize("where", ["encode_metrics", "send"])
def test_what_raises_for_a_while_loses_no_call(outbox: Any, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    target: Any = OtlpOutlet if where == "encode_metrics" else outbox
    working, fails = getattr(target, where), [True]

    def fail(*args: Any, **kwargs: Any) -> Any:
        if fails:
            raise DeprecationWarning("as an error")
        return working(*args, **kwargs)

    monkeypatch.setattr(target, where, fail)
    sidecar = Sidecar(service="t", trace_ratio=0.0, export_interval_seconds=0.1)
    wrapped = sidecar.wrap(lambda: 1, plugin="p", version="1", operation="x")
    for _ in range(5):
        wrapped()
        assert sidecar.flush(0.05) is False
    fails.clear()
    assert sidecar.close(10) is True
    assert outbox.calls() == 5


def test_overhead_is_the_callers_median_and_not_what_one_of_64_did_for_all(sidecar: Sidecar, outbox: Any) -> None:
    operation = Operation(Scope("p", "1", "x"), Declaration())
    aggregator = Aggregator()
    for number in range(640):
        one = invocation(operation)
        if number % 64 == 0:
            one.overhead_ns = 1_000 if number else 20_000_000  # the first of them folded what all had left
        aggregator.add(one)
    (cell,) = [cell for cell in aggregator.cells.values() if cell.overheads]
    assert cell.overhead_seconds_estimate == pytest.approx(640 * 1e-6)


def test_a_wait_for_a_place_is_no_overhead() -> None:
    operation = Operation(Scope("p", "1", "x"), Declaration())
    aggregator = Aggregator()
    one = invocation(operation)
    one.overhead_ns, one.queued_ns = 5_001_000, 5_000_000
    aggregator.add(one)
    (cell,) = aggregator.cells.values()
    assert cell.overheads == [1_000]


def test_children_inherit_no_answers_of_fallbacks(receiver: Receiver, tmp_path: Path) -> None:
    code = """
import os, sys
from plugwarden import Sidecar, Value
sidecar = Sidecar(service='f', endpoint=sys.argv[1])
def fail(): raise ValueError
call = sidecar.wrap(fail, plugin='p', version='1', operation='x', fallback=Value(1))
for _ in range(5): call()
child = os.fork()
if child == 0:
    call()
    assert sidecar._pipeline._interval._readings.answers().new == {(next(iter(sidecar.operations)), 'step 1'): 1}
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    run(code, receiver.url, folder=tmp_path)


def test_without_a_state_folder_or_a_parent_nothing_is_mapped(sidecar: Sidecar) -> None:
    sidecar.wrap(lambda: 1, plugin="p", version="1", operation="x")()
    assert sidecar._pipeline.intake.journal is None
    assert sidecar._pipeline.intake.append == sidecar._pipeline.intake.queue.append
    assert journal_module.PUBLISH_EVERY + pipeline_module.QUEUE_LIMIT < RING
