"""One of the few places where the guard touches the product: how two processes begin to speak at the peer port.

As in `product.py`, who moves or renames something in the product changes this file, and no golden file.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from unittest import mock

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from pairsim.replication.transport import key_exchange as key_exchange_module
from pairsim.replication.transport.channel import Channel
from pairsim.replication.transport.key_exchange import Hello, Initiator, respond
from pairsim.replication.transport.peer_link import PeerLink
from pairsim.replication.transport.peer_port import Acceptor, LinkRefusedError, PeerPort

_SECRET = b"a secret of more than sixteen bytes"


def _hello(kind: str = "raft", receiver: str = "b") -> Hello:
    return Hello(kind=kind, area="north", generation=1, sender="a", receiver=receiver)


@contextlib.contextmanager
def _fixed_keys(seed: int) -> Iterator[None]:
    private = X25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    with (
        mock.patch.object(key_exchange_module.os, "urandom", lambda size: bytes([seed + 1]) * size),
        mock.patch.object(key_exchange_module, "X25519PrivateKey", SimpleNamespace(generate=lambda: private)),
    ):
        yield


def transcript() -> dict[str, bytes]:
    """Returns all that two sides say to each other until the first frames, with fixed keys."""
    with _fixed_keys(1):
        initiator = Initiator(_SECRET, _hello())
    with _fixed_keys(3):
        _said, reply, theirs = respond(_SECRET, initiator.greeting)
    ours = initiator.channel(reply)
    return {
        "greeting": initiator.greeting,
        "reply": reply,
        "first frame there": bytes(ours.seal(b"one")),
        "first frame back": bytes(theirs.seal(b"two")),
        "second frame there, of two parts": bytes(ours.seal(b"th", b"ree")),
        "a frame of two segments": bytes(theirs.seal(bytes(300_000))),
    }


def handshakes() -> dict[str, object]:
    """Returns what a real peer port answers to proofs, as documents of MessagePack."""

    def judge(hello: Hello) -> Acceptor:
        if hello.area != "north" or hello.generation != 1:
            raise LinkRefusedError("no", b"detail")
        return PeerLink.close

    def refuse(_hello: Hello) -> Acceptor:
        raise LinkRefusedError("no", b"detail")

    port = PeerPort("127.0.0.1:0", (_SECRET,), 2.0, name="b")
    port.register("raft", judge)
    port.register("sync", refuse)
    try:
        return {
            "raft, accepted": _answer(port.address, _hello()),
            "sync, refused": _answer(port.address, _hello("sync")),
            "another kind": _answer(port.address, _hello("other")),
            "another receiver": _answer(port.address, _hello(receiver="z")),
        }
    finally:
        port.close()


def _answer(address: str, hello: Hello) -> object:
    """Speaks with a peer port by hand: greetings have their length before them, the proof is a word."""
    host, _, number = address.partition(":")
    initiator = Initiator(_SECRET, hello)
    with socket.create_connection((host, int(number)), timeout=2.0) as sock:
        sock.sendall(len(initiator.greeting).to_bytes(4, "little") + initiator.greeting)
        channel: Channel = initiator.channel(_exactly(sock, int.from_bytes(_exactly(sock, 4), "little")))
        sock.sendall(channel.seal(b"pairsim"))
        frames: list[bytearray] = []
        while not frames:
            frames = channel.feed(sock.recv(4096))
    return msgspec.msgpack.decode(frames[0])


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += sock.recv(size - len(data))
    return data
