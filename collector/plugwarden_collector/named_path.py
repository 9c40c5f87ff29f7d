"""Paths that people name in flags, arguments and variables: looked at before anything is done, and refused by their flag with the fix.

All raise `SettingsError`; a command then ends with one line and exit code 2. What a path is at that moment may change before it is
used, so commands also turn what the system says later into one line (command/main.py).
"""

from __future__ import annotations

import os
from pathlib import Path

from plugwarden_collector.errors import SettingsError
from plugwarden_collector.private import make_folder
from plugwarden_collector.rules.text import files_of

__all__ = ["file_to_make", "file_to_read", "file_to_write", "folder_to_make", "rules_to_read", "store_to_read"]

SHOWN = 120
"""Characters of a path: one that is too long is known by its beginning."""


def file_to_read(name: str, path: Path) -> None:
    """There must be a file that can be read."""
    if _kind(name, path) == "folder":
        raise _wrong(name, path, "cannot be read: is a folder; name a file")
    if _kind(name, path) == "nothing":
        raise _wrong(name, path, "cannot be read: no such file; name one that is there")
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as error:
        raise _wrong(name, path, f"cannot be read: {error.strerror}; name a file that you may read") from error


def rules_to_read(name: str, path: Path) -> None:
    """There must be a file that can be read, or a folder of some."""
    if _kind(name, path) != "folder":
        file_to_read(name, path)
        return
    try:
        files_of(path)
    except OSError as error:
        raise _wrong(name, path, f"cannot be read: {error.strerror}; name a folder that you may read") from error
    except ValueError as error:
        raise _wrong(name, path, f"cannot be read: {error}") from error


def file_to_write(name: str, path: Path) -> None:
    """It must be possible to make a file there; what is there already is the command's to say."""
    if _kind(name, path) == "folder":
        raise _wrong(name, path, "is a folder; name a file")
    if _kind(f"{name}: the folder of", path.absolute().parent) != "folder":
        raise _wrong(name, path, f"there is no folder {_shown(path.absolute().parent)}; make it, or name another file")
    _may_write(name, path, path.absolute().parent)


def file_to_make(name: str, path: Path) -> None:
    """A file that is there, or can be made with the folders above it. One that is there need not be in a place that can be written."""
    kind = _kind(name, path)
    if kind == "folder":
        raise _wrong(name, path, "is a folder; name a file in it")
    if kind == "nothing":
        folder_to_make(name, path.absolute().parent)


def folder_to_make(name: str, path: Path, *, make: bool = False) -> None:
    """A folder that is there and can be written, or can be made; with `make` it is, and what cannot be is known for sure."""
    kind = _kind(name, path)
    if kind == "file":
        raise _wrong(name, path, "is a file; name a folder")
    if kind == "nothing":
        above = next(folder for folder in path.absolute().parents if _kind(name, folder) != "nothing")
        if _kind(name, above) == "file":
            raise _wrong(name, path, f"cannot be made: {_shown(above)} is a file; name a folder elsewhere")
        _may_write(name, path, above)
        if not make:
            return
        try:
            make_folder(path)
        except OSError as error:
            text = f"cannot be made: {error.strerror}; name a folder in a place that can be written"
            raise _wrong(name, path, text) from error
    _may_write(name, path, path)


def store_to_read(name: str, path: Path) -> None:
    """A folder with a store in it, or its file: something must be there."""
    if _kind(name, path) == "nothing":
        raise _wrong(name, path, "there is no store here; name the folder that a collector was given with --data")


def _kind(name: str, path: Path) -> str:
    try:
        return "folder" if path.is_dir() else "file" if path.stat() else "nothing"
    except FileNotFoundError:
        return "nothing"
    except NotADirectoryError as error:
        raise _wrong(name, path, "cannot be there: a part of it is a file; name a place below a folder") from error
    except (OSError, ValueError) as error:  # too long, a loop of links, no right to look, a character that no path has
        raise _wrong(name, path, f"{getattr(error, 'strerror', None) or error}; name another place") from error


def _may_write(name: str, path: Path, folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        whose = "it" if folder == path else _shown(folder)
        raise _wrong(name, path, f"{whose} cannot be written; name another place, or give yourself the right to")


def _wrong(name: str, path: Path, text: str) -> SettingsError:
    return SettingsError(f"{name}: {_shown(path)}: {text}")


def _shown(path: Path) -> str:
    text = str(path)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
