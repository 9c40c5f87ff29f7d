"""Maintenance windows: when they are open, over clocks that are put forward and back, and what is said of wrong ones."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.decide.maintenance import silences_at
from plugwarden_collector.errors import RulesError
from plugwarden_collector.matcher import equal
from plugwarden_collector.rules.file import load_rules, parse_rules
from plugwarden_collector.rules.maintenance import Maintenance

from tests.docs_pages import write_files

BERLIN = ZoneInfo("Europe/Berlin")
HEAD = '[[slo]]\nname = "works"\nobjective = 0.99\n'
TABLE: dict[str, str] = {
    "name": '"import"', "reason": '"it fills the queue"', "matchers": '{ plugin = "import" }', "from": '"02:00"', "for": '"2h"',
    "zone": '"Europe/Berlin"',
}  # fmt: skip


def window(begins: time = time(2), hours: float = 2.0, **more: Any) -> Maintenance:
    return Maintenance(
        "import", "it fills the queue", begins, hours * 3600.0, BERLIN, equal({"plugin": "import"}), **more
    )


def text(**changed: str | None) -> str:
    keys = {**TABLE, **changed}
    return (
        HEAD + "[[maintenance]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items() if value is not None)
    )


@pytest.mark.parametrize(
    ("at", "span"),
    [
        (datetime(2026, 11, 28, 0, 59), None),
        (
            datetime(2026, 11, 28, 1, 0),
            (datetime(2026, 11, 28, 1), datetime(2026, 11, 28, 3)),
        ),  # winter: an hour ahead of UTC
        (datetime(2026, 11, 28, 3, 0), None),
        (datetime(2026, 7, 1, 0, 0), (datetime(2026, 7, 1), datetime(2026, 7, 1, 2))),  # summer: two
    ],
)
def test_it_is_open_by_the_clocks_of_its_zone(at: datetime, span: tuple[datetime, datetime] | None) -> None:
    assert window().lasts(at) == span


def test_one_that_passes_midnight_is_of_the_day_on_which_it_begins() -> None:
    found = window(time(23), 4.0, days=frozenset({4}))  # Friday
    assert found.lasts(datetime(2026, 11, 27, 23, 30)) == (datetime(2026, 11, 27, 22), datetime(2026, 11, 28, 2))
    assert found.lasts(datetime(2026, 11, 28, 1, 0)) is not None, "Saturday, of Friday's"
    assert found.lasts(datetime(2026, 11, 28, 22, 30)) is None


@pytest.mark.parametrize("day", [datetime(2026, 3, 29), datetime(2026, 10, 25)])
def test_it_is_open_once_for_its_whole_length_when_clocks_are_put_forward_or_back(day: datetime) -> None:
    found = window(time(2, 30), 2.0)
    minutes = [day - timedelta(hours=6) + timedelta(minutes=number) for number in range(24 * 60)]
    spans = {span for at in minutes if (span := found.lasts(at)) is not None}
    assert len(spans) == 1
    assert sum(found.lasts(at) is not None for at in minutes) == 120


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), st.times(), st.floats(60, 86_400),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu"]),
)  # fmt: skip
def test_what_is_open_holds_the_moment_and_is_as_long_as_it_says(
    at: datetime, begins: time, length: float, zone: str
) -> None:
    found = Maintenance("w", "why", begins.replace(tzinfo=None), length, ZoneInfo(zone), equal({"plugin": "x"}))
    span = found.lasts(at)
    if span is not None:
        assert span[0] <= at < span[1]
        assert span[1] - span[0] == timedelta(seconds=length)
    start = datetime.combine(at.date(), found.begins, found.zone).astimezone(UTC).replace(tzinfo=None)
    for moment in (start, start + timedelta(seconds=length, microseconds=-1)):
        assert found.lasts(moment) is not None


def test_a_window_of_a_day_goes_on_when_clocks_are_put_forward() -> None:
    """Before, it closed at midnight of the second day, a quarter of an hour early and more."""
    found = window(time(23, 30), 24.0, days=frozenset({5}))
    start = datetime(2026, 3, 28, 22, 30)
    assert found.lasts(start + timedelta(hours=23, minutes=45)) == (start, start + timedelta(days=1))


def test_an_open_window_is_a_silence_that_says_why() -> None:
    at = datetime(2026, 11, 28, 2)
    (silence,) = silences_at([window(), window(days=frozenset())], at)
    assert (silence.created_by, silence.comment) == ("the rules", "import: it fills the queue")
    assert silence.covers({"plugin": "import", "severity": "page"}, at)
    assert not silence.covers({"plugin": "csv"}, at)
    assert silences_at([window()], at + timedelta(minutes=1)) == (silence,), "the same for as long as it is open"


def test_a_table_is_read(tmp_path: Any) -> None:
    (found,) = parse_rules(text(days='["sat", "sun"]'), "rules.toml").maintenance
    assert (found.name, found.begins, found.length_seconds, found.days) == ("import", time(2), 7200.0, {5, 6})
    (tmp_path / "a.toml").write_text(text())
    (tmp_path / "b.toml").write_text(text().replace(HEAD, ""))
    with pytest.raises(RulesError, match="maintenance 'import' stands in a"):
        load_rules(tmp_path)


def test_the_pages_window_is_read(tmp_path: Any) -> None:
    assert "maintenance.toml" in write_files("how-to/receivers.md", tmp_path)
    assert load_rules(tmp_path / "routes.toml").warnings == ()
    (found,) = load_rules(tmp_path / "maintenance.toml").maintenance
    assert found.lasts(datetime(2026, 11, 29, 1, 0)) == (datetime(2026, 11, 28, 22, 30), datetime(2026, 11, 29, 2, 30))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"reason": None}, "maintenance[0].reason: is missing; it must be a non-empty string"),
        ({"from": '"2:00"'}, "maintenance[0].from: '2:00' must be a time of the day"),
        ({"from": '"24:00"'}, "maintenance[0].from: '24:00' must be a time of the day"),
        ({"for": None}, "maintenance[0].for: is missing"),
        ({"for": '"2d"'}, "maintenance[0].for: '2d' must be longer than 0s, and 1d at most"),
        (
            {"zone": None},
            'maintenance[0].zone: is missing; write for instance "Europe/Berlin" or "UTC"',
        ),
        (
            {"zone": '"Europe/Berlim"'},
            "maintenance[0].zone: 'Europe/Berlim' is no time zone of the IANA database; did you mean Europe/Berlin?",
        ),
        ({"zone": '"../etc/passwd"'}, "maintenance[0].zone: '../etc/passwd' is no time zone"),
        ({"zone": '"Europe"'}, "maintenance[0].zone: 'Europe' is no time zone"),
        ({"matchers": "{}"}, "maintenance[0].matchers: 0 matchers; write 1 to 10"),
        ({"matchers": "{ plugin = 3 }"}, "maintenance[0].matchers: {'plugin': 3} must be a list of matchers"),
        ({"days": "[]"}, "maintenance[0].days: [] must be a list of days"),
        ({"days": '["sut"]'}, "maintenance[0].days: 'sut' is no day; did you mean sun?"),
        ({"days": "[[1]]"}, "maintenance[0].days: [1] is no day"),
        ({"until": '"04:00"'}, "maintenance[0].until: unknown"),
    ],
)
def test_what_is_wrong_is_named_with_its_place_and_mend(changed: dict[str, str | None], problem: str) -> None:
    with pytest.raises(RulesError) as refused:
        parse_rules(text(**changed), "rules.toml")
    assert len(refused.value.problems) == 1, refused.value.problems
    assert refused.value.problems[0].startswith(problem)
    assert "(line " in refused.value.problems[0]
