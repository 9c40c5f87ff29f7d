"""Files that cannot work: of each, its first line says which line, field and mend the answer must name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.collector.support.command_line import plugwarden

WRONG = sorted(Path(__file__).with_name("wrong").iterdir())


def test_there_are_thirty() -> None:
    assert len(WRONG) >= 30


@pytest.mark.parametrize("file", WRONG, ids=lambda file: file.name)
def test_the_answer_names_line_field_and_mend(file: Path) -> None:
    line, place, mend = file.read_text("utf-8").split("\n")[0].removeprefix("# ").split(" | ")
    done = plugwarden("rules", "check", str(file), "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["valid"]) == (1, False)
    assert any(
        problem.startswith(place) and mend in problem and problem.endswith(f"({line})") for problem in found["problems"]
    ), found["problems"]
    assert len(found["problems"]) <= 2, "one mistake is said once"
    plain = plugwarden("rules", "check", str(file), COLUMNS="400")
    assert plain.stdout.splitlines() == [f"{file}: {problem}" for problem in found["problems"]]
