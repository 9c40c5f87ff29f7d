"""How much memory there is, and that it is not given away twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugwarden_collector.errors import SettingsError
from plugwarden_collector.memory import available_bytes, memory_from, split
from plugwarden_collector.settings import Settings

GB = 10**9


def machine(root: Path, groups: str, **limits: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text("MemTotal:       16000000 kB\nMemFree:  1 kB\n", "ascii")
    (root / "proc/self/cgroup").write_text(groups, "ascii")
    for name, limit in limits.items():
        file = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_D_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(limit + "\n", "ascii")
    return root


def test_a_container_of_version_2_is_its_own_top(tmp_path: Path) -> None:
    assert available_bytes(machine(tmp_path, "0::/\n", memory_D_max="2147483648")) == 2147483648


def test_the_smallest_limit_above_counts(tmp_path: Path) -> None:
    root = machine(
        tmp_path, "0::/a/b\n", memory_D_max="max", a__memory_D_max="3000000000", a__b__memory_D_max="4000000000"
    )
    assert available_bytes(root) == 3 * GB


def test_a_container_of_version_1_sees_the_path_of_its_host(tmp_path: Path) -> None:
    root = machine(tmp_path, "4:memory:/docker/abc\n2:cpu:/\n", memory__memory_D_limit_in_bytes="1500000000")
    assert available_bytes(root) == 15 * GB // 10


def test_without_a_limit_it_is_the_machine(tmp_path: Path) -> None:
    assert available_bytes(machine(tmp_path, "0::/\n", memory_D_max="max")) == 16_000_000 * 1024
    assert available_bytes(tmp_path / "nothing") == 4 * GB


def test_the_setting_wins_and_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = machine(tmp_path, "0::/\n", memory_D_max="2147483648")
    assert memory_from({"PLUGWARDEN_MEMORY": "3GB"}, root).total_bytes == 3 * GB
    for wrong in ("lots", "100MB", "-1GB"):
        with pytest.raises(SettingsError, match="PLUGWARDEN_MEMORY"):
            memory_from({"PLUGWARDEN_MEMORY": wrong}, root)
    monkeypatch.setenv("PLUGWARDEN_MEMORY", "much")
    with pytest.raises(SettingsError, match="PLUGWARDEN_MEMORY: 'much' is not a size"):
        Settings().check()


@pytest.mark.parametrize("total", [GB // 4, GB // 2, GB, 2 * GB, 4 * GB, 8 * GB, 64 * GB])
def test_the_parts_fit_into_the_whole(total: int) -> None:
    found = split(total)
    parts = found.engine_bytes + found.queue_bytes + found.cache_bytes + 2 * found.reader_bytes
    assert parts <= 0.7 * total
    assert found.held_bytes < found.engine_bytes
    assert found.operator_bytes < found.engine_bytes
    assert found.process_bytes + 2 * found.reader_bytes < total


def test_a_large_machine_gets_what_it_always_had() -> None:
    found = split(24 * GB)
    assert (found.engine_bytes, found.queue_bytes, found.cache_bytes) == (GB, 256 << 20, 160 << 20)
    assert (found.held_bytes, found.process_bytes, found.growth_bytes) == (400_000_000, 2 << 30, 384 << 20)
