"""A name is never a path: whatever a plugin is called, its name opens its own page and nothing else."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from plugwarden import Sidecar
from plugwarden_collector.api.client import ApiError
from plugwarden_collector.web.paths import SLASH, path_of, with_names_kept

from tests.collector.conftest import Running, running
from tests.collector.support.command_line import plugwarden
from tests.collector.support.hostile_names import HOSTILE_NAMES

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A plugin of every name; the first has one call, the second two, and so on."""
    with running(tmp_path_factory.mktemp("names") / "data") as collector:
        sidecar = Sidecar(service="host", endpoint=collector.http, export_interval_seconds=0.2, trace_ratio=0.0)
        for number, name in enumerate(HOSTILE_NAMES, 1):
            call = sidecar.wrap(lambda: None, plugin=name, version="1", operation="x")
            for _ in range(number):
                call()
        assert sidecar.close(timeout=30)
        yield collector


def test_every_name_opens_its_own_page(named: Running) -> None:
    for number, name in enumerate(HOSTILE_NAMES, 1):
        page = named.api.get(("plugins", name))
        assert (page["plugin_id"], page["calls"]) == (name, number)
        series = named.api.get(("plugins", name, "series"))
        assert sum(row["calls"] for row in series["calls"]) == number, name


def test_every_name_opens_its_own_page_for_whoever_quotes_it(named: Running) -> None:
    for number, name in enumerate(HOSTILE_NAMES, 1):
        quoted = quote(name, safe="").replace(".", "%2E")
        answer = httpx2.get(f"{named.url}/api/v1/plugins/{quoted}")
        assert (answer.status_code, answer.json().get("calls")) == (200, number), name


@pytest.mark.parametrize("name", ["a/series", "..", "../automation", "a?since=1d", "%2F", "日本/語", "a;b", "-"])
def test_every_name_opens_its_own_page_from_the_command_line(named: Running, name: str) -> None:
    answer = plugwarden("plugins", "--json", "--", name, url=named.url)
    assert answer.returncode == 0, answer.stderr
    page = json.loads(answer.stdout)
    assert (page["plugin_id"], page["calls"]) == (name, HOSTILE_NAMES.index(name) + 1)


@pytest.mark.parametrize("name", ["nosuch", "a/series/series", "", " ", "a/.", "..\\automation", "A"])
def test_a_name_that_nobody_has_opens_nothing(named: Running, name: str) -> None:
    with pytest.raises(ApiError) as refused:
        named.api.get(("plugins", name))
    assert refused.value.status == 404
    assert repr(name) in refused.value.detail
    assert plugwarden("plugins", "--", name, url=named.url).returncode == 1


@pytest.mark.parametrize("identity", ["../automation", "q-1/release", "..", "?", "silences/x", "", "a\x00b", "\udcff"])
def test_an_id_is_no_path_either(named: Running, identity: str) -> None:
    for path in (("quarantine", identity, "release"), ("silences", identity, "end")):
        with pytest.raises(ApiError) as refused:
            named.api.post(path, {"reason": "to see where it leads"})
        assert refused.value.status == 404, path
    with pytest.raises(ApiError) as refused:
        named.api.get(("traces", identity))
    assert refused.value.status == 422
    assert named.api.get("audit", stream="decisions") == []


@pytest.mark.parametrize(
    "trace_id", ["0x" + "0" * 30, "0" * 15 + "_" + "0" * 16, "+" + "0" * 31, " " + "0" * 31, "٣" * 32]
)
def test_what_only_python_takes_for_hex_is_no_trace(named: Running, trace_id: str) -> None:
    with pytest.raises(ApiError, match="32 hex digits"):
        named.api.get(("traces", trace_id))


def test_an_address_that_ends_in_a_slash_leads_nowhere_else(named: Running) -> None:
    answer = httpx2.get(f"{named.url}/api/v1/alerts/", headers={"host": "localhost"})
    assert (answer.status_code, "location" in answer.headers) == (404, False)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_path_has_as_many_segments_as_it_was_given(name: str) -> None:
    path = path_of("plugins", name, "series")
    assert path.count("/") == 2
    assert not {"?", "#", "\\", ";", " "} & {*path}
    assert "/../" not in f"/{path}/"
    kept = with_names_kept(path.encode())
    assert kept.replace(SLASH, "|") == f"plugins/{name.replace('/', '|')}/series"


def test_nobody_writes_a_name_into_a_path() -> None:
    """What asks the collector gives names as segments, which are quoted in one place."""
    asking = {"get", "post", "fetch", "download", "_ask"}
    for folder in ("collector/plugwarden_collector", "dashboards/plugwarden_dashboards", "examples"):
        for file in (ROOT / folder).rglob("*.py"):
            if file.name in {"client.py", "caller.py"}:
                continue
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in asking:
                    first = node.args[0] if node.args else None
                    assert not isinstance(first, ast.JoinedStr | ast.BinOp), f"{file.name}:{node.lineno}"
