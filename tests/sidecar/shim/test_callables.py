"""Same signature out: what a host looks at, binds, keeps weakly and counts frames of is as it was before wrapping."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import logging
import pickle
import types
import typing
import unittest.mock
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from plugwarden import ConfigurationError, Fallback, LastGood, Sidecar
from plugwarden.integrations.objects import wrap_methods

from tests.sidecar.support import callables_host as host

PAIRS: list[tuple[Any, Any]] = [
    (host.run, host.lookup),
    (host.asked, host.ask),
    (host.counted, host.count),
    (host.streamed, host.stream),
    (host.half, inspect.unwrap(host.half)),
    (host.decorated, inspect.unwrap(host.decorated)),
]
named = pytest.mark.parametrize(
    ("wrapped", "function"), PAIRS, ids=["plain", "coroutine", "generator", "async", "partial", "decorated"]
)


@named
def test_inspect_sees_the_plugins_own_parameters_however_it_is_asked(wrapped: Any, function: Any) -> None:
    assert inspect.signature(wrapped) == inspect.signature(function)
    assert inspect.signature(wrapped, eval_str=True) == inspect.signature(function, eval_str=True)
    assert inspect.signature(wrapped, follow_wrapped=False) == inspect.signature(function)
    if inspect.isfunction(function):
        assert inspect.getfullargspec(wrapped) == inspect.getfullargspec(function)
        assert typing.get_type_hints(wrapped) == typing.get_type_hints(function)


@named
def test_a_wrapped_callable_is_of_the_same_kind_and_has_the_same_names(wrapped: Any, function: Any) -> None:
    for question in (
        inspect.isfunction,
        inspect.isroutine,
        inspect.iscoroutinefunction,
        asyncio.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        callable,
    ):
        assert question(wrapped) is question(function), question.__name__
    assert isinstance(wrapped, type(function))
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__defaults__", "__kwdefaults__"):
        assert getattr(wrapped, name, None) == getattr(function, name, None), name
    assert wrapped.__wrapped__ is function


class OddlyBound:
    """A decorator whose object answers itself for what it is bound to."""

    def __init__(self, function: Callable[..., Any], bind: Callable[..., Any]) -> None:
        self.function, self.bind = function, bind

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self.bind(self, instance, owner)

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def _refuse(own: Any, instance: Any, owner: Any) -> Any:
    raise AttributeError("not from here")


class Counted:
    """What a decorator of others answers when it is bound: callable, with something of its own."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call, self.calls = call, 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self.call(*args)


BINDINGS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "partial": lambda own, instance, owner: functools.partial(own.__call__, instance),
    "method": lambda own, instance, owner: own if instance is None else types.MethodType(own, instance),
    "method of the class": lambda own, instance, owner: types.MethodType(own, owner),
    "one of its kind": lambda own, instance, owner: OddlyBound(functools.partial(own.function, instance), own.bind),
    "closure": lambda own, instance, owner: lambda *args: own(instance, *args),
    "with something of its own": lambda own, instance, owner: Counted(functools.partial(own, instance)),
}


@pytest.mark.parametrize("bind", BINDINGS.values(), ids=BINDINGS)
def test_what_binds_itself_in_its_own_way_is_bound_so_and_observed(sidecar: Sidecar, bind: Callable[..., Any]) -> None:
    def method(self: Any, *args: Any) -> Any:
        return self, args

    class Bare:
        call = OddlyBound(method, bind)

    class Host:
        call = sidecar.wrap(OddlyBound(method, bind), plugin="p", version="1", operation="x")

    (operation,) = sidecar.operations
    bare, wrapped = Bare(), Host()
    assert type(wrapped.call) is type(bare.call) or isinstance(wrapped.call, type(bare.call))
    assert hasattr(wrapped.call, "calls") is hasattr(bare.call, "calls")
    first, args = bare.call(1)
    assert wrapped.call(1) == (wrapped if first is bare else Host, args)
    assert operation.calls == 1
    assert operation.faults == 0


@pytest.mark.parametrize("bind", [_refuse, lambda own, instance, owner: "a value", lambda own, instance, owner: None])
def test_a_descriptor_that_answers_no_callable_answers_what_it_would(
    sidecar: Sidecar, bind: Callable[..., Any]
) -> None:
    class Host:
        call = sidecar.wrap(OddlyBound(print, bind), plugin="p", version="1", operation="x")

    for place in (Host, Host()):
        if bind is _refuse:
            with pytest.raises(AttributeError, match="not from here"):
                _ = place.call
        else:
            assert place.call == bind(None, None, None)


def test_what_is_bound_to_no_name_is_sent_as_it_is_and_named_in_the_log(
    sidecar: Sidecar, caplog: pytest.LogCaptureFixture
) -> None:
    wrapped = sidecar.wrap(functools.partial(host.lookup, radius=9), plugin="p", version="1", operation="x")
    for _ in range(2):
        assert pickle.loads(pickle.dumps(wrapped))((0.0, 0.0)) == [0.0, 0.0, 9, False]
    assert sum("unobserved" in record.getMessage() for record in caplog.records) == 1


def test_a_warning_names_the_line_that_called_the_plugin(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        host.warned()
    assert [found.filename for found in caught] == [__file__]
    assert [record.pathname for record in caplog.records if record.getMessage() == "said"] == [__file__]


def test_a_warning_from_a_step_or_a_task_names_no_line_of_ours(sidecar: Sidecar) -> None:
    def steps() -> Any:
        yield warnings.warn("step", DeprecationWarning, stacklevel=2)

    async def work() -> None:
        warnings.warn("work", DeprecationWarning, stacklevel=2)

    operation = functools.partial(sidecar.wrap, plugin="p", version="1", breaker=False)
    wrapped_work: Any = operation(work, operation="work", timeout=60.0)

    async def main() -> None:
        for _ in range(2):  # the first call is one of those that are metered
            await wrapped_work()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        list(operation(steps, operation="steps")())
        asyncio.run(main())
    assert [found.filename for found in caught] == [__file__] * 3


def test_a_cache_keeps_what_it_can_do(sidecar: Sidecar) -> None:
    class Plugin:
        @sidecar.plugin("p", version="1", operation="method")
        @functools.lru_cache  # noqa: B019 - the very thing that is tested
        def cached(self, n: int) -> int:
            return n

    @sidecar.plugin("p", version="1", operation="function")
    @functools.lru_cache(maxsize=3)
    def cached(n: int) -> int:
        return n

    plugin, looked_at = Plugin(), typing.cast(Any, cached)
    assert [cached(1), cached(1), plugin.cached(2), plugin.cached(2)] == [1, 1, 2, 2]
    assert looked_at.cache_info() == (1, 1, 3, 1)
    looked_at.cache_clear()
    assert looked_at.cache_info().currsize == 0
    assert looked_at.cache_parameters()["maxsize"] == 3


def test_an_object_that_is_called_stays_that_object_in_all_else(sidecar: Sidecar) -> None:
    class Command:
        def __init__(self) -> None:
            self.options = ["a"]

        def __call__(self, n: int) -> int:
            return n + len(self.options)

        def __len__(self) -> int:
            return len(self.options)

        def __or__(self, other: int) -> int:
            return other

        def main(self) -> str:
            return "main"

    command = Command()
    wrapped: Any = sidecar.wrap(command, plugin="p", version="1", operation="x")
    wrapped.options.append("b")
    wrapped.extra = 5
    assert isinstance(wrapped, Command)
    assert (wrapped(1), len(wrapped), wrapped | 3, wrapped.main(), command.extra) == (3, 2, 3, "main", 5)  # type: ignore[attr-defined]
    mock = unittest.mock.Mock(return_value=1)
    observed: Any = sidecar.wrap(mock, plugin="p", version="1", operation="y")
    observed("x")
    observed.assert_called_once_with("x")
    assert observed.call_count == 1
    assert sidecar.wrap(len, plugin="p", version="1", operation="z")([1, 2]) == 2
    assert sum(operation.calls for operation in sidecar.operations) == 3


def test_static_and_class_methods_below_the_decorator_are_called_as_without_it(sidecar: Sidecar, outbox: Any) -> None:
    class Plugin:
        @sidecar.plugin("p", version="1", operation="static")
        @staticmethod
        def static(n: int) -> int:
            return n

        @sidecar.plugin("p", version="1", operation="class")
        @classmethod
        def of_class(cls, n: int) -> tuple[str, int]:
            return cls.__name__, n

        @sidecar.plugin("p", version="1", operation="late", breaker=False)
        @staticmethod
        async def late() -> None:
            raise ValueError

    class Sub(Plugin): ...

    assert (Plugin.static(1), Plugin().static(2)) == (1, 2)
    assert (Plugin.of_class(1), Sub().of_class(2)) == (("Plugin", 1), ("Sub", 2))
    assert isinstance(inspect.getattr_static(Plugin, "static"), staticmethod)
    assert isinstance(inspect.getattr_static(Plugin, "of_class"), classmethod)
    with pytest.raises(ValueError):
        asyncio.run(Plugin.late())
    assert sidecar.flush()
    assert outbox.calls(plugin_operation="late", plugin_outcome="error") == 1
    assert outbox.calls(plugin_operation="static") == outbox.calls(plugin_operation="class") == 2


def test_a_bound_method_is_one_and_lives_as_long_as_its_object(sidecar: Sidecar) -> None:
    class Receiver:
        def hear(self, said: str) -> str:
            return said

    receiver = Receiver()
    reference = weakref.WeakMethod(sidecar.wrap(receiver.hear, plugin="p", version="1"))
    gc.collect()
    heard = reference()
    assert heard is not None
    assert inspect.ismethod(heard)
    assert heard.__self__ is receiver
    assert heard("x") == "x"
    assert next(iter(sidecar.operations)).calls == 1
    gone = weakref.ref(receiver)
    del receiver, heard
    gc.collect()
    assert gone() is None
    assert reference() is None


def test_a_class_stays_the_class_and_each_making_of_an_instance_is_a_call(sidecar: Sidecar, outbox: Any) -> None:
    class Plain: ...

    class Made:
        limit = 3

        def __init__(self, n: int) -> None:
            if n > self.limit:
                raise ValueError(n)
            self.n = n

    class Pair(tuple[int, int]):
        __slots__ = ()

        def __new__(cls, one: int, two: int) -> Pair:
            return super().__new__(cls, (one, two))

    class Sub(Made): ...

    for kind in (Plain, Made, Pair):
        before = inspect.signature(kind)
        assert sidecar.wrap(kind, plugin="p", version="1", operation=kind.__name__, breaker=False) is kind
        assert inspect.signature(kind) == before
    assert isinstance(Plain(), Plain)
    assert (Made(2).n, Sub(1).n, Pair(1, 2)) == (2, 1, (1, 2))
    with pytest.raises(ValueError):
        Made(4)
    with pytest.raises(TypeError, match="takes no arguments"):
        Plain(1)  # type: ignore[call-arg]
    assert sidecar.flush()
    assert {name: outbox.calls(plugin_operation=name) for name in ("Plain", "Made", "Pair")} == {
        "Plain": 2,
        "Made": 2,
        "Pair": 1,
    }


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: property(lambda self: 1), "below the decorator"),
        (lambda: functools.cached_property(lambda self: 1), "below the decorator"),
        (lambda: functools.partialmethod(print), "functions that it is made of"),
        (lambda: int, "wrap a function that makes one"),
    ],
)
def test_what_cannot_be_wrapped_is_refused_with_the_way_to_do_it(
    sidecar: Sidecar, make: Callable[[], Any], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        sidecar.wrap(make(), plugin="p", version="1", operation="x")


def test_terms_that_no_class_can_hold_are_refused(sidecar: Sidecar) -> None:
    class Plugin: ...

    with pytest.raises(ConfigurationError, match=r"^fallback: .*wrap a function"):
        sidecar.wrap(Plugin, plugin="p", version="1", operation="x", fallback=Fallback(Plugin))
    with pytest.raises(ConfigurationError, match=r"^runner: .*wrap a function"):
        sidecar.wrap(Plugin, plugin="p", version="1", operation="x", runner="thread")


@pytest.mark.parametrize("name", ["asked", "counted", "streamed"])
def test_wrong_arguments_are_an_error_where_the_call_stands_and_counted(name: str) -> None:
    wrapped, function = getattr(host, name), getattr(host, name).__wrapped__
    operation = wrapped.__plugwarden__
    calls = operation.calls
    with pytest.raises(TypeError) as told:
        function()
    with pytest.raises(TypeError) as ours:
        wrapped()
    assert str(ours.value) == str(told.value)
    assert operation.calls == calls + 1
    assert operation.running == set()


def test_a_coroutine_that_is_never_awaited_is_warned_of_once_and_by_its_name(sidecar: Sidecar) -> None:
    async def forgotten() -> None: ...

    def answers() -> Any:
        return forgotten()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for wrapped in (forgotten, answers):
            sidecar.wrap(wrapped, plugin="p", version="1", operation=wrapped.__name__)()
            gc.collect()
    assert [str(found.message).split("'")[1] for found in caught] == [forgotten.__qualname__] * 2
    assert logging.getLogger("asyncio").level == logging.NOTSET


class Bound:
    """Its methods of each kind fail."""

    def plain(self, number: int) -> int:
        raise ValueError(number)

    async def awaited(self, number: int) -> int:
        raise ValueError(number)

    def items(self, number: int) -> Iterator[int]:
        raise ValueError(number)
        yield

    @classmethod
    def of_class(cls, number: int) -> int:
        raise ValueError(number)


@pytest.mark.parametrize("name", ["plain", "awaited", "items", "of_class"])
def test_a_fallback_and_a_capture_of_a_bound_method_are_given_what_the_caller_gave(sidecar: Sidecar, name: str) -> None:
    captured: list[tuple[Any, ...]] = []

    def capture(*args: Any) -> dict[str, Any]:
        captured.append(args)
        return {}

    def instead(number: int) -> Any:
        return [number] if name == "items" else number

    method = getattr(Bound(), name)
    wrapped = sidecar.wrap(method, plugin="p", version="1", operation=name, fallback=instead, capture=capture)
    answers = []
    for _ in range(200):  # until the breaker is open, and beyond
        try:
            found = wrapped(7)
            answers.append(asyncio.run(found) if name == "awaited" else list(found).pop() if name == "items" else found)
        except ValueError:
            assert name == "items"  # of a generator, a fallback answers only what is refused
    assert set(answers) == {7}
    assert set(captured) == {(7,)}


def test_a_generator_with_nothing_to_fall_back_on_yields_nothing(sidecar: Sidecar) -> None:
    def items() -> Any:
        yield 1

    wrapped = sidecar.wrap(items, plugin="g", version="1", rate=0.001, fallback=lambda: None)
    assert list(wrapped()) == [1]
    assert list(wrapped()) == []
    kept = sidecar.wrap(items, plugin="k", version="1", rate=0.001, fallback=LastGood())
    assert list(kept()) == [1]
    with pytest.raises(LookupError):
        list(kept())


def test_static_and_class_methods_stay_what_they_are(sidecar: Sidecar) -> None:
    class Plugin:
        @staticmethod
        def double(n: int) -> int:
            return 2 * n

        @classmethod
        def name(cls) -> str:
            return cls.__name__

        def own(self) -> str:
            return type(self).__name__

    class Sub(Plugin): ...

    assert wrap_methods(sidecar, Plugin, ["double", "name", "own"], plugin="p", version="1") == 3
    assert (Plugin.double(2), Plugin().double(3), Sub.name(), Sub().own()) == (4, 6, "Sub", "Sub")
    assert "n" in inspect.signature(Plugin.double).parameters
