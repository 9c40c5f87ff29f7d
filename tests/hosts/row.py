"""One host: its packages, its files, what starts it, and which of its calls are counted by itself."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["OUR_FRAMES", "TALLY", "Row", "distribution"]

OUR_FRAMES = r'  File ".*/plugwarden/.*\n(?:    .*\n)+'
"""Of a traceback that the host prints: we are in it, as any decorator is."""
TALLY = '''\
"""Counts calls without us: a line in a file for each, which a kill does not reach."""
import os

def tally(operation):
    out = os.open(os.environ["HOST_TALLY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(out, operation.encode() + b"\\n")
    os.close(out)
'''
"""The module `tally`, which the plugins of each host import."""


@dataclass(frozen=True)
class Row:
    """A host as a user has it, with plugins that note each call of theirs in a file of their own."""

    name: str
    requires: tuple[str, ...]
    """Pinned packages; the first is the host's. None: it needs Python alone."""
    files: Mapping[str, str]
    """Path -> text, of the folder it runs in."""
    command: tuple[str, ...]
    """`python` is its environment's; `{port}` a free port."""
    plugins: frozenset[str]
    """Ids of the plugins that note their calls with `tally`, by the operation's name."""
    host_file: str = ""
    """What `plugwarden run` is given, or empty: its own code observes when HOST_OBSERVED is set."""
    requests: tuple[str, ...] = ()
    """Of a server: the paths asked for, by several clients at once."""
    stop: int = signal.SIGTERM
    """Of a server: the signal that ends it."""
    varies: tuple[str, ...] = ()
    """Patterns of what differs between two runs of the host alone; cut from its output."""
    made: str = ""
    """A folder that it writes to, whose files have to be the same."""
    packages: tuple[str, ...] = field(default=())
    """What else its environment has to have, as modules; for whether it can run in another's environment."""

    @property
    def serves(self) -> bool:
        """Whether it is a server, which is asked and then told to end."""
        return bool(self.requests)

    def without_what_varies(self, text: str) -> str:
        """A text of the host's, comparable between runs."""
        for pattern in self.varies:
            text = re.sub(pattern, "", text)
        return text


def distribution(name: str, version: str, group: str, points: str) -> dict[str, str]:
    """The files of an installed distribution with entry points, for a folder on the path."""
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    return {
        f"{folder}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{folder}/entry_points.txt": f"[{group}]\n{points}\n",
    }
