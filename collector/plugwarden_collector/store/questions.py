"""Questions of planners that have a name, over the stable views, from `questions.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["Question", "questions"]


@dataclass(frozen=True, slots=True)
class Question:
    """One statement that has a name."""

    name: str
    text: str
    """What it answers, in a sentence."""
    sql: str


@cache
def questions() -> Mapping[str, Question]:
    """Return every question by its name, in the order of the reference."""
    text = resources.files(__package__).joinpath("questions.toml").read_text("utf-8")
    return {name: Question(name, item["text"], item["sql"].strip()) for name, item in tomllib.loads(text).items()}
