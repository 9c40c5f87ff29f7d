"""A host process whose plugins fail when they are told to: calls all of them all the time, and tells when one first failed, and when a
call of it was first refused for a quarantine. Started by `isolation_speed.py`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from plugwarden import CallNotPermitted, PluginQuarantined, Sidecar


def main() -> None:
    """Run until standard input ends. Arguments: folder of the flags, plugins, calls a second of each."""
    flags, plugins, rate = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    sidecar = Sidecar(service="flipping-host")
    failing: set[str] = set()
    told: set[tuple[str, str]] = set()

    def say(plugin: str, what: str) -> None:
        if (plugin, what) not in told:
            told.add((plugin, what))
            print(json.dumps({"plugin": plugin, "what": what, "at": time.time()}), flush=True)

    def made(name: str):  # type: ignore[no-untyped-def]
        @sidecar.plugin(name, version="1", operation="run")
        def run() -> None:
            if name in failing:
                say(name, "failed")
                raise ValueError("told to")

        return run

    calls = {f"p{number}": made(f"p{number}") for number in range(plugins)}
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    while not stop.is_set():
        began = time.monotonic()
        failing.update(entry.name for entry in flags.iterdir())
        for name, call in calls.items():
            try:
                call()
            except PluginQuarantined:
                say(name, "refused")
            except CallNotPermitted:
                say(name, "breaker")
            except ValueError:
                pass
        stop.wait(max(0.0, 1.0 / rate - (time.monotonic() - began)))
    sidecar.close(timeout=5)


if __name__ == "__main__":
    main()
