"""Frames lead to exactly the same state, reuse buffers, and leave the table alone when they are damaged."""

from __future__ import annotations

import collections
import functools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.state.table import Table
from pairsim.replication.sync.buffers import BufferPool
from pairsim.replication.sync.codec import (
    MAX_ROWS,
    PendingFrame,
    StateFrameError,
    apply_delta,
    apply_keyframe,
    find_differences,
    pack,
)
from tests.unit.replication.tables import SCHEMA, FrameChain, same, table

CHANGES = st.lists(
    st.tuples(st.sampled_from(["spawn", "despawn", "move", "toggle", "nothing", "frame"]), st.integers(1, 40)),
    max_size=25,
)


def change(target: Table, what: str, size: int, serial: int) -> None:
    rng = np.random.default_rng(serial)
    if what == "spawn":
        fresh = table(size, serial, first=1_000 * (serial + 1))
        target.spawn(fresh.ids.copy(), fresh.columns())
    elif what == "despawn" and len(target):
        target.despawn(rng.permutation(target.ids)[: min(size, len(target))].copy())
    elif what == "move" and len(target):
        target.column("place")[:size] += np.float32(0.5)
    elif what == "toggle" and len(target):
        target.column("flag")[: size // 2] ^= 1


@given(CHANGES, st.integers(0, 200))
@settings(deadline=None, max_examples=150)
def test_frames_lead_to_the_same_state_after_any_changes(changes: list[tuple[str, int]], count: int) -> None:
    mine, theirs = table(count), Table(SCHEMA)
    encoder = FrameChain(mine)
    apply_keyframe(theirs, pack(encoder.make_keyframe()))
    assert same(mine, theirs)
    for serial, (what, size) in enumerate(changes):
        change(mine, what, size, serial)
        if what == "frame":
            apply_delta(theirs, pack(encoder.make_delta(mine)), BufferPool())
            assert same(mine, theirs)
    apply_delta(theirs, pack(encoder.make_delta(mine)), BufferPool())
    assert same(mine, theirs)
    apply_keyframe(theirs, pack(encoder.make_keyframe()))
    assert same(mine, theirs)


@given(CHANGES, st.integers(0, 200), st.integers(1, 4), st.booleans())
@settings(deadline=None, max_examples=150)
def test_a_frame_that_is_packed_late_holds_the_state_of_its_time(
    changes: list[tuple[str, int]], count: int, late: int, compare: bool
) -> None:
    """Pending frames share copies, whose buffers are reused as soon as no frame needs them."""
    mine, theirs = table(count), Table(SCHEMA)
    encoder = FrameChain(mine)
    apply_keyframe(theirs, pack(encoder.make_keyframe()))
    waiting: collections.deque[tuple[PendingFrame, PendingFrame | None, int]] = collections.deque()

    def arrive() -> None:
        delta, keyframe, digest = waiting.popleft()
        apply_delta(theirs, pack(delta), BufferPool())
        assert theirs.digest() == digest
        if keyframe is not None:
            whole = Table(SCHEMA)
            apply_keyframe(whole, pack(keyframe))
            assert whole.digest() == digest

    for serial, (what, size) in enumerate(changes):
        change(mine, what, size, serial)
        if what == "frame":
            waiting.append((encoder.make_delta(mine), encoder.make_keyframe() if compare else None, mine.digest()))
            encoder.make_keyframe()  # never packed
        if len(waiting) > late:
            arrive()
    while waiting:
        arrive()


def test_a_small_column_gets_a_small_buffer() -> None:
    pool = BufferPool()
    for size in (1_000_000, 300_000, 10):
        pool.release(np.empty(size, np.uint8))
    assert pool.acquire(200_000).nbytes == 300_000
    assert pool.acquire(8).nbytes < 5_000
    assert pool.acquire(400_000).nbytes < 500_000
    assert pool.acquire(900_000).nbytes == 1_000_000


def test_buffers_of_packed_frames_are_reused() -> None:
    """Fresh memory pages cost more than the work on them."""
    mine = table(1_000)
    encoder = FrameChain(mine)
    used: dict[int, object] = {}
    for _frame in range(20):
        mine.column("value")[:] += 1
        mine.column("place")[:] += 1
        frame = encoder.make_delta(mine)
        used |= {id(copy._buffer): copy._buffer for pair in frame.columns.values() for copy in pair if copy is not None}
        pack(frame)
    assert len(used) <= 8


def test_unchanged_columns_are_not_sent() -> None:
    mine = table(10_000)
    encoder = FrameChain(mine)
    mine.column("flag")[9_999] ^= 1  # behind the prefix that is compared first
    packed = pack(encoder.make_delta(mine))
    assert len(packed) < 1_000
    assert len(pack(encoder.make_delta(mine))) < 20


def test_a_keyframe_holds_the_base_of_the_encoder() -> None:
    mine, theirs = table(50), Table(SCHEMA)
    encoder = FrameChain(mine)
    before = mine.digest()
    mine.column("value")[:] += 1
    apply_keyframe(theirs, pack(encoder.make_keyframe()))
    assert theirs.digest() == before


def frames() -> tuple[bytes, bytes]:
    mine = table(20)
    encoder = FrameChain(mine)
    keyframe = pack(encoder.make_keyframe())
    mine.column("place")[:] += 1
    return keyframe, pack(encoder.make_delta(mine))


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_random_bytes_leave_the_table_unchanged(data: bytes) -> None:
    target = table(20)
    before = target.digest()
    for apply in (functools.partial(apply_delta, pool=BufferPool()), apply_keyframe):
        with pytest.raises(StateFrameError):
            apply(target, data)
    assert target.digest() == before


@pytest.mark.parametrize(
    "broken",
    [
        [MAX_ROWS + 1, {}],
        [-1, {}],
        [20, {"place": b""}],
        [20, {"place": b"x" * 100}],
        [20, {"unknown": b"x" * 100}],
        [20, {}],
    ],
)
def test_a_frame_that_does_not_fit_leaves_the_table_unchanged(broken: list[object]) -> None:
    target = table(20)
    before = target.digest()
    with pytest.raises(StateFrameError):
        apply_keyframe(target, msgspec.msgpack.encode(broken))
    assert target.digest() == before


def test_a_frame_for_another_schema_is_refused() -> None:
    keyframe, delta = frames()
    rows, columns = msgspec.msgpack.decode(keyframe)
    columns["mass"] = columns["flag"]
    target = table(20)
    with pytest.raises(StateFrameError):
        apply_keyframe(target, msgspec.msgpack.encode([rows, columns]))
    rows, columns = msgspec.msgpack.decode(delta)
    with pytest.raises(StateFrameError):
        apply_delta(target, msgspec.msgpack.encode([rows + 1, columns]), BufferPool())
    assert target.digest() == table(20).digest()


def test_a_column_with_damaged_content_is_refused() -> None:
    encoder = FrameChain(table(5_000))  # enough rows for Blosc to compress the ids
    rows, columns = msgspec.msgpack.decode(pack(encoder.make_keyframe()))
    columns["id"] = columns["id"][:16] + b"\xff" * (len(columns["id"]) - 16)
    target = table(20)
    with pytest.raises(StateFrameError):
        apply_keyframe(target, msgspec.msgpack.encode([rows, columns]))
    assert target.digest() == table(20).digest()


def test_differences_are_pairs_of_component_and_entity() -> None:
    mine, theirs = table(30), table(30)
    theirs.column("value")[4] += 1
    theirs.column("place")[7, 2] += 1
    assert set(find_differences(mine, theirs)) == {("value", 5), ("place", 8)}
    theirs.despawn(np.array([30], np.int64))
    assert ("id", 30) in find_differences(mine, theirs)
    assert len(find_differences(table(100), table(100, seed=1), limit=5)) == 5
