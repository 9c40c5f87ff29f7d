"""Takes from a process what its plugin was not declared to need. Standard library only.

Each step answers whether the kernel did it; the worker reports the list, and nothing is claimed that was not done.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from collections.abc import Iterable

__all__ = [
    "count_children", "drop_capabilities", "limit_memory", "limit_resources", "no_new_privileges", "own_network", "own_processes",
    "restrict",
]  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
# Landlock (linux/landlock.h; the numbers are the same on all 64-bit architectures)
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_ALL_FS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_FILE_ONLY = _EXECUTE | _WRITE_FILE | _READ_FILE | 1 << 14 | 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_ALL_NET = 3
_ALL_SCOPES = 3


def no_new_privileges() -> bool:
    """setuid programs give this process and its children nothing any more."""
    return bool(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)


def die_with_parent() -> bool:
    """Be killed when the parent ends."""
    return bool(_libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0) == 0)


def own_processes() -> bool:
    """Have the next child be the first of a process namespace: when it ends, so does everything it ever started."""
    return _own(_CLONE_NEWPID)


def own_network() -> bool:
    """A network without devices, for kernels without filters. Unix sockets that have a path are still reached."""
    return _own(_CLONE_NEWNET)


def _own(what: int) -> bool:
    uid, gid = os.getuid(), os.getgid()
    if _libc.unshare(what) == 0:
        return True
    if _libc.unshare(_CLONE_NEWUSER | what) != 0:
        return False
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    except OSError:
        pass  # it runs as nobody then, which takes nothing away from the point
    return True


def drop_capabilities() -> bool:
    """Give up what root, or the first process of a user namespace, may do beyond file permissions."""
    header = struct.pack("<Ii", 0x20080522, 0)
    return bool(_libc.capset(header, struct.pack("<6I", 0, 0, 0, 0, 0, 0)) == 0)


def limit_resources(files: int, processes: int, file_bytes: int) -> list[str]:
    """RLIMITs that hold for the whole life of the process. Return those that were set."""
    done = []
    for name, what, value in (
        ("open_files", resource.RLIMIT_NOFILE, files),
        ("processes", resource.RLIMIT_NPROC, processes),
        ("file_size", resource.RLIMIT_FSIZE, file_bytes),
        ("no_core", resource.RLIMIT_CORE, 0),
    ):
        try:
            hard = resource.getrlimit(what)[1]
            limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(what, (limit, limit))
            done.append(name)
        except (OSError, ValueError):
            continue
    return done


def limit_memory(more_bytes: int) -> bool:
    """Address space: what is used now and `more_bytes`."""
    try:
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + more_bytes,) * 2)
    except (OSError, ValueError):
        return False
    return True


def limit_cpu(seconds: float) -> None:
    """A last resort beside the deadline: SIGXCPU after so much more CPU time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime + seconds) + 2
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    except (OSError, ValueError):
        pass


def restrict(read: Iterable[str], write: Iterable[str], network: bool) -> list[str]:
    """Landlock: files below `read` may be read and run, those below `write` changed, no TCP without `network`.

    Return what is enforced: any of `file_access` and `tcp`.
    """
    version = _libc.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return []
    handled = _ALL_FS[max(known for known in _ALL_FS if known <= version)]
    handled_net = 0 if network or version < 4 else _ALL_NET
    fields = [handled, handled_net, _ALL_SCOPES][: 1 if version < 4 else 2 if version < 6 else 3]
    attributes = struct.pack(f"<{len(fields)}Q", *fields)
    ruleset = _libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return []
    try:
        for paths, access in (
            (read, _READ),
            (write, handled),
            (("/dev/null", "/dev/tty"), _READ | _WRITE_FILE | 1 << 15),
        ):
            for path in paths:
                _allow(ruleset, path, access & handled)
        if _libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0:
            return []
    finally:
        os.close(ruleset)
    return ["file_access", "tcp"] if handled_net else ["file_access"]


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there needs no permission
    try:
        if not os.path.isdir(path):
            access &= _FILE_ONLY
        rule = struct.pack("<Qi", access, descriptor)
        _libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)


def count_children(pid: str = "self") -> int:
    """Processes that a process has started and that still live, and theirs."""
    found = 0
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                for child in file.read().split():
                    found += 1 + count_children(child)
    except OSError:
        pass
    return found
