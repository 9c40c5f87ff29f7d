"""The dashboards' server: Streamlit with a readiness route, told everything here and nothing by config files."""

from __future__ import annotations

import argparse
import asyncio
import os
from ipaddress import ip_address
from pathlib import Path

import streamlit as st
from plugwarden_collector.api.client import CollectorClient
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

__all__ = ["main"]

DEFAULT_COLLECTOR = "http://127.0.0.1:8420"


async def _ready(request: Request) -> Response:
    """Ready when the pages can be served; whether the collector answers is said beside it."""
    client = CollectorClient(os.environ["PLUGWARDEN_COLLECTOR_URL"], timeout=2.0)
    try:
        answers = await asyncio.to_thread(client.ready)
    finally:
        client.close()
    return PlainTextResponse("ok" if answers else "ok, but the collector does not answer")


app = st.App(Path(__file__).with_name("app.py"), routes=[Route("/readyz", _ready)])


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="plugwarden dashboards", description="Serve the dashboards.")
    parser.add_argument("--address", default="127.0.0.1:8501", help="HOST:PORT to listen on")
    parser.add_argument(
        "--url", default=os.environ.get("PLUGWARDEN_COLLECTOR_URL", DEFAULT_COLLECTOR), help="the collector's HTTP API"
    )
    arguments = parser.parse_args()
    host, _, port = arguments.address.rpartition(":")
    if not port.isdigit():
        parser.error(f"--address: {arguments.address!r} is not HOST:PORT, such as 127.0.0.1:8501")
    os.environ["PLUGWARDEN_COLLECTOR_URL"] = arguments.url
    if not _loopback(host):
        # Beyond this machine everyone brings a token of their own: the collector decides what it may do.
        os.environ["PLUGWARDEN_DASHBOARDS_LOGIN"] = "required"
    app.run(
        config={
            "server.address": host or "127.0.0.1",
            "server.port": int(port),
            "server.headless": True,
            "server.fileWatcherType": "none",
            "browser.gatherUsageStats": False,
            "client.toolbarMode": "viewer",
            "client.showErrorDetails": "none",
            "client.showErrorLinks": False,
            "runner.magicEnabled": False,
            "theme.light.primaryColor": "#0072B2",
            "theme.dark.primaryColor": "#56B4E9",
            "theme.light.secondaryBackgroundColor": "#F3F5F7",
            "theme.dark.secondaryBackgroundColor": "#1B2028",
        }
    )


def _loopback(host: str) -> bool:
    if host in {"", "localhost"}:
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    main()
