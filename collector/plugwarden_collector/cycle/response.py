"""What a tick does about trouble and about what is isolated: a function of what was found, where things stand and what it asks further.

Live, in a backtest, and when an entry of the decision log is replayed, this is what decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from .causes import find_causes
from .findings import Finding, findings_of
from .newcomers import admit_newcomers
from .quarantines import advance, take_back, take_out
from .tick import Tick
from .trouble import Trouble

__all__ = ["respond"]


def respond(tick: Tick, troubles: Sequence[Trouble]) -> list[Finding]:
    """Open and end incidents, take back, isolate, bring quarantines forward, admit newcomers. Return what was found to be to blame."""
    excuses = find_causes(tick, list(troubles))
    take_back(tick, excuses)
    findings = findings_of(tick, troubles, excuses)
    take_out(tick, findings)
    advance(tick)
    admit_newcomers(tick)
    return findings
