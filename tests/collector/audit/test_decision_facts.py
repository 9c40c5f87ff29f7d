"""A decision is made again from its own entry: by the command, after what it was about is gone, and in a log that still verifies."""

from __future__ import annotations

import json
import random
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from plugwarden_collector.api.client import ApiError
from plugwarden_collector.audit import Place
from plugwarden_collector.audit.attachment import (
    MOST_PACKED_BYTES,
    MOST_TEXT_BYTES,
    Attachment,
    TooLarge,
    attach,
    unpack,
)
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.store.duckdb.ledger import decision_facts
from plugwarden_collector.store.duckdb.rescue.verify import verify

from tests.collector.conftest import running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.failing_plugin import entries, failing_until, rules_for
from tests.collector.support.stores import AT, Open, opened, path_of

TELEMETRY = ("span_rows", "log_rows", "point_rows", "call_seconds", "call_minutes", "call_hours", "wait_seconds")


def before_this(at: Any) -> Draft:
    """Return a decision as versions wrote it that kept nothing else with it."""
    return Draft(at, "prevented", "automation", "geo version=1", "it fails", evidence={"nats": 30.0})


def test_a_decision_is_made_again_by_the_command_after_its_telemetry_was_deleted(place: Place, tmp_path: Path) -> None:
    data, rules = tmp_path / "data", rules_for(tmp_path, "enforce")
    with running(data, rules) as collector:
        collector.collector.ledger.audit.append([before_this(collector.collector.health.now())]).result(30)
        isolated = failing_until(collector, "quarantined")[0]
        assert "facts" not in isolated, "lists do not grow by it"
        assert len(isolated["evidence"]["facts"]) == 64
    with duckdb.connect(str(path_of(data))) as raw:
        for table in TELEMETRY:
            raw.execute(f"delete from {table}")
    with running(data, rules) as collector:
        assert collector.scalar("select count(*) from plugin_calls") == 0
        number, url = str(isolated["sequence"]), collector.url
        shown = plugwarden("audit", "replay", number, url=url)
        assert shown.returncode == 0, shown
        assert "quarantined csv" in shown.stdout
        assert "the same comes out: " in shown.stdout
        found = json.loads(plugwarden("audit", "replay", number, "--json", url=url).stdout)
        assert (found["same"], found["differences"], found["decided"]["scope"]) == (True, [], isolated["scope"])
        assert found["decided"]["evidence"]["alternatives"] == isolated["evidence"]["alternatives"]
        assert collector.api.get(("audit", number, "replay")) == {k: v for k, v in found.items() if k != "sequence"}
        assert plugwarden("audit", "verify", url=url).returncode == 0, "old entries and new ones"

        (earlier,) = entries(collector, "prevented")
        refused = plugwarden("audit", "replay", str(earlier["sequence"]), url=url)
        assert refused.returncode == 1
        assert "before Plugwarden kept" in " ".join(refused.stdout.split())

        file = tmp_path / "entry.json"
        file.write_text(plugwarden("audit", "show", number, "--json", url=url).stdout)
        kept = json.loads(file.read_text("utf-8"))
        for path in (("audit", "9999"), ("audit", "9999", "replay")):
            with pytest.raises(ApiError, match="there is no decision 9999"):
                collector.api.get(path)
        assert "sha256" in plugwarden("audit", "show", number, url=url).stdout
    assert plugwarden("audit", "replay", str(file)).returncode == 0, "nobody runs any more"
    file.write_text(json.dumps({**kept, "facts": kept["facts"].replace('"running":', '"running":1')}))
    forged = plugwarden("audit", "replay", str(file))
    assert (forged.returncode, "digest is another one" in " ".join(forged.stdout.split())) == (1, True)
    for wrong in ("\ud800", kept["facts"] + "\ud800"):
        file.write_text(json.dumps({**kept, "facts": wrong}))
        odd = plugwarden("audit", "replay", str(file))
        assert (odd.returncode, odd.stderr, "cannot be made again" in odd.stdout) == (1, "", True)
    for wrong in ("[]", json.dumps({**kept, "facts": 7}), json.dumps({**kept, "evidence": []})):
        file.write_text(wrong)
        assert plugwarden("audit", "replay", str(file)).returncode == 2, wrong
    assert plugwarden("audit", "replay", str(tmp_path / "nowhere")).returncode == 2


def kept(store: Open) -> list[tuple[str, int]]:
    with store.database.reading() as cursor:
        return cursor.execute("select sha256, sequence from decision_facts order by sequence").fetchall()


def decide(store: Open, number: int, facts: Attachment | None) -> None:
    draft = Draft(AT + timedelta(seconds=number), "quarantined", "automation", "csv", "it fails", facts=facts)
    store.ledger.audit.append([draft, draft]).result(30)


def test_decisions_of_one_tick_share_what_they_rest_on(place: Place, tmp_path: Path) -> None:
    with opened(tmp_path / "data") as store:
        first, second = attach("one"), attach("two")
        assert isinstance(first, Attachment)
        assert isinstance(second, Attachment)
        for number, facts in enumerate((first, None, second, first)):
            decide(store, number, facts)
        assert kept(store) == [(first.sha256, 1), (second.sha256, 5)]
        assert (store.ledger.facts(first.sha256), store.ledger.facts("0" * 64)) == ("one", None)
        row = store.ledger.decision(2)
        assert row is not None
        assert row.evidence == {"facts": first.sha256}
        assert store.ledger.decision(9) is None
        assert store.ledger.audit.verify().valid


def test_what_all_decisions_rest_on_is_bounded_and_the_oldest_goes_while_its_entry_stays(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "data") as store:
        made = [item for number in range(30) if isinstance(item := attach(f"{number:03d}"), Attachment)]
        size = len(made[0].packed)
        monkeypatch.setattr(decision_facts, "MOST_BYTES", 20 * size)
        for number, facts in enumerate(made):
            decide(store, number, facts)
        assert [sequence for _, sequence in kept(store)][-1] == 59
        assert 18 <= len(kept(store)) <= 20
        assert store.ledger.facts(made[0].sha256) is None
        assert len(store.ledger.decisions(10_000, 100)) == 60
        report = store.ledger.audit.verify()
        assert report.valid
        assert any("was let go of by its age, or deleted: that cannot be told" in note for note in report.notes)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ("update decision_facts set packed = $other where sequence = 3", "decision log: what entry 3 rests on was changed"),
        ("update decision_facts set packed = 'no zlib'::blob", "what entries 1, 3, 5, 7, 9 and 1 more rest on was changed"),
        ("update decision_facts set sha256 = repeat('0', 64) where sequence = 3", "what entry 3 rests on is missing"),
        ("delete from decision_facts where sequence = 1", "what entry 1 rests on is missing"),
        ("delete from decision_facts", "what entries 1, 3, 5, 7, 9 and 1 more rest on is missing"),
    ],
)  # fmt: skip
def test_who_replaces_or_deletes_what_decisions_rest_on_is_found(
    act: str, said: str, place: Place, tmp_path: Path
) -> None:
    """By a running collector, and in a store that nobody has open."""
    other = attach("another")
    assert other is not None
    with opened(tmp_path / "data") as store:
        for number in range(6):
            decide(store, number, attach(str(number)))
        report = store.ledger.audit.verify()
        assert report.valid
        assert "decision log: all that is kept of what decisions rest on (6) is as sealed" in report.notes
    assert verify(path_of(tmp_path / "data")).chain_problem is None
    with duckdb.connect(str(path_of(tmp_path / "data"))) as raw:
        raw.execute(act, {"other": other.packed} if "$other" in act else None)
    found = verify(path_of(tmp_path / "data"))
    assert (found.intact, said in str(found.chain_problem)) == (False, True), found.chain_problem
    with opened(tmp_path / "data") as store:
        report = store.ledger.audit.verify()
        assert (report.valid, said in "; ".join(report.problems)) == (False, True), report.problems


def test_what_is_damaged_is_another_text(place: Place, tmp_path: Path) -> None:
    with opened(tmp_path / "data") as store:
        facts = Attachment("ab" * 32, b"no zlib")
        decide(store, 0, facts)
        assert store.ledger.facts(facts.sha256) == ""


def test_an_attachment_is_bounded_both_ways() -> None:
    small = attach("a" * 100_000)
    assert isinstance(small, Attachment)
    assert unpack(small.packed) == "a" * 100_000
    assert attach("a" * (5 * 2**20)) == TooLarge(5 * 2**20, MOST_TEXT_BYTES, "bytes of text")
    noise = "".join(random.Random(1).choices("0123456789abcdef", k=4 * MOST_PACKED_BYTES))
    refused = attach(noise)
    assert isinstance(refused, TooLarge)
    assert (refused.number > refused.most, refused.what) == (True, "bytes when packed")
    for wrong in (b"", b"x", small.packed[:-1], zlib.compress(b"a" * (5 * 2**20))):
        with pytest.raises(ValueError):
            unpack(wrong)
