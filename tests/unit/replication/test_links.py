"""The wire over TCP, between real sockets."""

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
from pairsim.replication.transport.channel import Channel, Hello
from pairsim.replication.transport.peer_port import Link, PeerPort, RefusedError, Taker
from pairsim.replication.transport.tcp_transport import TcpWire
from pairsim.settings import Timing

SECRET = b"a secret of the world"
PATIENCE = 10.0
"""How long a test waits for what must happen, in seconds."""


class Silence:
    """A group that says nothing."""

    def on_up(self, peer: str) -> None: ...

    def on_down(self, peer: str) -> None: ...

    def on_message(self, peer: str, message: bytes) -> None: ...


@contextlib.contextmanager
def dialling(answer: Callable[[Hello], Taker]) -> Iterator[TcpWire]:
    """A wire that dials a peer which answers so."""
    port = PeerPort("127.0.0.1:0", SECRET, PATIENCE, name="b")
    port.register("raft", answer)
    timing = Timing(connect_timeout=PATIENCE)
    wire = TcpWire(
        "a",
        {"b": port.address},
        area="north",
        generation=1,
        secret=SECRET,
        timing=timing,
        superseded=lambda _: None,
    )
    try:
        wire.start(Silence())
        yield wire
    finally:
        wire.close()
        port.close()


@contextlib.contextmanager
def in_place_of(fd: int) -> Iterator[int]:
    """Opens something under a number that must be free."""
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
    return next(thread for thread in threading.enumerate() if thread.name == "dial-b")


def test_a_refusal_that_comes_after_the_end_touches_nobody_elses_file() -> None:
    asked, ended = threading.Event(), threading.Event()

    def refuse(_hello: Hello) -> Taker:
        asked.set()
        assert ended.wait(PATIENCE)
        raise RefusedError("no such generation here", b"{}")

    with dialling(refuse) as wire:
        thread = dialler()
        assert asked.wait(PATIENCE)
        number = wire._wake_fd
        wire.close()
        with in_place_of(number) as fd:
            ended.set()
            thread.join(PATIENCE)
            assert not thread.is_alive()
            with pytest.raises(BlockingIOError):  # nothing was written
                os.eventfd_read(fd)


def test_a_wire_that_has_ended_wakes_nobody_and_keeps_no_link() -> None:
    wire = TcpWire(
        "b", {"a": "127.0.0.1:1"}, area="north", generation=1, secret=SECRET, timing=Timing(), superseded=lambda _: None
    )
    mine, theirs = socket.socketpair()
    number = wire._wake_fd
    wire.close()
    with theirs, in_place_of(number) as fd:
        wire.wake()
        wire.accept("a", Link(mine, Channel(bytes(32), bytes([1]) * 32)))
        with pytest.raises(BlockingIOError):
            os.eventfd_read(fd)
        assert theirs.recv(1) == b""


def test_who_is_refused_asks_again_ever_more_slowly_until_it_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [tcp_transport.pause(refusals) for refusals in (0, 1, 10**6)] == [0.002, 0.004, 0.02]
    said: queue.Queue[int] = queue.Queue()

    def pause(refusals: int) -> float:
        said.put(refusals)
        return 0.0

    monkeypatch.setattr(tcp_transport, "pause", pause)
    hellos = itertools.count()

    def answer(_hello: Hello) -> Taker:
        if next(hellos) == 3:
            return lambda link: link.close()
        raise RefusedError("no such generation here", b"")

    with dialling(answer) as wire:
        asked: list[int] = []
        while len(asked) < 5:
            wire.poll(0.01)
            with contextlib.suppress(queue.Empty):
                asked.append(said.get_nowait())
    assert asked == [0, 1, 2, 0, 1]
