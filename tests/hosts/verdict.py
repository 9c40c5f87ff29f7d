"""What the runs of a host say when they are laid side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.hosts.trial import Trial

__all__ = ["Verdict", "judge"]


@dataclass(frozen=True)
class Verdict:
    """One line of the table."""

    differences: tuple[str, ...]
    """What of the host was otherwise with us than without."""
    miscounts: tuple[str, ...]
    """Operations whose calls were not counted as its plugins counted them."""
    calls: int
    """Made by the plugins in one run, by their own count."""
    cpu_without_seconds: float
    cpu_with_seconds: float
    """Medians, of the whole process tree."""

    @property
    def same(self) -> bool:
        """Whether the host behaved identically."""
        return not self.differences

    @property
    def exact(self) -> bool:
        """Whether all calls were counted, and no others."""
        return not self.miscounts and self.calls > 0

    @property
    def cpu_ratio(self) -> float:
        """CPU time with us for one second without."""
        return self.cpu_with_seconds / max(self.cpu_without_seconds, 1e-9)


def judge(without: Sequence[Trial], observed: Sequence[Trial]) -> Verdict:
    """All runs without us have to be alike too, or the comparison would say nothing: that is told as a difference."""
    first = without[0]
    differences = [f"{_difference(first, one)} (without us)" for one in without[1:] if _difference(first, one)]
    differences += [found for one in observed if (found := _difference(first, one))]
    miscounts = []
    for one in observed:
        for name in sorted({*one.tallied, *one.counted}):
            made, counted = one.tallied.get(name, 0), one.counted.get(name, 0)
            if made != counted:
                miscounts.append(f"{name}: {made} made, {counted} counted")
    return Verdict(
        tuple(dict.fromkeys(differences)),
        tuple(dict.fromkeys(miscounts)),
        sum(observed[0].tallied.values()),
        median(one.cpu_seconds for one in without),
        median(one.cpu_seconds for one in observed),
    )


def _difference(one: Trial, other: Trial) -> str:
    """The first thing in which two runs differ; empty when they do not."""
    if one.code != other.code:
        return f"exit code {one.code}, then {other.code}: {other.err[-600:]}"
    if one.left != other.left:
        return f"{one.left} processes outlived it, then {other.left}"
    for name, before, after in (("output", one.out, other.out), ("errors", one.err, other.err)):
        if found := _first_line(before, after):
            return f"{name}: {found}"
    for before, after in zip(one.answers, other.answers, strict=True):
        if before != after:
            return f"answer to {before[0]}: {str(before[1:])[:300]}, then {str(after[1:])[:300]}"
    for name in sorted({*one.made, *other.made}):
        if one.made.get(name) != other.made.get(name):
            return f"file {name}: {_first_line(one.made.get(name, 'none'), other.made.get(name, 'none'))}"
    if one.tallied != other.tallied:
        return f"calls: {dict(one.tallied)}, then {dict(other.tallied)}"
    return ""


def _first_line(before: str, after: str) -> str:
    """Lines are compared without their order: several processes say them."""
    lines, others = sorted(before.splitlines()), sorted(after.splitlines())
    if lines == others:
        return ""
    gone = next((line for line in lines if lines.count(line) > others.count(line)), "")
    new = next((line for line in others if others.count(line) > lines.count(line)), "")
    return f"{gone[:300]!r}, then {new[:300]!r}"
