"""A store as a killed collector leaves it, for all tests that damage copies of it."""

from __future__ import annotations

import pytest

from tests.collector.support.kept import own_schema
from tests.collector.support.stores import Crashed, crashed_store


@pytest.fixture(scope="session")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Crashed:
    with own_schema():
        return crashed_store(tmp_path_factory.mktemp("crashed"))
