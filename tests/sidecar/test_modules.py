"""The sidecar's modules: none is long, and none imports another in a circle, also not for type checkers alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import plugwarden

from tests.circles import circles

INVOCATION = {"plugwarden.invocation", "plugwarden.operation"}
"""An invocation names its operation, for type checkers, and an operation makes invocations."""

MOST_LINES = 500
"""More than one noun fits into fewer (CONTRIBUTING.md)."""


def test_no_module_is_long() -> None:
    lines = {path: path.read_text("utf-8").count("\n") for path in Path(plugwarden.__file__).parent.rglob("*.py")}
    assert [path for path, count in lines.items() if count > MOST_LINES] == []


def test_no_module_imports_another_in_a_circle() -> None:
    found = [one for one in circles(Path(plugwarden.__file__).parent) if not one <= INVOCATION]
    assert not found


def test_a_circle_is_seen_through_packages_functions_and_type_checking(tmp_path: Path) -> None:
    package = tmp_path / "made"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner" / "__init__.py").write_text("from .one import a\n")
    (package / "inner" / "one.py").write_text("def a():\n    from ..two import b\n")
    (package / "two.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from made import inner\n")
    (package / "three.py").write_text("import made.two\nfrom made.inner import one\n")
    assert circles(package) == [{"made.inner", "made.inner.one", "made.two"}]


HOST = """
import importlib.metadata, json, logging, sys
import pluggy
before = set(sys.modules)
import plugwarden.auto.hooks, plugwarden.auto.run
from plugwarden import Sidecar
from plugwarden.integrations import entry_points, objects, pluggy as hooks
sidecar = Sidecar(service="x", endpoint="http://127.0.0.1:9")
sidecar._prepare()
sidecar.wrap(lambda: None, plugin="p", version="1", operation="x")()
list(entry_points.load("nobodys.plugins", sidecar))
hooks.instrument(pluggy.PluginManager("x"), sidecar)
print(json.dumps(sorted(set(sys.modules) - before)))
sidecar.close(0)
"""
HEAVY = {
    "asyncio",
    "concurrent.futures",
    "difflib",
    "email.parser",
    "http.client",
    "multiprocessing",
    "ssl",
    "subprocess",
    "tempfile",
}
"""Each costs a process more than a thousand calls do."""


def test_a_host_loads_nothing_heavy_for_being_watched() -> None:
    told = subprocess.run([sys.executable, "-c", HOST], capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(told.stdout))


def test_the_start_of_a_host_loads_little_before_it_becomes_the_host(tmp_path: Path) -> None:
    (tmp_path / "host.toml").write_text('[[callable]]\ntarget = "a.b:c"\nplugin = "p"\n')
    code = """import sys
from plugwarden.command import main
import os
os.execvpe = lambda *given: print(sorted({"dataclasses", "inspect", "opentelemetry", "pathlib", "shutil"} & set(sys.modules)))
main(["run", "--file", sys.argv[1], "--", "host"])"""
    told = subprocess.run(
        [sys.executable, "-S", "-c", code, str(tmp_path / "host.toml")],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": str(Path(plugwarden.__file__).parents[1])},
    )  # fmt: skip
    assert told.stdout == "[]\n"


def test_a_process_that_wraps_makes_no_dataclass_of_a_value() -> None:
    code = """import plugwarden.contract.value as values
from plugwarden import Sidecar, Settings
made = []
plainly, values.dataclass = values.dataclass, lambda **given: made.append(1) or plainly(**given)
Sidecar(service="x", endpoint="http://127.0.0.1:9").wrap(lambda: None, plugin="p", version="1", operation="x")()
print(made, end=" ")
Settings.__dataclass_fields__
print(made)"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[] [1]\n"
