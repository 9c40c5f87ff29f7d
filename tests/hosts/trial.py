"""One run of a host, without us or with us, in a folder that is made anew at the same place each time."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.process import HostProcess
from tests.hosts.row import TALLY, Row
from tests.sidecar.support.otlp_receiver import Receiver

__all__ = ["HostFailedError", "Trial", "run"]

PATIENCE_SECONDS = 120.0
CLIENTS = 4


class HostFailedError(Exception):
    """A host did not do what it does; its text holds its last words."""


@dataclass(frozen=True)
class Trial:
    """What was seen of one run."""

    code: int
    out: str
    err: str
    answers: tuple[tuple[str, int, str], ...]
    """Of a server: path, status and body of each request, in the order they were made."""
    made: Mapping[str, str]
    """Of what writes files: path -> text."""
    tallied: Mapping[str, int]
    """Calls of each operation by the plugins' own count."""
    counted: Mapping[str, int]
    """Calls of each operation that arrived at a receiver; nothing without us."""
    cpu_seconds: float
    left: int
    """Processes that outlived the host and had to be killed."""


def run(row: Row, python: Path, folder: Path, *, observed: bool) -> Trial:
    """Run a host once; raises `HostFailedError` when it does not come up, or does not end."""
    shutil.rmtree(folder, ignore_errors=True)
    work = folder / "work"
    for name, text in {"tally.py": TALLY, **row.files}.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    tally, out, err = folder / "tally", folder / "stdout", folder / "stderr"
    receiver = Receiver()
    environ = _environ(work, python, tally)
    port = str(_free_port())
    command = [word.replace("{port}", port) for word in row.command]
    if observed:
        environ |= {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_SERVICE_NAME": row.name, "HOST_OBSERVED": "1"}
        if row.host_file:
            (folder / "plugwarden.toml").write_text(row.host_file, "utf-8")
            command = ["python", "-m", "plugwarden", "run", "--file", str(folder / "plugwarden.toml"), "--", *command]
    command[0] = str(python) if command[0] == "python" else command[0]
    process = HostProcess(command, work, environ, out, err)
    try:
        answers: tuple[tuple[str, int, str], ...] = ()
        if row.serves:
            _await(process, int(port), err)
            with ThreadPoolExecutor(CLIENTS) as clients:
                answers = tuple(clients.map(lambda path: _ask(int(port), path), row.requests))
            process.signal(row.stop)
        ended = process.wait(PATIENCE_SECONDS)
    except (TimeoutError, OSError, http.client.HTTPException) as error:
        raise HostFailedError(f"{row.name}: {error}: {_tail(err)}") from error
    finally:
        process.kill()
        receiver.close()
    counted = {
        operation: calls
        for (plugin, operation), calls in receiver.by_operation.items()
        if plugin in row.plugins and operation.rpartition(".")[2] != "load"  # what entry points do before any call
    }
    return Trial(
        ended.code,
        _text(row, out, port),
        _text(row, err, port),
        tuple((path, status, row.without_what_varies(body)) for path, status, body in answers),
        _made(row, work),
        Counter(tally.read_text("utf-8").split()) if tally.exists() else Counter(),
        counted,
        ended.cpu_seconds,
        ended.left,
    )


def _environ(work: Path, python: Path, tally: Path) -> dict[str, str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "PLUGWARDEN_", "PYTHON", "VIRTUAL_ENV", "COV_", "PYTEST_"))
    }
    return {
        **clean,
        "PATH": os.pathsep.join([str(python.parent), clean.get("PATH", os.defpath)]),
        "PYTHONPATH": str(work),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "HOST_TALLY": str(tally),
        "HOME": str(work.parent / "home"),
        "COLUMNS": "100",
        "NO_COLOR": "1",
    }


def _await(process: HostProcess, port: int, err: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if not process.running:
                raise OSError(f"it ended before it listened: {_tail(err)}") from None
            if time.monotonic() > end:
                raise TimeoutError("it does not listen") from None
            time.sleep(0.02)


def _ask(port: int, path: str) -> tuple[str, int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return path, answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def _text(row: Row, path: Path, port: str) -> str:
    """What the host said, in lines without an order where several processes say it."""
    return row.without_what_varies(path.read_text("utf-8", "replace").replace(port, "PORT"))


def _made(row: Row, work: Path) -> dict[str, str]:
    if not row.made:
        return {}
    return {
        str(path.relative_to(work)): row.without_what_varies(path.read_bytes().decode("latin-1"))
        for path in sorted((work / row.made).rglob("*"))
        if path.is_file()
    }


def _tail(path: Path) -> str:
    return path.read_text("utf-8", "replace").strip()[-600:] if path.exists() else ""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
