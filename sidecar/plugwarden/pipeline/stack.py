"""What is said of an exception: its type, message and stack trace, without where the host is installed."""

from __future__ import annotations

import functools
import linecache
import os
import sys
from pathlib import Path

from plugwarden.contract import attributes
from plugwarden.invocation import Failure

__all__ = ["exception_attributes", "short_path"]

_OURS = tuple(str(Path(__file__).parent.parent / part) + os.sep for part in ("shim", "runners"))


@functools.lru_cache(maxsize=4096)
def short_path(file: str) -> str:
    """A file's path below the folder it is imported from: where a host is installed is nobody's business."""
    roots = [root for root in sys.path if root and file.startswith(root.rstrip(os.sep) + os.sep)]
    return file[len(max(roots, key=len).rstrip(os.sep)) + 1 :] if roots else Path(file).name


def exception_attributes(failure: Failure) -> dict[str, object]:
    """The three attributes of OpenTelemetry's exception convention."""
    described: dict[str, object] = {
        attributes.EXCEPTION_TYPE: failure.type_name,
        attributes.EXCEPTION_MESSAGE: failure.message,
    }
    if failure.frames:
        lines = ["Traceback (most recent call last):"]
        for file, line, function in failure.frames:
            if file.startswith(_OURS):
                continue  # our own frame says nothing about the plugin
            lines.append(f'  File "{short_path(file)}", line {line}, in {function}')
            source = linecache.getline(file, line).strip()
            if source:
                lines.append(f"    {source}")
        lines.append(f"{failure.type_name}: {failure.message}")
        described[attributes.EXCEPTION_STACKTRACE] = "\n".join(lines)
    return described
