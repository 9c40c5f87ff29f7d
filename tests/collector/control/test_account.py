"""What a replay writes down: whom a decision is about, whatever names plugins have."""

from __future__ import annotations

import pytest
from plugwarden.contract import Scope
from plugwarden_collector.control.backtest.account import is_about, plugin_of

NAMES = ("@acme/csv", "my", "my plugin", "csv", "csv@home", "csv2", "an operation=x")


@pytest.mark.parametrize("plugin", NAMES)
@pytest.mark.parametrize(
    "part", [{}, {"version": "1"}, {"version": "2@rc 1", "operation": "read"}, {"instance": "h 1"}, {"tenant": "csv@1"}]
)
def test_a_scope_in_words_is_about_the_plugin_that_it_was_made_of(plugin: str, part: dict[str, str]) -> None:
    """Before, a name that begins with `@` was nobody's, and one with a space in it was cut there."""
    said = str(Scope(plugin, **part))
    assert plugin_of(said, NAMES) == plugin
    assert is_about(said, plugin)


@pytest.mark.parametrize(
    ("scope", "plugin"), [("csv2@1", "csv"), ("my plugin@1", "my"), ("csv@1", "geo"), ("", "csv"), ("cs", "csv")]
)
def test_and_about_no_other(scope: str, plugin: str) -> None:
    assert not is_about(scope, plugin)


def test_of_names_that_nobody_has_it_is_about_nobody() -> None:
    assert plugin_of("geo@1", NAMES) == ""
