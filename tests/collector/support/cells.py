"""A fleet as the search for causes sees it: the cells of plugins that run everywhere, and what some of them fail with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from plugwarden_collector.judge.causes import Explanation, Sample, Scope, explain

AT = datetime(2026, 1, 1, 12)
Trouble = Callable[[Sample], tuple[float, str] | None]
"""What a cell fails with: the share of its calls, and the type of the errors; None for a cell that is well."""


def cells(
    plugin: str,
    trouble: Trouble = lambda cell: None,
    *,
    versions: Sequence[str] = ("1", "2"),
    operations: Sequence[str] = ("read", "write"),
    machines: Sequence[str] = ("m0", "m1", "m2"),
    instances: int = 1,
    tenants: Sequence[str] = ("", "acme"),
    services: Sequence[str] = ("orders",),
    calls: int = 50,
    since: datetime = AT,
    expected_ratio: float = 0.01,
) -> list[Sample]:
    """The cells of a plugin that runs everywhere, one for each of all combinations."""
    found = []
    for version in versions:
        for operation in operations:
            for machine in machines:
                for number in range(instances):
                    for tenant in tenants:
                        for service in services:
                            instance = f"{service}-{machine}-{number}"
                            well = Sample(
                                plugin, version, operation, calls, 0, expected_ratio, instance, machine, tenant, service
                            )
                            found.append(failing(well, trouble(well), since))
    return found


def failing(cell: Sample, trouble: tuple[float, str] | None, since: datetime = AT) -> Sample:
    if trouble is None:
        return cell
    bad = round(cell.total * trouble[0])
    return replace(cell, bad=bad, errors={trouble[1]: bad}, since=since)


def where(rate: float = 0.8, error: str = "KeyError", **values: str) -> Trouble:
    """A trouble of the cells that have all these values."""

    def trouble(cell: Sample) -> tuple[float, str] | None:
        return (rate, error) if all(getattr(cell, name) == value for name, value in values.items()) else None

    return trouble


def either(*troubles: Trouble) -> Trouble:
    """The first trouble that a cell has."""
    return lambda cell: next((found for trouble in troubles if (found := trouble(cell)) is not None), None)


def covers(scope: Scope, cell: Sample) -> bool:
    return all(getattr(cell, name) == value for name, value in scope.conditions)


def scopes(explanation: Explanation) -> list[str]:
    return sorted(str(fault.scope) for fault in explanation.faults)


def blamed(*fleet: list[Sample], running: int = 20) -> list[str]:
    """Scopes of what is to blame, when no cause is shared."""
    explanation = explain([cell for plugin in fleet for cell in plugin], running=running)
    assert explanation.shared == ()
    return scopes(explanation)


def shared(fleet: Iterable[Sample], running: int = 20) -> tuple[list[tuple[str, str, tuple[str, ...]]], list[str]]:
    explanation = explain(fleet, running=running)
    causes = [(cause.kind, cause.name, cause.plugins) for cause in explanation.shared]
    return causes, scopes(explanation)


def outage(*names: str, rate: float = 0.6, error: str = "ConnectionError", apart: float = 2.0) -> list[Sample]:
    """Plugins that begin to fail one after the other."""
    found = []
    for number, name in enumerate(names):
        found += cells(name, where(rate, error), since=AT + timedelta(seconds=apart * number))
    return found
