"""Tables of burn-rate windows: those that are built in, and one's own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from plugwarden_collector.errors import RulesError
from plugwarden_collector.judge.burn import burns
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.rules.file import DEFAULT_RULES, Rules, parse_rules
from plugwarden_collector.rules.tiers import BUILT_IN, tiers_for

HOUR, DAY = 3_600.0, 86_400.0
OWN = """\
[[windows]]
name = "brisk"
period = "28d"
[[windows.tier]]
severity = "page"
long = "30m"
short = "2m"
budget_ratio = 0.01
[[windows.tier]]
severity = "ticket"
long = "2d"
short = "3h"
factor = 1.5
"""
SLO = '[[slo]]\nname = "a"\nobjective = 0.99\n'


def rules_in(text: str) -> Rules:
    return parse_rules(text, "rules.toml")


def test_pyrras_windows_are_those_of_its_readme() -> None:
    """Its rules for an objective over two weeks are named `burnrate3m`, `15m`, `30m`, `1h`, `3h`, `12h` and `2d`."""
    found = [
        (tier.severity, tier.factor, tier.long_seconds, tier.short_seconds)
        for tier in tiers_for(14 * DAY, BUILT_IN["pyrra"])
    ]
    assert found == [
        ("page", 14, HOUR / 2, 180), ("page", 7, 3 * HOUR, 900), ("ticket", 2, 12 * HOUR, HOUR), ("ticket", 1, 2 * DAY, 3 * HOUR),
    ]  # fmt: skip


def test_objectives_name_their_windows() -> None:
    text = f'{OWN}{SLO}{SLO.replace(chr(34) + "a", chr(34) + "b")}windows = "brisk"\nperiod = "14d"\n'
    first, second = rules_in(text + '[[slo]]\nname = "c"\nobjective = 0.93\nwindows = "pyrra"\n').objectives[:2]
    assert first.burn_windows == BUILT_IN["sre"] == DEFAULT_RULES.objectives[0].burn_windows
    assert second.burn_windows.name == "brisk"
    assert [(tier.severity, tier.long_seconds, tier.short_seconds) for tier in second.tiers] == [
        ("page", 900, 60), ("ticket", DAY, 1.5 * HOUR),
    ]  # fmt: skip
    assert [round(tier.factor, 6) for tier in second.tiers] == [13.44, 1.5]
    everything = {size: CallCounts(1_000, failed=1_000) for size in second.windows}
    assert all(burn.met for burn in burns(second, everything))
    assert replace(first, burn_windows=second.burn_windows) != first


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (SLO + 'windows = "pyra"', "slo[0].windows: 'pyra' is no table of windows; did you mean pyrra? (line 4)"),
        (SLO + "windows = 1", "slo[0].windows: 1 is no table of windows; known are pyrra, sre (line 4)"),
        (
            SLO.replace("0.99", "0.92") + 'windows = "pyrra"',
            "slo[0].objective: 0.92 has a page that can never fire: the burn rate cannot exceed 12.5, and must for the page at 14 ",
        ),
        (
            SLO + OWN + '[[slo]]\nname = "b"\nobjective = 0.99\nwindows = "brisk"\nperiod = "3h"',
            "slo[1].period: 3h must be from 3.73h to 400d: below it",
        ),
        (SLO + OWN.replace("brisk", "sre"), "windows[0].name: 'sre' is built in; take another name (line 5)"),
        (SLO + OWN + OWN, "windows[1].name: 'brisk' is given twice; each needs a name of its own (line 18)"),
        (
            SLO + OWN.replace('"page"', '"pager"'),
            "windows[0].tier[0].severity: 'pager' must be page or ticket (line 8)",
        ),
        (
            SLO + OWN.replace('"page"', '"ticket"'),
            "windows[0].tier: has no page; write at least one [[windows.tier]] with severity",
        ),
        (
            SLO + OWN.replace('"2m"', '"30m"'),
            "windows[0].tier[0].short: 30m must be shorter than long, 30m: it says that it still",
        ),
        (
            SLO + OWN.replace('"2d"', '"28d"'),
            "windows[0].tier[1].long: 28d must be shorter than the period, 28d (line 14)",
        ),
        (
            SLO + OWN.replace("1.5", "20"),
            "windows[0].tier[1].factor: 20 over 2d means 1.43 times the whole budget; write at most 14 ",
        ),
        (
            SLO + OWN + "budget_ratio = 0.1",
            "windows[0].tier[1].factor: write factor, or budget_ratio, and not both (line 16)",
        ),
        (SLO + OWN.replace("0.01", "2"), "windows[0].tier[0].budget_ratio: 2 must be above 0, and at most 1 (line 11)"),
        (SLO + OWN.replace("1.5", "nan"), "windows[0].tier[1].factor: nan must be above 0"),
        (
            SLO + OWN.replace('"30m"', '"0m"'),
            "windows[0].tier[0].long: '0m' must be a duration, such as \"1h\" (line 9)",
        ),
        (
            SLO + OWN.replace('short = "2m"', ""),
            'windows[0].tier[0].short: is missing; it must be a duration, such as "5m" (line 7)',
        ),
        (SLO + OWN.replace('"28d"', '"0d"'), "windows[0].period: must be longer than 0s, such as 30d (line 6)"),
        (SLO + OWN.replace('"28d"', '"401d"'), "windows[0].period: 401d must be from 2h to 400d (line 6)"),
        (SLO + '[[windows]]\nname = "x"', "windows[0].tier: write 1 to 8 tables headed [[windows.tier]] (line 4)"),
        ("[windows]\n", "windows: write each one as a table headed [[windows]] (line 1)"),
    ],
)
def test_windows_that_cannot_work_are_refused_with_line_and_mend(text: str, problem: str) -> None:
    with pytest.raises(RulesError) as raised:
        rules_in(f"{text}\n")
    assert any(line.startswith(problem) for line in raised.value.problems), raised.value.problems
