"""Refusals: problem documents, and below /api/v2 what Alertmanager's clients read."""

from __future__ import annotations

import httpx2
import pytest

from tests.collector.conftest import Running


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "silence/none", 404), ("DELETE", "silence/none", 404), ("GET", "nowhere", 404), ("PUT", "silences", 405),
        ("POST", "silences", 400), ("GET", "alerts?filter=nonsense", 400), ("GET", "alerts?active=perhaps", 400),
        ("POST", "alerts", 415),
    ],
)  # fmt: skip
def test_a_refusal_is_a_text_as_alertmanagers(shared: Running, method: str, path: str, status: int) -> None:
    answer = httpx2.request(method, f"{shared.url}/api/v2/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert isinstance(answer.json(), str)


def test_who_may_not_is_told_so_as_alertmanager_would(shared: Running) -> None:
    answer = httpx2.get(f"{shared.url}/api/v2/alerts", headers={"host": "elsewhere.example"})
    assert answer.status_code == 400
    assert isinstance(answer.json(), str)
