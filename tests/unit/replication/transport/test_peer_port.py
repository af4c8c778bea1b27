"""The peer port serves many peers, survives hostile bytes and floods, and closes cleanly."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from pairsim.replication.transport.channel import LENGTH
from pairsim.replication.transport.dial import dial
from pairsim.replication.transport.sockets import PeerError
from tests.unit.replication.transport.peers import (
    HOSTILE,
    SECRET,
    TIMEOUT_SECONDS,
    ListeningPort,
    framed,
    greeting,
    hello,
    is_closed,
    listening,
    until,
)


def test_many_peers_connect_at_once(port: ListeningPort) -> None:
    with ThreadPoolExecutor(8) as pool:
        links = list(pool.map(lambda _n: dial(port.port.address, SECRET, hello(), TIMEOUT_SECONDS), range(40)))
    for link in links:
        link.close()
    assert len(port.seen) == 40


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("address", ["[::1]:0", "[::]:0"])
def test_peers_connect_by_ipv6(address: str) -> None:
    with listening(address=address) as port:
        assert port.port.address == f"{address[:-1]}{port.port.address.rpartition(':')[2]}"
        port.check_honest_peer()


# --- hostile bytes


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_reach_no_handler(
    data: bytes, port: ListeningPort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with port.stranger() as stranger:
        stranger.sendall(data)
        port.check_honest_peer()
        with contextlib.suppress(OSError):  # already closed
            stranger.shutdown(socket.SHUT_WR)
        assert is_closed(stranger)
    port.check_honest_peer()
    assert port.seen == [hello(), hello()]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a huge length", "a greeting over the limit", "a proof of a huge length"])
def test_a_length_over_the_limit_ends_the_connection_at_once(name: str, port: ListeningPort) -> None:
    with port.stranger() as stranger:
        stranger.sendall(HOSTILE[name])
        assert is_closed(stranger)


def test_a_stranger_gets_only_the_reply_to_its_greeting(port: ListeningPort) -> None:
    with port.stranger() as stranger:
        _initiator, data = greeting(b"a guess")
        stranger.sendall(data)
        length = int.from_bytes(stranger.recv(LENGTH), "little")
        assert stranger.recv(length).startswith(b"pairsim\x01")
        stranger.sendall(framed(bytes(64)))
        assert stranger.recv(1) == b""


def test_a_recorded_handshake_cannot_be_replayed(port: ListeningPort) -> None:
    initiator, data = greeting()
    with port.stranger() as peer:
        peer.sendall(data)
        reply = peer.recv(4096)
        proof = initiator.channel(reply[LENGTH:]).seal(b"pairsim")
        peer.sendall(proof)
        port.links.get(timeout=TIMEOUT_SECONDS).close()
    with port.stranger() as attacker:
        attacker.sendall(data + proof)
        assert is_closed(attacker)
    assert len(port.seen) == 1


# --- floods


@pytest.mark.parametrize("start", [b"", b"\x10", greeting()[1]], ids=["silence", "a byte", "a greeting"])
def test_an_unfinished_handshake_is_closed_in_time(start: bytes) -> None:
    with listening(timeout=0.1) as port, port.stranger() as stranger:
        stranger.sendall(start)
        assert is_closed(stranger)
        port.check_honest_peer()


def test_a_peer_that_sends_single_bytes_is_closed_in_time() -> None:
    with listening(timeout=0.15) as port, port.stranger() as stranger:
        sent = 0
        with contextlib.suppress(OSError):
            for byte in framed(bytes(1000)):
                stranger.sendall(bytes([byte]))
                sent += 1
                time.sleep(0.02)  # the attack itself
        assert sent < 1000
        port.check_honest_peer()


def test_silent_strangers_do_not_block_honest_peers() -> None:
    """Many more strangers than the limit connect and stay; their deadline is far away."""
    with listening(timeout=600.0, max_pending=8) as port, contextlib.ExitStack() as held:
        threads = threading.active_count()
        for _round in range(20):
            for _stranger in range(10):
                held.enter_context(port.stranger())
            port.check_honest_peer()
        until(lambda: len(port.port._pending) <= 8 and len(port.port._threads) <= 8)
        assert threading.active_count() <= threads + 16


def test_a_flood_leaves_no_thread_file_or_memory_behind() -> None:
    with listening(max_pending=8) as port:
        port.check_honest_peer()
        process = psutil.Process()
        until(lambda: not port.port._threads)
        files, memory = process.num_fds(), process.memory_info().rss
        for number in range(500):
            with port.stranger() as stranger, contextlib.suppress(OSError):
                stranger.sendall(list(HOSTILE.values())[number % len(HOSTILE)])
            if number % 50 == 0:
                port.check_honest_peer()
        until(lambda: not port.port._threads and not port.port._pending and process.num_fds() <= files)
        assert process.memory_info().rss - memory < 32 * 2**20
        port.check_honest_peer()


def test_a_system_without_threads_costs_one_connection(monkeypatch: pytest.MonkeyPatch, port: ListeningPort) -> None:
    start, failing = threading.Thread.start, [True]

    def fail(thread: threading.Thread) -> None:
        if thread.name == "handshake" and failing:
            failing.clear()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail)
    with port.stranger() as stranger:
        assert is_closed(stranger)
    port.check_honest_peer()


def test_closing_ends_handshakes_and_keeps_accepted_links() -> None:
    with listening(timeout=600.0) as port:
        mine, theirs = port.pair()
        with port.stranger() as stranger:
            until(lambda: len(port.port._pending) == 1)
            port.port.close()
            assert is_closed(stranger)
        assert not port.port._threads
        assert not port.port._thread.is_alive()
        mine.send(b"still open")
        assert theirs.receive(TIMEOUT_SECONDS) == b"still open"
        mine.close()
        theirs.close()
        with pytest.raises(PeerError, match="cannot connect"):
            dial(port.port.address, SECRET, hello(), TIMEOUT_SECONDS)
