"""A key that is replaced, lost, or put back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plugwarden_collector.audit import Place, read_keyring

from tests.collector.conftest import Running, running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.sealed_log import condition, verified, write


def test_a_new_key_goes_above_the_old_one(place: Place, tmp_path: Path) -> None:
    write(tmp_path / "data", 2)
    old = place.key.read_text()
    place.key.write_text("n" * 64 + "\n" + old)
    write(tmp_path / "data", 2)
    assert verified(tmp_path / "data").valid
    place.key.write_text("n" * 64 + "\n")  # the old one is lost
    found = verified(tmp_path / "data")
    assert "entries 1 to 2 are sealed with key" in found.problems[0]


def replacements(collector: Running) -> list[dict[str, Any]]:
    return [row for row in collector.api.get("audit", stream="decisions") if row["kind"] == "key_replaced"]


def test_a_key_that_is_lost_is_told_everywhere_and_where_verification_begins(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path / "data") as first:
        for number in range(3):
            first.api.post("quarantine", {"force": True, "plugin": f"p{number}", "reason": "by hand"})
        assert condition(first) == "inactive"
    old = place.key.read_text()
    lost = read_keyring(place.key).keys[0].id
    place.key.unlink()
    caplog.clear()
    with running(tmp_path / "data") as second:
        said = [record for record in caplog.records if "key replaced" in record.getMessage()]
        assert said[0].levelname == "ERROR"
        (decision,) = replacements(second)
        assert "earlier entries cannot be verified with this key" in decision["reason"]
        assert decision["evidence"]["missing"] == [lost]
        assert decision["sequence"] == 4
        assert condition(second) == "firing"
        answer = plugwarden("doctor", url=second.url)
        assert answer.returncode == 1
        assert "key replaced" in answer.stdout
        answer = plugwarden("audit", "verify", url=second.url)
        assert answer.returncode == 1
        words = " ".join(answer.stdout.split())
        assert "entries 1 to 3 are sealed with key" in words
        assert "all from entry 4 on" in words, answer.stdout
    with running(tmp_path / "data") as third:  # told again, and not written again
        assert condition(third) == "firing"
        assert len(replacements(third)) == 1
        third.api.post("audit/accept", {"reason": "the disk with the key is gone", "actor": "ann"})
        assert condition(third) == "inactive"
    with running(tmp_path / "data") as fourth:
        assert condition(fourth) == "inactive"
        assert fourth.api.get("audit/verify")["valid"]
    with place.key.open("a") as file:
        file.write(old)
    with running(tmp_path / "data") as fifth:
        assert fifth.api.get("audit/verify")["valid"]


def test_a_key_that_is_put_back_below_the_new_one_ends_it(place: Place, tmp_path: Path) -> None:
    with running(tmp_path / "data") as first:
        first.api.post("quarantine", {"force": True, "plugin": "a", "reason": "by hand"})
    old = place.key.read_text()
    place.key.write_text("n" * 64 + "\n")
    with running(tmp_path / "data") as second:
        assert condition(second) == "firing"
    with place.key.open("a") as file:
        file.write(old)
    with running(tmp_path / "data") as third:
        assert condition(third) == "inactive"
        assert third.api.get("audit/verify")["valid"]
