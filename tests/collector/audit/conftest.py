"""A key of the test's own, and a collector that knows two tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from plugwarden_collector.audit import Place

from tests.collector.conftest import Running, running
from tests.collector.support.sealed_log import CI


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A key and heads of the test's own."""
    monkeypatch.setenv("PLUGWARDEN_AUDIT_KEY_FILE", str(tmp_path / "outside/audit.key"))
    return Place.of()


@pytest.fixture
def guarded(tmp_path: Path, rules: Path) -> Iterator[Running]:
    """A collector that three tokens lead to."""
    lines = tmp_path / "tokens"
    lines.write_text(f"ci operate,admin,read {CI}\nlooker read {'r' * 32}\nhost ingest {'i' * 32}\n")
    with running(tmp_path / "guarded", rules, token="t" * 32, PLUGWARDEN_TOKENS_FILE=str(lines)) as found:
        yield found
