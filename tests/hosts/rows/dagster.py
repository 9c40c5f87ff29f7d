"""Dagster runs a job, in its own process and in one for each step; the ops call a plugin."""

from __future__ import annotations

from tests.hosts.row import Row

__all__ = ["ROW"]

HOST = """
import os, tempfile
from dagster import DagsterInstance, In, Out, execute_job, in_process_executor, job, multiprocess_executor, op, reconstructable
from cleaning import clean

@op
def load():
    return list(range(80))

@op
def tidy(context, numbers):
    return [clean(number) for number in numbers]

@op
def total(numbers):
    return sum(numbers)

@job(executor_def=in_process_executor)
def one_process():
    total(tidy(load()))

@job(executor_def=multiprocess_executor.configured({"max_concurrent": 2}))
def many_processes():
    total(tidy(load()))

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, DagsterInstance.local_temp(folder) as instance:
        done = one_process.execute_in_process(instance=instance)
        print(done.success, done.output_for_node("total"))
        # Its processes write their logs in pieces, which mix.
        quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
        with execute_job(reconstructable(many_processes), instance=instance, run_config=quiet) as done:
            print(done.success, done.output_for_node("total"))
"""
CLEANING = """
from tally import tally

def clean(number):
    tally("clean")
    return number * 2
"""

ROW = Row(
    name="dagster",
    requires=("dagster==1.13.29",),
    packages=("dagster",),
    files={"host.py": HOST, "cleaning.py": CLEANING},
    command=("python", "host.py"),
    plugins=frozenset({"cleaning"}),
    host_file='[[callable]]\ntarget = "cleaning:clean"\n',
    varies=(
        r"\d{4}-\d\d-\d\d [\d:]+ [+-]\d{4}",
        r"[0-9a-f]{8}-[0-9a-f-]{27}",
        r" - \d+ - ",
        r"[\d.]+m?s\b",
        r"pid: \d+",
        r"/tmp/\w+",
    ),
)
