"""`plugwarden backup`, `restore`, `store verify` and `store salvage`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from plugwarden_collector.api.client import CollectorClient
from plugwarden_collector.clock import utc_now
from plugwarden_collector.named_path import file_to_read, file_to_write, folder_to_make, store_to_read
from plugwarden_collector.private import create

from .output import clean, console, emit_json, fail, number, prose, show

__all__ = ["register"]

Url = Annotated[str, typer.Option("--url", envvar="PLUGWARDEN_COLLECTOR_URL", help="The collector's HTTP API.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
Data = Annotated[Path, typer.Option("--data", help="Folder of the database.")]
Actor = Annotated[str, typer.Option("--actor", help="Who does it; goes into the audit log.", envvar="USER")]

_errors = Console(stderr=True, highlight=False, markup=False, emoji=False)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    store = typer.Typer(
        help="Look at a store that no collector has open, and save what can be read.", no_args_is_help=True
    )
    app.command()(backup)
    app.command()(restore)
    store.command("verify")(store_verify)
    store.command("salvage")(store_salvage)
    app.add_typer(store, name="store")


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="FILE_OR_FOLDER", help="Where to write it; a folder gets a dated name.")
    ],
    url: Url = "http://127.0.0.1:8420",
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy a running collector's store into a file, and verify it."""
    from plugwarden_collector.store.duckdb.rescue.backup_check import check_backup, keep

    if not _is_folder(target):
        file_to_write("FILE_OR_FOLDER", target)
    file = target / f"plugwarden-{utc_now():%Y%m%dT%H%M%SZ}.duckdb" if _is_folder(target) else target
    if file.exists() and not force:
        fail(f"{file} is there already; name another, a folder, or use --force")
    draft = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        token = os.environ.get("PLUGWARDEN_TOKEN")
        with (
            CollectorClient(url, token=token) as api,
            os.fdopen(create(draft), "wb") as sink,
            _bar("copying", as_json) as progress,
        ):
            headers = api.download("backup", sink, progress)
        with _steps("reading it back", as_json) as step:
            manifest, report = check_backup(draft, headers.get("x-plugwarden-manifest", ""), step)
        keep(draft, file)
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    finally:
        draft.unlink(missing_ok=True)
    answer = {"file": str(file), **manifest.as_dict(), "decisions": report.decisions, "verified": True}
    answer["decision_log"] = report.chain_notes
    if as_json:
        emit_json(answer)
    else:
        console.print(
            f"{file}: {number(manifest.nbytes / 1e6)} MB, {sum(manifest.rows.values()):,} rows, {report.decisions} decisions "
            f"in an unbroken chain, as of {manifest.taken_at}; read back and verified", soft_wrap=True,
        )  # fmt: skip
        for text in report.chain_notes:
            if "not in the key file" in text:  # the usual case where a backup is taken from another machine
                console.print(f"- {clean(text)}", soft_wrap=True)


def restore(
    file: Annotated[Path, typer.Argument(metavar="BACKUP")],
    data: Data = Path("data"),
    force: Annotated[bool, typer.Option("--force", help="Move the store that is there aside.")] = False,
    actor: Actor = "operator",
    as_json: AsJson = False,
) -> None:
    """Make a backup the store in a folder. Needs the collector stopped."""
    from plugwarden_collector.store.duckdb.rescue.restore import restore as run
    from plugwarden_collector.store.duckdb.rescue.restore import sum_rows

    file_to_read("BACKUP", file)
    folder_to_make("--data", data)
    with _steps("restoring", as_json) as step:
        report, aside = run(file, data, at=utc_now(), actor=actor, force=force, progress=step)
    if as_json:
        emit_json({"restored": str(data), "rows": {table.name: table.rows for table in report.tables},
                   "decisions": report.decisions, "moved_aside": None if aside is None else str(aside)})  # fmt: skip
        return
    console.print(
        f"{data}: restored and verified, {sum_rows(report):,} rows, {report.decisions} decisions", soft_wrap=True
    )
    if aside is not None:
        console.print(f"the store that was there is in {aside}; delete it when you no longer need it", soft_wrap=True)


def store_verify(data: Data = Path("data"), as_json: AsJson = False) -> None:
    """Read everything in a store, and say what is intact. Needs the collector stopped; takes a backup's file too."""
    from plugwarden_collector.store.duckdb.database import FILE_NAME
    from plugwarden_collector.store.duckdb.rescue.verify import verify

    store_to_read("--data", data)
    with _steps("reading", as_json) as step:
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
        console.print(f"{report.decisions} decisions: {clean(chain)}", soft_wrap=True)
        for text in report.chain_notes:
            console.print(f"  {clean(text)}", soft_wrap=True)
        console.print(
            "the store is intact" if report.intact else "the store is DAMAGED; see `plugwarden store salvage --help`"
        )
    if not report.intact:
        raise SystemExit(1)


def store_salvage(
    to: Annotated[Path, typer.Option("--to", help="New folder for what can be read.")],
    data: Data = Path("data"),
    actor: Actor = "operator",
    as_json: AsJson = False,
) -> None:
    """Copy what can be read of a damaged store into a new one. Needs the collector stopped; changes nothing in --data."""
    from plugwarden_collector.store.duckdb.database import FILE_NAME
    from plugwarden_collector.store.duckdb.rescue.salvage import salvage

    store_to_read("--data", data)
    folder_to_make("--to", to)
    with _steps("saving", as_json) as step:
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
        console.print(
            f"{found.lost_commits} commits in the write-ahead log are lost: the newest telemetry", soft_wrap=True
        )
    if found.chain_problem:
        console.print(f"the decision log is broken: {clean(found.chain_problem)}", soft_wrap=True)
    console.print(f"saved to {to}; start a collector on it with --data {to}", soft_wrap=True)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # what it is instead is said where it is looked at as a file


@contextmanager
def _bar(text: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    if quiet or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with Progress(TextColumn(text), BarColumn(), DownloadColumn(), console=_errors, transient=True) as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def _steps(text: str, quiet: bool) -> Iterator[Callable[[str], None]]:
    if quiet or not sys.stderr.isatty():
        yield lambda step: None
        return
    with _errors.status(text) as status:
        yield lambda step: status.update(f"{text}: {clean(step)}")
