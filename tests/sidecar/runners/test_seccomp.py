"""What the kernel refuses a plugin's process: tried in real workers, and reckoned for machines that are not at hand."""

from __future__ import annotations

import errno
import importlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from plugwarden import ConfigurationError, QuotaPolicy, Sidecar, Touches, WorkerDied
from plugwarden.runners import ProcessRunner, child
from plugwarden.runners.child import seccomp

from tests.sidecar.support import worker_plugins as plugins

CHILD = Path(next(iter(child.__path__)))
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOWED, KILLED = 0x7FFF0000, 0x80000000

pytestmark = pytest.mark.skipif(not seccomp.supported(), reason="this kernel takes no filter of system calls")


def worker_of(sidecar: Sidecar) -> Any:
    (runner,) = sidecar._runners
    (worker,) = runner._workers
    return worker


def test_without_network_a_worker_reaches_nobody_by_any_kind_of_socket(sidecar: Sidecar, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as named,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
    ):
        udp.bind(("127.0.0.1", 0))
        named.bind(path)
        abstract.bind(f"\0plugwarden-{os.getpid()}")
        datagrams.bind(f"\0plugwarden-{os.getpid()}-d")
        for listening in (named, abstract):
            listening.listen()
        places = {
            "tcp": tcp.getsockname()[1], "udp": udp.getsockname()[1], "path": path, "abstract": abstract.getsockname(),
            "datagrams": datagrams.getsockname(),
        }  # fmt: skip
        udp.settimeout(0.2)
        datagrams.settimeout(0.2)
        reach = sidecar.wrap(
            plugins.reach, plugin="p", version="1", runner="process", timeout=20.0,
            touches=Touches(read=(tmp_path,), write=(tmp_path,), network=False),
        )  # fmt: skip
        told = reach(places)
        assert set(told.values()) == {"PermissionError"}, told
        assert told.keys() > {
            "tcp",
            "udp",
            "path",
            "abstract",
            "a pair of datagram sockets",
            "a program's udp",
            "netlink",
        }
        for silent in (udp, datagrams):
            with pytest.raises(TimeoutError):
                silent.recv(1)
        assert {"network", "system_calls"} <= set(worker_of(sidecar).enforced)
        open_to_all = sidecar.wrap(
            plugins.reach, plugin="p", version="1", operation="all", runner="process", timeout=20.0
        )
        told = open_to_all(places)
        assert {name for name, what in told.items() if what == "reached"} >= {"tcp", "udp", "a program's udp"}
        assert told["packets"] != "reached"


def test_without_network_a_plugin_still_has_event_loops_threads_and_programs(sidecar: Sidecar) -> None:
    wrapped = sidecar.wrap(
        plugins.do_ordinary_things,
        plugin="p",
        version="1",
        runner="process",
        timeout=20.0,
        touches=Touches(network=False),
    )
    assert wrapped() == ["slept", "threaded", "ran", "forked", "paired"]


def test_a_worker_is_refused_what_no_plugin_needs(sidecar: Sidecar) -> None:
    refused = sidecar.wrap(plugins.try_system_calls, plugin="p", version="1", runner="process", timeout=20.0)
    numbers = {name: pair[0 if os.uname().machine == "x86_64" else 1] for name, pair in seccomp._NEVER.items()}
    told = refused({name: number for name, number in numbers.items() if number is not None})
    assert set(told.values()) == {errno.EPERM}, told
    assert "network" not in worker_of(sidecar).enforced


def ends(machine: str, network: bool, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter answers to a call, by running its program here as the kernel would."""
    made = seccomp.program(machine, network)
    assert made is not None
    told = [number & 0xFFFFFFFF, architecture or MACHINES[machine], 0, 0]
    for argument in (*arguments, *[0] * (6 - len(arguments))):
        told += [argument & 0xFFFFFFFF, argument >> 32]
    at = value = 0
    while True:
        code, if_true, if_false, operand = made[at]
        at += 1
        match code:
            case 0x20:
                value = told[operand // 4]
            case 0x54:
                value &= operand
            case 0x15:
                at += if_true if value == operand else if_false
            case 0x35:
                at += if_true if value >= operand else if_false
            case 0x45:
                at += if_true if value & operand else if_false
            case 0x06:
                return operand
            case _:
                raise AssertionError(code)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_filter_of_each_machine_refuses_and_allows_what_it_should(machine: str) -> None:
    column = list(MACHINES).index(machine)

    def of(pair: tuple[int, int], network: bool, *arguments: int) -> int:
        return ends(machine, network, pair[column], *arguments)

    def refused(what: int) -> int:
        return 0x50000 | what

    for pair in seccomp._NEVER.values():
        if (number := pair[column]) is not None:
            assert ends(machine, True, number) == ends(machine, False, number) == refused(errno.EPERM)
    read, thread_flags, vfork = (0, 63), 0x3D0F00, 0x4111
    assert of(read, False) == ALLOWED
    assert of(seccomp._CLONE, False, thread_flags) == of(seccomp._CLONE, True, vfork) == ALLOWED
    assert of(seccomp._CLONE, True, 0x10000011) == of(seccomp._UNSHARE, True, 0x40000000) == refused(errno.EPERM)
    assert of(seccomp._UNSHARE, True, 0x80) == refused(errno.EPERM)
    assert of(seccomp._UNSHARE, True, 0x400) == ALLOWED
    assert of(seccomp._CLONE3, True) == refused(errno.ENOSYS)
    assert of(seccomp._IOCTL, True, 0, 0x5412) == of(seccomp._IOCTL, True, 0, 0x541C) == refused(errno.EPERM)
    assert of(seccomp._IOCTL, True, 0, 0x5412 + (7 << 32)) == refused(errno.EPERM)  # the kernel reads the lower half
    assert of(seccomp._IOCTL, True, 0, 0x5401) == ALLOWED
    for family in (1, 2, 10, 16, 17, 38, 40):
        assert of(seccomp._SOCKET, False, family, 1) == refused(errno.EACCES)
    for family in (1, 2, 10, 16):
        assert of(seccomp._SOCKET, True, family, 2) == ALLOWED
    for family, protocol in ((16, 12), (17, 0), (38, 0), (40, 0)):
        assert of(seccomp._SOCKET, True, family, 3, protocol) == refused(errno.EAFNOSUPPORT)
    assert of(seccomp._SOCKETPAIR, False, 1, 1) == of(seccomp._SOCKETPAIR, False, 1, 0x80801) == ALLOWED
    assert of(seccomp._SOCKETPAIR, False, 1, 2) == of(seccomp._SOCKETPAIR, False, 2, 1) == refused(errno.EACCES)
    assert ends(machine, True, 1, architecture=0x40000003) == KILLED
    assert seccomp.program("riscv64", True) is None


def test_the_other_abi_of_x86_is_no_way_round_the_filter() -> None:
    assert ends("x86_64", False, 0x40000000 | 41, 2, 2) == 0x50000 | errno.ENOSYS


def test_without_filters_a_worker_has_a_network_of_its_own_and_claims_no_more_than_that() -> None:
    code = (
        "import socket, sandbox, seccomp\n"
        "made = sandbox.own_network()\n"
        "try:\n    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9)); told = 'sent'\n"
        "except OSError as error:\n    told = 'unreachable'\n"
        "print(made, told, seccomp.network_is_refused())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CHILD, capture_output=True, text=True, check=True)
    assert done.stdout.split() in (["True", "unreachable", "False"], ["False", "sent", "False"])


NO_FILTERS = """
import ctypes, os, sys
from plugwarden import ConfigurationError, Sidecar, Touches
from plugwarden.runners.child import sandbox, seccomp
from tests.sidecar.support import worker_plugins as plugins

# From here on this process and all it starts are on a kernel that takes no filter: prctl(PR_SET_SECCOMP) is EINVAL.
number = {"x86_64": 157, "aarch64": 167}[os.uname().machine]
refused = [(0x20, 0, 0, 0), *seccomp._rule(number, [seccomp._argument(0), (0x15, 0, 1, 22), seccomp._fails(22), seccomp._allows()])]
seccomp.program = lambda machine, network: [*refused, seccomp._allows()]
assert sandbox.no_new_privileges() and seccomp.refuse(True)

sidecar = Sidecar(service="host", breakers=False)
terms = dict(plugin="p", version="1", runner="process", timeout=20.0)
print(sidecar.wrap(plugins.add, operation="asked", touches=Touches(network=False), **terms)(1, 2))
try:
    sidecar.wrap(plugins.add, operation="demanded", touches=Touches(network=False, require_enforced=("network",)), **terms)
except ConfigurationError as error:
    print(error)
sidecar.close()
"""


def test_network_that_must_be_refused_and_cannot_be_is_an_error_when_it_is_wrapped() -> None:
    done = subprocess.run([sys.executable, "-c", NO_FILTERS], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    answered, said = done.stdout.splitlines()
    assert answered == "3"  # as ever: where it is not demanded, as much is enforced as can be
    assert said.startswith("touches.require_enforced: network cannot be enforced here: it needs seccomp")


def test_what_is_demanded_and_enforced_is_given(sidecar: Sidecar) -> None:
    add = sidecar.wrap(
        plugins.add, plugin="p", version="1", runner="process", timeout=20.0,
        touches=Touches(network=False, require_enforced=("network", "system_calls")),
    )  # fmt: skip
    assert add(1, 2) == 3
    assert {"network", "system_calls"} <= set(worker_of(sidecar).enforced)


def test_a_worker_that_cannot_be_held_to_what_is_demanded_never_imports_the_plugin(
    sidecar: Sidecar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "marks.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'mark')!r}).touch()\ndef run(): return 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    marks = importlib.import_module("marks")
    (tmp_path / "mark").unlink()
    demanding = Touches(write=(tmp_path,), network=False, require_enforced=("network_namespace",))  # there are filters
    with pytest.raises(ConfigurationError, match="network_namespace cannot be enforced here"):
        sidecar.wrap(marks.run, plugin="p", version="1", runner="process", timeout=20.0, touches=demanding)
    # What a machine can do may change after a worker was tried: the one that is to run the plugin looks for itself.
    monkeypatch.setattr(ProcessRunner, "try_demands", lambda self: None)
    run = sidecar.wrap(marks.run, plugin="p", version="1", runner="process", timeout=20.0, touches=demanding)
    with pytest.raises(WorkerDied, match=r"touches\.require_enforced: network_namespace cannot be enforced here"):
        run()
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"network": False, "require_enforced": ("netwrok",)}, "require_enforced: netwrok is nothing .* held to; did you mean network"),
        ({"require_enforced": ("network",)}, "require_enforced: network: there is nothing to enforce with network = true"),
        ({"require_enforced": "network"}, "require_enforced: must be a list of texts"),
    ],
)  # fmt: skip
def test_a_demand_that_means_nothing_is_named(terms: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Touches(**terms)


def test_memory_is_only_enforced_under_a_quota(sidecar: Sidecar) -> None:
    demanding = Touches(require_enforced=("memory",))
    with pytest.raises(ConfigurationError, match=r"memory cannot be enforced here: it needs quota\.memory_bytes"):
        sidecar.wrap(plugins.add, plugin="p", version="1", runner="process", touches=demanding)
    quota = QuotaPolicy(memory_bytes=1 << 30)
    assert (
        sidecar.wrap(
            plugins.add, plugin="p", version="1", runner="process", timeout=20.0, touches=demanding, quota=quota
        )(1, 2)
        == 3
    )
