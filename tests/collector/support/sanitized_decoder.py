"""Damaged requests at the decoder in C, built with AddressSanitizer and UndefinedBehaviorSanitizer.

Run as a module; it builds the decoder, starts itself again under the sanitizers and says how many requests of each signal went
through. Bodies lie in memory of exactly their length, so that a byte read too far is seen; what is taken is checked by Arrow.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, settings
from plugwarden.contract.histogram import SCALE
from plugwarden_collector.receive.decode import native
from plugwarden_collector.receive.decode.batch import Signal
from plugwarden_collector.receive.decode.instants import MAX_AGE_NS, MAX_AHEAD_NS
from plugwarden_collector.receive.decode.origin import HOT_KEYS, NAME_KEYS
from plugwarden_collector.receive.decode.spans import MAX_DURATION_NS

from tests.share import repetitions

from .otlp_requests import NOW, damaged, full_requests, metric_requests, trace_requests

__all__ = ["build", "environment", "sanitizers"]

SOURCES = Path(native.__file__).parent / "c"
FLAGS = (
    "-O1", "-g", "-shared", "-fPIC", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer",
)  # fmt: skip
EXAMPLES = repetitions(300)
MOST_TOGETHER = 4
MOST_ATTRIBUTES = 64
"""LIMIT_ATTRIBUTES in values.h."""


def sanitizers() -> list[str]:
    """The sanitizers' libraries; none where there is no gcc that has them."""
    gcc = shutil.which("gcc")
    if gcc is None:
        return []
    names = ("libasan.so", "libubsan.so")
    found = [
        subprocess.run([gcc, f"-print-file-name={name}"], capture_output=True, text=True).stdout.strip()
        for name in names
    ]
    return found if all(Path(path).is_file() for path in found) else []


def build(folder: Path) -> Path:
    """The decoder, watched."""
    library = folder / "libotlp.so"
    sources = sorted(map(str, SOURCES.glob("*.c")))
    subprocess.run(["gcc", *FLAGS, "-o", str(library), *sources, "-lm"], check=True)
    return library


def environment() -> dict[str, str]:
    """For a process that loads it. Python's own allocator would hide what happens between its objects."""
    return os.environ | {
        "LD_PRELOAD": " ".join(sanitizers()),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "PYTHONMALLOC": "malloc",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }


def _examples(signal: Signal, count: int, *, sound: bool = True) -> list[bytes]:
    """Requests that are well formed; those of metrics whose numbers are not `sound` are left to the general way."""
    found: list[bytes] = []
    requests = trace_requests() if signal is Signal.TRACES else metric_requests(sound=sound)

    @given(requests)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def collect(message: Any) -> None:
        found.append(message.SerializeToString())

    collect()
    # Lists that one more attribute makes too long, often enough for damage to find them.
    return found + 5 * full_requests(MOST_ATTRIBUTES)[signal is Signal.METRICS]


class _Watched:
    """The decoder, called as native.py does."""

    def __init__(self, library: Path) -> None:
        native.LIBRARY = library
        self._library = native._library()
        self._libc = ctypes.CDLL(None)
        self._libc.malloc.restype = ctypes.c_void_p
        self._libc.malloc.argtypes = [ctypes.c_size_t]
        self._libc.free.argtypes = [ctypes.c_void_p]
        self._limits = native.Limits(NOW, NOW + MAX_AHEAD_NS, NOW - MAX_AGE_NS, MAX_DURATION_NS, SCALE)

    def take(self, signal: Signal, bodies: list[bytes]) -> bool:
        """Whether it took them."""
        places = [self._libc.malloc(len(body)) for body in bodies]
        try:
            for place, body in zip(places, bodies, strict=True):
                ctypes.memmove(place, body, len(body))
            return self._decode(signal, places, [len(body) for body in bodies])
        finally:
            for place in places:
                self._libc.free(place)

    def _decode(self, signal: Signal, places: list[int], sizes: list[int]) -> bool:
        keys, many = (
            native._asked(
                signal,
                (*HOT_KEYS, "plugin.id"),
                ("gen_ai.tool.name", "tenant.id"),
                frozenset({*NAME_KEYS, "plugin.id", "gen_ai.tool.name"}),
            ),
            len(places),
        )
        arrays = [ctypes.create_string_buffer(80) for _ in range(2)]
        counts = (ctypes.c_int64 * (3 * many))()
        if (
            self._library.plugwarden_decode(
                signal is Signal.METRICS, (ctypes.c_void_p * many)(*places), (ctypes.c_int64 * many)(*sizes), many, keys.text,
                keys.lengths, keys.marks, len(keys.names), ctypes.byref(self._limits), counts, *arrays,
            )
            < 0
        ):  # fmt: skip
            return False
        rows = pa.RecordBatch._import_from_c(ctypes.addressof(arrays[0]), keys.schema)
        groups = pa.RecordBatch._import_from_c(ctypes.addressof(arrays[1]), native._GROUPS)
        for batch in (rows, groups):
            batch.validate(full=True)
        if len(rows) != sum(counts[0::3]) or len(groups) != sum(counts[1::3]):
            raise SystemExit("the counts are not those of the rows")
        return True


def run(library: Path, inputs: int, seed: int) -> None:
    """Send them all; a sanitizer ends the process at the first thing it sees."""
    watched, chance = _Watched(library), random.Random(seed)
    for signal in (Signal.TRACES, Signal.METRICS):
        examples, sent, taken = _examples(signal, EXAMPLES), 0, 0
        if not all(watched.take(signal, [example]) for example in examples):
            raise SystemExit("what is well formed was not taken")
        if signal is Signal.METRICS:
            examples += _examples(signal, EXAMPLES, sound=False)
        while sent < inputs:
            bodies = [
                damaged(chance, chance.choice(examples), chance.choice(examples))
                for _ in range(chance.randint(1, MOST_TOGETHER) if chance.random() < 0.2 else 1)
            ]
            taken += watched.take(signal, bodies)
            sent += len(bodies)
        print(signal.value, sent, taken, flush=True)


def main() -> None:
    """Build, start again under the sanitizers, and run there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=200_000, help="damaged requests of each signal")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--library", type=Path, help="what was built; used by itself")
    options = parser.parse_args()
    if options.library is not None:
        run(options.library, options.inputs, options.seed)
        return
    with tempfile.TemporaryDirectory() as folder:
        again = ["--inputs", str(options.inputs), "--seed", str(options.seed), "--library", str(build(Path(folder)))]
        command = [sys.executable, "-m", "tests.collector.support.sanitized_decoder", *again]
        raise SystemExit(subprocess.run(command, env=environment()).returncode)


if __name__ == "__main__":
    main()
