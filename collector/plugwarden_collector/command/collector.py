"""`plugwarden collector`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import AsJson, Data, Rules

__all__ = ["collector"]


def collector(
    data: Data = Path("data"),
    grpc: Annotated[str, typer.Option(help="OTLP over gRPC, HOST:PORT.")] = "127.0.0.1:4317",
    http: Annotated[str, typer.Option(help="OTLP over HTTP, HOST:PORT.")] = "127.0.0.1:4318",
    api: Annotated[str, typer.Option(help="The HTTP API, HOST:PORT.")] = "127.0.0.1:8420",
    rules: Rules = None,
    plugin_from: Annotated[
        str,
        typer.Option(
            envvar="PLUGWARDEN_PLUGIN_FROM",
            help="Attributes that name the plugin, the first that is there wins; scope.name is the scope's name.",
        ),
    ] = "plugin.id,gen_ai.tool.name,faas.name",
    keep_raw: Annotated[
        str, typer.Option(envvar="PLUGWARDEN_KEEP_RAW", help="How long spans, logs and points are kept.")
    ] = "7d",
    max_size: Annotated[
        str,
        typer.Option(
            envvar="PLUGWARDEN_MAX_SIZE", help="Of the database; above it the oldest raw rows go. 0: no limit."
        ),
    ] = "20GB",
    archive: Annotated[
        Path | None, typer.Option(envvar="PLUGWARDEN_ARCHIVE", help="Folder for Parquet files of what is let go.")
    ] = None,
    audit_key: Annotated[
        Path | None,
        typer.Option(
            envvar="PLUGWARDEN_AUDIT_KEY_FILE",
            help="File of the key that seals the decision log; made if missing. [~/.local/state/plugwarden/audit.key]",
        ),
    ] = None,
    max_deletion: Annotated[
        str,
        typer.Option(
            envvar="PLUGWARDEN_MAX_DELETION",
            help="Of a view's rows, the share that may go at once for their age; more waits for a person.",
        ),
    ] = "50%",
    public_url: Annotated[
        str,
        typer.Option(
            envvar="PLUGWARDEN_PUBLIC_URL",
            help="Where people reach the dashboards, such as https://plugwarden.example.net: for links in what they are told.",
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Run the collector until Ctrl-C. SIGHUP reads the rules file again. Port 0 picks a free port."""
    from .collector_process import run_collector

    run_collector(
        data, grpc, http, api, rules, as_json,
        plugin_from=plugin_from, keep_raw=keep_raw, max_size=max_size, archive=archive,
        audit_key=audit_key, max_deletion=max_deletion, public_url=public_url,
    )  # fmt: skip
