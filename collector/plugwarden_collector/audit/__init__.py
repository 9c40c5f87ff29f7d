"""Who did what, provably: sealed entries, the key and the kept heads outside of the store, looks and refusals."""

from .head_file import Break, Head, Heads, Records
from .key_file import read_keyring
from .place import Place

__all__ = ["Break", "Head", "Heads", "Place", "Records", "read_keyring"]
