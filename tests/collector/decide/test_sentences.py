"""Every decision explains itself in at most four plain sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from plugwarden_collector.decide.quarantine import Quarantine
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.rules.policy import Enforcement, Policy

from tests.collector.support.played_fleet import RULES, Fleet

from .sentences import sentences, too_long
from .test_acts import ACTS, standing


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("csv@2.0.1 fails", 1),
        ("8 of 20 calls failed (40 %) within 1.5 s, against 99 %. The policy only observes.", 2),
        ("Isolate csv@2? It fails. One. Two. Three!", 5),
    ],
)
def test_sentences_are_counted_and_numbers_are_none(text: str, count: int) -> None:
    assert sentences(text) == count


STORY: tuple[Mapping[tuple[str, str], int], ...] = (
    {("csv", "2"): 10, ("csv", "1"): 0},
    {(f"p{number}", "1"): 10 for number in range(4)},
    {("csv", "3"): 10},
    {("csv", "2"): 0, ("csv", "3"): 0, ("p0", "1"): 3},
)
"""What fails: a version, many at once, a later version, and nothing but a little."""


@pytest.mark.parametrize("frozen", [None, "release day"])
@pytest.mark.parametrize("how", Enforcement)
def test_no_decision_of_a_tick_is_longer_than_four_sentences(how: Enforcement, frozen: str | None) -> None:
    policy = Policy(
        how, probation_steps=(0.1, 1.0), step_seconds=1, step_min_calls=5, hold_seconds=30, max_actions_per_hour=3,
        protected=("p3",), critical=("p2",), step_timeout_seconds=60,
    )  # fmt: skip
    fleet = Fleet(replace(RULES, policy=policy), running=8)
    for key in {key for part in STORY for key in part}:
        fleet.has_past(*key)
    fleet.standing.frozen = frozen
    for part in STORY:
        fleet.play(60, lambda part=part: [fleet.arrive(*key, 20, bad) for key, bad in part.items()], step=2)  # type: ignore[misc]
    assert fleet.made
    assert too_long(fleet.made) == []


def test_no_decision_of_a_person_is_longer_than_what_they_wrote() -> None:
    made = [draft for act in ACTS for draft in act(standing())[1].decisions]
    assert too_long(made) == []


def test_what_people_are_told_of_a_quarantine_is_short_too(suspect: Quarantine) -> None:
    from plugwarden_collector.announce.subject import subjects_of

    for item in (suspect, replace(suspect, evidence={"prevented": ["it is protected", "the limit is 5"]})):
        (subject,) = subjects_of(Standing(quarantines={item.id: item}))
        assert sentences(f"{subject.summary}. {subject.description}") <= 6


@pytest.fixture
def suspect() -> Quarantine:
    from .test_acts import SUGGESTED

    return SUGGESTED
