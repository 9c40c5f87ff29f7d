"""A short run of the fuzz of what runs in the host's process (`make fuzz` runs a million of each)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from random import Random

from plugwarden.contract import DirectiveSet

from tests.sidecar.support.fuzz_inputs import (
    directive_bytes,
    directive_fault,
    host_state,
    redaction_fault,
    redaction_text,
)


def alone(work: Callable[[], tuple[object, object]]) -> tuple[object, object]:
    """Return what `work` does in a process of its own: threads of other tests change this one's state whenever they like."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work).result(timeout=120)


def changed(before: dict[str, object]) -> dict[str, object]:
    """What of the host's state is not as it was."""
    return {name: (before[name], value) for name, value in host_state().items() if value != before[name]}


def texts() -> tuple[object, object]:
    """Faults at hostile texts, and what they changed."""
    random = Random(1)
    redaction_fault(redaction_text(random))
    before = host_state()
    found = [(what, text) for text in (redaction_text(random) for _ in range(700)) if (what := redaction_fault(text))]
    return found, changed(before)


def directives() -> tuple[object, object]:
    """Faults at hostile directives, and what they changed."""
    random, known = Random(1), DirectiveSet("e", 7)
    directive_fault(directive_bytes(random), known)
    before = host_state()
    bodies = [directive_bytes(random) for _ in range(1_500)]
    return [(what, body) for body in bodies if (what := directive_fault(body, known))], changed(before)


def test_hostile_texts_take_no_time_and_change_nothing() -> None:
    assert alone(texts) == ([], {})


def test_hostile_directives_are_refused_in_no_time_and_change_nothing() -> None:
    assert alone(directives) == ([], {})
