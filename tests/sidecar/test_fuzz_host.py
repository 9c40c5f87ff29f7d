"""A short run of the fuzz of what runs in the host's process (`make fuzz` runs a million of each)."""

from __future__ import annotations

from random import Random

from plugwarden.contract import DirectiveSet

from tests.sidecar.support.fuzz_inputs import (
    directive_bytes,
    directive_fault,
    host_state,
    redaction_fault,
    redaction_text,
)


def test_hostile_texts_take_no_time_and_change_nothing() -> None:
    random = Random(1)
    redaction_fault(redaction_text(random))
    before = host_state()
    faults = [(what, text) for text in (redaction_text(random) for _ in range(700)) if (what := redaction_fault(text))]
    assert faults == []
    assert host_state() == before


def test_hostile_directives_are_refused_in_no_time_and_change_nothing() -> None:
    random, known = Random(1), DirectiveSet("e", 7)
    directive_fault(directive_bytes(random), known)
    before = host_state()
    bodies = [directive_bytes(random) for _ in range(1_500)]
    assert [(what, body) for body in bodies if (what := directive_fault(body, known))] == []
    assert host_state() == before
