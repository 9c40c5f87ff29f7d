"""How a refusal looks to whoever is refused."""

from __future__ import annotations

import asyncio
import math
import pickle
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
from plugwarden import BreakerPolicy, CallNotPermitted, PluginQuarantined, RatePolicy, Sidecar
from plugwarden.contract import Action, BreakerState, Directive, DirectiveSet, RejectionReason, Scope
from plugwarden.integrations.answering import answering
from plugwarden.integrations.asgi import PluginApp
from plugwarden.integrations.refusal import http_refusal
from starlette.testclient import TestClient

from tests.sidecar.support.kept_versions import isolated, told, version


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


# -- whose refusal it is --------------------------------------------------------------------------------------------------


@pytest.fixture
def refused_within(sidecar: Sidecar) -> Callable[[], Any]:
    """What a plugin calls of its own operation, and is refused there: an isolated version of it."""
    told(sidecar, *isolated(Scope("geo", "0")))
    form: Callable[[], Any] = version(sidecar, 0)
    return form


def test_what_a_view_was_refused_inside_is_its_own_error_and_no_page_of_ours(
    sidecar: Sidecar, refused_within: Callable[[], Any]
) -> None:
    async def asks() -> Any:
        return refused_within()

    view = answering(version(sidecar, 1, refused_within), lambda refusal: "503")
    async_view = answering(version(sidecar, 2, asks), lambda refusal: "503")
    error = refused(sidecar, view)
    assert error.scope.version == "0"
    again = answering(version(sidecar, 3, lambda: (_ for _ in ()).throw(error)), lambda refusal: "503")
    assert refused(sidecar, again) is error
    assert refused(sidecar, lambda: asyncio.run(async_view())).scope.version == "0"
    told(sidecar, *isolated(*(Scope("geo", str(number)) for number in range(4))))
    assert (view(), again(), asyncio.run(async_view())) == ("503", "503", "503")


def test_what_a_mounted_application_was_refused_inside_is_its_own_error(
    sidecar: Sidecar, refused_within: Callable[[], Any]
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        refused_within()

    mounted = PluginApp(app, sidecar, plugin="geo", version="1", operation=lambda scope: "find")
    with pytest.raises(PluginQuarantined):
        TestClient(mounted).get("/")
    told(sidecar, *isolated(Scope("geo")))
    assert TestClient(mounted).get("/").status_code == 503


@pytest.mark.skipif(find_spec("mcp") is None, reason="the MCP SDK is not installed")
def test_what_a_tool_was_refused_inside_is_its_own_failure(sidecar: Sidecar, refused_within: Callable[[], Any]) -> None:
    from plugwarden.integrations.mcp import _Tools

    class Server:
        name, version = "geo", "1"

    async def work() -> Any:
        return refused_within()

    tools = _Tools(Server(), sidecar, None, lambda plugin, version, operation: {})
    with pytest.raises(RuntimeError, match="geo@0") as caught:
        asyncio.run(tools._call("find", {}, work))
    assert isinstance(caught.value.__cause__, PluginQuarantined)
    told(sidecar, *isolated(Scope("geo")))
    with pytest.raises(PluginQuarantined):
        asyncio.run(tools._call("find", {}, work))
