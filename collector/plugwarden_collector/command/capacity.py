"""`plugwarden capacity`."""

from __future__ import annotations

from plugwarden_collector.figures import number

from .options import DEFAULT_URL, AsJson, Since, Url, client
from .output import emit_json, show

__all__ = ["capacity"]


def capacity(url: Url = DEFAULT_URL, since: Since = "15m", as_json: AsJson = False) -> None:
    """Show what each plugin asks of its hosts."""
    with client(url) as api:
        found = api.get("capacity", since=since)
    if as_json:
        emit_json(found)
        return
    show(
        found,
        {"plugin_id": "plugin", "calls_per_second": ("calls/s", number), "peak_calls_per_second": ("peak/s", number),
         "concurrency": ("concurrency", number), "cpu_cores": ("CPU cores", number)},
        empty=f"no plugin has made a call within {since}",
    )  # fmt: skip
