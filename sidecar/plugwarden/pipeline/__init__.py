"""record -> aggregate -> sample -> export. Only `Pipeline` is used from outside this folder."""

from .pipeline import Pipeline

__all__ = ["Pipeline"]
