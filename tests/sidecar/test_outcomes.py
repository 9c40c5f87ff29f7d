"""Whose failure an exception is: the real frameworks' own, what is declared, and exceptions that do not want to be looked at."""

from __future__ import annotations

import asyncio
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from plugwarden import ConfigurationError, Grants, Sidecar
from plugwarden.contract import BreakerState, ErrorSource
from plugwarden.declaration import Declaration
from plugwarden.declared_errors import Errors, Status, plain_attribute
from plugwarden.manifest import Manifest
from plugwarden.outcomes import MAX_REMEMBERED, _remembered, verdict

from tests.sidecar.support.counted_outcomes import CALLER, CONTROL, PLUGIN, outcomes


def installed(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed")


def raised(sidecar: Sidecar, make: Callable[[], BaseException], calls: int = 3, **terms: Any) -> dict[Any, int]:
    """What so many calls that raise count as; each gives its caller the very exception."""

    def call() -> None:
        raise error

    wrapped = sidecar.wrap(call, plugin="p", version="1", **terms)
    same = 0
    for _ in range(calls):
        error = make()
        try:
            wrapped()
        except BaseException as caught:
            same += caught is error
    assert same == calls
    return outcomes(sidecar)


def made(text: str) -> BaseException:
    """An exception from `module:expression`, the module's names at hand."""
    module, _, expression = text.partition(":")
    found = eval(expression, {**vars(importlib.import_module(module))})
    assert isinstance(found, BaseException)
    return found


FRAMEWORKS = [
    ("werkzeug", "werkzeug.exceptions:NotFound()", CALLER),
    ("werkzeug", "werkzeug.exceptions:BadRequestKeyError('size')", CALLER),
    ("werkzeug", "werkzeug.exceptions:ServiceUnavailable()", PLUGIN),
    ("werkzeug", "werkzeug.routing:RequestRedirect('/there/')", CONTROL),
    ("werkzeug", "werkzeug:exceptions.HTTPException(response=wrappers.Response('no', 404))", CALLER),
    ("werkzeug", "werkzeug:exceptions.HTTPException(response=wrappers.Response('no', 502))", PLUGIN),
    ("django", "django.http:Http404()", CALLER),
    ("django", "django.core.exceptions:PermissionDenied()", CALLER),
    ("django", "django.core.exceptions:BadRequest()", CALLER),
    ("django", "django.core.exceptions:DisallowedHost()", CALLER),
    ("django", "django.http.multipartparser:MultiPartParserError()", CALLER),
    ("django", "django.core.exceptions:ImproperlyConfigured()", PLUGIN),
    ("starlette", "starlette.exceptions:HTTPException(404)", CALLER),
    ("starlette", "starlette.exceptions:HTTPException(503)", PLUGIN),
    ("starlette", "starlette.exceptions:HTTPException(http.HTTPStatus.FORBIDDEN)", CALLER),
    ("starlette", "starlette.websockets:WebSocketDisconnect(1001)", CONTROL),
    ("fastapi", "fastapi:HTTPException(422)", CALLER),
    ("fastapi", "fastapi.exceptions:RequestValidationError([])", CALLER),
    ("fastapi", "fastapi.exceptions:ResponseValidationError([])", PLUGIN),
    ("aiohttp", "aiohttp.web:HTTPNotFound()", CALLER),
    ("aiohttp", "aiohttp.web:HTTPFound('/there')", CONTROL),
    ("aiohttp", "aiohttp.web:HTTPBadGateway()", PLUGIN),
    ("celery", "celery.exceptions:Retry()", CONTROL),
    ("celery", "celery.exceptions:Ignore()", CONTROL),
    ("celery", "celery.exceptions:Reject()", CONTROL),
    ("celery", "celery.exceptions:MaxRetriesExceededError()", PLUGIN),
    ("celery", "celery.exceptions:SoftTimeLimitExceeded()", PLUGIN),
    ("click", "click.exceptions:Exit(0)", CONTROL),
    ("click", "click.exceptions:Abort()", CONTROL),
    ("click", "click:BadParameter('no such size')", CALLER),
    ("click", "click:ClickException('broken')", PLUGIN),
    ("_pytest", "_pytest.outcomes:Skipped('not here')", CONTROL),
    ("_pytest", "_pytest.outcomes:XFailed('known')", CONTROL),
    ("_pytest", "_pytest.outcomes:Exit('enough')", CONTROL),
    ("unittest", "unittest:SkipTest('not here')", CONTROL),
    ("mcp", "mcp.shared.exceptions:MCPError(-32602, 'no such city')", CALLER),
    ("mcp", "mcp.shared.exceptions:MCPError(-32603, 'internal')", PLUGIN),
    ("mcp", "mcp.shared.exceptions:MCPError(-32042, 'log in first')", CONTROL),
    ("builtins", "builtins:StopIteration()", CONTROL),
    ("builtins", "builtins:ValueError()", PLUGIN),
    ("builtins", "builtins:ExceptionGroup('several', [StopAsyncIteration(), ValueError()])", PLUGIN),
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [pytest.param(text, expected, marks=installed(name), id=text) for name, text, expected in FRAMEWORKS],
)
def test_what_a_framework_means_by_its_exception_is_known(
    sidecar: Sidecar, text: str, expected: tuple[str, str]
) -> None:
    assert raised(sidecar, lambda: made(text), breaker=False) == {expected: 3}


@installed("rest_framework")
def test_what_djangos_rest_framework_means_is_known(sidecar: Sidecar) -> None:
    from django.conf import settings

    if not settings.configured:
        settings.configure(USE_I18N=False)
    from rest_framework.exceptions import APIException, Throttled

    assert raised(sidecar, Throttled, breaker=False) == {CALLER: 3}
    assert raised(sidecar, lambda: APIException("down"), breaker=False)[PLUGIN] == 3


def test_forty_of_the_callers_mistakes_leave_a_healthy_plugin_in_service(sidecar: Sidecar) -> None:
    from starlette.exceptions import HTTPException

    def item(number: int) -> int:
        if number > 10:
            raise HTTPException(404)
        return number

    wrapped = sidecar.wrap(item, plugin="shop", version="1")
    for _ in range(40):
        with pytest.raises(HTTPException):
            wrapped(99)
    assert wrapped(1) == 1
    breaker = sidecar.breaker("shop", "1", "item")
    assert breaker is not None
    assert breaker.state is BreakerState.CLOSED
    assert breaker.calls == 1


def test_a_coroutine_and_a_generator_are_told_apart_the_same_way(sidecar: Sidecar) -> None:
    from starlette.exceptions import HTTPException

    async def coroutine() -> None:
        raise HTTPException(404)

    def generator() -> Iterator[int]:
        yield 1
        raise HTTPException(404)

    awaits = sidecar.wrap(coroutine, plugin="p", version="1", operation="coroutine")
    yields = sidecar.wrap(generator, plugin="p", version="1", operation="generator")
    for _ in range(30):
        with pytest.raises(HTTPException):
            asyncio.run(awaits())
        with pytest.raises(HTTPException):
            list(yields())
    assert outcomes(sidecar, "coroutine") == outcomes(sidecar, "generator") == {CALLER: 30}


def test_no_fallback_stands_in_for_a_404_or_the_end_of_an_iteration(sidecar: Sidecar) -> None:
    numbers = iter([1, 2])

    def following() -> int:
        return next(numbers)

    wrapped = sidecar.wrap(following, plugin="p", version="1", fallback=lambda: 0)
    assert [wrapped(), wrapped()] == [1, 2]
    with pytest.raises(StopIteration):
        wrapped()


class NoSuchOrder(LookupError):
    pass


class ApiError(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


def test_what_is_the_callers_and_what_is_control_flow_can_be_declared(sidecar: Sidecar) -> None:
    here = f"{__name__}.ApiError"
    sys.modules.setdefault(__name__, types.ModuleType(__name__)).__dict__.setdefault("ApiError", ApiError)
    assert raised(sidecar, NoSuchOrder, breaker=False, operation="plain") == {}
    assert outcomes(sidecar, "plain") == {PLUGIN: 3}
    for number, (error, terms, expected) in enumerate(
        [
            (NoSuchOrder(), {"caller_errors": [LookupError]}, CALLER),
            (NoSuchOrder(), {"caller_errors": LookupError}, CALLER),
            (NoSuchOrder(), {"control_flow": "LookupError"}, CONTROL),
            (NoSuchOrder(), {"control_flow": lambda error: "Order" in type(error).__name__}, CONTROL),
            (NoSuchOrder(), {"caller_errors": lambda error: error.no_such_thing}, PLUGIN),
            (NoSuchOrder(), {"caller_errors": ["not.loaded.Thing"]}, PLUGIN),
            (ApiError(404), {"caller_errors": [Status(here, "status")]}, CALLER),
            (ApiError(500), {"caller_errors": [Status(here, "status")]}, PLUGIN),
            (ApiError(302), {"control_flow": [Status(here, "status", 300, 400)]}, CONTROL),
            (StopIteration(), {"known_outcomes": False}, PLUGIN),
            (StopIteration(), {"downstream_errors": [StopIteration]}, ("error", "downstream")),
        ]
    ):
        raised(sidecar, lambda error=error: error, breaker=False, operation=f"op{number}", **terms)  # type: ignore[misc]
        assert outcomes(sidecar, f"op{number}") == {expected: 3}, (number, terms)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([3], "caller_errors: 3 is neither"),
        (3, "caller_errors: 3 is neither"),
        ([int], "caller_errors: .*int.* is not a type of exception"),
        (["json.dumps"], "caller_errors: json.dumps is not a type"),
        (["json.NoSuchError"], "caller_errors: there is no json.NoSuchError"),
        (["no such"], "caller_errors: 'no such' is not the full name"),
    ],
)
def test_a_mistake_in_what_is_declared_is_named_at_wrap_time(sidecar: Sidecar, given: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        sidecar.wrap(lambda: 1, plugin="p", version="1", operation="x", caller_errors=given)


def test_a_manifest_declares_them_and_imports_nothing(tmp_path: Path, sidecar: Sidecar) -> None:
    (tmp_path / "plugin.toml").write_text("""
        [plugin]
        id = "shop"
        version = "1"
        [operations.order]
        caller_errors = ["KeyError", "wsgiref.validate.WSGIWarning", { type = "email.errors.MessageError", attribute = "status" }]
        control_flow = ["queue.Empty"]
    """)
    sys.modules.pop("wsgiref.validate", None)
    meant = ("KeyError", "wsgiref.validate.WSGIWarning", "email.errors.MessageError", "queue.Empty")
    plugin = sidecar.declare(tmp_path / "plugin.toml", grants=Grants(caller_errors=meant))
    assert "wsgiref.validate" not in sys.modules
    import queue

    errors: list[Exception] = [KeyError("x"), queue.Empty(), IndexError()]

    def order() -> None:
        raise errors.pop()

    wrapped = plugin.wrap(order)
    for _ in range(3):
        with pytest.raises((KeyError, queue.Empty, IndexError)):
            wrapped()
    assert outcomes(sidecar, "order") == {CALLER: 1, CONTROL: 1, PLUGIN: 1}


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        (["Exception"], "how a plugin's own bugs end"),
        (["builtins.BaseException"], "not a type of Exception"),
        ([3], "neither an exception's full name nor a table"),
        ([{"type": "x.Y", "atribute": "status"}], "did you mean attribute"),
        ([{"type": "x.Y", "at_least": 500}], "below: 500 is not above"),
        ([{"type": "x.Y", "at_least": "400"}], "at_least: '400' is not a int"),
        ("KeyError", "must be a list"),
    ],
)
def test_a_manifest_that_exempts_too_much_or_nothing_is_refused(declared: Any, words: str) -> None:
    raw = {"plugin": {"id": "p", "version": "1"}, "operations": {"x": {"control_flow": declared}}}
    with pytest.raises(ConfigurationError, match=r"operations\.x\.control_flow.*" + words):
        Manifest.from_dict(raw)


def test_a_returned_value_may_say_whose_failure_it_is(sidecar: Sidecar) -> None:
    def result(value: Any) -> Any:
        return value

    wrapped = sidecar.wrap(
        result,
        plugin="p",
        version="1",
        failed_result=lambda value: value.split()[0] if value == "odd x" else ErrorSource(value) if value else False,
    )
    for value in ("", "caller", "downstream", "odd x"):
        assert wrapped(value) == value
    assert outcomes(sidecar, "result") == {("success", ""): 1, CALLER: 1, ("error", "downstream"): 1, PLUGIN: 1}


# -- exceptions that do not want to be looked at --------------------------------------------------------------------------


class Touched(Exception):
    """What an exception below raises when its code is run."""


def touch(*args: Any, **kwargs: Any) -> Any:
    raise Touched


class Meta(type):
    __instancecheck__ = __subclasscheck__ = __eq__ = touch
    __hash__ = touch  # type: ignore[assignment]


def hostile() -> Iterator[type[Exception]]:
    from starlette.exceptions import HTTPException

    for base in (Exception, HTTPException):
        yield type("Attributes", (base,), {"__getattr__": touch, "__getattribute__": touch})
        yield type("Statuses", (base,), {"status_code": property(touch), "code": property(touch)})
        yield type("Classes", (base,), {"__class__": property(touch), "__dict__": property(touch)})
        yield Meta("Metas", (base,), {})


def test_an_exception_is_looked_at_without_running_its_code() -> None:
    declaration = Declaration.of(caller_errors=["json.JSONDecodeError", Status("json.JSONDecodeError", "status")])
    for kind in hostile():
        error = Exception.__new__(kind, 404)
        assert verdict(declaration, [error]) is None


def test_a_class_that_only_has_the_name_of_a_frameworks_is_the_plugins_own(sidecar: Sidecar) -> None:
    importlib.import_module("starlette.exceptions")
    impostor = type("HTTPException", (Exception,), {"__module__": "starlette.exceptions", "status_code": 404})
    assert raised(sidecar, impostor, breaker=False) == {PLUGIN: 3}


def test_attributes_are_read_as_they_are_stored() -> None:
    class Slotted:
        __slots__ = ("empty", "full")
        klass = 3
        computed = property(touch)

    thing: Any = Slotted()
    thing.full = 1
    assert [plain_attribute(thing, name) for name in ("full", "empty", "klass", "computed", "none")] == [
        1, None, 3, None, None,
    ]  # fmt: skip
    assert plain_attribute(types, "MethodType") is types.MethodType


def test_who_makes_a_new_type_with_each_call_takes_no_more_room(sidecar: Sidecar) -> None:
    raised(sidecar, lambda: type("New", (Exception,), {})(), calls=2 * MAX_REMEMBERED, breaker=False)
    assert len(_remembered) <= MAX_REMEMBERED
    assert Errors.of("x", [KeyError]) == Errors((KeyError,))
