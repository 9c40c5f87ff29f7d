"""The quarantine state machine, the guard rails, and the decision log."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden.contract import QuarantineState, Scope
from plugwarden_collector.audit.entries import GENESIS, Draft, seal, verify
from plugwarden_collector.decide.guard import Fleet, vetoes
from plugwarden_collector.decide.quarantine import AUTOMATION, Probes, Quarantine, release, transition
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
    after, effect = transition(item, probes, POLICY, at, tolerated_ratio=0.1, chance=0.0)
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
        item, _ = move(item, Probes(10, 0), at)
    assert shares == [0.01, 0.05, 0.25, 1.0]
    assert item.state is QuarantineState.HEALTHY


def test_bad_probes_isolate_again_for_twice_as_long() -> None:
    item = move(held(), Probes(0, 0), AT + timedelta(seconds=60))[0]
    after, kind = move(item, Probes(4, 2), AT + timedelta(seconds=61))
    assert (after.state, after.repeats, kind) == (QuarantineState.QUARANTINED, 1, "requarantined")
    assert after.hold_until == AT + timedelta(seconds=61 + 120)


def test_one_bad_probe_is_no_verdict() -> None:
    item = move(held(), Probes(0, 0), AT + timedelta(seconds=60))[0]
    assert move(item, Probes(5, 1), AT + timedelta(seconds=61))[1] is None


def test_too_few_probes_go_to_a_person_once() -> None:
    item = move(held(), Probes(0, 0), AT + timedelta(seconds=60))[0]
    after, kind = move(item, Probes(3, 0), AT + timedelta(seconds=200))
    assert (after.state, kind) == (QuarantineState.PROBATION, "inconclusive")
    assert move(after, Probes(3, 0), AT + timedelta(seconds=300))[1] is None


def test_after_too_many_repeats_only_a_person_releases() -> None:
    item = held(state=QuarantineState.PROBATION, repeats=2, share_ratio=0.01)
    after, _ = move(item, Probes(4, 4), AT + timedelta(seconds=1))
    assert after.hold_until is None
    assert move(after, Probes(0, 0), AT + timedelta(days=365))[1] is None


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1), st.integers(1, 200)), max_size=60))
def test_whatever_the_probes_say_the_share_stays_one_of_the_steps(history: list[tuple[int, float, int]]) -> None:
    item, at = held(), AT
    for calls, failing, pause in history:
        at += timedelta(seconds=pause)
        before = item
        item, _ = move(item, Probes(calls, int(calls * failing)), at)
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
        (POLICY, fleet(excused="registry is slow"), "shared cause"),
        (POLICY, fleet(running=10, quarantines=[held("xml")]), "limit is 1"),
        (POLICY, fleet(actions=[AT] * 5), "last hour"),
        (
            POLICY,
            fleet(quarantines=[replace(release(held(), AT), evidence={"released_by": "ann"})]),
            "ann released it",
        ),
    ],
)
def test_a_guard_rail_says_what_it_forbids(policy: Policy, state: Fleet, word: str) -> None:
    assert word in " ".join(vetoes(Scope("csv", "2"), policy, state, AT))


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
