"""What several tests of the shim need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from plugwarden.testing import Recorder, recording


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A sidecar that remembers its calls; what is left to chance comes out the same each time."""
    with recording(seed=4) as made:
        yield made
