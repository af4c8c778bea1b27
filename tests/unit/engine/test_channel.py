"""Messages over a socket: whole, bounded and in time."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from pairsim.engine.channel import MessageChannel
from pairsim.engine.framing import HEADER, MAX_BODY_BYTES, EngineProtocolError


@pytest.fixture
def ends() -> Iterator[tuple[MessageChannel, socket.socket]]:
    mine, theirs = socket.socketpair()
    channel = MessageChannel(mine)
    yield channel, theirs
    channel.close()
    theirs.close()


def test_messages_arrive_whole_however_they_are_cut(ends: tuple[MessageChannel, socket.socket]) -> None:
    channel, theirs = ends
    sent = b"".join(HEADER.pack(len(body), kind) + body for kind, body in ((7, b""), (8, b"ab"), (9, b"x" * 300_000)))
    writer = threading.Thread(target=lambda: [theirs.sendall(sent[i : i + 1]) for i in range(20)])
    writer.start()
    assert (channel.receive(10), channel.receive(10)) == ((7, b""), (8, b"ab"))
    writer.join()
    writer = threading.Thread(target=theirs.sendall, args=(sent[20:],))
    writer.start()
    assert channel.receive(10) == (9, b"x" * 300_000)
    writer.join()


def test_a_message_that_is_too_long_is_refused_before_it_is_received(
    ends: tuple[MessageChannel, socket.socket],
) -> None:
    channel, theirs = ends
    theirs.sendall(HEADER.pack(MAX_BODY_BYTES + 1, 17))
    with pytest.raises(EngineProtocolError, match="sent a message of 8,388,609 bytes, and 8,388,608 are the most"):
        channel.receive(10)


def test_a_message_that_does_not_come_or_does_not_end_is_late(ends: tuple[MessageChannel, socket.socket]) -> None:
    channel, theirs = ends
    with pytest.raises(TimeoutError):
        channel.receive(0.01)
    theirs.sendall(struct.pack("<II", 10, 17) + b"half")
    with pytest.raises(TimeoutError):
        channel.receive(0.01)


def test_nothing_is_asked_while_an_answer_is_left_over(ends: tuple[MessageChannel, socket.socket]) -> None:
    channel, theirs = ends
    theirs.sendall(2 * HEADER.pack(0, 17))
    channel.receive(10)
    with pytest.raises(EngineProtocolError, match="sent a message without a request"):
        channel.send(b"question")


def test_a_thread_that_waits_ends_when_the_connection_is_shut(ends: tuple[MessageChannel, socket.socket]) -> None:
    channel, _theirs = ends
    raised: list[bool] = []

    def receive() -> None:
        with pytest.raises(EOFError):
            channel.receive(30)
        raised.append(True)

    waiting = threading.Thread(target=receive)
    waiting.start()
    channel.shut()
    channel.shut()
    waiting.join()
    assert raised
