"""Alerts that rest on no objective: what a look found, and what becomes of their alerts. Pure; time is an argument."""
