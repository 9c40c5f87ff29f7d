"""Secrets and personal data do not leave, what is none stays, and looking takes time in proportion."""

from __future__ import annotations

import re
import sys
import time
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugwarden import Sidecar
from plugwarden.redaction import REDACTED, hides_value, redact
from plugwarden.redaction import keys as key_rules
from plugwarden.redaction.engine import MAX_LOOKED_AT, WINDOW
from plugwarden.redaction.record import LEFT_OUT, MAX_RECORD
from plugwarden.redaction.shapes import SHAPES

from tests.sidecar.support.redaction_table import HARMLESS, PERSONAL, SECRETS, adversaries

ALL = SECRETS + PERSONAL


def test_the_table_has_more_than_sixty_shapes() -> None:
    assert len({name for name, _, _ in ALL}) == len(ALL) >= 140


@pytest.mark.parametrize(("name", "text", "secret"), ALL, ids=[name for name, _, _ in ALL])
def test_it_does_not_leave(name: str, text: str, secret: str) -> None:
    found = redact(text)
    width = min(10, len(secret))
    assert REDACTED in found
    assert not any(secret[at : at + width] in found for at in range(len(secret) - width + 1)), found
    assert redact(found) == found, "looking twice changes nothing more"


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_letters_of_other_scripts_with_a_latin_small_form_are_no_trouble() -> None:
    kelvin, capital = "\u212a", "\u0130"
    assert redact(f"api_{kelvin}ey=abc123def456 {capital}") == f"api_{kelvin}ey=abc123def456 {capital}"
    assert redact(f"{capital * 40} password=hunter2") == f"{capital * 40} password={REDACTED}"


def test_the_words_around_stay() -> None:
    assert redact("could not reach postgres://app:hunter2@db/x") == f"could not reach postgres://app:{REDACTED}@db/x"
    assert redact("password='s3cr3t value', user=ann") == f"password='{REDACTED}', user=ann"
    assert redact('{"user": "x", "password": "a\\"b", "n": 1}') == f'{{"user": "x", "password": "{REDACTED}", "n": 1}}'


@pytest.mark.parametrize("before", [WINDOW - 40, WINDOW - 1, 2 * WINDOW - 1_100])
def test_it_does_not_leave_a_long_text_either(before: int) -> None:
    filler = "all is well here\n" * (2 * WINDOW // 17)
    for name, text, secret in ALL:
        found = redact(f"{filler[-before:]}\n{text}\n{filler[:100]}")
        width = min(10, len(secret))
        assert not any(secret[at : at + width] in found for at in range(len(secret) - width + 1)), name


def test_what_nobody_looked_at_does_not_leave() -> None:
    found = redact("x " * (MAX_LOOKED_AT // 2) + "password=hunter2")
    assert "hunter2" not in found
    assert "16 characters left out" in found


@pytest.mark.parametrize(
    ("key", "value", "hidden"),
    [
        ("user.password", "x", True), ("http.request.header.authorization", ["Bearer x"], True), ("db.api_key", "abc", True),
        ("clientSecret", "abc", True), ("session_token", "abcdef", True), ("cvv", 123, True), ("password", 12345, True),
        ("phone", "030 1234567", True), ("gen_ai.usage.input_tokens", 12, False), ("max_tokens", 4096, False),
        ("aws.secretsmanager.secret.arn", "arn:x", False), ("password.changed", True, False), ("rows", 3, False),
        ("http.route", "/x", False), ("session.id", "abc", True), ("token_type", "bearer", False), ("author", "Ann", False),
        ("code.function.name", "get_token", False), ("user.email", "none", False), ("url.full", "https://x", False),
    ],
)  # fmt: skip
def test_a_key_says_whether_its_value_may_leave(key: str, value: Any, hidden: bool) -> None:
    assert hides_value(key, value) is hidden


# -- linear, by construction ------------------------------------------------------------------------------------------


def patterns() -> dict[str, str]:
    from plugwarden.redaction import engine, shapes, tokens

    found = {shape.name: shape.pattern for shape in SHAPES}
    for module in (engine, shapes, tokens, key_rules):
        for name, value in vars(module).items():
            if (
                isinstance(value, str)
                and name.startswith("_")
                and not name.startswith("__")
                and re.search(r"[{+*]", value)
            ):
                found[f"{module.__name__}.{name}"] = value
    return found


def test_no_pattern_can_try_anything_twice() -> None:
    """Repeats are possessive and bounded and choices atomic, so a look from one place takes at most as many steps as there are
    characters in reach, times the choices."""
    found = patterns()
    assert len(found) > len(SHAPES) + 8
    for name, pattern in found.items():
        flags = re.compile(pattern).flags
        assert faults(re._parser.parse(pattern, flags), outermost=True) == [], name  # type: ignore[attr-defined]


def faults(tree: Any, *, outermost: bool = False, atomic: bool = False) -> list[str]:
    """What may be looked at more than once, or without end, in a pattern as `re` reads it."""
    found = []
    items = list(tree)
    for place, (kind, argument) in enumerate(items):
        word = str(kind)
        if word in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            low, high, inner = argument
            if word != "POSSESSIVE_REPEAT" and low != high:
                found.append(f"a repeat that gives back: {low} to {high}")
            if high > 10_000:
                found.append("a repeat without a bound")
            found += faults(inner, atomic=True)
        elif word == "BRANCH":
            last = outermost and place == len(items) - 1
            if not atomic and not last and not single(argument[1]):
                found.append("a choice that is taken back")
            for branch in argument[1]:
                found += faults(branch)
        elif word == "ATOMIC_GROUP":
            found += faults(argument, atomic=True)
        elif word == "SUBPATTERN":
            found += faults(argument[3], outermost=outermost and place == len(items) - 1, atomic=atomic)
        elif word in ("ASSERT", "ASSERT_NOT"):
            found += faults(argument[1], atomic=True)
    return found


def single(branches: Any) -> bool:
    """Whether each choice is of one character: then no two of them fit in different lengths."""
    return all(branch.getwidth()[0] == branch.getwidth()[1] for branch in branches)


def test_no_text_makes_it_take_more_than_in_proportion() -> None:
    """Steps of the interpreter cannot be counted inside `re`; four times the text may take four times the time and some noise,
    where a square would take sixteen times."""
    for seed in adversaries():
        short, long = (seed * (size // len(seed)) for size in (1_900, 7_600))
        quick, slow = 1.0, 10.0
        for _ in range(12):  # the least of each: whatever else the machine does only adds
            quick, slow = min(quick, seconds(short)), min(slow, seconds(long))
            if slow < 8 * max(quick, 1e-6):
                break
        assert slow < 8 * max(quick, 1e-6), seed


def seconds(text: str) -> float:
    began = time.thread_time()
    redact(text)
    return time.thread_time() - began


# -- bounded, and whole -----------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from([text for _, text, _ in ALL] + HARMLESS + adversaries()) | st.text(max_size=20), max_size=8
    ).map("".join)
)
def test_redaction_takes_any_text_and_looking_twice_changes_nothing(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


def test_a_record_with_megabytes_of_text_is_looked_at_up_to_its_bound(outbox: Any) -> None:
    looked: list[int] = []

    def look(text: str) -> str:
        looked.append(len(text))
        return text

    sidecar = Sidecar(service="t", redact=look)

    def work() -> None:
        from opentelemetry import trace

        span = trace.get_current_span()
        for number in range(60):
            span.set_attribute(f"note{number}", ["x" * 4_000] * 100)
        raise ValueError("boom")

    with pytest.raises(ValueError):
        sidecar.wrap(work, plugin="p", version="1", operation="o")()
    sidecar.close(5)
    assert 0 < sum(looked) <= MAX_RECORD
    assert LEFT_OUT in str(outbox.spans_sent[0].attributes)


def test_spans_of_the_host_that_go_the_same_way_are_redacted(outbox: Any) -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import StatusCode

    sidecar = Sidecar(service="t")
    provider = TracerProvider()
    provider.add_span_processor(sidecar.span_processor())
    with provider.get_tracer("host").start_as_current_span("s") as span:
        span.set_attribute("url.full", "https://ann:hunter2@x/")
        span.set_attribute("args", ["--password", "password=hunter2"])
        span.record_exception(ValueError("mysql password=hunter2"))
        span.set_status(StatusCode.ERROR, "password=hunter2")
    sidecar.close(5)
    assert "hunter2" not in str([(span.raw, span.attributes) for span in outbox.spans_sent])
    assert outbox.spans_sent


def test_a_host_that_wants_no_redaction_gets_none(outbox: Any) -> None:
    sidecar = Sidecar(service="t", redact=False, trace_ratio=1.0)

    def work() -> None:
        from opentelemetry import trace

        trace.get_current_span().set_attribute("user.password", "hunter2")

    sidecar.wrap(work, plugin="p", version="1", operation="o")()
    sidecar.close(5)
    assert outbox.spans_sent[0].attributes["user.password"] == "hunter2"


def test_patterns_are_made_when_they_are_needed() -> None:
    import subprocess

    code = "import plugwarden.redaction.places as p, plugwarden.redaction; print(p.compiled.cache_info().currsize)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_random_tables_of_words_survive() -> None:
    random = Random(3)
    words = (
        "rows table index of the export plugin failed with 17 errors in 0.23 s at 10:15:30 while reading part-00017.csv"
    )
    for _ in range(300):
        text = " ".join(random.choice(words.split()) for _ in range(30))
        assert redact(text) == text


@pytest.mark.parametrize("length", [1_000, 2_000, 8_000, 20_000])
def test_all_of_a_long_token_is_masked(length: int) -> None:
    for prefix in ("AKCp", "ghp_", "ATATT3x"):
        token = prefix + ("aB3" * length)[:length]
        assert redact(f"refused {token} by the registry") == "refused [redacted] by the registry", prefix


def test_redaction_takes_time_in_proportion() -> None:
    def seconds(n: int) -> float:
        began = time.thread_time()
        redact("token " + "a-" * n)
        return time.thread_time() - began

    assert seconds(16_000) < 60 * max(seconds(2_000), 1e-4)  # 8 times the text; quadratic would be 64 times
