"""Who acted is the token; who they say to be stands apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.api.client import ApiError, CollectorClient
from plugwarden_collector.audit.actor import claimed
from plugwarden_collector.errors import SettingsError
from plugwarden_collector.web.auth import read_tokens

from tests.collector.conftest import Running
from tests.collector.support.sealed_log import CI


def test_who_acts_is_the_token_and_who_they_say_to_be_stands_apart(guarded: Running) -> None:
    api = CollectorClient(guarded.url, token=CI)
    held = api.post("quarantine", {"force": True, "plugin": "a", "reason": "one", "actor": "root (through operator)"})
    api.post(f"quarantine/{held['id']}/release", {"reason": "two", "actor": "x\n2026 released by carol\u202e"})
    silence = api.post(
        "silences", {"matchers": {"plugin": "a"}, "seconds": 60, "comment": "three", "actor": "<b>root</b>"}
    )
    api.post(f"silences/{silence['id']}/end", {"reason": "four"})
    api.post("automation", {"frozen": True, "reason": "five", "actor": "ann"})
    api.post("automation", {"frozen": False, "reason": "six", "actor": "ann"})
    log = api.get("audit", stream="decisions")
    assert {row["actor"] for row in log} == {"ci"}
    assert [(row["kind"], row["reason"], row["says"]) for row in reversed(log)] == [
        ("quarantined", "one", "root (through operator)"),
        ("released", "two", "x 2026 released by carol\N{REPLACEMENT CHARACTER}"),
        ("silenced", "three", "<b>root</b>"),
        ("unsilenced", "four", None),
        ("frozen", "five", "ann"),
        ("unfrozen", "six", "ann"),
    ]
    assert api.get("quarantine")[0]["actor"] == 'ci (says: "root (through operator)")'
    assert silence["created_by"] == 'ci (says: "<b>root</b>")'
    api.close()


@pytest.mark.parametrize(
    "name", ["automation", " Automation ", "auto\u200bmation", "ａutomation", "Local  Operator", "plugwarden"]
)
def test_nobody_can_say_to_be_the_automation(shared: Running, name: str) -> None:
    with pytest.raises(ApiError, match="stands for the collector itself") as refusal:
        shared.api.post("quarantine", {"force": True, "plugin": "a", "reason": "why", "actor": name})
    assert refusal.value.status == 422
    assert shared.api.get("audit", stream="decisions") == []


@given(st.text(max_size=300))
def test_what_is_said_is_one_bounded_line_that_misleads_nobody(text: str) -> None:
    try:
        said = claimed(text)
    except ValueError:
        return
    assert said is None or (len(said) <= 200 and said.isprintable() and '"' not in said)


@pytest.mark.parametrize("name", ["automation", "Plugwarden", "a(b)", 'a"b', "a" * 65, "a\u202eb"])
def test_a_token_cannot_have_a_name_that_stands_for_something_else(name: str, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"{name} read {'r' * 32}\n")
    with pytest.raises(SettingsError, match="line 1"):
        read_tokens({"PLUGWARDEN_TOKENS_FILE": str(tmp_path / "tokens")})
