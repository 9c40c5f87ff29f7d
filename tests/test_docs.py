"""The reference says everything there is, and the README's commands exist."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import plugwarden
import pytest
from plugwarden import Settings, testing
from plugwarden.command import COMMANDS
from plugwarden.contract import ErrorSource, Outcome, RejectionReason, attributes, metrics
from plugwarden.emulate.faults import KINDS
from plugwarden.touches import ENFORCEABLE
from plugwarden_collector.health.conditions import RULES, ConditionRule
from plugwarden_collector.receive.decode.schema import REQUESTS, narrow_request
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


@pytest.mark.parametrize("name", plugwarden.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    names = SIDECAR.split("## Public names")[1].split("\n## ")[0]
    assert re.search(rf"`{name}[`(]", names), f"{name} is not among the public names in the reference"


@pytest.mark.parametrize("name", [*testing.__all__, *testing.Recorded.__dataclass_fields__])
def test_everything_to_test_with_is_in_the_reference(name: str) -> None:
    section = SIDECAR.split("\n## Testing")[1].split("\n## ")[0]
    assert re.search(rf"`{name}[`(]", section), f"{name} is not in the reference"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_sidecar_is_in_its_reference(command: str) -> None:
    assert f"| `{command} " in SIDECAR.split("\n## Commands")[1].split("\n## ")[0]


def test_every_fault_and_option_of_an_emulation_is_in_its_page() -> None:
    page = (ROOT / "docs/how-to/emulate.md").read_text("utf-8")
    for kind in KINDS:
        assert re.search(rf"^\| .*`{kind}[`=]", page, re.MULTILINE), f"{kind} is not in the table of faults"
    command = [sys.executable, "-m", "plugwarden", "emulate", "--help"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    options = set(re.findall(r"^ +(--[a-z-]+)", text, re.MULTILINE))
    assert len(options) >= 10
    for option in options:
        assert f"`{option}" in page, f"{option} is not in the page"


@pytest.mark.parametrize("kind", [kind for kind in vars(plugwarden).values() if dataclasses.is_dataclass(kind)])
def test_every_field_of_what_a_host_declares_is_in_the_reference(kind: type) -> None:
    for field in dataclasses.fields(kind):
        if kind is not Settings:
            assert re.search(rf"[`(]([^`|]*\W)?{field.name}\b", SIDECAR), f"{kind.__name__}.{field.name} is not there"


@pytest.mark.parametrize("word", ENFORCEABLE)
def test_everything_that_can_be_demanded_is_in_the_reference(word: str) -> None:
    assert f"| `{word}` | {ENFORCEABLE[word]} |" in SIDECAR


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
    source = "".join((folder / name).read_text("utf-8") for name in ("health/metrics.py", "api/query_seats.py"))
    names = re.findall(r'"(plugwarden_[a-z_]+)"', source)
    assert len(names) > 20
    for name in names:
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
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        prose = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)#]+)\)", prose):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def files() -> set[str]:
    """Everything that is kept in the repository."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    return {*listed.stdout.splitlines()}


NOT_OURS = ("linux/", "asm/", "asm-generic/", "plugins/", "shop/", "whole_package/", "held_package/")
"""Beginnings of paths of headers of the kernel, of files of the reader's own in the how-tos, and of packages that tests make up."""


def test_files_that_pages_and_comments_name_are_there() -> None:
    kept = files()
    ends = {"/".join(parts[at:]) for file in kept for parts in [file.split("/")] for at in range(len(parts))}
    lost = []
    for file in sorted(kept):
        if not file.endswith((".md", ".py", ".sql", ".toml", ".c", ".h")) or file.startswith(
            ("CHANGELOG", "tests/hosts/")
        ):
            continue
        if "/migrations/" in file:
            continue  # they are never edited
        for line in (ROOT / file).read_text("utf-8").splitlines():
            for named in re.findall(
                r"(?<![\w./$:~{}-])((?:[\w.-]+/)+[\w-]+\.(?:py|sql|toml|md|c|h|sh))\b(?![\w/])", line
            ):
                there = named in ends or ((ROOT / file).parent / named).resolve().exists()
                if not there and not named.startswith(NOT_OURS):
                    lost.append(f"{file}: {named}")
    assert lost == []


def test_every_guarantee_is_held_by_a_test() -> None:
    page = (ROOT / "docs/explanation/guarantees.md").read_text("utf-8")
    tests = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
    }
    named = re.findall(r"`(test_\w+)`", page)
    assert len(named) >= 15
    assert [name for name in named if name not in tests] == []
    for row in re.findall(r"^\| .*\|$", page, re.MULTILINE)[2:]:
        assert "`test_" in row, f"no test holds: {row}"


def test_the_lock_names_versions_and_hashes_and_no_address() -> None:
    for lock in [ROOT / "requirements.lock", *(ROOT / "docker").glob("*.lock")]:
        text = lock.read_text("utf-8")
        assert "://" not in text
        assert "--index" not in text
        for block in re.split(r"\n(?=[a-z])", text):
            assert "--hash=sha256:" in block, f"{lock.name}: {block[:60]} has no hash"
