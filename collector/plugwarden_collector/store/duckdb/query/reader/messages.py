"""What DuckDB says about a statement, in words for whoever wrote it."""

from __future__ import annotations

import re

__all__ = ["TOO_MUCH_MEMORY", "explain", "too_long"]

TOO_MUCH_MEMORY = "the query needs more memory than it may have; narrow the time range or aggregate"


def too_long(seconds: float) -> str:
    """A statement was ended at its time."""
    return f"interrupted after {seconds:g} s; narrow the time range or aggregate"


def explain(error: BaseException, sql: str) -> str:
    """DuckDB's message, on one line, with the place in the statement as people count."""
    text = str(error)
    message, _, where = text.partition("\n\nLINE ")
    message = message.split("\n\tCandidate functions:")[0]
    if isinstance(error, MemoryError) or "Out of Memory" in message or "bad_alloc" in message:
        return TOO_MUCH_MEMORY
    message = re.sub(r"^[\w ]+ Error: ", "", message).strip()
    message = "; ".join(line.strip() for line in message.splitlines() if line.strip())
    return f"{_place(where, sql)}{message}" or type(error).__name__


def _place(where: str, sql: str) -> str:
    """`line 1, column 8: ` from DuckDB's excerpt with a caret under it, which it cuts when the line is long."""
    found = re.match(r"(\d+): (.*)\n( *)\^", where)
    if found is None:
        return ""
    number, excerpt = int(found.group(1)), found.group(2)
    caret = len(found.group(3)) - len(f"LINE {number}: ")
    if excerpt.startswith("..."):
        excerpt, caret = excerpt[3:], caret - 3
    lines = sql.splitlines()
    column = lines[number - 1].find(excerpt.removesuffix("...")) if number <= len(lines) else -1
    return f"line {number}, column {column + caret + 1}: " if column >= 0 else f"line {number}: "
