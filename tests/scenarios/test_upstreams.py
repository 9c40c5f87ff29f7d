"""Outages of something that plugins call: told once, as the upstream's, to whoever answers for it; nobody is isolated for it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from plugwarden_collector.announce.message import Known
from plugwarden_collector.announce.pipeline import due
from plugwarden_collector.announce.subject import Subject
from plugwarden_collector.rules.receiver import Receiver

from tests.scenarios.world import Run, parse_world, run
from tests.scenarios.world.store import START

RECEIVER = Receiver("all", "http://all")
WORLD = """
title = "x"
rules = ["default"]
seconds = 240
[policy]
enforcement = "enforce"
[[slo]]
name = "availability"
sli = "availability"
objective = 0.99
[[slo]]
name = "latency"
sli = "latency"
objective = 0.99
threshold = "250ms"
[[upstream]]
name = "registry"
upstreams = "registry"
objective = 0.999
owner = "platform"
[[plugin]]
name = "p1"
downstream = "registry"
[[plugin]]
name = "p2"
downstream = "registry"
[[plugin]]
name = "p3"
downstream = "registry"
"""
OUTAGE = '[[trouble]]\nplugin = ["p1", "p2", "p3"]\nshare = 0.8\nfrom = 60\ndownstream = "registry"\n'


def lived(*more: str) -> Run:
    """Return what came of the world, with more of it."""
    return run(parse_world(WORLD + "".join(more), "upstream"), "default")


def told(found: Run) -> dict[str, Subject]:
    """Return what a receiver of everything is told at the end, by name."""
    active = {item.key: item for item in found.moments[-1].subjects}
    messages = due(Known(active, (), {}, [RECEIVER], ()), START)
    return {item.subject.labels["alertname"]: item.subject for item in messages}


def isolated(found: Run) -> set[str]:
    """Return the plugins that the automation ever isolated."""
    return {item.scope.plugin for moment in found.moments for item in moment.isolated}


def test_an_outage_that_sidecars_blame_on_the_upstream_is_told_as_the_upstreams() -> None:
    found = lived(OUTAGE + 'error = "ConnectionError"\nsource = "downstream"\n')
    names = told(found)
    page = names["registry upstream budget burn"]
    assert (page.labels["upstream"], page.labels["owner"], page.severity) == ("registry", "platform", "page")
    assert page.todo == "Ask platform; isolating its plugins does not help."
    assert set(names) == {"registry upstream budget burn", "registry upstream slow burn"}
    assert isolated(found) == set()


def test_an_outage_that_plugins_call_their_own_failure_is_told_once() -> None:
    """Before, it was a shared cause without a name, told beside."""
    found = lived(OUTAGE + 'error = "ConnectionError"\n')
    subjects = {item.labels["alertname"]: item for item in found.moments[-1].subjects}
    assert "shared cause" in subjects, "it is found and recorded as before"
    names = told(found)
    assert {item.severity for item in names.values() if "upstream" in item.labels} == {"page", "ticket"}
    assert not {"shared cause", "availability budget burn"} & {
        name for name, item in names.items() if item.severity == "page"
    }
    assert isolated(found) == set()


def test_an_outage_that_makes_plugins_slow_and_is_one_of_its_name_is_told_once() -> None:
    found = lived(
        OUTAGE.replace("share = 0.8", "slow = 0.9\nshare = 0.8") + 'source = "downstream"\nerror = "timeout"\n'
    )
    names = told(found)
    assert "registry upstream budget burn" in names
    assert "shared cause" not in names
    assert isolated(found) == set()


def test_an_outage_that_one_plugin_alone_sees_is_told_as_the_upstreams() -> None:
    found = lived(OUTAGE.replace('["p1", "p2", "p3"]', '"p1"') + 'error = "ConnectionError"\nsource = "downstream"\n')
    page = told(found)["registry upstream budget burn"]
    assert "as 1 plugin saw it: p1" in page.summary
    assert isolated(found) == set()


def test_an_outage_that_some_operations_see_is_told_as_the_upstreams() -> None:
    operations = WORLD.replace('downstream = "registry"', 'downstream = "registry"\noperations = ["read", "write"]')
    trouble = (
        OUTAGE.replace("share", 'operation = "write"\nshare') + 'error = "ConnectionError"\nsource = "downstream"\n'
    )
    found = run(parse_world(operations + trouble, "upstream"), "default")
    assert "as 3 plugins saw it" in told(found)["registry upstream budget burn"].summary
    assert isolated(found) == set()


@pytest.mark.parametrize("error", ["ValueError", "ConnectionError"])
def test_what_a_plugin_fails_in_by_itself_beside_it_is_told(error: str) -> None:
    """An upstream speaks for no plugin that does not call it, nor for errors of a plugin's own code."""
    beside = '[[plugin]]\nname = "p9"\n[[trouble]]\nplugin = "p9"\nshare = 0.9\nfrom = 100\n' + f'error = "{error}"\n'
    found = lived(OUTAGE + 'error = "ConnectionError"\nsource = "downstream"\n' + beside)
    about: Mapping[str, Subject] = told(found)
    assert any(item.labels.get("plugin") == "p9" for item in about.values())
    assert isolated(found) <= {"p9"}
