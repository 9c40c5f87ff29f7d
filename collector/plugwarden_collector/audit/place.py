"""Where the key of the decision log and the kept heads lie: never in the folder of the store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plugwarden_collector.errors import SettingsError
from plugwarden_collector.named_path import file_to_make, folder_to_make

__all__ = ["Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """A key file, and a folder for heads."""

    key: Path
    heads: Path

    @classmethod
    def of(cls, key: Path | None = None, environ: Mapping[str, str] | None = None) -> Place:
        """Return the place that is named by `--audit-key`, `PLUGWARDEN_AUDIT_KEY_FILE` and `PLUGWARDEN_AUDIT_HEADS`, else in the
        user's state folder."""
        environ = os.environ if environ is None else environ
        named = key or (
            Path(environ["PLUGWARDEN_AUDIT_KEY_FILE"]) if environ.get("PLUGWARDEN_AUDIT_KEY_FILE") else None
        )
        if named is None:
            state = environ.get("XDG_STATE_HOME") or ""
            base = Path(state) if state.startswith("/") else _home(environ) / ".local/state"
            named = base / "plugwarden/audit.key"
        heads = environ.get("PLUGWARDEN_AUDIT_HEADS")
        return cls(
            named.absolute(), Path(heads).absolute() if heads else named.absolute().with_name(f"{named.name}.heads")
        )

    def check(self, data: Path) -> None:
        """Raises `SettingsError` when they cannot be there, or who can write the store could write these too."""
        file_to_make("--audit-key", self.key)
        folder_to_make("PLUGWARDEN_AUDIT_HEADS", self.heads)
        inside = data.resolve()
        for name, path in (("--audit-key", self.key), ("PLUGWARDEN_AUDIT_HEADS", self.heads)):
            if path.resolve().is_relative_to(inside):
                raise SettingsError(
                    f"{name}: {path} lies in the data folder {data}, where it proves nothing; name a place outside of it"
                )


def _home(environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME")
    if home:
        return Path(home)
    try:
        return Path.home()
    except RuntimeError as error:
        raise SettingsError("--audit-key: there is no home folder to keep the key in; name a file") from error
