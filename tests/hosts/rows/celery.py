"""A Celery worker that forks its processes and replaces them, a broker of files, a client; the worker is ended by SIGTERM."""

from __future__ import annotations

from tests.hosts.row import Row

__all__ = ["ROW"]

JOBS = """
import os
from celery import Celery, signals
from tally import tally

for folder in ("queue", "done", "results"):
    os.makedirs(folder, exist_ok=True)
app = Celery("jobs", broker="filesystem://", backend="file://" + os.path.abspath("results"))
app.conf.update(
    broker_transport_options={"data_folder_in": "queue", "data_folder_out": "queue", "processed_folder": "done"},
    worker_hijack_root_logger=False, broker_connection_retry_on_startup=True,
)

@app.task(name="double")
def double(number):
    tally("double")
    if number % 20 == 3:
        raise ValueError(number)
    return number * 2

@app.task(name="retried", bind=True, max_retries=3)
def retried(self, number):
    tally("retried")
    if self.request.retries < 1:
        raise self.retry(countdown=0)
    return number

if os.environ.get("HOST_OBSERVED"):
    @signals.celeryd_init.connect
    def observe(**_):
        from plugwarden import Sidecar
        from plugwarden.integrations import celery

        celery.instrument(app, Sidecar(), describe=lambda task: None if task.name.startswith("celery.") else ("jobs", "1"))
"""
CLIENT = """
import subprocess, sys
from jobs import double, retried

worker = subprocess.Popen(
    [sys.executable, "-m", "celery", "-A", "jobs", "worker", "--pool", "prefork", "--concurrency", "2", "--max-tasks-per-child", "15",
     "--without-gossip", "--without-mingle", "--without-heartbeat"],
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
results = [double.delay(number) for number in range(100)] + [retried.delay(number) for number in range(10)]
for result in results:
    try:
        print(result.get(timeout=60, interval=0.02))
    except ValueError as error:
        print("failed:", error)
worker.terminate()
print("worker:", worker.wait(60))
"""

ROW = Row(
    name="celery",
    requires=("celery==5.7.0",),
    packages=("celery",),
    files={"jobs.py": JOBS, "client.py": CLIENT},
    command=("python", "client.py"),
    plugins=frozenset({"jobs"}),
)
