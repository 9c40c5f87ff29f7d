"""Which directives bear on an operation."""

from plugwarden.contract import Action, Directive, Newcomers, RejectionReason, Scope
from plugwarden.gate import by_plugin, resolve
from plugwarden.gate.rules import MAX_RULES

OPERATION = Scope("csv", "2.0.0", "export", "host-1")


def directive(action: Action, scope: Scope, share: float = 0.0, newcomers: Newcomers | None = None) -> Directive:
    return Directive(f"q-{scope}", action, scope, share, "because", newcomers)


def test_nothing_bears_on_an_operation_without_directives() -> None:
    assert resolve([], OPERATION) == ()


def test_another_plugin_or_version_is_left_alone() -> None:
    others = [directive(Action.ISOLATE, Scope("xml")), directive(Action.ISOLATE, Scope("csv", "1.9.0"))]
    assert resolve(others, OPERATION) == ()


def test_the_most_specific_directive_decides() -> None:
    rules = resolve(
        [directive(Action.ISOLATE, Scope("csv")), directive(Action.ALLOW, Scope("csv", "2.0.0", "export"))], OPERATION
    )
    assert rules[0].share_ratio == 1.0


def test_among_equals_the_strictest_decides() -> None:
    scope = Scope("csv", "2.0.0")
    rules = resolve([directive(Action.PROBE, scope, 0.5), directive(Action.ISOLATE, scope)], OPERATION)
    assert rules[0].share_ratio == 0.0
    assert rules[0].reason is RejectionReason.QUARANTINED


def test_an_unknown_version_starts_with_the_newcomer_share() -> None:
    isolated = directive(Action.ISOLATE, Scope("csv", "1.9.0"), newcomers=Newcomers(("1.8.0",), 0.05))
    rules = resolve([isolated], OPERATION)
    assert [rule.share_ratio for rule in rules] == [0.05]
    assert rules[0].reason is RejectionReason.PROBATION


def test_a_known_version_is_not_a_newcomer() -> None:
    isolated = directive(Action.ISOLATE, Scope("csv", "1.9.0"), newcomers=Newcomers(("2.0.0",), 0.05))
    assert resolve([isolated], OPERATION) == ()


def test_a_directive_for_the_version_itself_replaces_the_newcomer_share() -> None:
    isolated = directive(Action.ISOLATE, Scope("csv", "1.9.0"), newcomers=Newcomers((), 0.05))
    probed = directive(Action.PROBE, Scope("csv", "2.0.0"), 0.25)
    assert [rule.share_ratio for rule in resolve([isolated, probed], OPERATION)] == [0.25]


def test_a_newcomer_is_one_for_each_scope_that_was_isolated() -> None:
    newcomers = Newcomers((), 0.05)
    isolated = [
        directive(Action.ISOLATE, Scope("csv", "1.9.0", tenant="t1"), newcomers=newcomers),
        directive(Action.ISOLATE, Scope("csv", "1.9.0", tenant="t2"), newcomers=Newcomers((), 0.5)),
        directive(Action.ISOLATE, Scope("csv", "1.9.0", "import"), newcomers=newcomers),
    ]
    assert [(rule.tenant, rule.share_ratio) for rule in resolve(isolated, OPERATION)] == [("t1", 0.05), ("t2", 0.5)]


def test_the_strictest_share_of_a_newcomer_decides() -> None:
    isolated = [
        directive(Action.ISOLATE, Scope("csv", "1.8.0"), newcomers=Newcomers((), 0.05)),
        directive(Action.ISOLATE, Scope("csv", "1.9.0", tenant="t1"), newcomers=Newcomers((), 0.5)),
        directive(Action.ISOLATE, Scope("csv", "1.9.0"), newcomers=Newcomers((), 0.01)),
    ]
    assert [(rule.tenant, rule.share_ratio) for rule in resolve(isolated, OPERATION)] == [(None, 0.01)]


def test_a_directive_for_a_part_of_the_version_leaves_the_rest_of_it_a_newcomer() -> None:
    isolated = directive(Action.ISOLATE, Scope("csv", "1.9.0"), newcomers=Newcomers((), 0.05))
    part = directive(Action.PROBE, Scope("csv", "2.0.0", tenant="t1"), 0.25)
    found = resolve([isolated, part], OPERATION)
    assert [(rule.tenant, rule.share_ratio) for rule in found] == [("t1", 0.25), (None, 0.05)]
    another = directive(Action.ISOLATE, Scope("csv", "1.9.0", tenant="t2"), newcomers=Newcomers((), 0.05))
    found = resolve([another, part], OPERATION)
    assert [(rule.tenant, rule.share_ratio) for rule in found] == [("t1", 0.25), ("t2", 0.05)]


def test_rules_that_no_call_gets_to_are_left_out() -> None:
    tenants = [directive(Action.ISOLATE, Scope("csv", tenant=f"t{number}")) for number in range(5_000)]
    twice = [directive(Action.PROBE, Scope("csv", tenant="t1"), 0.5)]
    everybody = [directive(Action.PROBE, Scope("csv"), 0.5), directive(Action.ISOLATE, Scope("csv"))]
    rules = resolve([*tenants, *twice, *everybody], OPERATION)
    assert len(rules) == MAX_RULES
    assert len({rule.tenant for rule in rules}) == MAX_RULES
    assert (rules[-1].tenant, rules[-1].share_ratio) == (None, 0.0)


def test_directives_are_found_by_their_plugin() -> None:
    found = by_plugin([directive(Action.ISOLATE, Scope("csv")), directive(Action.ISOLATE, Scope("xml", "1"))])
    assert {name: len(items) for name, items in found.items()} == {"csv": 1, "xml": 1}
