"""Receivers that fail, hang, drip and vanish, and `kill -9` of the collector meanwhile: is everybody told of everything?

A real collector process is killed at random moments while quarantines begin and end, of which a webhook, Slack's API and a mail server
must be told. In the end all are well. Then every quarantine that is in the store was told to each receiver, with its end; nothing was
told more often than attempts without a known result explain; and every request that a receiver heard is in the log of attempts. What is
owed after all is named, with when it is tried next.

With `--gone MINUTES` the kills are spread over that time, and the webhook does not answer once within it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
from plugwarden_collector.api.client import CollectorClient
from plugwarden_collector.command.processes import collector_command
from plugwarden_collector.errors import CollectorError

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.collector.support.mail_server import HANGS, LATER, MailServer
from tests.collector.support.mail_server import TAKES as MAIL_TAKES
from tests.collector.support.moody_hook import AWAY, MOODS, TAKES, MoodyHook

UP_SECONDS = (0.05, 2.5)
"""How long a collector lives, once it is ready, before it is killed."""
CATCH_UP_SECONDS = 90.0
"""Longer than the longest pause between two attempts at a receiver that is away."""
RULES = """
[[slo]]
name = "availability"
objective = 0.99
period = "6h"
[policy]
enforcement = "observe"
"""
LOG = "select id, receiver, fingerprint, status, body ->> '$.status' as told from notifications"
UNTOLD = "select count(*) from tellings where fingerprint = 'c-receiver_untold'"
"""That a receiver took nothing is told like anything else, and so is its end, some seconds after the receiver took the last."""


class Process:
    """The collector, started again and again on the same folder."""

    def __init__(self, folder: Path) -> None:
        free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
        self._command = collector_command("--data", str(folder / "data"), "--rules", str(folder / "rules.toml"), *free)
        self._environ = {**os.environ, "PLUGWARDEN_AUDIT_KEY_FILE": str(folder / "key/audit.key")}
        self._errors = (folder / "errors").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> CollectorClient:
        """Start it, and return a client of it."""
        process = subprocess.Popen(self._command, env=self._environ, stdout=subprocess.PIPE, stderr=self._errors)
        self._process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the collector did not start"
        return CollectorClient(f"http://{json.loads(line)['api']}")

    def kill(self) -> None:
        """`kill -9`."""
        if self._process is not None and self._process.stdout is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
        self._process = None

    def close(self) -> None:
        """Kill it for good."""
        self.kill()
        self._errors.close()


def act(api: CollectorClient, chance: random.Random, number: int, held: list[str]) -> None:
    """Isolate a plugin, or release one; the answer may not come any more."""
    with contextlib.suppress(CollectorError, httpx2.HTTPError, OSError):
        if held and chance.random() < 0.4:
            api.post(f"quarantine/{held.pop(chance.randrange(len(held)))}/release", {"reason": "enough"})
        else:
            held.append(api.post("quarantine", {"force": True, "plugin": f"p{number}", "reason": "a test"})["id"])


def run(folder: Path, kills: int, seed: int, gone_minutes: float) -> dict[str, Any]:
    """Return what was found: counts, each of which but the first few must be 0."""
    mean_up = sum(UP_SECONDS) / 2
    slower = max(1.0, gone_minutes * 60 / (kills * mean_up))
    chance, number, held = random.Random(seed), 0, list[str]()
    hooks = {"webhook": MoodyHook(seed), "slack": MoodyHook(seed + 1)}
    mail = MailServer()
    (folder / "rules.toml").write_text(
        RULES
        + "".join(
            f'[[receiver]]\nname = "{kind}"\nkind = "{kind}"\nurl = "{hook.url}"\n' for kind, hook in hooks.items()
        )
        + f'[[receiver]]\nname = "mail"\nkind = "email"\nsmarthost = "127.0.0.1:{mail.port}"\ntls = "none"\n'
        + 'from = "plugwarden@example.net"\nto = "ann@example.net"\n'
    )
    process = Process(folder)
    try:
        for _ in range(kills):
            for hook in hooks.values():
                hook.moods = (AWAY,) if chance.random() < 0.3 else MOODS
            if gone_minutes:
                hooks["webhook"].moods = (AWAY,)
            mail.mood = chance.choice((MAIL_TAKES, LATER, HANGS))
            api = process.start()
            end = time.monotonic() + slower * chance.uniform(*UP_SECONDS)
            while time.monotonic() < end:
                act(api, chance, number, held)
                number += 1
                time.sleep(slower * chance.uniform(0.0, 0.3))
            process.kill()
            api.close()
        for hook in hooks.values():
            hook.moods = (TAKES,)
        mail.mood = MAIL_TAKES
        api = process.start()
        until = time.monotonic() + CATCH_UP_SECONDS
        while (owed := still_owed(api)) and time.monotonic() < until:
            time.sleep(0.2)
        quarantines = api.query("select id, ended_at is not null as ended from quarantines").to_pylist()
        log = api.query(LOG).to_pylist()
        api.close()
    finally:
        process.close()
        for hook in hooks.values():
            hook.stop()
        mail.stop()
    assert "Traceback" not in (folder / "errors").read_text()
    found: Counter[str] = Counter()
    heard = {name: [(item.attempt, item.taken) for item in hook.heard] for name, hook in hooks.items()}
    heard["mail"] = [(item["Plugwarden-Attempt"], True) for item in mail.taken]
    for name, attempts in heard.items():
        found += judged(quarantines, [row for row in log if row["receiver"] == name], attempts)
    results = dict(Counter(row["status"] for row in log))
    return {
        "kills": kills, "quarantines": len(quarantines), "attempts": len(log), "results": results, "still owed": len(owed),
        **{name: found[name] for name in ("untold", "told too often", "not in the log")},
        "owed": owed,
    }  # fmt: skip


def still_owed(api: CollectorClient) -> list[str]:
    """Return what receivers are owed, in a line each, and that they are to be told that nothing is untold any more."""
    owed = [
        f"{item['receiver']} of {item['fingerprint']}: {item['status']} since {item['since']}, tried {item['attempts']} times, "
        f"next at {item['next_attempt_at'] or 'once'}"
        for item in api.get("notifications", limit=1)["owed"]
    ]
    open_still = api.query(UNTOLD).column(0)[0].as_py()
    return owed or ["nobody, but receiver_untold lasts"] * bool(open_still)


def judged(quarantines: list[dict[str, Any]], log: list[dict[str, Any]], heard: list[tuple[str, bool]]) -> Counter[str]:
    """Return what is wrong with what one receiver heard: attempts, and whether it took them."""
    found: Counter[str] = Counter()
    rows = {row["id"]: row for row in log}
    found["not in the log"] += sum(attempt not in rows for attempt, _ in heard)
    took = [rows[attempt] for attempt, taken in heard if taken and attempt in rows]
    told = Counter((row["fingerprint"], row["told"]) for row in took)
    sent = Counter((row["fingerprint"], row["told"]) for row in log if row["status"] == "sent")
    unknown = Counter((row["fingerprint"], row["told"]) for row in log if row["status"] != "sent")
    for item in quarantines:
        for status in ["firing", "resolved"] if item["ended"] else ["firing"]:
            found["untold"] += told[item["id"], status] == 0
            # A kill between the answer and its record, or an answer that came too late: then it is told again.
            found["told too often"] += (
                sent[item["id"], status] > 1 or told[item["id"], status] > 1 + unknown[item["id"], status]
            )
    return found


def main() -> int:
    """Print what was found; 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=20261128)
    parser.add_argument("--gone", type=float, default=0.0, metavar="MINUTES", help="for how long one receiver is away")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), given.kills, given.seed, given.gone)
    if given.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:>16}: {value}")
    return int(any(found[name] for name in ("still owed", "untold", "told too often", "not in the log")))


if __name__ == "__main__":
    sys.exit(main())
