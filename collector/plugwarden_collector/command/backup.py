"""`plugwarden backup` and `restore`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from plugwarden_collector.clock import utc_now
from plugwarden_collector.figures import counted, size
from plugwarden_collector.named_path import file_to_read, file_to_write, folder_to_make
from plugwarden_collector.private import create

from .options import DEFAULT_URL, AsJson, Data, Url, client
from .output import clean, console, emit_json, fail
from .progress import bar, steps
from .store import StoreActor

__all__ = ["backup", "restore"]


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="FILE_OR_FOLDER", help="Where to write it; a folder gets a dated name.")
    ],
    url: Url = DEFAULT_URL,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy a running collector's store into a file, and verify it."""
    if not _is_folder(target):
        file_to_write("FILE_OR_FOLDER", target)
    file = target / f"plugwarden-{utc_now():%Y%m%dT%H%M%SZ}.duckdb" if _is_folder(target) else target
    if file.exists() and not force:
        fail(f"{file} is there already; name another, a folder, or use --force")
    draft = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        with (
            client(url) as api,
            os.fdopen(create(draft), "wb") as sink,
            bar("copying", as_json) as progress,
        ):
            headers = api.download("backup", sink, progress)
        from plugwarden_collector.store.rescue import check_backup, keep

        with steps("reading it back", as_json) as step:
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
            f"{file}: {size(manifest.nbytes)}, {counted(sum(manifest.rows.values()), 'row')}, {counted(report.decisions, 'decision')} "
            f"in an unbroken chain, as of {manifest.taken_at}; read back and verified", soft_wrap=True,
        )  # fmt: skip
        for text in report.chain_notes:
            if "not in the key file" in text:  # the usual case where a backup is taken from another machine
                console.print(f"- {clean(text)}", soft_wrap=True)


def restore(
    file: Annotated[Path, typer.Argument(metavar="BACKUP")],
    data: Data = Path("data"),
    force: Annotated[bool, typer.Option("--force", help="Move the store that is there aside.")] = False,
    actor: StoreActor = "operator",
    as_json: AsJson = False,
) -> None:
    """Make a backup the store in a folder. Needs the collector stopped."""
    file_to_read("BACKUP", file)
    folder_to_make("--data", data)
    from plugwarden_collector.store.rescue import restore as run
    from plugwarden_collector.store.rescue import sum_rows

    with steps("restoring", as_json) as step:
        report, aside = run(file, data, at=utc_now(), actor=actor, force=force, progress=step)
    if as_json:
        emit_json({"restored": str(data), "rows": {table.name: table.rows for table in report.tables},
                   "decisions": report.decisions, "moved_aside": None if aside is None else str(aside)})  # fmt: skip
        return
    console.print(
        f"{data}: restored and verified, {counted(sum_rows(report), 'row')}, {counted(report.decisions, 'decision')}",
        soft_wrap=True,
    )
    if aside is not None:
        console.print(f"the store that was there is in {aside}; delete it when you no longer need it", soft_wrap=True)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # what it is instead is said where it is looked at as a file
