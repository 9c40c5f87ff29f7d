"""Files of other tools come from anywhere: whatever stands in them is read or refused, in lines, and soon."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.rules.exchange.formats import Format, exported, opened, read_foreign
from plugwarden_collector.rules.file import DEFAULT_RULES
from plugwarden_collector.rules.objective import Objective, Sli

from tests.collector.rules.exchange.test_openslo import REFERRED, SECOND
from tests.collector.rules.exchange.test_sloth_and_pyrra import KUBERNETES, PYRRA, SLOTH, WINDOWS

FAST = Objective("fast", Sli.LATENCY, 0.99, 86_400.0 * 7, "csv-*", 0.25, min_events=3, owner="media")
TEXTS = [REFERRED, SECOND, SLOTH, KUBERNETES, PYRRA, WINDOWS,
         *(exported([*DEFAULT_RULES.objectives, FAST], kind) for kind in (Format.OPENSLO, Format.SLOTH, Format.PROMETHEUS))]  # fmt: skip
DOCUMENTS = [document for text in TEXTS for document in yaml.safe_load_all(text)]
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just([]), st.just({}), st.just([[{"a": [None]}]]),
    st.sampled_from(["1M", "0", "-1", "nan", "{", "plugwarden", "Prometheus", "openslo/v1", "SLO", {"name": {}}, "\u202e", "a" * 300]),
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], to: Any, *, drop: bool) -> Any:
    """A document with one value exchanged, or left out."""
    if not path:
        return to
    key, *rest = path
    if isinstance(value, dict):
        if drop and not rest:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: changed(value[key], tuple(rest), to, drop=drop)}
    return [changed(item, tuple(rest), to, drop=drop) if index == key else item for index, item in enumerate(value)]


@given(st.data())
def test_whatever_stands_at_a_place_the_file_is_read_or_refused_in_lines(data: st.DataObject) -> None:
    document = data.draw(st.sampled_from(DOCUMENTS))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(document)))
        document = changed(document, path, data.draw(ODD), drop=data.draw(st.booleans()))
    text = yaml.safe_dump(document, allow_unicode=True)
    found = read_foreign(opened(text))
    assert all("\n" not in line and line.isprintable() for line in (*found.problems, *found.warnings))
    assert all(line.endswith(")") and "(line " in line for line in found.problems)
    if found.objectives:
        assert exported(found.objectives, Format.TOML)
