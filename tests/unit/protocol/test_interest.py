"""Applying the frames in order gives exactly the content of the box."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.state.table import Table
from pairsim.protocol.bounds import Bounds
from pairsim.protocol.frames import Column, Frame, Rows
from pairsim.protocol.interest import AreaSnapshot, apply, diff, extract, to_array
from tests.unit.server.fakes import SCHEMA

INFINITE = float("inf")
BOX = Bounds((0.0, 0.0, -INFINITE), (10.0, 10.0, INFINITE))

coordinate = st.sampled_from([-1.0, 0.0, -0.0, 3.0, 9.999, 10.0, float("nan")])
mass = st.sampled_from([0.0, -0.0, 1.5, float("nan")])
world = st.dictionaries(st.integers(0, 12), st.tuples(coordinate, coordinate, coordinate, mass), max_size=10)


def table_of(entities: dict[int, tuple[float, ...]], order: list[int]) -> Table:
    table = Table(SCHEMA)
    values = np.array([entities[i] for i in order], np.float64).reshape(-1, 4)
    columns = {"position": values[:, :3].astype(np.float32), "mass": values[:, 3]}
    table.spawn(np.array(order, np.int64), columns)
    return table


def content(snapshot: AreaSnapshot) -> dict[int, tuple[bytes, ...]]:
    names = sorted(snapshot.columns)
    return {
        int(entity): tuple(snapshot.columns[name][i].tobytes() for name in names)
        for i, entity in enumerate(snapshot.ids)
    }


def taken(table: Table, tick: int, names: tuple[str, ...] = ()) -> AreaSnapshot:
    snapshot = extract(table, tick=tick, term=1, box=BOX, components=names, limit=1000)
    assert snapshot is not None
    return snapshot


@settings(deadline=None, max_examples=300)
@given(data=st.data(), worlds=st.lists(world, min_size=1, max_size=6), names=st.sampled_from([(), ("mass",)]))
def test_frames_in_order_reproduce_the_content(
    data: st.DataObject, worlds: list[dict[int, tuple[float, ...]]], names: tuple[str, ...]
) -> None:
    sent: AreaSnapshot | None = None
    seen: AreaSnapshot | None = None
    for tick, entities in enumerate(worlds, 1):
        snapshot = taken(table_of(entities, data.draw(st.permutations(sorted(entities)))), tick, names)
        expected = {i for i, (x, y, _, _) in entities.items() if 0 <= np.float32(x) < 10 and 0 <= np.float32(y) < 10}
        assert set(snapshot.ids.tolist()) == expected
        frame = diff(sent, snapshot)
        was, now = content(sent) if sent is not None else {}, content(snapshot)
        assert ids(frame.enter.ids) == now.keys() - was.keys()
        assert ids(frame.leave) == was.keys() - now.keys()
        assert ids(frame.update.ids) == {i for i in now.keys() & was.keys() if now[i] != was[i]}
        seen = apply(seen, frame)
        assert content(seen) == now
        assert (seen.tick, frame.keyframe) == (tick, sent is None)
        sent = snapshot


def ids(data: bytes) -> set[int]:
    found = np.frombuffer(data, "<i8").tolist()
    assert len(found) == len(set(found))
    return set(found)


def test_a_snapshot_keeps_no_view_of_the_table() -> None:
    table = table_of({1: (1.0, 1.0, 1.0, 2.0)}, [1])
    snapshot = taken(table, 1)
    table.column("position")[:] = 5.0
    table.ids[:] = 9
    assert content(snapshot) == content(taken(table_of({1: (1.0, 1.0, 1.0, 2.0)}, [1]), 1))


def test_a_box_with_too_many_entities_gives_none() -> None:
    table = table_of(dict.fromkeys(range(5), (1.0, 1.0, 1.0, 2.0)), list(range(5)))
    assert extract(table, tick=1, term=1, box=BOX, components=(), limit=4) is None
    assert extract(table, tick=1, term=1, box=None, components=(), limit=5) is not None


def test_columns_have_their_type() -> None:
    frame = diff(None, taken(table_of({7: (1.0, 2.0, 3.0, 4.0)}, [7]), 1))
    assert frame.enter.components["position"] == Column("<f4", 3, np.array([1, 2, 3], "<f4").tobytes())
    assert to_array(frame.enter.components["mass"]).tolist() == [4.0]
    assert len(frame.enter) == 1


def test_a_frame_that_does_not_follow_is_refused() -> None:
    before = taken(table_of({7: (1.0, 2.0, 3.0, 4.0)}, [7]), 1)
    stranger = Rows(np.array([8], "<i8").tobytes(), {"mass": Column("<f8", 1, bytes(8))})
    with pytest.raises(ValueError, match="not entered"):
        apply(before, Frame(2, 1, False, Rows(), stranger, b""))
