"""The demo's story, told from what the collector itself reports, and checked against what the host counted.

Steady state; a release that fails on a real class of input; what breaker, budget, alert and quarantine did; a slow
downstream that hits three plugins and quarantines nobody; the fixed release's probation and its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from plugwarden_collector.api.client import ApiError, CollectorClient
from plugwarden_collector.command.output import clean, console, fail
from plugwarden_collector.command.processes import collector_process, dashboards_process
from plugwarden_collector.durations import duration
from plugwarden_collector.figures import budget
from plugwarden_collector.rules.duration import seconds as parse_seconds

from .children import Child

__all__ = ["run_demo"]

BAD, FIXED = "markdown@2.0.0", "markdown@2.0.1"
QUARANTINE_LIMIT_SECONDS = 10.0
"""The promise that this demo keeps: from a version's first failure to its quarantine in the host."""
SLOW_SECONDS = 0.9
DEFAULT_STORY_SECONDS = 90.0


@dataclass(slots=True)
class _Check:
    name: str
    ok: bool
    seen: Any


@dataclass(slots=True)
class _Story:
    api: CollectorClient
    host: Child
    registry: Child
    as_json: bool
    stopping: threading.Event
    deadline: float
    began: float = field(default_factory=time.time)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    checks: list[_Check] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)

    def tell(self, what: str, text: str, at: float | None = None) -> None:
        """One entry of the timeline."""
        moment = time.time() if at is None else at
        self.timeline.append({"seconds": round(moment - self.began, 2), "event": what, "text": text})
        if not self.as_json:
            stamp = datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%SZ")
            console.print(f"{stamp}  +{moment - self.began:5.1f} s  {clean(text)}", soft_wrap=True)

    def check(self, name: str, ok: bool, seen: Any) -> None:
        """One thing that must be true."""
        self.checks.append(_Check(name, ok, seen))

    def wait(self, what: str, look: Callable[[], Any], timeout: float) -> Any:
        """Poll until `look` answers something; raises `_Failed` when it does not, `_Stopped` on Ctrl-C."""
        until = min(time.time() + timeout, self.deadline)
        while True:
            if self.stopping.is_set():
                raise _Stopped
            try:
                found = look()
            except ApiError as error:
                if error.status:
                    raise
                found = None  # the collector is busy starting or stopping
            if found:
                return found
            if not self.host.running():
                raise _Failed(f"{what}: the host ended")
            if time.time() > until:
                raise _Failed(f"{what}: not seen in time")
            time.sleep(0.1)

    def pause(self, length: float) -> None:
        """Let time pass."""
        if self.stopping.wait(max(0.0, min(length, self.deadline - time.time()))):
            raise _Stopped


class _Failed(Exception):
    """The story did not come true."""


class _Stopped(Exception):
    """Ctrl-C."""


def run_demo(for_: str | None, data: Path | None, *, dashboards: bool, port: int, as_json: bool) -> int:
    """Tell the story; answers the exit code: 0 only if it came true."""
    length = None if for_ is None else parse_seconds(for_)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with contextlib.ExitStack() as stack:
        options = []
        if data is None:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plugwarden-demo-")))
            data, options = scratch / "data", ["--audit-key", str(scratch / "audit.key")]  # nothing of it stays
        return _run(stack, data, options, length, stopping, dashboards, port, as_json)


def _run(
    stack: contextlib.ExitStack,
    folder: Path,
    options: list[str],
    length: float | None,
    stopping: threading.Event,
    dashboards: bool,
    port: int,
    as_json: bool,
) -> int:
    rules = Path(__file__).with_name("rules.toml")
    if (folder / "plugwarden.duckdb").exists():
        fail(f"{folder}: there is a database already, and the story begins with none; name an empty folder with --data")
    free = ["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    _, ready = stack.enter_context(collector_process("--data", str(folder), "--rules", str(rules), *free, *options))
    url = f"http://{ready['api']}"
    look_at = "no dashboards were asked for"
    if dashboards:
        address = f"127.0.0.1:{port or _free_port()}"
        stack.enter_context(dashboards_process(address, url))
        look_at = f"http://{address}"
    environ = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{ready['http']}",
        "PLUGWARDEN_COLLECTOR_URL": url,
        "PLUGWARDEN_STATE_DIR": str(folder / "host-state"),
    }
    registry = stack.enter_context(_child("plugwarden_demo.registry", environ=environ))
    registry_port = registry.wait_for("ready", 20)["port"]
    host = stack.enter_context(
        _child("plugwarden_demo.host", "--registry", f"http://127.0.0.1:{registry_port}", environ=environ)
    )
    metrics = host.wait_for("ready", 60)["metrics"]
    api = stack.enter_context(CollectorClient(url))
    deadline = time.time() + (length or 24 * 3600.0)
    story = _Story(api, host, registry, as_json, stopping, deadline)
    if not as_json:
        console.print(f"dashboards   {look_at}\ncollector    {url}\nhost         http://127.0.0.1:{metrics}/metrics")
        console.print(f"try          plugwarden --help, with PLUGWARDEN_COLLECTOR_URL={url}\n", soft_wrap=True)
    stopped = failed = None
    try:
        _tell_story(story, length or DEFAULT_STORY_SECONDS)
        if length is None and not as_json:
            console.print("\nThe story is over; everything stays up until Ctrl-C.")
        while not stopping.is_set() and time.time() < deadline:
            if not host.running():
                raise _Failed("the host ended by itself")
            stopping.wait(0.5)
    except _Stopped:
        stopped = "stopped before the story was over"
    except (_Failed, TimeoutError, RuntimeError) as error:
        failed = str(error)
    return _finish(story, stopped, failed)


@contextlib.contextmanager
def _child(module: str, *arguments: str, environ: dict[str, str]) -> Iterator[Child]:
    child = Child(module, *arguments, environ=environ)
    try:
        yield child
    finally:
        child.stop()


# -- the chapters -------------------------------------------------------------------------------------------------------


def _tell_story(story: _Story, length: float) -> None:
    _steady(story, max(6.0, 0.12 * length))
    _bad_release(story)
    _slow_downstream(story, max(8.0, 0.14 * length))
    _fixed_release(story)


def _steady(story: _Story, length: float) -> None:
    story.tell("start", "the host works on real files: Markdown, Python, JSON, CSV and pictures, with ten plugins")
    story.wait("first calls", lambda: len(story.api.get("plugins", since="1m")) >= 8, 30)
    story.pause(length)
    fleet = story.api.get("plugins", since="1m")
    rate = sum(row["calls_per_second"] for row in story.api.get("plugins", since=f"{length:.0f}s"))
    failed = sum(row["bad"] for row in fleet)
    story.tell("steady", f"steady state: {len(fleet)} plugins, {rate:.0f} calls/s, {failed} failures")


def _bad_release(story: _Story) -> None:
    story.host.send(json.dumps({"do": "deploy", "version": "2.0.0"}))
    deployed = story.host.wait_for("deployed", 10)["at"]
    story.tell(
        "deployed", f"{BAD} is deployed: quicker, and it fails on every document that is not pure ASCII", deployed
    )
    held = story.wait("the quarantine of the bad release", lambda: _quarantine(story.api, "2.0.0"), 30)
    first = story.wait(
        "the first failure's trace",
        lambda: _scalar(
            story.api,
            "select epoch(min(started_at)) from spans where plugin_id = 'markdown' and plugin_version = '2.0.0' "
            "and outcome = 'error'",
        ),
        15,
    )
    announced = _moment(held["started_at"])
    refused = story.wait(
        "the first refused call",
        lambda: _scalar(
            story.api,
            "select epoch(min(time)) from metric_points where metric = 'plugin.rejections' and plugin_id = 'markdown' "
            "and plugin_version = '2.0.0' and attributes['plugin.rejection.reason'] = 'quarantined'",
        ),
        15,
    )
    story.facts["quarantined_after_seconds"] = announced - first
    story.facts["enforced_after_seconds"] = refused - first
    story.tell("first_failure", f"{BAD} fails for the first time", first)
    _tell_breaker(story)
    record = story.wait(
        "the alert",
        lambda: next(
            (
                item
                for item in story.api.get("alerts")["alerts"]
                if item["plugin_id"] == "markdown" and item["plugin_version"] == "2.0.0" and item["severity"] == "page"
                and item["firing_at"]
            ),
            None,
        ),
        30,
    )  # fmt: skip
    story.tell("alert", f"alert: {record['summary']}. {record['description']}", _moment(record["firing_at"]))
    story.tell("quarantined", f"{BAD} is quarantined, and only that version: {held['evidence']['scope']}", announced)
    story.tell("enforced", f"the host refuses it since {duration(refused - first)} after the first failure", refused)
    budgets = story.wait("the budget", lambda: _slo(story.api, "2.0.0", record["detail"]["long"]["bad"]), 15)
    left = budgets[0]["budget_remaining_ratio"]
    state = f"{budget(left)} of it is left" if left > 0 else f"it is {budget(left)}"
    story.tell("budget", f"the error budget of {BAD}: {budgets[0]['bad']} bad of {budgets[0]['total']} calls, {state}")
    story.pause(3)
    served = _scalar(
        story.api,
        "select sum(calls) from plugin_calls where plugin_id = 'markdown' and plugin_version = '1.4.0' "
        "and outcome = 'success' and bucket_start > make_timestamp(($at * 1000000)::bigint)",
        at=refused,
    )
    story.tell("fallback", f"markdown@1.4.0 answers in its place: {served or 0:.0f} calls since")
    story.check("traffic goes on with the last good version", bool(served), served)


def _tell_breaker(story: _Story) -> None:
    found = story.api.query(
        "select time, body from logs where scope_name = 'markdown' and body like 'breaker %' order by time"
    )
    for row in found.to_pylist():
        story.tell("breaker", row["body"], row["time"].replace(tzinfo=UTC).timestamp())
    if not len(found):
        story.tell("breaker", "the breaker stayed closed: fewer than half of the calls failed")


def _slow_downstream(story: _Story, longest: float) -> None:
    story.registry.send(str(SLOW_SECONDS))
    since = time.time()
    story.tell("slow", f"the registry, which three plugins share, now takes {SLOW_SECONDS:g} s to answer")
    incident = story.wait(
        "the incident",
        lambda: next(
            (item for item in story.api.get("alerts")["incidents"] if item["cause"] == "downstream:registry"), None
        ),
        30,
    )
    at = _moment(incident["started_at"])
    story.facts["incident_after_seconds"] = at - since
    story.tell("incident", f"one incident, for people: {incident['summary']}", at)
    story.pause(max(3.0, longest - (time.time() - since)))
    incidents = [item for item in story.api.get("alerts")["incidents"] if item["cause"] == "downstream:registry"]
    hit = sorted({name for item in incidents for name in item["plugins"]})
    story.check("the slow downstream is named as the cause for several plugins", len(hit) >= 2, hit)
    story.registry.send("0.002")
    story.tell("quick", f"the registry is quick again; it hurt {', '.join(hit)}, and none of them was quarantined")


def _fixed_release(story: _Story) -> None:
    story.host.send(json.dumps({"do": "deploy", "version": "2.0.1"}))
    deployed = story.host.wait_for("deployed", 10)["at"]
    story.tell("fixed", f"{FIXED} is deployed: it may take a fifth of the calls", deployed)
    released = story.wait("the release", lambda: _released(story.api, "2.0.1"), 120)
    for item in reversed(story.api.get("audit", limit=200, stream="decisions")):
        if item["scope"] == FIXED and item["kind"] in {"probation", "advanced", "released"}:
            story.tell(item["kind"], f"{FIXED}: {item['reason']}", _moment(item["time"]))
    story.facts["released_after_seconds"] = _moment(released["ended_at"]) - deployed
    story.timeline.sort(key=lambda entry: entry["seconds"])


# -- the proof ----------------------------------------------------------------------------------------------------------


def _finish(story: _Story, stopped: str | None, failed: str | None) -> int:
    done: dict[str, Any] = {}
    if story.host.running():
        story.host.send(json.dumps({"do": "stop"}))
        try:
            done = story.host.wait_for("done", 40)
        except (TimeoutError, RuntimeError) as error:
            failed = failed or str(error)
    if done:
        _check_counts(story, done)
    if stopped is None and failed is None:
        _check_decisions(story)
    came_true = failed is None and stopped is None and bool(done) and all(check.ok for check in story.checks)
    report = {
        "came_true": came_true,
        "failure": failed or stopped,
        "facts": {name: round(value, 3) for name, value in story.facts.items()},
        "checks": [{"check": check.name, "ok": check.ok, "seen": check.seen} for check in story.checks],
        "host": done,
        "timeline": story.timeline,
    }
    if story.as_json:
        sys.stdout.write(json.dumps(report, default=str) + "\n")
        sys.stdout.flush()
    else:
        console.print("")
        for check in story.checks:
            console.print(
                f"{'true ' if check.ok else 'FALSE'}  {check.name}: {clean(str(check.seen))[:150]}", soft_wrap=True
            )
        if failed:
            console.print(f"FALSE  {clean(failed)}")
        if stopped:
            console.print(f"       {stopped}")
    # A person who stops a demo that has gone well so far has not made it fail.
    return 0 if came_true or (stopped and not failed and all(check.ok for check in story.checks)) else 1


def _check_counts(story: _Story, done: dict[str, Any]) -> None:
    rows = story.api.query(
        "select plugin_id, plugin_version, sum(calls) as calls from plugin_calls group by all"
    ).to_pylist()
    stored = {f"{row['plugin_id']}@{row['plugin_version']}": int(row["calls"]) for row in rows}
    differences = {
        name: {"host": done["calls"].get(name, 0), "stored": stored.get(name, 0)}
        for name in sorted({*done["calls"], *stored})
        if done["calls"].get(name, 0) != stored.get(name, 0)
    }
    total = sum(done["calls"].values())
    story.check("every call the host made is counted", not differences and total > 0, differences or f"{total} calls")
    story.check(
        "no error reached the host's pipeline",
        not done["unhandled"],
        done["unhandled"] or f"{done['documents']} documents",
    )


def _check_decisions(story: _Story) -> None:
    after = story.facts.get("enforced_after_seconds")
    story.check(
        f"quarantined in the host within {QUARANTINE_LIMIT_SECONDS:g} s of its first failure",
        after is not None and after <= QUARANTINE_LIMIT_SECONDS,
        None if after is None else f"{after:.2f} s",
    )
    held = {
        _name(item)
        for item in story.api.get("quarantine")
        if item["state"] == "quarantined" or item["successor_of"] is None
    }
    story.check("no other plugin or version was ever quarantined", held == {BAD}, sorted(held))
    verified = story.api.get("audit/verify")
    story.check(
        "every decision is in an unbroken audit log",
        verified["valid"] and verified["decisions"] >= 6,
        f"{verified['decisions']} decisions",
    )
    kinds = [item["kind"] for item in story.api.get("audit", limit=1000, stream="decisions")]
    needed = {"quarantined", "common_cause", "probation", "advanced", "released", "superseded"}
    story.check("the decisions tell the whole story", needed <= set(kinds), sorted(needed - set(kinds)) or "all there")
    item = next(item for item in story.api.get("quarantine") if _name(item) == BAD)
    _check_evidence(story, item["evidence"], item["started_at"])
    _check_budgets(story)


def _check_evidence(story: _Story, evidence: dict[str, Any], at: str) -> None:
    """Count the failures of the decision again: those stored since the trouble was seen, until a second before it, and those of a minute
    more, until a second after it, bound them."""
    sql = (
        "select coalesce(sum(count), 0)::bigint as bad from metric_points where metric = 'plugin.invocation.duration' "
        "and plugin_id = 'markdown' and plugin_version = '2.0.0' and outcome in ('error', 'timeout') and error_source = 'plugin' "
        "and time > $since::timestamp - to_seconds($margin * 30 + 30) and time <= $at::timestamp + to_seconds($margin)"
    )
    parameters = {"since": evidence["since"], "at": at.rstrip("Z")}
    before, after = (
        story.api.query(sql, {**parameters, "margin": margin}).to_pylist()[0]["bad"] for margin in (-1.0, 1.0)
    )
    named = sum(evidence["errors"].values())
    seen = f"{named} failed calls; counted again: {before} to {after}"
    story.check("the evidence can be recomputed from what is stored", before <= named <= after and named > 0, seen)


def _check_budgets(story: _Story) -> None:
    """Every availability budget, counted again from the calls that are stored. Budgets follow every few seconds."""
    sql = (
        "select plugin_id, plugin_version, sum(calls)::bigint as total, coalesce(sum(calls) filter (outcome <> 'success' "
        "and error_source = 'plugin'), 0)::bigint as bad from plugin_calls "
        "where outcome in ('success', 'error', 'timeout') "
        # A call that its own open breaker refused is a bad one: the plugin was down.
        "or (outcome = 'rejected' and error_type = 'circuit_open' and error_source = 'plugin') group by all"
    )
    stored = {_name(row): (row["total"], row["bad"]) for row in story.api.query(sql).to_pylist()}
    wrong: dict[str, Any] = {"no budget": "was kept"}
    until = time.time() + 15
    while wrong and time.time() < until:
        kept = {_name(row): (row["total"], row["bad"]) for row in story.api.get("slos") if row["slo"] == "availability"}
        wrong = {name: (kept.get(name), counts) for name, counts in stored.items() if kept.get(name) != counts}
        time.sleep(0.5 if wrong else 0.0)
    story.check(
        "every error budget can be recomputed from what is stored", not wrong, wrong or f"{len(stored)} budgets"
    )


def _quarantine(api: CollectorClient, version: str) -> dict[str, Any] | None:
    for item in api.get("quarantine"):
        if item["plugin_id"] == "markdown" and item["plugin_version"] == version and item["state"] == "quarantined":
            return dict(item)
    return None


def _released(api: CollectorClient, version: str) -> dict[str, Any] | None:
    for item in api.get("quarantine"):
        if item["plugin_version"] == version and item["ended_at"] is not None:
            return dict(item)
    return None


def _slo(api: CollectorClient, version: str, bad: int) -> list[dict[str, Any]]:
    """The version's availability budget, once it holds at least so many bad calls: budgets follow every few seconds."""
    return [
        row
        for row in api.get("slos")
        if (row["plugin_id"], row["plugin_version"], row["slo"]) == ("markdown", version, "availability")
        and row["bad"] >= bad
    ]


def _scalar(api: CollectorClient, sql: str, **parameters: Any) -> float | None:
    value = api.query(sql, parameters).column(0)[0].as_py()
    return None if value is None else float(value)


def _name(item: dict[str, Any]) -> str:
    return f"{item['plugin_id']}@{item['plugin_version']}"


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
