"""Asks the collector and caches its answers. When the collector is gone, the last answer is shown and said to be old."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import streamlit as st
from plugwarden_collector.api.client import ApiError, CollectorClient, Path, Unreachable

from plugwarden_dashboards import visitor
from plugwarden_dashboards.signin import Session
from plugwarden_dashboards.visitor import VIA, at_this_machine

__all__ = ["Answer", "ask", "fetch", "look", "post"]

CACHE_SECONDS = 1.0
"""So many viewers cost one request; well below the quickest refresh."""
MAX_REMEMBERED = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """What the collector said, and when."""

    value: Any
    """None when it never said anything."""
    at: float
    """Unix time of the answer."""
    problem: str | None
    """Why this is not fresh; None when it is."""


class _Remembered:
    """The last good answers, bounded, shared by all sessions with the same token."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[tuple[Any, ...], tuple[Any, float]] = {}

    def put(self, key: tuple[Any, ...], value: Any, at: float) -> None:
        """Keep an answer."""
        with self._lock:
            self._answers.pop(key, None)
            self._answers[key] = (value, at)
            if len(self._answers) > MAX_REMEMBERED:
                del self._answers[next(iter(self._answers))]

    def get(self, key: tuple[Any, ...]) -> tuple[Any, float] | None:
        """The last answer to this question."""
        return self._answers.get(key)


@st.cache_resource(max_entries=100, show_spinner=False)
def _client(url: str, token: str | None, via: str | None) -> CollectorClient:
    return CollectorClient(url, token=token, timeout=5.0, via=via)


@st.cache_resource(show_spinner=False)
def _remembered() -> _Remembered:
    return _Remembered()


@st.cache_data(ttl=CACHE_SECONDS, max_entries=256, show_spinner=False)
def _ask(
    url: str, token: str | None, via: str | None, path: Path, parameters: tuple[tuple[str, Any], ...]
) -> tuple[Any, float]:
    return _client(url, token, via).get(path, **dict(parameters)), time.time()


def ask(path: Path, **parameters: Any) -> Any:
    """The answer to a GET below /api/v1, of a second ago at most; raises `ApiError`."""
    url, token, via = _address()
    with _taken():
        return _ask(url, token, via, path, _given(parameters))[0]


def fetch(path: Path, **parameters: Any) -> Answer:
    """The answer to a GET below /api/v1. Never raises for a collector that is gone; refusals raise `ApiError`."""
    url, token, via = _address()
    items = _given(parameters)
    key = (url, token, via, path, items)
    try:
        with _taken():
            value, at = _ask(url, token, via, path, items)
    except Unreachable as error:
        known = _remembered().get(key)
        return Answer(None, 0.0, str(error)) if known is None else Answer(known[0], known[1], str(error))
    _remembered().put(key, value, at)
    return Answer(value, at, None)


def _given(parameters: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((name, value) for name, value in parameters.items() if value not in (None, "")))


def post(path: Path, body: dict[str, Any]) -> Any:
    """The answer to a POST below /api/v1; raises `ApiError`."""
    if not at_this_machine():
        visitor.use()
    url, token, via = _address()
    with _taken():
        answer = _client(url, token, via).post(path, body)
    _ask.clear()
    return answer


def look(path: Path, body: dict[str, Any]) -> Any:
    """The answer to a POST below /api/v1 that does nothing; raises `ApiError`."""
    url, token, via = _address()
    with _taken():
        return _client(url, token, via).post(path, body)


def _address() -> tuple[str, str | None, str | None]:
    """The collector, whose token, and through whom the question comes."""
    url = os.environ.get("PLUGWARDEN_COLLECTOR_URL", "http://127.0.0.1:8420")
    if at_this_machine():
        return url, os.environ.get("PLUGWARDEN_TOKEN"), None
    session = visitor.session()
    if not isinstance(session, Session):
        st.rerun()  # the whole page, which then says why
    return url, session.token, VIA


@contextmanager
def _taken() -> Iterator[None]:
    """Sign out whom the collector does not know any more."""
    try:
        yield
    except ApiError as error:
        if error.status == 401 and not at_this_machine():
            visitor.refused()
        raise
