"""OTLP bytes to Arrow tables: the fast way in C, the general way, and what is left out."""
