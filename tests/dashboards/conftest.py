"""What every test of the pages needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def main_module_of_ours() -> Iterator[None]:
    """Streamlit's runner puts the page in the place of `__main__` and leaves it there; a pool that is spawned by a later
    test would run that page in each of its processes."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before
