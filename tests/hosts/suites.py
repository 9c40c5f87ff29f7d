"""A test suite of others, run many times without us and with pytest's own plugins observed: it has to fail as often.

click's, as its tests exchange standard streams, environment, working folder and modules, where a watcher that is not careful
is seen.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.hosts.environments import FOLDER, EnvironmentFailedError, build
from tests.hosts.process import HostProcess
from tests.sidecar.support.otlp_receiver import Receiver

__all__ = ["compare"]

CLICK = "click==8.5.1"
PART = (
    "test_testing.py",
    "test_termui.py",
    "test_imports.py",
    "test_abort_interrupt.py",
    "test_context.py",
    "test_basic.py",
)
"""What touches the process: streams, signals, environment, imports. The rest of its tests parses words."""
REQUIRES = (CLICK, "pytest==9.2.0")
PATIENCE_SECONDS = 300.0
OBSERVE = """
import os, pytest

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    if os.environ.get("HOST_OBSERVED"):
        from plugwarden import Sidecar
        from plugwarden.integrations.pluggy import instrument

        assert instrument(config.pluginmanager, Sidecar(service="pytest", breakers=False)) > 50
"""


@dataclass
class _Tests:
    """What came of the runs of one kind."""

    run: int = 0
    calls: int = 0
    """Hook calls that arrived at a receiver."""
    failed: Counter[str] = field(default_factory=Counter)
    """Test -> how often it failed."""


def compare(runs: int, *, as_json: bool) -> int:
    """Run the suite so many times in both ways, interleaved; answers the exit code: 1 when it failed otherwise with us."""
    try:
        python = build("suite-click", REQUIRES)
        source = _source(python)
    except EnvironmentFailedError as error:
        print(error, file=sys.stderr)
        return 1
    kinds = {"without": _Tests(), "with": _Tests()}
    for turn in range(runs):
        for name, tests in kinds.items():
            _run_once(python, source, tests, observed=name == "with")
        told = ", ".join(f"{name} {tests.failed.total()} of {tests.run} failed" for name, tests in kinds.items())
        print(f"[{turn + 1}/{runs}] {told}", file=sys.stderr, flush=True)
    found = {
        name: {"tests": tests.run, "failures": tests.failed.total(), "failed": dict(tests.failed), "calls": tests.calls}
        for name, tests in kinds.items()
    }
    same = kinds["with"].failed == kinds["without"].failed and kinds["with"].run == kinds["without"].run
    whole = kinds["with"].calls > kinds["with"].run > 0
    if as_json:
        print(json.dumps({"suite": CLICK, "runs": runs, "same": same and whole, **found}, indent=2))
    else:
        print(
            f"{CLICK}, {runs} runs of each kind: {'as many failures' if same else 'OTHER FAILURES'} with us as without"
        )
        for name, one in found.items():
            print(f"{name:>8}: {one['failures']} of {one['tests']} tests failed, {one['calls']} hook calls counted")
    return 0 if same and whole else 1


def _source(python: Path) -> Path:
    """click's own source with its tests; raises `EnvironmentFailedError`."""
    folder = FOLDER / "suite-click"
    if not (folder / "tests").is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        command = [str(python), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*command, "--no-deps", "--no-binary", "click", "--dest", str(folder), CLICK],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        archives = list(folder.glob("*.tar.gz"))
        if done.returncode or not archives:
            raise EnvironmentFailedError(f"{CLICK}: its source cannot be downloaded: {done.stderr.strip()[-300:]}")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(folder, filter="data")
        (inner,) = [path for path in folder.iterdir() if path.is_dir()]
        shutil.copy(inner / "pyproject.toml", folder)  # the settings that its tests run under
        shutil.copytree(inner / "tests", folder / "tests")
        shutil.rmtree(inner)
    (folder / "observed_by_plugwarden.py").write_text(OBSERVE, "utf-8")
    return folder


def _run_once(python: Path, source: Path, tests: _Tests, *, observed: bool) -> None:
    receiver = Receiver()
    report = source / "report.xml"
    report.unlink(missing_ok=True)
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PLUGWARDEN_", "PYTEST_"))
    }
    environ = {**clean, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    if observed:
        environ |= {"HOST_OBSERVED": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    command = [
        str(python),
        "-m",
        "pytest",
        *(f"tests/{name}" for name in PART),
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "observed_by_plugwarden",
    ]
    process = HostProcess([*command, f"--junit-xml={report}"], source, environ, source / "stdout", source / "stderr")
    try:
        process.wait(PATIENCE_SECONDS)
    finally:
        process.kill()
        receiver.close()
    if not report.exists():
        said = (source / "stdout").read_text("utf-8")[-600:] + (source / "stderr").read_text("utf-8")[-600:]
        tests.failed[f"no report: {said}"] += 1
        return
    for case in ElementTree.parse(report).iter("testcase"):
        tests.run += 1
        if case.find("failure") is not None or case.find("error") is not None:
            tests.failed[f"{case.get('classname')}::{case.get('name')}"] += 1
    tests.calls += sum(receiver.counts)
