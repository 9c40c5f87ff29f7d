"""A host is started by the real `opentelemetry-instrument`, in an environment as a host has it, and its plugins are wrapped."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sidecar.support.otlp_receiver import Receiver

BIN = Path(__file__).parents[3] / ".venv-otel" / "bin"

pytestmark = pytest.mark.skipif(
    not (BIN / "opentelemetry-instrument").exists(),
    reason="opentelemetry-instrument is not installed for the tests: make otel-instrument",
)

HOST = """
import os, steps, sys
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import get_tracer_provider
print(steps.resize(3), sys.argv[1:], isinstance(get_tracer_provider(), TracerProvider))
"""
FILE = """
service = "reports"
[[callable]]
target = "steps:resize"
plugin = "resize"
version = "1.4"
"""
INSTRUMENT = [str(BIN / "opentelemetry-instrument")]
RUN = [str(BIN / "python"), "-m", "plugwarden", "run", "--"]
HOST_COMMAND = [str(BIN / "python"), "host.py", "--flag"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "steps.py").write_text("def resize(size): return size * 2\n")
    (tmp_path / "host.py").write_text(HOST)
    (tmp_path / "plugwarden.toml").write_text(FILE)
    return tmp_path


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def started(folder: Path, command: list[str], url: str, **environ: str) -> subprocess.CompletedProcess[str]:
    told = {"PATH": f"{BIN}:/usr/bin:/bin", "PYTHONPATH": str(folder), "OTEL_EXPORTER_OTLP_ENDPOINT": url}
    told |= {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "PLUGWARDEN_HOST_REPORT": "1"}
    return subprocess.run(
        command, cwd=folder, env={**told, **environ}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("command", "says_file"),
    [
        ([*INSTRUMENT, *HOST_COMMAND], True),
        ([*RUN, *INSTRUMENT, *HOST_COMMAND], False),
        ([*INSTRUMENT, *RUN, *HOST_COMMAND], False),
    ],
    ids=["instrument", "run instrument", "instrument run"],
)
def test_plugins_are_wrapped_once_however_both_are_combined(
    folder: Path, receiver: Receiver, command: list[str], says_file: bool
) -> None:
    environ = {"PLUGWARDEN_HOST_FILE": str(folder / "plugwarden.toml")} if says_file else {}
    done = started(folder, command, receiver.url, **environ)
    assert (done.returncode, done.stdout) == (0, "6 ['--flag'] True\n"), done.stderr
    reports = re.findall(r"host\.py\[\d+\]: callable steps:resize: (\d) wrapped", done.stderr)
    assert reports == ["1"], done.stderr
    assert sum(receiver.counts) == 1


def test_without_a_host_file_the_host_is_as_ever(folder: Path, receiver: Receiver) -> None:
    done = started(folder, [*INSTRUMENT, *HOST_COMMAND], receiver.url)
    assert (done.returncode, done.stdout) == (0, "6 ['--flag'] True\n"), done.stderr
    assert "plugwarden" not in done.stderr
    assert receiver.counts == []


def test_a_wrong_host_file_is_said_in_one_line_and_all_else_is_instrumented(folder: Path, receiver: Receiver) -> None:
    (folder / "plugwarden.toml").write_text("servise = 1")
    environ = {"PLUGWARDEN_HOST_FILE": str(folder / "plugwarden.toml")}
    done = started(folder, [*INSTRUMENT, *HOST_COMMAND], receiver.url, **environ)
    assert (done.returncode, done.stdout) == (0, "6 ['--flag'] True\n"), done.stderr
    said = [line for line in done.stderr.splitlines() if "plugwarden" in line]
    assert len(said) == 1
    assert "servise: no such field" in said[0]


def test_another_instrumentation_that_fails_takes_nothing_along(folder: Path, receiver: Receiver) -> None:
    info = folder / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[opentelemetry_instrumentor]\nbroken = broken:Instrumentor\n")
    (folder / "broken.py").write_text("class Instrumentor:\n def instrument(self, **_): raise RuntimeError('broken')\n")
    environ = {"PLUGWARDEN_HOST_FILE": str(folder / "plugwarden.toml")}
    done = started(folder, [*INSTRUMENT, *HOST_COMMAND], receiver.url, **environ)
    assert (done.returncode, done.stdout) == (0, "6 ['--flag'] True\n"), done.stderr
    assert "Instrumenting of broken failed" in done.stderr
    assert "callable steps:resize: 1 wrapped" in done.stderr
