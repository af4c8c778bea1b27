"""The transport over TCP, between real sockets."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from pairsim.replication.transport import tcp_transport
from pairsim.replication.transport.channel import Channel
from pairsim.replication.transport.key_exchange import Hello
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.peer_port import Acceptor, LinkRefusedError, PeerPort
from pairsim.replication.transport.secret_mismatches import SecretMismatches
from pairsim.replication.transport.tcp_transport import TcpTransport
from pairsim.settings import Timing
from tests.unit.replication.transport.peers import SECRET, TIMEOUT_SECONDS


class IgnoringHandler:
    """A group that ignores all events."""

    def on_up(self, peer: str) -> None: ...

    def on_down(self, peer: str) -> None: ...

    def on_message(self, peer: str, message: bytes) -> None: ...


@contextlib.contextmanager
def dialling(answer: Callable[[Hello], Acceptor]) -> Iterator[TcpTransport]:
    """A transport that dials a peer whose port decides with `answer`."""
    port = PeerPort("127.0.0.1:0", (SECRET,), TIMEOUT_SECONDS, name="b")
    port.register("raft", answer)
    timing = Timing(connect_timeout=TIMEOUT_SECONDS)
    transport = TcpTransport(
        "a",
        {"b": port.address},
        area="north",
        generation=1,
        secrets=(SECRET,),
        mismatches=SecretMismatches(),
        timing=timing,
        superseded=lambda _: None,
    )
    try:
        transport.start(IgnoringHandler())
        yield transport
    finally:
        transport.close()
        port.close()


@contextlib.contextmanager
def reused_descriptor(fd: int) -> Iterator[int]:
    """Opens another event counter under a descriptor number that must be free."""
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    other = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    os.dup2(other, fd)
    try:
        yield fd
    finally:
        for number in {fd, other}:
            os.close(number)


def dialler() -> threading.Thread:
    """Returns the thread that dials `b`."""
    return next(thread for thread in threading.enumerate() if thread.name == "dial-b")


def test_a_refusal_after_the_close_writes_to_no_reused_descriptor() -> None:
    asked, ended = threading.Event(), threading.Event()

    def refuse(_hello: Hello) -> Acceptor:
        asked.set()
        assert ended.wait(TIMEOUT_SECONDS)
        raise LinkRefusedError("no such generation here", b"{}")

    with dialling(refuse) as transport:
        thread = dialler()
        assert asked.wait(TIMEOUT_SECONDS)
        number = transport._wake_fd
        transport.close()
        with reused_descriptor(number) as fd:
            ended.set()
            thread.join(TIMEOUT_SECONDS)
            assert not thread.is_alive()
            with pytest.raises(BlockingIOError):  # nothing was written
                os.eventfd_read(fd)


def test_a_closed_transport_ignores_wakes_and_closes_new_links() -> None:
    transport = TcpTransport(
        "b",
        {"a": "127.0.0.1:1"},
        area="north",
        generation=1,
        secrets=(SECRET,),
        mismatches=SecretMismatches(),
        timing=Timing(),
        superseded=lambda _: None,
    )
    mine, theirs = socket.socketpair()
    number = transport._wake_fd
    transport.close()
    with theirs, reused_descriptor(number) as fd:
        transport.wake()
        transport.accept("a", PeerLink(mine, Channel(bytes(32), bytes([1]) * 32)))
        with pytest.raises(BlockingIOError):
            os.eventfd_read(fd)
        assert theirs.recv(1) == b""


def test_the_redial_delay_grows_with_each_refusal_until_a_link_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [tcp_transport.redial_delay(refusals) for refusals in (0, 1, 10**6)] == [0.002, 0.004, 0.02]
    delays: queue.Queue[int] = queue.Queue()

    def redial_delay(refusals: int) -> float:
        delays.put(refusals)
        return 0.0

    monkeypatch.setattr(tcp_transport, "redial_delay", redial_delay)
    hellos = itertools.count()

    def answer(_hello: Hello) -> Acceptor:
        if next(hellos) == 3:
            return lambda link: link.close()
        raise LinkRefusedError("no such generation here", b"")

    with dialling(answer) as transport:
        asked: list[int] = []
        while len(asked) < 5:
            transport.poll(0.01)
            with contextlib.suppress(queue.Empty):
                asked.append(delays.get_nowait())
    assert asked == [0, 1, 2, 0, 1]
