"""The reference says everything there is, and the README's commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from plugwarden import Settings
from plugwarden.contract import ErrorSource, Outcome, RejectionReason, attributes, metrics
from plugwarden_collector.health.conditions import RULES, ConditionRule
from plugwarden_collector.receive.schema import REQUESTS, narrow_request
from plugwarden_collector.store import Database

ROOT = Path(__file__).parents[1]
SIDECAR = (ROOT / "docs/reference/sidecar.md").read_text("utf-8")
OTLP = (ROOT / "docs/reference/otlp.md").read_text("utf-8")
COLLECTOR = (ROOT / "docs/reference/collector.md").read_text("utf-8")


@pytest.mark.parametrize("name", [spec.name for spec in metrics.ALL])
def test_every_metric_is_in_the_reference(name: str) -> None:
    assert f"`{name}`" in SIDECAR


@pytest.mark.parametrize("key", [value for name, value in vars(attributes).items() if name.isupper()])
def test_every_attribute_is_in_the_reference(key: str) -> None:
    assert f"`{key}`" in SIDECAR


@pytest.mark.parametrize("name", list(Settings.__dataclass_fields__))
def test_every_setting_is_in_the_reference(name: str) -> None:
    assert f"`{name}`" in SIDECAR or name == "resource"


@pytest.mark.parametrize("word", [*Outcome, *ErrorSource, *RejectionReason])
def test_every_fixed_word_is_in_the_reference(word: str) -> None:
    assert f"`{word}`" in SIDECAR


def test_every_command_is_in_the_reference() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "plugwarden_collector", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    commands = re.findall(r"^  ([a-z]+)  ", text.split("Commands:")[1], re.MULTILINE)
    assert len(commands) >= 15
    for name in commands:
        assert re.search(rf"`{name}\b", COLLECTOR), f"{name} is not in the reference"


def test_every_view_is_in_the_reference(tmp_path: Path) -> None:
    database = Database(tmp_path)
    with database.reading() as cursor:
        views = [row[0] for row in cursor.execute("select view_name from duckdb_views() where not internal").fetchall()]
    database.close()
    for view in {*views} - {"call_rows"}:
        assert f"`{view}`" in COLLECTOR, f"{view} is not in the reference"


def test_every_metric_of_the_collector_is_in_the_reference() -> None:
    folder = ROOT / "collector/plugwarden_collector"
    source = "".join((folder / name).read_text("utf-8") for name in ("telemetry.py", "api/sql.py"))
    for name in re.findall(r'"(plugwarden_[a-z_]+)"', source):
        assert f"`{name}`" in COLLECTOR or f"`{name}_total`" in COLLECTOR, f"{name} is not in the reference"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_condition_of_the_collector_is_in_the_reference(rule: ConditionRule) -> None:
    assert f"| `{rule.name}` | {rule.severity} |" in COLLECTOR


def test_every_field_of_otlp_that_is_not_read_is_in_the_reference() -> None:
    unread: set[str] = set()
    for signal, request in REQUESTS.items():
        unread |= _unread(request.DESCRIPTOR, narrow_request(signal), set())
    assert len(unread) > 10
    text = OTLP.split("## What is not stored")[1].split("\n## ")[0]
    for name in sorted(unread):
        assert f"`{name}`" in text, f"otlp.md does not say that {name} is not stored"


def _unread(full: Any, narrow: Any, seen: set[str]) -> set[str]:
    """Fields of a message and of those within it that our view of it has not."""
    if full.full_name in seen:
        return set()
    seen.add(full.full_name)
    found = {field.name for field in full.fields} - {field.name for field in narrow.fields}
    for field in full.fields:
        ours = narrow.fields_by_name.get(field.name)
        if ours is not None and ours.message_type is not None:
            found |= _unread(field.message_type, ours.message_type, seen)
    return found


def test_links_between_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_the_lock_names_versions_and_hashes_and_no_address() -> None:
    for lock in [ROOT / "requirements.lock", *(ROOT / "docker").glob("*.lock")]:
        text = lock.read_text("utf-8")
        assert "://" not in text
        assert "--index" not in text
        for block in re.split(r"\n(?=[a-z])", text):
            assert "--hash=sha256:" in block, f"{lock.name}: {block[:60]} has no hash"
