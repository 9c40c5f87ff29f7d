"""What a look makes of the alerts of a rule: N of M, hysteresis, and what it means that something is not there."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.cycle.evaluate import ENDED_REMEMBERED, MAX_ENDED, forget
from plugwarden_collector.decide.alert import AlertState
from plugwarden_collector.decide.changes import Changes
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.errors import WatchError
from plugwarden_collector.rules.alert_rule import AlertKind, AlertRule, Limit, NoData, Severity
from plugwarden_collector.watch.absence import Hosts, LastCall, absent
from plugwarden_collector.watch.alarms import FORGET, MAX_KEPT, bring_forward, end_left_over
from plugwarden_collector.watch.kept import Kept, as_text, kept_in
from plugwarden_collector.watch.statement import samples_of

from tests.collector.support.still_clock import AT

FIRING, PENDING, INACTIVE = AlertState.FIRING, AlertState.PENDING, AlertState.INACTIVE


def rule(**more: Any) -> AlertRule:
    return AlertRule("orders wait", AlertKind.SQL, limit=Limit(above=100), sql="…", **more)


class Looks:
    """A rule that is looked at once a minute, through a restart each time."""

    def __init__(self, of: AlertRule) -> None:
        self.rule, self.standing, self.kept = of, Standing(), dict[str, Kept]()
        self.at, self.changes = AT, Changes()

    def see(self, *rows: dict[str, Any], after: timedelta = timedelta(minutes=1)) -> dict[str, AlertState]:
        """Look once at some rows; return the states of all alerts by their plugins."""
        self.at += after
        kept = {item.key: item for item in kept_in(as_text(self.kept))}
        assert kept == self.kept, "what is kept is the same after a restart"
        samples = samples_of(self.rule, rows)
        before = self.standing
        alerts = dict(before.alerts)
        self.standing, self.changes, self.kept = bring_forward(self.rule, samples, kept, before, self.at)
        assert before.alerts == alerts, "what stood before stays as it is"
        return {item.plugin: item.alert.state for item in self.standing.alerts.values()}

    def values(self, *values: float | None) -> list[AlertState]:
        """Look at one row after the other; return the state after each."""
        return [self.see({"plugin": "csv", "value": value}).get("csv", INACTIVE) for value in values]


def test_each_row_is_an_alert_of_its_own_with_its_labels() -> None:
    looks = Looks(rule(severity=Severity.PAGE, owner="shop", labels={"tier": "1"}, description="Orders wait."))
    row = {"plugin": "csv", "version": "2", "queue": "eu", "value": 120}
    assert looks.see(row, {"plugin": "geo", "value": 80}) == {"csv": FIRING}
    (record,) = looks.standing.alerts.values()
    assert record.watched
    assert record.labels() == {
        "alertname": "orders wait", "severity": "page", "plugin": "csv", "version": "2", "queue": "eu", "owner": "shop", "tier": "1",
    }  # fmt: skip
    assert record.summary == "csv@2, queue=eu: orders wait: 120 is above 100"
    assert record.description == "Orders wait."
    (event,) = looks.changes.alert_events
    assert (event.before, event.after, event.reason) == (INACTIVE, FIRING, "120 is above 100")
    assert not looks.changes.decisions
    assert not looks.changes.quarantines


def test_an_alert_on_no_plugin_has_none() -> None:
    looks = Looks(rule())
    looks.see({"value": 120, "queue": "eu"})
    (record,) = looks.standing.alerts.values()
    assert (record.plugin, record.version) == ("", None)
    assert record.labels() == {"alertname": "orders wait", "severity": "ticket", "queue": "eu"}


def test_it_must_be_so_for_a_while_and_be_over_for_a_while() -> None:
    looks = Looks(rule(for_seconds=120.0, keep_firing_seconds=120.0))
    states = looks.values(120, 120, 120, 80, 120, 80, 80, 80, 80)
    assert states == [PENDING, PENDING, FIRING, FIRING, FIRING, FIRING, FIRING, INACTIVE, INACTIVE]


def test_three_of_five() -> None:
    looks = Looks(rule(fails=3, looks=5))
    assert looks.values(120, 80, 120, 80, 120) == [INACTIVE, INACTIVE, INACTIVE, INACTIVE, FIRING]
    assert looks.values(80, 80) == [INACTIVE, INACTIVE], "two of five are too few again"
    (record,) = looks.standing.alerts.values()
    assert "at 3 of 5 looks" in record.summary


def test_one_that_fires_is_over_when_its_own_condition_says_so() -> None:
    looks = Looks(rule(recover=Limit(below=80)))
    assert looks.values(95, 120, 95, 80, 79, 95) == [INACTIVE, FIRING, FIRING, FIRING, INACTIVE, INACTIVE]


@pytest.mark.parametrize(
    ("no_data", "states"),
    [
        (NoData.OK, [FIRING, INACTIVE, INACTIVE]),
        (NoData.KEEP, [FIRING, FIRING, FIRING]),
        (NoData.ALERT, [FIRING, FIRING, FIRING]),
    ],
)
@pytest.mark.parametrize("missing", [[], [{"plugin": "csv", "value": None}]])
def test_what_has_no_value_any_more_is_what_the_rule_says(
    no_data: NoData, states: list[AlertState], missing: list[dict[str, Any]]
) -> None:
    looks = Looks(rule(no_data=no_data))
    found = [looks.see({"plugin": "csv", "value": 120}), looks.see(*missing), looks.see(*missing)]
    assert [item["csv"] for item in found] == states
    later = states[-1] if missing else INACTIVE  # what is gone for a day is gone
    assert looks.see(*missing, after=FORGET)["csv"] is later
    assert looks.see(*missing)["csv"] is later


def test_a_row_that_was_well_and_goes_is_the_trouble_where_the_rule_says_so() -> None:
    looks = Looks(rule(no_data=NoData.ALERT))
    assert looks.see({"plugin": "csv", "value": 80}, {"plugin": "geo", "value": 80}) == {}
    assert looks.see({"plugin": "geo", "value": 80}) == {"csv": FIRING}
    assert looks.see({"plugin": "csv", "value": 80}, {"plugin": "geo", "value": 80}) == {"csv": INACTIVE}


def test_a_statement_that_gives_no_row_at_all_is_the_trouble_where_the_rule_says_so() -> None:
    looks = Looks(rule(no_data=NoData.ALERT))
    assert looks.see() == {"": FIRING}
    assert looks.see({"plugin": "csv", "value": 80}) == {"": INACTIVE}
    assert Looks(rule(no_data=NoData.KEEP)).see() == {}


def test_what_is_gone_stays_gone_while_its_alert_is_kept_firing() -> None:
    looks = Looks(rule(no_data=NoData.ALERT, keep_firing_seconds=600.0))
    looks.see({"plugin": "csv", "value": 80}, {"plugin": "geo", "value": 1})
    assert looks.see({"plugin": "geo", "value": 1})["csv"] is FIRING
    assert looks.see({"plugin": "geo", "value": 1}, after=FORGET)["csv"] is FIRING
    assert looks.see({"plugin": "geo", "value": 1}, after=timedelta(minutes=11))["csv"] is INACTIVE
    assert looks.see({"plugin": "geo", "value": 1})["csv"] is INACTIVE


def test_alerts_of_a_rule_that_is_gone_end() -> None:
    looks = Looks(rule())
    looks.see({"plugin": "csv", "value": 120})
    assert end_left_over([looks.rule], looks.standing, AT)[1].alerts == []
    after, changes = end_left_over([], looks.standing, AT)
    assert [item.alert.state for item in after.alerts.values()] == [INACTIVE]
    assert [event.reason for event in changes.alert_events] == ["expired: there is no such [[alert]] any more"]


@given(st.lists(st.sampled_from([80.0, 120.0, None]), max_size=30), st.integers(1, 4), st.sampled_from(NoData))
def test_nothing_is_kept_of_what_is_well(values: list[float | None], fails: int, no_data: NoData) -> None:
    looks = Looks(rule(fails=fails, looks=4, no_data=no_data))
    looks.values(*values)
    looks.values(80, 80, 80, 80)
    assert {item.alert.state for item in looks.standing.alerts.values()} <= {INACTIVE}
    assert all(no_data is NoData.ALERT and not item.recent for item in looks.kept.values())


def test_what_is_kept_and_cannot_be_read_is_begun_anew() -> None:
    assert [kept_in(text) for text in ("", "{}", "[1]", '[{"labels": 3}]', "null")] == [[]] * 5


def test_rows_whose_labels_change_from_look_to_look_are_refused_and_not_kept() -> None:
    """Before, each look left a hundred alerts more."""
    looks = Looks(rule(no_data=NoData.KEEP))
    rows = [[{"trace": f"{look}-{row}", "value": 200} for row in range(100)] for look in range(4)]
    for found in rows[:3]:
        looks.see(*found)
    with pytest.raises(WatchError, match="other labels at each look"):
        looks.see(*rows[3])
    assert len(looks.kept) <= MAX_KEPT
    assert looks.see({"trace": "one", "value": 80}, after=FORGET)[""] is FIRING, (
        "a rule that was mended is looked at again"
    )


def test_rows_that_were_bad_once_and_are_gone_make_room_for_others() -> None:
    """Before, a rule of "3 of 5" with a hundred other rows at each look was refused from the fourth on, and for ever."""
    looks = Looks(rule(fails=3, looks=5))
    for look in range(8):
        looks.see({"plugin": "csv", "value": 200}, *({"trace": f"{look}-{row}", "value": 200} for row in range(99)))
        assert len(looks.kept) <= MAX_KEPT
    assert [item.plugin for item in looks.standing.alerts.values() if item.alert.state is FIRING] == ["csv"]


def test_what_ended_is_let_go_within_an_hour_and_there_are_never_more_than_a_thousand() -> None:
    looks = Looks(rule())
    for look in range(30):
        looks.see(*({"trace": f"{look}-{row}", "value": 200} for row in range(100)))
        forget(looks.standing, looks.at)
    states = Counter(item.alert.state for item in looks.standing.alerts.values())
    assert states == {FIRING: 100, INACTIVE: MAX_ENDED}
    ended = min(item.changed_at for item in looks.standing.alerts.values())
    assert ended == looks.at - timedelta(minutes=9), "the latest stay"
    looks.see()
    looks.at += ENDED_REMEMBERED + timedelta(minutes=1)
    forget(looks.standing, looks.at)
    assert looks.standing.alerts == {}


def test_a_rule_of_many_plugins_keeps_of_those_that_are_well_nothing_and_tells_of_the_one_that_is_not() -> None:
    """Before, more than 300 plugins stopped the whole rule, though all but one were called."""
    of = AlertRule("silent", AlertKind.ABSENCE, silence_seconds=3600.0)
    calls = [
        LastCall(f"p{number}", "", ("web",), AT - timedelta(hours=20), AT, 60.0, frozenset())
        for number in range(MAX_KEPT)
    ]
    calls.append(LastCall("csv", "", ("web",), AT - timedelta(hours=20), AT - timedelta(hours=2), 60.0, frozenset()))
    samples = absent(
        of, calls, {item.plugin for item in calls}, Hosts(frozenset({"web"}), AT - timedelta(days=1)), (), AT
    )
    standing, _, kept = bring_forward(of, samples, {}, Standing(), AT)
    assert [(item.plugin, item.alert.state) for item in standing.alerts.values()] == [("csv", FIRING)]
    assert [item.labels for item in kept.values()] == [{"plugin": "csv"}]
