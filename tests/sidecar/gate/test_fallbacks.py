"""What answers in the place of a call that failed or was refused."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from plugwarden import (
    ConfigurationError,
    Fallback,
    LastGood,
    Sidecar,
    Value,
)
from plugwarden.contract import BreakerState


def test_a_chain_answers_with_the_first_step_that_can(sidecar: Sidecar, outbox: Any) -> None:
    broken = False

    def price(item: str) -> int:
        if broken:
            raise OSError
        return 42

    def other(item: str) -> int:
        raise LookupError

    wrapped = sidecar.wrap(
        price, plugin="shop", version="1", fallback=Fallback(other, LastGood(60), Value(0)), breaker=False
    )
    assert wrapped("a") == 42
    broken = True
    assert wrapped("b") == 42
    assert sidecar.flush()
    (point,) = outbox.named("plugin.fallbacks")
    assert (point.attributes["plugin.fallback.answer"], point.point.as_int) == ("step 2", 1)


def test_the_last_steps_error_is_the_callers_when_all_fail(sidecar: Sidecar) -> None:
    def fail() -> None:
        raise OSError

    def no() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        sidecar.wrap(fail, plugin="p", version="1", fallback=Fallback(LastGood(), no))()


def test_a_fallback_has_a_bulkhead_of_its_own(sidecar: Sidecar) -> None:
    inside, release = threading.Event(), threading.Event()

    def slow() -> str:
        inside.set()
        release.wait(30)
        return "saved"

    def fail() -> str:
        raise OSError

    wrapped = sidecar.wrap(fail, plugin="p", version="1", fallback=Fallback(slow, concurrent=1))
    thread = threading.Thread(target=wrapped)
    thread.start()
    inside.wait(10)
    with pytest.raises(OSError):
        wrapped()
    release.set()
    thread.join()
    assert wrapped() == "saved"


def test_a_fallback_for_refusals_alone_leaves_errors_alone(sidecar: Sidecar) -> None:
    def fail() -> None:
        raise OSError

    wrapped = sidecar.wrap(
        fail, plugin="p", version="1", operation="x", fallback=Fallback(Value(1), answers=["refused"])
    )
    with pytest.raises(OSError):
        wrapped()
    breaker = sidecar.breaker("p", "1", "x")
    assert breaker is not None
    breaker.force(BreakerState.FORCED_OPEN, "by hand")
    assert wrapped() == 1


def test_a_security_plugins_fallback_must_be_declared_to_deny(sidecar: Sidecar) -> None:
    with pytest.raises(ConfigurationError, match="fails closed"):
        sidecar.wrap(lambda: 1, plugin="g", version="1", criticality="security", fallback=Value(True))
    sidecar.wrap(
        lambda: 1,
        plugin="g",
        version="1",
        operation="x",
        criticality="security",
        fallback=Fallback(Value(False), closed=True),
    )
