"""The two files of a store: their format, a look before a start, and when the log goes into the file."""
