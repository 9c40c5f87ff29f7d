"""The engine on one machine: DuckDB. See docs/explanation/architecture.md for its wings."""
