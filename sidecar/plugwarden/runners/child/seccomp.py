"""System calls that a plugin's process never needs, refused by a filter in the kernel (seccomp). Standard library only.

The filter is a program of classic BPF over the call's number and arguments (linux/seccomp.h, linux/filter.h). It holds for
everything the process starts, and nothing takes it off again. Pointers cannot be looked through, so no rule needs to.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Sequence

__all__ = ["network_is_refused", "program", "refuse", "supported"]

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _AND, _EQUAL, _AT_LEAST, _ANY_OF, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16
_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_X32 = 0x40000000
"""From here on numbers are of the x32 ABI, by which the same calls could be made."""
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""By `uname -m`: AUDIT_ARCH_*, and the column of the numbers below."""
_NEVER: dict[str, tuple[int | None, int | None]] = {
    # other processes: their memory, their files
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438),
    # what is mounted, and where the process stands in it
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "setns": (308, 268), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    # keys, and parts of the kernel that have been ways out
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "fanotify_init": (300, 262),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "modify_ldt": (154, None), "uselib": (134, None), "lookup_dcookie": (212, 18), "nfsservctl": (180, 42),
    # the machine itself
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "settimeofday": (164, 170), "clock_settime": (227, 112),
    "clock_adjtime": (305, 266), "adjtimex": (159, 171), "sethostname": (170, 161), "setdomainname": (171, 162),
    "syslog": (103, 116), "vhangup": (153, 58), "iopl": (172, None), "ioperm": (173, None),
}  # fmt: skip
"""Name -> its number on x86_64 and on aarch64 (asm/unistd_64.h, asm-generic/unistd.h); None: there is none."""
_UNSHARE, _CLONE, _CLONE3, _SOCKET, _SOCKETPAIR, _IOCTL = (
    (272, 97),
    (56, 220),
    (435, 435),
    (41, 198),
    (53, 199),
    (16, 29),
)
_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
_NEW_TIME = 0x80
_TYPED_INTO_TERMINALS = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX put what they are given into a terminal's input, as if its user had typed it."""
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_STREAM, _SEQPACKET = 1, 5
Instruction = tuple[int, int, int, int]
"""Code, how far to jump when true, when false, operand."""


def program(machine: str, network: bool) -> list[Instruction] | None:
    """The filter for a machine; None where its numbers are not known."""
    if machine not in _MACHINES:
        return None
    architecture, column = _MACHINES[machine]
    made: list[Instruction] = [
        (_LOAD, 0, 0, _MACHINE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),  # of another architecture: its numbers mean other calls
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        made += [(_AT_LEAST, 0, 1, _X32), _fails(errno.ENOSYS)]
    for numbers in _NEVER.values():
        if (number := numbers[column]) is not None:
            made += _rule(number, [_fails(errno.EPERM)])
    # glibc asks for clone3 first, whose flags are behind a pointer, and takes clone where there is none.
    made += _rule(_CLONE3[column], [_fails(errno.ENOSYS)])
    for numbers, flags in ((_CLONE, _NAMESPACES), (_UNSHARE, _NAMESPACES | _NEW_TIME)):
        made += _rule(numbers[column], [_argument(0), (_ANY_OF, 0, 1, flags), _fails(errno.EPERM), _allows()])
    first, second = _TYPED_INTO_TERMINALS
    typed = [_argument(1), (_EQUAL, 1, 0, first), (_EQUAL, 0, 1, second), _fails(errno.EPERM), _allows()]
    made += _rule(_IOCTL[column], typed)
    made += _rule(_SOCKET[column], _SOME_SOCKETS if network else [_fails(errno.EACCES)])
    if not network:
        made += _rule(_SOCKETPAIR[column], _CONNECTED_PAIRS)
    return [*made, _allows()]


def supported() -> bool:
    """Whether this kernel takes a filter for this machine."""
    ctypes.set_errno(0)
    if program(os.uname().machine, True) is None:
        return False
    # No program at the address 0: where there are filters, that is what it complains of.
    return _libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, None, 0, 0) != 0 and ctypes.get_errno() == errno.EFAULT


def refuse(network: bool) -> bool:
    """Set the filter, for ever. It needs `no_new_privileges` before it."""
    instructions = program(os.uname().machine, network)
    if instructions is None:
        return False
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in instructions))
    described = ctypes.create_string_buffer(struct.pack("@HP", len(instructions), ctypes.addressof(code)))
    return bool(_libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, described, 0, 0) == 0)


def network_is_refused() -> bool:
    """Whether this process can make no socket, as it turns out when it tries."""
    for family, kind in (
        (_INET, socket.SOCK_DGRAM),
        (_INET, socket.SOCK_STREAM),
        (_INET6, socket.SOCK_DGRAM),
        (_UNIX, _STREAM),
    ):
        try:
            socket.socket(family, kind).close()
        except PermissionError:
            continue
        except OSError:
            return False  # it is not there, which says nothing of whether it is refused
        return False
    return True


_libc = ctypes.CDLL(None, use_errno=True)


def _rule(number: int, then: Sequence[Instruction]) -> list[Instruction]:
    """Return the rule for one call; `then` ends with an answer on every way through it."""
    return [(_EQUAL, 0, len(then), number), *then]


def _argument(index: int) -> Instruction:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index)  # its lower half: both machines are little-endian


def _fails(number: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | number)


def _allows() -> Instruction:
    return (_RETURN, 0, 0, _ALLOW)


_CONNECTED_PAIRS = [
    _argument(0), (_EQUAL, 1, 0, _UNIX), _fails(errno.EACCES),
    # Ends of a pair of datagram sockets could be pointed elsewhere.
    _argument(1), (_AND, 0, 0, 0xF), (_EQUAL, 2, 0, _STREAM), (_EQUAL, 1, 0, _SEQPACKET), _fails(errno.EACCES), _allows(),
]  # fmt: skip
_SOME_SOCKETS = [
    _argument(0), (_EQUAL, 2, 0, _UNIX), (_EQUAL, 1, 0, _INET), (_EQUAL, 0, 1, _INET6), _allows(),
    # Of netlink only routes, which `getifaddrs` reads; packets, vsock, crypto and the like are no plugin's business.
    (_EQUAL, 0, 2, _NETLINK), _argument(2), (_EQUAL, 1, 0, 0), _fails(errno.EAFNOSUPPORT), _allows(),
]  # fmt: skip
