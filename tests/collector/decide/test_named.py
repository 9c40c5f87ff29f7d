"""Who names what was never called is told."""

from __future__ import annotations

from datetime import datetime

import pytest
from plugwarden.contract import Scope
from plugwarden_collector.decide.named import ensure_called, never_called
from plugwarden_collector.decide.standing import Standing
from plugwarden_collector.errors import ConflictError

STANDING = Standing(versions={("csv", "1.4.0"): datetime(2026, 1, 1), ("geo", "2"): datetime(2026, 1, 1)})


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        (Scope("csv"), None),
        (Scope("csv", "1.4.0"), None),
        (Scope("csv", "1.4.1"), "nobody has called version 1.4.1 of csv so far; did you mean 1.4.0?"),
        (Scope("geo", "beta"), "nobody has called version beta of geo so far"),
        (Scope("cvs", "1.4.0"), "nobody has called cvs so far; did you mean csv?"),
        (Scope("pdf"), "nobody has called pdf so far"),
    ],
)
def test_what_was_never_called_is_said_with_the_nearest_name(scope: Scope, said: str | None) -> None:
    assert never_called(scope, STANDING) == said


def test_a_refusal_names_what_is_known_and_how_to_go_on() -> None:
    ensure_called(Scope("csv", "1.4.0"), STANDING)
    with pytest.raises(
        ConflictError, match=r"pdf so far\. Known plugins: csv, geo\. To isolate it for when it comes: force"
    ):
        ensure_called(Scope("pdf"), STANDING)
    with pytest.raises(ConflictError, match="Known versions of geo: 2"):
        ensure_called(Scope("geo", "3"), STANDING)
    with pytest.raises(ConflictError, match="No plugin is known yet"):
        ensure_called(Scope("geo"), Standing())
    many = Standing(versions={("csv", f"1.{number}"): datetime(2026, 1, 1) for number in range(30)})
    with pytest.raises(ConflictError, match=r"1\.17, …"):
        ensure_called(Scope("csv", "2"), many)
