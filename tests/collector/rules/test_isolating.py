"""Objectives of parts, of slices and of saturation are in nothing that isolates."""

from __future__ import annotations

import pytest
from plugwarden_collector.rules.file import Rules, parse_rules

WHOLE = '[[slo]]\nname = "whole"\nobjective = 0.99\n'
PARTS = {
    "versions": 'versions = "2.*"',
    "operations": 'operations = ["read", "list"]',
    "saturation": 'sli = "saturation"\nresource = "rate"\nthreshold = 0.8',
    "slices": 'slice = "1m"\nslice_objective = 0.95',
}


def rules_with(part: str) -> Rules:
    return parse_rules(f'{WHOLE}[[slo]]\nname = "part"\nobjective = 0.99\n{PARTS[part]}\n', "rules.toml")


@pytest.mark.parametrize("part", PARTS)
def test_an_objective_of_a_part_does_not_isolate(part: str) -> None:
    rules = rules_with(part)
    assert [item.name for item in rules.objectives] == ["whole", "part"]
    assert [item.name for item in rules.isolating] == ["whole"]
    assert rules.warnings == ()


@pytest.mark.parametrize("part", PARTS)
def test_a_file_in_which_nothing_isolates_is_warned_of(part: str) -> None:
    rules = parse_rules(f'[[slo]]\nname = "part"\nobjective = 0.99\n{PARTS[part]}\n', "rules.toml")
    assert rules.isolating == ()
    assert any("nothing is ever isolated" in warning for warning in rules.warnings)
