"""Values cross from a worker process as they are; nothing that it may send runs, grows or lasts."""

from __future__ import annotations

import collections
import datetime
import decimal
import ipaddress
import pathlib
import sys
import time
import uuid
import zoneinfo
from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plugwarden.runners.child.encode import Encoder, NotPlain, TooLarge
from plugwarden.runners.child.tags import LENGTH, Tag
from plugwarden.runners.child.wire import DecodingLate, UnsafeResult, loads_untrusted, memory_for

from tests.sidecar.support.fuzz_frames import HostState, attempt, frame

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
PLAIN: list[Any] = [
    None, True, False, 0, -1, 2**63 - 1, -(2**63), 2**63, -(10**40), 1.5, float("inf"), -0.0, "", "zwölf", "\ud800", b"x",
    bytearray(b"y"), 1 + 2j, [], (), {}, set(), frozenset(), [1, 2, 3, 4, 5], [1.0] * 9, ["a", "", "ü", "\U0001f600"] * 3,
    [1, 2.0, True, None, "x"], [True] * 6, [2**70] * 5, [1, 2, 3, 2**64], (1, (2, (3,))), {"a": 1, (1, "b", None): [2]},
    {1: "x", 2.5: "y", None: "z", frozenset({1, (2, 3)}): 0}, {(1, 2), "a", b"b"}, frozenset(range(100)),
    {number: str(number) for number in range(1000)}, range(1, 10, 2), slice(1, None, 2), Fraction(-1, 3),
    decimal.Decimal("1.50"), decimal.Decimal("-Infinity"), uuid.UUID(int=7), datetime.date(2026, 11, 26),
    datetime.time(1, 2, 3, 4), datetime.time(1, tzinfo=datetime.UTC), datetime.timedelta(-1, 5, 6),
    datetime.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN), datetime.datetime(1, 1, 1), datetime.datetime.max,
    datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=-3), "here")), datetime.UTC, BERLIN,
    pathlib.Path("/srv/x"), pathlib.PureWindowsPath("c:/x"), ipaddress.ip_address("::1"), ipaddress.ip_network("10.0.0.0/8"),
    collections.OrderedDict(b=1, a=2), collections.Counter("aab"), collections.deque([1, 2], 5), collections.deque(),
]  # fmt: skip


def sent(value: Any, **terms: Any) -> Any:
    data = Encoder().encode(value)
    return loads_untrusted(data, memory_bytes=memory_for(len(data)), **terms)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types throughout."""
    return (
        repr(one) == repr(other) if type(one) not in (set, frozenset) else (one == other and type(one) is type(other))
    )


# Not by their text: that of a set is another in each process, and processes that share the tests have to name them alike.
@pytest.mark.parametrize("value", PLAIN, ids=[f"{number}-{type(item).__name__}" for number, item in enumerate(PLAIN)])
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    found = sent(value)
    assert same(found, value)
    assert sent([value, {"k": (value,)}]) == [value, {"k": (value,)}]


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(),
    st.decimals(allow_nan=False), st.datetimes(timezones=st.none() | st.just(BERLIN)), st.dates(), st.timedeltas(),
    st.uuids(),
)  # fmt: skip
KEYS = SCALARS | st.tuples(SCALARS, st.frozensets(SCALARS, max_size=3))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(KEYS, inner), st.sets(KEYS),
        st.lists(st.floats(allow_nan=False), min_size=4), st.lists(st.text(), min_size=4),
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(VALUES)
def test_whatever_is_plain_comes_back(value: Any) -> None:
    found = sent(value)
    assert found == value
    assert type(found) is type(value)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_are_refused(data: bytes) -> None:
    try:
        loads_untrusted(data, memory_bytes=10_000)
    except UnsafeResult:
        pass


def of(tag: int, count: int, *parts: bytes) -> bytes:
    return bytes((tag,)) + LENGTH.pack(count) + b"".join(parts)


ONE = Encoder().encode(1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "cannot be read"),
        (ONE + ONE, "follows"),
        (bytes((200,)), "begins no value"),
        (of(Tag.TEXT, 9, b"short"), "within a text"),
        (of(Tag.BYTES, 1 << 31), "within a value"),
        (of(Tag.LIST, 1 << 31), "more memory"),
        (of(Tag.LIST, 3, of(Tag.INTS, 4, b"\0" * 32)), "longer than what it is in"),
        (of(Tag.LIST, 2, of(Tag.TEXTS, 2, LENGTH.pack(3), LENGTH.pack(1), LENGTH.pack(1), b"abc")), "add up"),
        (of(Tag.LIST, 1) * 130 + ONE, "deep"),
        (of(Tag.TUPLE, 1) * 100_000 + ONE, "deep"),
        (of(Tag.OBJECT, 0, ONE), "cannot be read"),
        (of(Tag.BIG, (1 << 20) + 1, b"\1" * ((1 << 20) + 1)), "a number of"),
        (of(Tag.SET, 1, of(Tag.LIST, 0)), "cannot be read: TypeError"),
        (of(Tag.SET, 2, ONE, ONE), "twice"),
        (of(Tag.DICT, 1, of(Tag.TUPLE, 300, ONE * 300), ONE), "a key is too large"),
        (of(Tag.DICT, 1, of(Tag.BIG, 5_000, b"\1" * 5_000), ONE), "a key is too large"),
        (of(Tag.FRACTION, 2, *[of(Tag.BIG, 5_000, b"\1" * 5_000)] * 2), "too many digits"),
        (of(Tag.RANGE, 3, *[of(Tag.BIG, 5_000, b"\1" * 5_000)] * 3), "too many digits"),
        (of(Tag.DEQUE, 2, of(Tag.TEXT, 1, b"x"), ONE), "no length"),
        (of(Tag.ZONE, 13, b"../etc/passwd"), "no such name"),
        (of(Tag.DECIMAL, 5_000, b"1" * 5_000), "too many digits"),
        (of(Tag.PATH, 3, b"\x09ab"), "cannot be read"),
    ],
)
def test_what_is_no_value_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(UnsafeResult, match=words):
        loads_untrusted(data, memory_bytes=memory_for(1 << 16))


def same_hash(count: int) -> list[Any]:
    """Numbers with the hash 1."""
    return [1 + number * sys.hash_info.modulus for number in range(count)]


@pytest.mark.parametrize(
    "keys",
    [
        same_hash(6_000),
        [*map(str, range(100)), *same_hash(6_000)],
        [(number, 1) for number in same_hash(6_000)],
        [decimal.Decimal(number) for number in same_hash(6_000)],
        [Fraction(number) for number in same_hash(6_000)],
    ],
    ids=["numbers", "mixed", "tuples", "decimals", "fractions"],
)
@pytest.mark.parametrize("kind", [dict.fromkeys, frozenset, collections.Counter, collections.OrderedDict.fromkeys])
def test_keys_that_were_chosen_to_collide_are_refused_at_once(keys: list[Any], kind: Callable[..., Any]) -> None:
    data = _with_keys(kind, keys)
    began = time.thread_time()
    with pytest.raises(UnsafeResult, match="collide"):
        loads_untrusted(data, memory_bytes=memory_for(1 << 20))
    spent = time.thread_time() - began
    ordinary = [(number, 1) if type(key) is tuple else type(key)(number) for number, key in enumerate(keys, 5)]
    began = time.thread_time()
    loads_untrusted(_with_keys(kind, ordinary), memory_bytes=memory_for(1 << 20))
    assert spent < 50 * (time.thread_time() - began)  # all of them would take some 500 times as long


def _with_keys(kind: Callable[..., Any], keys: list[Any]) -> bytes:
    """The frame of a table with these keys, which are not put into one here: it would take as long."""
    encoder = Encoder()
    parts = b"".join(map(encoder.encode, keys))
    tags = {frozenset: Tag.FROZENSET, collections.Counter: Tag.COUNTER, dict.fromkeys: Tag.DICT}
    tag = tags.get(kind, Tag.ORDERED)
    return of(tag, len(keys), parts, b"" if tag == Tag.FROZENSET else encoder.encode(None) * len(keys))


def test_large_tables_of_ordinary_keys_come_back() -> None:
    random = Random(1)
    for keys in (
        list(range(100_000)),
        [random.getrandbits(63) for _ in range(50_000)],
        [number << 32 for number in range(50_000)],
        [random.random() for _ in range(20_000)],
        [(number, str(number)) for number in range(20_000)],
        [uuid.UUID(int=random.getrandbits(128)) for _ in range(5_000)],
        [datetime.timedelta(seconds=number) for number in range(5_000)],
        [Fraction(number, 7) for number in range(2_000)],
    ):
        assert sent(dict.fromkeys(keys, 0)) == dict.fromkeys(keys, 0)


def test_a_result_is_not_read_past_the_deadline_of_its_call() -> None:
    data = Encoder().encode([[number, "x"] for number in range(100)])
    with pytest.raises(DecodingLate):
        loads_untrusted(data, memory_bytes=1 << 20, deadline_ns=time.perf_counter_ns() - 1)
    assert len(loads_untrusted(data, memory_bytes=1 << 20, deadline_ns=time.perf_counter_ns() + 10**12)) == 100


def test_a_value_that_is_in_itself_or_doubles_at_each_level_is_refused_by_its_writer() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    doubling: Any = [1, 2, 3]
    for _ in range(60):
        doubling = [doubling, doubling]
    with pytest.raises(NotPlain, match="deep"):
        Encoder().encode(cycle)
    with pytest.raises(TooLarge):
        Encoder(max_bytes=100_000).encode(doubling)
    with pytest.raises(NotPlain, match="not plain data"):
        Encoder().encode([object()])


def test_hostile_frames_change_nothing_in_the_host_and_take_no_time() -> None:
    random, state = Random(7), HostState()
    told = collections.Counter(attempt(frame(random)) for _ in range(3_000))
    assert state.changes() == []
    assert told.keys() == {"value", "refused"}
    assert min(told.values()) > 300


def test_the_look_at_the_host_sees_what_unpickling_would_change() -> None:
    state = HostState()
    members = vars(pathlib.PurePath)
    before = members["_str"]
    try:
        pathlib.PurePath._str = "evil"  # type: ignore[attr-defined]
        assert "pathlib.PurePath._str" in state.changes()
    finally:
        pathlib.PurePath._str = before  # type: ignore[attr-defined]
