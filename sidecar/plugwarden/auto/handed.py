"""What `run` has read of a host file, handed on to the processes of the host: they need not load a parser of TOML to read it again.

It stands in a variable, with the name, size and time of the file that it was read from: what has been changed since is read anew, by
a process that starts later, as it would be without this.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

__all__ = ["READ_VARIABLE", "hand_on", "handed_on"]

READ_VARIABLE = "PLUGWARDEN_HOST_READ"
"""What stands in the host file, as JSON. `run` sets it; without it the file is read."""
MAX_CHARACTERS = 16 * 1024
"""A longer one is not handed on: Linux gives all variables and arguments of a program 2 MiB, of which a host may need the most."""


def hand_on(file: str, raw: Mapping[str, Any], state: os.stat_result) -> dict[str, str]:
    """The variable that tells what stands in a file, which was so when it was read; none where it cannot be told."""
    try:
        told = json.dumps([file, state.st_size, state.st_mtime_ns, raw])
    except (TypeError, ValueError, RecursionError):
        return {}  # TOML has dates, which JSON has not
    return {READ_VARIABLE: told} if len(told) <= MAX_CHARACTERS else {}


def handed_on(file: str, environ: Mapping[str, str]) -> Mapping[str, Any] | None:
    """What stands in a file, where that was handed on and the file is as it was; None: it has to be read."""
    try:
        name, size, changed_ns, raw = json.loads(environ[READ_VARIABLE])
        state = os.stat(file)  # noqa: PTH116 - a path of pathlib's would load more than is saved
    except (KeyError, ValueError, TypeError, OSError, RecursionError):
        return None
    same = (name, size, changed_ns) == (file, state.st_size, state.st_mtime_ns)
    return raw if same and isinstance(raw, dict) else None
