"""People's SQL: what it may name, how it is streamed, and when it is ended."""
