"""Against the real frameworks: Flask, Django, FastAPI and Starlette, Celery; each where it is installed."""

from __future__ import annotations

import asyncio
import re
import time
from importlib.util import find_spec
from typing import Any

import pytest
from plugwarden import BreakerPolicy, PluginQuarantined, Sidecar
from plugwarden.contract import BreakerState
from plugwarden.errors import ConfigurationError
from plugwarden.integrations.asgi import PluginApp, wrap_routes

from tests.sidecar.support.counted_outcomes import CALLER, CONTROL, PLUGIN, outcomes
from tests.sidecar.support.isolation import isolate

GOOD = ("success", "")


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed")


def opened(sidecar: Sidecar, plugin: str, version: str, operation: str) -> None:
    """Open the breaker of an operation by hand, as ten bad calls would."""
    breaker = sidecar.breaker(plugin, version, operation)
    assert breaker is not None
    assert breaker.state is BreakerState.CLOSED
    breaker._open(time.perf_counter(), "a test")


# -- Flask ----------------------------------------------------------------------------------------------------------------


@needs("flask")
def test_a_404_of_a_flask_blueprint_is_the_callers_and_a_refusal_is_a_503(sidecar: Sidecar) -> None:
    from flask import Blueprint, Flask, Response, abort  # type: ignore[import-not-found]
    from plugwarden.integrations import flask as integration

    shop, app = Blueprint("shop", __name__), Flask(__name__)

    @shop.get("/item/<int:number>")  # type: ignore[untyped-decorator]
    def item(number: int) -> Any:
        if number > 10:
            abort(404)
        if number == 3:
            return "broken", 503
        if number == 4:
            return Response("broken", 503), {"X-Why": "as an answer with headers"}
        if number == 5:
            return Response("broken", 503), None, {"X-Why": "with a status that is not said"}
        return {"number": number}

    @shop.get("/slow")  # type: ignore[untyped-decorator]
    async def slow() -> str:
        return "slow"

    @app.get("/own")  # type: ignore[untyped-decorator]
    def own() -> str:
        return "own"

    app.register_blueprint(shop, url_prefix="/shop")
    assert integration.instrument(app, sidecar) == 2
    assert integration.instrument(app, sidecar) == 0
    client = app.test_client()
    assert [client.get("/shop/item/99").status_code for _ in range(40)] == [404] * 40
    assert client.get("/shop/item/1").json == {"number": 1}
    assert [client.get(f"/shop/item/{number}").status_code for number in (3, 4, 5)] == [503, 503, 503]
    assert outcomes(sidecar, "item") == {CALLER: 40, GOOD: 1, PLUGIN: 3}
    opened(sidecar, "shop", "0", "item")
    refused = client.get("/shop/item/1")
    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) >= 1
    assert "circuit_open" in refused.text
    assert client.get("/own").text == "own"
    isolate(sidecar, "shop")
    assert client.get("/shop/item/1").status_code == 503
    assert "Retry-After" in client.get("/shop/slow").headers


# -- Django ---------------------------------------------------------------------------------------------------------------


def django_item(request: Any, number: int) -> Any:
    from django.http import Http404, HttpResponse  # type: ignore[import-not-found]

    if number > 10:
        raise Http404
    return HttpResponse(str(number), status=500 if number == 3 else 200)


async def django_slow(request: Any) -> Any:
    from django.http import HttpResponse

    return HttpResponse("slow")


@needs("django")
def test_a_404_of_a_django_application_is_the_callers_and_a_refusal_is_a_503(sidecar: Sidecar) -> None:
    import sys
    import types

    import django
    from django.conf import settings  # type: ignore[import-not-found]
    from plugwarden.integrations import django as integration

    plugin, urls = types.ModuleType("shop_plugin"), types.ModuleType("shop_urls")
    plugin.__path__, plugin.__file__ = ["/nowhere"], "/nowhere/__init__.py"
    sys.modules.update(shop_plugin=plugin, shop_urls=urls)
    if not settings.configured:
        settings.configure(USE_I18N=False)
    settings.INSTALLED_APPS, settings.ROOT_URLCONF, settings.ALLOWED_HOSTS = ["shop_plugin"], "shop_urls", ["*"]
    django.setup()
    from django.apps import apps
    from django.test import AsyncClient, Client
    from django.urls import path

    apps.set_installed_apps(["shop_plugin"])
    try:
        for view in (django_item, django_slow):
            view.__module__ = "shop_plugin.views"
        urls.urlpatterns = [  # type: ignore[attr-defined]
            path("item/<int:number>", django_item, name="item"),
            path("slow", django_slow),
            path("own", lambda request: django_item(request, 1)),
        ]
        assert integration.instrument(sidecar) == 2
        assert integration.instrument(sidecar) == 0
        client = Client(raise_request_exception=False)
        assert [client.get("/item/99").status_code for _ in range(40)] == [404] * 40
        assert client.get("/item/1").content == b"1"
        assert client.get("/item/3").status_code == 500
        assert outcomes(sidecar, "item") == {CALLER: 40, GOOD: 1, PLUGIN: 1}
        opened(sidecar, "shop_plugin", "0", "item")
        refused = client.get("/item/1")
        assert refused.status_code == 503
        assert int(refused["Retry-After"]) >= 1
        assert client.get("/own").content == b"1"
        assert asyncio.run(AsyncClient().get("/slow")).content == b"slow"
        isolate(sidecar, "shop_plugin")
        assert asyncio.run(AsyncClient().get("/slow")).status_code == 503
    finally:
        apps.unset_installed_apps()


# -- ASGI -----------------------------------------------------------------------------------------------------------------


def serve(app: Any, sidecar: Sidecar, kind: str = "http", heard: Any = None) -> list[Any]:
    """One request to an ASGI application that a plugin brought; what it answered."""
    observed = PluginApp(app, sidecar, plugin="p", version="1", operation=lambda scope: "serve")
    sent: list[Any] = []

    async def receive() -> Any:
        return heard or {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(observed({"type": kind, "method": "GET", "headers": []}, receive, send))
    return sent


START, END = {"type": "http.response.start", "status": 200}, {"type": "http.response.body"}
PART = {"type": "http.response.body", "body": b"x", "more_body": True}
ANSWERS: list[tuple[str, str, list[Any], tuple[str, str]]] = [
    ("nothing", "http", [], PLUGIN),
    ("a whole answer", "http", [START, PART, END], GOOD),
    ("no body", "http", [START], PLUGIN),
    ("half a body", "http", [START, PART], PLUGIN),
    ("a failure", "http", [{"type": "http.response.start", "status": 502}, END], PLUGIN),
    ("not found", "http", [{"type": "http.response.start", "status": 404}, END], GOOD),
    ("a file by its path", "http", [START, {"type": "http.response.pathsend", "path": "/x"}], GOOD),
    ("a socket left alone", "websocket", [], PLUGIN),
    ("a socket", "websocket", [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 1000}], GOOD),
    ("a socket refused", "websocket", [{"type": "websocket.close", "code": 1008}], GOOD),
    ("a socket broken", "websocket", [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 1011}], PLUGIN),
]


@pytest.mark.parametrize(("kind", "answer", "expected"), [one[1:] for one in ANSWERS], ids=[one[0] for one in ANSWERS])
def test_an_application_that_answers_nothing_or_half_did_not_succeed(
    sidecar: Sidecar, kind: str, answer: list[Any], expected: tuple[str, str]
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in answer:
            await send(message)

    assert serve(app, sidecar, kind) == answer
    assert outcomes(sidecar, "serve") == {expected: 1}


def test_an_application_whose_client_has_gone_need_not_answer(sidecar: Sidecar) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    assert serve(app, sidecar, heard={"type": "http.disconnect"}) == []
    assert outcomes(sidecar, "serve") == {CALLER: 1}


def test_the_routes_of_a_plugins_router_are_operations_of_their_own(sidecar: Sidecar) -> None:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    async def item(request: Request) -> PlainTextResponse:
        if request.path_params["number"] == "3":
            raise ValueError("broken")
        raise HTTPException(404)

    def other(request: Request) -> PlainTextResponse:
        return PlainTextResponse("other")

    routes = [Route("/item/{number}", item), Route("/other", other)]
    assert wrap_routes(routes, sidecar, plugin="shop", version="2", breaker=BreakerPolicy(minimum_calls=5)) == 2
    assert wrap_routes(routes, sidecar, plugin="shop", version="2") == 0
    client = TestClient(Starlette(routes=routes), raise_server_exceptions=False)
    assert [client.get("/item/99").status_code for _ in range(20)] == [404] * 20
    assert client.get("/item/3").status_code == 500
    assert client.get("/other").text == "other"
    assert outcomes(sidecar, "item") == {GOOD: 20, PLUGIN: 1}
    opened(sidecar, "shop", "2", "item")
    refused = client.get("/item/99")
    assert (refused.status_code, client.get("/other").text) == (503, "other")
    assert int(refused.headers["retry-after"]) >= 1


@needs("fastapi")
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_plugins_fastapi_router_is_observed_when_the_host_has_taken_it_in(sidecar: Sidecar, before: bool) -> None:
    from fastapi import APIRouter, FastAPI, HTTPException
    from fastapi.testclient import TestClient

    router, host = APIRouter(), FastAPI()

    @router.get("/item/{number}")
    def item(number: int) -> int:
        if number > 10:
            raise HTTPException(404)
        return number

    if before:
        assert wrap_routes(router.routes, sidecar, plugin="shop", version="2") == 1
    host.include_router(router, prefix="/shop")
    client = TestClient(host)
    if not before:
        assert wrap_routes(router.routes, sidecar, plugin="shop", version="2") == 1
    assert [client.get(f"/shop/item/{path}").status_code for path in ("99", "x", "1")] == [404, 422, 200]
    assert outcomes(sidecar, "item") == {GOOD: 3}
    isolate(sidecar, "shop")
    assert client.get("/shop/item/1").status_code == 503


def test_routes_go_back_to_those_of_the_earlier_version_by_name_path_and_methods(sidecar: Sidecar) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    def made(version: str, *, moved: str = "/moved") -> list[Route]:
        async def item(request: Request) -> PlainTextResponse:
            return PlainTextResponse(f"{version}: {request.path_params['number']}")

        async def change(request: Request) -> PlainTextResponse:
            return PlainTextResponse(f"{version} changed")

        async def elsewhere(request: Request) -> PlainTextResponse:
            return PlainTextResponse(version)

        return [
            Route("/item/{number}", item), Route("/item/{number}", change, name="item", methods=["POST"]), Route(moved, elsewhere),
        ]  # fmt: skip

    before, routes = made("1", moved="/once"), made("2")
    assert wrap_routes(before, sidecar, plugin="shop", version="1") == 3
    assert wrap_routes(routes, sidecar, plugin="shop", version="2", previous=before) == 3
    client = TestClient(Starlette(routes=routes), raise_server_exceptions=False)
    assert (client.get("/item/7").text, client.post("/item/7").text) == ("2: 7", "2 changed")
    isolate(sidecar, "shop", "2")
    assert (client.get("/item/7").text, client.post("/item/7").text) == ("1: 7", "1 changed")
    assert client.get("/moved").status_code == 503, "the earlier version has it under another path"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("unwrapped", "previous: route item is not wrapped; wrap its router first"),
        ("other", "previous: none of its routes has the name, path and methods of one of these"),
        ("same version", "previous: shop@2 is the version itself; give another version's"),
        ("a number", "previous: must be the routes of the earlier version's router, or a PluginApp"),
    ],
)
def test_what_routes_cannot_go_back_to_is_said_before_any_is_wrapped(sidecar: Sidecar, wrong: str, said: str) -> None:
    from starlette.routing import Route

    async def item(request: Any) -> Any: ...

    routes = [Route("/item", item)]
    before: Any = [Route("/item", item) if wrong != "other" else Route("/else", item)]
    if wrong != "unwrapped":
        wrap_routes(before, sidecar, plugin="shop", version="2" if wrong == "same version" else "1")
    plain = routes[0].handle
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        wrap_routes(routes, sidecar, plugin="shop", version="2", previous=7 if wrong == "a number" else before)  # type: ignore[arg-type]
    assert routes[0].handle == plain


@needs("starlette")
def test_a_route_goes_back_to_the_first_of_two_alike_which_the_earlier_router_served(sidecar: Sidecar) -> None:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    def route(answer: str) -> Route:
        async def item(request: Request) -> PlainTextResponse:
            return PlainTextResponse(answer)

        return Route("/item", item)

    before, routes = [route("first"), route("second")], [route("2")]
    wrap_routes(before, sidecar, plugin="shop", version="1")
    wrap_routes(routes, sidecar, plugin="shop", version="2", previous=before)
    isolate(sidecar, "shop", "2")
    assert TestClient(Starlette(routes=routes)).get("/item").text == "first"


@needs("fastapi")
def test_a_fastapi_router_goes_back_to_the_earlier_versions_with_parameters_and_body(sidecar: Sidecar) -> None:
    from fastapi import APIRouter, FastAPI
    from fastapi.testclient import TestClient

    def made(version: str) -> Any:
        router = APIRouter()

        @router.post("/item/{number}")
        def item(number: int, body: dict[str, int], wanted: str = "") -> list[Any]:
            return [version, number, body["a"], wanted]

        return router

    before, router, host = made("1"), made("2"), FastAPI()
    wrap_routes(before.routes, sidecar, plugin="shop", version="1")
    wrap_routes(router.routes, sidecar, plugin="shop", version="2", previous=before.routes)
    host.include_router(router, prefix="/shop")
    client = TestClient(host)

    def answer() -> Any:
        return client.post("/shop/item/3?wanted=x", json={"a": 5}).json()

    assert answer() == ["2", 3, 5, "x"]
    isolate(sidecar, "shop", "2")
    assert answer() == ["1", 3, 5, "x"]


# -- Celery ---------------------------------------------------------------------------------------------------------------


@needs("celery")
def test_a_celery_task_that_retries_is_healthy_and_a_refused_one_fails_with_an_error_of_its_own(
    sidecar: Sidecar,
) -> None:
    from celery import Celery  # type: ignore[import-not-found]
    from celery.backends.base import KeyValueStoreBackend  # type: ignore[import-not-found]
    from plugwarden.integrations import celery as integration

    app = Celery("host", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager, app.conf.task_store_eager_result = True, True

    @app.task(bind=True, name="retries", max_retries=2)  # type: ignore[untyped-decorator]
    def retries(self: Any) -> str:
        if self.request.retries < 2:
            raise self.retry(countdown=0)
        return "done"

    @app.task(name="fails", autoretry_for=(ValueError,), max_retries=2, retry_backoff=False, default_retry_delay=0)  # type: ignore[untyped-decorator]
    def fails() -> None:
        raise ValueError("broken")

    describe: Any = lambda task: None if task.name.startswith("celery.") else ("jobs", "1")  # noqa: E731
    assert integration.instrument(app, sidecar, describe=describe) == 2
    assert integration.instrument(app, sidecar, describe=describe) == 0
    assert retries.delay().get() == "done"
    assert outcomes(sidecar, "retries") == {CONTROL: 2, GOOD: 1}
    with pytest.raises(ValueError):
        fails.delay().get()
    assert outcomes(sidecar, "fails") == {PLUGIN: 3}
    isolate(sidecar, "jobs")
    with pytest.raises(integration.TaskRefused, match="not available: quarantined") as caught:
        retries.delay().get()
    assert isinstance(caught.value.__cause__, PluginQuarantined)
    stored = KeyValueStoreBackend(app=app)
    back = stored.exception_to_python(stored.prepare_exception(caught.value, serializer="json"))
    assert (type(back), str(back)) == (integration.TaskRefused, str(caught.value))
