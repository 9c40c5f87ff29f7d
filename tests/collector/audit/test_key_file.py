"""The file of the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugwarden_collector.audit import Place, read_keyring
from plugwarden_collector.errors import SettingsError

from tests.collector.support.sealed_log import KEY


def test_the_key_is_made_private_and_once(place: Place) -> None:
    first = read_keyring(place.key)
    assert read_keyring(place.key) == first
    assert place.key.stat().st_mode & 0o777 == 0o600
    assert "k" * 8 not in repr(KEY)


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [("short", 0o600, "less than 32"), ("# nothing", 0o600, "holds no key"), ("x" * 64, 0o644, "chmod 600")],
)
def test_a_key_that_is_no_secret_is_refused_with_what_to_do(content: str, mode: int, said: str, place: Place) -> None:
    place.key.parent.mkdir(parents=True)
    place.key.write_text(content)
    place.key.chmod(mode)
    with pytest.raises(SettingsError, match=said):
        read_keyring(place.key)


def test_a_key_in_the_data_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="proves nothing"):
        Place.of(tmp_path / "data/audit.key").check(tmp_path / "data")


def test_a_place_that_cannot_be_written_is_named_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="PLUGWARDEN_AUDIT_KEY_FILE"):
        read_keyring(tmp_path / "file/audit.key")


def test_a_key_that_anybody_can_replace_is_refused(place: Place) -> None:
    read_keyring(place.key)
    place.key.parent.chmod(0o777)
    with pytest.raises(SettingsError, match="anybody can put another key there"):
        read_keyring(place.key)
