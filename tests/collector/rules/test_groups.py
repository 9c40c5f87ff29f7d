"""Hundreds of plugins in ten lines: groups, templates, and what objectives say to people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugwarden_collector.errors import RulesError
from plugwarden_collector.rules.file import Rules, load_rules, parse_rules
from plugwarden_collector.rules.lines import line_of, lines_in

from tests.collector.conftest import running
from tests.collector.support.command_line import plugwarden, plugwarden_process
from tests.docs_pages import write_files

TEN_LINES = """\
[group.media]
plugins = ["image-*", "thumb-*", "video"]
owner = "media"
runbook = "https://wiki.example.net/media"
labels = { tier = "2", area = "files" }
[group.billing]
plugins = "invoice-*"
[[template]]
name = "works"
objective = 0.99
"""


def rules_in(text: str) -> Rules:
    return parse_rules(text, "rules.toml")


def problems_of(text: str) -> list[str]:
    with pytest.raises(RulesError) as raised:
        rules_in(text)
    return raised.value.problems


def test_ten_lines_are_an_objective_for_each_group() -> None:
    media, billing = rules_in(TEN_LINES).objectives
    assert (media.name, billing.name) == ("media/works", "billing/works")
    assert (media.owner, media.runbook, media.labels) == (
        "media", "https://wiki.example.net/media", {"tier": "2", "area": "files"},
    )  # fmt: skip
    assert [name for name in ("image-a", "thumb-1", "video", "video-2", "invoice-eu", "audio") if media.covers(name)] == [
        "image-a", "thumb-1", "video",
    ]  # fmt: skip
    assert (billing.plugins, billing.owner, billing.labels) == ("invoice-*", "", {})


def test_a_template_is_for_the_groups_that_it_names_and_goes_before_them() -> None:
    text = TEN_LINES + 'groups = ["media"]\nowner = "export"\nlabels = { tier = "1" }\nfor = "1m"\n'
    (found,) = rules_in(text).objectives
    assert (found.owner, found.labels, found.for_seconds) == ("export", {"tier": "1", "area": "files"}, 60.0)


def test_an_slo_has_several_patterns_and_says_what_it_is_to_people() -> None:
    (found,) = rules_in(
        '[[slo]]\nname = "a"\nobjective = 0.99\nplugins = ["a*", "b"]\nowner = "core"\ndisplay_name = "A and B"\n'
        'description = """\nwhat = "it promises"\n"""\nrunbook = "Call us.\\nThen wait."\n[slo.labels]\ntier = "1"\n'
    ).objectives
    assert [name for name in ("a1", "b", "b1", "{a*,b}") if found.covers(name)] == ["a1", "b"]
    assert (found.owner, found.display_name, found.description) == ("core", "A and B", 'what = "it promises"\n')
    assert (found.runbook, found.labels) == ("Call us.\nThen wait.", {"tier": "1"})


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("objective = 0.5\n", "objective: not valid TOML: Cannot overwrite a value"),
        ('groups = ["medai"]', "template[0].groups: there is no group 'medai'; did you mean media? (line 11)"),
        ("groups = []", "template[0].groups: [] must be a list of groups, such as"),
        ('plugins = "*"', "template[0].plugins: a template has none; write them in the groups that it is for (line 11)"),
        ('ownr = "a"', "template[0].ownr: unknown; did you mean owner? (line 11)"),
        ('[[template]]\nname = "works"\nobjective = 0.999', "template[1].name: 'media/works' is given twice; each needs a name"),
        ('[[slo]]\nname = "media/works"\nobjective = 0.999', "template[0].name: 'media/works' is given twice"),
        ('[group.docs]\nowner = "x"', "group.docs.plugins: is missing; write the patterns of its plugins"),
        ('[group.docs]\nplugins = []', "group.docs.plugins: [] matches no plugin"),
        ('[group.docs]\nplugins = ["a,b", "c"]', "group.docs.plugins: 'a,b' is one of several, and holds {, } or a comma"),
        ('[group."d o"]\nplugins = "*"\n"labels" = { "2" = "x" }', "group.d o.labels.2: is no label's name; write letters, digits and _"),
        ('[group.docs]\nplugins = "*"\nlabels.owner = "x"', "group.docs.labels.owner: has a meaning of its own; write the key owner"),
        ('[group.docs]\nplugins = "*"\nlabels = 1', "group.docs.labels: 1 must be a table of texts"),
        ('[group.docs]\nplugins = "*"\nlabels = { tier = 2 }', "group.docs.labels.tier: 2 must be a non-empty string (line 13)"),
        ('[group.docs]\nplugins = "*"\nobjective = 0.9', "group.docs.objective: unknown; known are labels, owner, plugins, runbook"),
        ('owner = ""', "template[0].owner: '' must be a non-empty string (line 11)"),
        ('runbook = "a\\u0007"', "template[0].runbook: 'a\\x07' holds characters that cannot be seen; leave them out (line 11)"),
        (f'description = "{"a" * 5000}"', "template[0].description: has 5000 characters; shorten it to 4096, or give an address (line 11)"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_group_or_a_template_names_its_line(more: str, problem: str) -> None:
    found = problems_of(f"{TEN_LINES}{more}\n")
    assert len(found) == len(set(found))
    assert any(line.startswith(problem) for line in found), found


def test_a_template_without_a_group_makes_no_objective() -> None:
    (problem,) = problems_of('[[template]]\nname = "a"\nobjective = 0.99\n')
    assert problem.startswith("template[0].groups: [] must be a list of groups")
    (problem,) = problems_of("group = 1\n")
    assert problem == "group: write each one as a table headed [group.NAME] (line 1)"


def test_what_templates_make_is_bounded() -> None:
    groups = "".join(f'[group.g{number}]\nplugins = "p{number}-*"\n' for number in range(101))
    templates = "".join(f'[[template]]\nname = "t{number}"\nobjective = 0.99\n' for number in range(100))
    assert problems_of(groups + templates)[0].startswith("template: makes more than 10000 objectives in all")


def test_a_text_that_is_no_toml_names_its_line_and_none_of_an_address() -> None:
    (problem,) = problems_of('[[slo]]\nname = "a"\n[[receiver]]\nurl = "http://a/S3CR3T\nname = "b"\n')
    assert problem.startswith("url: not valid TOML: Illegal character")
    assert problem.endswith("(line 4)")
    assert "S3CR3T" not in problem


def test_lines_of_nested_tables_are_found() -> None:
    text = (
        '[[windows]]\nname = "a"\n[[windows.tier]]\nlong = 1\n[[windows.tier]]\nlong = 2\n[[windows]]\n[[windows.tier]]\n'
        'long.x = """\nlong = 9\n[policy]\n"""\n[ group . "a b" ]\n\'x\' = 1\n'
    )
    lines = lines_in(text)
    assert [line_of(lines, place) for place in (
        "windows[0].tier[1].long", "windows[1].tier[0].long.x", "windows[1].tier[0].short", "group.a b.x", "policy.hold", "windows[1].name",
    )] == [6, 9, 8, 14, None, 7]  # fmt: skip


def test_the_api_and_the_command_show_whose_an_objective_is(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(TEN_LINES)
    with running(tmp_path / "data", path) as collector:
        shown = collector.api.get("rules")["objectives"]
    assert [(item["name"], item["owner"], item["labels"].get("tier")) for item in shown] == [
        ("media/works", "media", "2"), ("billing/works", "", None),
    ]  # fmt: skip
    table = plugwarden_process("rules", "check", str(path), COLUMNS="200")  # rich reads the width once in a process
    assert (table.returncode, "owner" in table.stdout, "2 objectives" in table.stdout) == (0, True, True)
    found = json.loads(plugwarden("rules", "check", str(path), "--json").stdout)
    assert [item["runbook"] for item in found["slos"]] == ["https://wiki.example.net/media", ""]


def test_the_pages_groups_and_windows_are_read(tmp_path: Path) -> None:
    assert write_files("how-to/rules.md", tmp_path) == [
        "groups.toml",
        "parts.toml",
        "slices.toml",
        "saturation.toml",
        "openslo.yaml",
        "calendar.toml",
        "windows.toml",
    ]
    found, (exports,), (brisk,) = (
        load_rules(tmp_path / name).objectives for name in ("groups.toml", "openslo.yaml", "windows.toml")
    )
    (room,) = load_rules(tmp_path / "saturation.toml").objectives
    assert (room.measured, room.min_events, room.isolates) == ("saturation", 5, False)
    assert (exports.plugins, exports.owner, brisk.burn_windows.name) == ("export-*", "media", "brisk")
    assert [(item.name, item.labels.get("tier")) for item in found] == [
        ("media/works", "2"), ("billing/works", None), ("media/fast", "3"),
    ]  # fmt: skip
