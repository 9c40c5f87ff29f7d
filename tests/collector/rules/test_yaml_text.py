"""YAML is read with its lines, and nothing of it can harm: no tags, no names for values, no depth without end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.rules.yaml_text import MAX_DEPTH, YamlError, documents_in, plain

TEXT = """\
# A comment.
kind: SLO
spec:
  target: 0.99
  names: [one, "2", 3]
  flags:
    - on: yes
      off: 'true'
      none:
      10: 1e3
---
---
[true, ~, -1, .5, 1_000, 0x10, 2022-01-01 12:00:00]
"""


def test_values_know_their_place_and_line() -> None:
    first, second = documents_in(TEXT)
    assert plain(first) == {
        "kind": "SLO",
        "spec": {
            "target": 0.99,
            "names": ["one", "2", 3],
            "flags": [{"on": "yes", "off": "true", "none": None, "10": 1000.0}],
        },
    }
    assert plain(second) == [True, None, -1, 0.5, "1_000", "0x10", "2022-01-01 12:00:00"]
    found = first.at("spec", "flags")
    assert found is not None
    assert (found.place, found.line, found.items[0].fields["10"].text) == ("spec.flags", 6, "1e3")
    assert found.items[0].fields["off"].says("is wrong") == "spec.flags[0].off: is wrong (line 8)"
    assert (first.at("spec", "flags", "x"), first.at("kind", "x"), found.items[0].at("none")) == (None, None, None)


def test_a_document_of_json_is_one_of_yaml() -> None:
    (found,) = documents_in('{"a": [1, {"b": "c\\u00e4"}]}')
    assert plain(found) == {"a": [1, {"b": "cä"}]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "a: 1\nb: !!python/object/apply:os.system [x]",
            "b: has the tag 'tag:yaml.org,2002:python/object/apply:os.system', and tags are not",
        ),
        ("a: !include x", "a: has the tag '!include', and tags are not read; leave it out (line 1)"),
        ("a: &x [1]\nb: *x", "a: holds &x, and names for values are not read; write the value out (line 1)"),
        ("a: 1\nb: {<<: *x}", "b.'<<': holds *x, and names for values are not read; write the value out (line 2)"),
        ("a: 1\na: 2", "a: is given twice; leave one out (line 2)"),
        ("a:\n  - [1, 2]: 3", "a[0]: has a key that is no word; write KEY: VALUE (line 2)"),
        (
            "a: 1\n  b: 2",
            "not valid YAML: mapping values are not allowed in this context; check its indentation and quotes (line 2)",
        ),
        ("a: 'x\n", "not valid YAML: "),
        ("a: \t- x", "not valid YAML: "),
        ("a: \x07", "not valid YAML: "),
        ("a: " + "[" * 200 + "]" * 200, f"nested more than {MAX_DEPTH} levels deep; write it flat (line 1)"),
        ("[" * 100_000, "nested more than"),
        ("- 1\n" * 100_001, "has more than 100000 values; cut it into several files (line 100000)"),
        ("%FOO\n%YAML 9.9\n---\na: 1", "not valid YAML"),
    ],
)
def test_what_is_not_read_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(YamlError) as raised:
        documents_in(text)
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)


@given(st.text(max_size=60))
def test_whatever_the_text_it_is_read_or_refused_in_one_line(text: str) -> None:
    said = "nothing"
    try:
        assert all(document.line >= 1 for document in documents_in(text))
    except YamlError as error:
        said = str(error)
    assert said
    assert "\n" not in said
