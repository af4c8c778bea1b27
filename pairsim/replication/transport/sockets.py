"""TCP connections that are made within one deadline, including the resolution of the host name.

The system's resolver takes no deadline, so a name is resolved in a separate thread. At most one such thread runs per
name: a dead name server costs a bounded number of threads, however often a caller retries.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from concurrent.futures import Future

from pairsim.addresses import AddressError, parse_address
from pairsim.replication.clock import monotonic
from pairsim.replication.waiting import Wakeup
from pairsim.wording import duration

SocketAddress = tuple[str | int, int] | tuple[str, int, int, int] | tuple[int, bytes]
Target = tuple[socket.AddressFamily, SocketAddress]


class PeerError(OSError):
    """The peer cannot be reached, or does not answer."""


class Deadline:
    """One time limit for several blocking calls."""

    def __init__(self, seconds: float) -> None:
        """Starts the clock."""
        self._seconds, self._end = seconds, monotonic() + seconds

    def remaining(self) -> float:
        """Returns the seconds that are left.

        Raises:
            TimeoutError: The deadline has passed.
        """
        left = self._end - monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer within {duration(self._seconds)}")
        return left


class _NameResolver:
    """Resolves host names; concurrent requests for the same name share one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[tuple[str, int], Future[list[Target]]] = {}

    def resolve(self, host: str, port: int, deadline: Deadline) -> list[Target]:
        """Returns the addresses of a name.

        Raises:
            PeerError: The name cannot be resolved, or not before the deadline.
        """
        with contextlib.suppress(socket.gaierror):
            return _lookup(host, port, socket.AI_NUMERICHOST)
        with self._lock:
            future = self._running.get((host, port))
            if future is None:
                future = self._running[host, port] = Future()
                threading.Thread(target=self._run, args=(host, port, future), name="resolve", daemon=True).start()
        resolved = Wakeup()
        future.add_done_callback(lambda _future: resolved.set())
        try:
            while not future.done():
                resolved.wait(deadline.remaining())
        except TimeoutError:
            raise PeerError(f"the name {host} was not resolved in time") from None
        return future.result()

    def _run(self, host: str, port: int, future: Future[list[Target]]) -> None:
        try:
            future.set_result(_lookup(host, port, 0))
        except (OSError, UnicodeError) as error:
            future.set_exception(PeerError(f"the name {host} cannot be resolved: {error}"))
        with self._lock:
            del self._running[host, port]


def _lookup(host: str, port: int, flags: int) -> list[Target]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _kind, _protocol, _name, address in found]


_resolver = _NameResolver()


def configure(sock: socket.socket) -> None:
    """Sends small frames at once (without Nagle's algorithm) and enables keep-alive to detect dead peers."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def connect(address: str, deadline: Deadline) -> socket.socket:
    """Connects to host:port. Each of several addresses of a name gets an equal share of the remaining time.

    Raises:
        PeerError: The address is not valid, or accepts no connection before the deadline.
    """
    try:
        host, port = parse_address(address)
    except AddressError as error:
        raise PeerError(str(error)) from error
    targets = _resolver.resolve(host, port, deadline)
    failure: OSError = PeerError("the name has no address")
    for number, (family, target) in enumerate(targets):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(deadline.remaining() / (len(targets) - number))
            sock.connect(target)
            configure(sock)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise PeerError(f"cannot connect to {address}: {failure.strerror or failure}") from failure
