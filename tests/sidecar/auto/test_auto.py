"""A host is started with its plugins wrapped, and nothing in it is changed: real programs, each in a process of its own."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from plugwarden import ConfigurationError
from plugwarden.auto.handed import READ_VARIABLE, hand_on, handed_on
from plugwarden.auto.installed import host_file, plugin_groups
from plugwarden.auto.run import SITE
from plugwarden.auto.wanted import WantedPlugins, read

from tests.sidecar.support.auto_host import run

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
            r"callable\[1\].previous: a@2 operation=b is the version itself",
        ),
        (
            "[[callable]]\ntarget = 'a:b'\nversion = '2'\nprevious = '1'\n"
            "[[callable]]\ntarget = 'c:b'\nplugin = 'a'\nversion = '1'\nprevious = '2'",
            r"callable\[1\].previous: a@1 operation=b goes back to a@2 operation=b itself",
        ),
        (
            "[[callable]]\ntarget = 'a:b'\nversion = '2'\nprevious = '1'\n"
            "[[callable]]\ntarget = 'c:b'\nplugin = 'a'\nversion = '1'\n"
            "[[callable]]\ntarget = 'd:b'\nplugin = 'a'\nversion = '1'",
            r"callable\[1\].previous: a@1 operation=b is here 2 times; give",
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


@pytest.mark.parametrize(
    ("old", "why"),
    [
        ("async def find(place): return place", "previous: geo@1.9 operation=find is of another kind"),
        ("raise SystemExit('wants a display')", "previous: 1.9 cannot be had: SystemExit: wants a display"),
    ],
    ids=["another kind", "ends"],
)
def test_a_way_back_that_cannot_be_costs_the_way_back_alone(tmp_path: Path, old: str, why: str) -> None:
    (tmp_path / "host.py").write_text("import geo_2\nprint(geo_2.find('Bern'))")
    (tmp_path / "geo_2.py").write_text(GEO.replace("VERSION", "2.0"))
    (tmp_path / "geo_1.py").write_text(old)
    (tmp_path / "plugwarden.toml").write_text(GOES_BACK)
    done = run(tmp_path, "run", "--report", "--", sys.executable, "host.py")
    assert (done.returncode, done.stdout.strip()) == (0, "Bern by 2.0"), done.stderr
    assert "callable geo_2:find: 1 wrapped" in done.stderr
    assert f"callable geo_2:find: goes back to nothing: {why}" in done.stderr


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
