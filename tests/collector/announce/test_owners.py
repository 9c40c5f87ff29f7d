"""Whose something is that people are told of: an alert its objective's, all else its plugins'."""

from __future__ import annotations

from dataclasses import replace

from plugwarden_collector.announce.owners import with_owners
from plugwarden_collector.announce.subject import subjects_of
from plugwarden_collector.decide.standing import Incident, Standing
from plugwarden_collector.rules.file import parse_rules

from tests.collector.announce.test_runbook import RULES, alert, held
from tests.collector.support.still_clock import AT


def owners(standing: Standing, rules: str = RULES) -> list[tuple[tuple[str, str], ...]]:
    found = with_owners(subjects_of(standing), standing, parse_rules(rules, "rules.toml"))
    assert found == subjects_of(standing), "what is told stays what it is"
    return [item.also for item in found]


def test_an_alert_is_its_objectives_and_a_quarantine_its_plugins() -> None:
    standing = Standing(alerts={"a-1": alert(slo="fast")}, quarantines={"q-1": held()})
    assert owners(standing) == [(("owner", "imaging"),), (("owner", "media"), ("owner", "imaging"))]


def test_a_shared_cause_is_of_all_its_plugins() -> None:
    standing = Standing(incidents={"i-1": Incident("i-1", "downstream:db", "db is slow", ("csv", "image-resize"), AT)})
    assert owners(standing) == [(("owner", "media"), ("owner", "imaging"))]


def test_labels_of_an_objective_are_there_as_well() -> None:
    rules = RULES.replace('owner = "imaging"', 'labels = { tier = "1" }')
    assert owners(Standing(alerts={"a-1": alert(slo="fast")}), rules) == [(("tier", "1"),)]


def test_what_the_rules_say_nothing_of_has_none() -> None:
    nobody = RULES.replace("owner", "# owner")
    assert owners(Standing(quarantines={"q-1": held()}), nobody) == [()]
    mine = replace(alert(slo="", more={"owner": "shop"}), name="orders wait", plugin="", version=None)
    assert owners(Standing(alerts={"a-1": mine})) == [()], "its labels have it"
    of_plugin = replace(mine, plugin="csv")
    assert of_plugin.watched
    assert owners(Standing(alerts={"a-1": of_plugin})) == [()], "whoever wrote the alert has said whose it is"
