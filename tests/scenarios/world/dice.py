"""Fleets by chance: any size, up to two faults of any part and strength, and troubles that are nobody's fault beside them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from .world import RULE_SETS, Event, Expected, Host, Plugin, Selector, Trouble, World

__all__ = ["FAULTS", "NOBODYS", "thrown"]

SECONDS = 90.0
"""A fault begins in the first third. The softest fail a fifth of few calls, and the evidence for them takes up to a minute: delays are told
as a distribution beside what was found at all."""
FOUND_SECONDS = 30.0
"""A fault is found in time within this long; what it takes beyond is in the distribution of delays."""
WORTH_FINDING = 1.2
"""Failures a second that a fault makes at least: fewer are a matter of minutes, and of the worlds in files."""
FAULTS = (
    "version",
    "operation",
    "process",
    "machine",
    "tenant",
    "operation on a process",
    "operation of a tenant",
    "canary",
)
"""Parts of one plugin that a fault may be of."""
PARTS_OF_VERSION = tuple(kind for kind in FAULTS if kind not in {"version", "canary"})
SAME_PLUGIN = 0.3
"""How often two faults are in one plugin."""
TRIES = 8
NOBODYS = ("downstream", "host", "tenant everywhere", "stumble", "labelled", "callers")
"""Troubles that no plugin is to blame for."""
OWN_ERRORS = ("KeyError", "TypeError", "RuntimeError", "ZeroDivisionError", "csv.Error", "PluginError")


def thrown(seed: int) -> World:
    """The world of a seed."""
    dice = random.Random(f"fleet {seed}")
    hosts = _hosts(dice)
    plugins = _plugins(dice)
    troubles: list[Trouble] = []
    events: list[Event] = []
    faults: list[Expected] = []
    kinds: list[str] = []
    beside = ""
    victims = dice.sample([item.name for item in plugins], dice.choices((0, 1, 2), (2, 5, 3))[0])
    if len(victims) == 2 and dice.random() < SAME_PLUGIN:
        victims[1] = victims[0]
    for name in victims:
        place = next(index for index, item in enumerate(plugins) if item.name == name)
        # Two in one plugin are two parts of one version: a fault of the version leaves nothing for another.
        choices = FAULTS if len(set(victims)) == len(victims) else PARTS_OF_VERSION
        kind, at = dice.choice([item for item in choices if item not in kinds]), dice.uniform(14, 24)
        # Two plugins that fail on one host, or for one tenant, at one time: nobody could tell that from a shared cause.
        known = {value for item in faults if item.where.plugin != (name,) for value in _shared_names(item.where, hosts)}
        for _ in range(TRIES):
            before = len(events)
            where, changed = _part(dice, kind, plugins[place], hosts, events)
            if known.isdisjoint(_shared_names(where, hosts)):
                break
            del events[before:]
        else:
            continue
        plugins[place] = changed
        share = dice.choice((1.0, 1.0, dice.uniform(0.5, 1.0), dice.uniform(0.2, 0.5)))
        plugins[place] = _busy(plugins[place], where, share, hosts, events)
        # A canary is faulty from its first call on; it was deployed before.
        troubles.append(
            Trouble(where, at if kind != "canary" else 0.0, SECONDS + 1, share, error=dice.choice(OWN_ERRORS))
        )
        begins = at if kind != "canary" else next(item.at for item in events if item.where.plugin == (name,))
        faults.append(Expected(where, begins, dict.fromkeys(RULE_SETS, FOUND_SECONDS)))
        kinds.append(kind)
    if dice.random() < 0.4:
        nobodys = dice.choice(NOBODYS)
        if _nobodys(dice, nobodys, plugins, hosts, victims, troubles, events):
            beside = f", beside {nobodys}" if victims else ""
            kinds = kinds or [nobodys]
    return World(
        name=f"fleet {seed}", title=f"Fleet {seed}", kind=(" + ".join(kinds) or "healthy") + beside, seconds=SECONDS,
        rules=RULE_SETS, seed=seed, hosts=hosts, plugins=tuple(plugins),
        troubles=tuple(troubles), events=tuple(events), forgeries=(), slos=(), upstreams=(),
        policy={"max_quarantined_ratio": 0.5, "max_actions_per_hour": 20}, faults=tuple(faults), never=(), shared=(), told=(),
        released=(), states=(), answered=(), says=(),
    )  # fmt: skip


def _shared_names(where: Selector, hosts: Sequence[Host]) -> set[str]:
    """The hosts and tenants that a part is narrowed to."""
    if not where.instance and not where.machine:
        return set(where.tenant)
    return {
        *where.tenant,
        *(host.instance for host in hosts if host.instance in where.instance or host.machine in where.machine),
    }


def _hosts(dice: random.Random) -> tuple[Host, ...]:
    count, services = dice.randint(2, 6), dice.randint(1, 2)
    machines = dice.choice((count, count, max(2, count // 2)))
    return tuple(
        Host(
            f"h{index}",
            f"m{index % machines}",
            ("api", "batch")[index % services],
            dice.choice((0.0, 0.0, 0.0, dice.uniform(-40, 40))),
        )
        for index in range(count)
    )


def _plugins(dice: random.Random) -> list[Plugin]:
    tenants = tuple(f"t{index}" for index in range(dice.choice((0, 0, 3, 6)))) or ("",)
    return [
        Plugin(
            f"p{index}",
            ("read", "write", "list", "drop")[: dice.randint(1, 4)],
            round(10 ** dice.uniform(0.0, 1.2), 2),
            dice.choice((0.0, 0.001, 0.003, 0.01, 0.02)),
            tenants=tenants,
            noise=dice.choice(("poisson", "poisson", "bursty")),
        )
        for index in range(dice.randint(4, 16))
    ]


def _part(
    dice: random.Random, kind: str, plugin: Plugin, hosts: Sequence[Host], events: list[Event]
) -> tuple[Selector, Plugin]:
    """The part of a plugin that a fault is of; the plugin gets what that takes."""
    operations = plugin.operations if len(plugin.operations) > 1 else ("read", "write")
    tenants = plugin.tenants if len(plugin.tenants) > 1 else ("a", "b", "c")
    name, operation = (plugin.name,), (dice.choice(operations),)
    if "operation" in kind:
        plugin = _with(plugin, operations=operations)
    if "tenant" in kind:
        plugin = _with(plugin, tenants=tenants)
    if kind == "operation":
        return Selector(name, operation=operation), plugin
    if kind == "process":
        return Selector(name, instance=(dice.choice(hosts).instance,)), plugin
    if kind == "machine":
        return Selector(name, machine=(dice.choice(hosts).machine,)), plugin
    if kind == "tenant":
        return Selector(name, tenant=(dice.choice(tenants),)), plugin
    if kind == "operation on a process":
        return Selector(name, operation=operation, instance=(dice.choice(hosts).instance,)), plugin
    if kind == "operation of a tenant":
        return Selector(name, operation=operation, tenant=(dice.choice(tenants),)), plugin
    if kind == "canary":
        events.append(
            Event("deploy", dice.uniform(8, 16), SECONDS + 1, Selector(name), "2", dice.choice((0.1, 0.25, 0.5)))
        )
        return Selector(name, version=("2",)), plugin
    return Selector(name), plugin


def _with(plugin: Plugin, **changes: tuple[str, ...]) -> Plugin:
    return replace(plugin, **changes)  # type: ignore[arg-type]  # the two that are changed are tuples of names


def _busy(plugin: Plugin, where: Selector, share: float, hosts: Sequence[Host], events: Sequence[Event]) -> Plugin:
    """The plugin with as many calls as make its fault worth finding."""
    part = share * plugin.calls_per_second * (1 if where.operation else len(plugin.operations))
    if where.tenant:
        part /= len(plugin.tenants)
    part *= sum(
        (not where.instance or host.instance in where.instance) and (not where.machine or host.machine in where.machine)
        for host in hosts
    ) / len(hosts)
    if where.version:
        part *= next(item.share for item in events if item.where.plugin == where.plugin)
    return (
        plugin
        if part >= WORTH_FINDING
        else replace(plugin, calls_per_second=plugin.calls_per_second * WORTH_FINDING / part)
    )


def _nobodys(
    dice: random.Random,
    kind: str,
    plugins: Sequence[Plugin],
    hosts: Sequence[Host],
    victims: Sequence[str],
    troubles: list[Trouble],
    events: list[Event],
) -> bool:
    """Add a trouble that is no plugin's fault; whether the fleet has what that takes."""
    others = [item.name for item in plugins if item.name not in victims]
    at, until = dice.uniform(14, 30), dice.choice((SECONDS + 1, dice.uniform(40, 60)))
    if kind == "stumble" and others:
        name = dice.choice(others)
        events.append(Event("deploy", at, SECONDS + 1, Selector((name,)), "2", 1.0))
        troubles.append(Trouble(Selector((name,), ("2",)), at, at + 3, dice.uniform(0.3, 0.7)))
        return True
    if kind == "labelled" and others:
        troubles.append(
            Trouble(Selector((dice.choice(others),)), at, until, 0.8, error="ConnectionError", source="downstream")
        )
        return True
    if kind == "callers" and others:
        troubles.append(Trouble(Selector((dice.choice(others),)), at, until, 0.5, error="BadRequest", source="caller"))
        return True
    if len(others) < 4:
        return False
    many = tuple(dice.sample(others, max(4, round(len(others) * dice.uniform(0.5, 0.9)))))
    if kind == "downstream":
        troubles.append(Trouble(Selector(many), at, until, dice.uniform(0.4, 1.0), error="ConnectionError"))
        return True
    if kind == "host" and len(hosts) > 2:
        where = Selector(tuple(others), instance=(dice.choice(hosts).instance,))
        troubles.append(Trouble(where, at, until, dice.uniform(0.3, 0.9), error=dice.choice(("timeout", "OSError"))))
        return True
    if kind == "tenant everywhere" and len(plugins[0].tenants) > 2:
        tenant = dice.choice(plugins[0].tenants)
        where = Selector(
            tuple(item.name for item in plugins if item.name in many and tenant in item.tenants), tenant=(tenant,)
        )
        troubles.append(Trouble(where, at, until, dice.uniform(0.6, 1.0), error="UnicodeError"))
        return True
    return False
