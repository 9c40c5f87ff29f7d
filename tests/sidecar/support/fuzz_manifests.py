"""Manifests as a plugin's author might write them, by mistake or not; for tests/sidecar/test_manifest.py and benchmarks/fuzz.py."""

from __future__ import annotations

import time
from random import Random

from plugwarden import ConfigurationError, Grants, Sidecar
from plugwarden.declared_plugin import DeclaredPlugin
from plugwarden.manifest import Manifest

__all__ = ["attempt", "manifest_bytes"]

MAX_MS = 50.0
"""Of CPU, for one manifest; the largest that is read has 12 KiB."""
_GRANTS = Grants(
    read=("/srv",),
    environment=("REGION",),
    network=True,
    downstream_errors=(ConnectionError,),
    caller_errors=(KeyError,),
)
_PARTS = (
    '[plugin]\nid = "geo"\nversion = "1"\n', 'owner = "team"\n', 'criticality = "high"\n', 'criticality = "security"\n',
    '[downstreams]\napi = ["ConnectionError"]\n', 'other = ["builtins.Exception"]\n', 'third = ["this.s", "antigravity.x"]\n',
    '[touches]\nread = ["/srv/x"]\nnetwork = true\n', 'environment = ["REGION"]\n', 'environment = ["PLUGWARDEN_TOKEN"]\n',
    'write = ["/"]\n', "processes = 9\n", '[operations.work]\nrunner = "process"\n', "timeout = 2.0\n", "timeout = inf\n",
    "timeout = nan\n", "workers = 3\n", "bulkhead = { concurrent = 8, queue = 2 }\n", "rate = 100\n", "breaker = false\n",
    "breaker = { failure_rate = 0.3 }\n", 'fallback = [{ last_good_seconds = 300 }, { value = "" }]\n', 'caller_errors = ["KeyError"]\n',
    'objective = { availability = 0.999, latency_seconds = 0.5 }\n', "concurrency = 4\n", "quota = { output_bytes = 5 }\n",
    "[operations.other]\n", 'runner = "thread"\n', '[operations."\\u0000"]\n',
)  # fmt: skip
_VALUES = (
    "1e999", "-1", "9" * 4400, "[]", "{}", '""', '"\\u0000"', '"' + "x" * 300 + '"', "[" * 200 + "]" * 200, "true", "nan",
    "1979-05-27T07:32:00Z", "0x7fffffffffffffffff", "{ a = { b = { c = 1 } } }", '["os.system"]', '["__main__.__builtins__"]',
)  # fmt: skip
_sidecar = Sidecar(service="fuzz", export_interval_seconds=300)


def attempt(data: bytes) -> str:
    """`declared` or `refused`; anything else is a finding: an exception of another kind, or how long it took."""
    took_ms = MAX_MS + 1
    for _ in range(3):  # a pause of the machine's does not come three times
        if took_ms <= MAX_MS:
            break
        began = time.thread_time()
        try:
            DeclaredPlugin(_sidecar, Manifest.parse(data), _GRANTS)
            told = "declared"
        except ConfigurationError as error:
            told = "refused" if len(str(error)) < 2_000 else "a message of more than 2,000 characters"
        except BaseException as error:  # it is what is looked for
            return f"raised {type(error).__name__}"
        took_ms = (time.thread_time() - began) * 1000
    return told if took_ms <= MAX_MS else f"took {took_ms:.0f} ms"


def manifest_bytes(random: Random) -> bytes:
    """One manifest: parts of a good one, values that are none, bytes that were damaged, or much of something."""
    how = random.randrange(100)
    if how == 0:
        return (random.choice(("a.", "[a", "{a=", '"', "[[x]]\n", "[a.b]\n", "a=1\n", "#\n", "'''")) * 65_000)[
            :65_000
        ].encode()
    if how == 1:
        return random.randbytes(random.randrange(200))
    share = random.choice((0.03, 0.06, 0.35))
    parts = [part for part in _PARTS if random.random() < share]
    if how < 90:
        parts = [_PARTS[0], *[part for part in parts if part is not _PARTS[0]], "[operations.last]\n"]
    lines = "".join(parts).splitlines(keepends=True)
    if how % 3 == 0:
        at = random.randrange(len(lines)) if lines else 0
        for line in lines[at : at + 1]:
            lines[at] = line.partition("=")[0] + "= " + random.choice(_VALUES) + "\n"
    data = bytearray("".join(lines).encode())
    if how % 5 == 0:
        for _ in range(random.randrange(1, 4)):
            data[(at := random.randrange(len(data) + 1)) : at + random.randrange(4)] = random.randbytes(
                random.randrange(3)
            )
    return bytes(data)
