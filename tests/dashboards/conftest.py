"""What every test of the pages needs."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from streamlit.components.v2 import manifest_scanner


@pytest.fixture(autouse=True, scope="session")
def one_search_for_components() -> Iterator[None]:
    """Each page that a test draws would read the metadata of every installed package: half of the time that drawing takes."""
    found = manifest_scanner.scan_component_manifests()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", lambda **_: found)
        yield


@pytest.fixture(autouse=True, scope="module")
def main_module_of_ours() -> Iterator[None]:
    """Streamlit's runner puts the page in the place of `__main__` and leaves it there; a pool that is spawned by a later
    test would run that page in each of its processes."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before
