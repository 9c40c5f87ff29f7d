"""What an objective promises, in words that people read on the page of its budget."""

from __future__ import annotations

import pytest
from plugwarden_collector.rules.file import parse_rules
from plugwarden_collector.rules.promise import promise_of


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('sli = "availability"', "99 % of calls do not fail through the plugin's fault, over 30 d, up to now."),
        (
            'sli = "latency"\nthreshold = "250ms"',
            "99 % of calls are answered within 250 ms, over 30 d, up to now.",
        ),
        (
            'sli = "saturation"\nresource = "concurrency"\nthreshold = 0.8',
            "99 % of minutes with calls and a known limit stay below 80 % of that limit of concurrent calls, over 30 d, up to now. "
            "It is for people alone: the automation isolates nothing for it.",
        ),
    ],
    ids=["availability", "latency", "saturation"],
)
def test_an_objective_says_what_it_promises(keys: str, said: str) -> None:
    (objective,) = parse_rules(f'[[slo]]\nname = "x"\nobjective = 0.99\n{keys}\n', "rules.toml").objectives
    assert promise_of(objective) == said
