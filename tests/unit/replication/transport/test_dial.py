"""Dialling a peer that refuses, fails, hangs, or is an impostor ends in time and with a clear error."""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import structlog.testing

from pairsim.replication.transport.channel import LENGTH, Channel, ChannelError
from pairsim.replication.transport.dial import RefusedByPeerError, UnprovenError, dial, dial_with_any
from pairsim.replication.transport.key_exchange import Hello, respond
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.peer_port import Acceptor, LinkRefusedError, PeerPort
from pairsim.replication.transport.sockets import PeerError
from tests.unit.replication.transport.peers import SECRET, TIMEOUT_SECONDS, ListeningPort, framed, hello, is_closed


def test_a_refusal_reaches_the_dialler_with_reason_and_detail(port: ListeningPort) -> None:
    def refuse(_greeted: Hello) -> Acceptor:
        raise LinkRefusedError("generation 2 is over", b"\0generation 3")

    port.port.register("raft", refuse)
    with pytest.raises(RefusedByPeerError, match="generation 2 is over") as raised:
        dial(port.port.address, SECRET, hello(), TIMEOUT_SECONDS)
    assert (raised.value.reason, raised.value.detail) == ("generation 2 is over", b"\0generation 3")


def test_an_unknown_kind_is_refused(port: ListeningPort) -> None:
    with pytest.raises(RefusedByPeerError, match="connections of the kind 'gossip' are not served here"):
        dial(port.port.address, SECRET, hello("gossip"), TIMEOUT_SECONDS)


def test_a_connection_to_another_process_is_refused(port: ListeningPort) -> None:
    with pytest.raises(RefusedByPeerError, match="this is b, not c"):
        dial(port.port.address, SECRET, hello(receiver="c"), TIMEOUT_SECONDS)
    assert port.seen == []


def test_a_failing_handler_costs_one_connection(port: ListeningPort) -> None:
    def fail(_greeted: Hello) -> Acceptor:
        raise ZeroDivisionError

    port.port.register("sync", fail)
    with structlog.testing.capture_logs() as logs, pytest.raises(PeerError, match="ended the handshake"):
        dial(port.port.address, SECRET, hello("sync"), TIMEOUT_SECONDS)
    assert [entry["log_level"] for entry in logs] == ["error"]
    port.check_honest_peer()


def test_another_secret_and_a_closed_port_raise_different_errors(port: ListeningPort) -> None:
    with pytest.raises(PeerError, match="it has another secret, or too many try to connect"):
        dial(port.port.address, b"another secret", hello(), TIMEOUT_SECONDS)
    assert port.seen == []
    address = port.port.address
    port.close()
    with pytest.raises(PeerError, match=f"cannot connect to {address}: Connection refused"):
        dial(address, SECRET, hello(), TIMEOUT_SECONDS)


def test_a_process_that_knows_several_secrets_is_accepted_for_any_of_them(port: ListeningPort) -> None:
    for secrets in ((SECRET,), (SECRET, b"another secret"), (b"another secret", SECRET)):
        dial_with_any(port.port.address, secrets, hello(), TIMEOUT_SECONDS).close()
    with pytest.raises(UnprovenError, match="it has another secret"):
        dial_with_any(port.port.address, (b"another secret", b"a third secret"), hello(), TIMEOUT_SECONDS)
    assert len(port.seen) == 3


def test_a_port_accepts_each_of_its_secrets_and_says_who_knows_none() -> None:
    unproven: list[Hello] = []
    port = PeerPort("127.0.0.1:0", (b"the new secret", SECRET), TIMEOUT_SECONDS, name="b", on_unproven=unproven.append)
    links: queue.Queue[PeerLink] = queue.Queue()
    port.register("raft", lambda _hello: links.put)
    try:
        for secret in (b"the new secret", SECRET):
            mine = dial(port.address, secret, hello(), TIMEOUT_SECONDS)
            mine.send(b"ping")
            theirs = links.get(timeout=TIMEOUT_SECONDS)
            assert theirs.receive(TIMEOUT_SECONDS) == b"ping"
            mine.close()
            theirs.close()
        assert unproven == []
        with pytest.raises(UnprovenError):
            dial(port.address, b"another secret", hello(), TIMEOUT_SECONDS)
        assert unproven == [hello()]
    finally:
        port.close()


@contextlib.contextmanager
def impostor(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """Listens in the place of a peer; `behave` handles the first connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _address = listener.accept()
            with sock, contextlib.suppress(OSError):
                sock.settimeout(TIMEOUT_SECONDS)
                behave(sock)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(TIMEOUT_SECONDS)


def test_a_silent_listener_is_given_up_in_time() -> None:
    with impostor(is_closed) as address, pytest.raises(PeerError, match="did not finish the handshake in time"):
        dial(address, SECRET, hello(), 0.05)


def test_a_listener_that_sends_single_bytes_is_given_up_in_time() -> None:
    def drip(sock: socket.socket) -> None:
        for byte in framed(bytes(1000)):
            sock.send(bytes([byte]))
            time.sleep(0.02)

    with impostor(drip) as address, pytest.raises(PeerError, match="did not finish the handshake in time"):
        dial(address, SECRET, hello(), 0.1)


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", struct.pack("<I", 2**31), framed(bytes(900))])
def test_a_listener_of_another_protocol_is_reported(reply: bytes) -> None:
    def talk(sock: socket.socket) -> None:
        sock.sendall(reply)
        is_closed(sock)

    with impostor(talk) as address, pytest.raises(ChannelError, match="does not speak pairsim's peer protocol"):
        dial(address, SECRET, hello(), TIMEOUT_SECONDS)


def _responding(secret: bytes, answer: Callable[[Channel], bytes]) -> Callable[[socket.socket], None]:
    def behave(sock: socket.socket) -> None:
        greeting = sock.recv(4096)[LENGTH:]
        _hello, reply, channel = respond(secret, greeting)
        sock.sendall(framed(reply) + answer(channel))
        is_closed(sock)

    return behave


def test_a_listener_without_the_secret_is_reported() -> None:
    behave = _responding(b"a guess", lambda channel: channel.seal(b"\x91\xc3"))
    with impostor(behave) as address, pytest.raises(ChannelError, match="not authentic: another secret"):
        dial(address, SECRET, hello(), TIMEOUT_SECONDS)


@pytest.mark.parametrize("answer", [b"yes, of course", b"\x92\xc2\xa1\x80", b"\x94" + b"\x91" * 60_000])
def test_an_answer_that_cannot_be_decoded_is_reported(answer: bytes) -> None:
    behave = _responding(SECRET, lambda channel: channel.seal(answer))
    with impostor(behave) as address, pytest.raises(ChannelError, match="sent an answer that cannot be decoded"):
        dial(address, SECRET, hello(), TIMEOUT_SECONDS)


def test_an_answer_over_the_limit_is_reported() -> None:
    behave = _responding(SECRET, lambda _channel: struct.pack("<I", 2**29))
    with impostor(behave) as address, pytest.raises(ChannelError, match="announces 536870912 bytes"):
        dial(address, SECRET, hello(), TIMEOUT_SECONDS)
