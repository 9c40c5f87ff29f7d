"""How long a collector takes to start after `kill -9` under load, on a store of ten million spans; beside the bare imports.

The store is built once, in a folder that is used again (three minutes and 2 GB; as much again for each copy). A collector on a
copy of it is killed while 20,000 spans/s arrive; each start is measured on a fresh copy of what that left. With `--other`,
another, older checkout's collector builds the store, is killed on a copy of its own, and is started turn and turn about; the
ratio is told, for nothing else means much on a machine that is shared. `ready` is the line on stdout, `acked` the answer to a
request sent right after it, `pages` the first page of all plugins.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from load import driver
from load.big_store import name_of
from load.machine import cpu_seconds, load_average
from load.senders import HttpSender
from load.span_requests import SPANS, make_requests
from scale_queries import Browser

RATE = 20_000
"""Spans a second while the collector is killed."""
PLUGINS = 1_000
IMPORTS = "import duckdb, fastapi, grpc, pyarrow, typer, uvicorn, uvloop"
"""What any collector that is built of these must load."""
BUILD = """
import sys
from pathlib import Path
from load.big_store import Shape, prepare
prepare(Path(sys.argv[1]), Shape(int(sys.argv[2]), int(sys.argv[3])), lambda text: None)
"""
MEASURED = ("ready", "ready_cpu", "acked", "pages")


@contextlib.contextmanager
def collector(python: str, data: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A collector of a checkout on a folder, and its ready line; ends by `kill -9`."""
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    command = [python, "-m", "plugwarden_collector", "collector", "--json", "--data", str(data), *free]
    environ = {**os.environ, "PLUGWARDEN_AUDIT_KEY_FILE": str(data.parent / "audit.key")}
    with (data.parent / "messages").open("a") as messages:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages, text=True, env=environ)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(
                f"no start, exit code {process.wait()}: {(data.parent / 'messages').read_text('utf-8')[-2000:]}"
            )
        yield process, json.loads(line)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def killed(python: str, built: Path, folder: Path, seconds: float) -> None:
    """Leave in `folder` what a `kill -9` under load leaves of a copy of `built`."""
    data = folder / "data"
    shutil.copytree(built, data)
    with collector(python, data) as (process, ready):
        task = driver.Task("http", ready["http"], seconds + 30, 8, RATE / SPANS, PLUGINS, zipf=True)
        child = driver.start(task)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        child.stdin.write("go\n")
        child.stdin.flush()
        time.sleep(seconds)
        process.kill()
        child.kill()
        child.communicate()


def start(python: str, left: Path, number: int) -> dict[str, float]:
    """Seconds of one start on a fresh copy of the files that were left."""
    requests, base = make_requests(1, lambda place: ("load", name_of(place % PLUGINS + 1), "1.0.0", "op"))
    with tempfile.TemporaryDirectory(dir=left.parent) as scratch:
        shutil.copytree(left, Path(scratch), dirs_exist_ok=True)
        began = time.perf_counter()
        with collector(python, Path(scratch) / "data") as (process, ready):
            found = {"ready": time.perf_counter() - began, "ready_cpu": cpu_seconds(process.pid)}
            body = requests[0].stamp(time.time_ns() - base, number + 1)
            sender = HttpSender(ready["http"])
            while not sender.send("traces", body):
                time.sleep(0.01)
            found["acked"] = time.perf_counter() - began
            Browser(ready["api"]).get("plugins")
            found["pages"] = time.perf_counter() - began
    return found


def imports(python: str) -> float:
    """Seconds that a process takes that only imports."""
    began = time.perf_counter()
    subprocess.run([python, "-c", IMPORTS], check=True)
    return time.perf_counter() - began


def main() -> int:
    """Print medians; with `--other` also how many times as long the other takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path(tempfile.gettempdir()) / "plugwarden-start", help="scratch folder"
    )
    parser.add_argument("--spans", type=int, default=10_000_000)
    parser.add_argument("--cycles", type=int, default=7, help="starts of each collector")
    parser.add_argument("--load-seconds", type=float, default=15.0, help="how long spans arrive before the kill")
    parser.add_argument("--other", help="python of another checkout's environment")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pythons = {"this": sys.executable} | ({"other": options.other} if options.other else {})
    built = options.data / "built"
    # By the older one, where there are two: it does not read what a newer one made, and a newer one brings it up to date.
    build = [list(pythons.values())[-1], "-c", BUILD, str(built), str(options.spans), str(PLUGINS)]
    subprocess.run(build, check=True, cwd=Path(__file__).parent)
    log_bytes = {}
    for name, python in pythons.items():
        left = options.data / name
        shutil.rmtree(left, ignore_errors=True)
        left.mkdir(parents=True)
        killed(python, built, left, options.load_seconds)
        log_bytes[name] = sum(file.stat().st_size for file in (left / "data").glob("*.wal*"))
    starts: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    floors = []
    for number in range(options.cycles):
        floors.append(imports(sys.executable))
        for name, python in pythons.items():
            starts[name].append(start(python, options.data / name, number))
    medians = {
        name: {what: round(statistics.median(one[what] for one in runs), 2) for what in MEASURED}
        for name, runs in starts.items()
    }
    found = {
        "spans": options.spans, "cycles": options.cycles, "log_bytes": log_bytes, "load_average": round(load_average(), 1),
        "imports": round(statistics.median(floors), 2), **medians,
    }  # fmt: skip
    if "other" in medians:
        found["ratio"] = {what: round(medians["other"][what] / medians["this"][what], 2) for what in MEASURED}
    if options.json:
        print(json.dumps(found))
        return 0
    logs = " and ".join(f"{size / 1e6:.0f}" for size in log_bytes.values())
    print(
        f"\n{options.spans:,} spans, logs of {logs} MB, load average {found['load_average']}; "
        f"medians of {options.cycles} starts, in seconds; bare imports {found['imports']}"
    )
    print(f"{'':<8}" + "".join(f"{what.replace('_', ' '):>12}" for what in MEASURED))
    for name in (*medians, *(["ratio"] if "ratio" in found else [])):
        row = found[name]
        print(f"{name:<8}" + "".join(f"{row[what]:>12.2f}" for what in MEASURED))  # type: ignore[index]
    return 0


if __name__ == "__main__":
    sys.exit(main())
