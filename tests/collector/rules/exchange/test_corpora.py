"""OpenSLO's, Sloth's and Pyrra's own example files are read, or refused with the line and the reason that corpora.toml holds."""

from __future__ import annotations

import hashlib
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from plugwarden_collector.errors import RulesError
from plugwarden_collector.rules.exchange.formats import opened, read_foreign
from plugwarden_collector.rules.file import parse_rules

FILES = tomllib.loads(Path(__file__).with_name("corpora.toml").read_text("utf-8"))["file"]
FOLDER = os.environ.get("PLUGWARDEN_CORPORA")


@pytest.mark.skipif(FOLDER is None, reason="PLUGWARDEN_CORPORA names no folder with the example files of corpora.toml")
@pytest.mark.parametrize("entry", FILES, ids=lambda entry: f"{entry['repository']}/{entry['path']}")
def test_an_example_file_is_read_or_refused_as_is_said_of_it(entry: dict[str, Any]) -> None:
    raw = (Path(str(FOLDER)) / entry["repository"] / entry["path"]).read_bytes()
    assert hashlib.sha256(raw).hexdigest() == entry["sha256"], "another version of the file"
    said = []
    try:
        parse_rules(raw.decode(), entry["path"])
    except RulesError as error:
        said = error.problems
    assert said == entry["said"]


@pytest.mark.parametrize("entry", FILES, ids=lambda entry: f"{entry['repository']}/{entry['path']}")
def test_what_is_said_of_an_example_file_names_line_and_reason(entry: dict[str, Any]) -> None:
    assert len(entry["commit"]) == 40
    for problem in entry["said"]:
        assert problem.endswith(")")
        assert int(problem.rpartition("(line ")[2][:-1]) > 0
        assert "; " in problem


def test_windows_of_sloths_form_are_read_as_tables() -> None:
    """The numbers of its example for 7 days: 8, 12.5, 20 and 42 % of the budget."""
    rows = {"page": ((8, "5m", "1h"), (12.5, "30m", "6h")), "ticket": ((20, "2h", "1d"), (42, "6h", "3d"))}
    text = "apiVersion: sloth.slok.dev/v1\nkind: AlertWindows\nspec:\n  sloPeriod: 7d\n" + "".join(
        f"  {severity}:\n"
        + "".join(
            f"    {speed}: {{errorBudgetPercent: {share}, shortWindow: {short}, longWindow: {long}}}\n"
            for speed, (share, short, long) in zip(("quick", "slow"), tiers, strict=True)
        )
        for severity, tiers in rows.items()
    )
    found = read_foreign(opened(text))
    assert found.problems == []
    (table,) = found.tables.values()
    assert [round(tier.factor, 2) for tier in table.tiers] == [13.44, 3.5, 1.4, 0.98]
