"""Calls of each kind of function go back, and stay calls of that kind: coroutines, generators, methods."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from plugwarden import PluginQuarantined, Value
from plugwarden.testing import Recorder

from tests.sidecar.support.kept_versions import calls, one, two, version


def test_coroutine_functions(recorder: Recorder) -> None:
    new = version(recorder.sidecar, 2, two, previous=version(recorder.sidecar, 1, one), fallback=Value("instead"))
    assert asyncio.run(new()) == "2"
    recorder.isolate("geo", "2")
    assert asyncio.run(new()) == "1"
    recorder.isolate("geo", "1")
    assert asyncio.run(new()) == "instead"
    bare = version(recorder.sidecar, 2, two, previous=version(recorder.sidecar, 1, one))
    with pytest.raises(PluginQuarantined):
        asyncio.run(bare())


def test_generator_functions_keep_what_is_sent_and_returned(recorder: Recorder) -> None:
    def echo(count: int) -> Iterator[Any]:
        got = []
        for number in range(count):
            try:
                got.append((yield number))
            except KeyError as error:
                got.append(error)
        return got

    def never(count: int) -> Iterator[Any]:
        raise AssertionError
        yield

    new = version(recorder.sidecar, 2, never, previous=version(recorder.sidecar, 1, echo), fallback=lambda count: "ab")
    recorder.isolate("geo", "2")
    steps, thrown = new(3), KeyError("thrown")
    assert (next(steps), steps.send("a"), steps.throw(thrown)) == (0, 1, 2)
    with pytest.raises(StopIteration) as end:
        steps.send("z")
    assert end.value.value == ["a", thrown, "z"]
    recorder.isolate("geo", "1")
    assert list(new(3)) == ["a", "b"]
    bare = version(recorder.sidecar, 2, never, previous=version(recorder.sidecar, 1, echo))
    with pytest.raises(PluginQuarantined) as caught:
        list(bare(3))
    assert caught.value.scope.version == "2"


def test_async_generator_functions_keep_what_is_sent_thrown_and_closed(recorder: Recorder) -> None:
    closed = []

    async def echo(count: int) -> AsyncIterator[Any]:
        got: Any = None
        try:
            for _ in range(count):
                try:
                    got = yield got
                except KeyError as error:
                    got = error
        finally:
            closed.append(True)

    async def never(count: int) -> AsyncIterator[Any]:
        raise AssertionError
        yield

    async def instead(count: int) -> AsyncIterator[Any]:
        yield "instead"

    async def main() -> None:
        new = version(recorder.sidecar, 2, never, previous=version(recorder.sidecar, 1, echo), fallback=instead)
        recorder.isolate("geo", "2")
        assert [item async for item in new(2)] == [None, None]
        steps, thrown = new(9), KeyError("thrown")
        assert await anext(steps) is None
        assert await steps.asend("a") == "a"
        assert await steps.athrow(thrown) is thrown
        closed.clear()
        await steps.aclose()
        assert closed == [True]
        recorder.isolate("geo", "1")
        assert [item async for item in new(2)] == ["instead"]
        bare = version(recorder.sidecar, 2, never, previous=version(recorder.sidecar, 1, echo))
        with pytest.raises(PluginQuarantined) as caught:
            await anext(bare(2))
        assert caught.value.scope.version == "2"

    asyncio.run(main())
    assert ("1", "success") in calls(recorder)


def test_a_plain_function_that_answers_a_coroutine(recorder: Recorder) -> None:
    new = version(recorder.sidecar, 2, lambda: two(), previous=version(recorder.sidecar, 1, lambda: one()))
    recorder.isolate("geo", "2")

    async def main() -> str:
        return await new()

    assert asyncio.run(main()) == "1"
    assert calls(recorder) == [("2", "quarantined"), ("1", "success")]


def test_methods_are_given_what_the_host_gave(recorder: Recorder) -> None:
    class Finder:
        def __init__(self, number: int) -> None:
            self.number = number

        def find(self, place: str, *, near: str = "") -> tuple[int, str, str]:
            return self.number, place, near

    older, newer = Finder(1), Finder(2)
    new = version(recorder.sidecar, 2, newer.find, previous=version(recorder.sidecar, 1, older.find))
    recorder.isolate("geo", "2")
    assert new("here", near="there") == (1, "here", "there")


def test_methods_of_a_class_that_has_both(recorder: Recorder) -> None:
    class Finder:
        @recorder.sidecar.plugin("geo", version="1", operation="find")
        def find_v1(self, place: str) -> tuple[Finder, str]:
            return self, f"1 {place}"

        @recorder.sidecar.plugin("geo", version="2", operation="find", previous=find_v1)
        def find(self, place: str) -> tuple[Finder, str]:
            return self, f"2 {place}"

        @staticmethod
        @recorder.sidecar.plugin("geo", version="1", operation="size")
        def size_v1() -> int:
            return 1

        @recorder.sidecar.plugin("geo", version="2", operation="size", previous=size_v1)
        @staticmethod
        def size() -> int:
            return 2

    recorder.isolate("geo", "2")
    finder = Finder()
    assert finder.find("here") == (finder, "1 here")
    assert finder.size() == Finder.size() == 1


def test_a_warning_of_the_version_before_names_the_hosts_line(recorder: Recorder) -> None:
    def warn() -> None:
        warnings.warn("old", DeprecationWarning, stacklevel=2)

    new = version(recorder.sidecar, 2, lambda: None, previous=version(recorder.sidecar, 1, warn))
    recorder.isolate("geo", "2")
    with pytest.warns(DeprecationWarning, match="old") as caught:
        new()
    assert caught[0].filename == __file__
