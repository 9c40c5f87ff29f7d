"""The keywords of `Sidecar`, `plugin`, `wrap` and `invocation`: known to editors, the same as what is read, and told when wrong."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from plugwarden import ConfigurationError, Keywords, Settings, Sidecar, Terms
from plugwarden.contract import Criticality
from plugwarden.declaration import Declaration
from plugwarden.terms import Level

ROOT = Path(__file__).parents[2]
HOST = Path(__file__).parent / "support/typed_host.py"
TAKEN_OTHERWISE = {"state_dir", "protocol", "spool_bytes"}
"""Settings that are given in another form than they are held in."""


def test_a_type_checker_takes_what_is_right_and_refuses_wrong_names_and_types(tmp_path: Path) -> None:
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-warn-unused-configs"),
            *("--config-file", "", "--cache-dir", str(tmp_path), "--follow-imports", "silent", str(HOST)),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT / "sidecar",
    )
    seen = set()
    for line in ran.stdout.splitlines():
        if " error: " in line:
            seen.add((int(line.split(":")[1]), line.rpartition("[")[2].rstrip("]")))
    wanted = {
        (number, text.partition("# wrong: ")[2])
        for number, text in enumerate(HOST.read_text().splitlines(), 1)
        if "# wrong: " in text
    }
    assert len(wanted) > 10
    assert seen == wanted, ran.stdout + ran.stderr


def test_terms_are_those_that_are_read() -> None:
    read = get_type_hints(Declaration.of)
    del read["return"]
    assert get_type_hints(Terms) == read


def test_each_term_may_be_left_out_and_is_given_by_its_name() -> None:
    parameters = inspect.signature(Declaration.of).parameters.values()
    assert all(one.kind is one.KEYWORD_ONLY and one.default is not one.empty for one in parameters)
    assert not Terms.__required_keys__
    assert not Keywords.__required_keys__


def test_keywords_are_the_settings() -> None:
    held = get_type_hints(Settings)
    given = get_type_hints(Keywords)
    assert given.keys() == held.keys() - {"service", "protocol_given"}, (
        "service is the first argument, by place or name"
    )
    for name in given.keys() - TAKEN_OTHERWISE:
        assert given[name] in (held[name], held[name] | None), name


def test_the_words_of_a_criticality_are_its_members() -> None:
    assert list(Level.__args__) == list(Criticality)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [({"trace_ration": 0.5}, "did you mean trace_ratio?"), ({"zzz": 1}, "known are breakers, collector_url, ")],
)
def test_an_unknown_keyword_is_told_with_the_nearest_known(wrong: dict[str, Any], meant: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Sidecar("host", **wrong)
    assert str(raised.value).startswith(f"{next(iter(wrong))}: no such setting; {meant}")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [({"timeuot": 0.5}, "did you mean timeout?"), ({"zzz": 1}, "known are breaker, bulkhead, ")],
)
def test_an_unknown_term_is_told_with_the_nearest_known_when_it_is_wrapped(wrong: dict[str, Any], meant: str) -> None:
    sidecar = Sidecar("host", breakers=False)
    with pytest.raises(ConfigurationError) as raised:
        sidecar.wrap(len, plugin="csv", version="1", **wrong)
    assert str(raised.value).startswith(f"{next(iter(wrong))}: no such term; {meant}")
    decorate = sidecar.plugin("csv", version="1", **wrong)
    with pytest.raises(ConfigurationError):
        decorate(len)
    sidecar.close()
    disabled = Sidecar("host", disabled=True)
    with pytest.raises(ConfigurationError):
        disabled.wrap(len, plugin="csv", version="1", **wrong)
