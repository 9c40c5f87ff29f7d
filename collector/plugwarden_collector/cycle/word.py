"""On whose word a scope is blamed: of one process, of many, or of a plugin that nobody named until just now. Pure."""

from __future__ import annotations

from datetime import timedelta

from plugwarden.contract import Scope

from plugwarden_collector.decide.word import Word
from plugwarden_collector.judge.causes import Fault

from .tick import Tick
from .trouble import Trouble

__all__ = ["YOUNG", "word_of"]

YOUNG = timedelta(minutes=10)
"""A plugin that was named first within this time has no past: it takes the hours from ten minutes ago on (`control.observe`)."""


def word_of(tick: Tick, trouble: Trouble, fault: Fault, scope: Scope) -> Word:
    """Return on whose word a scope of a fault is to blame.

    Who alone saw it fail speaks alone, and so does who alone is isolated, whoever else saw the rest. A fault of several processes that is
    told to each of them is what all of them say.
    """
    process = scope.instance if fault.scope.instance is not None or len(fault.instances) < 2 else None
    if process is None and len(fault.instances) == 1:
        (process,) = fault.instances
    if process is None:
        return Word(young=_is_young(tick, scope.plugin))
    calling = {cell.instance for cell in trouble.before if cell.plugin == scope.plugin}
    calling |= {sample.instance for sample in trouble.samples if sample.plugin == scope.plugin}
    return Word(process, own=calling <= {process})


def _is_young(tick: Tick, plugin: str) -> bool:
    first = min((at for (name, _), at in tick.standing.versions.items() if name == plugin), default=None)
    return first is None or tick.at - first < YOUNG
