"""`plugwarden store`: verify, salvage."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from plugwarden_collector.clock import utc_now
from plugwarden_collector.figures import counted, number
from plugwarden_collector.named_path import folder_to_make, store_to_read

from .options import AsJson, Data
from .output import clean, console, emit_json, prose, show
from .progress import steps

__all__ = ["StoreActor", "store_app"]


StoreActor = Annotated[str, typer.Option("--actor", help="Who does it; goes into the audit log.", envvar="USER")]
"""`--actor` of what is done to a store itself, where no collector tells who asks."""

store_app = typer.Typer(
    help="Look at a store that no collector has open, and save what can be read.", no_args_is_help=True
)


@store_app.command("verify")
def store_verify(data: Data = Path("data"), as_json: AsJson = False) -> None:
    """Read everything in a store, and say what is intact. Needs the collector stopped; takes a backup's file too."""
    store_to_read("--data", data)
    from plugwarden_collector.store.rescue import FILE_NAME, verify

    with steps("reading", as_json) as step:
        report = verify(data if data.is_file() else data / FILE_NAME, step, kept=not data.is_file())
    if as_json:
        emit_json({**asdict(report), "intact": report.intact})
    else:
        show([{**asdict(table), "state": table.problem or "intact"} for table in report.tables],
             {"name": "table", "rows": ("rows", number), "first_at": "from", "last_at": "to", "state": ("state", prose)},
             empty="no table can be read")  # fmt: skip
        for text in (*report.problems, *report.notes):
            console.print(clean(text), soft_wrap=True)
        chain = report.chain_problem or "in an unbroken chain"
        console.print(f"{counted(report.decisions, 'decision')}: {clean(chain)}", soft_wrap=True)
        for text in report.chain_notes:
            console.print(f"  {clean(text)}", soft_wrap=True)
        console.print(
            "the store is intact" if report.intact else "the store is DAMAGED; see `plugwarden store salvage --help`"
        )
    if not report.intact:
        raise SystemExit(1)


@store_app.command("salvage")
def store_salvage(
    to: Annotated[Path, typer.Option("--to", help="New folder for what can be read.")],
    data: Data = Path("data"),
    actor: StoreActor = "operator",
    as_json: AsJson = False,
) -> None:
    """Copy what can be read of a damaged store into a new one. Needs the collector stopped; changes nothing in --data."""
    store_to_read("--data", data)
    folder_to_make("--to", to)
    from plugwarden_collector.store.rescue import FILE_NAME, salvage

    with steps("saving", as_json) as step:
        found = salvage(data if data.is_file() else data / FILE_NAME, to, at=utc_now(), actor=actor, progress=step)
    if as_json:
        emit_json({**asdict(found), "complete": found.complete, "to": str(to)})
        return
    rows = [
        {"name": table.name, "saved": table.saved, "lost": table.lost if table.whole else "not known",
         "span": "; ".join(f"{loss.first_at or '?'} to {loss.last_at or '?'}" for loss in table.losses[:5])}
        for table in found.tables
    ]  # fmt: skip
    show(rows, {"name": "table", "saved": ("saved", number), "lost": "lost", "span": ("times of what is lost", prose)})
    for text in (*found.problems, *found.notes):
        console.print(clean(text), soft_wrap=True)
    if found.lost_commits:
        gone = counted(found.lost_commits, "commit of the write-ahead log is", "commits of the write-ahead log are")
        console.print(
            f"{gone} lost: the newest telemetry",
            soft_wrap=True,
        )
    if found.chain_problem:
        console.print(f"the decision log is broken: {clean(found.chain_problem)}", soft_wrap=True)
    console.print(f"saved to {to}; start a collector on it with --data {to}", soft_wrap=True)
