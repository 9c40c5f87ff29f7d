"""Signing in with a token of the collector: the form, who is signed in and for how long, and how often one may try."""

from .attempts import Attempts
from .routes import SignIn
from .sessions import Ended, Session, Sessions

__all__ = ["Attempts", "Ended", "Session", "Sessions", "SignIn"]
