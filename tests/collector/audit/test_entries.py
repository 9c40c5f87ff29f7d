"""Seals: no two entries share one, and no chain passes for another."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.audit.entries import ACCESS, GENESIS, Draft, examine, seal

from tests.collector.support.sealed_log import KEY
from tests.collector.support.stores import AT

TEXTS = st.text(max_size=12)


@given(st.lists(TEXTS, min_size=4, max_size=4), st.lists(TEXTS, min_size=4, max_size=4))
def test_no_two_entries_have_the_same_seal(one: list[str], other: list[str]) -> None:
    def sealed(texts: list[str]) -> str:
        kind, actor, scope, reason = texts
        return seal(Draft(AT, kind, actor, scope, reason, says=actor), 1, GENESIS, KEY.current).hash

    assert (sealed(one) == sealed(other)) == (one == other)


def test_the_chains_cannot_be_taken_for_each_other() -> None:
    draft = Draft(AT, "noted", "a", "b", "c")
    entry = seal(draft, 1, GENESIS, KEY.current, ACCESS)
    row = {
        "sequence": 1, "time": AT, "kind": "noted", "actor": "a", "scope": "b", "reason": "c", "enforcement": None,
        "quarantine_id": None, "says": None, "evidence": entry.evidence_json, "key_id": entry.key_id,
        "previous_hash": GENESIS, "hash": entry.hash,
    }  # fmt: skip
    assert examine([row], KEY, stream=ACCESS).problem is None
    assert examine([row], KEY).problem == "entry 1 was changed after it was written"


def test_a_number_that_json_has_not_does_not_cost_the_decision() -> None:
    entry = seal(Draft(AT, "a", "b", "c", "d", evidence={"rate": float("nan"), "all": [float("inf")]}), 1, GENESIS)
    assert json.loads(entry.evidence_json) == {"rate": "nan", "all": ["inf"]}
