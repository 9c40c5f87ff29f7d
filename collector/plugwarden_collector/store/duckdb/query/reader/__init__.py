"""Statements of readers, in processes that may be killed. See docs/adr/0021."""
