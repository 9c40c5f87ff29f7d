"""A host that makes its calls in a pool of processes: `python -m tests.sidecar.support.pool_host URL fork|spawn`."""

from __future__ import annotations

import multiprocessing
import os
import sys
from typing import Any

from plugwarden import Sidecar

_made: list[Any] = []


def call(arguments: tuple[str, int]) -> int:
    """One call in a process of the pool; the sidecar is made by the first."""
    url, number = arguments
    if not _made:
        sidecar = Sidecar(service="pool", endpoint=url)
        _made.extend([sidecar, sidecar.wrap(os.getpid, plugin="a", version="1", operation="x")])
    sidecar, wrapped = _made
    wrapped()
    assert sidecar.flush(10)
    return number


if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
        assert sum(pool.map(call, [(sys.argv[1], number) for number in range(20)])) == 190
