"""For pytest: name this module in a `conftest.py`, as `pytest_plugins = ["plugwarden.testing.fixtures"]`.

It is no plugin that pytest loads by itself: every test run of an environment would pay for the import (0.2 s).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plugwarden.testing.record import Recorder, recording

__all__ = ["plugwarden_recorder"]


@pytest.fixture
def plugwarden_recorder() -> Iterator[Recorder]:
    """A recorder of the test's own."""
    with recording() as recorder:
        yield recorder
