"""`plugwarden plugins NAME`: what is open about one plugin, and its last errors with an example each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugwarden import Sidecar
from plugwarden.contract import Scope
from plugwarden_collector.command.plugin_detail import errors_of
from rich.cells import cell_len

from tests.collector.conftest import RULES, running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.suggested import suggested
from tests.collector.support.waiting import eventually

LONG = "a-plugin-with-a-name-that-is-longer-than-what-fits-a-column"


def test_a_plugin_is_shown_with_what_is_open_and_its_errors(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES.replace('name = "availability"', 'name = "availability"\nowner = "media"', 1))
    with running(tmp_path / "data", rules) as found:
        sidecar = Sidecar(
            service="host", endpoint=found.http, export_interval_seconds=0.2, trace_ratio=1.0, collector_url=found.url
        )

        def fail() -> None:
            raise OSError("disk full")

        call = sidecar.wrap(fail, plugin=LONG, version="1.4", operation="export", timeout=2.0, breaker=False)
        for _ in range(3):
            with pytest.raises(OSError, match="disk full"):
                call()
        assert sidecar.close(timeout=30)
        eventually(lambda: (LONG, "1.4") in found.collector.warden.standing.versions)
        eventually(lambda: found.api.get("traces", plugin=LONG))
        held = found.api.post("quarantine", {"force": True, "plugin": LONG, "version": "0.9", "reason": "it leaks"})[
            "id"
        ]
        wanted = suggested(found, Scope(LONG, "1.4"), "it fails")
        for width in ("60", "80"):
            answer = plugwarden("plugins", LONG, url=found.url, COLUMNS=width)
            assert (answer.returncode, answer.stderr) == (0, "")
            assert max(map(cell_len, answer.stdout.splitlines())) <= int(width)
            text = answer.stdout
            for said in (LONG, "owner: media", held, wanted, "it leaks", "OSError", "disk full", "1.4", "2 s"):
                assert said in text, said
            assert text.index("Quarantines") < text.index(held) < text.index("Suggestions") < text.index(wanted)
        whole = json.loads(plugwarden("plugins", LONG, "--json", url=found.url).stdout)
        assert {row["id"] for row in whole["quarantines"]} == {held, wanted}
        assert plugwarden("plugins", "nobody", url=found.url).returncode == 1


def test_errors_are_counted_over_versions_and_have_their_newest_example() -> None:
    row = {
        "error_type": "OSError",
        "error_source": "plugin",
        "plugin_version": "1",
        "calls": 2,
        "first_at": "a",
        "last_at": "c",
    }
    rows = [
        row,
        row | {"plugin_version": "2", "calls": 3, "first_at": "b", "last_at": "d"},
        row | {"error_type": "X", "last_at": "z"},
    ]
    span = {"error_type": "OSError", "status_message": "new", "trace_id": "1"}
    first, second = errors_of(rows, [span, span | {"status_message": "old"}])
    assert (first["error_type"], first["message"], first["trace_id"]) == ("X", None, None)
    assert (second["calls"], second["first_at"], second["last_at"], second["versions"]) == (5, "a", "d", ["1", "2"])
    assert (second["message"], second["trace_id"]) == ("new", "1")
