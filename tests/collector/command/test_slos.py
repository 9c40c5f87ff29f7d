"""`plugwarden slos`: budgets, and what stands on one objective."""

from __future__ import annotations

import json

from plugwarden_collector.clock import utc_now
from rich.cells import cell_len

from tests.collector.command.test_widths import LONG, VERSION, named
from tests.collector.conftest import Running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.waiting import eventually

__all__ = ["named"]


def test_budgets_are_listed_and_an_objective_is_shown_with_all_that_stands_on_it(named: Running) -> None:
    eventually(lambda: named.api.get("budgets") and named.api.get("slos"))
    day = f"{utc_now():%Y-%m-%d}"
    other = {"starts_at": f"{day}T00:02Z", "ends_at": f"{day}T00:03Z", "reason": "other", "objectives": "latency*"}
    named.api.post("corrections", other)
    both = {
        "starts_at": f"{day}T00:04Z",
        "ends_at": f"{day}T00:05Z",
        "reason": "of both",
        "objectives": "{latency*,avail*}",
    }
    named.api.post("corrections", both)
    for width in (60, 80):
        for arguments, words in (
            ([], [LONG, "availability", "99 %"]),
            (["availability"], [LONG, VERSION, "14.4×", "no alert stands on it", "is left out", "of both"]),
        ):
            answer = plugwarden("slos", *arguments, url=named.url, COLUMNS=str(width))
            assert (answer.returncode, answer.stderr) == (0, "")
            assert max(map(cell_len, answer.stdout.splitlines())) <= width
            for word in words:
                assert word in answer.stdout, word
            assert "other" not in answer.stdout
    assert json.loads(plugwarden("slos", "--json", "--plugin", "nobody", url=named.url).stdout)["budgets"] == []
    whole = json.loads(plugwarden("slos", "availability", "--json", url=named.url).stdout)
    assert [row["plugin_version"] for row in whole["versions"]] == [VERSION]
    (history,) = whole["histories"]
    assert (history["plugin_id"], history["slo"]) == (LONG, "availability")
    assert history["points"][-1]["bad"] == history["bad"] == whole["budgets"][0]["bad"]
    wrong = plugwarden("slos", "nothing", url=named.url)
    assert (wrong.returncode, "the rules have no objective 'nothing'; they have availability" in wrong.stderr) == (
        1,
        True,
    )
