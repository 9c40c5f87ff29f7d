"""A document-and-data pipeline with third-party plugins: the host that Plugwarden's demo watches."""
