"""The pages: they lay out what the collector says, and compute nothing that it should."""
