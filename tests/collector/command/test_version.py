"""`plugwarden --version`: what is here, and the collector's version where it answers."""

from __future__ import annotations

import json
import platform

import duckdb
import plugwarden_collector
import pytest

from tests.collector.conftest import Running
from tests.collector.support.command_line import plugwarden, plugwarden_process


@pytest.mark.parametrize("word", ["--version", "-V", "version"])
def test_versions_are_told_without_a_collector(word: str) -> None:
    answer = plugwarden_process(word)
    assert (answer.returncode, answer.stderr) == (0, "")
    for line in (f"duckdb {duckdb.__version__}", f"python {platform.python_version()}", "not reached"):
        assert line in answer.stdout
    assert "plugwarden-dashboards " in answer.stdout


def test_the_collectors_version_is_told_where_it_answers(shared: Running) -> None:
    found = json.loads(plugwarden("--version", "--url", shared.url, "--json").stdout)
    assert found["collector"] == plugwarden_collector.__version__
    assert found["duckdb"] == duckdb.__version__
    assert json.loads(plugwarden("-V", "--json").stdout)["collector"] is None
