"""Where a process keeps what it counted, so that a kill does not reach it, and whose leavings it looks after."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from plugwarden.invocation import Invocation
from plugwarden.settings import Settings

from .aggregate import MetricBatch
from .estate import Estate, family_folder, identity_of_process, spawned_by, state_folder, sweep
from .journal import Journal, describe
from .region import SIZE, Region

__all__ = ["make_estate", "make_journal"]

MAX_RELATIVES = 64
"""Files of calls that the processes of one family may have; one that comes after them counts in memory alone."""


def make_journal(
    settings: Settings,
    ancestor: str | None,
    *,
    make_room: Callable[[], None],
    spare: Callable[[Invocation], None],
) -> Journal | None:
    """A journal, where there is a place for it and an heir; else None. `ancestor`: as for `make_estate`.

    Raises whatever the disk does.
    """
    if not _sends_bytes(settings):
        return None
    folder = state_folder(settings)
    at_most = settings.spool_bytes // SIZE
    if folder is None:
        ancestor = ancestor or spawned_by()
        if ancestor is None:
            return None
        folder, at_most = family_folder(settings, ancestor), MAX_RELATIVES
        sweep(folder)
    return Journal(Region.create(folder, at_most), describe(settings), make_room=make_room, spare=spare)


def make_estate(
    settings: Settings,
    ancestor: str | None,
    encode: Callable[[MetricBatch, Mapping[str, Any]], bytes],
    count_drop: Callable[[str, str, int], None],
) -> Estate | None:
    """Where this process's children, or those before it, leave what they counted; None: nowhere.

    `ancestor`: in a forked child, the process that looks after what its family leaves.
    """
    if settings.disabled or not _sends_bytes(settings):
        return None
    folder = state_folder(settings)
    if folder is None:
        ancestor = ancestor or spawned_by() or identity_of_process(os.getpid())
        if ancestor is None:
            return None
        folder = family_folder(settings, ancestor)
    return Estate(folder, encode, count_drop)


def _sends_bytes(settings: Settings) -> bool:
    """Bytes can wait on disk; a host's own exporters are given objects."""
    return settings.span_exporter is None and settings.metric_exporter is None and settings.log_exporter is None
