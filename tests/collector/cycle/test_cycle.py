"""The tick as a whole: who is blamed, and what is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from plugwarden.contract import Action, Outcome, QuarantineState, Scope
from plugwarden_collector.cycle import Observation, evaluate
from plugwarden_collector.decide.quarantine import Probes, Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.judge.blame import Cell, Waits
from plugwarden_collector.judge.failures import ErrorCount, FailingSpan
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.policy import Enforcement, Policy

AT = datetime(2026, 1, 1)
AVAILABILITY = Objective("availability", Sli.AVAILABILITY, 0.99, 21_600.0)
LATENCY = Objective("latency", Sli.LATENCY, 0.99, 21_600.0, threshold_seconds=0.25)
RULES = Rules(
    (AVAILABILITY, LATENCY), Policy(Enforcement.ENFORCE, probation_steps=(0.1, 1.0), step_seconds=1, step_min_calls=5)
)


class Known:
    """Evidence that a test lays out."""

    def __init__(self) -> None:
        self.found_cells: list[Cell] = []
        self.found_lately: list[Cell] | None = None
        """Of the short window; none: as over all the time that is looked through."""
        self.found_probes = Probes(0, 0)
        self.asked: list[str] = []

    def cells(self, plugin: str, at: datetime, window_seconds: float) -> Sequence[Cell]:
        self.asked.append("cells")
        short = window_seconds == AVAILABILITY.tiers[0].short_seconds
        return self.found_lately if short and self.found_lately is not None else self.found_cells

    def probes(self, quarantine: Quarantine, at: datetime) -> Probes:
        return self.found_probes

    def errors(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[ErrorCount]:
        return [ErrorCount(Outcome.ERROR, "ValueError", "plugin", 50)]

    def traces(self, plugin: str, version: str, since: datetime, until: datetime) -> Sequence[FailingSpan]:
        self.asked.append("traces")
        return [FailingSpan("0" * 32)]


def seen(
    bad: Mapping[tuple[str, str], int], *, slo: str = "availability", at: datetime = AT, **more: Any
) -> Observation:
    objective = {"availability": AVAILABILITY, "latency": LATENCY}[slo]
    windows = {
        key: {
            size: CallCounts(100, failed=count, slow=count)
            for size in objective.windows
            if size != objective.period_seconds
        }
        for key, count in bad.items()
    }
    versions = more.pop("versions", dict.fromkeys(bad, AT - timedelta(hours=1)))
    return Observation(at, {slo: windows}, None, running=more.pop("running", 20), versions=versions, **more)


def kinds(changes: Any) -> list[str]:
    return [item.kind for item in changes.decisions]


def test_the_failing_version_is_isolated_and_only_that() -> None:
    standing, known = Standing(), Known()
    known.found_cells = [
        cell("1", 500, 0),
        cell("2", 100, 50),
    ]
    standing, changes = evaluate(RULES, standing, seen({("csv", "2"): 50, ("csv", "1"): 0}), known, lambda: 0.0)
    assert kinds(changes) == ["quarantined"]
    (directive,) = standing.directives.directives
    assert (directive.action, directive.scope.plugin, directive.scope.version) == (Action.ISOLATE, "csv", "2")
    assert directive.newcomers is not None
    assert directive.newcomers.known_versions == ("1",)
    assert standing.directives.revision == 1
    assert changes.decisions[0].evidence["errors"] == {"ValueError": 50}  # type: ignore[index]


def test_the_next_tick_says_nothing_new() -> None:
    standing, known = Standing(), Known()
    standing, _ = evaluate(RULES, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    standing, again = evaluate(
        RULES, standing, seen({("csv", "2"): 50}, at=AT + timedelta(seconds=1)), known, lambda: 0.0
    )
    assert kinds(again) == []
    assert again.directives is None


def test_a_version_among_failing_siblings_takes_the_whole_plugin() -> None:
    standing, known = Standing(), Known()
    known.found_cells = [cell("1", 500, 400)]
    standing, _ = evaluate(RULES, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    (directive,) = standing.directives.directives
    assert directive.scope.version is None


def cell(version: str, total: int, bad: int, operation: str = "x") -> Cell:
    return Cell(version, operation, "i", CallCounts(total, failed=bad))


def test_a_release_rolled_back_hours_ago_widens_nothing() -> None:
    standing, known = Standing(), Known()
    known.found_cells = [cell("1", 500, 0), cell("2", 500, 400), cell("3", 100, 50)]
    known.found_lately = [cell("1", 100, 0), cell("3", 100, 50)]
    standing, _ = evaluate(RULES, standing, seen({("csv", "3"): 50}), known, lambda: 0.0)
    (directive,) = standing.directives.directives
    assert directive.scope == Scope("csv", "3")


def test_versions_that_begin_to_fail_together_are_not_healthy_for_having_been_so() -> None:
    standing, known = Standing(), Known()
    known.found_cells = [cell("1", 100_000, 80), cell("2", 100, 50)]
    known.found_lately = [cell("1", 100, 80), cell("2", 100, 50)]
    standing, _ = evaluate(RULES, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    (directive,) = standing.directives.directives
    assert directive.scope == Scope("csv")


def test_an_operation_that_failed_hours_ago_does_not_widen_the_fault_of_another() -> None:
    standing, known = Standing(), Known()
    known.found_cells = [cell("2", 10_000, 300, "old"), cell("2", 100, 50, "new"), cell("2", 5_000, 0, "well")]
    known.found_lately = [cell("2", 100, 0, "old"), cell("2", 100, 50, "new"), cell("2", 100, 0, "well")]
    standing, _ = evaluate(RULES, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    (directive,) = standing.directives.directives
    assert directive.scope == Scope("csv", "2", operation="new")


def rolled_back(at: datetime, called_at: datetime) -> Observation:
    """Version 3 is called, 2 is not since AT: its failures are only in the windows that reach back so far."""
    found = seen({("csv", "3"): 0}, at=at, versions={("csv", "2"): AT, ("csv", "3"): AT})
    longs = {size: CallCounts(100, failed=50) for size in AVAILABILITY.windows if size > (at - AT).total_seconds()}
    windows = {"availability": {**found.windows["availability"], ("csv", "2"): longs}}
    return replace(found, windows=windows, called_at={("csv", "2"): called_at, ("csv", "3"): at})


def states(standing: Standing, version: str = "2") -> set[str]:
    return {record.alert.state.value for record in standing.alerts.values() if record.version == version}


def test_the_page_of_a_version_that_others_have_replaced_ends() -> None:
    standing, known = Standing(), Known()
    rules = replace(RULES, policy=Policy())
    standing, _ = evaluate(rules, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    soon, later = AT + timedelta(seconds=30), AT + timedelta(minutes=4)
    standing, _ = evaluate(rules, standing, rolled_back(soon, AT), known, lambda: 0.0)
    assert states(standing) == {"firing"}
    standing, changes = evaluate(rules, standing, rolled_back(later, AT), known, lambda: 0.0)
    assert states(standing) == {"inactive"}
    assert {event.reason.split(":")[0] for event in changes.alert_events} == {"expired"}
    assert "while 3 of it is called" in changes.alert_events[0].reason


def test_a_version_whose_calls_are_refused_still_runs() -> None:
    standing, known = Standing(), Known()
    rules = replace(RULES, policy=Policy())
    standing, _ = evaluate(rules, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    later = AT + timedelta(minutes=4)
    standing, _ = evaluate(rules, standing, rolled_back(later, later - timedelta(seconds=5)), known, lambda: 0.0)
    assert states(standing) == {"firing"}


def test_a_suggestion_does_not_hold_the_page_of_a_version_that_was_rolled_back() -> None:
    standing, known = Standing(), Known()
    rules = replace(RULES, policy=Policy(Enforcement.SUGGEST))
    standing, _ = evaluate(rules, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    standing, changes = evaluate(rules, standing, rolled_back(AT + timedelta(minutes=4), AT), known, lambda: 0.0)
    assert states(standing) == {"inactive"}
    assert kinds(changes) == ["suspicion_over"]


def test_what_a_quarantine_took_out_is_held_while_others_run() -> None:
    standing, known = Standing(), Known()
    standing, _ = evaluate(RULES, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    standing, _ = evaluate(RULES, standing, rolled_back(AT + timedelta(minutes=4), AT), known, lambda: 0.0)
    assert states(standing) == {"firing"}


def test_a_slow_downstream_is_one_incident_and_no_quarantine() -> None:
    standing, known = Standing(), Known()
    waits = [Waits(name, "registry", 50, 25.0, 0, 500, 2.5, 26.0) for name in ("a", "b", "c")]
    observation = seen({("a", "1"): 50, ("b", "1"): 50, ("c", "1"): 50}, slo="latency", waits=waits)
    standing, changes = evaluate(RULES, standing, observation, known, lambda: 0.0)
    assert kinds(changes).count("common_cause") == 1
    assert "quarantined" not in kinds(changes)
    assert standing.directives.directives == ()
    (incident,) = standing.incidents.values()
    assert incident.plugins == ("a", "b", "c")
    assert all(record.inhibited_by == incident.id for record in standing.alerts.values())
    quick_again = replace(observation, at=AT + timedelta(seconds=1), waits=())
    standing, later = evaluate(RULES, standing, quick_again, known, lambda: 0.0)
    assert kinds(later) == []


def test_a_slow_downstream_does_not_excuse_a_plugins_own_failures() -> None:
    standing, known = Standing(), Known()
    waits = [Waits("a", "registry", 50, 25.0, 0, 500, 2.5, 26.0)]
    standing, changes = evaluate(RULES, standing, seen({("a", "1"): 50}, waits=waits), known, lambda: 0.0)
    assert "quarantined" in kinds(changes)


def test_many_plugins_at_once_are_one_incident() -> None:
    standing, known = Standing(), Known()
    observation = seen({(f"p{number}", "1"): 50 for number in range(4)}, running=8)
    standing, changes = evaluate(RULES, standing, observation, known, lambda: 0.0)
    assert "common_cause" in kinds(changes)
    assert standing.directives.directives == ()


def test_observing_only_records_what_it_would_do() -> None:
    standing, known = Standing(), Known()
    rules = replace(RULES, policy=Policy())
    standing, changes = evaluate(rules, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    assert kinds(changes) == ["would_quarantine"]
    assert standing.directives.directives == ()
    known.asked.clear()
    later = seen({("csv", "2"): 50}, at=AT + timedelta(seconds=1))
    standing, changes = evaluate(rules, standing, later, known, lambda: 0.0)
    assert kinds(changes) == []
    assert known.asked == [], "a thousand plugins may burn, and each turn of the loop takes a second"


def test_what_a_guard_rail_prevents_is_recorded_once() -> None:
    standing, known = Standing(frozen="release day"), Known()
    standing, first = evaluate(RULES, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    standing, second = evaluate(
        RULES, standing, seen({("csv", "2"): 50}, at=AT + timedelta(seconds=1)), known, lambda: 0.0
    )
    assert (kinds(first), kinds(second)) == (["prevented"], [])
    assert "release day" in first.decisions[0].reason


def test_a_successor_goes_through_probation_and_replaces_the_isolated_version() -> None:
    standing, known = Standing(), Known()
    standing, _ = evaluate(RULES, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    versions = {("csv", "2"): AT, ("csv", "3"): AT}
    standing, changes = evaluate(
        RULES, standing, seen({}, at=AT + timedelta(seconds=2), versions=versions), known, lambda: 0.0
    )
    assert kinds(changes) == ["probation"]
    known.found_probes = Probes(10, 0)
    happened: list[str] = []
    for second in range(4, 12, 2):
        observation = seen({}, at=AT + timedelta(seconds=second), versions=versions)
        standing, changes = evaluate(RULES, standing, observation, known, lambda: 0.0)
        happened += kinds(changes)
    assert happened == ["advanced", "released", "superseded"]
    held = {item.scope.version: item for item in standing.quarantines.values()}
    assert held["3"].state is QuarantineState.HEALTHY
    assert (held["2"].state, held["2"].superseded_by) == (QuarantineState.QUARANTINED, "3")
    (directive,) = standing.directives.directives
    assert directive.newcomers is not None
    assert "3" in directive.newcomers.known_versions


def test_no_data_is_no_recovery() -> None:
    standing, known = Standing(), Known()
    rules = replace(RULES, policy=Policy())
    standing, _ = evaluate(rules, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    standing, _ = evaluate(rules, standing, seen({}, at=AT + timedelta(minutes=30)), known, lambda: 0.0)
    assert {record.alert.state.value for record in standing.alerts.values()} == {"firing"}


def test_what_has_stopped_running_for_good_does_not_fire_for_ever() -> None:
    standing, known = Standing(), Known()
    rules = replace(RULES, policy=Policy())
    standing, _ = evaluate(rules, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    standing, changes = evaluate(rules, standing, seen({}, at=AT + timedelta(hours=1)), known, lambda: 0.0)
    assert {record.alert.state.value for record in standing.alerts.values()} == {"inactive"}
    assert all("expired" in event.reason for event in changes.alert_events)


def test_what_a_quarantine_stopped_is_held() -> None:
    standing, known = Standing(), Known()
    standing, _ = evaluate(RULES, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    standing, _ = evaluate(RULES, standing, seen({}, at=AT + timedelta(hours=1)), known, lambda: 0.0)
    assert {record.alert.state.value for record in standing.alerts.values()} == {"firing"}


def by_hand(scope: Scope) -> Quarantine:
    return Quarantine("q-hand", scope, QuarantineState.QUARANTINED, "by hand", "ann", Enforcement.ENFORCE, AT, AT)


def test_a_tenants_quarantine_does_not_cover_everybody_elses_failures() -> None:
    standing, known = Standing(quarantines={"q-hand": by_hand(Scope("csv", tenant="acme"))}), Known()
    standing, changes = evaluate(RULES, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    assert "quarantined" in kinds(changes)


def test_a_frozen_automation_holds_everything_as_it_is() -> None:
    standing, known = Standing(), Known()
    standing, _ = evaluate(RULES, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    standing.frozen = "release day"
    later = seen({}, at=AT + timedelta(hours=2), versions={("csv", "2"): AT, ("csv", "3"): AT})
    standing, changes = evaluate(RULES, standing, later, known, lambda: 0.0)
    assert kinds(changes) == []


def test_a_persons_isolation_overrules_an_automatic_probation() -> None:
    standing, known = Standing(), Known()
    standing, _ = evaluate(RULES, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    standing.quarantines["q-hand"] = by_hand(Scope("csv"))
    standing, _ = evaluate(RULES, standing, seen({}, at=AT + timedelta(seconds=1)), known, lambda: 0.0)
    assert [(item.id, item.action) for item in standing.directives.directives] == [("q-hand", Action.ISOLATE)]


def test_what_ended_long_ago_is_let_go_of() -> None:
    standing, known = Standing(frozen="release day"), Known()
    standing, _ = evaluate(RULES, standing, seen({("csv", "2"): 50}), known, lambda: 0.0)
    assert standing.noted
    standing, _ = evaluate(RULES, standing, seen({}, at=AT + timedelta(hours=1)), known, lambda: 0.0)
    assert not standing.noted
    standing, _ = evaluate(RULES, standing, seen({}, at=AT + timedelta(days=8)), known, lambda: 0.0)
    assert standing.alerts == {}
