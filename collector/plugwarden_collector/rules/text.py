"""The text of a rules file, whatever an editor made of it: read, or refused in one sentence that says what to do."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

__all__ = ["MAX_BYTES", "decoded", "files_of", "is_yaml"]

MAX_BYTES = 1024 * 1024
"""Bytes of a rules file: ten thousand objectives take half of it."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks, and the encodings that they announce: what editors and shells on Windows write."""
_YAML = re.compile(r"---|%YAML|- |\{|[\w.\"'/-]+\s*:(\s|$)")
"""How a file of YAML, or of JSON, begins its first line that says something; none of TOML does."""
SUFFIXES = frozenset({".toml", ".yaml", ".yml", ".json"})
"""Ends of the names of files that are read of a folder."""
MAX_FILES = 200
"""Files of a folder; a fleet has a file for each team."""


def decoded(data: bytes) -> str:
    """The text, with line ends as TOML wants them; raises `ValueError` with what is wrong and what to do about it."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"has {len(data)} bytes, more than the {MAX_BYTES} that a rules file may have")
    text = _text(data)
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ValueError(f"line {line} holds a NUL character: this is no text file, or UTF-16 without its mark")
    return text.replace("\r\n", "\n")


def is_yaml(text: str) -> bool:
    """Whether a text is meant to be YAML, and not TOML."""
    first = next((line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")), "")
    return _YAML.match(first) is not None


def files_of(path: Path) -> list[Path]:
    """Return the files of rules that a path names: itself, or those in a folder, by name. Raises `OSError`; `ValueError` for too many."""
    if not path.is_dir():
        return [path]
    found = sorted(
        file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    if not found:
        raise ValueError(f"holds no file of rules; put one there whose name ends with {', '.join(sorted(SUFFIXES))}")
    if len(found) > MAX_FILES:
        raise ValueError(f"holds {len(found)} files of rules; {MAX_FILES} are read at most")
    return found


def _text(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding).removeprefix("\ufeff")
            except UnicodeDecodeError as error:
                raise ValueError(f"begins with the mark of {encoding.upper()} and is not: {error.reason}") from error
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        raise ValueError(
            f"line {line}, byte {column} is 0x{data[error.start]:02x}, which is not UTF-8; save the file as UTF-8"
        ) from error
