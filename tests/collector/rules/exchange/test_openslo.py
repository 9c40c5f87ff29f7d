"""OpenSLO's objects are read as what they promise of plugins' calls, by reference and inline, in both versions."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from plugwarden_collector.errors import RulesError
from plugwarden_collector.rules.exchange import formats
from plugwarden_collector.rules.file import Rules, load_rules, parse_rules
from plugwarden_collector.rules.objective import Sli
from plugwarden_collector.rules.period import Calendar, CalendarUnit
from plugwarden_collector.rules.slices import Slices
from plugwarden_collector.rules.yaml_text import documents_in

REFERRED = """\
apiVersion: openslo/v1
kind: Service
metadata: {name: files}
---
apiVersion: openslo/v1
kind: DataSource
metadata: {name: calls}
spec: {type: plugwarden, connectionDetails: {}}
---
apiVersion: openslo/v1
kind: SLI
metadata: {name: fast-calls}
spec:
  thresholdMetric:
    metricSource: {metricSourceRef: calls, spec: {plugins: ["csv-*", xlsx]}}
---
- apiVersion: openslo/v1
  kind: SLO
  metadata:
    name: exports
    displayName: Exports
    labels: {tier: ["1", gold], cost.centre: 7, owner: media}
  spec:
    description: Exports are fast.
    service: files
    indicatorRef: fast-calls
    timeWindow: [{duration: 4w, isRolling: true}]
    budgetingMethod: Occurrences
    objectives:
      - {displayName: mostly, op: lte, value: 0.25, targetPercent: 99}
      - {op: lt, value: 2, target: 0.999}
    alertPolicies: [on-call]
- apiVersion: openslo/v1
  kind: AlertPolicy
  metadata: {name: on-call}
  spec:
    conditions: [{conditionRef: fast-burn}]
    notificationTargets: [{targetRef: pager}]
"""
SERVICE = '{"apiVersion": "openslo/v1", "kind": "Service", "metadata": {"name": "x"}}'
COUNT = "plugin_invocation_duration_seconds_count"
SECOND = f"""\
apiVersion: openslo.com/v2alpha
kind: SLO
metadata: {{name: works}}
spec:
  service: files
  sli:
    metadata: {{name: calls}}
    spec:
      ratioMetric:
        counter: true
        bad:
          dataSourceSpec: {{type: Prometheus}}
          spec: {{query: 'sum by (plugin_id) ({COUNT}{{plugin_id=~"csv-.*",plugin_error_source="plugin"}})'}}
        total:
          dataSourceSpec: {{type: Prometheus}}
          spec: {{query: 'sum by (plugin_id) ({COUNT}{{plugin_id=~"csv-.*"}})'}}
  timeWindow: [{{duration: 7d, isRolling: true}}]
  budgetingMethod: Occurrences
  objectives: [{{target: 0.99}}]
"""


def rules_in(text: str) -> Rules:
    return parse_rules(text, "rules.yaml")


def problems_of(text: str) -> list[str]:
    with pytest.raises(RulesError) as raised:
        rules_in(text)
    return raised.value.problems


def test_objects_refer_to_each_other_by_name() -> None:
    rules = rules_in(REFERRED)
    mostly, rarely = rules.objectives
    assert (mostly.name, rarely.name, mostly.display_name, mostly.description) == (
        "exports/mostly", "exports/2", "Exports", "Exports are fast.",
    )  # fmt: skip
    assert (mostly.sli, mostly.threshold_seconds, mostly.target_ratio, mostly.period_seconds) == (
        Sli.LATENCY, 0.25, 0.99, 28 * 86_400.0,
    )  # fmt: skip
    assert (mostly.plugins, mostly.owner, rarely.target_ratio) == ("{csv-*,xlsx}", "media", 0.999)
    assert mostly.labels == {"tier": "1,gold", "cost_centre": "7", "service": "files"}
    assert [warning.partition(":")[0] for warning in rules.warnings] == ["[0].spec.alertPolicies", "[1].kind"]


@pytest.mark.parametrize(
    ("duration", "unit"), [("1w", "week"), ("7d", "week"), ("1M", "month"), ("3M", "quarter"), ("1Y", "year")]
)
def test_a_window_of_the_calendar_is_a_period_that_begins_anew(duration: str, unit: str) -> None:
    window = f'{{duration: {duration}, calendar: {{startTime: "2024-01-01 00:00:00", timeZone: Europe/Berlin}}}}'
    rules = rules_in(REFERRED.replace("{duration: 4w, isRolling: true}", window))
    assert {(item.calendar, item.period_at(datetime(2026, 7, 1)).started_at.hour) for item in rules.objectives} == {
        (Calendar(CalendarUnit(unit), "Europe/Berlin"), 23 if unit == "year" else 22)
    }


def test_the_stable_parts_of_v2alpha_are_read() -> None:
    rules = rules_in(SECOND)
    (found,) = rules.objectives
    assert (found.name, found.sli, found.plugins, found.period_seconds) == (
        "works",
        Sli.AVAILABILITY,
        "csv-*",
        7 * 86_400.0,
    )
    (warning,) = rules.warnings
    assert warning == (
        "spec.sli.spec.ratioMetric.bad.spec.query: judged are failures that the plugin is to blame for, and calls that its open breaker "
        "refused, of all but those that their caller made wrongly (line 13)"
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("indicatorRef: fast-calls", "indicatorRef: fast", "[0].spec.indicatorRef: there is no SLI 'fast'; known are"),
        ("metricSourceRef: calls", "metricSourceRef: call", "spec.thresholdMetric.metricSource.metricSourceRef: there is no DataSource"),
        ("indicatorRef: fast-calls", "sliRef: fast-calls", "[0].spec.sliRef: is of another version of OpenSLO; write indicatorRef"),
        ("    indicatorRef: fast-calls\n", "", "[0].spec: indicator is missing; write it, or indicatorRef"),
        ("op: lt, value: 2", "op: gt, value: 2", "[0].spec.objectives[1].op: a call is good when it is fast; write op: lte (line 31)"),
        ("value: 2,", "", "[0].spec.objectives[1]: value must be the seconds that a call may take,"),
        ("target: 0.999", "target: 1.5", "[0].spec.objectives[1].target: '1.5' must be a number above 0 and below 1"),
        (", target: 0.999", "", "[0].spec.objectives[1]: target is missing; write a ratio such as 0.99, or targetPercent (line 31)"),
        ("duration: 4w, isRolling: true", "duration: 4w", "[0].spec.timeWindow[0]: a window rolls, or is of a calendar; write"),
        ("duration: 4w", "duration: 5Q", "[0].spec.timeWindow[0].duration: '5Q' has no fixed length; write days, such as 90d, or"),
        ("duration: 4w", "duration: 1m", "[0].spec.timeWindow[0].duration: 1m must be from 2h to 400d"),
        ("op: lt, value: 2", "compositeWeight: 2", "[0].spec.objectives[1].compositeWeight: objectives that are made of several"),
        ("Occurrences", "Timeslice", "[0].spec.budgetingMethod: 'Timeslice' is no budgeting method; write Occurrences or Timeslices"),
        ("displayName: Exports", "displayname: Exports", "[0].metadata.displayname: unknown; did you mean displayName? (line 21)"),
        ("kind: SLI", "kind: SLIs", "kind: 'SLIs' is no kind that is read; did you mean SLI? (line 11)"),
        ("name: exports", "nam: exports", "[0].metadata.name: is missing; write a text (line 19)"),
        ("conditions: [{conditionRef: fast-burn}]", "conditions: []", "[1].spec.conditions: must be a list; begin each item with -"),
        ("openslo/v1\n  kind: SLO", "openslo/v3\n  kind: SLO", "[0].apiVersion: 'openslo/v3' is not read; did you mean openslo/v1?"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_names_its_place_and_line(old: str, new: str, problem: str) -> None:
    assert old in REFERRED
    found = problems_of(REFERRED.replace(old, new))
    assert any(line.startswith(problem) for line in found), found


def test_a_folder_is_read_as_one(tmp_path: Path) -> None:
    first, second, third, fourth = REFERRED.split("---\n")
    for name, text in (("a.yaml", fourth), ("b.yml", first + "---\n" + second), ("c.json", SERVICE),
                       ("d.yaml", third), ("e.toml", '[[slo]]\nname = "works"\nobjective = 0.99\n[policy]\nenforcement = "suggest"\n'),
                       ("f.toml", '[[receiver]]\nname = "x"\nurl = "http://a/"\n'), (".hidden.toml", "["), ("notes.md", "[")):  # fmt: skip
        (tmp_path / name).write_text(text)
    rules = load_rules(tmp_path)
    assert [item.name for item in rules.objectives] == ["exports/mostly", "exports/2", "works"]
    assert (rules.policy.enforcement.value, [item.name for item in rules.receivers]) == ("suggest", ["x"])
    (tmp_path / "g.toml").write_text('[[slo]]\nname = "works"\nobjective = 0.99\nperiod = 1\n[policy]\n')
    (tmp_path / "h.toml").write_text('[[slo]]\nname = "works"\nobjective = 0.99\n[policy]\n')
    with pytest.raises(RulesError) as raised:
        load_rules(tmp_path)
    assert [line.partition(" must")[0] for line in raised.value.problems] == [
        "g.toml: slo[0].period: 1s",
        "h.toml: slo 'works' stands in e.toml already; each needs a name of its own",
        "g.toml: policy stands in e.toml already; keep one",
    ]


OWN = """\
[[windows]]
name = "mine"
[[windows.tier]]
severity = "page"
long = "1h"
short = "5m"
factor = 14.4
[[windows.tier]]
severity = "ticket"
long = "3d"
short = "6h"
factor = 1
[[slo]]
name = "NAME"
objective = 0.99
windows = "mine"
"""


def test_windows_of_one_name_are_the_same_in_all_files_of_a_folder(tmp_path: Path) -> None:
    """Before, one name could mean two tables, and nobody saw which an objective was judged by."""
    (tmp_path / "a.toml").write_text(OWN.replace("NAME", "a"))
    (tmp_path / "b.toml").write_text(OWN.replace("NAME", "b"))
    assert len(load_rules(tmp_path).objectives) == 2
    (tmp_path / "b.toml").write_text(OWN.replace("NAME", "b").replace("14.4", "10"))
    with pytest.raises(
        RulesError, match=r"b\.toml: windows 'mine' stand in a\.toml with other tiers; each needs a name"
    ):
        load_rules(tmp_path)


def test_each_file_of_a_folder_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, each was parsed for every other one: 80 files took a minute and a half."""
    parsed = []
    monkeypatch.setattr(formats, "documents_in", lambda text: parsed.append(text) or documents_in(text))
    for number in range(5):
        (tmp_path / f"{number}.yaml").write_text(REFERRED.replace("exports", f"exports{number}"))
    with suppress(RulesError):
        load_rules(tmp_path)
    assert len(parsed) == 5


def test_a_folder_without_rules_says_what_to_put_there(tmp_path: Path) -> None:
    with pytest.raises(
        RulesError, match=r"holds no file of rules; put one there whose name ends with \.json, \.toml, \.yaml, \.yml"
    ):
        load_rules(tmp_path)
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RulesError, match=r": a\.toml: begins with the mark of UTF-16 and is not"):
        load_rules(tmp_path)


def test_slices_of_time_are_read_as_they_are_meant() -> None:
    slices = REFERRED.replace("Occurrences", "Timeslices").replace(
        "op: l", "timeSliceWindow: 5m, timeSliceTarget: 0.95, op: l"
    )
    mostly, always = rules_in(slices.replace("target: 0.999", "target: 0.99")).objectives
    assert mostly.slices == always.slices == Slices(300, 0.95)
    assert (mostly.isolates, mostly.measured) == (False, "latency_slices")
    assert problems_of(REFERRED.replace("value: 2,", "value: 2, timeSliceWindow: 5m,")) == [
        "[0].spec.objectives[1].timeSliceWindow: is of slices of time; write budgetingMethod: Timeslices, or leave it out (line 31)"
    ]
