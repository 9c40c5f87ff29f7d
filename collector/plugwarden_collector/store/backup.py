"""Copies of an open store; apart from the door for stores that nobody has open (`rescue`), which a start need not load."""

from .duckdb.rescue.backup import Backup, open_backup

__all__ = ["Backup", "open_backup"]
