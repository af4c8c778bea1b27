"""TCP connections within one deadline, the resolution of the name included.

The system's resolver knows no deadline, so a name is resolved in a thread of its own; one per name at a time, so
that a dead name server costs a bounded number of threads however often somebody tries again.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from concurrent.futures import Future

SocketAddress = tuple[str | int, int] | tuple[str, int, int, int] | tuple[int, bytes]
Target = tuple[socket.AddressFamily, SocketAddress]


class PeerError(OSError):
    """The peer cannot be reached, or does not answer."""


class Deadline:
    """One time for several blocking calls."""

    def __init__(self, seconds: float) -> None:
        """Starts now."""
        self._seconds, self._end = seconds, time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left.

        Raises:
            TimeoutError: None.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer within {self._seconds:g} s")
        return left


class _Names:
    """Resolves each name once at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[tuple[str, int], Future[list[Target]]] = {}

    def resolve(self, host: str, port: int, deadline: Deadline) -> list[Target]:
        with contextlib.suppress(socket.gaierror):
            return _lookup(host, port, socket.AI_NUMERICHOST)
        with self._lock:
            future = self._running.get((host, port))
            if future is None:
                future = self._running[host, port] = Future()
                threading.Thread(target=self._work, args=(host, port, future), name="resolve", daemon=True).start()
        try:
            return future.result(deadline.left())
        except TimeoutError:
            raise PeerError(f"the name {host} was not resolved in time") from None

    def _work(self, host: str, port: int, future: Future[list[Target]]) -> None:
        try:
            future.set_result(_lookup(host, port, 0))
        except (OSError, UnicodeError) as error:
            future.set_exception(PeerError(f"the name {host} cannot be resolved: {error}"))
        with self._lock:
            del self._running[host, port]


def _lookup(host: str, port: int, flags: int) -> list[Target]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _kind, _protocol, _name, address in found]


_names = _Names()


def split(address: str) -> tuple[str, int]:
    """host:port as sockets want it.

    Raises:
        PeerError: It is no such address.
    """
    host, _colon, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise PeerError(f"{address!r} is no address: host:port is needed")
    return host, int(port)


def tune(sock: socket.socket) -> None:
    """As peers want their sockets: small frames go out at once, a dead peer is noticed."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def connect(address: str, deadline: Deadline) -> socket.socket:
    """A connection to host:port; of several addresses of a name each gets its share of the time.

    Raises:
        PeerError: Nobody is there, or it is not in time.
    """
    targets = _names.resolve(*split(address), deadline)
    failure: OSError = PeerError("the name has no address")
    for place, (family, target) in enumerate(targets):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(deadline.left() / (len(targets) - place))
            sock.connect(target)
            tune(sock)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise PeerError(f"cannot connect to {address}: {failure.strerror or failure}") from failure
