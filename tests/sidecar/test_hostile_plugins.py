"""Plugins that mean harm: what they raise and answer costs the host nothing, hides no failure, and evades no limit."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from plugwarden import QuotaExceeded, QuotaPolicy, Sidecar
from plugwarden.inspection import MAX_LEAVES, leaves_of, message_of
from plugwarden.shim.later import runs_later


def bomb(width: int, depth: int, leaf: Exception) -> ExceptionGroup:
    """A few objects that are `width` to the power of `depth` exceptions to whoever goes through them."""
    group = ExceptionGroup("boom", [leaf] * width)
    for _ in range(depth - 1):
        group = ExceptionGroup("boom", [group] * width)
    return group


def test_a_group_of_more_exceptions_than_anybody_can_count_is_not_gone_through(sidecar: Sidecar, outbox: Any) -> None:
    assert len(list(leaves_of(bomb(50, 9, ValueError("v"))))) <= MAX_LEAVES

    def explode() -> None:
        raise bomb(50, 9, ValueError("v"))

    wrapped = sidecar.wrap(explode, plugin="p", version="1")
    with pytest.raises(ExceptionGroup):
        wrapped()
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="error", plugin_error_source="plugin", error_type="ExceptionGroup") == 1


def test_a_failure_behind_a_thousand_that_are_exempt_still_counts(sidecar: Sidecar, outbox: Any) -> None:
    def hide() -> None:
        raise ExceptionGroup("many", [*(StopIteration() for _ in range(2 * MAX_LEAVES)), ValueError("mine")])

    wrapped = sidecar.wrap(hide, plugin="p", version="1")
    with pytest.raises(ExceptionGroup):
        wrapped()
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="error", plugin_error_source="plugin") == 1


def test_a_group_within_a_group_is_looked_into_in_order() -> None:
    first, second, third = ValueError(1), KeyError(2), OSError(3)
    group = ExceptionGroup("a", [first, ExceptionGroup("b", [second]), third])
    assert list(leaves_of(group)) == [first, second, third]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad", list(range(1_000_000))),
        KeyError(tuple(range(1_000_000))),
        ValueError({"rows": [[0] * 1000] * 1000}),
        RuntimeError({number: number for number in range(300_000)}),
        RuntimeError(set(range(300_000)), frozenset(range(300_000))),
    ],
)
def test_the_text_of_an_exception_with_a_million_items_is_not_made(error: Exception) -> None:
    tracemalloc.start()
    try:
        text = message_of(error)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0 < len(text) <= 1000
    assert peak_bytes < 200_000


def test_the_text_of_an_ordinary_exception_is_its_own() -> None:
    for error in (ValueError("bad", [1, 2, 3], {"b": 1, "a": 2}), KeyError("x"), ValueError(), OSError(2, "gone")):
        assert message_of(error) == str(error)


def test_the_text_of_an_exception_that_interrupts_hides_no_failure(sidecar: Sidecar, outbox: Any) -> None:
    class Interrupting(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    def fail() -> None:
        raise Interrupting

    wrapped = sidecar.wrap(fail, plugin="p", version="1")
    with pytest.raises(KeyboardInterrupt):  # it may be a real one: it passes
        wrapped()
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="error", plugin_error_source="plugin") == 1


class Refusing(type):
    """Classes of it answer nothing about themselves; what they raise would end the process."""

    def __hash__(cls) -> int:
        raise SystemExit("hash")

    def __eq__(cls, other: object) -> bool:
        raise SystemExit("eq")

    def __getattribute__(cls, name: str) -> Any:
        raise SystemExit(name)

    def __instancecheck__(cls, other: object) -> bool:
        raise SystemExit("instance")


def odd() -> type:
    """Made where it is used: pytest would ask a class of this module for its attributes."""

    class Odd(metaclass=Refusing):
        pass

    return Odd


def lying() -> type:
    class Lying:
        @property
        def __class__(self) -> Any:
            raise SystemExit("class")

    return Lying


class Empty(bytes):
    """Says that it is empty."""

    def __len__(self) -> int:
        return 0


class Unmeasured(str):
    def __len__(self) -> int:
        raise RuntimeError("no length")


@pytest.mark.parametrize("make", [odd, lying])
@pytest.mark.parametrize("quota", [None, QuotaPolicy(output_bytes=10)])
def test_a_result_that_is_looked_at_runs_none_of_its_code(
    sidecar: Sidecar, outbox: Any, make: Callable[[], type], quota: QuotaPolicy | None
) -> None:
    kind = make()
    wrapped = sidecar.wrap(lambda: kind(), plugin="p", version="1", operation="o", quota=quota)
    for _ in range(3):
        assert type(wrapped()) is kind
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="success") == 3
    assert [operation.faults for operation in sidecar.operations] == [0]


@pytest.mark.parametrize(
    "make", [lambda: Empty(b"x" * 100), lambda: Unmeasured("x" * 100), lambda: memoryview(bytes(96)).cast("d")]
)
def test_a_result_is_measured_and_not_asked_for_its_length(
    sidecar: Sidecar, outbox: Any, make: Callable[[], object]
) -> None:
    wrapped = sidecar.wrap(make, plugin="p", version="1", operation="o", quota=QuotaPolicy(output_bytes=50))
    with pytest.raises(QuotaExceeded):
        wrapped()
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="error", plugin_error_source="quota") == 1


def test_a_future_that_cannot_be_looked_up_is_counted_as_what_it_is(sidecar: Sidecar, outbox: Any) -> None:
    class Unhashable(asyncio.Future[int]):
        __hash__ = None  # type: ignore[assignment]

    async def main() -> None:
        wrapped = sidecar.wrap(lambda: Unhashable(), plugin="p", version="1", operation="o")
        assert type(wrapped()) is Unhashable

    asyncio.run(main())
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="success") == 1


def test_futures_are_still_told_from_other_results() -> None:
    class Mine(asyncio.Future[int]):
        pass

    assert runs_later(asyncio.Future) is not None
    assert runs_later(Mine) is not None
    assert runs_later(dict) is None
    assert runs_later(odd()) is None


def test_a_judge_that_fails_leaves_the_call_counted(sidecar: Sidecar, outbox: Any) -> None:
    class Sly(Exception):
        pass

    def ended(error: BaseException) -> bool:
        raise RecursionError

    def fail() -> None:
        raise Sly

    wrapped = sidecar.wrap(fail, plugin="p", version="1", caller_errors=[ended])
    with pytest.raises(Sly):
        wrapped()
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="error", plugin_error_source="plugin") == 1


def test_annotations_of_one_call_have_an_end_together(sidecar: Sidecar, outbox: Any) -> None:
    text = "y" * 100_000

    def annotate() -> str:
        span = trace.get_current_span()
        for number in range(200):
            span.set_attribute(f"a{number}", text)
            span.add_event("e", {f"k{number}": text for number in range(100)})
        return "done"

    assert sidecar.wrap(annotate, plugin="p", version="1")() == "done"
    assert sidecar.flush()
    (span,) = outbox.spans_sent
    assert 0 < len(span.raw.SerializeToString()) < 200_000
    assert span.attributes["a0"] == text[:4096]
    assert span.events
