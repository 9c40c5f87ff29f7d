"""A host is started with its plugins wrapped, and nothing in it is changed: real programs, each in a process of its own."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugwarden import ConfigurationError
from plugwarden.auto.handed import READ_VARIABLE, hand_on, handed_on
from plugwarden.auto.installed import host_file, plugin_groups
from plugwarden.auto.run import SITE
from plugwarden.auto.wanted import WantedPlugins, read

from tests.sidecar.support.otlp_receiver import Receiver

HOST = """
import importlib.metadata, sys
import pluggy
import steps

spec, impl = pluggy.HookspecMarker("reports"), pluggy.HookimplMarker("reports")
class Hooks:
    @spec
    def title(self): ...
class Loud:
    __name__ = "loud"
    @impl
    def title(self): return "REPORT"

manager = pluggy.PluginManager("reports")
manager.add_hookspecs(Hooks)
manager.register(Loud(), name="loud")
(point,) = importlib.metadata.entry_points(group="reports.formats")
print(steps.resize(3), steps.Step.name(), steps.Step().run(4), point.load()("x"), manager.hook.title(), sys.argv[1:])
print(steps.__spec__.loader is steps.__loader__, type(steps.__loader__).__name__)
"""
STEPS = """
def resize(size): return size * 2
class Step:
    @staticmethod
    def name(): return "step"
    def run(self, number): return number + 1
def csv(text): return f"<{text}>"
"""
FILE = """
service = "reports"
[[callable]]
target = "steps:resize"
plugin = "resize"
version = "1.4"
timeout = 5.0
[[callable]]
target = "steps:Step.name"
[[callable]]
target = "steps:Step.run"
operation = "walk"
[[callable]]
target = "steps:missing"
[[callable]]
target = "never:imported"
[[entry_points]]
group = "reports.formats"
[[pluggy]]
project = "reports"
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder with a host, a module of steps, an installed plugin and a host file."""
    (tmp_path / "host.py").write_text(HOST)
    (tmp_path / "steps.py").write_text(STEPS)
    info = tmp_path / "reports_csv-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: reports-csv\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[reports.formats]\ncsv = steps:csv\n")
    (tmp_path / "plugwarden.toml").write_text(FILE)
    return tmp_path


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    environ = {**os.environ, "PYTHONPATH": path, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, "-m", "plugwarden", *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip


def test_a_host_answers_as_ever_and_what_was_wrapped_is_reported(host: Path) -> None:
    plain = subprocess.run(
        [sys.executable, "host.py", "--flag"], cwd=host, capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PYTHONPATH": str(host)},
    )  # fmt: skip
    done = run(host, "run", "--report", "--", sys.executable, "host.py", "--flag")
    assert (done.returncode, done.stdout) == (0, plain.stdout), done.stderr
    report = {line.split("]: ", 1)[1] for line in done.stderr.splitlines() if line.startswith("plugwarden: ")}
    assert {
        "callable steps:resize: 1 wrapped",
        "callable steps:Step.name: 1 wrapped",
        "callable steps:Step.run: 1 wrapped",
        "callable steps:missing: not met",
        "callable never:imported: not met",
        "entry_points reports.formats: 1 wrapped",
        "pluggy reports: 1 wrapped",
    } <= report
    assert any(line.startswith("callable steps:missing: left as it is: ") for line in report)


def test_a_host_runs_as_a_module_though_it_or_its_package_is_named_in_the_host_file(host: Path) -> None:
    package = host / "reports"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(
        "import steps\nprint(steps.resize(3), type(__loader__).__name__, __spec__.loader is __loader__)\n"
    )
    file = '[[callable]]\ntarget = "reports.__main__:main"\n[[callable]]\ntarget = "steps:resize"\nplugin = "resize"\n'
    (host / "plugwarden.toml").write_text(file)
    done = run(host, "run", "--report", "--", sys.executable, "-m", "reports")
    assert (done.returncode, done.stdout) == (0, "6 SourceFileLoader True\n"), done.stderr
    assert "callable steps:resize: 1 wrapped" in done.stderr
    assert "callable reports.__main__:main: not met" in done.stderr
    done = run(host, "run", "--", sys.executable, "-m", "steps")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("collector", ["", "http://127.0.0.1:9"])
def test_what_the_sidecar_itself_imports_may_be_named_too_and_holds_up_nobody(
    host: Path, monkeypatch: pytest.MonkeyPatch, collector: str
) -> None:
    monkeypatch.setenv("PLUGWARDEN_COLLECTOR_URL", collector)
    wanted = [("steps", "resize"), ("uuid", "uuid4"), ("http.client", "HTTPConnection.request"), ("sqlite3", "connect")]
    file = "".join(f'[[callable]]\ntarget = "{module}:{name}"\n' for module, name in wanted)
    (host / "plugwarden.toml").write_text(file)
    (host / "host.py").write_text("import steps, uuid\nprint(steps.resize(3), len(str(uuid.uuid4())))\n")
    done = run(host, "run", "--report", "--", sys.executable, "host.py")
    assert (done.returncode, done.stdout) == (0, "6 36\n"), done.stderr
    assert "callable steps:resize: 1 wrapped" in done.stderr
    assert "callable uuid:uuid4: left as it is: the sidecar itself imports it" in done.stderr


def test_a_host_whose_python_has_no_sidecar_is_told_which_that_is(host: Path) -> None:
    bare = [
        sys.executable,
        "-S",
        "-c",
        f"import sys; sys.path.insert(0, {str(SITE)!r}); import sitecustomize; print('ran')",
    ]
    done = subprocess.run(bare, capture_output=True, text=True, timeout=60, check=False, cwd=host)
    assert (done.returncode, done.stdout) == (0, "ran\n")
    (line,) = done.stderr.splitlines()
    assert line.endswith(
        f"No module named 'plugwarden'; it is to be installed for {sys.executable}, which runs the host"
    )


def test_another_sitecustomize_runs_still(host: Path) -> None:
    (host / "sitecustomize.py").write_text("print('ours')")
    done = run(host, "run", "--", sys.executable, "-c", "print('theirs')")
    assert (
        done.stdout == "ours\n" * 2 + "theirs\n"
    )  # the first is of `python -m plugwarden`, before it becomes the host


def test_the_exit_code_is_the_hosts(host: Path) -> None:
    assert run(host, "run", "--", sys.executable, "-c", "raise SystemExit(7)").returncode == 7


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--file", "none.toml", "--", "true"], "none.toml: cannot be read"),
        (["run"], "the command is missing"),
        (["run", "--", "no-such-program"], "no-such-program: there is no such program"),
        (["init"], "plugwarden.toml is there already"),
        (["init", "--group", "nobody", "--file", "-"], "--group: nothing is installed for nobody"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(host: Path, words: list[str], said: str) -> None:
    done = run(host, *words)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


HANDED = """
import os, sys
steps = __import__("steps")
print(steps.resize(3), "tomllib" in sys.modules)
"""


def test_a_host_does_not_read_again_what_run_has_read_and_reads_what_has_changed_since(host: Path) -> None:
    (host / "host.py").write_text(HANDED)
    (host / "plugwarden.toml").write_text(
        FILE.replace("timeout = 5.0\n", "")
    )  # terms are read as a manifest's, which is TOML too
    done = run(host, "run", "--report", "--", sys.executable, "host.py")
    assert (done.returncode, done.stdout) == (0, "6 False\n"), done.stderr
    assert "callable steps:resize: 1 wrapped" in done.stderr
    code = """import os
file = open("plugwarden.toml", "a").write("[[callable]]\\ntarget = 'steps:later'\\n")
os.execv(os.sys.executable, [os.sys.executable, "host.py"])"""
    later = run(host, "run", "--report", "--", sys.executable, "-c", code)
    assert (later.returncode, later.stdout) == (0, "6 True\n"), later.stderr
    assert "callable steps:later: " in later.stderr


@pytest.mark.parametrize("more", ["", "[[entry_points]]\ngroup = 'x'\nowner = '" + "o" * 20_000 + "'\n"])
@pytest.mark.parametrize("told", ["", "{", "[1, 2]", "[1, 2, 3, {}]", '["x", 1, 1, []]', "null"])
def test_a_host_reads_the_file_where_nothing_of_use_was_handed_on(host: Path, told: str, more: str) -> None:
    (host / "plugwarden.toml").write_text(FILE + more)
    raw, state = read(host / "plugwarden.toml")
    assert bool(more) is not bool(handed := hand_on("file", raw, state))
    assert handed_on("file", {READ_VARIABLE: told}) is None
    assert handed_on(str(host / "plugwarden.toml"), handed) is None  # of another name
    right = hand_on(str(host / "plugwarden.toml"), raw, state)
    assert handed_on(str(host / "plugwarden.toml"), right) == (None if more else raw)
    assert hand_on("file", {"at": datetime.date(2026, 11, 27)}, state) == {}


def test_a_host_file_that_goes_wrong_later_costs_the_host_nothing(host: Path) -> None:
    code = "import os, sys; open('plugwarden.toml', 'w').write('service = 1')\n"
    code += "os.execv(sys.executable, [sys.executable, '-c', 'print(1)'])"
    done = run(host, "run", "--", sys.executable, "-c", code)
    assert (done.returncode, done.stdout) == (0, "1\n")
    assert "plugwarden: nothing is observed: " in done.stderr
    assert "plugwarden.toml: service: 1 is not a text" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("servise = 'x'", "servise: no such field"),
        ("[[callable]]\ntarget = 'steps'", r"callable\[1\].target: 'steps' is not"),
        ("[[callable]]\ntarget = 'a:b'\ntimeuot = 1", r"callable\[1\].timeuot: no such field; did you mean timeout"),
        ("[[callable]]\ntarget = 'a:b'\nplugin = ''", r"callable\[1\].plugin: is missing"),
        ("[[entry_points]]\nmethods = ['x']", r"entry_points\[1\].group: is missing"),
        ("[[pluggy]]\nproject = 'x'\n[[pluggy]]\nproject = 'x'", r"pluggy\[2\].project: x is there already"),
        ("callable = 3", r"callable: must be tables, each begun with \[\[callable\]\]"),
        (
            "[[callable]]\ntarget = 'a:b'\nversion = '2'\nprevious = 1",
            r"callable\[1\].previous: must be the earlier version",
        ),
        (
            "[[callable]]\ntarget = 'a:b'\nprevious = '1'",
            r"callable\[1\].version: is missing; what goes back to 1 needs one",
        ),
        (
            "[[callable]]\ntarget = 'a:b'\nversion = '2'\nprevious = '1'",
            r"callable\[1\].previous: no \[\[callable\]\] has version 1 of plugin a, operation b",
        ),
        (
            "[[callable]]\ntarget = 'a:b'\nversion = '2'\nprevious = '2'",
            r"callable\[1\].previous: 2 goes back to 2 itself",
        ),
        (
            "[[callable]]\ntarget = 'a:b'\nversion = '2'\nprevious = '1'\n"
            "[[callable]]\ntarget = 'c:b'\nplugin = 'a'\nversion = '1'\nprevious = '2'",
            r"callable\[1\].previous: 1 goes back to 2 itself",
        ),
        (
            "[[entry_points]]\ngroup = 'x'\nprevious = '1'",
            r"entry_points\[1\].previous: only a \[\[callable\]\] names one",
        ),
        ("[[pluggy]]\nproject = 'x'\nprevious = '1'", r"pluggy\[1\].previous: only a"),
    ],
)
def test_a_wrong_host_file_names_the_field(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "plugwarden.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        WantedPlugins.load(file)


BACK = """
import json, os, sys
from pathlib import Path

import geo_2
import plugwarden.auto.hooks as hooks
from plugwarden.contract import Action, Directive, DirectiveSet, Scope

said = [geo_2.find("Bern"), geo_2.Finder().run("Bern"), "geo_1" in sys.modules]
import gc
(sidecar,) = {id(item._sidecar): item._sidecar for item in gc.get_objects() if isinstance(item, hooks.Placed)}.values()
sidecar._apply(DirectiveSet("e", 1, (Directive("q-1", Action.ISOLATE, Scope("geo", "2.0"), reason="it fails"),)))
for call in (geo_2.find, geo_2.Finder().run):
    try:
        said.append(call("Bern"))
    except Exception as error:
        said.append(type(error).__name__)
print(json.dumps(said))
"""
GEO = """
def find(place): return f"{place} by VERSION"
class Finder:
    def run(self, place): return f"{place} run by VERSION"
"""
GOES_BACK = """
[[callable]]
target = "geo_2:find"
plugin = "geo"
version = "2.0"
previous = "1.9"
[[callable]]
target = "geo_2:Finder.run"
plugin = "geo"
version = "2.0"
previous = "1.9"
[[callable]]
target = "geo_1:find"
plugin = "geo"
version = "1.9"
[[callable]]
target = "geo_1:Finder.run"
plugin = "geo"
version = "1.9"
"""


@pytest.mark.parametrize("there", [True, False], ids=["kept", "gone"])
def test_a_host_file_names_the_version_that_calls_go_back_to_which_no_host_imports(tmp_path: Path, there: bool) -> None:
    (tmp_path / "host.py").write_text(BACK)
    (tmp_path / "geo_2.py").write_text(GEO.replace("VERSION", "2.0"))
    if there:
        (tmp_path / "geo_1.py").write_text(GEO.replace("VERSION", "1.9"))
    (tmp_path / "plugwarden.toml").write_text(GOES_BACK)
    done = run(tmp_path, "run", "--report", "--", sys.executable, "host.py")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said[:3] == ["Bern by 2.0", "Bern run by 2.0", there]
    if there:
        assert said[3:] == ["Bern by 1.9", "Bern run by 1.9"]
        assert "callable geo_1:find: 1 wrapped" in done.stderr
    else:
        assert said[3:] == ["PluginQuarantined"] * 2
        assert (
            "callable geo_2:find: goes back to nothing: previous: 1.9 cannot be had: ModuleNotFoundError" in done.stderr
        )


def test_what_is_installed_makes_a_host_file_that_can_be_read(tmp_path: Path) -> None:
    groups = plugin_groups()
    assert "console_scripts" not in groups
    assert "datasette" in groups
    file = tmp_path / "plugwarden.toml"
    file.write_text(host_file({**groups, "odd": ["a\n[[callable]] (b 1)"]}, 'na"me'))
    wanted = WantedPlugins.load(file)
    assert wanted.service == 'na"me'
    assert "datasette" in wanted.managers
    assert "odd" in wanted.groups
    assert wanted.callables == ()


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
