"""`plugwarden`: run the parts, ask, decide, check."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from plugwarden_collector.api.client import ApiError
from plugwarden_collector.errors import CollectorError, RulesError, SettingsError
from plugwarden_collector.named_path import file_to_read, folder_to_make, store_to_read
from plugwarden_collector.private import narrow_umask

from . import (
    sidecar as sidecar_commands,
)
from . import (
    store as store_commands,
)
from . import (
    upkeep as upkeep_commands,
)
from .audit import audit_app
from .options import DEFAULT_URL, AsJson, Url, client
from .output import budget, clean, clock, console, emit_json, fail, number, percent, prose, seconds, show
from .query import export, query

__all__ = ["main"]

app = typer.Typer(
    help="Watches the plugins inside a host, and isolates the ones that hurt it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
rules_app = typer.Typer(help="Check rules files, and try them on stored data.", no_args_is_help=True)
app.add_typer(rules_app, name="rules")
app.add_typer(audit_app, name="audit")
store_commands.register(app)
upkeep_commands.register(app)
sidecar_commands.register(app)

Data = Annotated[Path, typer.Option("--data", help="Folder of the database.")]
Rules = Annotated[Path | None, typer.Option("--rules", help="Rules file (TOML).")]
Since = Annotated[str, typer.Option("--since", help='How far back: "15m", "6h", or ISO 8601.')]
Reason = Annotated[str, typer.Option("--reason", help="Why; goes into the audit log.")]
Actor = Annotated[str | None, typer.Option("--actor", help="On whose behalf.", envvar="USER")]


def main() -> None:
    """Run the command; errors become one line and an exit code."""
    try:
        if not sidecar_commands.is_handed_on(sys.argv[1:]):
            narrow_umask()
        app()
    except ApiError as error:
        hint = ""
        if error.status == 0:
            hint = ". Start one with `plugwarden up`, or name another with --url"
        elif error.status == 401:
            hint = " (PLUGWARDEN_TOKEN is read from the environment)"
        fail(f"{error}{hint}")
    except RulesError as error:
        fail(error.lines)
    except SettingsError as error:
        fail(str(error), 2)
    except CollectorError as error:
        fail(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `| head` had enough
    except OSError as error:
        if error.filename is None:
            raise  # nothing that somebody named
        fail(f"{str(error.filename)[:200]}: {error.strerror}; name another place", 2)


# -- running ----------------------------------------------------------------------------------------------------------


@app.command()
def collector(
    data: Data = Path("data"),
    grpc: Annotated[str, typer.Option(help="OTLP over gRPC, HOST:PORT.")] = "127.0.0.1:4317",
    http: Annotated[str, typer.Option(help="OTLP over HTTP, HOST:PORT.")] = "127.0.0.1:4318",
    api: Annotated[str, typer.Option(help="The HTTP API, HOST:PORT.")] = "127.0.0.1:8420",
    rules: Rules = None,
    plugin_from: Annotated[
        str,
        typer.Option(
            envvar="PLUGWARDEN_PLUGIN_FROM",
            help="Attributes that name the plugin, the first that is there wins; scope.name is the scope's name.",
        ),
    ] = "plugin.id,gen_ai.tool.name,faas.name",
    keep_raw: Annotated[
        str, typer.Option(envvar="PLUGWARDEN_KEEP_RAW", help="How long spans, logs and points are kept.")
    ] = "7d",
    max_size: Annotated[
        str,
        typer.Option(
            envvar="PLUGWARDEN_MAX_SIZE", help="Of the database; above it the oldest raw rows go. 0: no limit."
        ),
    ] = "20GB",
    archive: Annotated[
        Path | None, typer.Option(envvar="PLUGWARDEN_ARCHIVE", help="Folder for Parquet files of what is let go.")
    ] = None,
    audit_key: Annotated[
        Path | None,
        typer.Option(
            envvar="PLUGWARDEN_AUDIT_KEY_FILE",
            help="File of the key that seals the decision log; made if missing. [~/.local/state/plugwarden/audit.key]",
        ),
    ] = None,
    max_deletion: Annotated[
        str,
        typer.Option(
            envvar="PLUGWARDEN_MAX_DELETION",
            help="Of a view's rows, the share that may go at once for their age; more waits for a person.",
        ),
    ] = "50%",
    as_json: AsJson = False,
) -> None:
    """Run the collector until Ctrl-C. SIGHUP reads the rules file again. Port 0 picks a free port."""
    from .collector import run_collector

    run_collector(
        data, grpc, http, api, rules, as_json,
        plugin_from=plugin_from, keep_raw=keep_raw, max_size=max_size, archive=archive,
        audit_key=audit_key, max_deletion=max_deletion,
    )  # fmt: skip


@app.command()
def dashboards(
    address: Annotated[str, typer.Option("--address", help="HOST:PORT to listen on.")] = "127.0.0.1:8501",
    host_name: Annotated[
        list[str] | None,
        typer.Option(help="A name that browsers reach them by, beside localhost; everyone then brings a token."),
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Run the dashboards until Ctrl-C."""
    if as_json:
        emit_json({"event": "starting", "dashboards": f"http://{address}", "collector": url})
    from .processes import exec_dashboards

    exec_dashboards(address, url, host_name or [])


@app.command()
def up(
    data: Data = Path("data"),
    rules: Rules = None,
    as_json: AsJson = False,
) -> None:
    """Run collector and dashboards together until Ctrl-C."""
    from .processes import run_up

    folder_to_make("--data", data)
    if rules is not None:
        file_to_read("--rules", rules)
    run_up(data, rules, as_json)


@app.command()
def demo(
    for_: Annotated[str | None, typer.Option("--for", help='End by itself after this long, such as "90s".')] = None,
    data: Annotated[Path | None, typer.Option(help="Keep the database here; none: a new one each time.")] = None,
    no_dashboards: Annotated[bool, typer.Option("--no-dashboards", help="Only collector and host.")] = False,
    port: Annotated[int, typer.Option(help="Of the dashboards; 0 picks a free one.")] = 8501,
    as_json: AsJson = False,
) -> None:
    """Show the whole loop on a real pipeline: a bad deployment, its quarantine, a slow downstream, the release."""
    if data is not None:
        folder_to_make("--data", data)
    try:
        from plugwarden_demo.story import run_demo
    except ModuleNotFoundError:
        fail("the demo host is not installed; run `make demo` in a checkout, or install plugwarden-demo")
    raise SystemExit(run_demo(for_, data, dashboards=not no_dashboards, port=port, as_json=as_json))


# -- asking -----------------------------------------------------------------------------------------------------------


app.command()(query)


@app.command()
def plugins(
    plugin: Annotated[str | None, typer.Argument(help="One plugin, in detail.")] = None,
    url: Url = DEFAULT_URL,
    since: Since = "15m",
    as_json: AsJson = False,
) -> None:
    """List plugins with their state, latency and error budget."""
    with client(url) as api:
        found = api.get("plugins" if plugin is None else ("plugins", plugin), since=since)
    if as_json:
        emit_json(found)
        return
    rows = found if plugin is None else [found]
    show(
        [
            {**row, "failures": row["failed"] / row["calls"] if row["calls"] else None}
            for row in rows
            if "failed" in row
        ],
        {
            "plugin_id": "plugin",
            "state": "state",
            "calls_per_second": ("calls/s", number),
            "failures": ("failed", percent),
            "p50_seconds": ("p50", seconds),
            "p99_seconds": ("p99", seconds),
            "budget_remaining_ratio": ("budget", budget),
            "versions": ("versions", prose),
        },
        empty=f"no plugin has made a call within {since}",
    )
    if plugin is None:
        return
    if found["why"]:
        console.print(f"\nwhy: {clean(found['why'])}")
    show(
        found["operations"],
        {"plugin_version": "version", "plugin_operation": "operation", "calls": ("calls", number),
         "failed": ("failed", number), "rejected": ("refused", number), "mean_seconds": ("mean", seconds)},
        title="\nOperations",
    )  # fmt: skip
    show(
        found["errors"],
        {"plugin_version": "version", "error_type": "error", "error_source": "blamed on", "calls": ("calls", number)},
        title="\nErrors",
        empty="\nno errors",
    )


@app.command()
def alerts(
    url: Url = DEFAULT_URL,
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List alerts and open incidents."""
    with client(url) as api:
        found = api.get("alerts")
    if as_json:
        emit_json(found)
        return
    rows = [row for row in found["alerts"] if everything or row["state"] != "inactive"]
    show(
        rows,
        {
            "state": "state",
            "severity": "severity",
            "firing_at": ("since", clock),
            "inhibited_by": "covered by",
            "summary": ("summary", prose),
        },
        empty="no alert is pending or firing",
    )
    for incident in found["incidents"]:
        if incident["ended_at"] is None:
            console.print(f"\nincident {incident['id']}: {clean(incident['summary'])}", soft_wrap=True)


@app.command()
def quarantines(
    url: Url = DEFAULT_URL,
    everything: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List quarantines."""
    with client(url) as api:
        found = api.get("quarantine")
    if as_json:
        emit_json(found)
        return
    show(
        [row for row in found if everything or row["ended_at"] is None],
        {"id": "id", "plugin_id": "plugin", "plugin_version": "version", "state": "state",
         "share_ratio": ("share", percent), "reason": ("why", prose)},
        empty="nothing is quarantined",
    )  # fmt: skip


@app.command()
def capacity(url: Url = DEFAULT_URL, since: Since = "15m", as_json: AsJson = False) -> None:
    """Show what each plugin asks of its hosts."""
    with client(url) as api:
        found = api.get("capacity", since=since)
    if as_json:
        emit_json(found)
        return
    show(
        found,
        {"plugin_id": "plugin", "calls_per_second": ("calls/s", number), "peak_calls_per_second": ("peak/s", number),
         "concurrency": ("concurrency", number), "cpu_cores": ("CPU cores", number)},
        empty=f"no plugin has made a call within {since}",
    )  # fmt: skip


app.command()(export)


@app.command()
def doctor(url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Check the collector; say what is wrong with it and what to do next."""
    from .doctor import run_doctor

    run_doctor(client(url), as_json)


# -- deciding ---------------------------------------------------------------------------------------------------------


@app.command()
def quarantine(
    plugin: str,
    reason: Reason,
    version: Annotated[str | None, typer.Option(help="One version only.")] = None,
    operation: Annotated[str | None, typer.Option(help="One operation only.")] = None,
    hold: Annotated[str | None, typer.Option(help='Begin probation after this long, such as "1h".')] = None,
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Take a plugin out of service, in all hosts."""
    from plugwarden_collector.rules.file import seconds as parse_seconds

    try:
        hold_seconds = None if hold is None else parse_seconds(hold)
    except ValueError as error:
        fail(f"--hold: {error}")
    body = {"plugin": plugin, "version": version, "operation": operation, "reason": reason,
            "hold_seconds": hold_seconds, "actor": actor}  # fmt: skip
    with client(url) as api:
        answer = api.post("quarantine", body)
    if as_json:
        emit_json(answer)
    else:
        console.print(
            f"{clean(answer['scope'])} is quarantined; undo with: plugwarden release {answer['id']} --reason …"
        )


@app.command()
def release(
    identity: Annotated[str, typer.Argument(metavar="ID", help="From `plugwarden quarantines`.")],
    reason: Reason,
    actor: Actor = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """End a quarantine."""
    with client(url) as api:
        answer = api.post(("quarantine", identity, "release"), {"reason": reason, "actor": actor})
    if as_json:
        emit_json(answer)
    else:
        console.print(f"{clean(answer['scope'])} is released")


@app.command()
def freeze(reason: Reason, actor: Actor = None, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Switch the automation off: it goes on judging and recording, and quarantines nothing."""
    _automation(True, reason, actor, url, as_json)


@app.command()
def unfreeze(reason: Reason, actor: Actor = None, url: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Switch the automation on again."""
    _automation(False, reason, actor, url, as_json)


def _automation(frozen: bool, reason: str, actor: str | None, url: str, as_json: bool) -> None:
    with client(url) as api:
        answer = api.post("automation", {"frozen": frozen, "reason": reason, "actor": actor})
    if as_json:
        emit_json(answer)
    else:
        console.print("the automation is frozen" if frozen else "the automation runs")


@rules_app.command("check")
def rules_check(file: Path, as_json: AsJson = False) -> None:
    """Read a rules file and say everything that is wrong with it."""
    from plugwarden_collector.rules.file import load_rules

    file_to_read("FILE", file)
    try:
        rules = load_rules(file)
    except RulesError as error:
        if as_json:
            emit_json({"valid": False, "problems": error.problems, "warnings": []})
        else:
            for problem in error.problems:
                console.print(f"{file}: {clean(problem)}", soft_wrap=True)
        raise SystemExit(1) from error
    if as_json:
        emit_json({"valid": True, "problems": [], "warnings": rules.warnings, "objectives": len(rules.objectives)})
        return
    for warning in rules.warnings:
        console.print(f"{file}: warning: {clean(warning)}", soft_wrap=True)
    show(
        [{"slo": item.name, "plugins": item.plugins, "sli": item.sli.value, "objective": item.target_ratio,
          "severity": tier.severity, "windows": f"{seconds(tier.long_seconds)} and {seconds(tier.short_seconds)}",
          "factor": tier.factor} for item in rules.objectives for tier in item.tiers],
        {"slo": "objective", "plugins": "plugins", "sli": "SLI", "objective": ("target", percent),
         "severity": "tier", "windows": "windows", "factor": ("burn rate", number)},
    )  # fmt: skip
    console.print(f"\n{file}: {len(rules.objectives)} objectives; the policy is to {rules.policy.enforcement.value}")


@rules_app.command("backtest")
def rules_backtest(
    file: Path,
    data: Data = Path("data"),
    since: Annotated[str | None, typer.Option(help="Begin this long before the newest data.")] = None,
    step: Annotated[float, typer.Option(min=0.5, help="Seconds between turns.")] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Replay stored calls through a rules file and show what it would have decided. Needs the collector stopped."""
    from plugwarden_collector.control.backtest import backtest
    from plugwarden_collector.rules.file import load_rules

    file_to_read("FILE", file)
    store_to_read("--data", data)
    report = backtest(data, load_rules(file), since=since, step_seconds=step)
    if as_json:
        emit_json(report)
        return
    show(report["decisions"], {"time": ("time", clock), "kind": "what", "scope": ("scope", prose), "reason": ("why", prose)},
         empty="these rules would have decided nothing")  # fmt: skip
    console.print(f"\n{report['ticks']} turns from {report['from']} to {report['to']}; {report['alerts']} alerts")
