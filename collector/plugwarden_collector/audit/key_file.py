"""The file of the key that seals the decision log: made when it is missing, readable for its owner alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path

from plugwarden_collector.errors import SettingsError
from plugwarden_collector.private import create, make_folder

from .entries import UNKEYED, Keyring, SealKey

__all__ = ["read_keyring"]

MIN_CHARACTERS = 32
MAX_BYTES = 64 * 1024
_HEADER = (
    "# Seals the decision log of plugwarden. The first key is in use; earlier ones stay below it, or what they sealed can no\n"
    "# longer be verified. Keep a copy apart from the store and its backups.\n"
)


def read_keyring(path: Path, *, make: bool = True) -> Keyring:
    """The keys of a file, a line each, the first one in use; a new file when there is none and `make` is set.

    Raises `SettingsError` that says what to do when it cannot be read or made, or is open to others.
    """
    try:
        text = _read(path)
    except (FileNotFoundError, NotADirectoryError):
        if not make:
            return UNKEYED
        text = _make(path)
    except OSError as error:
        raise SettingsError(
            f"--audit-key: {str(path)[:200]}: {error.strerror}; name a file that can be read, or made where there is none"
        ) from error
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    if not found:
        raise SettingsError(f"--audit-key: {path}: holds no key; write one with `openssl rand -hex 32`")
    for number, line in enumerate(found, 1):
        if len(line) < MIN_CHARACTERS:
            raise SettingsError(
                f"--audit-key: {path}: key {number} has less than {MIN_CHARACTERS} characters; try `openssl rand -hex 32`"
            )
    return Keyring(tuple(SealKey(line.encode()) for line in found))


def _read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as source:
        found = os.fstat(descriptor)
        mode = stat.S_IMODE(found.st_mode)
        # A secret that an orchestrator mounts belongs to root, on a file system of its own; its group is how we may read it.
        allowed = 0o077 if found.st_uid == os.geteuid() else 0o002
        if mode & allowed:
            raise SettingsError(f"--audit-key: {path}: is open to other users (mode {mode:o}); `chmod 600 {path}`")
        above = stat.S_IMODE(path.parent.stat().st_mode)
        if above & 0o002 and not above & stat.S_ISVTX:
            raise SettingsError(
                f"--audit-key: {path.parent}: anybody can put another key there; `chmod o-w {path.parent}`"
            )
        raw = source.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise SettingsError(f"--audit-key: {path}: is larger than {MAX_BYTES} bytes, so it is no key file")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(f"--audit-key: {path}: is not text; write a key with `openssl rand -hex 32`") from error


def _make(path: Path) -> str:
    """There as a whole or not at all: a crash must not leave half a key, nor two processes a key each."""
    text = f"{_HEADER}{secrets.token_hex(32)}\n"
    try:
        make_folder(path.parent)
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with os.fdopen(create(draft), "w", encoding="utf-8") as sink:
            os.fchmod(sink.fileno(), 0o600)  # also where the group may read the rest
            sink.write(text)
            sink.flush()
            os.fsync(sink.fileno())
        try:
            with contextlib.suppress(FileExistsError):  # another process was quicker; its key is the key
                path.hardlink_to(draft)
        finally:
            draft.unlink()
        return _read(path)
    except OSError as error:
        raise SettingsError(
            f"--audit-key: {path}: cannot be made: {error.strerror}; name a file in a place that lasts and can be written, "
            "outside of the data folder, with --audit-key or PLUGWARDEN_AUDIT_KEY_FILE"
        ) from error
