"""A backup that has arrived: compared with what its sender said it holds, and only then given its name."""

from __future__ import annotations

import json
from pathlib import Path

from plugwarden_collector.errors import StoreError

from .backup import Manifest
from .restore import sync
from .verify import Progress, Report, verify

__all__ = ["check_backup", "keep"]


def check_backup(file: Path, manifest_json: str, progress: Progress = lambda text: None) -> tuple[Manifest, Report]:
    """Read a backup back; raises `StoreError` when it is not whole, or not what its manifest says."""
    try:
        manifest = Manifest.from_dict(json.loads(manifest_json))
    except ValueError as error:
        raise StoreError("the collector did not say what its backup holds") from error
    report = verify(file, progress)
    wrong = [*report.problems, *(f"{table.name}: {table.problem}" for table in report.tables if table.problem)]
    if report.chain_problem:
        wrong.append(report.chain_problem)
    rows = {table.name: table.rows for table in report.tables}
    if not wrong and rows != manifest.rows:
        names = sorted(name for name in {*rows, *manifest.rows} if rows.get(name) != manifest.rows.get(name))
        wrong.append(f"rows of {', '.join(names)} differ from what the collector counted")
    if not wrong and report.head != manifest.head:
        wrong.append("the last decision is not the one the collector named")
    if wrong:
        raise StoreError(f"the backup is not whole and was not kept: {'; '.join(wrong)}")
    return manifest, report


def keep(draft: Path, file: Path) -> None:
    """Give a backup its name once its bytes are on disk, in one step."""
    sync(draft)
    draft.replace(file)
    sync(file.parent)
