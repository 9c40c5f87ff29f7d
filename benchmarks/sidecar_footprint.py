"""What the sidecar takes from a host that does nothing: memory and CPU of 1,000 wrapped operations, and of none.

Each subject is a process of its own that wraps its operations, calls each once, and then sleeps; a sink in another
process takes what it sends. CPU is that of the whole process over the time asleep.
"""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

SECONDS = 20.0
OPERATIONS = (0, 100, 1_000)
MAX_BYTES_PER_OPERATION = 16 * 1024
MAX_IDLE_CPU_RATIO = 0.005
"""Of one core."""


class Sink(http.server.BaseHTTPRequestHandler):
    """Takes any OTLP request."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def resident_bytes() -> int:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def subject(count: int, endpoint: str) -> None:
    """In a process of its own: wrap, call, sleep, tell."""
    from plugwarden import Sidecar

    sidecar = Sidecar(service="idle", endpoint=endpoint)
    sidecar.wrap(lambda: None, plugin="first", version="1", operation="x")()
    sidecar.flush(30)  # everything is loaded
    before = resident_bytes()
    calls = [
        sidecar.wrap(lambda: None, plugin=f"plugin-{n // 5}", version="1", operation=f"operation-{n}", bulkhead=25)
        for n in range(count)
    ]
    for call in calls:
        call()
    sidecar.flush(30)
    time.sleep(6)  # one whole interval, so that what an export allocates is in it
    held = resident_bytes() - before
    cpu, began = time.process_time(), time.monotonic()
    time.sleep(SECONDS)
    ratio = (time.process_time() - cpu) / (time.monotonic() - began)
    print(json.dumps({"bytes": held, "idle_cpu_ratio": ratio}), flush=True)
    os._exit(0)


def main() -> None:
    """Print the table; `--json` for programs."""
    if "--subject" in sys.argv:
        subject(int(sys.argv[2]), sys.argv[3])
        return
    sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    sink.daemon_threads = True
    threading.Thread(target=sink.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{sink.server_port}"
    found: dict[int, dict[str, float]] = {}
    for count in OPERATIONS:
        command = [sys.executable, "-W", "ignore", __file__, "--subject", str(count), endpoint]
        found[count] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    sink.shutdown()
    if "--json" in sys.argv:
        print(json.dumps(found))
        return
    print(f"{'operations':>12}{'memory':>12}{'each':>12}{'idle CPU, share of a core':>28}")
    for count, told in found.items():
        each = f"{told['bytes'] / count / 1024:.1f} KiB" if count else ""
        print(f"{count:>12}{told['bytes'] / 2**20:>8.1f} MiB{each:>12}{told['idle_cpu_ratio']:>28.2%}")
    most = found[OPERATIONS[-1]]
    met = most["bytes"] / OPERATIONS[-1] <= MAX_BYTES_PER_OPERATION and most["idle_cpu_ratio"] <= MAX_IDLE_CPU_RATIO
    print(
        f"bound: {MAX_BYTES_PER_OPERATION // 1024} KiB each, {MAX_IDLE_CPU_RATIO:.1%} of a core idle: {'met' if met else 'MISSED'}"
    )


if __name__ == "__main__":
    main()
