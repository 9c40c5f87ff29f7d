"""The live loop and everything by which judging meets the store; and its replay over stored data."""
