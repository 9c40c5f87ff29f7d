"""When it is time to act, and what is said of it: patience, newcomers, places that hosts can be told of."""

from __future__ import annotations

from datetime import timedelta

import pytest
from plugwarden.contract import OVERFLOW, Scope
from plugwarden_collector.audit.entries import Draft
from plugwarden_collector.rules.policy import Enforcement

from tests.collector.decide.sentences import sentences
from tests.collector.support.played_fleet import AT, Fleet, kinds, rules_with

pytestmark = pytest.mark.usefixtures("comes_out_again")


def seconds_until_isolated(fleet: Fleet, bad: int, seconds: float = 20.0, **where: object) -> float:
    """Calls fail from now on. Return after how long the plugin is isolated."""
    begin = fleet.at
    fleet.play(seconds, lambda: fleet.arrive("csv", "1", 10, bad, **where), step=0.25)  # type: ignore[arg-type]
    (made,) = [item for item in fleet.made if item.kind == "quarantined"]
    return (made.at - begin).total_seconds()


@pytest.fixture
def fleet() -> Fleet:
    found = Fleet()
    found.has_past("csv")
    return found


def test_what_fails_wholly_is_isolated_within_a_second(fleet: Fleet) -> None:
    assert seconds_until_isolated(fleet, 10) <= 1.0


def test_it_is_told_when_something_that_waits_may_be_acted_on(fleet: Fleet) -> None:
    fleet.arrive("csv", "1", 10, 10)
    begin, changes = fleet.at, fleet.tick()
    assert changes.look_at is not None
    assert changes.look_at > begin
    fleet.at = changes.look_at
    changes = fleet.tick()
    assert kinds(changes) == ["quarantined"]
    assert changes.look_at is None, "nothing waits any more"


def test_what_fails_in_part_must_go_on_for_longer_than_a_hiccup(fleet: Fleet) -> None:
    assert 3.0 <= seconds_until_isolated(fleet, 6) <= 4.0


def test_errors_that_point_outward_give_others_time_to_fail_as_well(fleet: Fleet) -> None:
    assert 6.0 <= seconds_until_isolated(fleet, 10, error="ConnectionError") <= 7.0


def test_a_hiccup_that_is_over_isolates_nobody(fleet: Fleet) -> None:
    fleet.play(1, lambda: fleet.arrive("csv", "1", 10, 6))
    assert fleet.play(30, lambda: fleet.arrive("csv", "1", 10)) == []


def test_a_version_that_has_only_just_begun_is_left_alone(fleet: Fleet) -> None:
    fleet.versions["csv", "2"] = fleet.at
    fleet.arrive("csv", "1")
    assert fleet.play(5, lambda: fleet.arrive("csv", "2", 10, 10)) == []
    assert "quarantined" in fleet.play(3, lambda: fleet.arrive("csv", "2", 10, 10))


def test_a_version_that_stumbles_while_it_starts_is_never_isolated(fleet: Fleet) -> None:
    fleet.versions["csv", "2"] = fleet.at
    fleet.play(3, lambda: fleet.arrive("csv", "2", 10, 6))
    assert fleet.play(60, lambda: fleet.arrive("csv", "2", 10), step=1) == []


@pytest.mark.parametrize("norm", [1, 2])
def test_what_is_over_isolates_nobody_though_some_calls_fail_as_they_always_did(norm: int) -> None:
    """A release that stumbles for three seconds: what is left afterwards is its norm, and the evidence of before."""
    fleet = Fleet()
    fleet.has_past("csv", failed_ratio=norm / 50)
    fleet.versions["csv", "2"] = fleet.at
    fleet.play(3, lambda: fleet.arrive("csv", "2", 50, 24), step=0.25)
    assert "quarantined" not in fleet.play(30, lambda: fleet.arrive("csv", "2", 50, norm), step=0.25)


def test_no_process_makes_look_well_what_fails_in_the_others(fleet: Fleet) -> None:
    """One sender tells of so many good calls that what is left of the failures looks like a trifle."""

    def step() -> None:
        fleet.arrive("csv", "1", 10, 6, on=("h1", "h2", "h3"))
        fleet.arrive("csv", "1", 400, on=("h9",))

    assert "quarantined" in fleet.play(12, step, step=0.25)


def test_one_failure_of_what_is_called_seldom_isolates_nobody(fleet: Fleet) -> None:
    failing = iter([1] + [0] * 60)
    assert fleet.play(600, lambda: fleet.arrive("csv", "1", 1, next(failing), on=("h1",)), step=10) == []
    assert fleet.open_ones() == []


def test_a_norm_of_two_in_a_hundred_isolates_nobody() -> None:
    fleet = Fleet()
    fleet.has_past("csv", failed_ratio=0.02)
    failing = iter([1, 0, 0, 0, 0] * 200)
    assert fleet.play(120, lambda: fleet.arrive("csv", "1", 10, next(failing), on=("h1",)), step=1) == []


def test_the_dearer_a_mistake_the_more_failures_are_waited_for() -> None:
    calls = []
    for cost in (1.0, 1e12):
        fleet = Fleet(rules_with(cost_of_wrong_isolation=cost))
        fleet.has_past("csv")
        fleet.play(60, lambda fleet=fleet: fleet.arrive("csv", "1", 1, 1, on=("h1",)), step=1)  # type: ignore[misc]
        (made,) = [item for item in fleet.made if item.kind == "quarantined"]
        calls.append((made.at - AT).total_seconds())
    assert calls[0] < calls[1] < 40


def test_a_machine_is_named_by_its_processes(fleet: Fleet) -> None:
    def one_machine_fails() -> None:
        for machine in ("m1", "m2", "m3"):
            hosts = [f"{machine}-a", f"{machine}-b"]
            fleet.arrive("csv", "1", 20, 20 if machine == "m1" else 0, machine=machine, on=hosts)

    fleet.play(10, one_machine_fails)
    assert {(scope.plugin, scope.instance) for scope in fleet.told} == {("csv", "m1-a"), ("csv", "m1-b")}


def test_one_tenant_is_isolated_and_the_others_go_on(fleet: Fleet) -> None:
    def one_tenant_fails() -> None:
        for tenant in ("acme", "globex", "initech"):
            fleet.arrive("csv", "1", 20, 20 if tenant == "acme" else 0, tenant=tenant)

    fleet.play(10, one_tenant_fails)
    assert {(scope.plugin, scope.tenant) for scope in fleet.told} == {("csv", "acme")}


def test_no_scope_is_told_that_stands_for_many(fleet: Fleet) -> None:
    fleet.has_past("csv", OVERFLOW)
    fleet.play(10, lambda: fleet.arrive("csv", OVERFLOW, 10, 10))
    assert not any(OVERFLOW in scope.as_dict().values() for scope in fleet.told)


def test_slowness_is_judged_as_failure_is(fleet: Fleet) -> None:
    def slow_in_one_operation() -> None:
        fleet.arrive("csv", "1", 20, 0, slow=20)
        fleet.arrive("csv", "1", 20, 1, operation="read")  # an unrelated error says nothing of where it is slow

    fleet.has_past("csv", operation="read")
    fleet.play(15, slow_in_one_operation)
    assert Scope("csv", "1", operation="x") in fleet.told
    assert "took longer than 250 ms" in next(item for item in fleet.made if item.kind == "quarantined").reason


@pytest.mark.parametrize("how", Enforcement)
def test_what_is_said_has_four_sentences_at_most_and_numbers_that_were_counted(how: Enforcement) -> None:
    fleet = Fleet(rules_with(enforcement=how))
    for version in ("1", "2"):
        fleet.has_past("csv", version)

    def second_fails() -> None:
        fleet.arrive("csv", "1", 10)
        fleet.arrive("csv", "2", 10, 10)

    fleet.play(10, second_fails)
    made: Draft = fleet.made[0]
    assert 1 <= sentences(made.reason) <= 4
    evidence = made.evidence
    assert evidence is not None
    assert made.reason.startswith(f"{evidence['bad']} of {evidence['total']} calls failed in csv version=2")
    assert "100 % of them are ValueError." in made.reason
    assert "Elsewhere csv fails in 0 of" in made.reason
    assert evidence["nats"] >= evidence["enough_nats"]
    assert evidence["alternatives"]
    assert made.at - evidence["since"] <= timedelta(seconds=2)


# -- doubt ------------------------------------------------------------------------------------------------------------


def test_what_fails_for_one_tenant_waits_where_others_begin_to_fail_for_it_too(fleet: Fleet) -> None:
    """Before, the plugin that is called most was isolated for what its tenant did to all of them."""
    for name in ("geo", "pdf", "xml"):
        fleet.has_past(name)

    def one(*others: str) -> None:
        for tenant in ("a", "b", "c"):
            fleet.arrive("csv", "1", 6, 6 if tenant == "a" else 0, tenant=tenant)
            for name in ("geo", "pdf", "xml"):
                failing = (
                    1
                    if name in others and tenant == "a" and fleet.at.second % 2 == 0 and not fleet.at.microsecond
                    else 0
                )
                fleet.arrive(name, "1", 1, failing, tenant=tenant)

    begin = fleet.at
    fleet.play(6, lambda: one("geo", "pdf"), step=0.5)
    assert fleet.told == set()
    fleet.play(8, one, step=0.5)
    assert fleet.told == {Scope("csv", "1", tenant="a")}
    (made,) = [item for item in fleet.made if item.kind == "quarantined"]
    assert (made.at - begin).total_seconds() <= 12


def test_a_tenant_that_others_are_called_for_most_is_not_in_doubt_for_their_ordinary_failures(fleet: Fleet) -> None:
    """Before, a fault of one tenant waited a minute: that nearly all of the others' calls are that tenant's looked like its trouble."""
    names = ("geo", "pdf", "xml", "png", "svg", "txt")
    for name in names:
        fleet.has_past(name, failed_ratio=0.02)
    turn = 0

    def one(bad: int) -> None:
        nonlocal turn
        turn += 1
        for number, name in enumerate(names):
            fleet.arrive(name, "1", 20, int((turn + number) % 3 == 0), tenant="a", on=("h1",))
            fleet.arrive(name, "1", 1, 0, tenant="b", on=("h1",))
        for tenant in ("a", "b", "c"):
            fleet.arrive("csv", "1", 5, bad if tenant == "a" else 0, tenant=tenant, error="KeyError")

    fleet.play(10, lambda: one(0), step=0.5)
    begin = fleet.at
    fleet.play(12, lambda: one(5), step=0.5)
    (made,) = [item for item in fleet.made if item.kind == "quarantined"]
    assert made.scope == "csv@1 tenant=a"
    assert (made.at - begin).total_seconds() <= 4


def test_what_fails_in_one_process_waits_while_others_go_on_failing_there(fleet: Fleet) -> None:
    """A host that is slow hurts the plugins that are called least, too, but in calls too few to tell each of them by itself."""
    names = ("geo", "pdf", "xml", "png")
    for name in names:
        fleet.has_past(name)
    turn = 0

    def one(*, others: bool) -> None:
        nonlocal turn
        turn += 1
        for instance in ("h0", "h1", "h2", "h3", "h4"):
            fleet.arrive("csv", "1", 6, 6 if instance == "h0" else 0, on=(instance,))
            for number, name in enumerate(names):
                failing = others and instance == "h0" and turn % 8 == 2 * number
                fleet.arrive(name, "1", 3, int(failing), on=(instance,))

    fleet.play(25, lambda: one(others=True), step=0.5)
    assert fleet.told == set()
    fleet.play(8, lambda: one(others=False), step=0.5)
    assert fleet.told == {Scope("csv", instance="h0")}


def test_a_plugin_that_fails_everywhere_hides_no_others_that_fail_in_a_place(fleet: Fleet) -> None:
    """Before, its bad calls elsewhere made it look as if the others' fell where calls do."""
    for name in ("geo", "pdf", "bad"):
        fleet.has_past(name)

    def one() -> None:
        for instance in ("h0", "h1", "h2", "h3", "h4"):
            fleet.arrive("bad", "1", 6, 6, on=(instance,))
            fleet.arrive("csv", "1", 6, 6 if instance == "h0" else 0, on=(instance,))
            for name in ("geo", "pdf"):
                failing = instance == "h0" and fleet.at.second % 2 == 0 and not fleet.at.microsecond
                fleet.arrive(name, "1", 3, int(failing), on=(instance,))

    fleet.play(8, one, step=0.5)
    assert fleet.told == {Scope("bad", "1")}


def test_a_plugin_with_errors_of_its_own_does_not_wait_for_those_that_its_place_explains(fleet: Fleet) -> None:
    """A long doubt is about what nothing explains: an incident of the host is weighed against the plugin's fault already."""
    names = ("geo", "pdf", "xml", "png")
    for name in names:
        fleet.has_past(name)

    def one() -> None:
        for instance in ("h0", "h1", "h2", "h3", "h4"):
            slow = instance == "h0"
            fleet.arrive("csv", "1", 6, 3 if slow else 0, on=(instance,), error="KeyError")
            for name in names:
                fleet.arrive(name, "1", 6, 3 if slow else 0, on=(instance,), error="OSError")

    fleet.play(12, one, step=0.5)
    assert fleet.told == {Scope("csv", instance="h0")}


@pytest.mark.parametrize(
    ("error", "others", "waits"),
    [
        ("ConnectionError", "ConnectionError", True),
        ("ConnectionError", "KeyError", False),
        ("KeyError", "KeyError", False),
    ],
)
def test_errors_that_point_outward_wait_where_others_begin_to_fail_like_it_at_the_same_time(
    fleet: Fleet, error: str, others: str, *, waits: bool
) -> None:
    """Before, the plugin that is called most was isolated for a downstream that others had called too seldom yet; and in a large fleet
    it waited for any stray."""
    fleet.has_past("geo")
    turn = 0

    def one() -> None:
        nonlocal turn
        turn += 1
        fleet.arrive("csv", "1", 8, 6, error=error)
        if turn in (2, 6):
            fleet.arrive("geo", "1", 1, 1, on=("h1",), error=others)

    fleet.play(9, one, step=0.5)
    assert (fleet.told == set()) is waits
    fleet.play(6, lambda: fleet.arrive("csv", "1", 8, 6, error=error), step=0.5)
    assert fleet.told == {Scope("csv", "1")}


def test_errors_of_its_own_are_acted_on_while_another_waits_for_who_began_at_the_same_time(fleet: Fleet) -> None:
    """What the other waits for stands in what the decision rests on: before, such a decision could not be made again."""
    for name in ("geo", "pdf"):
        fleet.has_past(name)
    turn = 0

    def one() -> None:
        nonlocal turn
        turn += 1
        fleet.arrive("csv", "1", 10, 10, error="KeyError")
        fleet.arrive("pdf", "1", 10, 8, error="ConnectionError")
        fleet.arrive("geo", "1", 10, int(turn % 3 == 0), on=("h1",))

    fleet.play(8, one)
    assert fleet.told == {Scope("csv", "1"), Scope("pdf", "1")}


def test_where_the_others_are_well_a_tenant_is_isolated_soon(fleet: Fleet) -> None:
    begin = fleet.at

    def one() -> None:
        for tenant in ("a", "b", "c"):
            fleet.arrive("csv", "1", 6, 6 if tenant == "a" else 0, tenant=tenant)

    fleet.play(6, one, step=0.5)
    (made,) = [item for item in fleet.made if item.kind == "quarantined"]
    assert (made.at - begin).total_seconds() <= 3


def test_a_new_version_that_stumbled_is_left_alone_while_its_last_calls_may_be_well(fleet: Fleet) -> None:
    """Before, evidence of the stumble was enough as long as now and then a call failed."""
    fleet.versions["csv", "2"] = fleet.at
    fleet.arrive("csv", "1")
    fleet.play(3, lambda: fleet.arrive("csv", "2", 10, 6))
    assert fleet.play(8, lambda: fleet.arrive("csv", "2", 1, 0, refused=4)) == []
    assert fleet.play(30, lambda: fleet.arrive("csv", "2", 10)) == []


def test_two_ordinary_failures_of_a_new_version_weigh_no_more_than_the_good_calls_before_them(fleet: Fleet) -> None:
    """Before, the newest two seconds alone said whether its last calls leave it open: two of nine failed, of thirteen in four."""
    fleet.versions["csv", "2"] = fleet.at
    fleet.arrive("csv", "1")
    fleet.play(3, lambda: fleet.arrive("csv", "2", 3, 3, on=("h1",)))
    fleet.play(3, lambda: None)
    told = iter([(1, 0), (3, 0), (0, 0), (3, 0), (6, 2), (0, 0), (0, 0)])
    assert fleet.play(3.5, lambda: fleet.arrive("csv", "2", *next(told), on=("h1",)), step=0.5) == []


def test_a_version_that_stumbled_long_ago_is_not_isolated_for_stray_failures(fleet: Fleet) -> None:
    """Before, its last six seconds were too few calls to say anything, and the stumble's evidence stood."""
    hosts = ("h1", "h2", "h3", "h4")
    fleet.versions["csv", "2"] = fleet.at
    fleet.arrive("csv", "1")
    fleet.play(3, lambda: fleet.arrive("csv", "2", 5, 3, on=hosts))
    assert fleet.play(17, lambda: fleet.arrive("csv", "2", 1, on=hosts[:2])) == []
    turn = 0

    def one() -> None:
        nonlocal turn
        turn += 1
        fleet.arrive("csv", "2", 1, on=hosts[turn % 2 :: 2])
        if turn % 10 == 0:
            fleet.arrive("csv", "2", 1, 1, on=("h1",))

    assert fleet.play(15, one) == []

    def another_fails() -> None:
        one()
        fleet.arrive("geo", "1", 10, 10)

    fleet.has_past("geo")
    assert fleet.play(1, another_fails) == ["quarantined"]


def test_a_new_version_that_fails_on_behind_its_breakers_is_isolated(fleet: Fleet) -> None:
    fleet.versions["csv", "2"] = fleet.at
    fleet.arrive("csv", "1")
    fleet.play(4, lambda: fleet.arrive("csv", "2", 10, 10))
    assert fleet.play(8, lambda: fleet.arrive("csv", "2", 2, 2, refused=4)) == ["quarantined"]


def test_a_new_version_is_new_though_the_clock_of_its_host_is_behind(fleet: Fleet) -> None:
    """Before, it was as old as the clock was behind, and had no grace."""
    fleet.play(1, lambda: fleet.arrive("csv", "1"))
    fleet.versions["csv", "2"] = fleet.at - timedelta(seconds=40)
    assert fleet.play(5, lambda: fleet.arrive("csv", "2", 10, 10)) == []
    assert "quarantined" in fleet.play(4, lambda: fleet.arrive("csv", "2", 10, 10))
