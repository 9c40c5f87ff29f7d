"""Stores that nobody has open: verify, salvage, check a backup that arrived, restore it. For commands."""

from .duckdb.database import FILE_NAME
from .duckdb.rescue.backup_check import check_backup, keep
from .duckdb.rescue.restore import restore, sum_rows
from .duckdb.rescue.salvage import salvage
from .duckdb.rescue.verify import verify

__all__ = [
    "FILE_NAME",
    "check_backup",
    "keep",
    "restore",
    "salvage",
    "sum_rows",
    "verify",
]
