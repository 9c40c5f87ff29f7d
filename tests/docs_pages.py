"""What stands in a page: files, each a block whose first line is its name, and commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

__all__ = ["commands_of", "examples", "write_files"]

PAGES = Path(__file__).parents[1] / "docs"


def write_files(page: str, folder: Path) -> list[str]:
    """Write the blocks that begin with a comment that is a file's name; answers the names."""
    text = (PAGES / page).read_text("utf-8")
    found = re.findall(r"^```[a-z]+\n# (\S+\.\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for name, block in found:
        (folder / name).write_text(block)
    return [name for name, _ in found]


def commands_of(page: str, program: str) -> list[list[str]]:
    """Arguments of each `$ PROGRAM …` in the page's console blocks."""
    text = (PAGES / page).read_text("utf-8")
    return [shlex.split(line)[1:] for line in re.findall(rf"^\$ ({program} .*)$", text, re.MULTILINE)]


def examples() -> list[str]:
    """Statements of the SQL reference."""
    text = (PAGES / "reference/sql.md").read_text("utf-8")
    return [block.split("```")[0].strip() for block in text.split("```sql\n")[1:]]
