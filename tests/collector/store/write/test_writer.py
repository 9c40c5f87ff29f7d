"""The writer, when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugwarden_collector.errors import StoreError

from tests.collector.support.rolled_store import Store


def test_work_for_a_closed_writer_is_refused_and_not_kept_waiting(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.writer.close(10)
    with pytest.raises(StoreError, match="shutting down"):
        store.writer.run(lambda connection: None).result(1)
    store.database.close()
