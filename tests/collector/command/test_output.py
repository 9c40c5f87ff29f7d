"""Prose on a terminal: lines break between words, and stand beneath the first."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from plugwarden_collector.command import output

from tests.collector.support.command_line import plugwarden

TEXT = "While it is isolated, calls go back to version 1 in the process that has it, about 410 calls a minute."


def printed(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, indent: int = 0, text: str = TEXT) -> str:
    monkeypatch.setenv("COLUMNS", "40")
    to = output._Harmless(file=io.StringIO(), force_terminal=terminal, color_system=None)
    if indent:
        output.paragraph(text, to=to, indent=indent)
    else:
        output.say(text, to=to)
    return to.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_at_a_terminal_lines_break_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, terminal=True).splitlines()
    assert all(len(line) <= 40 and line == line.strip() for line in lines)
    assert " ".join(lines) == TEXT


def test_for_a_program_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, terminal=False) == TEXT + "\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_paragraph_stands_as_far_to_the_right_in_each_of_its_lines(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    lines = printed(monkeypatch, terminal=terminal, indent=2).splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 40 and line[:3].rstrip() == f"  {line[2]}" for line in lines)
    assert " ".join(line.strip() for line in lines) == TEXT


def test_nothing_that_a_terminal_would_obey_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    for indent in (0, 2):
        assert "\x1b" not in printed(monkeypatch, terminal=True, indent=indent, text="\x1b[31mred")


@pytest.mark.parametrize("width", ["40", "60", "80", "200"])
@pytest.mark.parametrize("name", ["availability-of-the-exports", "some words that add up"])
def test_a_table_that_is_too_wide_is_records_and_nothing_of_it_is_broken(tmp_path: Path, name: str, width: str) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(f'[[slo]]\nname = "{name}"\nobjective = 0.99\nplugins = "export-*"\nowner = "the media team"\n')
    text = plugwarden("rules", "check", str(rules), COLUMNS=width).stdout
    assert max(map(len, text.splitlines())) <= int(width)
    for value in (name, "the media team", "export-*", "availability", "99 %"):
        assert text.count(value) >= 4, value
    for heading in ("objective", "owner", "plugins", "SLI", "target", "tier", "windows", "burn rate"):
        assert heading in text
