"""Notes of deliveries and conditions: what the ledger does not take is counted, said once, tried again, and never in the way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.errors import StoreError
from plugwarden_collector.store import Notes, notes
from plugwarden_collector.store.ledger import Delivery, Note, TellingGone, TellingRow
from plugwarden_collector.store.ledger_rows import ConditionEvent
from plugwarden_collector.store.notes import MAX_WAITING
from plugwarden_collector.store.spare import SpareLog

from tests.collector.conftest import running
from tests.collector.support.sealed_log import condition, write
from tests.collector.support.stores import AT, path_of
from tests.collector.support.waiting import eventually


def told(number: int) -> Delivery:
    return Delivery(AT + timedelta(seconds=number), "pager", f"a-{number}", "begun", 1, None, "{}", f"n-{number}")


def event(number: int) -> ConditionEvent:
    return ConditionEvent(AT + timedelta(seconds=number), f"c-{number}", "disk", "page", "inactive", "firing", "full")


def spare_log(path: Path | None = None) -> SpareLog:
    """A spare log on a file that is gone with it, or on one that stays."""
    if path is not None:
        return SpareLog(path)
    with TemporaryDirectory() as folder:
        return SpareLog(Path(folder) / "attempts.spare")


class Ledger:
    """Takes notes, or fails at them in the way it is told to."""

    def __init__(self) -> None:
        self.stored: list[Note] = []
        self.error: Exception | None = None
        self.poison: Note | None = None
        self.held: list[tuple[list[Note], Future[None]]] | None = None
        self.attempts = 0

    def recorded(self, ids: Sequence[str]) -> set[str]:
        return {item.id for item in self.stored if isinstance(item, Delivery)} & set(ids)

    def record(self, notes: Sequence[Note]) -> Future[None]:
        self.attempts += 1
        done: Future[None] = Future()
        found = list(notes)
        if self.held is not None:
            self.held.append((found, done))
        elif self.error is not None or self.poison in found:
            done.set_exception(self.error or ValueError("half of a surrogate pair"))
        else:
            self.stored += found
            done.set_result(None)
        return done

    def let(self) -> None:
        """Store what is held."""
        held, self.held = self.held or [], None
        for found, done in held:
            self.stored += found
            done.set_result(None)


def test_what_the_ledger_does_not_take_is_counted_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger()
    book, ledger.error = Notes(ledger, spare_log()), StoreError("no room")
    for number in range(3):
        book.add(told(number))
        book.flush()
    assert (book.waiting, book.lost, book.failures) == (3, 0, ledger.attempts)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "no room" in caplog.text
    ledger.error = None
    book.flush()
    assert (ledger.stored, book.waiting, book.lost) == ([told(0), told(1), told(2)], 0, 0)


def test_a_note_that_can_never_be_stored_costs_itself_alone(caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger()
    book, ledger.held, ledger.poison = Notes(ledger, spare_log()), [], event(2)
    for number in range(5):
        book.add(event(number))
    ledger.let()
    for _ in range(6):
        book.flush()
    assert ledger.stored == [event(number) for number in (0, 1, 3, 4)]
    assert (book.lost, book.waiting) == (1, 0)
    assert "c-2 is not recorded (1 lost)" in caplog.text


def test_what_is_noted_together_is_stored_together_also_after_the_ledger_took_nothing() -> None:
    """Before, notes went one by one then, and a kill between two left half of what belongs together."""
    ledger = Ledger()
    book, ledger.error = Notes(ledger, spare_log()), StoreError("no room")
    book.add(told(0), event(0))
    book.add(told(1), event(1))
    ledger.error, ledger.held = None, []
    book.flush()
    ((found, _),) = ledger.held
    assert found == [told(0), event(0)]
    ledger.let()
    assert ledger.stored == [told(0), event(0), told(1), event(1)]


def test_what_is_noted_with_one_that_can_never_be_stored_is_stored_without_it() -> None:
    ledger = Ledger()
    book, ledger.poison = Notes(ledger, spare_log()), event(1)
    book.add(event(0), event(1), event(2))
    for _ in range(6):
        book.flush()
    assert (ledger.stored, book.lost, book.waiting) == ([event(0), event(2)], 1, 0)


def test_while_one_is_under_way_others_wait_and_go_together() -> None:
    ledger = Ledger()
    book, ledger.held = Notes(ledger, spare_log()), []
    for number in range(4):
        book.add(told(number))
    assert ledger.attempts == 1
    ledger.let()
    assert (ledger.attempts, ledger.stored) == (2, [told(number) for number in range(4)])


def test_of_more_than_may_wait_conditions_go_and_attempts_do_not_begin() -> None:
    ledger = Ledger()
    book, ledger.error = Notes(ledger, spare_log()), StoreError("no room")
    book.add(event(0))
    for number in range(MAX_WAITING + 7):
        book.add(told(number))
    assert (book.waiting, book.lost, book.full) == (MAX_WAITING + 7, 1, True)
    ledger.error = None
    book.flush()
    assert (ledger.stored, book.full) == ([told(number) for number in range(MAX_WAITING + 7)], False)


def test_whoever_notes_something_may_wait_until_it_is_stored_or_gone() -> None:
    ledger = Ledger()
    book, ledger.held = Notes(ledger, spare_log()), []
    first = book.add(told(0), told(1))
    assert not first.done()
    ledger.let()
    assert first.done()
    assert ledger.stored == [told(0), told(1)]
    ledger.poison = told(2)
    second = book.add(told(2))
    book.flush()
    assert (second.done(), book.lost) == (True, 1)


@pytest.mark.parametrize("error", [None, StoreError("the collector is shutting down")])
def test_a_stop_stores_what_waits_or_says_how_much_is_lost(
    error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger()
    book, ledger.error = Notes(ledger, spare_log()), StoreError("no room")
    book.add(told(1))
    book.add(event(2))
    ledger.error = error
    book.close(5)
    if error is None:
        assert (ledger.stored, book.lost) == ([told(1), event(2)], 0)
    else:
        assert (ledger.stored, book.lost) == ([], 2)
        assert "2 deliveries and changes of conditions are not recorded" in caplog.text


def test_a_stop_does_not_wait_for_a_ledger_that_hangs() -> None:
    ledger = Ledger()
    book, ledger.held = Notes(ledger, spare_log()), []
    book.add(told(1))
    book.close(0.01)
    assert book.lost == 1


@given(st.lists(st.sampled_from(["note", "fail", "take", "flush"]), max_size=60))
def test_whatever_happens_each_note_is_stored_once_and_in_order(steps: list[str]) -> None:
    ledger = Ledger()
    book, noted = Notes(ledger, spare_log()), list[Note]()
    for step in steps:
        match step:
            case "note":
                noted.append(told(len(noted)))
                book.add(noted[-1])
            case "fail":
                ledger.error = StoreError("no room")
            case "take":
                ledger.error = None
            case _:
                book.flush()
    ledger.error = None
    book.close(5)
    assert (ledger.stored, book.lost) == (noted, 0)


def test_notes_of_many_threads_are_all_stored() -> None:
    ledger = Ledger()
    book = Notes(ledger, spare_log())

    def add(first: int) -> None:
        for number in range(first, first + 200):
            book.add(told(number))

    threads = [threading.Thread(target=add, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    book.close(5)
    assert len(ledger.stored) == 800
    assert len({note.fingerprint for note in ledger.stored}) == 800


def test_a_change_of_a_condition_that_the_store_did_not_take_is_recorded_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "RETRY_SECONDS", 0.05)
    write(tmp_path / "data", 3)
    connection = duckdb.connect(str(path_of(tmp_path / "data")))
    connection.execute("delete from decisions where sequence > 1")
    connection.close()
    with running(tmp_path / "data") as collector:
        assert condition(collector) == "firing"
        ended = "select count(*) from alert_events where fingerprint = 'c-audit_log_broken' and after = 'inactive'"
        writer = collector.collector.writer
        writer.run(lambda connection: connection.execute("alter table alert_events rename to away")).result(30)
        collector.api.post("audit/accept", {"reason": "a test"})
        assert condition(collector) == "inactive"
        failures = "plugwarden_note_failures_total 0.0"
        eventually(lambda: failures not in httpx2.get(f"{collector.url}/metrics").text)
        writer.run(lambda connection: connection.execute("alter table away rename to alert_events")).result(30)
        eventually(lambda: writer.run(lambda connection: connection.execute(ended).fetchall()).result(30) == [(1,)])
        assert "plugwarden_notifications_unrecorded_total 0.0" in httpx2.get(f"{collector.url}/metrics").text


def row(number: int, subject: str = "{}") -> TellingRow:
    return TellingRow("pager", f"a-{number}", AT, None, None, subject, None)


def test_of_what_a_receiver_holds_only_the_last_waits_and_it_keeps_nobody_from_telling() -> None:
    """Before, each look at what is due left rows that the store did not take; soon nobody was told that the disk is full."""
    ledger = Ledger()
    ledger.error = StoreError("no room")
    book = Notes(ledger, spare_log())
    added = [book.add(row(number % 10, f"{number}")) for number in range(3 * MAX_WAITING)]
    assert (book.waiting, book.full, book.lost) == (10, False, 0)
    assert sum(not item.done() for item in added) == 10
    book.add(told(1), TellingGone("pager", "a-3"))
    ledger.error = None
    book.flush()
    book.flush()
    last = [item for item in ledger.stored if isinstance(item, TellingRow)]
    assert [item.subject for item in last] == [
        f"{3 * MAX_WAITING - 10 + number}" for number in range(10) if number != 3
    ]
    assert ledger.stored[-2:] == [told(1), TellingGone("pager", "a-3")]
    assert all(item.done() for item in added)


def test_what_was_on_its_way_is_followed_by_what_came_meanwhile() -> None:
    ledger = Ledger()
    ledger.held = []
    book = Notes(ledger, spare_log())
    early = book.add(row(1, "early"))
    late = book.add(row(1, "late"))
    ledger.let()
    assert (ledger.stored, book.waiting) == ([row(1, "early"), row(1, "late")], 0)
    assert early.done()
    assert late.done()


def test_what_ended_longest_ago_goes_where_far_too_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MAX_ROWS", 10)
    ledger = Ledger()
    ledger.error = StoreError("no room")
    book = Notes(ledger, spare_log())
    for number in range(30):
        book.add(row(number))
        book.add(TellingGone("pager", f"a-{number}"))
    assert (book.waiting, book.lost) == (10, 20)


def test_attempts_that_wait_let_none_begin() -> None:
    ledger = Ledger()
    ledger.error = StoreError("no room")
    book = Notes(ledger, spare_log())
    for number in range(MAX_WAITING - 1):
        book.add(told(number))
    book.add(*map(row, range(10)))
    assert not book.full
    book.add(told(MAX_WAITING))
    assert book.full


def test_an_attempt_that_was_made_before_the_store_took_it_is_stored_after_a_kill(tmp_path: Path) -> None:
    path, ledger = tmp_path / "attempts.spare", Ledger()
    ledger.error = StoreError("no room")
    killed = Notes(ledger, spare_log(path))
    killed.add(told(1))
    killed.hold(told(1))
    killed.add(held := told(2))
    killed.hold(held)
    ledger.error = None
    again = Notes(ledger, spare_log(path))
    assert (ledger.stored, again.waiting) == ([held], 0), "what was not waiting any more is not held"
    Notes(ledger, spare_log(path))
    assert ledger.stored == [held], "once"


def test_what_the_store_had_taken_before_a_kill_is_not_stored_twice(tmp_path: Path) -> None:
    path, ledger = tmp_path / "attempts.spare", Ledger()
    ledger.held = []
    killed = Notes(ledger, spare_log(path))
    killed.add(item := told(1))
    killed.hold(item)
    ledger.stored, ledger.held = [item], None
    again = Notes(ledger, spare_log(path))
    assert (ledger.stored, again.waiting) == ([item], 0)


def test_no_attempt_begins_while_the_spare_log_is_full(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.error = StoreError("no room")
    book = Notes(ledger, SpareLog(tmp_path / "attempts.spare", 40_000))
    for number in range(60):
        book.add(item := told(number))
        book.hold(item)
    assert book.full
    ledger.error = None
    book.flush()
    book.flush()
    assert not book.full
