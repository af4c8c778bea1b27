from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pairsim.system.listening import listen
from pairsim.system.port_users import listen_error, port_user

LINE = "   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000  {uid}  0 {inode} 1 0 100 0 0 10 0\n"
ME = Path("/proc/self/comm").read_text().strip()


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc in which the program `curl` has the socket 77."""
    (tmp_path / "net").mkdir()
    (tmp_path / "41" / "fd").mkdir(parents=True)
    (tmp_path / "41" / "comm").write_text("curl\n")
    (tmp_path / "41" / "fd" / "3").symlink_to("socket:[77]")
    return tmp_path


def show(proc: Path, *lines: str, table: str = "tcp") -> None:
    (proc / "net" / table).write_text("  sl  local_address rem_address ...\n" + "".join(lines))


def line(local: str, remote: str = "00000000:0000", *, state: str = "0A", inode: int = 77, uid: int = 0) -> str:
    return LINE.format(local=local, remote=remote, state=state, uid=uid, inode=inode)


def test_a_server_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert port_user("127.0.0.1", port) == f"{ME} (pid {os.getpid()}), which listens at it"


def test_a_server_at_all_addresses_is_named() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        assert port_user("127.0.0.1", server.getsockname()[1]).endswith("which listens at it")


def test_an_outgoing_connection_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        to = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", to)) as connection:
            port = connection.getsockname()[1]
            who = port_user("127.0.0.1", port)
    assert who == f"{ME} (pid {os.getpid()}), for a connection to 127.0.0.1:{to}"


@pytest.mark.parametrize(
    ("table", "local", "host"),
    [
        ("tcp", "0100007F:1F90", "127.0.0.1"),
        ("tcp", "00000000:1F90", "127.0.0.1"),
        ("tcp", "0100007F:1F90", "0.0.0.0"),
        ("tcp6", "00000000000000000000000001000000:1F90", "::1"),
        ("tcp6", "0000000000000000FFFF00000100007F:1F90", "127.0.0.1"),
    ],
)
def test_addresses_are_compared_as_the_kernel_does(proc: Path, table: str, local: str, host: str) -> None:
    show(proc, line(local), table=table)
    assert port_user(host, 8080, proc) == "curl (pid 41), which listens at it"


@pytest.mark.parametrize(
    "other",
    [line("0200007F:1F90"), line("0100007F:1F91"), line("0100007F:1F90", "0100007F:1F99", state="06", inode=0)],
    ids=["address", "port", "only waits"],
)
def test_a_socket_that_is_not_in_the_way_is_left_out(proc: Path, other: str) -> None:
    show(proc, other)
    assert port_user("127.0.0.1", 8080, proc).startswith("another program, which the kernel does not show here")


def test_a_program_of_another_user_is_described_by_its_user(proc: Path) -> None:
    show(proc, line("0100007F:1F90", inode=78, uid=0), line("0100007F:1F91", inode=79, uid=4_000_000))
    assert port_user("127.0.0.1", 8080, proc).startswith("a program of user root, whose name")
    assert port_user("127.0.0.1", 8081, proc).startswith("a program of user 4000000, whose name")


def test_the_error_of_a_server_names_the_program_at_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(OSError, match="Address already in use") as caught:
            listen("127.0.0.1", server.getsockname()[1], backlog=1)
        sentence = f"{address} is taken by {ME} (pid {os.getpid()}), which listens at it"
        assert listen_error(caught.value, "127.0.0.1:1", address) == sentence
    assert listen_error(ValueError("no port"), address) == "no port"
