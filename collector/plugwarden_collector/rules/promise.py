"""An objective in plain words: what is promised, of which calls, over how long. Pure."""

from __future__ import annotations

from plugwarden_collector.durations import duration
from plugwarden_collector.figures import counted, percent

from .objective import Objective
from .pattern import EVERY, alternatives
from .saturation import Saturation
from .slices import EmptySlices, Slices

__all__ = ["promise_of"]


def promise_of(objective: Objective) -> str:
    """Return what an objective promises, in one or several sentences."""
    fate = (
        "do not fail through the plugin's fault"
        if objective.threshold_seconds is None
        else f"are answered within {duration(objective.threshold_seconds)}"
    )
    calendar = objective.calendar
    over = f"{duration(objective.period_seconds)}, up to now"
    if calendar is not None:
        over = f"each {calendar.unit} of {calendar.time_zone}"
    subject = f"calls{_of(objective)}"
    if objective.saturation is not None:
        said = f"{percent(objective.target_ratio)} of {_minutes(objective.saturation, subject)}, over {over}."
    elif objective.slices is None:
        said = f"{percent(objective.target_ratio)} of {subject} {fate}, over {over}."
    else:
        length, target = duration(objective.slices.seconds), percent(objective.target_ratio)
        said = f"{target} of slices of {length} are good, over {over}. {_slices(objective.slices, subject, fate)}"
    if objective.isolates:
        return said
    return f"{said} It is for people alone: the automation isolates nothing for it."


def _of(objective: Objective) -> str:
    said = (("operation", objective.operations), ("version", objective.versions))
    parts = [f" of {key} {' or '.join(alternatives(pattern))}" for key, pattern in said if pattern != EVERY]
    return "".join(parts) + (" (no others count)" if parts else "")


def _minutes(saturation: Saturation, subject: str) -> str:
    share = percent(saturation.threshold_ratio)
    return f"minutes with {subject} and a known limit stay below {share} of that limit of {saturation.resource.unit}"


def _slices(slices: Slices, subject: str, fate: str) -> str:
    least = counted(slices.min_calls, "call")
    empty = "is good as well" if slices.empty is EmptySlices.GOOD else "does not count"
    return f"A slice is good where at least {percent(slices.good_ratio)} of {subject} {fate}; one with fewer than {least} {empty}."
