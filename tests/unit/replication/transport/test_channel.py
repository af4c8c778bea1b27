"""Frames arrive complete and in order, and every change to the bytes is detected."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.replication.transport.channel import LENGTH, SEGMENT, TAG, ChannelError
from tests.unit.replication.transport.channels import pair

# --- frames


def test_frames_go_both_ways() -> None:
    a, b = pair()
    assert b.feed(a.seal(b"proof") + a.seal(b"", b"in ", memoryview(b"parts"))) == [b"proof", b"in parts"]
    assert a.feed(b.seal() + b.seal(b"answer")) == [b"", b"answer"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 400), st.data())
def test_frames_arrive_complete_however_the_bytes_are_cut(frames: list[bytes], chunk: int, data: st.DataObject) -> None:
    a, b = pair()
    stream = b"".join(a.seal(*_cut(frame, data.draw(st.integers(1, 100)))) for frame in frames)
    arrived = [frame for at in range(0, len(stream), chunk) for frame in b.feed(stream[at : at + chunk])]
    assert arrived == frames


def _cut(frame: bytes, size: int) -> list[bytes | memoryview]:
    view = memoryview(frame)
    return [view[at : at + size] for at in range(0, len(frame), size)]


@pytest.mark.parametrize("size", [SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT, 3 * SEGMENT + 7])
@pytest.mark.parametrize("part", [1000, SEGMENT, 10 * SEGMENT])
def test_large_frames_arrive_complete(size: int, part: int) -> None:
    a, b = pair()
    frame = os.urandom(size)
    stream = a.seal(*_cut(frame, part)) + a.seal(b"next")
    got = [x for at in range(0, len(stream), 100_000) for x in b.feed(stream[at : at + 100_000])]
    assert got == [frame, b"next"]


def test_parts_may_be_views_of_numbers() -> None:
    a, b = pair()
    numbers = memoryview(bytes(80_000 * 8)).cast("d")
    assert b.feed(a.seal(numbers)) == [bytes(80_000 * 8)]


def test_a_frame_is_opened_in_pieces_of_the_needed_size() -> None:
    a, b = pair()
    stream, sizes, frames = memoryview(a.seal(bytes(SEGMENT + 5))), [], []
    while stream:
        sizes.append(b.bytes_needed)
        frames.append(b.open_next(stream[: b.bytes_needed]))
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


def test_a_forged_length_costs_no_memory() -> None:
    _a, b = pair(max_frame=2**30)
    b.feed((2**30).to_bytes(LENGTH, "little"))
    assert b.feed(bytes(SEGMENT)) == []
    with pytest.raises(ChannelError, match="not authentic"):
        b.feed(bytes(TAG))
    assert len(b._buffer) <= SEGMENT + TAG


def test_a_channel_without_nonces_raises() -> None:
    a, b = pair()
    a._sent = b._received = 2**64 - 1
    assert b.feed(a.seal(b"last")) == [b"last"]
    with pytest.raises(ChannelError, match="used up"):
        a.seal(b"one more")


# --- attacks on the connection


@settings(max_examples=80, deadline=None)
@given(st.integers(0), st.integers(0, 7))
def test_any_changed_bit_is_detected(at: int, bit: int) -> None:
    a, b = pair(max_frame=2**32 - 1)
    assert b.feed(a.seal(b"before")) == [b"before"]
    frame = bytearray(a.seal(b"what matters"))
    frame[at % len(frame)] ^= 1 << bit
    with pytest.raises(ChannelError):
        b.feed(bytes(frame) + bytes(SEGMENT + TAG))  # enough bytes for a changed length that announces more


@pytest.mark.parametrize(
    "order",
    [(0, 0), (1,), (1, 0), (0, 2)],
    ids=["replayed", "first dropped", "reordered", "one dropped"],
)
def test_replayed_reordered_and_dropped_frames_are_detected(order: tuple[int, ...]) -> None:
    a, b = pair()
    frames = [a.seal(b"%d" % n) for n in range(3)]
    with pytest.raises(ChannelError, match="not authentic"):
        b.feed(b"".join(frames[n] for n in order))


def test_moved_and_omitted_segments_are_detected() -> None:
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
