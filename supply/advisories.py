"""Known faults of the packages in the lock, as pip-audit finds them.

Without a source that knows them it says so in one line, and that is no failure.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from supply.lock import LOCK

__all__ = ["BrokenError", "ask", "judged"]

ANSWER_SECONDS = 5
"""For one question to the source."""
ALL_SECONDS = 120
"""For all of them: CI does not wait longer for a source that is slow."""
COMMAND = (
    sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--require-hashes", "--disable-pip", "--format", "json",
    "--progress-spinner", "off", "--timeout", str(ANSWER_SECONDS),
)  # fmt: skip


_NO_SOURCE = re.compile(
    r"requests\.exceptions\.|urllib3\.exceptions\.|ServiceError|could not connect|not redirecting", re.IGNORECASE
)
"""In the last line of what pip-audit says when it does not reach whoever knows."""


class BrokenError(Exception):
    """The question could not be put: that is a fault of ours, and no lack of a source."""


def ask(command: Sequence[str] = COMMAND, seconds: float = ALL_SECONDS) -> Mapping[str, Any] | str:
    """What is known of the locked packages; a text where there is no source to ask. Raises `BrokenError`."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {seconds:g} s"
    try:
        found = json.loads(done.stdout)
    except ValueError:
        why = (done.stderr.strip().splitlines() or ["no answer"])[-1][:200]
        if _NO_SOURCE.search(why):
            return why
        raise BrokenError(why) from None
    if not isinstance(found, dict) or not found.get("dependencies"):
        raise BrokenError("an answer without packages")
    return found


def judged(found: Mapping[str, Any] | str) -> tuple[int, list[str]]:
    """Exit status, and what to say: 1 where a locked package has a known fault."""
    if isinstance(found, str):
        return 0, [f"advisories: no source, skipped ({found})"]
    packages = found.get("dependencies", [])
    known = [item for item in packages if "skip_reason" not in item]
    if not known:
        return 0, [f"advisories: no source, skipped (it knows none of {len(packages)} packages)"]
    lines = [
        f"{item['name']} {item['version']}: {fault['id']}, mended in {', '.join(fault.get('fix_versions') or ['no version yet'])}"
        for item in known
        for fault in item.get("vulns", [])
    ]
    missed = f", {len(packages) - len(known)} are not known there" if len(known) < len(packages) else ""
    return int(bool(lines)), [*lines, f"advisories: {len(lines)} for {len(known)} packages{missed}"]


def main() -> None:
    """Ask, say, and end with 1 where something is known."""
    try:
        status, lines = judged(ask())
    except BrokenError as error:
        status, lines = 1, [f"advisories: could not be asked for: {error}"]
    print("\n".join(lines))
    raise SystemExit(status)


if __name__ == "__main__":
    main()
