"""A plugin declares itself once, and mistakes in it are named."""

from __future__ import annotations

import gc
import importlib
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.context import Context
from plugwarden import ConfigurationError, Grants, Sidecar, Touches
from plugwarden.contract import ErrorSource
from plugwarden.invocation import begin
from plugwarden.manifest import Manifest
from plugwarden.outcomes import blame
from plugwarden.testing import contract_of

from tests.sidecar.support import worker_plugins
from tests.sidecar.support.fuzz_frames import HostState
from tests.sidecar.support.fuzz_manifests import attempt, manifest_bytes
from tests.sidecar.support.isolation import isolate

GOOD = """
[plugin]
id = "csv-export"
version = "1.4.0"
owner = "reports team"
criticality = "high"

[downstreams]
geo-api = ["builtins.ConnectionError", "json.JSONDecodeError"]

[operations.export]
timeout = 2.0
concurrency = 4
bulkhead = { concurrent = 8, queue = 2 }
rate = 100
breaker = { failure_rate = 0.3 }
fallback = [{ last_good_seconds = 300 }, { value = "" }]
objective = { availability = 0.999, latency_seconds = 0.5 }

[operations.import]
breaker = false
"""
GRANTED = Grants(downstream_errors=(ConnectionError, "json.JSONDecodeError"), without_breaker=True)


def test_what_is_kept_of_one_function_is_not_answered_for_another(sidecar: Sidecar, tmp_path: Path) -> None:
    (tmp_path / "plugin.toml").write_text(GOOD)
    plugin = sidecar.declare(tmp_path / "plugin.toml", grants=GRANTED)

    def wrapped(tenant: str) -> Callable[[bool], str]:
        def run(fail: bool) -> str:
            if fail:
                raise ConnectionResetError
            return tenant

        found: Callable[[bool], str] = plugin.wrap(run, "export")
        return found

    alice, bob, new = wrapped("alice"), wrapped("bob"), wrapped("new")
    assert [alice(False), bob(False)] == ["alice", "bob"]
    assert [alice(True), bob(True), new(True)] == ["alice", "bob", ""]


def test_a_plugin_is_wrapped_as_it_declares_itself(sidecar: Sidecar, outbox: Any, tmp_path: Path) -> None:
    (tmp_path / "plugin.toml").write_text(GOOD)
    plugin = sidecar.declare(tmp_path / "plugin.toml", grants=GRANTED)

    @plugin.operation()
    def export(fail: bool) -> str:
        if fail:
            raise ConnectionResetError
        return "rows"

    assert [export(False), export(True)] == ["rows", "rows"]
    (operation,) = sidecar.operations
    assert operation.declaration.bulkhead is not None
    assert (operation.declaration.timeout_seconds, operation.declaration.bulkhead.concurrent) == (2.0, 8)
    sidecar._pipeline.drain.cut(everything=True, heartbeat=True)
    assert sidecar.flush()
    assert outbox.calls(plugin_outcome="error", plugin_error_source="downstream") == 1
    declared = {found.attributes["plugin.term"] for found in outbox.named("plugin.terms.declared")}
    assert declared == {"timeout", "concurrency", "availability", "latency"}
    assert outbox.named("plugin.terms.declared")[0].attributes["plugin.criticality"] == "high"


def test_an_operation_that_is_not_declared_cannot_be_wrapped(sidecar: Sidecar, tmp_path: Path) -> None:
    (tmp_path / "plugin.toml").write_text(GOOD)
    with pytest.raises(ConfigurationError, match="did you mean export"):
        sidecar.declare(tmp_path / "plugin.toml", grants=GRANTED).wrap(lambda: 1, "exprot")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('id = "csv-export"', "", "plugin.id"),
        ('criticality = "high"', 'criticality = "huge"', "plugin.criticality"),
        ("timeout = 2.0", "timeout = -1", r"operations\.export\.timeout"),
        ("timeout = 2.0", 'timeout = "2"', r"operations\.export\.timeout"),
        ("timeout = 2.0", "timeuot = 2", r"operations\.export\.timeuot.*did you mean timeout"),
        ("concurrent = 8", "concurrent = 0", r"operations\.export\.bulkhead.*concurrent"),
        ("concurrent = 8", 'concurrent = "8"', r"operations\.export\.bulkhead\.concurrent"),
        ("failure_rate = 0.3", "failure_rate = 30", r"operations\.export\.breaker.*failure_rate"),
        ("failure_rate = 0.3", "sudden = 3", r"operations\.export\.breaker\.sudden: 3 is not a bool"),
        (
            "failure_rate = 0.3",
            "minimum_calls = true",
            r"operations\.export\.breaker\.minimum_calls: True is not a int",
        ),
        ("failure_rate = 0.3", "open_seconds = 400", r"operations\.export\.breaker.*open_max_seconds"),
        ("failure_rate = 0.3", "calls_per_false_opening = 0", r"operations\.export\.breaker.*set sudden to false"),
        (
            "breaker = false",
            "breaker = { slow_call_rate = 0.5 }",
            r"operations\.import\.breaker\.slow_call_rate: no call is",
        ),
        ("availability = 0.999", "availability = 99.9", r"operations\.export\.objective.*availability"),
        ("json.JSONDecodeError", "json.NoSuchError", r"downstreams\.geo-api"),
        ("json.JSONDecodeError", "json.dumps", r"downstreams\.geo-api"),
        ("{ value =", "{ vlaue =", r"operations\.export\.fallback\.vlaue"),
        (
            "json.JSONDecodeError",
            "builtins.Exception",
            r"downstreams\.geo-api: builtins.Exception is how a plugin's own bugs",
        ),
        ("json.JSONDecodeError", "OSError", r"downstreams\.geo-api: OSError is how"),
        ("rate = 100", 'caller_errors = ["Exception"]', r"operations\.export\.caller_errors: Exception is how"),
        ("rate = 100", "rate = {}", r"operations\.export\.rate\.calls_per_second: is missing"),
        ('criticality = "high"', "criticality = []", r"plugin\.criticality"),
        ('owner = "reports team"', "owner = 3", r"plugin\.owner"),
        ("timeout = 2.0", "timeout = inf", r"operations\.export\.timeout"),
        ("[plugin]", "[plugin", "not TOML"),
        ('owner = "reports team"', "owner = " + "[" * 3000, "not TOML"),
        ('owner = "reports team"', "owner = " + "9" * 5000, "not TOML"),
        ('owner = "reports team"', "#" + "x" * 70_000, "larger than 12288 bytes"),
        ("concurrency = 4", 'runner = "process"\ntouches = 3', r"operations\.export\.touches"),
        ("timeout = 2.0", "previous = 1.3", r"operations\.export\.previous: must be the earlier version, as a text"),
        ("timeout = 2.0", 'previous = ""', r"operations\.export\.previous: must be the earlier version"),
        ("timeout = 2.0", 'previous = "\\n"', r"operations\.export\.previous: "),
        (
            "timeout = 2.0",
            'previous = "1.4.0"',
            r"operations\.export\.previous: .*@1\.4\.0 operation=export is the version itself",
        ),
    ],
)
def test_a_mistake_is_named_by_file_and_field(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "plugin.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigurationError, match=words) as caught:
        Manifest.load(path)
    assert "plugin.toml" in str(caught.value)


# -- the earlier version ------------------------------------------------------------------------------------------------


def version(number: str, previous: str | None = None) -> Manifest:
    back = "" if previous is None else f'previous = "{previous}"'
    return Manifest.parse(f'[plugin]\nid = "geo"\nversion = "{number}"\n[operations.find]\n{back}'.encode())


def test_a_manifest_names_the_version_that_calls_go_back_to(sidecar: Sidecar) -> None:
    older = sidecar.declare(version("1.9")).wrap(lambda: "1.9", "find")
    newer = sidecar.declare(version("2.0", previous="1.9")).wrap(lambda: "2.0", "find")
    assert (older(), newer()) == ("1.9", "2.0")
    isolate(sidecar, "geo", "2.0")
    assert newer() == "1.9"


def test_static_methods_are_found_by_their_version_too(sidecar: Sidecar) -> None:
    older = sidecar.declare(version("1.9")).wrap(staticmethod(lambda: "1.9"), "find")
    newer = sidecar.declare(version("2.0", previous="1.9")).wrap(lambda: "2.0", "find")
    isolate(sidecar, "geo", "2.0")
    assert (older(), newer()) == ("1.9", "1.9")


def test_a_version_that_is_not_wrapped_is_said_by_its_field(sidecar: Sidecar) -> None:
    plugin = sidecar.declare(version("2.0", previous="1.9"))
    with pytest.raises(
        ConfigurationError, match=r"operations\.find\.previous: geo@1\.9 operation=find is not wrapped here; declare"
    ):
        plugin.wrap(lambda: "2.0", "find")
    assert plugin.wrap(lambda: "2.0", "find", previous=None)() == "2.0", "the host's own word goes before"
    other = Sidecar(service="other")
    other.declare(version("1.9")).wrap(lambda: "1.9", "find")
    with pytest.raises(ConfigurationError, match="with this sidecar"):
        plugin.wrap(lambda: "2.0", "find")
    other.close(timeout=5)


def test_where_a_host_wraps_for_each_tenant_nobodys_calls_are_answered_for_another(sidecar: Sidecar) -> None:
    before, plugin = sidecar.declare(version("1.9")), sidecar.declare(version("2.0", previous="1.9"))
    alice, bob = (before.wrap(lambda name=name: name, "find") for name in ("alice", "bob"))
    assert (alice(), bob()) == ("alice", "bob")
    with pytest.raises(
        ConfigurationError, match=r"operations\.find\.previous: geo@1\.9 operation=find is here 2 times; give"
    ):
        plugin.wrap(lambda: "alice 2.0", "find")
    newer = plugin.wrap(lambda: "alice 2.0", "find", previous=alice)
    isolate(sidecar, "geo", "2.0")
    assert newer() == "alice"


def test_a_version_that_is_loaded_anew_is_one_version_and_the_form_before_is_let_go(sidecar: Sidecar) -> None:
    before, plugin = sidecar.declare(version("1.9")), sidecar.declare(version("2.0", previous="1.9"))
    older = before.wrap(lambda: "before", "find")
    gone = weakref.ref(older)
    older = before.wrap(lambda: "1.9", "find")
    gc.collect()
    assert gone() is None
    newer = plugin.wrap(lambda: "2.0", "find")
    del older
    gc.collect()
    isolate(sidecar, "geo", "2.0")
    assert newer() == "1.9", "what goes back to it keeps it"


def test_a_plugin_that_goes_back_is_tried_by_itself() -> None:
    def find() -> str:
        return "2.0"

    assert (
        contract_of(version("2.0", previous="1.9")).findings(SimpleNamespace(find=find), without_deadline=["find"])
        == []
    )


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.toml"):
        Manifest.load(tmp_path / "nothing.toml")


def asking(**touches: Any) -> Manifest:
    return Manifest.from_dict(
        {"plugin": {"id": "p", "version": "1"}, "touches": touches, "operations": {"work": {"runner": "process"}}}
    )


@pytest.mark.parametrize(
    ("touches", "words"),
    [
        ({"read": ["/"]}, r"touches\.read: / is not granted; .*Grants\(read=\('/',\)\)"),
        ({"write": ["/srv/templates"]}, r"touches\.write"),
        ({"read": ["/srv/templates/../secrets"]}, r"touches\.read"),
        ({"read": ["/srv/templates-of-others"]}, r"touches\.read"),
        ({"environment": ["AWS_SECRET_ACCESS_KEY"]}, r"touches\.environment: 'AWS_SECRET_ACCESS_KEY'"),
        ({"network": True}, r"touches\.network: true is not granted; .*network=True"),
        ({"processes": 65}, r"touches\.processes"),
    ],
)
def test_a_manifest_has_nothing_that_the_host_did_not_grant(sidecar: Sidecar, touches: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        sidecar.declare(asking(**touches), grants=Grants(read=("/srv/templates",), environment=("REGION",)))


def test_what_is_asked_and_granted_is_given_with_links_followed_and_no_more(sidecar: Sidecar, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    granted = Grants(read=(tmp_path,), write=(tmp_path / "real",), environment=("REGION", "OTHER"), network=True)
    asked = asking(
        read=[str(tmp_path / "link" / "a"), str(tmp_path / "b")], write=[str(tmp_path / "link")], environment=["REGION"]
    )
    assert sidecar.declare(asked, grants=granted)._touches == Touches(
        read=(tmp_path / "b",), write=(tmp_path / "real",), environment=("REGION",), network=False
    )
    assert sidecar.declare(asking())._touches == Touches(network=False)
    (tmp_path / "real" / "out").symlink_to("/")
    with pytest.raises(ConfigurationError, match=r"touches\.write"):
        sidecar.declare(asking(write=[str(tmp_path / "real" / "out")]), grants=granted)


DEMANDING = """
[plugin]
id = "csv-export"
version = "1.4.0"
[touches]
network = false
require_enforced = ["network"]
[operations.export]
runner = "process"
timeout = 20.0
[operations.check]
"""


def test_a_manifest_may_demand_that_what_it_goes_without_is_enforced(sidecar: Sidecar, tmp_path: Path) -> None:
    (tmp_path / "plugin.toml").write_text(DEMANDING)
    plugin = sidecar.declare(tmp_path / "plugin.toml")
    assert plugin.wrap(worker_plugins.add, "export")(1, 2) == 3
    (runner,) = sidecar._runners
    assert {worker.touches.require_enforced for worker in runner._workers} == {("network",)}
    with pytest.raises(
        ConfigurationError, match=r'operations\.check\.runner: "inline" enforces nothing, and network must be'
    ):
        plugin.wrap(worker_plugins.add, "check")
    with pytest.raises(ConfigurationError, match=r"touches\.require_enforced: netwrok is nothing"):
        Manifest.parse(DEMANDING.replace('["network"]', '["netwrok"]').encode())


def test_a_host_may_demand_it_of_every_plugin_whatever_its_manifest_says(sidecar: Sidecar) -> None:
    text = DEMANDING.replace('require_enforced = ["network"]', "")
    manifest = Manifest.parse(text.encode())
    grants = Grants(require_enforced=("network", "file_access"))
    plugin = sidecar.declare(manifest, grants=grants)
    with pytest.raises(ConfigurationError, match=r"operations\.check\.runner: .* file_access and network must be"):
        plugin.wrap(worker_plugins.add, "check")
    with pytest.raises(ConfigurationError, match=r"operations\.check\.runner"):
        sidecar.declare(Manifest.parse(text.replace("[touches]\nnetwork = false", "").encode()), grants=grants).wrap(
            worker_plugins.add, "check"
        )
    open_to_all = Manifest.parse(text.replace("network = false", "network = true").encode())
    with pytest.raises(
        ConfigurationError, match=r"touches\.network: true, and the host demands that network is refused"
    ):
        sidecar.declare(open_to_all, grants=Grants(network=True, require_enforced=("network",)))


def test_no_plugin_is_given_the_hosts_token() -> None:
    for name in ("PLUGWARDEN_TOKEN", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        with pytest.raises(ConfigurationError, match="the host's own token"):
            Touches(environment=(name,))


def test_faults_of_others_and_a_breaker_less_are_granted_too(sidecar: Sidecar, tmp_path: Path) -> None:
    (tmp_path / "plugin.toml").write_text(GOOD)
    for grants, words in (
        (None, r"downstreams\.geo-api: builtins.ConnectionError is not granted"),
        (Grants(downstream_errors=(ConnectionError,)), r"json.JSONDecodeError is not granted"),
        (Grants(downstream_errors=(ConnectionError, "json.JSONDecodeError")), r"operations\.import\.breaker"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            sidecar.declare(tmp_path / "plugin.toml", grants=grants)
    blaming = Manifest.parse(GOOD.replace("rate = 100", 'caller_errors = ["KeyError"]').encode())
    with pytest.raises(ConfigurationError, match=r"operations\.export\.caller_errors: KeyError is not granted"):
        sidecar.declare(blaming, grants=GRANTED)


def test_reading_a_manifest_imports_nothing_and_what_is_loaded_later_is_known_by_its_name(
    sidecar: Sidecar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "late_client.py").write_text(
        "class Down(Exception): pass\nclass Wide(Exception): pass\nWide = Exception\n"
    )
    text = GOOD.replace("json.JSONDecodeError", "late_client.Down").replace(
        "builtins.ConnectionError", "late_client.Wide"
    )
    manifest = Manifest.parse(text.encode())
    granted = Grants(downstream_errors=("late_client.Down", "late_client.Wide"), without_breaker=True)
    sidecar.declare(manifest, grants=granted).wrap(lambda: 1, "export")
    assert "late_client" not in sys.modules
    (operation,) = sidecar.operations

    def source(error: Exception) -> ErrorSource | None:
        return blame(operation.declaration, begin(operation, 1, Context())[0], error)[1]

    assert source(ValueError()) is ErrorSource.PLUGIN
    late_client = importlib.import_module("late_client")
    try:
        assert source(late_client.Down()) is ErrorSource.DOWNSTREAM
        assert source(RuntimeError("its own bug")) is ErrorSource.PLUGIN  # though `Wide` is Exception, as it turns out
    finally:
        del sys.modules["late_client"]


def test_hostile_manifests_are_refused_in_words_and_change_nothing() -> None:
    random, state = Random(3), HostState()
    told = Counter(attempt(manifest_bytes(random)) for _ in range(1_500))
    assert state.changes() == []
    assert told.keys() == {"declared", "refused"}
    assert min(told.values()) > 50
