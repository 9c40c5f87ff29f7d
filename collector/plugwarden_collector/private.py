"""Files and folders that only their owner may read: made so from the first moment, whatever the umask.

`PLUGWARDEN_FILES=group` lets the owner's group read, for containers and backup agents that need it; `unchanged` leaves
folders that are there already as they are.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from plugwarden_collector.errors import SettingsError, StoreError

__all__ = [
    "CHOICES",
    "choice",
    "close_own",
    "create",
    "make_folder",
    "narrow_umask",
    "read_secret",
    "replace_text",
    "tighten",
]

CHOICES = {"private": (0o700, 0o600), "group": (0o750, 0o640), "unchanged": (0o700, 0o600)}
"""`PLUGWARDEN_FILES` -> modes of folders and files."""
_log = logging.getLogger(__name__)


def choice(environ: Mapping[str, str] | None = None) -> str:
    """What `PLUGWARDEN_FILES` says; raises `SettingsError` when it is none of the choices."""
    found = (os.environ if environ is None else environ).get("PLUGWARDEN_FILES") or "private"
    if found not in CHOICES:
        raise SettingsError(f"PLUGWARDEN_FILES: {found!r} is none of {', '.join(CHOICES)}")
    return found


def narrow_umask() -> None:
    """Narrow the umask of a process of our own: DuckDB and others make files that we do not open ourselves."""
    os.umask(0o777 & ~CHOICES[choice()][0])


def create(path: Path, flags: int = os.O_WRONLY | os.O_EXCL) -> int:
    """A descriptor of a new file; with other flags than `O_EXCL` also of one that is there. Never through a symbolic link."""
    mode = CHOICES[choice()][1]
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) != mode:
        os.fchmod(descriptor, mode)  # the umask may have taken the group's right, or the file was there with more
    return descriptor


def make_folder(path: Path) -> None:
    """Make a folder, and the missing ones above it; what is there stays as it is."""
    mode = CHOICES[choice()][0]
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue  # somebody else was quicker
        if mode != 0o700:
            folder.chmod(mode)


def read_secret(path: Path, most_bytes: int) -> str:
    """The text of a file that holds a secret; raises `OSError`, and `ValueError` for what is no file or no text, or is longer.

    What is no file is not read: a pipe would be waited for, a device has no end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("is no file; write the secret into one")
        data = os.read(descriptor, most_bytes + 1)
    finally:
        os.close(descriptor)
    if len(data) > most_bytes:
        raise ValueError(f"has more than {most_bytes} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("is no text in UTF-8") from error


def replace_text(path: Path, text: str) -> None:
    """Give a file a new content in one step, on disk when this returns; raises `OSError`."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    descriptor = create(draft)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as sink:
            sink.write(text)
            sink.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def close_own(folder: Path) -> None:
    """Close a folder that is ours by its name to everybody else, where it is ours and an earlier version left it open."""
    chosen = choice()
    allowed = CHOICES[chosen][0]
    found = folder.stat()
    if chosen != "unchanged" and found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & ~allowed & 0o077:
        folder.chmod(allowed & (stat.S_IMODE(found.st_mode) | 0o700))


def tighten(folder: Path, own: Iterable[Path] = ()) -> None:
    """Close a folder of ours, and files of ours in it, to everybody else; raises `StoreError` where that cannot be done.

    A folder that holds other things than what is `own` is not ours to close, and no place for what must be private.
    """
    chosen = choice()
    of_folders, of_files = CHOICES[chosen]
    if chosen == "unchanged":
        return
    files = [path for path in own if path.is_file()]
    found = folder.stat()
    mode = stat.S_IMODE(found.st_mode)
    if mode & ~of_folders & 0o077:
        how = f"{folder}: is open to other users (mode {mode:o})"
        what = f"`chmod {of_folders:o} {folder}`, name a new folder in it, or set PLUGWARDEN_FILES=unchanged to leave it so"
        if found.st_uid != os.geteuid():
            raise StoreError(f"{how} and belongs to another user, so it cannot be closed: {what}")
        if mode & stat.S_ISVTX or (not files and any(folder.iterdir())):
            raise StoreError(f"{how} and holds other things, so it is left alone: {what}")
        folder.chmod(mode & (0o7700 | of_folders))
        _log.info("%s: was open to other users (mode %o); it is private now", folder, mode)
    for path in files:
        found = path.stat()
        mode = stat.S_IMODE(found.st_mode)
        if mode & ~of_files & 0o077 and found.st_uid == os.geteuid():
            path.chmod(mode & (0o700 | of_files))
