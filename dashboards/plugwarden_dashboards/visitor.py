"""Who looks: somebody at this machine, who acts with the dashboards' token, or somebody who brings their own."""

from __future__ import annotations

import os

import streamlit as st
from plugwarden_collector.web.caller import proxy_header

__all__ = ["LOGIN", "VIA", "at_this_machine"]

LOGIN = "PLUGWARDEN_DASHBOARDS_LOGIN"
"""`required` where the dashboards can be reached from elsewhere; set by `serve`."""
VIA = "1.1 plugwarden-dashboards"
"""Sent with what is asked on behalf of others, so that a collector without tokens does not take it for its own machine's."""


def at_this_machine() -> bool:
    """Whether this visitor's browser is connected to us from this machine, with no proxy in between."""
    if os.environ.get(LOGIN) == "required":
        return False
    headers = ((name.lower().encode("latin-1", "replace"), b"") for name in st.context.headers)
    return proxy_header(headers) is None
