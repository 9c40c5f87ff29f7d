"""The dashboards' server: Streamlit behind our own door, told everything here and nothing by config files."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import streamlit as st
import uvicorn
from plugwarden_collector.api.client import CollectorClient
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from streamlit.web import bootstrap

from plugwarden_dashboards.door import PROBE, door, loopback, names_of
from plugwarden_dashboards.signin.form import PATH
from plugwarden_dashboards.visitor import LOGIN, sign_in

__all__ = ["main"]

DEFAULT_COLLECTOR = "http://127.0.0.1:8420"
MESSAGE_BYTES = 4 * 1024**2
"""Bytes that a browser may send at once: states of widgets, a few KB."""
STOP_SECONDS = 5
"""For browsers to take what is under way; then their connections are closed."""

_CONFIG: dict[str, Any] = {
    "server.headless": True,
    "server.fileWatcherType": "none",
    # Said again, since a config file or a variable of the same name could say otherwise.
    "server.enableCORS": True,
    "server.enableXsrfProtection": True,
    "server.enableAgentApi": False,
    "server.enableStaticServing": False,
    "server.corsAllowedOrigins": [],
    "client.allowedOrigins": [],  # pages that may embed and drive this one: by default those of Streamlit's own cloud
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "runner.magicEnabled": False,
    "theme.paddingTop": "0.5rem",
    "theme.light.primaryColor": "#0072B2",
    "theme.dark.primaryColor": "#56B4E9",
    "theme.light.secondaryBackgroundColor": "#F3F5F7",
    "theme.dark.secondaryBackgroundColor": "#1B2028",
}


async def _ready(request: Request) -> Response:
    """Ready when the pages can be served; whether the collector answers is said beside it."""
    client = CollectorClient(os.environ["PLUGWARDEN_COLLECTOR_URL"], timeout=2.0)
    try:
        answers = await asyncio.to_thread(client.ready)
    finally:
        client.close()
    return PlainTextResponse("ok" if answers else "ok, but the collector does not answer")


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="plugwarden dashboards", description="Serve the dashboards.")
    parser.add_argument("--address", default="127.0.0.1:8501", help="HOST:PORT to listen on")
    parser.add_argument(
        "--url", default=os.environ.get("PLUGWARDEN_COLLECTOR_URL", DEFAULT_COLLECTOR), help="the collector's HTTP API"
    )
    parser.add_argument(
        "--host-name",
        action="append",
        help="a name that browsers reach them by, beside localhost; may be repeated; everyone then brings a token",
    )
    arguments = parser.parse_args()
    host, _, port = arguments.address.rpartition(":")
    if not port.isdigit():
        parser.error(f"--address: {arguments.address!r} is not HOST:PORT, such as 127.0.0.1:8501")
    told = arguments.host_name or [
        name for name in os.environ.get("PLUGWARDEN_DASHBOARDS_HOSTS", "").split(",") if name.strip()
    ]
    try:
        names = names_of(host, told)
    except ValueError as error:
        parser.error(f"--host-name: {error}")
    os.environ["PLUGWARDEN_COLLECTOR_URL"] = arguments.url
    if not loopback(host) or told:
        # Beyond this machine everyone brings a token of their own: the collector decides what it may do.
        os.environ[LOGIN] = "required"
    bootstrap.load_config_options(
        {
            **_CONFIG,
            "server.address": host.strip("[]") or "127.0.0.1",
            "server.port": int(port),
            "server.allowedHosts": sorted(name.strip("[]") for name in names),
        }
    )
    entry = sign_in()
    app = st.App(
        Path(__file__).with_name("app.py"),
        routes=[Route(PROBE, _ready), Route(PATH, entry.show), Route(PATH, entry.enter, methods=["POST"])],
        middleware=[Middleware(door, names=names, probed_by_any_name=not loopback(host), instead=entry.instead)],
    )
    print(f"dashboards: http://{arguments.address}", file=sys.stderr)
    # Not App.run(): it names the server in every answer, believes X-Forwarded-For, and asks the Internet for its own address.
    uvicorn.run(
        app,
        host=host.strip("[]") or "127.0.0.1",
        port=int(port),
        ws="websockets-sansio",
        ws_max_size=MESSAGE_BYTES,
        ws_ping_interval=30,
        ws_ping_timeout=30,
        access_log=False,
        log_level="error",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )


if __name__ == "__main__":
    main()
