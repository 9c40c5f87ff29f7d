"""Counting calls: raw rows to seconds, minutes and hours, and what is remembered of them."""
