"""Which program uses a TCP port of this machine, from /proc (proc_net(5), proc_pid_fd(5)).

A server cannot listen at a port that another server listens at, nor at one that an outgoing connection uses.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pairsim.addresses import format_address, is_wildcard, parse_address, parse_host

_PROC = Path("/proc")
_LISTENING, _WAITING = 0x0A, 0x06
"""States of a socket, from `include/net/tcp_states.h`. A port that only waits for late packets can be listened at."""


class TcpSocket(msgspec.Struct, frozen=True):
    """A TCP socket of this machine.

    Attributes:
        host, port: Its own address.
        remote: The address of the other side, as text.
        state: Its state, a number of the kernel.
        uid: The user that it belongs to.
        inode: Its number; 0 if no process has it.
    """

    host: str
    port: int
    remote: str
    state: int
    uid: int
    inode: int


def port_user(host: str, port: int, proc: Path = _PROC) -> str:
    """Returns who uses a port, as words that follow "is taken by"; blocks for some milliseconds.

    Args:
        host: The address at which a server is to listen.
        port: The port.
        proc: The folder with the kernel's tables.
    """
    users = [socket for socket in tcp_sockets(proc) if socket.port == port and _collide(socket, host)]
    if not users:
        return "another program, which the kernel does not show here: it may run in another container"
    user = min(users, key=lambda socket: socket.state != _LISTENING)
    use = "which listens at it" if user.state == _LISTENING else f"for a connection to {user.remote}"
    return f"{_program(user, proc)}, {use}"


def listen_error(error: Exception, *addresses: str) -> str:
    """Returns why a server cannot listen, and names the program at its port if that is the reason.

    Args:
        error: An error of `pairsim.system.listening.listen`, whose text has host and port.
        addresses: The addresses that the error may be about, HOST:PORT.
    """
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        for address in addresses:
            host, port = parse_address(f"[::]{address}" if address.startswith(":") else address)
            if repr((host, port)) in str(error):
                return f"{address} is taken by {port_user(host, port)}"
    return str(error)


def tcp_sockets(proc: Path = _PROC) -> Iterator[TcpSocket]:
    """Yields the TCP sockets of this network namespace that have an address."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            host, port = _address(fields[1])
            remote = format_address(*_address(fields[2]))
            yield TcpSocket(host, port, remote, int(fields[3], 16), int(fields[7]), int(fields[9]))


def _collide(socket: TcpSocket, host: str) -> bool:
    if socket.state == _WAITING:
        return False
    return socket.host == parse_host(host) or is_wildcard(socket.host) or is_wildcard(host)


def _program(socket: TcpSocket, proc: Path) -> str:
    for pid, inode in _open_sockets(proc):
        if inode == socket.inode:
            try:
                name = (proc / str(pid) / "comm").read_text().strip()
            except OSError:
                break
            return f"{name} (pid {pid})"
    try:
        user = pwd.getpwuid(socket.uid).pw_name
    except KeyError:
        user = str(socket.uid)
    return f"a program of user {user}, whose name the kernel does not show here"


def _open_sockets(proc: Path) -> Iterator[tuple[int, int]]:
    """Yields the sockets of all processes that this user may look at, as pid and inode."""
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            files = list((folder / "fd").iterdir())
        except OSError:  # it ended, or belongs to another user
            continue
        for file in files:
            with contextlib.suppress(OSError):  # closed meanwhile
                target = str(file.readlink())
                if target.startswith("socket:["):
                    yield int(folder.name), int(target[8:-1])


def _address(text: str) -> tuple[str, int]:
    """Reads an address of the kernel's tables: words of 4 bytes in the order of this machine, and a port."""
    words, _, port = text.partition(":")
    content = b"".join(int(words[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(words), 8))
    address = ipaddress.ip_address(content)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address), int(port, 16)
