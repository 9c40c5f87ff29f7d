"""Traces: the index over blocks, the filter for texts, searches."""
