"""Hostile inputs for what a sidecar reads and masks: texts made to be slow, and bytes that are almost a directive set."""

from __future__ import annotations

import builtins
import contextlib
import copy
import gc
import json
import os
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from plugwarden.contract import Action, Directive, DirectiveSet, MalformedDirective, Newcomers, Scope
from plugwarden.gate.rules import MAX_RULES, by_plugin, resolve
from plugwarden.gate.subscription import INSIST, is_news, read_set
from plugwarden.redaction import REDACTED, redact

from tests.sidecar.support.redaction_table import HARMLESS, PERSONAL, SECRETS, adversaries

__all__ = ["MAX_MS", "directive_bytes", "directive_fault", "host_state", "redaction_fault", "redaction_text"]

MAX_MS = 50.0
"""No input may take more of the processor's time than this."""
MAX_CHARACTERS = 8_000
"""Of a text that a sidecar sends."""
_ALL = SECRETS + PERSONAL
_SEEDS = [text for _, text, _ in _ALL] + HARMLESS + adversaries()
_SIGNS = "\"'`\\=:,;&?/@.-_+ \t\r\n<>(){}[]|%$#0aA\0\u00e9\u0130\u202e\ud800\U0001f600"
_ODD: tuple[Any, ...] = (
    None, True, -1, 1, 1.5, 10**18, 2**53, 10**400, float("nan"), "", "x" * 2_000, "../../etc/passwd", "\u202e", [], {}, [[]], {"a": 1},
    "__class__", "isolate", ["1"] * 3_000,
)  # fmt: skip


def host_state() -> dict[str, object]:
    """What a host could notice if an input changed it."""
    return {
        "modules": frozenset(sys.modules),
        "recursion limit": sys.getrecursionlimit(),
        "warnings": tuple(map(str, warnings.filters)),
        "environment": dict(os.environ),
        "random numbers": random.getstate(),
        "builtins": frozenset(vars(builtins)),
        "threads": threading.active_count(),
        "collection of garbage": gc.isenabled(),
        "a class of the contract": frozenset(vars(DirectiveSet)),
        "folder": Path.cwd(),
    }


def redaction_text(chance: Random) -> str:
    """One text: seeds, repeated, cut, mixed and spoilt."""
    parts = []
    for _ in range(chance.randrange(1, 6)):
        seed = chance.choice(_SEEDS)
        match chance.randrange(6):
            case 0:
                seed *= chance.choice((2, 10, 100, 2_000 // len(seed) + 1))
            case 1:
                at = chance.randrange(len(seed) + 1)
                seed = seed[:at] + chance.choice(_SIGNS) * chance.choice((1, 1, 40)) + seed[at:]
            case 2:
                seed = seed[chance.randrange(len(seed)) :]
            case 3:
                seed = "".join(chance.choice(_SIGNS) for _ in range(chance.randrange(30))) + seed
        parts.append(seed)
    text = chance.choice(("", " ", "\n", "=", '"', "@")).join(parts)
    return (text * chance.choice((1, 1, 1, 1, 30)))[:MAX_CHARACTERS]


def redaction_fault(text: str) -> str | None:
    """What is wrong with what becomes of a text, or None."""
    found: list[str] = []
    took = _least_ms(lambda: found.append(redact(text)))
    if took > MAX_MS:
        return f"took {took:.0f} ms"
    masked = found[0].count(REDACTED)
    if len(found[0]) > len(text) + (len(REDACTED) - 1) * masked or masked > len(text) // len("pwd=x") + 1:
        return "it grew by more than its masks, or has more masks than it could have secrets"
    return None


def directive_bytes(chance: Random) -> bytes:
    """An answer of a collector: a good set, spoilt in a place or two, or bytes that are almost one."""
    raw = DirectiveSet("e", chance.randrange(10), [_directive(chance) for _ in range(chance.randrange(4))]).as_dict()
    for _ in range(chance.randrange(3)):
        target: Any = raw
        while True:
            key = chance.choice(list(target) if isinstance(target, dict) else range(len(target)))
            if isinstance(target[key], dict | list) and target[key] and chance.random() < 0.7:
                target = target[key]
                continue
            if isinstance(target, dict) and chance.random() < 0.2:
                target[chance.choice(("__class__", "scope", "", "revision"))] = copy.deepcopy(chance.choice(_ODD))
            else:
                target[key] = copy.deepcopy(chance.choice(_ODD))
            break
    body = json.dumps(raw).encode()
    match chance.randrange(8):
        case 0:
            at = chance.randrange(len(body))
            return body[:at] + chance.randbytes(chance.randrange(4)) + body[at + chance.randrange(4) :]
        case 1:
            return chance.choice((b"[", b'{"a":', b"9", b'"\\u')) * chance.choice((10, 5_000, 60_000))
        case 2:
            return body[: chance.randrange(len(body))]
    return body


def _directive(chance: Random) -> Directive:
    name = chance.choice(("geo", "csv", "a/b", "x" * 200))
    narrowed = [chance.choice((None, None, "1", "t")) for _ in range(4)]
    newcomers = Newcomers(("1", "2"), 0.1) if chance.random() < 0.3 else None
    return Directive("q", chance.choice(list(Action)), Scope(name, *narrowed), chance.random(), "because", newcomers)


def directive_fault(body: bytes, known: DirectiveSet) -> str | None:
    """What is wrong with what a sidecar makes of an answer, or None. Nothing but `MalformedDirective` may be raised."""
    try:
        found = read_set(body)
    except MalformedDirective:
        found = None
    else:
        what = _wrong(found, body, known)
        if what is not None:
            return what
    took = _least_ms(lambda: _taken_in(body))
    return f"took {took:.0f} ms" if took > MAX_MS else None


def _taken_in(body: bytes) -> None:
    with contextlib.suppress(MalformedDirective):
        by_plugin(read_set(body).directives)


def _wrong(found: DirectiveSet, body: bytes, known: DirectiveSet) -> str | None:
    truth = DirectiveSet(found.epoch, known.revision)
    if found.revision != truth.revision and not is_news(truth, found, INSIST):
        return "it would be deaf to the truth"
    if found.refused_total + len(found.directives) > len(json.loads(body)["directives"]):
        return "there are more directives than were sent"
    told = by_plugin(found.directives)
    for plugin in ("geo", "csv"):
        rules = resolve(told.get(plugin, ()), Scope(plugin, "1", "o", "i"))
        if len(rules) > MAX_RULES or any(not 0 <= rule.share_ratio <= 1 for rule in rules):
            return "a rule that cannot be"
    json.dumps(found.as_dict())
    return None


def _least_ms(look: Callable[[], object]) -> float:
    """Of the processor's time; of what takes long the least of three: Python's own collection of garbage may have come in between."""
    found = MAX_MS + 1
    for _ in range(3):
        began = time.thread_time()
        look()
        found = min(found, (time.thread_time() - began) * 1e3)
        if found <= MAX_MS:
            break
    return found
