"""Rules files as people have them: read whatever the editor, and refused where they cannot work."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugwarden_collector.errors import RulesError
from plugwarden_collector.judge.burn import burns
from plugwarden_collector.judge.sli import CallCounts
from plugwarden_collector.rules.file import load_rules, parse_rules
from plugwarden_collector.rules.tiers import tiers_for
from plugwarden_collector.rules.workable import MAX_PERIOD_SECONDS, MIN_PERIOD_SECONDS
from plugwarden_collector.store.duckdb.retention.slices import Keep

GOOD = '[[slo]]\nname = "availability"\nobjective = 0.99\n'
RECEIVER = '[[receiver]]\nname = "x"\nurl = "http://a/"\n'


@pytest.mark.parametrize(
    "data",
    [
        GOOD.encode(),
        GOOD.encode("utf-8-sig"),
        GOOD.encode("utf-16"),
        b"\xfe\xff" + GOOD.encode("utf-16-be"),
        GOOD.encode("utf-32"),
        GOOD.replace("\n", "\r\n").encode(),
        f"# Verfügbarkeit\n{GOOD}".encode(),
    ],
    ids=["utf-8", "with a mark", "utf-16", "utf-16, big end first", "utf-32", "windows line ends", "umlauts"],
)
def test_a_file_is_read_whatever_the_editor_made_of_it(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "rules.toml"
    path.write_bytes(data)
    assert [item.name for item in load_rules(path).objectives] == ["availability"]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (f"\n# Verfügbarkeit\n{GOOD}".encode("latin-1"), "line 2, byte 7 is 0xfc, which is not UTF-8"),
        (b"\0\0", "line 1 holds a NUL character"),
        (GOOD.encode("utf-16-le"), "line 1 holds a NUL character"),
        (b"\xff\xfe\x00", "begins with the mark of UTF-16 and is not"),
        (b"apiVersion: openslo/v1\nkind: Service\nmetadata: {name: web}\n", "kind: there is no SLO"),
        (b'# Sloth\nversion: "prometheus/v2"\n', "version: 'prometheus/v2' is not read; did you mean prometheus/v1"),
        (b"#" * (1024 * 1024 + 1), "more than the 1048576"),
        (b"a = " + b"[" * 50_000, "not valid TOML"),
        (b"a = " + b"9" * 10_000, "not valid TOML"),
        (b"", "there is none"),
    ],
)
def test_a_file_that_is_no_rules_is_refused_in_one_line(tmp_path: Path, data: bytes, problem: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_bytes(data)
    with pytest.raises(RulesError, match=problem) as raised:
        load_rules(path)
    (line,) = raised.value.lines
    assert line.startswith(f"{path}: ")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('period = "0d"', "slo[0].period: 0s must be from 2h to 400d"),
        ('period = "1s"', "slo[0].period: 1s must be from 2h to 400d"),
        ('period = "800d"', "slo[0].period: 800d must be from 2h to 400d"),
        ("period = 1e300", "slo[0].period"),
        ('sli = "latency"\nthreshold = "0ms"', "slo[0].threshold: 0 s must be from 1 ns to 35 h"),
        ('sli = "latency"\nthreshold = "400h"', "slo[0].threshold"),
        ('period = "119m"', "slo[0].period: 1.98h must be from 2h to 400d: below it the window of the fastest page is shorter than 10 s"),
        ('period = "4h"\nfor = "30d"', "slo[0].for: 30d is longer than the longest window of a page, 2m"),
        ('keep_firing_for = "31d"', "slo[0].keep_firing_for: 31d is longer than the period, 30d"),
        ("min_events = 99999999999999999999999", "slo[0].min_events: 99999999999999999999999 must be"),
        ("min_failures = true", "slo[0].min_failures: True must be"),
        ('plugins = ""', "slo[0].plugins: '' must be a non-empty string"),
        ('plugins = "a\\u202eb"', "slo[0].plugins: 'a\\u202eb' must have"),
        ("sli = []", "slo[0].sli: [] must be availability, latency or saturation"),
        ('[policy]\nhold = "48h"', "policy.hold: 2d is longer than hold_max, 1d"),
        ('[policy]\nhold_max = "10000d"', "policy.hold_max: '10000d' is longer than 400d"),
        ('[policy]\nstep = "2h"', "policy.step_timeout: 1h is shorter than step, 2h"),
        ("[policy]\nprobation_steps = [true]", "policy.probation_steps: [True] must be growing ratios"),
        ("[policy]\nprobation_steps = [0.1, nan]", "policy.probation_steps: [0.1, nan] must be growing ratios"),
        ("[policy]\nprobation_steps = []", "policy.probation_steps: [] must be growing ratios"),
        ("[policy]\npushed = 1", "policy.pushed: write each one as a table headed [[policy.pushed]]"),
        ("[[policy.pushed]]\nmatchers = ['a=b']", "policy.pushed[0].name: "),
        ('[[policy.pushed]]\nname = "a"', "policy.pushed[0].matchers: is missing; it must be a list of matchers"),
        ("[[policy.pushed]]\nname = 'a'\nmatchers = []", "policy.pushed[0].matchers: 0 matchers; write 1 to 10"),
        ("[[policy.pushed]]\nname = 'a'\nmatchers = ['a=~(']", "policy.pushed[0].matchers: "),
        ("[[policy.pushed]]\nname = 'a'\nmatchers = ['a=b']\nfor = '900d'", "policy.pushed[0].for: '900d' is longer than 400d"),
        ("[[policy.pushed]]\nname = 'a'\nmatchers = ['a=b']\nwhen = 1", "policy.pushed[0].when: unknown"),
        (
            "[[policy.pushed]]\nname = 'a'\nmatchers = ['a=b']\nenforcement = 'maybe'",
            "policy.pushed[0].enforcement: 'maybe' must be observe, suggest or enforce",
        ),
        ("[[policy.pushed]]\nname = 'a'\nmatchers = ['a=b']\n" * 2, "policy.pushed[1].name: 'a' is given twice"),
        ('[policy]\nprotected = [""]', "policy.protected: [''] must be a list of patterns"),
        ("[policy]\nmax_quarantined_ratio = nan", "policy.max_quarantined_ratio: nan must be a number"),
        (RECEIVER + "severities = []", "receiver[0].severities: [] must be a list of page and ticket"),
        (RECEIVER + "severities = [[1]]", "receiver[0].severities: [[1]] must be a list"),
        (RECEIVER + 'kind = "mail"', "receiver[0].kind: 'mail' must be webhook, cloudevents, alertmanager"),
        (RECEIVER + 'kind = "cloudevents"\nseverities = ["page"]', "receiver[0].severities: cloudevents has none"),
        (RECEIVER + RECEIVER, "receiver[1].name: 'x' is given twice"),
        ('[[receiver]]\nname = "x"\nurl = "http://"', "receiver[0].url: names no host"),
        ('[[receiver]]\nname = "x"\nurl = "http://a:99999/"', "receiver[0].url: is not an address: its port"),
        ('[[receiver]]\nname = "x"\nurl = "http://a/\\n"', "receiver[0].url: holds a space"),
        ('[[receiver]]\nname = ""\nurl = "http://a/"', "receiver[0].name: '' must be a non-empty string"),
        ("[receiver]\n", "receiver: write each one as a table headed [[receiver]]"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_key_value_and_fix(text: str, problem: str) -> None:
    with pytest.raises(RulesError) as raised:
        parse_rules(f"{GOOD}{text}\n", "rules.toml")
    assert any(line.startswith(f"rules.toml: {problem}") for line in raised.value.lines), raised.value.lines


@pytest.mark.parametrize("target", ["0.0000001", "0.9", "0.93", repr(1 - 1 / 14.4)])
def test_an_objective_at_which_a_page_can_never_fire_is_refused_with_the_least_at_which_all_can(target: str) -> None:
    with pytest.raises(
        RulesError,
        match=r"never fire: the burn rate cannot exceed .* page at 14\.4 .* write at least 0\.931 \(93\.1 %\) \(line 3\)",
    ):
        parse_rules(f'[[slo]]\nname = "a"\nobjective = {target}\n', "rules.toml")
    (objective,) = parse_rules('[[slo]]\nname = "a"\nobjective = 0.931\n', "rules.toml").objectives
    everything = {size: CallCounts(1_000, failed=1_000) for size in objective.windows}
    assert all(burn.met for burn in burns(objective, everything))


@given(st.floats(MIN_PERIOD_SECONDS, MAX_PERIOD_SECONDS))
def test_on_every_period_that_is_taken_a_page_means_its_share_of_the_budget(period: float) -> None:
    for tier in tiers_for(period):
        assert tier.factor * tier.long_seconds / period == pytest.approx(tier.budget_ratio)


@pytest.mark.parametrize(
    "address",
    [
        "htps://{}",
        "{}",
        "http://a:{}/",
        "http://[{}",
        "http:///{}",
        "http://a/ {}",
        "http://{}@",
        "http://a/{}\\u0000",
        "http://a:{}99",
    ],
)
def test_what_is_wrong_with_an_address_is_said_without_it(address: str) -> None:
    with pytest.raises(RulesError) as raised:
        parse_rules(f'{GOOD}[[receiver]]\nname = "x"\nurl = "{address.format("S3CR3T")}"\n', "rules.toml")
    assert any("receiver[0].url: " in line for line in raised.value.lines)
    assert "s3cr3t" not in "".join(raised.value.lines).lower()


def test_a_problem_names_its_line() -> None:
    text = f"""# rules
{GOOD}
[[slo]]
name = "b"
objective = 0.9   # too low
"period" = "0s"

[policy]
hold = "48h"
probation_steps = [
  0.5,
  0.1,
]

[[receiver]]
url = "http://x/"
colour = 1
"""
    with pytest.raises(RulesError) as raised:
        parse_rules(text, "rules.toml")
    lines = text.splitlines()
    found = {}
    for problem in raised.value.problems:
        place, line = problem.partition(": ")[0], re.search(r" \(line (\d+)\)$", problem)
        found[place] = lines[int(line[1]) - 1] if line else None
    assert found == {
        "slo[1].objective": "objective = 0.9   # too low",
        "slo[1].period": '"period" = "0s"',
        "policy.probation_steps": "probation_steps = [",
        "receiver[0].colour": "colour = 1",
        "receiver[0].name": "[[receiver]]",
    }


def test_more_nines_than_anybody_can_tell_apart_are_refused() -> None:
    with pytest.raises(RulesError, match=r"0\.9999999999999999 must be 0\.999999 or less"):
        parse_rules('[[slo]]\nname = "a"\nobjective = 0.9999999999999999\n', "rules.toml")


def test_a_period_may_be_as_long_as_calls_are_kept() -> None:
    assert Keep().hours.total_seconds() == MAX_PERIOD_SECONDS


KEYS = ["name", "sli", "objective", "period", "plugins", "threshold", "min_events", "for", "hold", "url", "severities"]
VALUES = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.text(max_size=5).map(lambda text: text.encode("unicode_escape")),
    st.sampled_from(["[]", "[[1]]", "{}", '"1h"', '"http://a"', "1979-05-27", "inf", "-nan"]),
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["[[slo]]", "[policy]", "[[receiver]]"]), st.sampled_from(KEYS), VALUES)))
def test_whatever_the_values_the_file_is_read_or_refused(items: list[tuple[str, str, object]]) -> None:
    lines = []
    for table, key, value in items:
        text = f'"{value.decode()}"' if isinstance(value, bytes) else str(value).lower()
        lines += [table, f"{key} = {text}"]
    said = ["nothing"]
    try:
        parse_rules("\n".join(lines), "rules.toml")
    except RulesError as error:
        said = error.lines
    assert said
    assert all("\n" not in line for line in said)


@given(st.binary(max_size=60))
def test_whatever_the_bytes_the_file_is_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    with pytest.raises(RulesError) as raised:
        load_rules(path)
    assert all("\n" not in line for line in raised.value.lines)


@pytest.mark.parametrize("command", [["rules", "check"], ["collector", "--rules"]], ids=["check", "start"])
def test_check_and_start_say_the_same_one_line_for_each_problem(tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(f'{GOOD}period = "0s"\n{RECEIVER}severities = []\n')
    full = [sys.executable, "-W", "ignore", "-m", "plugwarden_collector", *command, str(path)]
    if command[0] == "collector":
        full += ["--data", str(tmp_path / "data"), "--api", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    done = subprocess.run(full, capture_output=True, text=True, timeout=60)
    lines = [line.removeprefix("plugwarden: ") for line in (done.stdout + done.stderr).splitlines()]
    assert done.returncode in {1, 2}
    assert [line.partition(": ")[2].partition(": ")[0] for line in lines] == ["slo[0].period", "receiver[0].severities"]
