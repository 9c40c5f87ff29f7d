"""The version of this distribution, for those that `plugwarden` itself loads."""

__all__ = ["__version__"]

__version__ = "0.1.0"
