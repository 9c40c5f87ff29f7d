"""What the sidecar takes from a host that does nothing: CPU of a process that does little, memory and CPU of one that idles.

The fixed cost is the CPU time of whole processes, one for each step more (import, wrap, a call, the end), beside an empty
Python and beside OpenTelemetry's SDK and exporter; all take turns within a round, medians over the rounds. How many
milliseconds that is depends on the machine and on who else uses it; how many times what `opentelemetry-api` alone costs, much
less. The floor is a program without a line of ours: the modules of others that a sidecar stands on, and one request that a thread
sends at the end.

For the idle cost each subject is a process that wraps its operations, calls each once, and then sleeps; CPU is that of the
whole process over the time asleep. A sink in another process takes what is sent.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from load.sink import sink

SECONDS = 20.0
OPERATIONS = (0, 100, 1_000)
MAX_BYTES_PER_OPERATION = 16 * 1024
MAX_IDLE_CPU_RATIO = 0.005
"""Of one core."""
FIXED_ROUNDS = 15
MAX_FIXED_CPU_MS = 50.0
"""Over an empty Python: import, start, one call, the end."""
_WRAPPED = """from plugwarden import Sidecar
call = Sidecar(service="x", endpoint={endpoint!r}).wrap(lambda: None, plugin="p", version="1", operation="x")
"""
_WHOLE = "sidecar: and one call, sent at the end"
_API = "opentelemetry-api alone"
_FLOOR = "the floor: what it stands on, a thread, one request"
_STANDS_ON = """import opentelemetry.context, opentelemetry.trace
import dataclasses, errno, fcntl, gc, json, logging, mmap, pathlib, random, signal, socket, struct, threading, urllib.parse
"""
_POST = """def post():
    to = urllib.parse.urlsplit({endpoint!r})
    with socket.create_connection((to.hostname.encode(), to.port), 5) as held:
        held.sendall(b"POST /v1/metrics HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1000\\r\\n\\r\\n" + bytes(1000))
        held.recv(16384)
sender = threading.Thread(target=post)
sender.start()
sender.join()
"""
_SDK = """from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
"""
FIXED = {
    "empty Python": "",
    _API: "import opentelemetry.context, opentelemetry.trace",
    "and http.client, which a sidecar does not load": "import opentelemetry.context, opentelemetry.trace, http.client",
    _FLOOR: _STANDS_ON + _POST,
    "sidecar: import": "from plugwarden import Sidecar",
    "sidecar: and wrap": _WRAPPED,
    _WHOLE: _WRAPPED + "call()",
    "OpenTelemetry SDK and exporter: import": _SDK,
    "OpenTelemetry SDK: and one span, sent at the end": _SDK
    + """provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter({endpoint!r} + "/v1/traces")))
provider.get_tracer("x").start_span("x").end()
""",
}
"""What it is -> the program."""


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


def fixed_cpu_ms(endpoint: str) -> dict[str, float]:
    """Program -> CPU time of its process (ms), that of an empty Python taken off from all but its own."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times: dict[str, list[float]] = {name: [] for name in FIXED}
    for number in range(FIXED_ROUNDS + 1):
        for name, code in FIXED.items():
            process = subprocess.Popen([sys.executable, "-c", code.format(endpoint=endpoint)], env=environ)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise RuntimeError(f"{name}: the process ended with {process.returncode}")
            if number:  # the first round compiles
                times[name].append((used.ru_utime + used.ru_stime) * 1000)
    medians = {name: statistics.median(values) for name, values in times.items()}
    empty = medians["empty Python"]
    return {name: value if name == "empty Python" else value - empty for name, value in medians.items()}


def main() -> None:
    """Print the table; `--json` for programs."""
    if "--subject" in sys.argv:
        subject(int(sys.argv[2]), sys.argv[3])
        return
    with sink() as endpoint:
        fixed = fixed_cpu_ms(endpoint)
        found: dict[int, dict[str, float]] = {}
        for count in () if "--fixed" in sys.argv else OPERATIONS:
            command = [sys.executable, "-W", "ignore", __file__, "--subject", str(count), endpoint]
            found[count] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    if "--json" in sys.argv:
        print(json.dumps({"fixed_cpu_ms": fixed, "idle": found}))
        return
    print(f"CPU of a whole process, ms over an empty Python, median of {FIXED_ROUNDS}")
    sdk = fixed["OpenTelemetry SDK: and one span, sent at the end"]
    whole, api, floor = fixed[_WHOLE], fixed[_API], fixed[_FLOOR]
    for name, value in fixed.items():
        print(f"{name:<56}{value:>8.1f}{value / sdk:>12.2f} of the SDK's{value / api:>8.2f} of the API's")
    print(f"bound: {MAX_FIXED_CPU_MS:g} ms with one call: {'met' if whole <= MAX_FIXED_CPU_MS else 'MISSED'}")
    print(f"of that, others' modules, a thread and a request: {floor:.1f} ms; ours: {whole - floor:.1f} ms")
    if not found:
        return
    print()
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
