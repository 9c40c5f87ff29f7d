"""The quarantine state machine, the guard rails, and the decision log."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.audit.entries import GENESIS, Draft, seal, verify
from plugwarden_collector.decide.guard import SAME_ACTION, Fleet, overruled, vetoes
from plugwarden_collector.decide.quarantine import AUTOMATION, Probes, Quarantine, release, transition
from plugwarden_collector.decide.word import WORD, Word
from plugwarden_collector.rules.policy import Enforcement, Policy

AT = datetime(2026, 1, 1)
POLICY = Policy(step_seconds=10, step_min_calls=10, hold_seconds=60, step_timeout_seconds=100, max_repeats=3)


def held(plugin: str = "csv", **changes: object) -> Quarantine:
    base = Quarantine(
        f"q-{plugin}", Scope(plugin, "2"), QuarantineState.QUARANTINED, "it fails", AUTOMATION, Enforcement.ENFORCE, AT, AT,
        hold_until=AT + timedelta(seconds=60),
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def move(item: Quarantine, probes: Probes, at: datetime) -> tuple[Quarantine, str | None]:
    after, effect = transition(item, probes, POLICY, at, chance=0.0)
    return after, effect.kind if effect else None


def test_it_is_held_for_its_time_and_then_probed() -> None:
    assert move(held(), Probes(0, 0), AT + timedelta(seconds=59)) == (held(), None)
    after, kind = move(held(), Probes(0, 0), AT + timedelta(seconds=60))
    assert (after.state, after.share_ratio, kind) == (QuarantineState.PROBATION, 0.01, "probation")


def test_good_probes_lead_through_all_steps_to_the_release() -> None:
    item, at = move(held(), Probes(0, 0), AT + timedelta(seconds=60))[0], AT + timedelta(seconds=60)
    shares = []
    while item.ended_at is None:
        shares.append(item.share_ratio)
        at += timedelta(seconds=10)
        item, _ = move(item, Probes(10, 0, well=True), at)
    assert shares == [0.01, 0.05, 0.25, 1.0]
    assert item.state is QuarantineState.HEALTHY


def test_bad_probes_isolate_again_for_twice_as_long() -> None:
    item = move(held(), Probes(0, 0), AT + timedelta(seconds=60))[0]
    after, kind = move(item, Probes(4, 2, unwell=True), AT + timedelta(seconds=61))
    assert (after.state, after.repeats, kind) == (QuarantineState.QUARANTINED, 1, "requarantined")
    assert after.hold_until == AT + timedelta(seconds=61 + 120)


def test_probes_that_say_neither_are_no_verdict() -> None:
    item = move(held(), Probes(0, 0), AT + timedelta(seconds=60))[0]
    assert move(item, Probes(50, 1), AT + timedelta(seconds=75))[1] is None


def test_no_step_is_passed_in_less_than_its_time_or_with_fewer_calls_than_are_asked_for() -> None:
    item = move(held(), Probes(0, 0), AT + timedelta(seconds=60))[0]
    assert move(item, Probes(1000, 0, well=True), AT + timedelta(seconds=69))[1] is None
    assert move(item, Probes(9, 0, well=True), AT + timedelta(seconds=80))[1] is None
    assert move(item, Probes(10, 0, well=True), AT + timedelta(seconds=80))[1] == "advanced"


def test_what_is_not_well_by_one_sli_is_not_well() -> None:
    item = move(held(), Probes(0, 0), AT + timedelta(seconds=60))[0]
    assert move(item, Probes(1000, 900, well=True, unwell=True), AT + timedelta(seconds=80))[1] == "requarantined"


def test_too_few_probes_go_to_a_person_once() -> None:
    item = move(held(), Probes(0, 0), AT + timedelta(seconds=60))[0]
    after, kind = move(item, Probes(3, 0), AT + timedelta(seconds=200))
    assert (after.state, kind) == (QuarantineState.PROBATION, "inconclusive")
    assert move(after, Probes(3, 0), AT + timedelta(seconds=300))[1] is None


def test_after_too_many_repeats_only_a_person_releases() -> None:
    item = held(state=QuarantineState.PROBATION, repeats=2, share_ratio=0.01)
    after, _ = move(item, Probes(4, 4, unwell=True), AT + timedelta(seconds=1))
    assert after.hold_until is None
    assert move(after, Probes(0, 0), AT + timedelta(days=365))[1] is None


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans(), st.booleans(), st.integers(1, 200)), max_size=60))
def test_whatever_the_probes_say_the_share_stays_one_of_the_steps(history: list[tuple[int, bool, bool, int]]) -> None:
    item, at = held(), AT
    for calls, well, unwell, pause in history:
        at += timedelta(seconds=pause)
        before = item
        item, _ = move(item, Probes(calls, 0, well, unwell), at)
        assert item.share_ratio in {0.0, *POLICY.probation_steps}
        if before.state is QuarantineState.QUARANTINED and before.ended_at is None:
            assert item.share_ratio <= POLICY.probation_steps[0]
        if before.ended_at is not None:
            assert item == before


def fleet(**changes: object) -> Fleet:
    return replace(Fleet(100, [], []), **changes)  # type: ignore[arg-type]


def test_nothing_forbids_a_first_quarantine() -> None:
    assert vetoes(Scope("csv", "2"), POLICY, fleet(), AT) == []


@pytest.mark.parametrize(
    ("policy", "state", "word"),
    [
        (POLICY, fleet(frozen="release day"), "frozen"),
        (replace(POLICY, protected=("cs*",)), fleet(), "protected"),
        (POLICY, fleet(running=10, quarantines=[held("xml")]), "limit is 1"),
        (POLICY, fleet(actions=[AT] * 5), "last hour"),
    ],
)
def test_a_guard_rail_says_what_it_forbids(policy: Policy, state: Fleet, word: str) -> None:
    assert word in " ".join(vetoes(Scope("csv", "2"), policy, state, AT))


def test_what_a_person_ended_is_left_alone_for_as_long_as_the_policy_says() -> None:
    ended = replace(release(held(), AT), evidence={"released_by": "ann"})
    soon, later = AT + timedelta(minutes=59), AT + timedelta(minutes=61)
    for scope in (Scope("csv", "2"), Scope("csv"), Scope("csv", "2", operation="read")):
        assert "ann released it" in str(overruled(scope, POLICY, fleet(quarantines=[ended]), soon))
        assert overruled(scope, POLICY, fleet(quarantines=[ended]), later) is None
    assert overruled(Scope("csv", "3"), POLICY, fleet(quarantines=[ended]), soon) is None
    assert overruled(Scope("xml", "2"), POLICY, fleet(quarantines=[ended]), soon) is None


def test_what_nobody_asks_for_holds_no_place() -> None:
    """A version that was rolled back, one that another has replaced, a process that has ended."""
    small = fleet(running=10)
    for kept in (
        replace(small, quarantines=[held("xml")], called={("xml", "3")}),
        replace(small, quarantines=[held("xml", superseded_by="3")]),
        replace(small, quarantines=[held("xml")], idle={"q-xml"}),
        replace(small, quarantines=[held("xml", actor="ann")]),
    ):
        assert vetoes(Scope("csv", "2"), POLICY, kept, AT) == []
    assert vetoes(Scope("csv", "2"), POLICY, replace(small, quarantines=[held("xml")], called={("xml", "2")}), AT)
    whole = held("xml", scope=Scope("xml"))
    assert vetoes(Scope("csv", "2"), POLICY, replace(small, quarantines=[whole], called={("xml", "2")}), AT)


def test_a_second_scope_of_a_plugin_that_holds_a_place_needs_none() -> None:
    assert vetoes(Scope("csv", "2"), POLICY, fleet(running=10, quarantines=[held("csv")]), AT) == []


def test_processes_that_are_told_one_by_one_of_one_fault_are_one_action() -> None:
    """Before, a machine with six processes used up the hour's five actions, and one of the six went on failing."""
    used_up = fleet(actions=[AT] * 5, quarantines=[held("csv", scope=Scope("csv", "2", instance="h1"), started_at=AT)])
    assert vetoes(Scope("csv", "2", instance="h2"), POLICY, used_up, AT + timedelta(seconds=5)) == []
    assert "last hour" in vetoes(Scope("xml", "2"), POLICY, used_up, AT + timedelta(seconds=5))[0]
    assert "last hour" in vetoes(Scope("csv", "2", instance="h2"), POLICY, used_up, AT + timedelta(seconds=90))[0]
    later = held("csv", scope=Scope("csv", "2", instance="h2"), started_at=AT + timedelta(seconds=50))
    went_on = replace(later, evidence={SAME_ACTION: True})
    chain = replace(used_up, quarantines=[*used_up.quarantines, went_on])
    assert "last hour" in vetoes(Scope("csv", "2", instance="h3"), POLICY, chain, AT + timedelta(seconds=90))[0]
    alone = replace(used_up, quarantines=[replace(later, evidence={WORD: Word("evil").as_dict()})])
    assert "last hour" in vetoes(Scope("csv", "2"), POLICY, alone, AT + timedelta(seconds=60))[0]


def test_names_that_may_be_made_up_take_the_room_of_nobody_else() -> None:
    """As entries of before say it: one process alone named the plugin."""
    ghosts = [held(f"g{number}", evidence={"known": False}) for number in range(5)]
    crowded = fleet(running=10, quarantines=ghosts)
    assert vetoes(Scope("csv", "2"), POLICY, crowded, AT) == []
    refused = vetoes(Scope("g9", "1"), POLICY, crowded, AT, word=Word(""))
    assert "limit is 1" in refused[0]
    assert "within the last hour" in refused[1]


def test_what_rests_on_one_process_takes_the_room_of_nobody_else() -> None:
    """Not that of what many bear out, and not that of another process; one alone fills half of what all such have."""
    evil = [held(f"p{number}", evidence={WORD: Word("evil").as_dict()}) for number in range(5)]
    policy = replace(POLICY, max_actions_per_hour=5)
    one, five = fleet(running=10, quarantines=evil[:1]), fleet(running=50, quarantines=evil)
    for state in (one, five):
        assert vetoes(Scope("csv", "2"), policy, state, AT) == []
        assert vetoes(Scope("csv", "2", instance="h1"), policy, state, AT, word=Word("h1")) == []
    assert vetoes(Scope("csv", "2"), policy, one, AT, word=Word("evil")) == [
        "1 of 10 plugins is quarantined on the word of that process alone already; the limit is 1"
    ]
    assert vetoes(Scope("csv", "2"), policy, five, AT, word=Word("evil"))[1] == (
        "5 automatic quarantines on the word of that process alone within the last hour; the limit is 5"
    )
    two = fleet(running=10, quarantines=[*evil[:1], held("xml", evidence={WORD: Word("evil2").as_dict()})])
    assert vetoes(Scope("csv", "2"), policy, two, AT, word=Word("h1")) == [
        "2 of 10 plugins are quarantined on the word of one process each already; the limit is 2"
    ]
    assert vetoes(Scope("csv", "2"), policy, two, AT) == []


def test_plugins_that_nobody_named_until_now_have_room_of_their_own() -> None:
    new = fleet(running=10, quarantines=[held("ghost", evidence={WORD: Word(young=True).as_dict()})])
    assert vetoes(Scope("csv", "2"), POLICY, new, AT) == []
    assert "of those that are new already" in vetoes(Scope("csv", "2"), POLICY, new, AT, word=Word(young=True))[0]


def test_a_suggestion_and_a_newcomers_probation_are_no_acts_of_the_automation() -> None:
    said = {WORD: Word("h1").as_dict()}
    items = [held(f"p{number}", evidence=said, enforcement=Enforcement.SUGGEST) for number in range(5)]
    items += [held(f"p{number}", evidence=said, successor_of="q-1") for number in range(5)]
    items += [held(f"p{number}", evidence={**said, "approved_by": "ann"}) for number in range(5)]
    assert vetoes(Scope("csv", "2"), POLICY, fleet(running=1_000, quarantines=items), AT, word=Word("h1")) == []


@given(st.integers(1, 300), st.lists(st.integers(0, 300), max_size=400))
def test_the_quarantined_share_never_passes_its_bound(running: int, wanted: list[int]) -> None:
    quarantines: list[Quarantine] = []
    for number in wanted:
        scope = Scope(f"p{number}", "2")
        policy = replace(POLICY, max_actions_per_hour=10**6)
        if not vetoes(scope, policy, Fleet(running, quarantines, []), AT):
            quarantines.append(held(f"p{number}"))
    distinct = {item.scope.plugin for item in quarantines}
    assert len(distinct) <= max(1, running // 10)


def chain(count: int) -> list[dict[str, object]]:
    rows, previous = [], GENESIS
    for number in range(1, count + 1):
        entry = seal(
            Draft(AT, "quarantined", "automation", "csv@2", f"reason {number}", evidence={"n": number}),
            number,
            previous,
        )
        rows.append(
            {
                "sequence": number, "time": AT, "kind": "quarantined", "actor": "automation", "scope": "csv@2",
                "reason": f"reason {number}", "enforcement": "enforce", "quarantine_id": None,
                "evidence": entry.evidence_json, "previous_hash": entry.previous_hash, "hash": entry.hash,
            }
        )  # fmt: skip
        previous = entry.hash
    return rows


def test_an_untouched_log_verifies() -> None:
    assert verify(chain(20)) == (20, None)


@given(st.integers(0, 9), st.sampled_from(["reason", "actor", "scope", "evidence", "kind"]))
def test_a_changed_entry_is_found(position: int, field: str) -> None:
    rows = chain(10)
    rows[position][field] = "something else"
    count, problem = verify(rows)
    assert (count, problem) == (position, f"entry {position + 1} was changed after it was written")


@given(st.integers(0, 8))
def test_a_removed_entry_is_found(position: int) -> None:
    rows = chain(10)
    del rows[position]
    assert verify(rows)[0] == position
