"""Hosts that find their plugins by entry points: each point is its distribution's, and what a hook was called for before counts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sidecar.support.auto_host import run
from tests.sidecar.support.otlp_receiver import Receiver

REGISTERED = """
import pluggy

spec = pluggy.HookspecMarker("reports")
class Hooks:
    @spec(historic=True)
    def prepare(self): ...
    @spec
    def title(self): ...

manager = pluggy.PluginManager("reports")
manager.add_hookspecs(Hooks)
manager.hook.prepare.call_historic()
manager.load_setuptools_entrypoints("reports.plugins")
print(manager.hook.title())
"""
PLUGIN = """
import pluggy
impl = pluggy.HookimplMarker("reports")
@impl
def prepare(): pass
@impl
def title(): return __name__
"""
POINTS = {
    "reports-csv": {"one": "one = plugin_one", "two": "two = plugin_two"},
    "reports-xml": {"three": "three = plugin_three"},
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def install(folder: Path, group: str, distributions: dict[str, dict[str, str]]) -> None:
    """Distributions with entry points, each point with a module of its own."""
    for name, points in distributions.items():
        info = folder / f"{name.replace('-', '_')}-3.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.1\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n" + "\n".join(points.values()) + "\n")


def start(receiver: Receiver, folder: Path, host: str, wanted: str) -> subprocess.CompletedProcess[str]:
    """A host, started by `run`, that sends to the receiver."""
    (folder / "host.py").write_text(host)
    (folder / "plugwarden.toml").write_text(wanted)
    environ = {**os.environ, "PYTHONPATH": str(folder), "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    environ["HOME"] = str(folder)  # stevedore keeps what it found in a cache
    command = [sys.executable, "-m", "plugwarden", "run", "--", sys.executable, "host.py"]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)


def counted(receiver: Receiver, folder: Path, host: str, wanted: str) -> dict[tuple[str, str], int]:
    """What arrives of a host that `run` started, and that has to end well."""
    done = start(receiver, folder, host, wanted)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return dict(receiver.by_operation)


def test_a_plugin_that_pluggy_loads_by_entry_point_is_its_distribution_and_the_past_of_a_hook_counts(
    tmp_path: Path, receiver: Receiver
) -> None:
    install(tmp_path, "reports.plugins", POINTS)
    for name in ("one", "two", "three"):
        (tmp_path / f"plugin_{name}.py").write_text(PLUGIN)
    assert counted(receiver, tmp_path, REGISTERED, '[[pluggy]]\nproject = "reports"') == {
        ("reports-csv", "one.prepare"): 1,
        ("reports-csv", "two.prepare"): 1,
        ("reports-csv", "one.title"): 1,
        ("reports-csv", "two.title"): 1,
        ("reports-xml", "prepare"): 1,
        ("reports-xml", "title"): 1,
    }


LOADERS = {
    "importlib": "points = importlib.metadata.entry_points(group='reports.formats')\n"
    "for point in points: print(point.load()(1))",
    "stevedore": "from stevedore import ExtensionManager\n"
    "for extension in ExtensionManager('reports.formats'): print(extension.plugin(1))",
}


@pytest.mark.parametrize("loader", LOADERS)
def test_each_entry_point_of_a_distribution_has_operations_of_its_own(
    tmp_path: Path, receiver: Receiver, loader: str
) -> None:
    points = {
        "reports-csv": {"csv": "csv = formats:csv", "tsv": "tsv = formats:tsv"},
        "x": {"xml": "xml = formats:xml"},
    }
    install(tmp_path, "reports.formats", points)
    (tmp_path / "formats.py").write_text("\n".join(f"def {name}(n): return n" for name in ("csv", "tsv", "xml")))
    host = "import importlib.metadata\n" + LOADERS[loader]
    found = counted(receiver, tmp_path, host, '[[entry_points]]\ngroup = "reports.formats"')
    assert found == {
        ("reports-csv", "csv.load"): 1,
        ("reports-csv", "csv.call"): 1,
        ("reports-csv", "tsv.load"): 1,
        ("reports-csv", "tsv.call"): 1,
        ("x", "load"): 1,
        ("x", "call"): 1,
    }


MIXED = """
import importlib.metadata
for point in sorted(importlib.metadata.entry_points(group="reports.checks")):
    found = point.load()
    print(point.name, found().run() if point.name == "kind" else found(1))
"""


def test_a_group_of_classes_and_functions_loads_as_ever_whatever_has_the_methods(
    tmp_path: Path, receiver: Receiver
) -> None:
    points = {name: f"{name} = checks:{name}" for name in ("kind", "function", "other")}
    install(tmp_path, "reports.checks", {"checks": points})
    (tmp_path / "checks.py").write_text(
        "class kind:\n    def run(self): return 'ran'\n"
        "def function(number): return number\n"
        "class other:\n    def __init__(self, number): self.number = number\n    def __repr__(self): return 'other'\n"
    )
    done = start(receiver, tmp_path, MIXED, '[[entry_points]]\ngroup = "reports.checks"\nmethods = ["run"]')
    assert (done.returncode, done.stdout) == (0, "function 1\nkind ran\nother other\n"), done.stderr
    assert done.stderr == "entry_points reports.checks: other: left as it is: methods: checks has no method run\n"
    assert {name: calls for (_, name), calls in receiver.by_operation.items() if not name.endswith(".load")} == {
        "kind.run": 1,
        "function.call": 1,
    }


def test_the_report_says_of_a_class_that_its_methods_have_to_be_named(tmp_path: Path) -> None:
    install(tmp_path, "reports.checks", {"checks": {"kind": "kind = checks:kind"}})
    (tmp_path / "checks.py").write_text("class kind: pass\n")
    (tmp_path / "host.py").write_text(
        "import importlib.metadata\n(p,) = importlib.metadata.entry_points(group='reports.checks')\nprint(p.load().__name__)"
    )
    (tmp_path / "plugwarden.toml").write_text('[[entry_points]]\ngroup = "reports.checks"')
    done = run(tmp_path, "run", "--report", "--", sys.executable, "host.py")
    assert (done.returncode, done.stdout) == (0, "kind\n")
    assert [line.split("]: ", 1)[1] for line in done.stderr.splitlines()] == [
        "entry_points reports.checks: not met",
        "entry_points reports.checks: kind: left as it is: a class, and no methods of it are named",
    ]
