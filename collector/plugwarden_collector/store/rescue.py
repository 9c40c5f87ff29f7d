"""Stores that nobody has open, and copies of open ones: verify, salvage, back up, restore. For commands and the route of backups."""

from .duckdb.database import FILE_NAME
from .duckdb.rescue.backup import Backup, open_backup
from .duckdb.rescue.backup_check import check_backup, keep
from .duckdb.rescue.restore import restore, sum_rows
from .duckdb.rescue.salvage import salvage
from .duckdb.rescue.verify import verify

__all__ = [
    "FILE_NAME",
    "Backup",
    "check_backup",
    "keep",
    "open_backup",
    "restore",
    "salvage",
    "sum_rows",
    "verify",
]
