"""A host on gevent, everything patched: greenlets run plugins side by side, and some are killed."""

from __future__ import annotations

from tests.hosts.row import OUR_FRAMES, Row

__all__ = ["ROW"]

HOST = """
from gevent import monkey
monkey.patch_all()
import threading, time
import gevent
from gevent.pool import Pool
from sources import fetch

print(sum(Pool(20).imap_unordered(fetch, range(300))))
slow = gevent.spawn(fetch, -1)
gevent.sleep(0.05)
slow.kill()
print("killed", isinstance(slow.value, gevent.GreenletExit))
failing = gevent.spawn(fetch, 1000)
failing.join()
print("failed", failing.exception)
try:
    with gevent.Timeout(0.05):
        fetch(-1)
except gevent.Timeout as timeout:
    print("timeout", timeout)
results = []
threads = [threading.Thread(target=lambda n=n: results.append(fetch(n))) for n in range(50)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(results))
"""
SOURCES = """
import sys, time
from tally import tally

def fetch(number):
    tally("fetch")
    if number == 1000:
        raise ValueError(number)
    time.sleep(60 if number < 0 else 0.001)
    return number
"""

ROW = Row(
    name="gevent",
    requires=("gevent==26.9.0",),
    packages=("gevent",),
    files={"host.py": HOST, "sources.py": SOURCES},
    command=("python", "host.py"),
    plugins=frozenset({"sources"}),
    host_file='[[callable]]\ntarget = "sources:fetch"\n',
    varies=(r"<Greenlet at 0x[0-9a-f]+", OUR_FRAMES, r"\d{4}-\d\d-\d\dT[\d:]+Z"),
)
