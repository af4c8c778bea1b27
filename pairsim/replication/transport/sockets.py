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


class _Lookup:
    """The lookup of a name that is under way. All that wait for it share its file descriptor."""

    def __init__(self) -> None:
        self.future: Future[list[Target]] = Future()
        self.done = Wakeup()


class _NameResolver:
    """Resolves host names; concurrent requests for the same name share one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[tuple[str, int], _Lookup] = {}

    def resolve(self, host: str, port: int, deadline: Deadline) -> list[Target]:
        """Returns the addresses of a name.

        Raises:
            PeerError: The name cannot be resolved, or not before the deadline.
            OSError: The process has no file descriptor left.
        """
        with contextlib.suppress(socket.gaierror):
            return _lookup(host, port, socket.AI_NUMERICHOST)
        with self._lock:
            lookup = self._running.get((host, port))
            if lookup is None:
                lookup = self._running[host, port] = _Lookup()
                threading.Thread(target=self._run, args=(host, port, lookup), name="resolve", daemon=True).start()
        try:
            while not lookup.future.done():
                lookup.done.wait(deadline.remaining())
        except TimeoutError:
            raise PeerError(f"the name {host} was not resolved in time") from None
        return lookup.future.result()

    def _run(self, host: str, port: int, lookup: _Lookup) -> None:
        try:
            lookup.future.set_result(_lookup(host, port, 0))
        except (OSError, UnicodeError) as error:
            lookup.future.set_exception(PeerError(f"the name {host} cannot be resolved: {error}"))
        lookup.done.set()
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
