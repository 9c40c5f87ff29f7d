"""A plugin for pytest: the sidecar of this process is one that was built without a C compiler."""

from __future__ import annotations

import sys
from typing import Any

sys.modules["plugwarden.shim.native"] = None  # type: ignore[assignment]  # so Python says that a module is not there


def pytest_report_header(config: Any) -> str:
    from plugwarden.shim import doorway

    assert not doorway.BUILT
    return "sidecar: all of it in Python"
