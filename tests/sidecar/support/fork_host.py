"""Forks at random moments, each child calls and sends: `fork_host.py ROUNDS URL SEED`; exits with 1 when one did not."""

import os
import random
import signal
import sys
import time

from plugwarden import Sidecar

rounds, url, seed = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
draw = random.Random(seed)
sidecar = Sidecar(service="x", endpoint=url, export_interval_seconds=0.1)
call = sidecar.wrap(lambda: 1, plugin="p", version="1", operation="x")
hung = 0
for _ in range(rounds):
    call()
    time.sleep(draw.random() * 0.02)
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        call()
        sent = sidecar.flush(15)
        os._exit(0 if sent else 9)
    hung += os.waitpid(pid, 0)[1] != 0
sys.exit(1 if hung else 0)
