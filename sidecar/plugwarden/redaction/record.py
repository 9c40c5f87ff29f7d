"""How much of one record is looked at: an exception may be annotated with megabytes, and the host's processor is the host's."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["MAX_RECORD", "redactor_of_record"]

MAX_RECORD = 64 * 1024
"""Characters of one span or log record, all its texts together. Some 50 frames, a body of 8,000 and 10 annotations of 4,096 fit."""
LEFT_OUT = "[left out: the record has too much text to look for secrets in]"


def redactor_of_record(redact: Callable[[str], str]) -> Callable[[str], str]:
    """`redact` for the texts of one record: those beyond `MAX_RECORD` characters are left out, unseen."""
    if redact is str:
        return redact  # the host wants all of it as it is
    left = MAX_RECORD

    def bounded(text: str) -> str:
        nonlocal left
        left -= len(text)
        return redact(text) if left >= 0 else LEFT_OUT

    return bounded
