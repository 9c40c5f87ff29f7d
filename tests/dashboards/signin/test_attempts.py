"""How often one may try."""

from __future__ import annotations

from plugwarden_dashboards.signin import Attempts
from plugwarden_dashboards.signin.attempts import MOST_ADDRESSES, OF_ALL, OF_ONE


def test_an_address_that_guesses_waits_and_others_do_not() -> None:
    attempts = Attempts()
    assert [attempts.take("a", 0) for _ in range(int(OF_ONE.most))] == [0] * int(OF_ONE.most)
    assert attempts.take("a", 0) == OF_ONE.seconds
    assert attempts.take("a", OF_ONE.seconds / 4) == OF_ONE.seconds * 3 / 4  # and being refused costs nothing
    assert attempts.take("b", 0) == 0
    assert attempts.take("a", OF_ONE.seconds) == 0
    assert attempts.take("a", OF_ONE.seconds) > 0


def test_who_makes_up_addresses_is_held_by_what_all_may() -> None:
    attempts = Attempts()
    taken = sum(attempts.take(f"made up {number}", 0) == 0 for number in range(10 * MOST_ADDRESSES))
    assert taken == OF_ALL.most
    assert attempts.take("somebody", 0) == OF_ALL.seconds
    assert attempts.take("somebody", OF_ALL.seconds) == 0


def test_what_did_not_fail_is_given_back_and_no_more() -> None:
    attempts = Attempts()
    for _ in range(100):
        assert attempts.take("a", 0) == 0
        attempts.give_back("a", 0)
    attempts.give_back("a", 0)
    assert [attempts.take("a", 0) == 0 for _ in range(6)] == [True] * 5 + [False]


def test_a_clock_that_is_set_back_gives_nothing() -> None:
    attempts = Attempts()
    for _ in range(5):
        attempts.take("a", 1000)
    assert attempts.take("a", 0) == OF_ONE.seconds
