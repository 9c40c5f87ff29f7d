"""What proves that the decision log is whole and lies outside of the store: the key that seals it, and its heads."""

from .head_file import Break, Head, Heads, Records
from .key_file import read_keyring
from .place import Place

__all__ = ["Break", "Head", "Heads", "Place", "Records", "read_keyring"]
