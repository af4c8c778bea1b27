from __future__ import annotations

import collections
import functools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.state.table import Table
from pairsim.replication.sync.codec import (
    MAX_ROWS,
    Draft,
    Encoder,
    Pool,
    StateFrameError,
    apply_delta,
    apply_keyframe,
    differences,
    pack,
)
from tests.unit.replication.tables import SCHEMA, same, table

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
def test_whatever_happens_between_two_frames_the_other_side_is_the_same(
    changes: list[tuple[str, int]], count: int
) -> None:
    mine, theirs = table(count), Table(SCHEMA)
    encoder = Encoder(SCHEMA)
    encoder.rebase(mine)
    apply_keyframe(theirs, pack(encoder.keyframe()))
    assert same(mine, theirs)
    for serial, (what, size) in enumerate(changes):
        change(mine, what, size, serial)
        if what == "frame":
            apply_delta(theirs, pack(encoder.delta(mine)), Pool())
            assert same(mine, theirs)
    apply_delta(theirs, pack(encoder.delta(mine)), Pool())
    assert same(mine, theirs)
    apply_keyframe(theirs, pack(encoder.keyframe()))
    assert same(mine, theirs)


@given(CHANGES, st.integers(0, 200), st.integers(1, 4), st.booleans())
@settings(deadline=None, max_examples=150)
def test_a_draft_that_is_packed_late_or_never_is_what_was_then(
    changes: list[tuple[str, int]], count: int, late: int, compare: bool
) -> None:
    """Copies are shared by drafts, and their buffers used again as soon as nobody needs them."""
    mine, theirs = table(count), Table(SCHEMA)
    encoder = Encoder(SCHEMA)
    encoder.rebase(mine)
    apply_keyframe(theirs, pack(encoder.keyframe()))
    waiting: collections.deque[tuple[Draft, Draft | None, int]] = collections.deque()

    def arrive() -> None:
        delta, keyframe, digest = waiting.popleft()
        apply_delta(theirs, pack(delta), Pool())
        assert theirs.digest() == digest
        if keyframe is not None:
            whole = Table(SCHEMA)
            apply_keyframe(whole, pack(keyframe))
            assert whole.digest() == digest

    for serial, (what, size) in enumerate(changes):
        change(mine, what, size, serial)
        if what == "frame":
            waiting.append((encoder.delta(mine), encoder.keyframe() if compare else None, mine.digest()))
            encoder.keyframe()  # nobody packs this one
        if len(waiting) > late:
            arrive()
    while waiting:
        arrive()


def test_a_small_column_holds_no_large_buffer() -> None:
    pool = Pool()
    for size in (1_000_000, 300_000, 10):
        pool.give(np.empty(size, np.uint8))
    assert pool.take(200_000).nbytes == 300_000
    assert pool.take(8).nbytes < 5_000
    assert pool.take(400_000).nbytes < 500_000
    assert pool.take(900_000).nbytes == 1_000_000


def test_frames_that_were_packed_leave_their_buffers_to_the_next_ones() -> None:
    """Fresh pages cost more than the work on them."""
    mine = table(1_000)
    encoder = Encoder(SCHEMA)
    encoder.rebase(mine)
    used: dict[int, object] = {}
    for _frame in range(20):
        mine.column("value")[:] += 1
        mine.column("place")[:] += 1
        draft = encoder.delta(mine)
        used |= {id(lent._buffer): lent._buffer for pair in draft.columns.values() for lent in pair if lent is not None}
        pack(draft)
    assert len(used) <= 8


def test_columns_that_did_not_change_are_not_sent() -> None:
    mine = table(10_000)
    encoder = Encoder(SCHEMA)
    encoder.rebase(mine)
    mine.column("flag")[9_999] ^= 1  # behind the rows that are looked at first
    packed = pack(encoder.delta(mine))
    assert len(packed) < 1_000
    assert len(pack(encoder.delta(mine))) < 20


def test_a_keyframe_is_the_state_as_last_sent() -> None:
    mine, theirs = table(50), Table(SCHEMA)
    encoder = Encoder(SCHEMA)
    encoder.rebase(mine)
    before = mine.digest()
    mine.column("value")[:] += 1
    apply_keyframe(theirs, pack(encoder.keyframe()))
    assert theirs.digest() == before


def frames() -> tuple[bytes, bytes]:
    mine = table(20)
    encoder = Encoder(SCHEMA)
    encoder.rebase(mine)
    keyframe = pack(encoder.keyframe())
    mine.column("place")[:] += 1
    return keyframe, pack(encoder.delta(mine))


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_bytes_that_are_no_frame_leave_the_table_alone(data: bytes) -> None:
    target = table(20)
    before = target.digest()
    for apply in (functools.partial(apply_delta, pool=Pool()), apply_keyframe):
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
        [20, {"nothing of that name": b"x" * 100}],
        [20, {}],
    ],
)
def test_a_frame_that_does_not_fit_leaves_the_table_alone(broken: list[object]) -> None:
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
        apply_delta(target, msgspec.msgpack.encode([rows + 1, columns]), Pool())
    assert target.digest() == table(20).digest()


def test_a_compressed_column_that_lies_about_its_content_is_refused() -> None:
    encoder = Encoder(SCHEMA)
    encoder.rebase(table(5_000))  # enough for the ids to be compressed and not just stored
    rows, columns = msgspec.msgpack.decode(pack(encoder.keyframe()))
    columns["id"] = columns["id"][:16] + b"\xff" * (len(columns["id"]) - 16)
    target = table(20)
    with pytest.raises(StateFrameError):
        apply_keyframe(target, msgspec.msgpack.encode([rows, columns]))
    assert target.digest() == table(20).digest()


def test_differences_name_component_and_entity() -> None:
    mine, theirs = table(30), table(30)
    theirs.column("value")[4] += 1
    theirs.column("place")[7, 2] += 1
    assert set(differences(mine, theirs)) == {("value", 5), ("place", 8)}
    theirs.despawn(np.array([30], np.int64))
    assert ("id", 30) in differences(mine, theirs)
    assert len(differences(table(100), table(100, seed=1), limit=5)) == 5
