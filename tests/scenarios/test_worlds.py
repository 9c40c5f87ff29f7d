"""Worlds in files, judged by the real code with time simulated: who is isolated, by when, and who is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.world import Run, judge, load_world, run

FILES = {path.stem: path for path in sorted((Path(__file__).parent / "worlds").glob("*.toml"))}
CASES = [(name, rules) for name, path in FILES.items() for rules in load_world(path).rules]


@pytest.mark.parametrize(("name", "rules"), CASES)
def test_a_world_comes_out_as_its_file_says(name: str, rules: str) -> None:
    found = run(load_world(FILES[name]), rules)
    verdict = judge(found)
    verdict.problems += [f"{at:.2f} s: {text}" for at, text in found.unlike]
    if verdict.problems:
        pytest.fail("\n".join([found.world.title, *verdict.problems, *account(found)]), pytrace=False)


def account(found: Run) -> list[str]:
    """What happened, a line each."""
    return [f"  {at:8.2f} s  {text}" for at, text in found.account]
