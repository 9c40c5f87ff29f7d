"""Alerts, quarantines, decisions, deliveries: small, in one transaction, hash-chained."""
