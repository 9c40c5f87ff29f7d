"""How a refusal looks to whoever is refused."""

from __future__ import annotations

import math
import pickle

import pytest
from plugwarden import BreakerPolicy, CallNotPermitted, PluginQuarantined, RatePolicy, Sidecar
from plugwarden.contract import Action, BreakerState, Directive, DirectiveSet, RejectionReason, Scope
from plugwarden.integrations.refusal import http_refusal


def refused(sidecar: Sidecar, call: object) -> CallNotPermitted:
    assert callable(call)
    with pytest.raises(CallNotPermitted) as caught:
        call()
    return caught.value


def test_every_refusal_says_when_to_try_again(sidecar: Sidecar) -> None:
    def fail() -> None:
        raise OSError

    broken = sidecar.wrap(fail, plugin="p", version="1", operation="broken", breaker=BreakerPolicy(open_seconds=7))
    for _ in range(9):
        with pytest.raises(OSError):
            broken()
    error = refused(sidecar, broken)
    assert (error.reason, error.retry_after_seconds) == (RejectionReason.CIRCUIT_OPEN, pytest.approx(7.3, abs=0.5))

    breaker = sidecar.breaker("p", "1", "broken")
    assert breaker is not None
    breaker.force(BreakerState.FORCED_OPEN, "by hand")
    assert refused(sidecar, broken).retry_after_seconds == 30.0

    limited = sidecar.wrap(lambda: 1, plugin="p", version="1", operation="limited", rate=RatePolicy(0.1, burst=1))
    assert limited() == 1
    assert refused(sidecar, limited).retry_after_seconds == pytest.approx(10, abs=0.5)

    sidecar._apply(
        DirectiveSet(
            "e",
            1,
            (
                Directive("q-1", Action.ISOLATE, Scope("p")),
                Directive("q-2", Action.PROBE, Scope("new"), share_ratio=1e-12),
            ),
        )
    )
    error = refused(sidecar, limited)
    assert isinstance(error, PluginQuarantined)
    assert (error.retry_after_seconds, error.directive_id) == (30.0, "q-1")
    assert pickle.loads(pickle.dumps(error)).retry_after_seconds == 30.0
    probation = sidecar.wrap(lambda: 1, plugin="new", version="1", operation="x")
    assert refused(sidecar, probation).retry_after_seconds == 1.0


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.0, "1"), (0.4, "1"), (1.4, "2"), (30.0, "30"), (None, "30"), (math.inf, "30"), (-3.0, "30")],
)
def test_in_http_it_is_a_503_that_says_when_in_whole_seconds(seconds: float | None, told: str) -> None:
    error = CallNotPermitted(
        Scope("geo", "1", "lookup", "host-7"), RejectionReason.CIRCUIT_OPEN, "a secret", retry_after_seconds=seconds
    )
    answer = http_refusal(error)
    assert answer.status == 503
    assert dict(answer.headers)["retry-after"] == told
    assert dict(answer.headers)["content-length"] == str(len(answer.body))
    assert answer.body == b"this part of the service is not available: circuit_open"
    assert (b"retry-after", told.encode()) in answer.raw_headers
