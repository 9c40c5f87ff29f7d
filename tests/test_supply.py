"""What we are built of: all of it is in the bill, and a known fault of it does not pass unseen."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from supply import advisories
from supply.bill_of_materials import OURS, bill, written
from supply.lock import pinned

FAULT = {"id": "PYSEC-2026-1", "fix_versions": ["2.1"], "aliases": [], "description": "…"}
SOUND, UNSOUND = {"name": "a", "version": "1.0", "vulns": []}, {"name": "b", "version": "2.0", "vulns": [FAULT]}
UNKNOWN = {"name": "c", "skip_reason": "Dependency not found"}


def test_the_bill_holds_every_locked_package_with_its_hashes_and_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    text = written(bill())
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = {(item["name"], item["version"]): item for item in json.loads(text)["components"]}
    locked = pinned()
    assert len(locked) > 100
    assert {name for name, _ in found} == {*(item.name for item in locked), *OURS}
    for item in locked:
        assert {one["content"] for one in found[item.name, item.version]["hashes"]} == set(item.sha256)
    (duckdb,) = [item for (name, _), item in found.items() if name == "duckdb"]
    assert "MIT" in str(duckdb["licenses"])
    needs = {item["ref"]: item.get("dependsOn", []) for item in json.loads(text)["dependencies"]}
    (collector,) = [needs[ref] for ref in needs if ref.startswith("pkg:pypi/plugwarden-collector@")]
    assert any(ref.startswith("pkg:pypi/duckdb@") for ref in collector)


def test_the_same_lock_gives_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1790000000")
    assert written(bill()) == written(bill())


def test_a_line_without_hashes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("a==1.0\n")
    with pytest.raises(ValueError, match=r"'a==1.0' is no package with a version and hashes"):
        pinned(tmp_path / "lock")


def test_a_known_fault_fails_and_names_what_mends_it() -> None:
    status, lines = advisories.judged({"dependencies": [SOUND, UNSOUND, UNKNOWN]})
    assert status == 1
    assert lines == ["b 2.0: PYSEC-2026-1, mended in 2.1", "advisories: 1 for 2 packages, 1 are not known there"]
    assert advisories.judged({"dependencies": [SOUND]}) == (0, ["advisories: 0 for 1 packages"])


def test_without_a_source_it_is_skipped_with_a_line() -> None:
    assert advisories.judged({"dependencies": [UNKNOWN]})[0] == 0
    status, (line,) = advisories.judged("no answer within 120 s")
    assert (status, line) == (0, "advisories: no source, skipped (no answer within 120 s)")


def test_a_source_that_hangs_or_is_not_reached_is_no_source() -> None:
    assert advisories.ask([sys.executable, "-c", "import time; time.sleep(60)"], 0.2) == "no answer within 0.2 s"
    unreached = "import requests; raise requests.exceptions.ConnectionError('nobody there')"
    assert advisories.ask([sys.executable, "-c", unreached]) == "requests.exceptions.ConnectionError: nobody there"


@pytest.mark.parametrize(
    "code", ["raise SystemExit('no such option: --format')", "print('[]')", "print('{\"dependencies\": []}')", ""]
)
def test_a_question_that_could_not_be_put_is_a_failure(code: str) -> None:
    with pytest.raises(advisories.BrokenError):
        advisories.ask([sys.executable, "-c", code])
