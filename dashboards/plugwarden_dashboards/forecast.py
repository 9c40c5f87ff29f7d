"""What isolating a scope would cost, shown above the button that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st
from plugwarden_collector.api.client import ApiError

from plugwarden_dashboards import data, linked, words

__all__ = ["Foreseen", "Scope", "show"]

Scope = Mapping[str, str | None]
"""Parts of a scope, as the API names them."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a form may do with a scope."""

    may: bool
    """Whether it may be isolated now."""
    unknown: bool = False
    """Whether nobody has called it so far."""


def show(scope: Scope) -> Foreseen:
    """Draw the forecast of a scope; return whether it may be isolated now."""
    with st.container(border=True, key="forecast"):
        st.markdown("**If it is isolated now**")
        try:
            found = data.ask("quarantine/forecast", **scope)
        except ApiError as error:
            st.text(words.plain(f"Nobody knows what it would cost: {error}" if error.unanswered else error))
            # The want of a number keeps nobody from isolating; a scope that is isolated already does.
            return Foreseen(error.unanswered)
        st.text(words.plain(found["forecast"], 2000))
        if found["running"]:
            calls = "1 call runs" if found["running"] == 1 else f"{words.count(found['running'])} calls run"
            st.text(f"{calls} now, and would be let end.")
        if found["warning"]:
            linked.notice("warn", found["warning"], key="forecast_warning", title="Is the name right?")
    return Foreseen(True, bool(found["warning"]))
