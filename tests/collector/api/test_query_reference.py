"""The views are what the reference says, and its examples find something."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugwarden_collector.store import Database
from plugwarden_collector.store.views import stable_views

from tests.collector.conftest import Running, running
from tests.collector.support.small_store import fill
from tests.docs_pages import examples

ROOT = Path(__file__).parents[3]


def test_the_stable_views_are_what_the_database_has(database: Database) -> None:
    with database.reading() as cursor:
        for view in stable_views().values():
            described = [(str(row[0]), str(row[1])) for row in cursor.execute(f"describe {view.name}").fetchall()]
            assert described == [(column.name, column.type) for column in view.columns], view.name
            assert all(column.text.endswith((".", "`.", ")")) and len(column.text) > 3 for column in view.columns), (
                view.name
            )


def test_the_reference_says_what_the_views_are() -> None:
    checked = subprocess.run(
        [sys.executable, "docs/sql_reference.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


@pytest.fixture(scope="module")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("small")) as found:
        fill(found)
        yield found


@pytest.mark.parametrize("sql", examples(), ids=lambda sql: sql.splitlines()[0][3:60])
def test_every_example_of_the_reference_finds_something(small_store: Running, sql: str) -> None:
    table = small_store.api.query(sql, {"plugin": "csv"} if "$plugin" in sql else None)
    assert len(table) > 0
    assert not any(column.null_count == len(column) for column in table.columns), table.to_pylist()[:2]


def test_there_are_ten_examples() -> None:
    assert len(examples()) >= 10
