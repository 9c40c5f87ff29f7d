"""`plugwarden rules`: check, export, import, backtest."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from plugwarden_collector.durations import duration
from plugwarden_collector.errors import RulesError, SettingsError
from plugwarden_collector.figures import counted, number, percent
from plugwarden_collector.named_path import file_to_write, rules_to_read, store_to_read

from .backtest_tables import show_backtest
from .options import AsJson, Data
from .output import clean, console, emit_json, errors, show
from .progress import interrupted, share

if TYPE_CHECKING:
    from plugwarden_collector.rules.exchange.formats import Format
    from plugwarden_collector.rules.file import Rules as RulesFound

__all__ = ["rules_app"]

As = Annotated[str, typer.Option("--as", help="openslo, sloth, prometheus or toml.")]
Output = Annotated[Path | None, typer.Option("--output", help="File to write; without it, the terminal.")]

rules_app = typer.Typer(
    help="Check rules files, read and write those of other tools, and try them on stored data.", no_args_is_help=True
)


@rules_app.command("check")
def rules_check(file: Path, as_json: AsJson = False) -> None:
    """Read a rules file, or a folder of some, and say everything that is wrong: TOML, or a file of OpenSLO, Sloth or Pyrra."""
    rules = _read(file, as_json)
    _try_statements(file, rules, as_json)
    if as_json:
        emit_json(
            {"valid": True, "problems": [], "warnings": rules.warnings, "objectives": len(rules.objectives),
             "slos": [asdict(item) for item in rules.objectives], "alerts": [asdict(item) for item in rules.alerts],
             "pushed": [item.as_dict() for item in rules.pushed], "maintenance": [item.as_dict() for item in rules.maintenance]}
        )  # fmt: skip
        return
    for warning in rules.warnings:
        console.print(f"{file}: warning: {clean(warning)}", soft_wrap=True)
    narrowed = {} if all(item.isolates for item in rules.objectives) else {"calls": "of"}
    owned = {"owner": "owner"} if any(item.owner for item in rules.objectives) else {}
    show(
        [{"slo": item.name, "owner": item.owner, "plugins": item.plugins, "calls": item.calls, "sli": item.measured,
          "objective": item.target_ratio,
          "severity": tier.severity, "windows": f"{duration(tier.long_seconds)} and {duration(tier.short_seconds)}",
          "factor": tier.factor} for item in rules.objectives for tier in item.tiers],
        {"slo": "objective", **owned, "plugins": "plugins", **narrowed, "sli": "SLI", "objective": ("target", percent),
         "severity": "tier", "windows": "windows", "factor": ("burn rate", number)},
    )  # fmt: skip
    if rules.alerts:
        console.print()
        show(
            [{**asdict(item), "limit": item.fires_when} for item in rules.alerts],
            {
                "name": "alert",
                "kind": "kind",
                "severity": "severity",
                "every_seconds": ("every", duration),
                "limit": "fires when",
            },
        )
    for item in rules.pushed:
        what = ", ".join(map(str, item.matchers))
        console.print(f"\npushed alerts {clean(item.name)}: {clean(what)}; {item.enforcement.value}", soft_wrap=True)
    for closed in rules.maintenance:
        what = ", ".join(map(str, closed.matchers))
        begins = f"{closed.begins:%H:%M} {closed.zone.key}"
        console.print(f"\nmaintenance {clean(closed.name)}: nobody is told of {clean(what)} from {begins}, for "
                      f"{duration(closed.length_seconds)}", soft_wrap=True)  # fmt: skip
    alerts = f", {counted(len(rules.alerts), 'alert')} besides" if rules.alerts else ""
    console.print(
        f"\n{file}: {counted(len(rules.objectives), 'objective')}{alerts}; the policy is to {rules.policy.enforcement.value}"
    )


@rules_app.command("export")
def rules_export(file: Path, kind: As, output: Output = None, as_json: AsJson = False) -> None:
    """Write the objectives of a rules file for another tool. Policy, receivers and other alerts stay."""
    from plugwarden_collector.rules.exchange.formats import Format

    try:
        form = Format(kind)
    except ValueError as error:
        raise SettingsError(f"--as: {clean(kind)} must be {', '.join(Format)}") from error
    _write(file, form, output, as_json)


@rules_app.command("import")
def rules_import(file: Path, output: Output = None, as_json: AsJson = False) -> None:
    """Write the objectives of a file of OpenSLO, Sloth or Pyrra as rules in TOML."""
    from plugwarden_collector.rules.exchange.formats import Format

    _write(file, Format.TOML, output, as_json)


def _read(file: Path, as_json: bool) -> RulesFound:
    """Return the rules of a file; without any, say what is wrong with it and end."""
    rules_to_read("FILE", file)
    from plugwarden_collector.rules.file import load_rules

    try:
        return load_rules(file)
    except RulesError as error:
        _refuse(file, error.problems, as_json)


def _try_statements(file: Path, rules: RulesFound, as_json: bool) -> None:
    """Say what is wrong with the statements of alerts, and end; each is run on an empty store."""
    if not rules.alerts:
        return
    from plugwarden_collector.control.statements import problems_of

    if problems := problems_of(rules.alerts):
        _refuse(file, problems, as_json)


def _refuse(file: Path, problems: list[str], as_json: bool) -> NoReturn:
    if as_json:
        emit_json({"valid": False, "problems": problems, "warnings": []})
    else:
        for problem in problems:
            console.print(f"{file}: {clean(problem)}", soft_wrap=True)
    raise SystemExit(1)


def _write(file: Path, kind: Format, output: Path | None, as_json: bool) -> None:
    if output is not None:
        file_to_write("--output", output)
    rules = _read(file, as_json)
    from plugwarden_collector.rules.exchange.formats import export_problems, exported

    if problems := export_problems(rules.objectives, kind):
        _refuse(file, problems, as_json)
    text = exported(rules.objectives, kind)
    if output is not None:
        output.write_text(text, "utf-8")
    if as_json:
        emit_json(
            {
                "valid": True,
                "problems": [],
                "warnings": rules.warnings,
                "objectives": len(rules.objectives),
                "text": text,
            }
        )
        return
    for warning in rules.warnings:
        errors.print(f"{file}: warning: {clean(warning)}", soft_wrap=True)
    if output is None:
        sys.stdout.write(text)
    else:
        console.print(f"{output}: {counted(len(rules.objectives), 'objective')}", soft_wrap=True)


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
    rules_to_read("FILE", file)
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
