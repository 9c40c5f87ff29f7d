"""A host whose children are killed at random moments: `python -m tests.sidecar.support.kill_host URL KILLS SEED [STATE_DIR]`.

Prints {"made", "in_flight", "flushed"}: calls that had returned when their process was killed, how many more may have ended
without having returned (one a thread at most), and what `flush` of the process that inherits said.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from plugwarden import Sidecar

THREADS = 2


def work(number: int) -> int:
    """Fails for one in seven."""
    if number % 7 == 0:
        raise ValueError("no")
    return number


def make_calls(sidecar: Sidecar, returned: memoryview, thread: int) -> None:
    """Calls until the end, some of them for a tenant, in bursts; every one that returned is counted where a kill does not reach."""
    operations = [
        sidecar.wrap(work, plugin="p", version="1", operation=f"x{number}", breaker=False) for number in (1, 2)
    ]
    number = 0
    while True:
        number += 1
        try:
            if number % 5:
                operations[number % 2](number)
            else:
                with sidecar.tenant(f"t{number % 3}"):
                    operations[number % 2](number)
        except ValueError:
            pass
        returned[thread] += 1
        if number % 700 == 0:
            time.sleep(0.005)


def main(url: str, kills: int, seed: int, state_dir: Path | None) -> None:
    """Fork, let run, kill; the last process sends what is left."""
    chance = random.Random(seed)
    sidecar = Sidecar(service="kill", endpoint=url, state_dir=state_dir, export_interval_seconds=0.1)
    made = 0
    for _ in range(kills):
        returned = memoryview(mmap.mmap(-1, 8 * THREADS)).cast("Q")
        child = os.fork()
        if child == 0:
            for thread in range(1, THREADS):
                threading.Thread(target=make_calls, args=(sidecar, returned, thread), daemon=True).start()
            make_calls(sidecar, returned, 0)
        time.sleep(chance.uniform(0.0, 0.4))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        made += sum(returned)
    flushed = sidecar.flush(30)
    print(json.dumps({"made": made, "in_flight": kills * THREADS, "flushed": flushed}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]) if len(sys.argv) > 4 else None)
