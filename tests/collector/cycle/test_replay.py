"""An entry of the decision log is made again from itself alone, and says where another result differs."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from plugwarden_collector.audit import attachment
from plugwarden_collector.audit.actor import Actor
from plugwarden_collector.audit.attachment import digest_of
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.cycle import facts as facts_module
from plugwarden_collector.cycle.facts import FORM, MOST_ROWS, Facts, read, rows_of, written
from plugwarden_collector.cycle.replay import replay
from plugwarden_collector.decide.acts import freeze, release
from plugwarden_collector.figures import size
from plugwarden_collector.judge.pace import Pace
from plugwarden_collector.judge.waits import Waits
from plugwarden_collector.rules.objective import FOR_PEOPLE, Objective
from plugwarden_collector.rules.policy import Enforcement
from plugwarden_collector.rules.tiers import BUILT_IN

from tests.collector.support.logged import entry_of
from tests.collector.support.played_fleet import AVAILABILITY, LATENCY, Fleet, rules_with

ANN = Actor("ann")


def fleet_with(**policy: object) -> Fleet:
    found = Fleet(rules_with(**policy))
    for plugin in ("csv", "geo", "pdf", "xml"):
        found.has_past(plugin)
    return found


def csv_fails(fleet: Fleet, **where: Any) -> Callable[[], None]:
    def each() -> None:
        fleet.arrive("csv", "2", 10, 10, **where)
        fleet.arrive("csv", "1")
        fleet.arrive("geo")

    return each


def made(fleet: Fleet, kind: str) -> Draft:
    return next(draft for draft in fleet.made if draft.kind == kind)


def isolated(**policy: object) -> dict[str, Any]:
    fleet = fleet_with(**policy)
    fleet.play(5, csv_fails(fleet))
    return entry_of(made(fleet, "quarantined"))


def with_facts(entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return an entry that rests on other facts."""
    text = written(replace(read(entry["facts"]), **changes))
    return {**entry, "facts": text, "evidence": {**entry["evidence"], "facts": digest_of(text)}}


def test_what_was_isolated_is_isolated_again() -> None:
    entry = isolated()
    found = replay(entry)
    assert (found.same, found.problem, found.differences) == (True, None, ())
    assert found.decided is not None
    for part in ("kind", "scope", "reason", "quarantine_id"):
        assert found.decided[part] == entry[part]
    for part in ("nats", "enough_nats", "alternatives", "since"):
        assert found.decided["evidence"][part] == entry["evidence"][part] is not None


@pytest.mark.parametrize(
    ("policy", "kind"),
    [
        ({"enforcement": Enforcement.OBSERVE}, "would_quarantine"),
        ({"enforcement": Enforcement.SUGGEST}, "suggested"),
        ({"max_actions_per_hour": 0}, "prevented"),
        ({"protected": ("csv",)}, "prevented"),
        ({"critical": ("csv",)}, "warned"),
    ],
)
def test_whatever_came_of_it_comes_of_it_again(policy: dict[str, object], kind: str) -> None:
    fleet = fleet_with(**policy)
    fleet.play(8, csv_fails(fleet))
    assert replay(entry_of(made(fleet, kind))).same is True


STRICT = replace(AVAILABILITY, name="strict", target_ratio=0.995)


@pytest.mark.parametrize(("enforcement", "kind"), [(Enforcement.OBSERVE, "would_quarantine"), (None, "prevented")])
def test_of_decisions_about_one_scope_by_several_objectives_each_comes_out_again(
    enforcement: Enforcement | None, kind: str
) -> None:
    fleet = fleet_with(enforcement=enforcement or Enforcement.ENFORCE)
    fleet.rules = replace(fleet.rules, objectives=(AVAILABILITY, STRICT, LATENCY))
    fleet.play(5, csv_fails(fleet))
    if enforcement is None:
        fleet.act(release(fleet.standing, fleet.in_force()[0].id, "it is well", ANN, fleet.at))
        fleet.play(5, csv_fails(fleet))
    decided = [draft for draft in fleet.made if draft.kind == kind]
    assert {draft.evidence["objective"] for draft in decided if draft.evidence} == {"availability", "strict"}
    assert len({(draft.at, draft.scope, draft.quarantine_id) for draft in decided}) == 1
    assert [replay(entry_of(draft)).differences for draft in decided] == [(), ()]


def test_why_nothing_was_decided_is_said_of_the_objective_of_the_entry() -> None:
    fleet = fleet_with(enforcement=Enforcement.OBSERVE)
    fleet.rules = replace(fleet.rules, objectives=(AVAILABILITY, STRICT, LATENCY))
    fleet.play(5, csv_fails(fleet))
    entry = entry_of(next(draft for draft in fleet.made if (draft.evidence or {})["objective"] == "availability"))
    facts = read(entry["facts"])
    (mine, other) = sorted(facts.troubles, key=lambda item: item.objective)
    hardly = replace(mine, samples=tuple(replace(item, bad=min(item.bad, 1)) for item in mine.samples))
    said = ((entry["scope"], other.objective, "would_quarantine"), facts.at)
    found = replay(with_facts(entry, troubles=(hardly, other), noted=(said,)))
    assert found.problem == f"nothing is found against {entry['scope']} this time"


def test_a_shared_cause_and_its_end_come_out_again() -> None:
    fleet = fleet_with()

    def each(bad: int) -> None:
        for plugin in ("csv", "geo", "pdf", "xml"):
            fleet.arrive(plugin, "1", 10, bad, error="ConnectionError")

    fleet.play(10, lambda: each(10))
    fleet.play(90, lambda: each(0))
    for kind in ("common_cause", "common_cause_over"):
        assert replay(entry_of(made(fleet, kind))).same is True


def test_what_excuses_slowness_is_asked_of_the_entry_alone() -> None:
    fleet = fleet_with()
    fleet.calls.waited = [
        Waits("csv", "db", 50, 100.0, 0, 50, 0.01, 110.0),
        Waits("geo", "db", 50, 1.0, 0, 50, 0.01, 9.0),
    ]
    fleet.calls.paced = [Pace("csv", "web", "h1", 10, 1.0, 0.0, 10, 0.1, 0.0)]
    fleet.play(20, lambda: fleet.arrive("csv", "1", 10, slow=10))
    entry = entry_of(made(fleet, "common_cause"))
    assert "downstream db" in entry["reason"]
    assert replay(entry).same is True
    assert [item.plugin for _, found in read(entry["facts"]).waits for item in found] == ["csv"], (
        "of others nothing decided"
    )


def test_steps_of_probation_and_the_release_come_out_again() -> None:
    fleet = fleet_with(hold_seconds=5)
    fleet.chance = 0.25
    fleet.play(5, csv_fails(fleet))
    fleet.play(90, lambda: fleet.arrive("csv", "2"))
    kinds = [draft.kind for draft in fleet.made]
    assert {"probation", "advanced", "released"} <= set(kinds)
    assert [replay(entry_of(draft)).differences for draft in fleet.made if draft.facts] == [()] * len(kinds)
    fleet.play(5, csv_fails(fleet))
    again = fleet.made[-1]
    assert again.kind == "quarantined"
    assert replay(entry_of(again)).same is True, "with the repeats of before"


def test_other_evidence_gives_another_result_which_says_where() -> None:
    entry = isolated()
    facts = read(entry["facts"])
    (looked, *rest) = facts.troubles
    fewer = replace(looked, samples=tuple(replace(item, bad=max(0, item.bad - 1)) for item in looked.samples))
    found = replay(with_facts(entry, troubles=(fewer, *rest)))
    assert found.same is False
    assert {"reason", "evidence.bad", "evidence.nats"} <= {item.part for item in found.differences}


def test_a_dearer_mistake_gives_another_verdict() -> None:
    entry = isolated()
    policy = replace(read(entry["facts"]).policy, cost_of_wrong_isolation=1e300)
    found = replay(with_facts(entry, policy=policy))
    assert (found.same, found.decided) == (False, None)
    assert found.problem == "it is not time to act this time: there is too little evidence"
    frozen = replay(with_facts(entry, frozen="a test"))
    assert next((item.part, item.replay) for item in frozen.differences) == ("kind", "prevented")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"facts": None}, "not kept any more"),
        ({"evidence": {"bad": 7}}, "before Plugwarden kept that"),
        ({"actor": "ann"}, "ann decided it: what people decide is not made again"),
        ({"actor": "collector"}, "the collector wrote it of itself: it follows from no calls"),
        ({"facts": "\ud800"}, "digest is another one"),
        ({"evidence": {"facts_left_out": "12,000 cells"}}, "does not keep: 12,000 cells"),
        ({"facts": '{"form": 1}'}, "digest is another one"),
    ],
)
def test_what_cannot_be_made_again_says_why(change: dict[str, Any], problem: str) -> None:
    found = replay({**isolated(), **change})
    assert found.same is None
    assert problem in (found.problem or "")


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"form": 99}', f'{{"form": {FORM}}}', "[" * 100_000, "\ud800", '"\ud800"']
)
def test_facts_that_cannot_be_read_are_said_to_be(text: str) -> None:
    entry = isolated()
    found = replay({**entry, "facts": text, "evidence": {**entry["evidence"], "facts": digest_of(text)}})
    assert found.same is None
    assert "cannot be read" in (found.problem or "")


def test_an_entry_of_code_that_asked_something_else_says_so() -> None:
    fleet = fleet_with(hold_seconds=5)
    fleet.play(5, csv_fails(fleet))
    fleet.play(90, lambda: fleet.arrive("csv", "2"))
    found = replay(with_facts(entry_of(made(fleet, "released")), probes=()))
    assert (found.same, found.decided_by) == (None, "0.1.0")
    assert "asks for what that one did not" in (found.problem or "")


def test_a_person_who_freezes_is_not_made_again_and_the_release_of_one_is_remembered() -> None:
    fleet = fleet_with()
    fleet.play(5, csv_fails(fleet))
    fleet.act(release(fleet.standing, fleet.in_force()[0].id, "it is well", ANN, fleet.at))
    fleet.play(5, csv_fails(fleet))
    prevented = fleet.made[-1]
    assert (prevented.kind, "ann released it" in prevented.reason) == ("prevented", True)
    assert replay(entry_of(prevented)).same is True
    fleet.act(freeze(fleet.standing, True, "a storm", ANN, fleet.at))
    assert replay(entry_of(fleet.made[-1])).same is None


def test_decisions_of_one_tick_share_what_they_rest_on_and_a_tick_without_one_asks_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet, asked = fleet_with(enforcement=Enforcement.OBSERVE), list[object]()
    taken = facts_module.rows_of
    monkeypatch.setattr(facts_module, "rows_of", lambda facts: asked.append(facts) or taken(facts))
    fleet.play(8, csv_fails(fleet))
    assert len(asked) == len({draft.at for draft in fleet.made}) == 1


def test_more_than_is_kept_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(read(isolated()["facts"]))
    monkeypatch.setattr(facts_module, "MOST_ROWS", rows - 1)
    assert replay(isolated()).problem == (
        "it rests on what an entry does not keep: "
        f"{rows:,} cells and other values, and where there are more than {rows - 1:,} none is kept"
    )


@pytest.mark.parametrize(
    ("bound", "what"), [("MOST_TEXT_BYTES", "bytes of text"), ("MOST_PACKED_BYTES", "bytes when packed")]
)
def test_which_bound_was_passed_is_said(bound: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = isolated()["facts"]
    nbytes = len(text) if bound == "MOST_TEXT_BYTES" else len(zlib.compress(text.encode()))
    monkeypatch.setattr(attachment, bound, nbytes - 1)
    assert replay(isolated()).problem == (
        f"it rests on what an entry does not keep: {nbytes:,} {what}, and where there are more than {nbytes - 1:,} none is kept"
    )


def test_the_page_names_every_bound() -> None:
    page = (Path(__file__).parents[3] / "docs/how-to/audit.md").read_text("utf-8")
    for bound in (
        f"{MOST_ROWS:,} cells", f"{size(attachment.MOST_TEXT_BYTES)} of text", f"{size(attachment.MOST_PACKED_BYTES)} packed",
    ):  # fmt: skip
        assert bound in " ".join(page.split()), bound


def test_a_quarantine_of_everything_in_a_large_fleet_is_within_the_bound() -> None:
    fleet = fleet_with()
    hosts = [f"host-{number:03d}" for number in range(100)]
    fleet.play(3, csv_fails(fleet, on=hosts, tenant="a tenant"))
    draft = made(fleet, "quarantined")
    entry = entry_of(draft)
    assert draft.facts is not None
    assert rows_of(read(entry["facts"])) < MOST_ROWS
    assert len(draft.facts.packed) < 20_000
    assert replay(entry).same is True


def test_facts_are_read_as_they_were_written() -> None:
    entry = isolated()
    facts = read(entry["facts"])
    assert written(facts) == entry["facts"]
    assert read(written(facts)) == facts
    assert json.loads(entry["facts"])["version"] == facts.version


def test_what_an_objective_says_to_people_changes_nothing_of_what_is_kept_or_decided() -> None:
    told = {"display_name": "Exports", "owner": "media", "runbook": "https://a/", "labels": {"tier": "2"}}
    named = replace(AVAILABILITY, description="Exports come out.", burn_windows=BUILT_IN["pyrra"], **told)  # type: ignore[arg-type]
    entry = isolated()
    facts = read(entry["facts"])
    assert {
        item.name for item in fields(named) if getattr(named, item.name) != getattr(AVAILABILITY, item.name)
    } <= FOR_PEOPLE
    assert AVAILABILITY in facts.objectives
    swapped = tuple(named if item == AVAILABILITY else item for item in facts.objectives)
    assert written(replace(facts, objectives=swapped)) == entry["facts"]


def test_facts_with_a_value_that_is_no_part_of_them_any_more_are_read() -> None:
    """Form 4 once told of each cell whether its trouble had ended, which was never so."""
    entry = isolated()
    text = entry["facts"].replace('"shut":', '"ended":false,"shut":')
    assert text != entry["facts"]
    assert read(text) == read(entry["facts"])


def test_what_cannot_be_written_holds_up_no_decision() -> None:
    fleet = fleet_with()
    fleet.play(5, csv_fails(fleet, machine="\ud800"))
    found = replay(entry_of(made(fleet, "quarantined")))
    assert (found.same, found.problem) == (None, "it rests on what an entry does not keep: texts that are no Unicode")


def _fields(kind: Any, found: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the fields of a dataclass and of those that it holds, by name."""
    if is_dataclass(kind) and isinstance(kind, type) and kind.__name__ not in found:
        hints = get_type_hints(kind)
        left_out = FOR_PEOPLE if kind is Objective else frozenset()
        found[kind.__name__] = [item.name for item in fields(kind) if item.name not in left_out]
        for name in found[kind.__name__]:
            _fields(hints[name], found)
    for part in get_args(kind):
        _fields(part, found)
    return found


def test_the_form_of_facts_grows_with_their_fields() -> None:
    """Else a version reads what another one wrote, and says of it what only a programmer understands."""
    told = json.dumps(_fields(Facts, {}), sort_keys=True)
    assert (FORM, digest_of(told)[:16]) == (6, "79ac28db65bc0d57"), (
        "fields changed: FORM grows, and this digest with it"
    )


def test_an_entry_of_an_earlier_version_says_that_it_is_one() -> None:
    """What the store of schema 12 holds was written before facts had three of their fields, and under the same form as after."""
    entry = isolated()
    for form, said in (
        (1, "an earlier version (0.1.0, form 1"),
        (FORM + 1, f"a later version (0.1.0, form {FORM + 1}"),
    ):
        text = json.dumps({"form": form, "version": "0.1.0"})
        found = replay({**entry, "facts": text, "evidence": {**entry["evidence"], "facts": digest_of(text)}})
        assert found.same is None
        assert said in str(found.problem)
        assert "cannot be replayed here" in str(found.problem)
