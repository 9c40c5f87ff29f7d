"""What people do by the pages: one POST, with a reason, whose outcome is said in every case."""

from __future__ import annotations

from typing import Any

import streamlit as st
from plugwarden_collector.api.client import ApiError, Path, Unreachable

from plugwarden_dashboards import data, words

__all__ = ["ACTOR", "FLASH", "MIN_REASON", "do"]

ACTOR = "dashboards"
"""On whose behalf, as the decision log has it beside the name of the token."""
FLASH = "flash"
"""Key of the session's state that holds what was done, to be said above the page that follows."""
MIN_REASON = 3
"""Characters; the API asks for as many."""


def do(path: Path, body: dict[str, Any], reason: str, done: str, *, leaving: str = "") -> None:
    """Post, and draw the page again with `done` above it and without `leaving` in its address; else say what went wrong."""
    if len(reason.strip()) < MIN_REASON:
        st.error("A reason is required: it goes into the audit log.")
        return
    try:
        data.post(path, body)
    except ApiError as error:
        if isinstance(error, Unreachable) and error.slow:
            st.warning(
                "The collector did not answer in time, so it may be done all the same. Look at the board before you try again."
            )
        else:
            st.error("That did not work.")
        st.text(words.plain(error))
        return
    st.session_state[FLASH] = done
    if leaving:
        st.query_params.pop(leaving, None)
    st.rerun()
