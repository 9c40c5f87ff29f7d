"""What every page can use: the chosen time range, live bodies, and the way to other pages."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

__all__ = ["LEAVING", "RANGES", "REFRESH", "goto", "live", "since"]

LEAVING = "_goto"
"""Key of the session's state that holds the page that is wanted next, and its query."""
RANGES = ["5m", "15m", "1h", "6h", "1d", "7d", "30d"]
REFRESH = {"off": None, "2s": 2.0, "5s": 5.0, "15s": 15.0, "1m": 60.0}


def goto(page: str, **query: str) -> None:
    """Go to another page: from a callback, which a rerun follows by itself."""
    st.session_state[LEAVING] = (page, query)


def since() -> str:
    """The chosen time range, as the API takes it."""
    chosen = st.session_state.get("range", "15m")
    return chosen if chosen in RANGES else "15m"


def live(body: Callable[[], None], key: str) -> None:
    """Draw a page's body, again at every refresh, without touching the rest of the page."""
    interval = REFRESH.get(st.session_state.get("refresh", "5s"), 5.0)

    @st.fragment(run_every=interval, key=key)
    def ticking() -> None:
        if LEAVING in st.session_state:
            st.rerun()  # a callback in here is followed by this body alone, and the way to another page is the whole app's to go
        body()

    ticking()
