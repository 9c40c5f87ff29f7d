"""What isolating costs, forecast from what was called before the trouble."""

from __future__ import annotations

from datetime import timedelta

from plugwarden.contract import Scope
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.cycle.directives import directives_for
from plugwarden_collector.cycle.impact import Called, Hit, Impact, impact
from plugwarden_collector.decide.acts import approve, isolate
from plugwarden_collector.judge.ways_back import WayBack
from plugwarden_collector.rules.file import Rules
from plugwarden_collector.rules.policy import Enforcement

from tests.collector.support.played_fleet import Fleet, rules_with

CALLED = [Called("h1", "acme", 10), Called("h1", "globex", 5), Called("h2", "acme", 5), Called("h3", "", 10)]


def test_calls_are_counted_by_the_minute_and_with_whom_they_are_for() -> None:
    assert impact(CALLED, 10.0) == Impact(Hit(180.0, 3, 2), (), Hit(180.0, 3, 2))


def test_where_nothing_was_called_nothing_is_forecast() -> None:
    assert impact([], 10.0) is None
    assert impact([Called("h1", "", 0)], 10.0) is None


def test_it_reads_as_a_sentence() -> None:
    assert (
        str(Impact(Hit(180.0, 3, 2)))
        == "Refused or answered by a fallback while it is isolated: about 180 calls a minute in 3 processes, for 2 tenants."
    )
    assert (
        str(Impact(Hit(0.4, 1, 0)))
        == "Refused or answered by a fallback while it is isolated: about a call a minute in 1 process."
    )


def test_a_decision_keeps_the_forecast_and_says_it_in_its_fourth_sentence() -> None:
    fleet = Fleet()
    fleet.has_past("csv")
    fleet.play(12, lambda: fleet.arrive("csv", "1", 5), step=1)
    fleet.play(8, lambda: fleet.arrive("csv", "1", 5, 5), step=1)
    (made,) = [item for item in fleet.made if item.kind == "quarantined"]
    whole = {"calls_per_minute": 600.0, "instances": 2, "tenants": 0}
    assert made.evidence["impact"] == {**whole, "previous": [], "refused": whole}
    assert made.reason.count(". ") <= 3
    assert made.reason.endswith("about 600 calls a minute in 2 processes.")


def test_of_a_version_that_has_only_begun_the_forecast_is_from_its_own_calls() -> None:
    fleet = Fleet(rules_with(newcomer_grace_seconds=0))
    fleet.has_past("csv")
    fleet.play(12, lambda: fleet.arrive("csv", "1", 5), step=1)
    fleet.versions["csv", "2"] = fleet.at
    fleet.play(8, lambda: fleet.arrive("csv", "2", 5, 5), step=1)
    (made,) = [item for item in fleet.made if item.kind == "quarantined"]
    assert made.scope == str(Scope("csv", "2"))
    began = fleet.versions["csv", "2"]
    told = made.evidence["impact"]["calls_per_minute"]
    seconds = (made.at - began) / timedelta(seconds=1)
    assert told == round(made.evidence["total"] * 60 / seconds, 1) >= 600


# -- where hosts still have an earlier version ---------------------------------------------------------------------------


def test_calls_that_go_back_are_told_apart_from_those_that_are_refused() -> None:
    has = {"h1": "1.9", "h2": "1.9"}
    told = impact(CALLED, 10.0, lambda item: has.get(item.instance))
    assert told == Impact(Hit(180.0, 3, 2), (("1.9", Hit(120.0, 2, 2)),), Hit(60.0, 1, 0))
    assert (
        str(told)
        == "While it is isolated, calls go back to version 1.9 in the 2 processes that have it, about 120 calls a"
        " minute; refused or answered by a fallback: about 60 calls a minute in 1 process."
    )
    assert told.as_dict()["previous"] == [
        {"version": "1.9", "calls_per_minute": 120.0, "instances": 2, "tenants": 2},
    ]
    assert told.as_dict()["refused"] == {"calls_per_minute": 60.0, "instances": 1, "tenants": 0}


def test_where_all_go_back_nothing_is_said_to_be_refused() -> None:
    told = impact(CALLED[:2], 10.0, lambda item: "1")
    assert told is not None
    assert told.refused is None
    assert (
        str(told)
        == "While it is isolated, calls go back to version 1 in the process that has it, about 90 calls a minute."
    )
    assert told.as_dict()["refused"] is None


def test_of_many_versions_those_with_most_calls_are_named() -> None:
    has = {"h1": "1", "h2": "2", "h3": "3"}
    told = impact(CALLED, 10.0, lambda item: has[item.instance])
    assert [version for version, _ in told.previous] == ["1", "3", "2"]  # type: ignore[union-attr]
    assert "to version 1 in the process that has it, about 90 calls a minute and to version 3 in" in str(told)
    assert str(told).endswith(" and to 1 others.")


def serve(fleet: Fleet, versions: str, *, bad: str) -> None:
    """Versions of a plugin are called side by side, and after a while some of them fail everything."""

    def each(failing: str) -> None:
        for version in versions:
            fleet.arrive("csv", version, 5, 5 if version in failing else 0)

    fleet.play(12, lambda: each(""), step=1)
    fleet.play(8, lambda: each(bad), step=1)


def canary(*ways: WayBack, rules: Rules | None = None) -> tuple[Fleet, Draft]:
    """A new version that fails everything beside one that is well, and the decision to isolate it."""
    fleet = Fleet(rules or rules_with(newcomer_grace_seconds=0))
    fleet.calls.ways = ways
    fleet.has_past("csv")
    serve(fleet, "12", bad="2")
    (made,) = [item for item in fleet.made if item.kind in {"quarantined", "suggested"}]
    return fleet, made


def test_a_decision_says_to_which_version_calls_go_back_in_at_most_four_sentences() -> None:
    _, made = canary(WayBack("h1", "2", "x", "1"))
    assert made.scope == str(Scope("csv", "2"))
    assert made.reason.endswith(
        "While it is isolated, calls go back to version 1 in the process that has it, about 300 calls a minute;"
        " refused or answered by a fallback: about 300 calls a minute in 1 process."
    )
    assert made.reason.count(". ") <= 3
    assert made.evidence["impact"]["previous"] == [  # type: ignore[index]
        {"version": "1", "calls_per_minute": 300.0, "instances": 1, "tenants": 0}
    ]


def test_ways_of_other_versions_operations_and_processes_are_not_counted() -> None:
    _, made = canary(WayBack("h1", "3", "x", "1"), WayBack("h1", "2", "y", "1"), WayBack("h9", "2", "x", "1"))
    assert made.evidence["impact"]["previous"] == []  # type: ignore[index]


def test_nobody_counts_on_a_version_that_is_isolated_or_suspected_and_the_one_before_is_next() -> None:
    ways = [WayBack(host, newer, "x", older) for host in ("h1", "h2") for newer, older in (("3", "2"), ("2", "1"))]
    fleet = Fleet(rules_with(newcomer_grace_seconds=0))
    fleet.calls.ways = ways
    fleet.has_past("csv")
    serve(fleet, "123", bad="23")
    told = {item.scope: item.evidence["impact"]["previous"] for item in fleet.made if item.kind == "quarantined"}  # type: ignore[index]
    assert set(told) == {"csv@2", "csv@3"}
    for scope, previous in told.items():
        assert [item["version"] for item in previous] == ["1"], scope


def test_what_a_person_isolated_is_not_counted_on_either() -> None:
    fleet = Fleet(rules_with(newcomer_grace_seconds=0))
    fleet.calls.ways = [WayBack("h1", "3", "x", "2"), WayBack("h1", "2", "x", "1"), WayBack("h2", "3", "x", "2")]
    fleet.has_past("csv")
    fleet.act(isolate(fleet.standing, Scope("csv", "2"), "by hand", Actor("ann"), fleet.at))
    serve(fleet, "123", bad="3")
    (made,) = [item for item in fleet.made if item.kind == "quarantined" and item.scope == "csv@3"]
    previous = made.evidence["impact"]["previous"]  # type: ignore[index]
    assert [(item["version"], item["instances"]) for item in previous] == [("1", 1)]


def test_a_version_that_nobody_saw_run_is_no_newcomer_when_calls_go_back_to_it() -> None:
    """Else it would get the small share that a version nobody has judged gets."""
    fleet, _ = canary(WayBack("h1", "2", "x", "0.9"))
    (told,) = directives_for(fleet.standing, fleet.rules)
    assert told.newcomers is not None
    assert told.newcomers.known_versions == ("0.9", "1")
    fleet.play(3, lambda: fleet.arrive("csv", "0.9", 5), step=1)
    assert [item.scope for item in fleet.in_force()] == [Scope("csv", "2")]


def test_names_that_others_make_up_take_the_way_back_of_no_process() -> None:
    """Not those of processes that call nothing, and not those told in its own name."""
    flood = [WayBack(f"a{sender}", "2", f"op{at}", f"0.{at:02d}") for sender in range(3) for at in range(25)]
    fleet, made = canary(*flood, WayBack("h1", "2", "x", "0.666"), WayBack("h1", "2", "x", "0.9"))
    (told,) = directives_for(fleet.standing, fleet.rules)
    assert told.newcomers is not None
    assert {"0.666", "0.9", "1"} <= set(told.newcomers.known_versions)
    assert made.evidence["impact"]["previous"] == [], "nobody called either of the two that it is said to have"  # type: ignore[index]


def test_that_holds_for_a_suggestion_that_a_person_approves() -> None:
    rules = rules_with(newcomer_grace_seconds=0, enforcement=Enforcement.SUGGEST)
    fleet, made = canary(WayBack("h1", "2", "x", "0.9"), rules=rules)
    assert made.kind == "suggested"
    (asked,) = fleet.open_ones()
    fleet.act(approve(fleet.standing, asked.id, "yes", Actor("ann"), fleet.at, hold=timedelta(minutes=1)))
    (told,) = directives_for(fleet.standing, fleet.rules)
    assert told.newcomers is not None
    assert "0.9" in told.newcomers.known_versions


def test_nobody_is_asked_for_ways_back_before_it_is_time_to_act_or_where_a_whole_plugin_fails() -> None:
    fleet = Fleet()
    fleet.has_past("csv")
    fleet.play(12, lambda: fleet.arrive("csv", "1", 5), step=1)
    assert "ways back" not in fleet.calls.asked
    both = Fleet(rules_with(newcomer_grace_seconds=0))
    both.has_past("csv")
    serve(both, "12", bad="12")
    assert {item.scope for item in both.made if item.kind == "quarantined"} == {"csv"}
    assert "ways back" not in both.calls.asked
