"""Names: one rule for what may name a plugin, version, operation, instance or tenant, and what a bad one costs: itself."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden import PluginQuarantined, Sidecar
from plugwarden.contract import (
    MAX_NAME,
    OVERFLOW,
    Action,
    Directive,
    DirectiveSet,
    Newcomers,
    Scope,
    fitting,
    name_fault,
    within_bounds,
)
from plugwarden.contract.directive import MAX_DIRECTIVES, MAX_SET_BYTES
from plugwarden.errors import ConfigurationError
from plugwarden.integrations.asgi import PluginApp
from plugwarden.manifest import Manifest

from tests.sidecar.conftest import Outbox
from tests.sidecar.support.bad_names import BAD

GOOD = ["geo", "@scope/geo", "plugins.export:CSV", "Wetter süd", "天気", "a b", "🙂", "x" * MAX_NAME, "../etc", "100%"]


@pytest.mark.parametrize("name", BAD.values(), ids=BAD)
def test_what_cannot_be_a_name_has_a_reason(name: str) -> None:
    assert name_fault("plugin", name)


@pytest.mark.parametrize("name", GOOD)
def test_what_people_call_their_plugins_is_a_name(name: str) -> None:
    assert name_fault("plugin", name) is None
    assert fitting("plugin", name) == name


def test_an_operation_and_a_tenant_may_be_called_what_conventions_call_them() -> None:
    assert name_fault("operation", OVERFLOW) is None
    assert name_fault("tenant", OVERFLOW) is None


@given(st.sampled_from(["plugin", "version", "operation", "instance", "tenant"]), st.text(max_size=300) | st.integers())
def test_the_fitting_name_is_always_a_name(part: str, name: object) -> None:
    assert name_fault(part, fitting(part, name)) is None


def test_a_directive_that_cannot_be_meant_takes_nothing_from_the_others() -> None:
    good = Directive("q-1", Action.ISOLATE, Scope("geo")).as_dict()
    bad = [{**good, "scope": {**good["scope"], "plugin": name}} for name in BAD.values()]
    bad += [{**good, "scope": {**good["scope"], "version": "1" * 1_200}}, {**good, "action": "explode"}, "x"]
    found = DirectiveSet.from_dict({"epoch": "e", "revision": 7, "directives": [*bad, good]})
    assert [item.id for item in found.directives] == ["q-1"]
    assert found.refused_total == len(bad)
    assert found.refused[0] == "directives[0].scope.plugin: is empty"


def test_directives_beyond_the_bound_are_left_out_and_the_first_hold() -> None:
    good = Directive("q-1", Action.ISOLATE, Scope("geo")).as_dict()
    found = DirectiveSet.from_dict({"revision": 1, "directives": [good] * (MAX_DIRECTIVES + 5)})
    assert len(found.directives) == MAX_DIRECTIVES
    assert found.refused_total == 5


def test_calls_that_name_no_version_can_be_isolated() -> None:
    scope = Scope("geo", "", "")
    assert Scope.from_dict(scope.as_dict()) == scope


def test_a_reason_of_any_length_is_no_cause_to_let_a_plugin_run() -> None:
    raw = {**Directive("q-1", Action.ISOLATE, Scope("geo")).as_dict(), "reason": "because " * 1_000}
    assert len(DirectiveSet.from_dict({"revision": 1, "directives": [raw]}).directives) == 1


def test_no_set_is_larger_than_what_is_read() -> None:
    versions = tuple(f"{'ü' * 190}{number}" for number in range(1_000))
    large = [
        Directive(f"q-{number}", Action.ISOLATE, Scope("geo", "1"), newcomers=Newcomers(versions, 0.1))
        for number in range(20)
    ]
    fit = within_bounds(large)
    assert 0 < fit < len(large)
    assert len(json.dumps(DirectiveSet("e" * 40, 2**60, large[:fit]).as_dict())) <= MAX_SET_BYTES
    small = [Directive(f"q-{number}", Action.ISOLATE, Scope("geo")) for number in range(MAX_DIRECTIVES + 1)]
    assert within_bounds(small) == MAX_DIRECTIVES


def bad_set(plugin: str) -> dict[str, Any]:
    good = Directive("q-geo", Action.ISOLATE, Scope("geo"), reason="a person says so").as_dict()
    return {"epoch": "e", "revision": 3, "directives": [{**good, "scope": {**good["scope"], "plugin": plugin}}, good]}


def test_a_host_obeys_what_is_good_of_a_set_counts_the_rest_and_names_it_once(
    sidecar: Sidecar, caplog: pytest.LogCaptureFixture
) -> None:
    run = sidecar.wrap(lambda: 1, plugin="geo", version="1", operation="lookup")
    assert run() == 1
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            sidecar._apply(DirectiveSet.from_dict(bad_set("\u202e\n")))
    with pytest.raises(PluginQuarantined):
        run()
    assert sidecar._pipeline._tally.drops["directives", "refused_directive"] == 3
    named = [record.getMessage() for record in caplog.records if "directive" in record.getMessage()]
    assert len(named) == 1
    assert named[0].isprintable()


def test_a_stored_set_with_a_bad_directive_still_holds_after_a_restart(outbox: Outbox, tmp_path: Path) -> None:
    (tmp_path / "directives.json").write_text(json.dumps(bad_set("x" * 1_200)))
    sidecar = Sidecar(service="host", state_dir=tmp_path)
    run = sidecar.wrap(lambda: 1, plugin="geo", version="1", operation="lookup")
    with pytest.raises(PluginQuarantined):
        run()
    assert sidecar._pipeline._tally.drops["directives", "refused_directive"] == 1
    sidecar.close(1)


@pytest.mark.parametrize("part", ["plugin", "version", "operation"])
@pytest.mark.parametrize("name", [name for name in BAD.values() if name not in {"", OVERFLOW}])
def test_wrapping_under_a_bad_name_says_which_and_why(sidecar: Sidecar, part: str, name: str) -> None:
    names = {"plugin": "geo", "version": "1", "operation": "lookup", part: name}
    with pytest.raises(ConfigurationError, match=f"{part}: ") as raised:
        sidecar.wrap(lambda: 1, **names)
    assert str(raised.value).isprintable()


def test_an_instance_that_cannot_be_named_is_refused_when_the_sidecar_is_made() -> None:
    with pytest.raises(ConfigurationError, match="instance_id: is longer than 200 characters"):
        Sidecar(service="host", instance_id="x" * 300)


def test_a_call_is_no_place_for_errors_about_names(sidecar: Sidecar) -> None:
    seen = []
    for name in BAD.values():
        with sidecar.invocation(name, version=name, operation=name), sidecar.tenant(name):
            seen.append(name)
    assert len(seen) == len(BAD)
    for operation in sidecar.operations:
        assert operation.scope.fault() is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"plugin": {"id": "x" * 201, "version": "1"}}, "plugin.id: is longer"),
        ({"plugin": {"id": "geo", "version": "1\n"}}, "plugin.version: has a control character"),
        ({"operations": {"look\u202eup": {}}}, "operations: has a character that turns"),
    ],
)
def test_a_manifest_that_declares_a_bad_name_is_refused_with_the_field(change: dict[str, Any], field: str) -> None:
    good = {"plugin": {"id": "geo", "version": "1"}, "operations": {"lookup": {}}}
    Manifest.from_dict(good)
    with pytest.raises(ConfigurationError, match=field):
        Manifest.from_dict({**good, **change})


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"well"})


def test_an_application_under_a_bad_name_is_refused_when_it_is_made_and_no_request_ever_is(sidecar: Sidecar) -> None:
    with pytest.raises(ConfigurationError, match="plugin: is empty"):
        PluginApp(_app, sidecar, plugin="", version="1")
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    app = PluginApp(_app, sidecar, plugin="geo", version="1", operation=lambda scope: scope["path"])
    for name in BAD.values():
        asyncio.run(app({"type": "http", "method": "GET", "path": name, "headers": []}, None, send))  # type: ignore[arg-type]
    assert len([message for message in sent if message.get("status") == 200]) == len(BAD)
    assert all(operation.scope.fault() is None for operation in sidecar.operations)
