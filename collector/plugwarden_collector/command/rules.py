"""`plugwarden rules`: check, backtest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from plugwarden_collector.durations import duration
from plugwarden_collector.errors import RulesError
from plugwarden_collector.figures import counted, number, percent
from plugwarden_collector.named_path import file_to_read, store_to_read

from .backtest_tables import show_backtest
from .options import AsJson, Data
from .output import clean, console, emit_json, show
from .progress import interrupted, share

__all__ = ["rules_app"]


rules_app = typer.Typer(help="Check rules files, and try them on stored data.", no_args_is_help=True)


@rules_app.command("check")
def rules_check(file: Path, as_json: AsJson = False) -> None:
    """Read a rules file and say everything that is wrong with it."""
    file_to_read("FILE", file)
    from plugwarden_collector.rules.file import load_rules

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
        emit_json(
            {"valid": True, "problems": [], "warnings": rules.warnings, "objectives": len(rules.objectives),
             "slos": [asdict(item) for item in rules.objectives]}
        )  # fmt: skip
        return
    for warning in rules.warnings:
        console.print(f"{file}: warning: {clean(warning)}", soft_wrap=True)
    owned = {"owner": "owner"} if any(item.owner for item in rules.objectives) else {}
    show(
        [{"slo": item.name, "owner": item.owner, "plugins": item.plugins, "sli": item.sli.value, "objective": item.target_ratio,
          "severity": tier.severity, "windows": f"{duration(tier.long_seconds)} and {duration(tier.short_seconds)}",
          "factor": tier.factor} for item in rules.objectives for tier in item.tiers],
        {"slo": "objective", **owned, "plugins": "plugins", "sli": "SLI", "objective": ("target", percent),
         "severity": "tier", "windows": "windows", "factor": ("burn rate", number)},
    )  # fmt: skip
    console.print(
        f"\n{file}: {counted(len(rules.objectives), 'objective')}; the policy is to {rules.policy.enforcement.value}"
    )


@rules_app.command("backtest")
def rules_backtest(
    file: Path,
    data: Data = Path("data"),
    over: Annotated[
        str | None, typer.Option(help="How far back to begin, such as 30d; all that is kept without it.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="The same, by the name it had before.", hidden=True)] = None,
    step: Annotated[float, typer.Option(hidden=True, help="Has no meaning any more.")] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Replay stored calls through a rules file and show what it would have decided. Needs the collector stopped."""
    file_to_read("FILE", file)
    store_to_read("--data", data)
    from plugwarden_collector.control.backtest import backtest
    from plugwarden_collector.rules.file import load_rules

    rules = load_rules(file)
    with share(f"trying {file.name}", as_json) as told, interrupted() as stop:
        report = backtest(data, rules, over=over or since, told=told, stop=stop)
    found = report.as_dict()
    if as_json:
        emit_json(found)
    else:
        show_backtest(found)
    if not report.complete:
        raise SystemExit(130)
