"""A peer port, its honest peers and its attackers, for the tests of links between processes."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pairsim.addresses import parse_address
from pairsim.replication.transport.channel import LENGTH
from pairsim.replication.transport.dial import dial
from pairsim.replication.transport.key_exchange import Hello, Initiator
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.peer_port import Acceptor, PeerPort

SECRET = b"a secret of the world"

TIMEOUT_SECONDS = 10.0
"""How long a test waits for an expected event."""


def hello(kind: str = "raft", receiver: str = "b") -> Hello:
    """Returns the purpose of a connection from `a`."""
    return Hello(kind=kind, area="north", generation=2, sender="a", receiver=receiver)


class ListeningPort:
    """A peer port that puts accepted links into a queue and records the purposes of the connections."""

    def __init__(self, timeout: float = TIMEOUT_SECONDS, max_pending: int = 32, address: str = "127.0.0.1:0") -> None:
        self.links: queue.Queue[PeerLink] = queue.Queue()
        self.seen: list[Hello] = []
        self.port = PeerPort(address, (SECRET,), timeout, max_pending, name="b")
        for kind in ("raft", "sync"):
            self.port.register(kind, self.accept)

    def accept(self, greeted: Hello) -> Acceptor:
        self.seen.append(greeted)
        return self.links.put

    def pair(self, kind: str = "raft") -> tuple[PeerLink, PeerLink]:
        """Returns both ends of a new link: the dialling one and the listening one."""
        mine = dial(self.port.address, SECRET, hello(kind), TIMEOUT_SECONDS)
        return mine, self.links.get(timeout=TIMEOUT_SECONDS)

    def check_honest_peer(self) -> None:
        """Asserts that an honest peer still gets through."""
        mine, theirs = self.pair()
        mine.send(b"ping")
        assert theirs.receive(TIMEOUT_SECONDS) == b"ping"
        mine.close()
        theirs.close()

    def stranger(self) -> socket.socket:
        """Returns a TCP connection to the port that has sent nothing yet."""
        sock = socket.create_connection(parse_address(self.port.address), TIMEOUT_SECONDS)
        sock.settimeout(TIMEOUT_SECONDS / 2)  # shorter than the port's own deadline
        return sock

    def close(self) -> None:
        self.port.close()
        while not self.links.empty():
            self.links.get().close()


@contextlib.contextmanager
def listening(
    timeout: float = TIMEOUT_SECONDS, max_pending: int = 32, address: str = "127.0.0.1:0"
) -> Iterator[ListeningPort]:
    """Opens a peer port for as long as the context is open."""
    port = ListeningPort(timeout, max_pending, address)
    try:
        yield port
    finally:
        port.close()


def until(condition: Callable[[], bool]) -> None:
    """Waits until a condition holds."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.002)


def framed(data: bytes) -> bytes:
    """Returns data with its length in front, as greetings are sent."""
    return len(data).to_bytes(LENGTH, "little") + data


def is_closed(sock: socket.socket) -> bool:
    """Reads until the other side closes the connection."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


class Bomb:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def greeting(secret: bytes = SECRET) -> tuple[Initiator, bytes]:
    """Returns an initiator and its greeting as it is sent."""
    initiator = Initiator(secret, hello())
    return initiator, framed(initiator.greeting)


HOSTILE = {
    "random": os.urandom(4096),
    "zeros": bytes(4096),
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a huge length": struct.pack("<I", 2**32 - 1) + b"x",
    "a greeting over the limit": framed(bytes(1025)),
    "an empty greeting": framed(b""),
    "a greeting of random bytes": framed(b"pairsim\x01" + os.urandom(200)),
    "a greeting that stops": greeting()[1][:40],
    "a pickle": framed(pickle.dumps(Bomb(Path("exploded")))),
    "a pickle behind the version": framed(b"pairsim\x01" + pickle.dumps(Bomb(Path("exploded")))),
    "a proof of random bytes": greeting()[1] + framed(os.urandom(64)),
    "a proof of a huge length": greeting()[1] + struct.pack("<I", 2**29),
    "a pickle for a proof": greeting()[1] + framed(pickle.dumps(Bomb(Path("exploded")))),
}
"""What an attacker may send to a peer port."""
