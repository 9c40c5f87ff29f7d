"""A plugin declares itself once, and mistakes in it are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plugwarden import ConfigurationError, Sidecar
from plugwarden.manifest import Manifest

GOOD = """
[plugin]
id = "csv-export"
version = "1.4.0"
owner = "reports team"
criticality = "high"

[downstreams]
geo-api = ["builtins.ConnectionError", "json.JSONDecodeError"]

[operations.export]
timeout = 2.0
concurrency = 4
bulkhead = { concurrent = 8, queue = 2 }
rate = 100
breaker = { failure_rate = 0.3 }
fallback = [{ last_good_seconds = 300 }, { value = "" }]
objective = { availability = 0.999, latency_seconds = 0.5 }

[operations.import]
breaker = false
"""


def test_a_plugin_is_wrapped_as_it_declares_itself(sidecar: Sidecar, outbox: Any, tmp_path: Path) -> None:
    (tmp_path / "plugin.toml").write_text(GOOD)
    plugin = sidecar.declare(tmp_path / "plugin.toml")

    @plugin.operation()
    def export(fail: bool) -> str:
        if fail:
            raise ConnectionResetError
        return "rows"

    assert [export(False), export(True)] == ["rows", "rows"]
    (operation,) = sidecar.operations
    assert operation.declaration.bulkhead is not None
    assert (operation.declaration.timeout_seconds, operation.declaration.bulkhead.concurrent) == (2.0, 8)
    sidecar._pipeline._cut(everything=True, heartbeat=True)
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="error", plugin_error_source="downstream") == 1
    declared = {found.attributes["plugin.term"] for found in outbox.named("plugin.terms.declared")}
    assert declared == {"timeout", "concurrency", "availability", "latency"}
    assert outbox.named("plugin.terms.declared")[0].attributes["plugin.criticality"] == "high"


def test_an_operation_that_is_not_declared_cannot_be_wrapped(sidecar: Sidecar, tmp_path: Path) -> None:
    (tmp_path / "plugin.toml").write_text(GOOD)
    with pytest.raises(ConfigurationError, match="did you mean export"):
        sidecar.declare(tmp_path / "plugin.toml").wrap(lambda: 1, "exprot")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('id = "csv-export"', "", "plugin.id"),
        ('criticality = "high"', 'criticality = "huge"', "plugin.criticality"),
        ("timeout = 2.0", "timeout = -1", r"operations\.export\.timeout"),
        ("timeout = 2.0", 'timeout = "2"', r"operations\.export\.timeout"),
        ("timeout = 2.0", "timeuot = 2", r"operations\.export\.timeuot.*did you mean timeout"),
        ("concurrent = 8", "concurrent = 0", r"operations\.export\.bulkhead.*concurrent"),
        ("concurrent = 8", 'concurrent = "8"', r"operations\.export\.bulkhead\.concurrent"),
        ("failure_rate = 0.3", "failure_rate = 30", r"operations\.export\.breaker.*failure_rate"),
        ("availability = 0.999", "availability = 99.9", r"operations\.export\.objective.*availability"),
        ("json.JSONDecodeError", "json.NoSuchError", r"downstreams\.geo-api"),
        ("json.JSONDecodeError", "json.dumps", r"downstreams\.geo-api"),
        ("{ value =", "{ vlaue =", r"operations\.export\.fallback\.vlaue"),
        ("[plugin]", "[plugin", "not TOML"),
        ("concurrency = 4", 'runner = "process"\ntouches = 3', r"operations\.export\.touches"),
    ],
)
def test_a_mistake_is_named_by_file_and_field(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "plugin.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigurationError, match=words) as caught:
        Manifest.load(path)
    assert "plugin.toml" in str(caught.value)


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.toml"):
        Manifest.load(tmp_path / "nothing.toml")
