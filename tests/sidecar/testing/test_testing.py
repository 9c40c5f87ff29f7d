"""What plugin authors test with: a recorder, a clock, and a manifest's contract."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from plugwarden import CallNotPermitted, ConfigurationError, Grants, LastGood, PluginQuarantined, RatePolicy
from plugwarden.contract import BreakerState, ErrorSource, Outcome, RejectionReason
from plugwarden.testing import Clock, ContractBroken, Recorded, call, contract_of, recording

from tests.docs_pages import write_files
from tests.sidecar.support import csv_plugin

MODULE = csv_plugin.__name__


def fail() -> None:
    raise KeyError("x")


def test_what_was_called_is_remembered_as_telemetry_would_have_it() -> None:
    with recording() as recorder:
        sidecar = recorder.sidecar

        @sidecar.plugin(
            "csv", version="1.4", operation="export", caller_errors=[KeyError], capture=lambda key: {"k": key}
        )
        def export(key: str) -> str:
            with sidecar.downstream("store"):
                return {"a": "found"}[key]

        with sidecar.tenant("acme"):
            assert export("a") == "found"
        with pytest.raises(KeyError):
            export("b")
        good, bad = recorder.invocations
        assert (good.plugin, good.version, good.operation, good.outcome) == ("csv", "1.4", "export", Outcome.SUCCESS)
        assert (good.error_type, good.error_source, good.refused, good.fallback) == (None, None, None, False)
        assert (good.tenant, good.attributes) == ("acme", {"k": "a"})
        assert 0 < good.duration_seconds < 60
        assert (bad.outcome, bad.error_type, bad.error_source) == ("error", "KeyError", ErrorSource.CALLER)
        assert bad.message == "'b'"
        assert [(wait.downstream, wait.outcome) for wait in recorder.waits] == [
            ("store", "success"),
            ("store", "error"),
        ]
        assert recorder.last is bad or recorder.last == bad
        recorder.clear()
        with pytest.raises(LookupError, match="was called"):
            recorder.last  # noqa: B018


def test_every_call_is_remembered_however_many_there_are() -> None:
    async def later(number: int) -> int:
        return number

    with recording() as recorder:
        run = recorder.sidecar.wrap(abs, plugin="csv", version="1")
        wait = recorder.sidecar.wrap(later, plugin="csv", version="1")

        async def main() -> None:
            for number in range(300):
                assert await wait(number) == run(-number) == number

        asyncio.run(main())
        assert len(recorder.of("abs")) == len(recorder.of("later")) == 300


def test_a_clock_that_is_moved_takes_a_breaker_a_rate_and_a_kept_result_through_hours_in_no_time() -> None:
    clock = Clock()
    with recording(clock) as recorder:
        wrapped = recorder.sidecar.wrap(fail, plugin="p", version="1", operation="x")
        for _ in range(20):
            with pytest.raises((KeyError, CallNotPermitted)):
                wrapped()
        breaker = recorder.sidecar.breaker("p", "1", "x")
        assert breaker is not None
        assert breaker.state is BreakerState.OPEN
        assert recorder.last.refused is RejectionReason.CIRCUIT_OPEN
        assert any("closed → open" in text for text in recorder.said)
        with pytest.raises(CallNotPermitted) as refused:
            wrapped()
        wait = refused.value.retry_after_seconds
        assert wait is not None
        assert 5 <= wait <= 5.5
        clock.advance(wait + 0.001)
        with pytest.raises(KeyError):
            wrapped()
        assert recorder.last.probe

        limited = recorder.sidecar.wrap(
            lambda: 0, plugin="p", version="1", operation="rate", rate=RatePolicy(1.0, burst=1)
        )
        assert limited() == 0
        with pytest.raises(CallNotPermitted):
            limited()
        clock.advance(1)
        assert limited() == 0

        works = [True]
        kept = recorder.sidecar.wrap(
            lambda: "good" if works[0] else fail(), plugin="p", version="1", operation="kept", fallback=LastGood(3600)
        )
        assert kept() == "good"
        works[0] = False
        clock.advance(3599)
        assert kept() == "good"
        assert (recorder.last.fallback, recorder.last.outcome) == (True, "error")
        clock.advance(2)
        with pytest.raises(LookupError):
            kept()
        assert clock.seconds == pytest.approx(wait + 0.001 + 1 + 3599 + 2)
        with pytest.raises(ValueError, match="does not go back"):
            clock.advance(-1)


def test_deadlines_go_by_the_clock_that_is_moved() -> None:
    clock = Clock()
    with recording(clock) as recorder:

        def slow() -> str:
            clock.advance(3)
            return "late"

        assert recorder.sidecar.wrap(slow, plugin="p", version="1", timeout=2.0)() == "late"
        assert (recorder.last.outcome, recorder.last.duration_seconds) == ("timeout", 3.0)

        def outer() -> str:
            clock.advance(3)
            return inner()

        inner = recorder.sidecar.wrap(lambda: "in", plugin="p", version="1", operation="inner")
        with pytest.raises(CallNotPermitted, match="deadline of a call further up"):
            recorder.sidecar.wrap(outer, plugin="p", version="1", operation="outer", timeout=2.0)()

        async def waits() -> None:
            await asyncio.sleep(60)

        with pytest.raises(TimeoutError):
            asyncio.run(recorder.sidecar.wrap(waits, plugin="p", version="1", timeout=0.05)())
        assert recorder.last.outcome == "timeout"


def test_every_kind_of_call_takes_as_long_as_the_clock_was_moved_in_it() -> None:
    clock = Clock()

    def function() -> None:
        clock.advance(3)

    async def coroutine() -> None:
        clock.advance(3)

    def generator() -> Iterator[int]:
        clock.advance(1)
        yield 1
        clock.advance(2)

    async def items() -> AsyncIterator[int]:
        clock.advance(1)
        yield 1
        clock.advance(2)

    def later() -> Any:
        clock.advance(1)

        async def rest() -> None:
            clock.advance(2)

        return rest()

    def steps() -> Any:
        return generator()

    def future() -> Any:
        made: Future[int] = Future()
        clock.advance(3)
        made.set_result(1)
        return made

    async def drive(work: Any) -> None:
        async for _ in work:
            clock.advance(100)  # the consumer's own time

    def consume(work: Any) -> None:
        for _ in work:
            clock.advance(100)

    ways: list[tuple[Any, Callable[[Any], Any]]] = [
        (function, lambda _: None), (coroutine, asyncio.run), (generator, consume), (later, asyncio.run),
        (steps, consume), (items, lambda work: asyncio.run(drive(work))), (future, lambda made: made.result()),
    ]  # fmt: skip
    with recording(clock) as recorder:
        for given, finish in ways:
            for terms in ({}, {"timeout": 2.5, "runner": "inline"}):
                recorder.clear()
                finish(recorder.sidecar.wrap(given, plugin="p", version="1", operation=given.__name__, **terms)())
                (seen,) = recorder.invocations
                assert (given.__name__, seen.duration_seconds) == (given.__name__, 3.0)
                assert seen.outcome == ("timeout" if terms else "success"), given.__name__
        thread = recorder.sidecar.wrap(
            function, plugin="p", version="1", operation="thread", runner="thread", timeout=20
        )
        thread()
        with recorder.sidecar.invocation("p", version="1", operation="block"):
            clock.advance(3)
            with recorder.sidecar.downstream("store"):
                clock.advance(2)
        assert [one.duration_seconds for one in recorder.invocations[-2:]] == [3.0, 5.0]
        assert recorder.waits[-1].duration_seconds == 2.0


def test_a_worker_process_keeps_its_deadline_whatever_the_gates_clock_says() -> None:
    with recording(Clock()) as recorder:
        export = recorder.sidecar.wrap(csv_plugin.export, plugin="p", version="1", runner="process", timeout=20.0)
        assert export(["a", "b"]) == "a,b"
        stuck = recorder.sidecar.wrap(csv_plugin.stuck, plugin="p", version="1", runner="process", timeout=1.0)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            stuck()
        assert time.monotonic() - began < 30  # and not the minute that it sleeps
        assert recorder.last.outcome == "timeout"


def test_what_a_collector_would_say_can_be_said() -> None:
    with recording(seed=3) as recorder:
        wrapped = recorder.sidecar.wrap(lambda: 1, plugin="p", version="1", operation="x")
        recorder.isolate("p", "1", reason="it leaks")
        with pytest.raises(PluginQuarantined, match="it leaks"):
            wrapped()
        assert recorder.last.refused is RejectionReason.QUARANTINED
        recorder.release()
        recorder.isolate("p", share_ratio=0.25)
        recorder.clear()
        for _ in range(400):
            try:
                wrapped()
            except PluginQuarantined:
                pass
        let_through = sum(one.outcome is Outcome.SUCCESS for one in recorder.of("x"))
        assert 60 <= let_through <= 140
        recorder.release()
        assert wrapped() == 1


def test_nothing_is_read_from_the_environment_and_nothing_leaves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in (
        ("PLUGWARDEN_DISABLED", "1"), ("OTEL_SDK_DISABLED", "true"), ("PLUGWARDEN_COLLECTOR_URL", "http://127.0.0.1:9"),
        ("PLUGWARDEN_STATE_DIR", str(tmp_path / "state")), ("PLUGWARDEN_BREAKERS", "off"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    with recording() as recorder:
        assert recorder.sidecar.wrap(lambda: 1, plugin="p", version="1", operation="x")() == 1
        assert recorder.sidecar.breaker("p", "1", "x") is not None
        assert recorder.sidecar.flush()
        assert len(recorder.invocations) == 1
        assert recorder.sidecar._subscription is None
        assert not recorder.sidecar._pipeline.started
    assert not (tmp_path / "state").exists()


def test_threads_and_fallbacks_are_remembered_too() -> None:
    with recording() as recorder:
        late = recorder.sidecar.wrap(
            lambda: time.sleep(0.5), plugin="p", version="1", runner="thread", timeout=0.05, fallback=lambda: "instead"
        )
        assert late() == "instead"
        assert (recorder.last.outcome, recorder.last.fallback, recorder.last.abandoned) == ("timeout", True, True)


def test_the_fixture_is_there_for_who_names_it_and_for_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["plugwarden.testing.fixtures"]\n')
    (tmp_path / "test_it.py").write_text(
        "def test_it(plugwarden_recorder):\n"
        "    run = plugwarden_recorder.sidecar.wrap(lambda: 1, plugin='p', version='1')\n"
        "    assert run() == 1\n"
        "    assert plugwarden_recorder.last.outcome == 'success'\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    (tmp_path / "conftest.py").unlink()
    code = "import sys, pytest; pytest.main(['-q', '--collect-only', sys.argv[1]]); print('plugwarden' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "False"


def test_it_needs_no_pytest() -> None:
    code = "import sys; sys.modules['pytest'] = None; import plugwarden.testing as t; print(*map(t.__dict__.get, t.__all__))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "None" not in ran.stdout


def test_the_page_for_authors_is_true(tmp_path: Path) -> None:
    names = write_files("how-to/testing.md", tmp_path)
    assert {"plugin.toml", "csv_export.py", "test_contract.py", "test_recorded.py", "conftest.py"} == set(names)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


# -- contracts ----------------------------------------------------------------------------------------------------------

MANIFEST = f"""
[plugin]
id = "csv"
version = "1.4"

[downstreams]
store = ["{MODULE}.StoreDown"]

[operations.export]
timeout = 2.0
caller_errors = ["{MODULE}.NoSuchOrder"]
fallback = {{ value = "" }}

[operations.lookup]
timeout = 0.1

[operations.lines]
timeout = 2.0
"""
EXAMPLES = [
    call("export", ["a", "b"], separator=";").answers("a;b"),
    call("export", []).fails(csv_plugin.NoSuchOrder, source="caller"),
    call("export", ["store"]).fails(f"{MODULE}.StoreDown", source="downstream").answers(""),
    call("lookup", 0).answers("found"),
    call("lookup", 60).times_out(),
    call("lines", 3).answers([0, 1, 2]),
]


class Host:
    """The interface that a host calls plugins by."""

    def export(self, rows: list[str]) -> str: ...
    async def lookup(self, seconds: float) -> str: ...


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    (tmp_path / "plugin.toml").write_text(MANIFEST)
    return tmp_path / "plugin.toml"


def test_a_plugin_that_is_what_it_says_passes(manifest: Path) -> None:
    contract_of(manifest).check(csv_plugin, like=Host, examples=EXAMPLES)
    contract_of(manifest).check(
        {"export": csv_plugin.export, "lookup": csv_plugin.lookup, "lines": csv_plugin.lines}, like=Host()
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[operations.lines]", "[operations.rows]", "operations.rows: the plugin has nothing of this name"),
        ("timeout = 0.1", "", "operations.lookup.timeout: is missing: nothing bounds how long a call takes"),
        ("timeout = 0.1", "timeout = 0.1\nobjective = { latency_seconds = 0.5 }",
         "operations.lookup.objective: a call may take 0.5 s, and is over at its timeout of 0.1 s"),
        ("timeout = 0.1", "timeout = 0.1\nrunner = 'thread'", "runner: a coroutine is cancelled at its deadline"),
        (f"{MODULE}.NoSuchOrder", f"{MODULE}.NoSuchOrdr", f"operations.export.caller_errors: there is no {MODULE}.NoSuchOrdr"),
        (f"{MODULE}.StoreDown", "no_such_client.Down", "downstreams.store: no_such_client.Down: no_such_client cannot be imported"),
        (f"{MODULE}.StoreDown", f"{MODULE}.export", f"downstreams.store: {MODULE}.export is not a type of Exception"),
    ],
)  # fmt: skip
def test_what_a_manifest_says_and_is_not_so_is_found(manifest: Path, old: str, new: str, said: str) -> None:
    assert old in MANIFEST
    lenient = "there is no" in said or "is not a type" in said  # the loader looks at loaded modules by itself
    text = MANIFEST.replace(old, new)
    manifest.write_text(text)
    if lenient:
        with pytest.raises(ConfigurationError, match=said.split(": ", 1)[1]):
            contract_of(manifest)
        return
    with pytest.raises(ContractBroken) as broken:
        contract_of(manifest).check(csv_plugin)
    assert any(str(finding).startswith(said) for finding in broken.value.findings), broken.value


def test_a_module_that_is_not_loaded_is_imported_to_see_whether_its_exception_is_there(
    manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (manifest.parent / "shop_client.py").write_text("class Away(Exception): pass\n")
    monkeypatch.syspath_prepend(manifest.parent)
    manifest.write_text(MANIFEST.replace(f"{MODULE}.StoreDown", "shop_client.Away"))
    contract_of(manifest).check(csv_plugin)
    monkeypatch.delitem(sys.modules, "shop_client")
    manifest.write_text(MANIFEST.replace(f"{MODULE}.StoreDown", "shop_client.Gone"))
    (finding,) = contract_of(manifest).findings(csv_plugin)
    assert str(finding) == "downstreams.store: there is no shop_client.Gone"


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (call("export", ["a"]).answers("b"), "export(['a']): answered 'a' instead of 'b'"),
        (call("export", []), f"export([]): error {MODULE}.NoSuchOrder of the caller (no rows) instead of success"),
        (call("export", []).fails(csv_plugin.NoSuchOrder, source="plugin"), "instead of error"),
        (call("export"), "export(): missing a required argument: 'rows'"),
        (call("lookup", 60), "lookup(60): timeout timeout of the plugin instead of success"),
        (call("exprot"), "exprot(): is not declared"),
    ],
)  # fmt: skip
def test_an_example_that_ends_otherwise_says_how(manifest: Path, example: Any, said: str) -> None:
    (finding,) = contract_of(manifest).findings(csv_plugin, examples=[example])
    assert said in str(finding)


def needs_more(rows: list[str], separator: str) -> str:
    return ""


def renamed(lines: list[str]) -> str:
    return ""


def takes_less() -> str:
    return ""


async def asynchronous(rows: list[str]) -> str:
    return ""


@pytest.mark.parametrize(
    ("export", "said"),
    [
        (needs_more, "operations.export: needs separator, which the host does not give"),
        (renamed, "operations.export: does not take the host's argument rows by its name"),
        (takes_less, "operations.export: does not take the host's argument rows"),
        (asynchronous, "operations.export: is a coroutine, and the host calls a function"),
        (lambda *args, **kwargs: "", None),
        (lambda rows, *, more=1: "", None),
    ],
)
def test_a_plugin_that_a_host_cannot_call_is_found(manifest: Path, export: Any, said: str | None) -> None:
    plugin = {"export": export, "lookup": csv_plugin.lookup, "lines": csv_plugin.lines}
    found = list(map(str, contract_of(manifest).findings(plugin, like=Host)))
    assert found == ([] if said is None else [said])


def test_what_a_host_does_not_grant_is_found(manifest: Path) -> None:
    (finding,) = contract_of(manifest).findings(csv_plugin, grants=Grants())
    assert finding.field == "downstreams.store"
    assert "is not granted" in finding.problem
    allowed = Grants(downstream_errors=(csv_plugin.StoreDown,), caller_errors=(csv_plugin.NoSuchOrder,))
    assert contract_of(manifest).findings(csv_plugin, grants=allowed) == []


def test_an_example_runs_under_the_declared_runner_and_its_demands(manifest: Path) -> None:
    text = MANIFEST.replace('[operations.export]\n', '[touches]\nnetwork = false\nrequire_enforced = ["no_new_privileges"]\n'
                            '[operations.export]\nrunner = "process"\n').replace("timeout = 2.0", "timeout = 20.0", 1)  # fmt: skip
    text = text.split("[operations.lookup]")[0]
    manifest.write_text(text + "[operations.stuck]\nrunner = 'process'\ntimeout = 2.0\n")
    examples = [
        call("export", ["a", "b"]).answers("a,b"),
        call("export", []).fails(csv_plugin.NoSuchOrder, source="caller"),
        call("stuck").times_out(),
    ]
    contract_of(manifest).check(csv_plugin, examples=examples)
    (finding,) = contract_of(manifest).findings({"export": lambda rows: "", "stuck": csv_plugin.stuck})
    assert "no address that another process can find" in finding.problem


def test_all_findings_are_said_at_once(manifest: Path) -> None:
    manifest.write_text(MANIFEST.replace("timeout = 0.1", "").replace("[operations.lines]", "[operations.rows]"))
    with pytest.raises(AssertionError) as broken:
        contract_of(manifest).check(csv_plugin)
    assert str(broken.value).splitlines() == [
        "csv 1.4 is not what its manifest says:",
        "  operations.lookup.timeout: is missing: nothing bounds how long a call takes",
        "  operations.rows: the plugin has nothing of this name",
    ]
    manifest.write_text(MANIFEST.replace("timeout = 0.1", ""))
    contract_of(manifest).check(csv_plugin, without_deadline=["lookup"])


def test_an_invocation_is_a_value() -> None:
    with recording() as recorder:
        recorder.sidecar.wrap(lambda: 1, plugin="p", version="1", operation="x")()
        assert isinstance(recorder.last, Recorded)
        with pytest.raises(AttributeError):
            recorder.last.plugin = "q"  # type: ignore[misc]
