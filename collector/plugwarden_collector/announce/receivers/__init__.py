"""Kinds of receivers, one a file: what a message reads like there, how it is read back after a restart, how it is delivered."""
