"""Links carry frames both ways, end in time, and deliver nothing after tampering."""

from __future__ import annotations

import os
import pickle
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from pairsim.replication.transport import handshake
from pairsim.replication.transport.channel import SEGMENT, ChannelError
from pairsim.replication.transport.sockets import PeerError
from tests.unit.replication.transport.peers import TIMEOUT_SECONDS, Bomb, ListeningPort, framed, hello, until


def test_a_link_carries_frames_both_ways(port: ListeningPort) -> None:
    mine, theirs = port.pair()
    mine.send(b"in ", memoryview(b"parts"))
    assert theirs.receive(TIMEOUT_SECONDS) == b"in parts"
    theirs.send(b"")
    assert mine.receive(TIMEOUT_SECONDS) == b""
    assert port.seen == [hello()]
    mine.close()
    theirs.close()


def test_a_stream_carries_a_frame_of_several_segments(port: ListeningPort) -> None:
    mine, theirs = port.pair("sync")
    state = os.urandom(5 * SEGMENT + 11)
    sending = threading.Thread(target=mine.send, args=(b"head", state))
    sending.start()
    assert theirs.receive(TIMEOUT_SECONDS) == b"head" + state
    sending.join(TIMEOUT_SECONDS)
    mine.close()
    theirs.close()


def test_a_link_shows_how_much_of_a_frame_has_come(port: ListeningPort) -> None:
    """Also within a segment, since a segment over a slow link takes long."""
    mine, theirs = port.pair("sync")
    sealed = mine.channel.seal(os.urandom(SEGMENT // 2))
    with ThreadPoolExecutor() as pool:
        frame = pool.submit(theirs.receive, TIMEOUT_SECONDS)
        for end in (1_000, 2_000, 100_000):
            mine.sock.sendall(sealed[theirs.received_bytes : end])
            until(lambda end=end: theirs.received_bytes == end)
        assert not frame.done()
        mine.sock.sendall(sealed[100_000:])
        assert len(frame.result()) == SEGMENT // 2
    assert theirs.received_bytes == len(sealed)
    mine.close()
    theirs.close()


def test_streams_may_send_larger_frames_than_raft(port: ListeningPort) -> None:
    for kind, limit in (("raft", 64 * 2**20), ("sync", 2**30)):
        mine, theirs = port.pair(kind)
        assert mine.channel.max_frame == theirs.channel.max_frame == limit
        mine.close()
        theirs.close()


def test_every_wait_has_a_time_limit(port: ListeningPort) -> None:
    mine, theirs = port.pair()
    assert mine.sock.gettimeout() == theirs.sock.gettimeout() == handshake.SEND_SECONDS
    with pytest.raises(TimeoutError):
        mine.receive(0.01)
    mine.close()
    theirs.close()


def test_sockets_send_at_once_and_probe_dead_peers(port: ListeningPort) -> None:
    mine, theirs = port.pair()
    for link in (mine, theirs):
        assert link.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert link.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        link.close()


def test_closing_wakes_a_thread_that_waits(port: ListeningPort) -> None:
    mine, theirs = port.pair()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(theirs.receive, 60.0)
        until(lambda: theirs.sock.fileno() >= 0 and theirs.sock.gettimeout() == 60.0)
        theirs.close()
        assert isinstance(waiting.exception(TIMEOUT_SECONDS), OSError)
    mine.close()


# --- attacks on a link


@pytest.mark.parametrize("harm", ["flip", "replay", "length", "pickle", "truncate"])
def test_a_link_delivers_nothing_after_tampering(harm: str, port: ListeningPort, tmp_path: Path) -> None:
    mine, theirs = port.pair()
    good = mine.channel.seal(b"good")
    mine.sock.sendall(good)
    bad = bytearray(mine.channel.seal(b"harmed"))
    bad[-1] ^= 1
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    data = {
        "flip": bytes(bad),
        "replay": good,
        "length": struct.pack("<I", 2**32 - 1),
        "pickle": framed(bomb + bytes(100)),
        "truncate": bytes(bad[:-3]),
    }
    mine.sock.sendall(data[harm])
    mine.sock.shutdown(socket.SHUT_WR)
    assert theirs.receive(TIMEOUT_SECONDS) == b"good"
    with pytest.raises((ChannelError, PeerError)):
        theirs.receive(TIMEOUT_SECONDS)
    assert list(tmp_path.iterdir()) == []
    mine.close()
    theirs.close()
    port.check_honest_peer()


def test_a_pickle_from_an_authenticated_peer_is_delivered_as_bytes(port: ListeningPort, tmp_path: Path) -> None:
    mine, theirs = port.pair()
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    mine.send(bomb)
    assert theirs.receive(TIMEOUT_SECONDS) == bomb
    assert list(tmp_path.iterdir()) == []
    mine.close()
    theirs.close()


def test_a_forged_length_costs_no_memory(port: ListeningPort) -> None:
    mine, theirs = port.pair("sync")
    before = psutil.Process().memory_info().rss
    mine.sock.sendall(struct.pack("<I", 2**30 - 100) + bytes(SEGMENT + 16))
    with pytest.raises(ChannelError, match="not authentic"):
        theirs.receive(TIMEOUT_SECONDS)
    assert psutil.Process().memory_info().rss - before < 32 * 2**20
    mine.close()
    theirs.close()
