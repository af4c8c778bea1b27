"""The key exchange authenticates both sides, resists replay and tampering, and gives forward secrecy."""

from __future__ import annotations

import pickle
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pairsim.replication.transport import key_exchange
from pairsim.replication.transport.channel import SEGMENT, Channel, ChannelError
from pairsim.replication.transport.key_exchange import MAX_GREETING, Hello, Initiator, respond
from tests.unit.replication.transport.channels import HELLO, SECRET, pair
from tests.unit.replication.transport.peers import Bomb


def test_another_secret_opens_nothing_on_either_side() -> None:
    a, b = pair(SECRET, b"another secret")
    with pytest.raises(ChannelError, match="another secret"):
        b.feed(a.seal(b"proof"))
    with pytest.raises(ChannelError, match="another secret"):
        a.feed(b.seal(b"answer"))


def test_a_replayed_greeting_gets_other_keys() -> None:
    initiator = Initiator(SECRET, HELLO)
    _hello, reply, first = respond(SECRET, initiator.greeting)
    a = initiator.channel(reply)
    proof = a.seal(b"proof")
    assert first.feed(proof) == [b"proof"]
    _hello, _reply, second = respond(SECRET, initiator.greeting)
    with pytest.raises(ChannelError, match="not authentic"):
        second.feed(proof)


def test_a_changed_greeting_fails_the_proof() -> None:
    initiator = Initiator(SECRET, HELLO)
    assert initiator.greeting.count(b"north") == 1
    hello, reply, acceptor = respond(SECRET, initiator.greeting.replace(b"north", b"south"))
    assert hello.area == "south"
    with pytest.raises(ChannelError, match="not authentic"):
        acceptor.feed(initiator.channel(reply).seal(b"proof"))


def test_a_man_in_the_middle_without_the_secret_opens_nothing() -> None:
    initiator = Initiator(SECRET, HELLO)
    _hello, reply, _mine = respond(b"the attacker's guess", initiator.greeting)
    private = X25519PrivateKey.generate()
    nonce = msgspec.msgpack.decode(reply[len(b"pairsim") + 1 :])[1]
    forged = reply[: len(b"pairsim") + 1] + msgspec.msgpack.encode(
        ["reply", nonce, private.public_key().public_bytes_raw()]
    )
    outbound, _inbound = key_exchange._derive_keys(
        b"", private, initiator._private.public_key().public_bytes_raw(), b"", b""
    )
    with pytest.raises(ChannelError, match="not authentic"):
        initiator.channel(forged).feed(Channel(outbound, outbound).seal(b"answer"))


def test_the_secret_alone_does_not_decrypt_a_recording() -> None:
    """Forward secrecy: an attacker who learns the secret later lacks the private keys, which were never stored."""
    initiator = Initiator(SECRET, HELLO)
    _hello, reply, _acceptor = respond(SECRET, initiator.greeting)
    recorded = initiator.channel(reply).seal(b"old message")
    public = initiator._private.public_key().public_bytes_raw()
    keys = key_exchange._derive_keys(SECRET, X25519PrivateKey.generate(), public, initiator.greeting, reply)
    with pytest.raises(ChannelError, match="not authentic"):
        Channel(*reversed(keys)).feed(recorded)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=MAX_GREETING), st.sampled_from([b"", b"pairsim", b"pairsim\x01"]))
@example(b"\x93\xa1\x80", b"pairsim\x01")  # a string that is not valid UTF-8
@example(b"\x91" * 100_000 + b"\xc0", b"pairsim\x01")
@example(b"\x94\xa8greeting" + b"\x91" * 100_000 + b"\xc0", b"pairsim\x01")
def test_random_bytes_are_rejected_as_greeting_and_as_reply(data: bytes, start: bytes) -> None:
    with pytest.raises(ChannelError):
        respond(SECRET, start + data)
    with pytest.raises(ChannelError):
        Initiator(SECRET, HELLO).channel(start + data)


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(32), bytes(33)])
def test_an_invalid_public_key_is_rejected(key: bytes) -> None:
    greeting = b"pairsim\x01" + msgspec.msgpack.encode(["greeting", ["raft", "north", 1, "a", "b"], bytes(32), key])
    with pytest.raises(ChannelError, match="sent an invalid public key"):
        respond(SECRET, greeting)


def test_another_version_is_reported() -> None:
    greeting = Initiator(SECRET, HELLO).greeting
    with pytest.raises(ChannelError, match="speaks version 7 of the peer protocol, this one version 1: run the same"):
        respond(SECRET, greeting.replace(b"pairsim\x01", b"pairsim\x07", 1))


def test_long_names_are_rejected_before_they_are_sent() -> None:
    with pytest.raises(ChannelError, match="shorten the names"):
        Initiator(SECRET, Hello(kind="raft", area="x" * 2000, generation=1, sender="a", receiver="b"))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    for data in (bomb, b"pairsim\x01" + bomb):
        with pytest.raises(ChannelError):
            respond(SECRET, data)
        with pytest.raises(ChannelError):
            Initiator(SECRET, HELLO).channel(data)
    a, b = pair()
    assert b.feed(a.seal(bomb)) == [bomb]
    with pytest.raises(ChannelError):
        b.feed(bomb + bytes(SEGMENT))
    assert list(tmp_path.iterdir()) == []
    pickle.loads(bomb)  # noqa: S301 - proves that the bomb is live
    assert (tmp_path / "exploded").exists()
