"""Times are UTC, whatever zone the machine is in."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import plugwarden_collector
import pytest

from tests.docs_pages import examples

ASK = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from plugwarden_collector.store import Database, run_query
from plugwarden_collector.store.duckdb.rescue.working_copy import connect as connect_helper
folder = Path(sys.argv[1])
database = Database(folder)
question = "select now()::timestamp, current_timestamp::timestamp, '2026-01-01 12:00'::timestamptz::timestamp, today()"
at = datetime.now(UTC).replace(tzinfo=None)
seen = [run_query(database, question + " as d").table.to_pylist()[0].values()]
with database.reading() as cursor:
    seen.append(cursor.execute(question).fetchall()[0])
database.close()
seen.append(connect_helper(str(folder / "plugwarden.duckdb")).execute(question).fetchall()[0])
found = []
for now, current, cast, today in seen:
    off = [abs((time.replace(tzinfo=None) - at).total_seconds()) for time in (now, current)]
    found.append([max(off), cast.replace(tzinfo=None).isoformat(), today.isoformat()])
days = {at.date().isoformat(), datetime.now(UTC).date().isoformat()}
print(json.dumps([sorted(days), found]))
"""


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo", "Pacific/Kiritimati"])
def test_now_and_casts_are_utc_on_every_connection(tmp_path: Path, zone: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(tmp_path)], env={**os.environ, "TZ": zone}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    days, found = json.loads(done.stdout)
    assert len(found) == 3
    for off, cast, day in found:
        assert off < 60
        assert cast == "2026-01-01T12:00:00"
        assert day in days


def test_the_collector_opens_duckdb_at_one_place() -> None:
    root = Path(plugwarden_collector.__file__).parent
    opening = {
        str(file.relative_to(root))
        for file in root.rglob("*.py")
        if re.search(r"duckdb\.connect\(|import duckdb as|from duckdb import connect", file.read_text("utf-8"))
    }
    assert opening == {"store/duckdb/engine.py"}


def test_examples_take_the_present_as_utc() -> None:
    for sql in examples():
        assert not re.search(r"current_localtime|localtimestamp|get_current_timestamp|at time zone", sql, re.IGNORECASE)
