"""What is exported is read again as it was, and as nothing else; what Prometheus gets, Prometheus takes."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from plugwarden.contract.histogram import CLASSIC_EDGES_SECONDS
from plugwarden_collector.rules.exchange.formats import Format, export_problems, exported
from plugwarden_collector.rules.file import DEFAULT_RULES, parse_rules
from plugwarden_collector.rules.objective import Objective, Sli
from plugwarden_collector.rules.pattern import from_regex, joined, matches, to_regex
from plugwarden_collector.rules.period import NOMINAL_SECONDS, Calendar, CalendarUnit
from plugwarden_collector.rules.saturation import LimitedResource, Saturation
from plugwarden_collector.rules.slice_keys import slice_problems
from plugwarden_collector.rules.slices import MILLION, EmptySlices, Slices
from plugwarden_collector.rules.tiers import BUILT_IN, BurnWindows, tier_of
from plugwarden_collector.rules.workable import objective_problems

PROMTOOL = shutil.which("promtool")
BACK = [kind for kind in Format if kind is not Format.PROMETHEUS]
DAY = 86_400.0

words = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12).filter(
    lambda text: text.strip() and text.isprintable()
)
texts = st.text(st.sampled_from("aß \n\t:#'\"{}[]\\%-|>1e"), max_size=30).filter(str.strip)
patterns = st.lists(st.from_regex(r"[a-z.+*?(){1}-]{1,8}", fullmatch=True).filter(lambda text: "{" not in text and "}" not in text),
                    min_size=1, max_size=3)  # fmt: skip
labels = st.dictionaries(
    st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(
        lambda name: (
            name not in {"owner", "le", "severity", "alertname", "plugin_id"} and not name.startswith(("__", "sloth_"))
        )
    ),
    words,
    max_size=3,
)
own_windows = st.builds(
    lambda name, page, ticket: BurnWindows(
        f"own {name}", 28 * DAY,
        (tier_of("page", 3_600.0, 300.0, 28 * DAY, budget_ratio=page), tier_of("ticket", DAY, 7_200.0, 28 * DAY, factor=ticket)),
    ),
    words, st.floats(0.001, 0.02), st.floats(0.5, 5),
)  # fmt: skip


@st.composite
def objectives(draw: Any) -> Objective:
    latency = draw(st.booleans())
    found = Objective(
        draw(words),
        Sli.LATENCY if latency else Sli.AVAILABILITY,
        draw(st.floats(0.97, 0.999_999)),
        draw(st.sampled_from([6 * 3_600.0, 7 * DAY, 30 * DAY, 1_234_567.0])),
        joined(draw(patterns)),
        draw(st.sampled_from(CLASSIC_EDGES_SECONDS)) if latency else None,
        draw(st.integers(1, 1_000_000)),
        draw(st.integers(1, 1_000_000)),
        draw(st.sampled_from([0.0, 60.0, 1.5])),
        draw(st.sampled_from([0.0, 30.0, 90.25])),
        display_name=draw(st.just("") | words),
        description=draw(st.just("") | texts),
        owner=draw(st.just("") | words),
        runbook=draw(st.sampled_from(["", "https://wiki.example.net/a"]) | texts),
        labels=draw(labels),
        burn_windows=draw(st.sampled_from([*BUILT_IN.values()]) | own_windows),
        versions=joined(draw(st.just(["*"]) | patterns)),
        operations=joined(draw(st.just(["*"]) | patterns)),
    )
    if draw(st.booleans()):
        slices = Slices(
            60, draw(st.integers(1, MILLION)) / MILLION, draw(st.integers(1, 9)), draw(st.sampled_from(EmptySlices))
        )
        sliced = replace(found, slices=slices, min_events=1, min_failures=1)
        found = found if [*slice_problems(sliced)] else sliced
    elif not latency and draw(st.booleans()):
        share = Saturation(draw(st.sampled_from(LimitedResource)), draw(st.integers(1, MILLION)) / MILLION)
        full = replace(found, sli=Sli.SATURATION, saturation=share, min_events=1, min_failures=1)
        found = found if [*slice_problems(full)] else full
    assume(not [*objective_problems(found)])
    return found


@pytest.mark.parametrize("kind", BACK)
@given(
    st.lists(
        objectives(), min_size=1, max_size=3, unique_by=(lambda item: item.name, lambda item: item.burn_windows.name)
    )
)
def test_what_is_exported_is_read_as_it_was(kind: Format, given_ones: list[Objective]) -> None:
    if kind is Format.SLOTH:
        given_ones = [replace(item, slices=None) for item in given_ones]
    if kind is not Format.TOML:
        given_ones = [item for item in given_ones if not export_problems([item], kind)]
        assume(given_ones)
    text = exported(given_ones, kind)
    rules = parse_rules(text, kind)
    found = {item.name: item for item in rules.objectives}  # Sloth's files are ordered by service
    assert found == {item.name: item for item in given_ones}, text
    assert rules.warnings == (() if rules.isolating else rules.warnings[-1:])


@given(patterns)
def test_patterns_and_regular_expressions_are_the_same(several: list[str]) -> None:
    assert from_regex(to_regex(joined(several))) == joined(several)


@pytest.mark.parametrize("regex", ["a+", "(a|b)c", "a.*?", "^a$", "", "a|", "a{2}", r"\d", "(a"])
def test_a_regular_expression_that_is_no_pattern_is_none(regex: str) -> None:
    assert from_regex(regex) is None


MANY = [
    *DEFAULT_RULES.objectives,
    Objective("media/works", Sli.AVAILABILITY, 0.999, 28 * DAY, "{image-*,thumb.?}", for_seconds=60.0, owner="media", labels={"tier": "2"},
              runbook="https://wiki.example.net/media", description="Shown {{ as it is }}.", burn_windows=BUILT_IN["pyrra"]),
    Objective("fast", Sli.LATENCY, 0.99, 7 * DAY, "csv", 0.25, labels={"service": "files"}, runbook='Call "them".\nThen wait.'),
]  # fmt: skip


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing (Debian: apt install prometheus)")
def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(exported(MANY, Format.PROMETHEUS))
    done = subprocess.run([str(PROMTOOL), "check", "rules", str(file)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, "SUCCESS: 48 rules found" in done.stdout) == (0, True), done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing (Debian: apt install prometheus)")
def test_the_alerts_fire_for_the_plugin_that_fails_and_for_no_other(tmp_path: Path) -> None:
    """A fifth of `csv`'s calls is refused by its breaker; `geo` fails through others, and `pdf` not at all."""
    (tmp_path / "rules.yml").write_text(exported(DEFAULT_RULES.objectives, Format.PROMETHEUS))
    count = "plugin_invocation_duration_seconds_count"
    series = [
        (f'{count}{{plugin_id="csv",plugin_outcome="success",plugin_error_source=""}}', "0+80x400"),
        (
            f'{count}{{plugin_id="csv",plugin_outcome="rejected",plugin_error_source="plugin",error_type="circuit_open"}}',
            "0+20x400",
        ),
        (f'{count}{{plugin_id="geo",plugin_outcome="success",plugin_error_source=""}}', "0+80x400"),
        (
            f'{count}{{plugin_id="geo",plugin_outcome="error",plugin_error_source="downstream",error_type="X"}}',
            "0+20x400",
        ),
        (f'{count}{{plugin_id="pdf",plugin_outcome="success",plugin_error_source=""}}', "0+80x400"),
        (f'{count}{{plugin_id="csv",plugin_outcome="error",plugin_error_source="caller",error_type="X"}}', "0+500x400"),
    ]
    test = {
        "rule_files": ["rules.yml"], "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series],
            "promql_expr_test": [
                asks('count by (plugin_id) (ALERTS{alertstate="firing",severity="page"})', csv=1),
                asks("sum by (plugin_id) (slo:sli_error:ratio_rate1h)", csv=0.2, geo=0, pdf=0),
                asks("round(sum by (plugin_id) (slo:current_burn_rate:ratio), 0.001)", csv=20, geo=0, pdf=0),
                asks("round(sum by (plugin_id) (slo:period_burn_rate:ratio), 0.001)", csv=20, geo=0, pdf=0),
            ],
        }],
    }  # fmt: skip
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def asks(query: str, **values: float) -> dict[str, Any]:
    """A query two hours later, and its value for each plugin."""
    found = [{"labels": f'{{plugin_id="{name}"}}', "value": value} for name, value in values.items()]
    return {"expr": query, "eval_time": "120m", "exp_samples": found}


def test_tiers_and_names_are_sloths() -> None:
    """Source: slok/sloth, examples/_gen/getting-started.yml: recordings for 5m to 3d, factors 14.4, 6, 3 and 1."""
    groups = yaml.safe_load(exported(DEFAULT_RULES.objectives, Format.PROMETHEUS))["groups"]
    assert [group["name"].removesuffix("-plugins-availability") for group in groups] == [
        "sloth-slo-sli-recordings", "sloth-slo-meta-recordings", "sloth-slo-alerts",
    ]  # fmt: skip
    assert [rule["record"] for rule in groups[0]["rules"]] == [
        f"slo:sli_error:ratio_rate{window}" for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d", "30d")
    ]
    page, ticket = groups[2]["rules"]
    for rule, factors in ((page, ("14.4", "6")), (ticket, ("3", "1"))):
        assert [f"({factor} * (1 - 0.99))" in rule["expr"] for factor in factors] == [True, True]
    assert (page["labels"]["severity"], ticket["labels"]["sloth_severity"]) == ("page", "ticket")


def test_annotations_hold_the_runbook_and_no_template_of_others() -> None:
    groups = yaml.safe_load(exported(MANY, Format.PROMETHEUS))["groups"]
    media, fast = (
        group["rules"][0]
        for group in groups
        if group["name"] in {"sloth-slo-alerts-plugins-media/works", "sloth-slo-alerts-files-fast"}
    )
    assert (media["annotations"]["runbook_url"], media["labels"]["owner"], media["for"]) == (
        "https://wiki.example.net/media",
        "media",
        "1m",
    )
    assert media["annotations"]["description"] == 'Shown {{"{{"}} as it is }}.'
    assert fast["annotations"]["runbook"] == 'Call "them".\nThen wait.'


@pytest.mark.parametrize("unit", CalendarUnit)
def test_a_period_of_the_calendar_comes_and_goes_where_it_is_known_and_is_refused_elsewhere(unit: CalendarUnit) -> None:
    calendar = Calendar(unit, "America/New_York")
    mine = Objective("works", Sli.AVAILABILITY, 0.99, NOMINAL_SECONDS[unit], calendar=calendar)
    for kind in (Format.OPENSLO, Format.TOML):
        assert export_problems([mine], kind) == []
        assert parse_rules(exported([mine], kind), "x").objectives == (mine,)
    for kind in (Format.SLOTH, Format.PROMETHEUS):
        (problem,) = export_problems([mine], kind)
        assert problem == f"works.period: a {unit} of the calendar is no range of a query; write a length such as 30d"


def test_a_threshold_without_a_bucket_is_refused_for_prometheus_with_those_beside_it() -> None:
    slow = Objective("slow", Sli.LATENCY, 0.99, 30 * DAY, "*", 0.4)
    for kind in (Format.SLOTH, Format.PROMETHEUS):
        assert export_problems([slow], kind) == [
            "slow.threshold: 0.4 s is no bucket that a sidecar shows to Prometheus; write 0.25 s or 0.5 s"
        ]
    assert parse_rules(exported([slow], Format.OPENSLO), "x").objectives == (slow,)


def test_two_objectives_are_not_one_to_sloth() -> None:
    """Its rules know an objective by its service and its name, joined."""
    two = [
        replace(DEFAULT_RULES.objectives[0], name=name, labels={"service": service})
        for name, service in (("b-c", "x"), ("c", "x-b"))
    ]
    for kind in (Format.SLOTH, Format.PROMETHEUS):
        assert export_problems(two, kind) == [
            "c.name: with its service it is 'x-b-c' to Sloth, and so is 'b-c'; take another name"
        ]
    assert export_problems(two, Format.OPENSLO) == []


def test_labels_of_alerts_hold_no_template_of_others() -> None:
    one = replace(DEFAULT_RULES.objectives[0], labels={"tier": "{{ .Value }}"})
    groups = yaml.safe_load(exported([one], Format.PROMETHEUS))["groups"]
    assert [group["rules"][0]["labels"]["tier"] for group in groups] == [
        "{{ .Value }}", "{{ .Value }}", '{{"{{"}} .Value }}',
    ]  # fmt: skip


@pytest.mark.parametrize("kind", Format)
def test_every_kind_of_sli_has_its_words(kind: Format) -> None:
    """Or it is refused, with its key and what to do, and is not left out."""
    latency, saturation = {"threshold_seconds": 0.25}, {"saturation": Saturation(LimitedResource.RATE, 0.8)}
    needed: dict[Sli, dict[str, Any]] = {Sli.LATENCY: latency, Sli.SATURATION: saturation}
    for sli in Sli:
        item = Objective(sli.value, sli, 0.99, 30 * DAY, **needed.get(sli, {}))
        problems = export_problems([item], kind)
        if not problems:
            assert sli.value in exported([item], kind)
        else:
            (problem,) = problems
            assert (sli, kind is Format.TOML) == (Sli.SATURATION, False)
            assert problem.startswith("saturation.sli: ")
            assert "leave it out" in problem


@pytest.mark.parametrize(
    ("pattern", "regex", "back"),
    [
        ("[^a]*", r"[a^].*", "[a^]*"), ("[!a]*", "[^a].*", "[!a]*"), ("[^]x", r"\^x", "^x"), ("[^-a]x", r"[\^-a]x", None),
        ("[!^a]", "[^^a]", "[!^a]"), ("[a!]", "[a!]", "[a!]"),
    ],
)  # fmt: skip
def test_what_negates_a_set_for_one_is_a_character_of_it_for_the_other(
    pattern: str, regex: str, back: str | None
) -> None:
    """Before, `[^a]*`, whose sign is a character to a shell, was written as all plugins but those with an a."""
    assert to_regex(pattern) == regex
    for name in ("a", "ax", "^", "^x", "bx", "_x", "x", "!"):
        assert (re.fullmatch(regex, name) is not None) == matches(pattern, name), name
    assert from_regex(regex) == back


@pytest.mark.parametrize(("regex", "pattern"), [("img[!x].*", "img[x!]*"), ("[!]a", "!a"), ("[!-a].*", None)])
def test_nor_is_it_when_it_comes_back(regex: str, pattern: str | None) -> None:
    assert from_regex(regex) == pattern
