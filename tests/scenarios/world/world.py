"""The file of a world: who runs what, what goes wrong when, and what must come of it. Unknown keys are errors."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plugwarden_collector.rules.file import Rules, parse_rules

__all__ = [
    "ANY",
    "RULE_SETS",
    "Event",
    "Expected",
    "Forgery",
    "Host",
    "Plugin",
    "Selector",
    "Trouble",
    "World",
    "WorldError",
    "load_world",
    "parse_world",
]  # fmt: skip

RULES = Path(__file__).parents[1] / "rules"
RULE_SETS = ("default", "short")


class WorldError(ValueError):
    """A file that is no world; says which key of which table, and what is known there."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Which calls: each part is one of some names, or any."""

    plugin: tuple[str, ...] = ()
    version: tuple[str, ...] = ()
    operation: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    instance: tuple[str, ...] = ()
    machine: tuple[str, ...] = ()
    tenant: tuple[str, ...] = ()

    def matches(self, part: Mapping[str, str]) -> bool:
        """Whether calls with these names are meant."""
        return all(not (names := getattr(self, key)) or part[key] in names for key in PARTS)

    def __str__(self) -> str:
        named = [f"{key}={'|'.join(names)}" for key in PARTS if (names := getattr(self, key))]
        return " ".join(named) or "everything"


PARTS = tuple(item.name for item in dataclasses.fields(Selector))
ANY = Selector()


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin, and how it is called by all hosts together."""

    name: str
    operations: tuple[str, ...]
    calls_per_second: float
    """Of each operation that `rates` does not name."""
    norm: float
    """Share of calls that ordinarily fail."""
    version: str = "1"
    """The one that runs when the world begins."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Operation -> calls per second."""
    tenants: tuple[str, ...] = ("",)
    noise: str = "poisson"
    """How calls and ordinary failures come: `steady`, `poisson`, or `bursty` (failures in runs)."""
    slow: float = 0.001
    """Share of calls that are ordinarily above every threshold."""
    retries: int = 0
    """How often callers ask again when a call failed or was refused."""
    history_hours: float = 6.0
    """Hours of ordinary calls before the world begins."""
    downstream: str = ""
    """What most of its time is spent waiting for, measured."""
    services: tuple[str, ...] = ()
    """Services whose hosts call it; empty: all."""


@dataclass(frozen=True, slots=True)
class Host:
    """One process."""

    instance: str
    machine: str
    service: str = "api"
    skew_seconds: float = 0.0
    """How far its clock is ahead of ours."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that goes wrong for a part of the calls for some time."""

    where: Selector
    at: float
    until: float
    share: float = 0.0
    """Share of calls that fail for it."""
    slow: float = 0.0
    """Share of calls that are slow for it."""
    hang: float = 0.0
    """Share of calls that never come back for it."""
    error: str = "RuntimeError"
    """`timeout` is a deadline that passed: slow as well."""
    source: str = "plugin"
    shape: str = "step"
    """`step`, `ramp` (grows over `ramp`), or `flapping` (on for `duty` of each `period`)."""
    ramp: float = 60.0
    period: float = 20.0
    duty: float = 0.5
    downstream: str = ""
    """The downstream that is waited for, measured, where the sidecar sees it."""
    drag: float = 1.0
    """How many times longer all calls take, though not above any threshold for it."""
    work: float = 1.0
    """How many times more CPU a call uses."""

    def strength(self, now: float) -> float:
        """How much of it there is at a moment, from 0 to 1."""
        if not self.at <= now < self.until:
            return 0.0
        if self.shape == "ramp":
            return min(1.0, (now - self.at) / self.ramp)
        if self.shape == "flapping":
            return 1.0 if (now - self.at) % self.period < self.duty * self.period else 0.0
        return 1.0


@dataclass(frozen=True, slots=True)
class Forgery:
    """Counts that one sender makes up, each second of some time."""

    sender: str
    """`service.instance.id` under which they come."""
    plugins: tuple[str, ...]
    at: float
    until: float
    version: str = "1"
    operation: str = "read"
    service: str = "api"
    machine: str = "m0"
    tenant: str = ""
    calls: float = 0.0
    failed: float = 0.0
    error: str = "RuntimeError"
    age: float = 0.0
    """Seconds that they are dated back by."""
    previous: tuple[str, ...] = ()
    """Versions that the sender says it kept and goes back to, for the operation and for others that it makes up."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens, or that a person does."""

    kind: str
    """One of `EVENTS`."""
    at: float
    until: float
    where: Selector = ANY
    version: str = ""
    """Of a deployment."""
    share: float = 1.0
    """Of a deployment: of the calls; of a surge: its factor."""
    seconds: float = 0.0
    """By how much exports are late, or how long the clock jumps."""
    scope: Mapping[str, str] = field(default_factory=dict)
    """What a person isolates or releases."""
    previous: str = ""
    """Of a deployment: the version that these hosts keep, and go back to while the new one is isolated."""
    lost: bool = False
    """Of muted hosts: what they counted meanwhile never arrives."""


EVENTS = (
    "deploy", "surge", "die", "mute", "late", "restart", "freeze", "unfreeze", "isolate", "release", "silence", "jump",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expected:
    """Something that must be so by a time."""

    where: Selector
    at: float
    """When the trouble begins."""
    within: Mapping[str, float]
    """Rule set -> seconds after `at`; for a state: 0."""
    until: float = 1e9
    """When the fault is over."""
    state: str = ""
    """Of a state: `isolated` or `free`."""
    needed: bool = True
    """False: it may be isolated, and may not."""
    by: str = ""
    """Of what is answered: the version that does."""


@dataclass(frozen=True, slots=True)
class World:
    """One world."""

    name: str
    title: str
    kind: str
    seconds: float
    rules: tuple[str, ...]
    seed: int
    hosts: tuple[Host, ...]
    plugins: tuple[Plugin, ...]
    troubles: tuple[Trouble, ...]
    events: tuple[Event, ...]
    forgeries: tuple[Forgery, ...]
    slos: tuple[Mapping[str, Any], ...]
    policy: Mapping[str, Any]
    upstreams: tuple[Mapping[str, Any], ...]
    """Tables of the rules: objectives of what plugins measure their waits for."""
    faults: tuple[Expected, ...]
    """What must be isolated, exactly; everything else must not be."""
    never: tuple[Selector, ...]
    """Said beside that, for the reader."""
    shared: tuple[Expected, ...]
    told: tuple[Expected, ...]
    released: tuple[Expected, ...]
    states: tuple[Expected, ...]
    answered: tuple[Expected, ...]
    """Calls of which those that directives refuse are all answered by an earlier version."""
    says: tuple[str, ...]
    """What some decision must say."""
    wrongly: int | None = None
    """How many calls that no trouble hit may be refused by directives at most; None: as many as may be."""
    unrefused: tuple[Selector, ...] = ()
    """Calls of which no directive ever refuses one, not even as those of a newcomer."""

    def rules_of(self, name: str) -> Rules:
        """The rules of a set, with what the world says otherwise."""
        path = RULES / f"{name}.toml"
        document = tomllib.loads(path.read_text("utf-8"))
        document["policy"].update(self.policy)
        period = document["slo"][0]["period"]
        if self.slos:
            document["slo"] = [{"period": period, **item} for item in self.slos]
        lines = [f"[policy]\n{_lines(document['policy'])}"] + [f"[[slo]]\n{_lines(item)}" for item in document["slo"]]
        lines += [f"[[upstream]]\n{_lines({'period': period, **item})}" for item in self.upstreams]
        return parse_rules("\n".join(lines), str(path))


def load_world(path: Path) -> World:
    """The world in a file; raises `WorldError`."""
    return parse_world(path.read_text("utf-8"), path.stem)


def parse_world(text: str, name: str) -> World:
    """The world in a text; raises `WorldError`."""
    raw = tomllib.loads(text)
    known = {"title", "kind", "seconds", "rules", "seed", "fleet", "host", "plugin", "trouble", "event", "forgery", "slo", "policy",
             "upstream", "expect"}  # fmt: skip
    _known(raw, known, name)
    fleet = raw.get("fleet", {})
    _known(fleet, {"plugins", "hosts", "services", "machines", *_keys(Plugin)}, f"{name}: fleet")
    seconds = float(raw.get("seconds", 60))
    troubles = tuple(_trouble(item, seconds, f"{name}: trouble") for item in raw.get("trouble", []))
    first = min([item.at for item in troubles], default=0.0)
    expect = raw.get("expect", {})
    _known(
        expect,
        {
            "at_fault",
            "may",
            "never",
            "shared",
            "told",
            "released",
            "states",
            "answered",
            "unrefused",
            "says",
            "wrongly",
        },
        f"{name}: expect",
    )

    def expected(key: str, *, needed: bool = True) -> tuple[Expected, ...]:
        return tuple(_expected(item, first, f"{name}: expect.{key}", needed) for item in expect.get(key, []))

    rules = tuple(raw.get("rules", RULE_SETS))
    if not rules or set(rules) - set(RULE_SETS):
        raise WorldError(f"{name}: rules: {rules}; known are {RULE_SETS}")
    return World(
        name=name,
        title=raw["title"],
        kind=raw.get("kind", ""),
        seconds=seconds,
        rules=rules,
        seed=int(raw.get("seed", 1)),
        hosts=_hosts(fleet, raw.get("host", []), name),
        plugins=_plugins(fleet, raw.get("plugin", []), name),
        troubles=troubles,
        events=tuple(_event(item, seconds, f"{name}: event") for item in raw.get("event", [])),
        forgeries=tuple(_forgery(item, seconds, f"{name}: forgery") for item in raw.get("forgery", [])),
        slos=tuple(raw.get("slo", [])),
        policy=raw.get("policy", {}),
        upstreams=tuple(raw.get("upstream", [])),
        faults=expected("at_fault") + expected("may", needed=False),
        never=tuple(_selector(item, f"{name}: expect.never") for item in expect.get("never", [])),
        shared=expected("shared"),
        told=expected("told"),
        released=expected("released"),
        states=expected("states"),
        answered=expected("answered"),
        unrefused=tuple(_selector(item, f"{name}: expect.unrefused") for item in expect.get("unrefused", [])),
        says=tuple(expect.get("says", [])),
        wrongly=expect.get("wrongly"),
    )


def _hosts(fleet: Mapping[str, Any], items: Sequence[Mapping[str, Any]], name: str) -> tuple[Host, ...]:
    services, machines = fleet.get("services", ["api"]), fleet.get("machines", 0)
    count = fleet.get("hosts", 3)
    found = {
        f"h{index}": {"machine": f"m{index % machines if machines else index}", "service": services[index % len(services)]}
        for index in range(count)
    }  # fmt: skip
    for item in items:
        _known(item, set(_keys(Host)), f"{name}: host")
        mine = found.setdefault(item["instance"], {"machine": f"m-{item['instance']}"})
        mine.update({key: value for key, value in item.items() if key != "instance"})
    return tuple(Host(instance, **parts) for instance, parts in found.items())


def _plugins(fleet: Mapping[str, Any], items: Sequence[Mapping[str, Any]], name: str) -> tuple[Plugin, ...]:
    common = {"operations": ["read", "write"], "calls_per_second": 6.0, "norm": 0.002}
    common.update({key: value for key, value in fleet.items() if key in _keys(Plugin)})
    found: dict[str, dict[str, Any]] = {f"p{index}": dict(common) for index in range(fleet.get("plugins", 5))}
    for item in items:
        _known(item, set(_keys(Plugin)), f"{name}: plugin")
        found.setdefault(item["name"], dict(common)).update(
            {key: value for key, value in item.items() if key != "name"}
        )
    values: dict[str, dict[str, Any]] = {
        plugin: {key: tuple(value) if isinstance(value, list) else value for key, value in parts.items()}
        for plugin, parts in found.items()
    }
    return tuple(Plugin(plugin, **parts) for plugin, parts in values.items())


def _trouble(raw: Mapping[str, Any], seconds: float, place: str) -> Trouble:
    keys = {"share", "slow", "hang", "error", "source", "shape", "ramp", "period", "duty", "downstream", "drag", "work"}
    _known(raw, {*PARTS, *keys, "from", "until"}, place)
    parts = {key: value for key, value in raw.items() if key in keys}
    return Trouble(_selector(raw, place), float(raw["from"]), float(raw.get("until", seconds + 1)), **parts)


def _event(raw: Mapping[str, Any], seconds: float, place: str) -> Event:
    keys = {"share", "seconds", "scope", "lost", "to", "previous"}
    _known(raw, {*PARTS, *keys, "kind", "at", "until"}, place)
    if raw["kind"] not in EVENTS:
        raise WorldError(f"{place}: kind {raw['kind']!r}; known are {', '.join(EVENTS)}")
    parts = {key: value for key, value in raw.items() if key in keys and key != "to"}
    return Event(
        raw["kind"], float(raw["at"]), float(raw.get("until", seconds + 1)), _selector(raw, place), raw.get("to", ""), **parts
    )  # fmt: skip


def _forgery(raw: Mapping[str, Any], seconds: float, place: str) -> Forgery:
    keys = {item.name for item in dataclasses.fields(Forgery)} - {"at", "until", "plugins"}
    _known(raw, {*keys, "from", "until", "plugins"}, place)
    parts = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items() if key in keys}
    return Forgery(
        plugins=tuple(raw["plugins"]), at=float(raw["from"]), until=float(raw.get("until", seconds + 1)), **parts
    )


def _expected(raw: Mapping[str, Any], first: float, place: str, needed: bool) -> Expected:
    _known(raw, {*PARTS, "from", "until", "within", "state", "at", "by"}, place)
    within = raw.get("within", 0.0)
    limits = within if isinstance(within, dict) else dict.fromkeys(RULE_SETS, within)
    return Expected(
        _selector(raw, place),
        float(raw.get("from", raw.get("at", first))),
        {key: float(value) for key, value in limits.items()},
        float(raw.get("until", 1e9)),
        raw.get("state", ""),
        needed,
        raw.get("by", ""),
    )


def _selector(raw: Mapping[str, Any], place: str) -> Selector:
    parts = {}
    for key in PARTS:
        if key in raw:
            value = raw[key]
            if not isinstance(value, str | list):
                raise WorldError(f"{place}: {key}: {value!r} is neither a name nor a list of names")
            parts[key] = (value,) if isinstance(value, str) else tuple(value)
    return Selector(**parts)


def _known(table: Mapping[str, Any], known: set[str], place: str) -> None:
    if strange := set(table) - known:
        raise WorldError(f"{place}: {', '.join(sorted(strange))}: unknown; known are {', '.join(sorted(known))}")


def _keys(kind: type) -> list[str]:
    return [item.name for item in dataclasses.fields(kind)]


def _lines(table: Mapping[str, Any]) -> str:
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items()) + "\n"
