"""Takes from a reader process what it does not need: files, networks, other programs, and memory beyond its limit."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import threading
import time

__all__ = ["end_with_parent", "give_up_everything", "limit_memory", "limit_processor", "resident_bytes"]

_libc = ctypes.CDLL(None, use_errno=True)
_NO_NEW_PRIVILEGES = 38
# Landlock (linux/landlock.h; the numbers are the same on all 64-bit architectures)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH, _READ_FILE, _READ_DIRECTORY = 1, 4, 8
_ALL_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_ALL_NETWORK = _ALL_SCOPES = 3
_READABLE = ("/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/sys/fs/cgroup", "/sys/devices/system")
"""DuckDB looks up what machine this is."""
NICENESS = 5
"""Readers make way for ingest, judging and acts of people."""
LOOK_SECONDS = 1.0


def give_up_everything() -> list[str]:
    """Call it once all modules are loaded. Return what the kernel enforces from now on; each step may be refused to us."""
    done = []
    if _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0:
        done.append("no_new_privileges")
    limits = {
        "no_core": (resource.RLIMIT_CORE, 0),
        "no_files": (resource.RLIMIT_FSIZE, 0),
        "few_descriptors": (resource.RLIMIT_NOFILE, 128),
    }
    for name, (what, value) in limits.items():
        try:
            resource.setrlimit(what, (value, value))
            done.append(name)
        except (OSError, ValueError):
            continue
    try:
        os.nice(NICENESS)
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - one line, once
            file.write("1000")  # where a container's memory ends, this process goes and not the collector
        done.append("first_to_go")
    except OSError:
        pass
    return done + _no_files_no_network()


def limit_memory(more_bytes: int) -> None:
    """Address space: what is used now and so much more; beyond it an allocation fails, at once and whoever asks."""
    used = int(_statm()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more_bytes, used + more_bytes))


def limit_processor(seconds: float) -> None:
    """SIGXCPU after so much more processor time, should nobody be left to end this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds) + 2, hard))


def end_with_parent() -> None:
    """End soon after the parent does, even within a statement. (The kernel's own signal follows the thread that began us.)"""
    parent = os.getppid()

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=look, name="plugwarden-parent", daemon=True).start()


def resident_bytes(pid: int | str = "self") -> int:
    """What a process holds; 0 when it is gone, or this is not Linux."""
    try:
        return int(_statm(pid)[1]) * resource.getpagesize()
    except OSError:
        return 0


def _statm(pid: int | str = "self") -> list[str]:
    with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123 - read often
        return file.read().split()


def _no_files_no_network() -> list[str]:
    version = _libc.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return []
    fields = [_ALL_FILES[max(known for known in _ALL_FILES if known <= version)], _ALL_NETWORK, _ALL_SCOPES]
    fields = fields[: 1 if version < 4 else 2 if version < 6 else 3]
    attributes = struct.pack(f"<{len(fields)}Q", *fields)
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return []
    try:
        for path in _READABLE:
            _allow_reading(ruleset, path)
        if _libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
            return []
    finally:
        os.close(ruleset)
    return ["no_file_access"] if version < 4 else ["no_file_access", "no_network"]


def _allow_reading(ruleset: int, path: str) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no permission
    try:
        access = _READ_FILE | (_READ_DIRECTORY if os.path.isdir(path) else 0)  # noqa: PTH112
        rule = struct.pack("<Qi", access, descriptor)
        _libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
