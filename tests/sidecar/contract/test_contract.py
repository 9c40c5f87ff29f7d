"""The contract: histograms that merge, directives, each of which stands or falls by itself."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden.contract import Action, Directive, DirectiveSet, MalformedDirective, Newcomers, Scope
from plugwarden.contract.histogram import (
    BASE,
    bucket_index,
    lower_bound_seconds,
    merge,
    quantile_seconds,
    upper_bound_seconds,
)

durations = st.floats(min_value=1e-8, max_value=3600)
histograms = st.dictionaries(st.integers(-480, 271), st.integers(1, 1000), max_size=20)


@given(durations)
def test_a_duration_lies_within_its_bucket(seconds: float) -> None:
    index = bucket_index(seconds)
    assert lower_bound_seconds(index) * (1 - 1e-9) < seconds <= upper_bound_seconds(index) * (1 + 1e-9)


@given(st.lists(durations, min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_quantile_is_wrong_by_no_more_than_the_stated_error(values: list[float], q: float) -> None:
    counts: dict[int, int] = {}
    for value in values:
        index = bucket_index(value)
        counts[index] = counts.get(index, 0) + 1
    indexes = sorted(counts)
    estimate = quantile_seconds(indexes, [counts[index] for index in indexes], q)
    exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    assert estimate is not None
    assert abs(estimate - exact) / exact <= (BASE - 1) / (BASE + 1) * 1.01


@given(histograms, histograms, histograms)
def test_merging_is_associative_and_commutative(a: dict[int, int], b: dict[int, int], c: dict[int, int]) -> None:
    assert merge([merge([a, b]), c]) == merge([a, merge([c, b])])


def test_durations_of_nothing_and_of_ages_stay_within_bounds() -> None:
    assert bucket_index(0.0) == bucket_index(-1.0)
    assert bucket_index(1e12) == bucket_index(1e9)


names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
optional = st.none() | names
scopes = st.builds(Scope, names, optional, optional, optional, optional)
directives = st.builds(
    Directive,
    names,
    st.sampled_from(Action),
    scopes,
    st.floats(0, 1),
    names,
    st.none() | st.builds(Newcomers, st.lists(names, max_size=3).map(tuple), st.floats(0, 1)),
)


@given(st.lists(directives, max_size=5), st.integers(0, 10**9))
def test_a_directive_set_survives_its_wire_form(items: list[Directive], revision: int) -> None:
    sent = DirectiveSet("epoch", revision, tuple(items))
    assert DirectiveSet.from_dict(sent.as_dict()) == sent


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"action": "explode"}, "action"),
        ({"share_ratio": 2}, "share_ratio"),
        ({"share_ratio": float("nan")}, "share_ratio"),
        ({"scope": {}}, "plugin"),
        ({"scope": []}, "scope"),
        ({"id": ""}, "id"),
        ({"newcomers": {"known_versions": "1"}}, "newcomers"),
    ],
)
def test_a_malformed_directive_names_its_field(change: dict[str, object], field: str) -> None:
    good = Directive("q-1", Action.ISOLATE, Scope("a")).as_dict()
    found = DirectiveSet.from_dict({"revision": 1, "directives": [{**good, **change}]})
    assert found.directives == ()
    assert field in found.refused[0]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
)


@given(json_values)
def test_garbage_is_refused_and_nothing_else_happens(value: object) -> None:
    try:
        DirectiveSet.from_dict(value)
    except MalformedDirective:
        pass
