from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pairsim.replication.transport import channel as channel_module
from pairsim.replication.transport.channel import (
    LENGTH,
    MAX_FRAME,
    MAX_GREETING,
    SEGMENT,
    Channel,
    ChannelError,
    Hello,
    Initiator,
    accept,
)

SECRET = b"a secret of the world"
HELLO = Hello(kind="raft", area="north", generation=2, sender="a", receiver="b")
TAG = 16


def pair(secret: bytes = SECRET, other: bytes = SECRET, max_frame: int = MAX_FRAME) -> tuple[Channel, Channel]:
    """The dialling side's channel and the other's."""
    initiator = Initiator(secret, HELLO)
    hello, reply, acceptor = accept(other, initiator.greeting, max_frame)
    assert hello == HELLO
    return initiator.channel(reply, max_frame), acceptor


# --- frames ------------------------------------------------------------------------------------------------


def test_frames_go_both_ways() -> None:
    a, b = pair()
    assert b.feed(a.seal(b"proof") + a.seal(b"", b"in ", memoryview(b"parts"))) == [b"proof", b"in parts"]
    assert a.feed(b.seal() + b.seal(b"answer")) == [b"", b"answer"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 400), st.data())
def test_frames_arrive_whole_however_the_bytes_are_cut(frames: list[bytes], chunk: int, data: st.DataObject) -> None:
    a, b = pair()
    stream = b"".join(a.seal(*_cut(frame, data.draw(st.integers(1, 100)))) for frame in frames)
    arrived = [frame for at in range(0, len(stream), chunk) for frame in b.feed(stream[at : at + chunk])]
    assert arrived == frames


def _cut(frame: bytes, size: int) -> list[bytes | memoryview]:
    view = memoryview(frame)
    return [view[at : at + size] for at in range(0, len(frame), size)]


@pytest.mark.parametrize("size", [SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 3 * SEGMENT + 7])
@pytest.mark.parametrize("part", [1000, SEGMENT, 10 * SEGMENT])
def test_large_frames_arrive_whole(size: int, part: int) -> None:
    a, b = pair()
    frame = os.urandom(size)
    stream = a.seal(*_cut(frame, part)) + a.seal(b"next")
    got = [x for at in range(0, len(stream), 100_000) for x in b.feed(stream[at : at + 100_000])]
    assert got == [frame, b"next"]


def test_parts_may_be_views_of_numbers() -> None:
    a, b = pair()
    numbers = memoryview(bytes(80_000 * 8)).cast("d")
    assert b.feed(a.seal(numbers)) == [bytes(80_000 * 8)]


def test_taken_in_pieces_of_the_wanted_size() -> None:
    a, b = pair()
    stream, sizes, frames = memoryview(a.seal(bytes(SEGMENT + 5))), [], []
    while stream:
        sizes.append(b.wanted)
        frames.append(b.take(stream[: b.wanted]))
        stream = stream[sizes[-1] :]
    assert sizes == [LENGTH, SEGMENT + TAG, 5 + TAG]
    assert frames == [None, None, bytes(SEGMENT + 5)]


def test_a_frame_over_the_limit_is_not_sealed_and_costs_nothing() -> None:
    a, b = pair(max_frame=1000)
    with pytest.raises(ChannelError, match="a frame of 985 bytes is over the limit of 1000"):
        a.seal(bytes(985))
    assert b.feed(a.seal(bytes(984))) == [bytes(984)]


@pytest.mark.parametrize("length", [0, 15, 1001, 2**31, 2**32 - 1])
def test_a_length_out_of_bounds_is_refused_at_once(length: int) -> None:
    _a, b = pair(max_frame=1000)
    with pytest.raises(ChannelError, match=f"announces {length} bytes, allowed are 16 to 1000"):
        b.feed(length.to_bytes(LENGTH, "little"))


def test_a_length_that_was_made_up_costs_no_memory() -> None:
    _a, b = pair(max_frame=2**30)
    b.feed((2**30).to_bytes(LENGTH, "little"))
    assert b.feed(bytes(SEGMENT)) == []
    with pytest.raises(ChannelError, match="not authentic"):
        b.feed(bytes(TAG))
    assert len(b._buffer) <= SEGMENT + TAG


def test_a_used_up_channel_says_so() -> None:
    a, b = pair()
    a._sent = b._received = 2**64 - 1
    assert b.feed(a.seal(b"last")) == [b"last"]
    with pytest.raises(ChannelError, match="used up"):
        a.seal(b"one more")


# --- what an attacker on the wire can do -------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.integers(0), st.integers(0, 7))
def test_any_changed_bit_is_noticed(at: int, bit: int) -> None:
    a, b = pair(max_frame=2**32 - 1)
    assert b.feed(a.seal(b"before")) == [b"before"]
    frame = bytearray(a.seal(b"what matters"))
    frame[at % len(frame)] ^= 1 << bit
    with pytest.raises(ChannelError):
        b.feed(bytes(frame) + bytes(SEGMENT + TAG))  # more comes, should it announce more


@pytest.mark.parametrize(
    "order",
    [(0, 0), (1,), (1, 0), (0, 2)],
    ids=["replayed", "first dropped", "reordered", "one dropped"],
)
def test_replayed_reordered_and_dropped_frames_are_noticed(order: tuple[int, ...]) -> None:
    a, b = pair()
    frames = [a.seal(b"%d" % n) for n in range(3)]
    with pytest.raises(ChannelError, match="not authentic"):
        b.feed(b"".join(frames[n] for n in order))


def test_segments_of_a_frame_cannot_be_moved_or_left_out() -> None:
    for change in ("swap", "shorten"):
        a, b = pair()
        head, sealed = (frame := a.seal(bytes(3 * SEGMENT)))[:LENGTH], frame[LENGTH:]
        cut = SEGMENT + TAG
        first, second, third = sealed[:cut], sealed[cut : 2 * cut], sealed[2 * cut :]
        if change == "swap":
            stream = head + second + first + third
        else:
            stream = (2 * cut).to_bytes(LENGTH, "little") + first + second
        with pytest.raises(ChannelError, match="not authentic"):
            b.feed(stream)


def test_frames_of_one_direction_do_not_open_in_the_other() -> None:
    a, _b = pair()
    with pytest.raises(ChannelError, match="not authentic"):
        a.feed(a.seal(b"reflected"))


def test_nothing_opens_after_a_failure() -> None:
    a, b = pair()
    good = a.seal(b"good")
    with pytest.raises(ChannelError, match="not authentic"):
        b.feed(good[:-1] + bytes([good[-1] ^ 1]))
    b._buffer.clear()
    with pytest.raises(ChannelError, match="failed before"):
        b.feed(good)


# --- the handshake -----------------------------------------------------------------------------------------


def test_another_secret_opens_nothing_on_either_side() -> None:
    a, b = pair(SECRET, b"another secret")
    with pytest.raises(ChannelError, match="another secret"):
        b.feed(a.seal(b"proof"))
    with pytest.raises(ChannelError, match="another secret"):
        a.feed(b.seal(b"answer"))


def test_a_replayed_greeting_gets_other_keys() -> None:
    initiator = Initiator(SECRET, HELLO)
    _hello, reply, first = accept(SECRET, initiator.greeting)
    a = initiator.channel(reply)
    proof = a.seal(b"proof")
    assert first.feed(proof) == [b"proof"]
    _hello, _reply, second = accept(SECRET, initiator.greeting)
    with pytest.raises(ChannelError, match="not authentic"):
        second.feed(proof)


def test_a_greeting_that_was_changed_on_the_way_fails_the_proof() -> None:
    initiator = Initiator(SECRET, HELLO)
    assert initiator.greeting.count(b"north") == 1
    hello, reply, acceptor = accept(SECRET, initiator.greeting.replace(b"north", b"south"))
    assert hello.area == "south"
    with pytest.raises(ChannelError, match="not authentic"):
        acceptor.feed(initiator.channel(reply).seal(b"proof"))


def test_a_man_in_the_middle_without_the_secret_opens_nothing() -> None:
    initiator = Initiator(SECRET, HELLO)
    _hello, reply, _mine = accept(b"the attacker's guess", initiator.greeting)
    private = X25519PrivateKey.generate()
    nonce = msgspec.msgpack.decode(reply[len(b"pairsim") + 1 :])[1]
    forged = reply[: len(b"pairsim") + 1] + msgspec.msgpack.encode(
        ["reply", nonce, private.public_key().public_bytes_raw()]
    )
    there, _back = channel_module._keys(b"", private, initiator._private.public_key().public_bytes_raw(), b"", b"")
    with pytest.raises(ChannelError, match="not authentic"):
        initiator.channel(forged).feed(Channel(there, there).seal(b"answer"))


def test_the_secret_alone_does_not_open_what_was_recorded() -> None:
    """Forward secrecy: who learns the secret later lacks the private keys, which nobody kept."""
    initiator = Initiator(SECRET, HELLO)
    _hello, reply, _acceptor = accept(SECRET, initiator.greeting)
    recorded = initiator.channel(reply).seal(b"old words")
    public = initiator._private.public_key().public_bytes_raw()
    keys = channel_module._keys(SECRET, X25519PrivateKey.generate(), public, initiator.greeting, reply)
    with pytest.raises(ChannelError, match="not authentic"):
        Channel(*reversed(keys)).feed(recorded)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=MAX_GREETING), st.sampled_from([b"", b"pairsim", b"pairsim\x01"]))
@example(b"\x93\xa1\x80", b"pairsim\x01")  # a string that is no text
@example(b"\x91" * 100_000 + b"\xc0", b"pairsim\x01")
@example(b"\x94\xa8greeting" + b"\x91" * 100_000 + b"\xc0", b"pairsim\x01")
def test_random_bytes_are_no_greeting_and_no_reply(data: bytes, start: bytes) -> None:
    with pytest.raises(ChannelError):
        accept(SECRET, start + data)
    with pytest.raises(ChannelError):
        Initiator(SECRET, HELLO).channel(start + data)


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(32), bytes(33)])
def test_a_key_that_is_none_is_refused(key: bytes) -> None:
    greeting = b"pairsim\x01" + msgspec.msgpack.encode(["greeting", ["raft", "north", 1, "a", "b"], bytes(32), key])
    with pytest.raises(ChannelError, match="key is none"):
        accept(SECRET, greeting)


def test_another_version_is_named() -> None:
    greeting = Initiator(SECRET, HELLO).greeting
    with pytest.raises(ChannelError, match="speaks version 7 of the peer protocol, this one version 1: run the same"):
        accept(SECRET, greeting.replace(b"pairsim\x01", b"pairsim\x07", 1))


def test_names_that_are_too_long_are_refused_before_they_are_sent() -> None:
    with pytest.raises(ChannelError, match="shorten the names"):
        Initiator(SECRET, Hello(kind="raft", area="x" * 2000, generation=1, sender="a", receiver="b"))


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    import pickle  # noqa: PLC0415 - the attacker's tool, here alone

    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    for data in (bomb, b"pairsim\x01" + bomb):
        with pytest.raises(ChannelError):
            accept(SECRET, data)
        with pytest.raises(ChannelError):
            Initiator(SECRET, HELLO).channel(data)
    a, b = pair()
    assert b.feed(a.seal(bomb)) == [bomb]
    with pytest.raises(ChannelError):
        b.feed(bomb + bytes(SEGMENT))
    assert list(tmp_path.iterdir()) == []
    pickle.loads(bomb)  # noqa: S301 - it is live
    assert (tmp_path / "exploded").exists()
