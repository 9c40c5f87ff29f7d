"""Files of Sloth and Pyrra on the metrics of sidecars are read, with their windows; what they cannot mean here is refused or warned of."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugwarden_collector.errors import RulesError
from plugwarden_collector.rules.exchange.promql import COUNT, QueryError, meaning_of
from plugwarden_collector.rules.file import load_rules, parse_rules
from plugwarden_collector.rules.objective import Sli
from plugwarden_collector.rules.tiers import BUILT_IN

BUCKET = COUNT.replace("_count", "_bucket")
SLOTH = f"""\
version: prometheus/v1
service: files
labels: {{owner: media, tier: "2", repo: org/files}}
slos:
  - name: exports
    objective: 99.9
    description: Exports come out.
    labels: {{tier: "1"}}
    sli:
      events:
        error_query: >-
          sum(rate({COUNT}{{plugin_id="csv",plugin_error_source="plugin",plugin_outcome=~"(error|rejected|timeout)"}}[{{{{.window}}}}]))
        total_query: |
          sum(
            rate({COUNT}{{plugin_id="csv",plugin_outcome=~"error|success|timeout",plugin_error_source!="caller"}}[{{{{.window}}}}])
            or rate({COUNT}{{plugin_id='csv', plugin_outcome="rejected", plugin_error_source="plugin"}}[{{{{.window}}}}])
          )
    alerting:
      name: Exports
      annotations: {{runbook: "https://wiki.example.net/exports"}}
      page_alert: {{for: 2m}}
      ticket_alert: {{for: 2m}}
"""
KUBERNETES = "apiVersion: sloth.slok.dev/v1\nkind: PrometheusServiceLevel\nmetadata: {name: files}\nspec:\n" + "".join(
    f"  {line}\n" for line in SLOTH.splitlines()[1:]
)
for plain in ("error_query", "total_query", "page_alert", "ticket_alert"):
    KUBERNETES = KUBERNETES.replace(plain, plain.split("_")[0] + plain.split("_")[1].title())
WINDOWS = """\
apiVersion: sloth.slok.dev/v1
kind: AlertWindows
spec:
  sloPeriod: 30d
  page:
    quick: {errorBudgetPercent: 1, shortWindow: 2m, longWindow: 30m}
    slow: {errorBudgetPercent: 2, shortWindow: 15m, longWindow: 3h}
  ticket:
    quick: {errorBudgetPercent: 5, shortWindow: 1h, longWindow: 12h}
    slow: {errorBudgetPercent: 5, shortWindow: 3h, longWindow: 36h}
"""
PYRRA = f"""\
apiVersion: pyrra.dev/v1alpha1
kind: ServiceLevelObjective
metadata:
  name: fast-exports
  namespace: files
  labels: {{prometheus: k8s, pyrra.dev/team: media, pyrra.dev/tier: "2"}}
spec:
  target: "99"
  window: 2w
  description: Exports are fast.
  indicator:
    latency:
      success: {{metric: '{BUCKET}{{plugin_outcome=~"error|success|timeout",le="0.25"}}'}}
      total: {{metric: '{COUNT}{{plugin_outcome=~"error|success|timeout"}}'}}
      grouping: [plugin_id]
"""


@pytest.mark.parametrize("text", [SLOTH, KUBERNETES], ids=["plain", "kubernetes"])
def test_a_file_of_sloth_is_read(text: str) -> None:
    rules = parse_rules(text, "sloth.yml")
    (found,) = rules.objectives
    assert (found.name, found.sli, found.target_ratio, found.plugins) == (
        "files-exports",
        Sli.AVAILABILITY,
        0.999,
        "csv",
    )
    assert (found.owner, found.description, found.runbook, found.for_seconds) == (
        "media", "Exports come out.", "https://wiki.example.net/exports", 120.0,
    )  # fmt: skip
    assert (found.labels, found.burn_windows, rules.warnings) == (
        {"service": "files", "tier": "1", "repo": "org/files"}, BUILT_IN["sre"], (),
    )  # fmt: skip


def test_two_labels_are_not_made_one() -> None:
    text = SLOTH.replace("repo: org/files", "a-b: x, a.b: y")
    with pytest.raises(RulesError, match="is the label a_b here, and so is 'a-b'; rename one of them"):
        parse_rules(text, "sloth.yml")
    same = parse_rules(text.replace("a.b: y", "a.b: x"), "sloth.yml").objectives
    assert same[0].labels["a_b"] == "x"


def test_windows_of_sloth_are_for_the_objectives_of_their_period(tmp_path: Path) -> None:
    (together,) = parse_rules(SLOTH + "---\n" + WINDOWS, "sloth.yml").objectives
    (tmp_path / "slos.yml").write_text(SLOTH)
    (tmp_path / "windows.yaml").write_text(WINDOWS)
    (apart,) = load_rules(tmp_path).objectives
    assert together.burn_windows == apart.burn_windows
    assert [(tier.severity, tier.factor, tier.long_seconds, tier.short_seconds) for tier in apart.tiers] == [
        ("page", pytest.approx(14.4), 1_800, 120), ("page", pytest.approx(4.8), 10_800, 900),
        ("ticket", pytest.approx(3), 43_200, 3_600), ("ticket", 1, 129_600, 10_800),
    ]  # fmt: skip
    (other,) = parse_rules(SLOTH + "---\n" + WINDOWS.replace("30d", "7d"), "sloth.yml").objectives
    assert other.burn_windows == BUILT_IN["sre"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("longWindow: 30m", "longWindow: 1m", "spec.page.quick: short: 2m must be shorter than long, 1m"),
        ("errorBudgetPercent: 1,", "", "spec.page.quick.errorBudgetPercent: is missing"),
        ("sloPeriod: 30d", "sloPeriod: 30", "spec.sloPeriod: period: '30' is not a duration"),
        ("slow: {errorBudgetPercent: 2", "slo: {errorBudgetPercent: 2", "spec.page.slo: unknown; did you mean slow?"),
    ],
)
def test_windows_of_sloth_that_cannot_work_are_refused(old: str, new: str, problem: str) -> None:
    with pytest.raises(RulesError) as raised:
        parse_rules(WINDOWS.replace(old, new), "windows.yaml")
    assert any(line.startswith(problem) for line in raised.value.problems), raised.value.problems


def test_a_file_of_pyrra_is_read() -> None:
    rules = parse_rules(PYRRA, "pyrra.yaml")
    (found,) = rules.objectives
    assert (found.name, found.sli, found.threshold_seconds, found.target_ratio) == (
        "fast-exports",
        Sli.LATENCY,
        0.25,
        0.99,
    )
    assert (found.owner, found.labels, found.burn_windows) == (
        "media",
        {"tier": "2", "namespace": "files"},
        BUILT_IN["pyrra"],
    )
    assert [tier.long_seconds for tier in found.tiers] == [1_800, 10_800, 43_200, 172_800]
    (warning,) = rules.warnings
    assert "calls that its open breaker refused" in warning, "its query leaves them out"


ENDED = 'plugin_outcome=~"error|success|timeout",plugin_error_source!="caller"'
REFUSED = 'plugin_outcome="rejected",plugin_error_source="plugin"'
EXACT = f"sum by (plugin_id) (rate({COUNT}{{{ENDED}}}[5m]) or rate({COUNT}{{{REFUSED}}}[5m]))"
BLAMED = f'sum by (plugin_id) (rate({COUNT}{{plugin_error_source="plugin",plugin_outcome!="cancelled"}}[5m]))'


@pytest.mark.parametrize(
    ("bad", "total", "differs"),
    [
        (BLAMED, EXACT, ""),
        (f"({BLAMED}) or 0 * {EXACT}", EXACT, ""),
        (BLAMED.replace("rate", "increase"), EXACT.replace("rate", "increase"), ""),
        (f'{COUNT}{{plugin_id="a",plugin_error_source="plugin"}}', f'{COUNT}{{plugin_id="a"}}', "judged are failures that the plugin"),
        (f'sum(rate({COUNT}{{plugin_outcome=~"error|timeout"}}[5m]))', f"sum(rate({COUNT}[5m]))", "; each plugin has a budget of its own"),
        (BLAMED, EXACT.replace(',plugin_error_source!="caller"', ""), "judged are failures that the plugin"),
        (f"({EXACT}) - sum by (plugin_id) (rate({BUCKET}{{{ENDED},le=\"1\"}}[5m]))", EXACT, ""),
        (f"sum({COUNT}{{{ENDED}}}) - sum({BUCKET}{{{ENDED},le=\"1\"}})", f"sum({COUNT}{{{ENDED}}})", "each plugin has a budget of its own"),
    ],
)  # fmt: skip
def test_queries_that_count_the_same_are_known(bad: str, total: str, differs: str) -> None:
    found = meaning_of(total, bad=bad)
    assert found.differs.startswith(differs) or found.differs.endswith(differs)
    assert bool(found.differs) == bool(differs)


@pytest.mark.parametrize(
    ("bad", "total", "problem"),
    [
        ("vector(0)", EXACT, "counts 'vector', which are no calls of plugins"),
        ("1", EXACT, "'1' counts no calls of plugins"),
        (BLAMED, "http_requests_total", "counts 'http_requests_total', which are no calls of plugins"),
        (BLAMED, BLAMED, "counts other calls than those that fail, of all"),
        (f'rate({COUNT}{{plugin_outcome="success"}}[5m])', EXACT, "counts other calls than those that fail, of all"),
        (f"rate({COUNT}{{plugin_version=\"1\"}}[5m])", EXACT, "are about different versions; write the same plugin_version"),
        (f"rate({COUNT}{{plugin_operation=\"x\"}}[5m])", EXACT, "are about different operations; write the same plugin_operation"),
        (f"rate({COUNT}{{instance=\"x\"}}[5m])", EXACT, "is narrowed by instance, and an objective is of a plugin wherever it runs"),
        (f'rate({COUNT}{{plugin_id=~"(a|b)+"}}[5m])', EXACT, "plugin_id=~'(a|b)+' is no pattern"),
        (f'rate({COUNT}{{plugin_id!="a"}}[5m])', EXACT, "plugin_id!='a' is no pattern"),
        (f'rate({COUNT}{{plugin_id="a"}}[5m])', EXACT, "the two queries are about different plugins"),
        (f'rate({COUNT}{{plugin_outcome=~"err.*"}}[5m])', EXACT, "=~'err.*' is no list of words"),
        (f"rate({COUNT}{{plugin_outcome=~}}[5m])", EXACT, "has a label that cannot be read at 'plugin_outcome=~'"),
        (f"histogram_quantile(0.9, rate({BUCKET}[5m]))", EXACT, "counts 'histogram_quantile', which are no calls"),
        (f"rate({BUCKET}[5m])", EXACT, "counts buckets, and names none"),
        (f'rate({BUCKET}{{le="+Inf"}}[5m])', EXACT, "le='+Inf' is no threshold"),
        (f'rate({BUCKET}{{le="1"}}[5m])', EXACT, "counts the calls that were fast as bad; write all - fast"),
        (f"{BLAMED} / {EXACT}", EXACT, "is a query whose form is not known"),
        (f"{BLAMED} - {BLAMED}", EXACT, "is a difference of which nothing is known"),
        (BLAMED, f'rate({BUCKET}{{le="1"}}[5m])', "counts buckets; write plugin_invocation_duration_seconds_count for all calls"),
        ("(" * 5_000, EXACT, "counts no calls of plugins"),
        (BLAMED.replace("5m", "1h"), EXACT, "counts over different ranges, '[1h]' and '[5m]'"),
        (f'rate({COUNT}{{plugin_id="a",plugin_id="b"}}[5m])', EXACT, "names plugin_id twice in one selector"),
        (f'rate({BUCKET}{{le="1",le="2"}}[5m])', EXACT, "names le twice in one selector"),
    ],
)  # fmt: skip
def test_queries_that_count_anything_else_are_refused(bad: str, total: str, problem: str) -> None:
    with pytest.raises(QueryError) as raised:
        meaning_of(total, bad=bad)
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)
