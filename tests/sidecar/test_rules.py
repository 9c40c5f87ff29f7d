"""Which directives bear on an operation."""

from plugwarden.contract import Action, Directive, Newcomers, RejectionReason, Scope
from plugwarden.gate import resolve

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
