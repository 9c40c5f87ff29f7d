"""Who is signed in, and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from plugwarden_dashboards.signin import Ended, Session, Sessions
from plugwarden_dashboards.signin.sessions import IDLE_SECONDS, MOST, MOST_OF_ONE, OLD_SECONDS


def test_a_session_is_its_person_with_their_token_and_nobody_elses() -> None:
    sessions = Sessions()
    alice, bob = sessions.begin("a" * 16, "alice", 0), sessions.begin("b" * 16, "bob", 0)
    assert alice != bob
    assert len(alice) >= 43  # 256 bits
    assert sessions.look(alice, 1) == Session("a" * 16, "alice", 0, 0)
    assert sessions.look(bob, 1) == Session("b" * 16, "bob", 0, 0)
    assert sessions.look("", 1) is sessions.look(alice[:-1], 1) is sessions.look("\udcff", 1) is Ended.UNKNOWN


def test_looking_keeps_nobody_signed_in_and_doing_something_does() -> None:
    sessions = Sessions()
    looks, does = sessions.begin("t", "wall", 0), sessions.begin("t", "alice", 0)
    for at in (IDLE_SECONDS / 2, IDLE_SECONDS - 1):
        assert isinstance(sessions.look(looks, at), Session)
        assert isinstance(sessions.use(does, at), Session)
    assert sessions.look(looks, IDLE_SECONDS) is Ended.IDLE
    assert isinstance(sessions.look(does, 2 * IDLE_SECONDS - 2), Session)
    assert sessions.use(does, 2 * IDLE_SECONDS - 1) is Ended.IDLE
    assert sessions.use(does, 0) is Ended.IDLE  # it stays ended, whatever the clock says


@given(st.lists(st.floats(0, IDLE_SECONDS * 0.99), max_size=30))
def test_no_use_makes_a_session_last_longer_than_a_shift(pauses: list[float]) -> None:
    sessions, at = Sessions(), 0.0
    identity = sessions.begin("t", "alice", at)
    for pause in pauses:
        at += pause
        assert isinstance(sessions.use(identity, at), Session) == (at < OLD_SECONDS)
    assert sessions.look(identity, max(at, OLD_SECONDS)) in {Ended.OLD, Ended.IDLE}


def test_who_signed_out_is_told_so_and_holds_nothing_any_more() -> None:
    sessions = Sessions()
    identity, other = sessions.begin("token-of-alice", "alice", 0), sessions.begin("token-of-alice", "alice", 0)
    sessions.end(identity, Ended.OUT)
    sessions.end(identity, Ended.REFUSED)  # the first end is the end
    assert sessions.look(identity, 1) is Ended.OUT
    assert isinstance(sessions.look(other, 1), Session)  # another browser
    sessions.end("never begun", Ended.OUT)
    assert sessions.look("never begun", 1) is Ended.UNKNOWN


def test_sessions_are_bounded_and_nobody_puts_out_others_by_signing_in_often() -> None:
    sessions = Sessions()
    bob = sessions.begin("bob", "bob", 0)
    alices = [sessions.begin("alice", "alice", 0) for _ in range(MOST + 5)]
    assert isinstance(sessions.look(bob, 1), Session)
    assert [isinstance(sessions.look(identity, 1), Session) for identity in alices[-MOST_OF_ONE - 1 :]] == [
        False,
        *[True] * MOST_OF_ONE,
    ]
    assert sessions.look(alices[-MOST_OF_ONE - 1], 1) is Ended.CROWDED
    people = [sessions.begin(f"token {number}", "somebody", 0) for number in range(MOST)]
    assert sessions.look(bob, 1) is Ended.CROWDED
    assert all(isinstance(sessions.look(identity, 1), Session) for identity in people)
    assert sessions.look(alices[0], 1) is Ended.UNKNOWN  # ends are forgotten, too


def test_a_session_that_is_printed_says_no_token() -> None:
    sessions = Sessions()
    assert "secret" not in repr(sessions.look(sessions.begin("secret", "alice", 0), 0))
