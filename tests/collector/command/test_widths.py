"""What is listed fits a terminal of 80 columns, and one of 60, whatever the names: none is broken, and no column is left out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from plugwarden import Sidecar
from plugwarden_collector.clock import utc_now
from rich.cells import cell_len

from tests.collector.conftest import RULES, Running, running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.sent_trace import SentTrace
from tests.collector.support.waiting import eventually

LONG = "a-plugin-with-a-long-name-as-teams-give-it"
VERSION = "2026.11.28-rc.1+build.4711"
LISTINGS = [
    ["plugins"], ["plugins", LONG], ["alerts", "--all"], ["alerts", "--rules"], ["quarantines"], ["capacity"], ["silences", "list"],
    ["corrections", "list"], ["audit", "list"], ["audit", "list", "--access"], ["audit", "verify"], ["notifications"], ["aside"],
    ["retention"], ["traces"], ["doctor"],
    ["query", "select plugin_id, plugin_version, sum(calls) as calls, max(bucket_start) as latest from plugin_calls group by all"],
]  # fmt: skip
NAMED = {"plugins", "quarantines", "capacity", "silences", "corrections", "traces", "query"}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A collector with something of everything, of one plugin with long names."""
    folder = tmp_path_factory.mktemp("named")
    rules = folder / "rules.toml"
    rules.write_text(
        RULES
        + '[[alert]]\nname = "nobody-calls-it-any-more-and-it-was-called-before"\nkind = "absence"\nplugins = "*"\nsilence = "2h"\n'
    )
    with running(folder / "data", rules) as found:
        sidecar = Sidecar(service="host", endpoint=found.http, export_interval_seconds=0.2, trace_ratio=1.0)
        call = sidecar.wrap(lambda: None, plugin=LONG, version=VERSION, operation="export-of-everything-there-is")
        for _ in range(10):
            call()
        assert sidecar.close(timeout=30)
        made = SentTrace()
        made.span("export-of-everything-there-is", plugin_id=LONG, plugin_version=VERSION, error="no room")
        made.send(found)
        eventually(lambda: (LONG, VERSION) in found.collector.warden.standing.versions)
        found.api.post("quarantine", {"plugin": LONG, "version": VERSION, "reason": "it leaks " * 12})
        found.api.post("silences", {"matchers": {"plugin": LONG}, "seconds": 600, "comment": "known " * 20})
        day = f"{utc_now():%Y-%m-%d}"
        span = {"starts_at": f"{day}T00:00Z", "ends_at": f"{day}T00:01Z"}
        found.api.post("corrections", {**span, "plugins": LONG, "reason": "known " * 20})
        yield found


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("command", LISTINGS, ids=lambda command: " ".join(command)[:20])
def test_a_listing_fits_and_names_stay_whole(named: Running, command: list[str], width: int) -> None:
    answer = plugwarden(*command, url=named.url, COLUMNS=str(width))
    assert answer.stderr == ""
    assert max(map(cell_len, answer.stdout.splitlines())) <= width, answer.stdout
    if command[0] in NAMED:
        assert LONG in answer.stdout
