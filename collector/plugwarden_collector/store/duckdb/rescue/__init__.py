"""Backup, restore, verify, salvage: what is done with files that nobody has open."""
