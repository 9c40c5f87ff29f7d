"""Runbooks: what the rules say, what is made of what is known, and names that would be more than names."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.announce.message import FIRING, Message
from plugwarden_collector.announce.runbook import COLUMNS, Runbook, runbook_of, with_runbooks
from plugwarden_collector.announce.signs import unmarked
from plugwarden_collector.announce.subject import subjects_of
from plugwarden_collector.announce.text import text_of
from plugwarden_collector.decide.alert import Alert, AlertRecord, AlertState
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.silence import Silence
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.matcher import equal
from plugwarden_collector.rules.file import Rules, parse_rules
from plugwarden_collector.rules.policy import Enforcement

from tests.collector.support.still_clock import AT

URL = "https://plugwarden.example.net"
RULES = """
[[slo]]
name = "works"
objective = 0.99
owner = "media"
runbook = "https://wiki.example.net/media"

[[slo]]
name = "fast"
sli = "latency"
threshold = "1s"
objective = 0.99
plugins = "image-*"
owner = "imaging"
runbook = '''
1. Look at the *queue*.
2. Ask imaging.
'''

[[alert]]
name = "orders wait"
kind = "sql"
sql = "from alerts"
above = 1
no_data = "ok"
owner = "shop"
"""
HOSTILE = "`rm -rf ~`; <b>*x*</b> [y](http://z) \x1b[31m\u202e | #1 $(z) 'q' -x"


def rules(text: str = RULES) -> Rules:
    return parse_rules(text, "rules.toml")


def alert(plugin: str = "image-resize", slo: str = "works", **more: Any) -> AlertRecord:
    fires = Alert("a-1", AlertState.FIRING, AT, AT)
    return AlertRecord(
        fires,
        f"{slo} budget burn",
        "page",
        slo,
        plugin,
        "2",
        f"{plugin}@2: 5 of 9 calls failed",
        "It burns.",
        AT,
        **more,
    )


def held(**more: Any) -> Quarantine:
    found = Quarantine(
        "q-1", Scope("image-resize", "2"), QuarantineState.QUARANTINED, "nine of nine failed", "automation", Enforcement.ENFORCE, AT, AT,
        hold_until=AT + timedelta(hours=1),
    )  # fmt: skip
    return replace(found, **more)


def made(standing: Standing, key: str = "a-1", url: str = URL, of: Rules | None = None) -> Runbook:
    found = runbook_of(key, standing, of or rules(), AT, url)
    assert found is not None
    return found


def test_the_runbook_of_an_alert_is_filled_in() -> None:
    standing = Standing(
        alerts={"a-1": alert(inhibited_by="q-1")},
        quarantines={"q-1": held()},
        silences=(Silence("s-1", equal({"plugin": "image-resize"}), AT, AT + timedelta(hours=2), "ann", "known"),),
    )
    assert (
        made(standing).text
        == """\
# image-resize@2: 5 of 9 calls failed

- page, firing since 2026-01-01 12:00:00 UTC
- It burns.

## The runbook of the objective works

<https://wiki.example.net/media>

## What to look at

State, versions, latency, errors and budgets of the plugin:

    plugwarden plugins image-resize

Its page:

    https://plugwarden.example.net/plugin?plugin=image-resize

How the alert came, and whether it comes and goes:

    plugwarden alerts --all

## What to try

What isolating it would cost now; nothing is done:

    plugwarden quarantine image-resize --version=2 --dry-run --reason '…'

Isolate it, for an hour:

    plugwarden quarantine image-resize --version=2 --hold 1h --reason '…'

## Whom to ask

- media

## What was done already

- q-1: image-resize@2 is quarantined by automation since 2026-01-01 12:00:00
  UTC, held until 2026-01-01 13:00:00 UTC: nine of nine failed
- q-1 speaks for it: people are told of that instead.
- ann silenced it until 2026-01-01 14:00:00 UTC: known
"""
    )


def test_that_of_a_quarantine_has_all_that_its_objectives_say_and_how_to_end_it() -> None:
    found = made(Standing(quarantines={"q-1": held()}), "q-1")
    assert [whose for whose, _ in found.own] == ["the objective works", "the objective fast"]
    assert "1. Look at the *queue*.\n2. Ask imaging." in found.markdown
    assert found.owners == ("media", "imaging")
    assert "    plugwarden release q-1 --reason '…'" in found.text
    suggested = made(Standing(quarantines={"q-1": held(state=QuarantineState.DEGRADED)}), "q-1")
    assert "    plugwarden approve q-1 --reason '…'" in suggested.text
    over = made(Standing(quarantines={"q-1": held(ended_at=AT + timedelta(minutes=5))}), "q-1")
    assert "## What to try" not in over.text
    assert over.title == "image-resize@2 was quarantined"
    assert "was quarantined from 2026-01-01 12:00:00 UTC to 2026-01-01\n  12:05:00 UTC." in over.text


def test_that_of_a_shared_cause_isolates_nobody() -> None:
    incident = Incident("i-1", "downstream:db", "db is slow", ("image-resize", "csv"), AT)
    found = made(Standing(incidents={"i-1": incident}), "i-1")
    assert "plugwarden plugins csv" in found.text
    assert "quarantine" not in found.text
    covered = made(Standing(alerts={"a-1": alert()}, incidents={"i-1": incident}))
    assert "one cause that plugins share, downstream:db" in covered.text


def test_that_of_an_alert_of_the_rules_has_its_statement_and_the_plugins_own() -> None:
    mine = replace(alert(slo=""), name="orders wait")
    found = made(Standing(alerts={"a-1": mine}))
    assert "    from alerts" in found.text
    assert found.owners == ("shop", "media", "imaging")
    nobody = replace(mine, plugin="", version=None)
    assert "It is about no plugin" in made(Standing(alerts={"a-1": nobody})).text


def test_nothing_is_known_of_what_is_not_there() -> None:
    assert runbook_of("a-2", Standing(), rules(), AT) is None


def test_names_from_telemetry_are_neither_read_as_markdown_nor_as_a_command() -> None:
    record = replace(alert(HOSTILE), version=HOSTILE)
    found = made(Standing(alerts={"a-1": record}, quarantines={"q-1": held(scope=Scope(HOSTILE), reason=HOSTILE)}))
    for text in (found.text, found.markdown):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    prose = [line for line in found.markdown.splitlines() if not line.startswith("    ")]
    for sign in "`*<>[]|$~":
        assert not any(re.search(rf"(?<!\\){re.escape(sign)}", line) for line in prose if "wiki.example" not in line), (
            sign
        )
    (command,) = re.findall(r"^    (plugwarden plugins .*)$", found.markdown, re.MULTILINE)
    assert len(shlex.split(command)) == 3
    (command,) = re.findall(r"^    (plugwarden quarantine .*--dry-run.*)$", found.markdown, re.MULTILINE)
    assert [part for part in shlex.split(command) if part.startswith("-")] == [
        f"--version={shlex.split(command)[3].removeprefix('--version=')}", "--dry-run", "--reason",
    ]  # fmt: skip


def test_a_name_like_an_option_stands_behind_two_dashes() -> None:
    found = made(Standing(alerts={"a-1": alert("--help")}))
    assert "    plugwarden plugins -- --help" in found.text
    assert "    plugwarden quarantine --version=2 --dry-run --reason '…' -- --help" in found.text


def test_prose_is_eighty_columns_wide_and_commands_stay_whole() -> None:
    words = "a reason that goes on and on " * 20
    standing = Standing(
        alerts={"a-1": alert("x" * 150)}, quarantines={"q-1": held(scope=Scope("x" * 150), reason=words)}
    )
    found = made(standing)
    lines = [line for line in found.text.splitlines() if "x" * 150 not in line]
    assert max(map(len, lines)) <= COLUMNS
    assert f"    plugwarden plugins {'x' * 150}" in found.text.splitlines()


@pytest.mark.parametrize(
    ("slo", "line"), [("works", "https://wiki.example.net/media"), ("fast", "plugwarden runbook a-1")]
)
def test_each_announced_text_says_where_the_runbook_is(slo: str, line: str) -> None:
    standing = Standing(alerts={"a-1": alert(slo=slo)})
    (subject,) = with_runbooks(subjects_of(standing), standing, rules())
    assert ("Runbook", line) in text_of(Message("pager", FIRING, subject), URL, unmarked).lines


def test_of_quarantines_the_address_of_the_first_objective_that_has_one_is_told() -> None:
    standing = Standing(quarantines={"q-1": held()})
    (subject,) = with_runbooks(subjects_of(standing), standing, rules())
    assert subject.runbook == "https://wiki.example.net/media"
