"""Streamlit dashboards over the collector's HTTP API."""
