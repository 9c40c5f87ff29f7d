"""The hosts whose packages are in the lock, and the how-tos: in this environment. `make hosts` runs all, each in its own."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.hosts.pages import SECTIONS, Section, broken_promise
from tests.hosts.row import Row
from tests.hosts.rows import ROWS
from tests.hosts.trial import run
from tests.hosts.verdict import judge

PYTHON = Path(sys.executable)


def missing(modules: tuple[str, ...]) -> str:
    """Why something cannot run here; empty when it can."""
    absent = [name for name in modules if find_spec(name) is None]
    return f"{', '.join(absent)}: not in the lock; `make hosts` runs it" if absent else ""


@pytest.mark.e2e
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_host_behaves_as_without_us_and_each_call_is_counted(row: Row, tmp_path: Path) -> None:
    if missing(row.packages):
        pytest.skip(missing(row.packages))
    without = [run(row, PYTHON, tmp_path / "host", observed=False)]
    verdict = judge(without, [run(row, PYTHON, tmp_path / "host", observed=True)])
    assert verdict.differences == ()
    assert verdict.miscounts == ()
    assert verdict.calls > 10


@pytest.mark.e2e
@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_a_how_to_does_what_it_says(section: Section, tmp_path: Path) -> None:
    if missing(section.modules):
        pytest.skip(missing(section.modules))
    assert broken_promise(section, PYTHON, tmp_path / "host") == ""
