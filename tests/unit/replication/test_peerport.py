from __future__ import annotations

import contextlib
import os
import pickle
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import structlog.testing

from pairsim.replication.transport import dial as connect_module
from pairsim.replication.transport import peer_port as peerport_module
from pairsim.replication.transport.channel import LENGTH, SEGMENT, Channel, ChannelError, Hello, Initiator, accept
from pairsim.replication.transport.dial import Deadline
from pairsim.replication.transport.peer_port import (
    Link,
    PeerError,
    PeerPort,
    RefusedByPeerError,
    RefusedError,
    Taker,
    dial,
)

SECRET = b"a secret of the world"
PATIENCE = 10.0
"""How long a test waits for what must happen, in seconds."""


def hello(kind: str = "raft", receiver: str = "b") -> Hello:
    return Hello(kind=kind, area="north", generation=2, sender="a", receiver=receiver)


class Port:
    """A peer port whose links end up in a queue."""

    def __init__(self, timeout: float = PATIENCE, max_pending: int = 32) -> None:
        self.links: queue.Queue[Link] = queue.Queue()
        self.seen: list[Hello] = []
        self.port = PeerPort("127.0.0.1:0", SECRET, timeout, max_pending, name="b")
        for kind in ("raft", "sync"):
            self.port.register(kind, self.judge)

    def judge(self, greeted: Hello) -> Taker:
        self.seen.append(greeted)
        return self.links.put

    def pair(self, kind: str = "raft") -> tuple[Link, Link]:
        mine = dial(self.port.address, SECRET, hello(kind), PATIENCE)
        return mine, self.links.get(timeout=PATIENCE)

    def serves(self) -> None:
        """An honest peer gets through."""
        mine, theirs = self.pair()
        mine.send(b"ping")
        assert theirs.receive(PATIENCE) == b"ping"
        mine.close()
        theirs.close()

    def stranger(self) -> socket.socket:
        sock = socket.create_connection(connect_module.split(self.port.address), PATIENCE)
        sock.settimeout(PATIENCE / 2)  # before the port's own patience with it ends
        return sock

    def close(self) -> None:
        self.port.close()
        while not self.links.empty():
            self.links.get().close()


@pytest.fixture
def port() -> Iterator[Port]:
    made = Port()
    yield made
    made.close()


@contextlib.contextmanager
def opened(**arguments: float) -> Iterator[Port]:
    made = Port(**arguments)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(LENGTH, "little") + data


def is_closed(sock: socket.socket) -> bool:
    """Whether the other side closes, whatever it says before."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


# --- honest peers ------------------------------------------------------------------------------------------


def test_a_link_carries_frames_both_ways(port: Port) -> None:
    mine, theirs = port.pair()
    mine.send(b"in ", memoryview(b"parts"))
    assert theirs.receive(PATIENCE) == b"in parts"
    theirs.send(b"")
    assert mine.receive(PATIENCE) == b""
    assert port.seen == [hello()]
    mine.close()
    theirs.close()


def test_a_large_frame_of_a_stream(port: Port) -> None:
    mine, theirs = port.pair("sync")
    state = os.urandom(5 * SEGMENT + 11)
    sending = threading.Thread(target=mine.send, args=(b"head", state))
    sending.start()
    assert theirs.receive(PATIENCE) == b"head" + state
    sending.join(PATIENCE)
    mine.close()
    theirs.close()


def test_streams_may_send_larger_frames_than_raft(port: Port) -> None:
    for kind, limit in (("raft", 64 * 2**20), ("sync", 2**30)):
        mine, theirs = port.pair(kind)
        assert mine.channel.max_frame == theirs.channel.max_frame == limit
        mine.close()
        theirs.close()


def test_no_wait_is_without_an_end(port: Port) -> None:
    mine, theirs = port.pair()
    assert mine.sock.gettimeout() == theirs.sock.gettimeout() == peerport_module.SEND_PATIENCE
    with pytest.raises(TimeoutError):
        mine.receive(0.01)
    mine.close()
    theirs.close()


def test_sockets_are_tuned(port: Port) -> None:
    mine, theirs = port.pair()
    for link in (mine, theirs):
        assert link.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert link.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        link.close()


def test_closing_wakes_a_thread_that_waits(port: Port) -> None:
    mine, theirs = port.pair()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(theirs.receive, 60.0)
        until(lambda: theirs.sock.fileno() >= 0 and theirs.sock.gettimeout() == 60.0)
        theirs.close()
        assert isinstance(waiting.exception(PATIENCE), OSError)
    mine.close()


def test_many_peers_at_once(port: Port) -> None:
    with ThreadPoolExecutor(8) as pool:
        links = list(pool.map(lambda _n: dial(port.port.address, SECRET, hello(), PATIENCE), range(40)))
    for link in links:
        link.close()
    assert len(port.seen) == 40


# --- refusals and failures ---------------------------------------------------------------------------------


def test_a_refusal_reaches_the_dialler_with_what_it_should_know(port: Port) -> None:
    def refuse(_greeted: Hello) -> Taker:
        raise RefusedError("generation 2 is over", b"\0generation 3")

    port.port.register("raft", refuse)
    with pytest.raises(RefusedByPeerError, match="generation 2 is over") as raised:
        dial(port.port.address, SECRET, hello(), PATIENCE)
    assert (raised.value.reason, raised.value.detail) == ("generation 2 is over", b"\0generation 3")


def test_an_unknown_kind_is_refused(port: Port) -> None:
    with pytest.raises(RefusedByPeerError, match="nothing of the kind 'gossip' is served here"):
        dial(port.port.address, SECRET, hello("gossip"), PATIENCE)


def test_who_looks_for_another_process_is_refused(port: Port) -> None:
    with pytest.raises(RefusedByPeerError, match="this is b, not c"):
        dial(port.port.address, SECRET, hello(receiver="c"), PATIENCE)
    assert port.seen == []


def test_a_failing_handler_costs_one_connection(port: Port) -> None:
    def fail(_greeted: Hello) -> Taker:
        raise ZeroDivisionError

    port.port.register("sync", fail)
    with structlog.testing.capture_logs() as logs, pytest.raises(PeerError, match="ended the handshake"):
        dial(port.port.address, SECRET, hello("sync"), PATIENCE)
    assert [entry["log_level"] for entry in logs] == ["error"]
    port.serves()


def test_another_secret_is_told_apart_from_nobody(port: Port) -> None:
    with pytest.raises(PeerError, match="it has another secret, or too many try to connect"):
        dial(port.port.address, b"another secret", hello(), PATIENCE)
    assert port.seen == []
    address = port.port.address
    port.close()
    with pytest.raises(PeerError, match=f"cannot connect to {address}: Connection refused"):
        dial(address, SECRET, hello(), PATIENCE)


@pytest.mark.parametrize("address", ["", "host", "host:", ":80", "host:http", "host:70000", "127.0.0.1:-1"])
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(PeerError, match="is no address: host:port is needed"):
        dial(address, SECRET, hello(), PATIENCE)


@contextlib.contextmanager
def impostor(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """Somebody else listens where a peer should; it behaves once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _address = listener.accept()
            with sock, contextlib.suppress(OSError):
                sock.settimeout(PATIENCE)
                behave(sock)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(PATIENCE)


def test_dialling_one_who_never_answers_ends_in_time() -> None:
    with impostor(is_closed) as address, pytest.raises(PeerError, match="did not finish the handshake in time"):
        dial(address, SECRET, hello(), 0.05)


def test_dialling_one_who_answers_a_byte_at_a_time_ends_in_time() -> None:
    def drip(sock: socket.socket) -> None:
        for byte in framed(bytes(1000)):
            sock.send(bytes([byte]))
            time.sleep(0.02)

    with impostor(drip) as address, pytest.raises(PeerError, match="did not finish the handshake in time"):
        dial(address, SECRET, hello(), 0.1)


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", struct.pack("<I", 2**31), framed(bytes(900))])
def test_dialling_one_who_speaks_something_else_is_told(reply: bytes) -> None:
    def talk(sock: socket.socket) -> None:
        sock.sendall(reply)
        is_closed(sock)

    with impostor(talk) as address, pytest.raises(ChannelError, match="does not speak pairsim's peer protocol"):
        dial(address, SECRET, hello(), PATIENCE)


def _accepting(secret: bytes, answer: Callable[[Channel], bytes]) -> Callable[[socket.socket], None]:
    def behave(sock: socket.socket) -> None:
        greeting = sock.recv(4096)[LENGTH:]
        _hello, reply, channel = accept(secret, greeting)
        sock.sendall(framed(reply) + answer(channel))
        is_closed(sock)

    return behave


def test_dialling_one_who_does_not_know_the_secret_is_told() -> None:
    behave = _accepting(b"a guess", lambda channel: channel.seal(b"\x91\xc3"))
    with impostor(behave) as address, pytest.raises(ChannelError, match="not authentic: another secret"):
        dial(address, SECRET, hello(), PATIENCE)


@pytest.mark.parametrize("answer", [b"yes, of course", b"\x92\xc2\xa1\x80", b"\x94" + b"\x91" * 60_000])
def test_dialling_one_who_gives_a_strange_answer_is_told(answer: bytes) -> None:
    behave = _accepting(SECRET, lambda channel: channel.seal(answer))
    with impostor(behave) as address, pytest.raises(ChannelError, match="an answer of no known form"):
        dial(address, SECRET, hello(), PATIENCE)


def test_dialling_one_who_announces_a_huge_answer_is_told() -> None:
    behave = _accepting(SECRET, lambda _channel: struct.pack("<I", 2**29))
    with impostor(behave) as address, pytest.raises(ChannelError, match="announces 536870912 bytes"):
        dial(address, SECRET, hello(), PATIENCE)


def test_a_name_server_that_hangs_does_not_hold_up_a_dialler(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup, release, asked = connect_module._lookup, threading.Event(), []

    def hang(host: str, port: int, flags: int) -> list[connect_module.Target]:
        if not flags:
            asked.append(host)
            release.wait(PATIENCE)
        return lookup("127.0.0.1" if not flags else host, port, flags)

    monkeypatch.setattr(connect_module, "_lookup", hang)
    for _attempt in range(3):
        with pytest.raises(PeerError, match=r"the name peer\.example was not resolved in time"):
            dial("peer.example:80", SECRET, hello(), 0.02)
    assert asked == ["peer.example"]
    release.set()
    until(lambda: not connect_module._names._running)


def test_a_name_is_resolved() -> None:
    with opened() as port:
        sock = connect_module.connect(f"localhost:{port.port.address.rpartition(':')[2]}", Deadline(PATIENCE))
        sock.close()


def test_a_name_that_cannot_be_resolved_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> list[connect_module.Target]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(connect_module, "_lookup", fail)
    with pytest.raises(PeerError, match=r"the name peer\.example cannot be resolved: .*not known"):
        dial("peer.example:80", SECRET, hello(), PATIENCE)
    until(lambda: not connect_module._names._running)


# --- hostile bytes -----------------------------------------------------------------------------------------


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def _greeting(secret: bytes = SECRET) -> tuple[Initiator, bytes]:
    initiator = Initiator(secret, hello())
    return initiator, framed(initiator.greeting)


_HOSTILE = {
    "random": os.urandom(4096),
    "zeros": bytes(4096),
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a huge length": struct.pack("<I", 2**32 - 1) + b"x",
    "a greeting over the limit": framed(bytes(1025)),
    "an empty greeting": framed(b""),
    "a greeting of random bytes": framed(b"pairsim\x01" + os.urandom(200)),
    "a greeting that stops": _greeting()[1][:40],
    "a pickle": framed(pickle.dumps(Bomb(Path("exploded")))),
    "a pickle behind the version": framed(b"pairsim\x01" + pickle.dumps(Bomb(Path("exploded")))),
    "a proof of random bytes": _greeting()[1] + framed(os.urandom(64)),
    "a proof of a huge length": _greeting()[1] + struct.pack("<I", 2**29),
    "a pickle for a proof": _greeting()[1] + framed(pickle.dumps(Bomb(Path("exploded")))),
}


@pytest.mark.parametrize("data", _HOSTILE.values(), ids=_HOSTILE.keys())
def test_hostile_bytes_reach_no_handler(
    data: bytes, port: Port, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with port.stranger() as stranger:
        stranger.sendall(data)
        port.serves()
        with contextlib.suppress(OSError):  # closed already
            stranger.shutdown(socket.SHUT_WR)
        assert is_closed(stranger)
    port.serves()
    assert port.seen == [hello(), hello()]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a huge length", "a greeting over the limit", "a proof of a huge length"])
def test_a_length_over_the_limit_ends_the_connection_at_once(name: str, port: Port) -> None:
    with port.stranger() as stranger:
        stranger.sendall(_HOSTILE[name])
        assert is_closed(stranger)


def test_a_stranger_learns_only_that_it_is_refused(port: Port) -> None:
    """Behind the reply, which anybody gets, there is nothing without the proof."""
    with port.stranger() as stranger:
        _initiator, greeting = _greeting(b"a guess")
        stranger.sendall(greeting)
        length = int.from_bytes(stranger.recv(LENGTH), "little")
        assert stranger.recv(length).startswith(b"pairsim\x01")
        stranger.sendall(framed(bytes(64)))
        assert stranger.recv(1) == b""


def test_a_recorded_handshake_cannot_be_played_again(port: Port) -> None:
    initiator, greeting = _greeting()
    with port.stranger() as peer:
        peer.sendall(greeting)
        reply = peer.recv(4096)
        proof = initiator.channel(reply[LENGTH:]).seal(b"pairsim")
        peer.sendall(proof)
        port.links.get(timeout=PATIENCE).close()
    with port.stranger() as attacker:
        attacker.sendall(greeting + proof)
        assert is_closed(attacker)
    assert len(port.seen) == 1


@pytest.mark.parametrize("harm", ["flip", "replay", "length", "pickle", "truncate"])
def test_a_link_that_is_tampered_with_delivers_nothing_more(harm: str, port: Port, tmp_path: Path) -> None:
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
    assert theirs.receive(PATIENCE) == b"good"
    with pytest.raises((ChannelError, PeerError)):
        theirs.receive(PATIENCE)
    assert list(tmp_path.iterdir()) == []
    mine.close()
    theirs.close()
    port.serves()


def test_a_pickle_from_an_authenticated_peer_is_only_bytes(port: Port, tmp_path: Path) -> None:
    mine, theirs = port.pair()
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    mine.send(bomb)
    assert theirs.receive(PATIENCE) == bomb
    assert list(tmp_path.iterdir()) == []
    mine.close()
    theirs.close()


def test_a_length_that_was_made_up_costs_no_memory(port: Port) -> None:
    mine, theirs = port.pair("sync")
    before = psutil.Process().memory_info().rss
    mine.sock.sendall(struct.pack("<I", 2**30 - 100) + bytes(SEGMENT + 16))
    with pytest.raises(ChannelError, match="not authentic"):
        theirs.receive(PATIENCE)
    assert psutil.Process().memory_info().rss - before < 32 * 2**20
    mine.close()
    theirs.close()


# --- floods ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [b"", b"\x10", _greeting()[1]], ids=["silence", "a byte", "a greeting"])
def test_who_does_not_finish_the_handshake_is_closed_in_time(start: bytes) -> None:
    with opened(timeout=0.1) as port, port.stranger() as stranger:
        stranger.sendall(start)
        assert is_closed(stranger)
        port.serves()


def test_who_sends_a_byte_at_a_time_is_closed_in_time() -> None:
    with opened(timeout=0.15) as port, port.stranger() as stranger:
        sent = 0
        with contextlib.suppress(OSError):
            for byte in framed(bytes(1000)):
                stranger.sendall(bytes([byte]))
                sent += 1
                time.sleep(0.02)  # the attack itself
        assert sent < 1000
        port.serves()


def test_silent_strangers_keep_nobody_out() -> None:
    """Far more of them than may wait, and all of them stay; their time would not be up for long."""
    with opened(timeout=600.0, max_pending=8) as port, contextlib.ExitStack() as held:
        threads = threading.active_count()
        for _round in range(20):
            for _stranger in range(10):
                held.enter_context(port.stranger())
            port.serves()
        until(lambda: len(port.port._pending) <= 8 and len(port.port._threads) <= 8)
        assert threading.active_count() <= threads + 16


def test_a_flood_leaves_nothing_behind() -> None:
    with opened(timeout=PATIENCE, max_pending=8) as port:
        port.serves()
        process = psutil.Process()
        until(lambda: not port.port._threads)
        files, memory = process.num_fds(), process.memory_info().rss
        for number in range(500):
            with port.stranger() as stranger, contextlib.suppress(OSError):
                stranger.sendall(list(_HOSTILE.values())[number % len(_HOSTILE)])
            if number % 50 == 0:
                port.serves()
        until(lambda: not port.port._threads and not port.port._pending and process.num_fds() <= files)
        assert process.memory_info().rss - memory < 32 * 2**20
        port.serves()


def test_goes_on_when_the_system_has_no_more_threads(monkeypatch: pytest.MonkeyPatch, port: Port) -> None:
    start, failing = threading.Thread.start, [True]

    def fail(thread: threading.Thread) -> None:
        if thread.name == "handshake" and failing:
            failing.clear()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail)
    with port.stranger() as stranger:
        assert is_closed(stranger)
    port.serves()


def test_closing_ends_the_handshakes_that_are_under_way() -> None:
    with opened(timeout=600.0) as port:
        mine, theirs = port.pair()
        with port.stranger() as stranger:
            until(lambda: len(port.port._pending) == 1)
            port.port.close()
            assert is_closed(stranger)
        assert not port.port._threads
        assert not port.port._thread.is_alive()
        mine.send(b"links that were handed over stay")
        assert theirs.receive(PATIENCE) == b"links that were handed over stay"
        mine.close()
        theirs.close()
        with pytest.raises(PeerError, match="cannot connect"):
            dial(port.port.address, SECRET, hello(), PATIENCE)
