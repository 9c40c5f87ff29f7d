"""Files that only the host's own user may read: telemetry that waits, and what the host was told to isolate."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["close_to_others", "make_private", "open_private", "read_private", "replace_private", "settle_in"]


def make_private(folder: Path) -> None:
    """Make a folder and the missing ones above it, for their owner alone, whatever the umask; raises `OSError`."""
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def close_to_others(folder: Path) -> None:
    """Close a folder that is ours by its name and was made by a version that left it open; raises `OSError`."""
    found = folder.stat()
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)


def settle_in(folder: Path, ours: frozenset[str] = frozenset()) -> None:
    """Make a folder, or see that an existing one is fit to keep what must stay ours; raises `OSError` where it is not.

    Fit is a real folder of our own user in which nobody else can lay anything. One that holds nothing but `ours` (names, by their
    beginnings) is closed to others altogether; one that the host keeps other things in stays as readable as it is.
    """
    make_private(folder)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{folder} is a link, or no folder")
    if found.st_uid != os.geteuid():
        raise PermissionError(f"{folder} belongs to another user; name a folder of its own in it")
    mode = stat.S_IMODE(found.st_mode)
    if not mode & 0o077:
        return
    if all(name.startswith(tuple(ours)) for name in os.listdir(folder)):  # noqa: PTH208 - names are all that is wanted
        folder.chmod(0o700)
    elif mode & 0o022:
        raise PermissionError(f"others can write into {folder}; name a folder of its own in it")


def open_private(path: Path, flags: int) -> int:
    """A descriptor of a file of ours; raises `OSError`. No link is followed, and nothing but a regular file is opened."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
        os.close(descriptor)
        raise PermissionError(f"{path} is not a file of ours alone")
    if stat.S_IMODE(found.st_mode) & 0o077:
        os.fchmod(descriptor, 0o600)
    return descriptor


def read_private(path: Path, limit_bytes: int) -> bytes:
    """What a file of ours holds; raises `OSError`, also where it is longer than it may be."""
    with os.fdopen(open_private(path, os.O_RDONLY), "rb") as source:
        found = source.read(limit_bytes + 1)
    if len(found) > limit_bytes:
        raise OSError(f"{path} has more than {limit_bytes} bytes")
    return found


def replace_private(path: Path, text: str) -> None:
    """Give a file a new content in one step; raises `OSError`. Never through a symbolic link that somebody laid there."""
    draft = path.with_name(f"{path.stem}.{os.getpid()}.tmp")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as sink:
            sink.write(text)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
