"""The text of a rules file, whatever an editor made of it: read, or refused in one sentence that says what to do."""

from __future__ import annotations

import codecs

__all__ = ["MAX_BYTES", "decoded"]

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
_YAML = ("apiVersion:", "kind:", "version:", "slos:", "groups:", "---")
"""How files of OpenSLO, Sloth and Prometheus begin their lines."""


def decoded(data: bytes) -> str:
    """The text, with line ends as TOML wants them; raises `ValueError` with what is wrong and what to do about it."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"has {len(data)} bytes, more than the {MAX_BYTES} that a rules file may have")
    text = _text(data)
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ValueError(f"line {line} holds a NUL character: this is no text file, or UTF-16 without its mark")
    text = text.replace("\r\n", "\n")
    first = next((line for line in text.split("\n") if line.strip() and not line.startswith("#")), "")
    if first.startswith(_YAML):
        raise ValueError("this is YAML; rules are TOML, each objective a table headed [[slo]]")
    return text


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
