"""Pools of processes of the standard library: forked and spawned, left by `with` (which terminates them), closed, an executor."""

from __future__ import annotations

from tests.hosts.row import Row

__all__ = ["ROW"]

HOST = """
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor
from steps import square

def main():
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            print(method, sum(pool.map(square, range(500))))
        pool = context.Pool(2)
        print(method, sum(pool.imap_unordered(square, range(300), 10)))
        pool.close()
        pool.join()
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            print(method, sum(executor.map(square, range(100))))
    child = context.Process(target=square, args=(3,))
    child.start()
    child.join()
    print(child.exitcode)

if __name__ == "__main__":
    main()
"""
STEPS = """
from tally import tally

def square(number):
    tally("square")
    return number * number
"""

ROW = Row(
    name="multiprocessing",
    requires=(),
    files={"host.py": HOST, "steps.py": STEPS},
    command=("python", "host.py"),
    plugins=frozenset({"steps"}),
    host_file='[[callable]]\ntarget = "steps:square"\n',
)
