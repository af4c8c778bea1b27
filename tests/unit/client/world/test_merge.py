"""A world observer sees each entity once, also those that cross, in whatever order the areas' frames come."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.client.observation import Continuity
from pairsim.client.world.merge import WorldFrame, WorldMerge
from pairsim.protocol.frames import Frame, Rows
from pairsim.protocol.interest import AreaSnapshot, apply, diff

NO_IDS = np.empty(0, "<i8")
HOLD_SECONDS = 5.0


def snapshot(tick: int, clock: int, values: dict[int, float], **left: list[int]) -> AreaSnapshot:
    """Returns what an area shows; `left` are departures, those under `gone` of entities that were removed."""
    gone = np.array(left.pop("gone", []), "<i8")
    moved = {area: np.array(ids, "<i8") for area, ids in left.items()}
    columns = {"value": np.array(list(values.values()), np.float64)}
    return AreaSnapshot(tick, 1, np.array(list(values), "<i8"), columns, clock, 0, moved, gone)


class World:
    """A world observer with its content."""

    def __init__(self) -> None:
        self.noted: dict[int, str] = {}
        self.merge = WorldMerge(HOLD_SECONDS, self.noted.__setitem__)
        self.content: AreaSnapshot | None = None
        self._seen: dict[str, AreaSnapshot] = {}
        self._tick = 0

    def show(self, area: str, clock: int, values: dict[int, float], now: float = 0.0, **left: list[int]) -> WorldFrame:
        """Lets an area show its next tick, and returns the change of the world."""
        self._tick += 1
        after = snapshot(self._tick, clock, values, **left)
        frame = diff(self._seen.get(area), after)
        self._seen[area] = after
        return self.take(self.merge.take(area, frame, after, now))

    def take(self, change: WorldFrame) -> WorldFrame:
        self.content = apply(self.content, change)
        assert len(set(self.content.ids.tolist())) == len(self.content.ids), "an entity is there twice"
        return change

    @property
    def values(self) -> dict[int, float]:
        assert self.content is not None
        return dict(zip(self.content.ids.tolist(), self.content.columns["value"].tolist(), strict=True))


def ids(data: bytes) -> list[int]:
    return sorted(np.frombuffer(data, "<i8").tolist())


def two_areas() -> World:
    world = World()
    world.show("north", 10, {1: 1.0, 2: 2.0})
    world.show("south", 4, {3: 3.0})
    assert world.values == {1: 1.0, 2: 2.0, 3: 3.0}
    return world


def test_who_crosses_stays_until_the_other_area_shows_it() -> None:
    world = two_areas()
    change = world.show("north", 11, {2: 2.5}, south=[1])
    assert (change.leave, ids(change.update.ids)) == (b"", [2])
    assert world.values == {1: 1.0, 2: 2.5, 3: 3.0}
    change = world.show("south", 12, {3: 3.0, 1: 1.5})
    assert (ids(change.enter.ids), ids(change.update.ids), change.leave) == ([], [1], b"")
    assert (world.values[1], world.noted[1]) == (1.5, "south")


def test_who_is_shown_by_both_is_where_the_clock_is_higher() -> None:
    world = two_areas()
    change = world.show("south", 12, {3: 3.0, 1: 1.5})
    assert (ids(change.update.ids), world.values[1]) == ([1], 1.5)
    change = world.show("north", 11, {1: 9.0, 2: 2.5})
    assert (ids(change.update.ids), world.values[1]) == ([2], 1.5), "north has not shown yet that it left"
    world.show("south", 13, {3: 3.0, 1: 1.6})
    change = world.show("north", 13, {2: 2.5}, south=[1])
    assert (change.leave, world.values[1]) == (b"", 1.6)


def test_who_came_back_at_once_is_where_it_came_back() -> None:
    world = two_areas()
    world.show("south", 12, {3: 3.0, 1: 1.5})
    change = world.show("south", 20, {3: 3.0}, north=[1])
    assert (change.leave, world.values[1]) == (b"", 1.5)
    change = world.show("north", 22, {1: 1.7, 2: 2.0})
    assert (ids(change.enter.ids), world.values[1], world.noted[1]) == ([], 1.7, "north")


def test_an_area_that_knows_better_takes_over_when_the_other_one_ends() -> None:
    """North lagged when it showed the entity again; it had come back by then."""
    world = two_areas()
    world.show("south", 30, {3: 3.0, 1: 1.5})
    world.show("north", 25, {1: 1.1, 2: 2.0})
    assert world.values[1] == 1.5
    change = world.show("north", 40, {1: 1.8, 2: 2.0})
    assert (ids(change.update.ids), world.values[1]) == ([1], 1.8)
    change = world.show("south", 41, {3: 3.0}, north=[1])
    assert (change.leave, world.values[1]) == (b"", 1.8)


def test_who_is_removed_or_leaves_the_box_leaves_the_world_and_does_not_come_back_from_a_replica_that_lags() -> None:
    world = two_areas()
    world.show("south", 20, {3: 3.0, 1: 1.5, 4: 4.0})
    change = world.show("south", 21, {4: 4.0}, gone=[1])
    assert (ids(change.leave), ids(change.gone)) == ([1, 3], [1])
    world.show("north", 15, {1: 1.1, 2: 2.0, 3: 3.3})
    assert world.values == {2: 2.0, 4: 4.0}
    world.show("north", 16, {2: 2.0}, south=[1, 3])
    assert world.values == {2: 2.0, 4: 4.0}
    world.show("north", 22, {2: 2.0, 3: 3.4})
    assert world.values == {2: 2.0, 4: 4.0, 3: 3.4}, "it really came to north later"


def test_who_goes_to_an_area_outside_of_the_box_leaves_at_once() -> None:
    world = two_areas()
    world.merge = WorldMerge(HOLD_SECONDS, in_sight=lambda area: area != "east")
    both = snapshot(5, 20, {1: 1.0, 2: 2.0})
    world.merge.take("north", diff(None, both), both, 0.0)
    change = world.show("north", 21, {}, east=[1], south=[2])
    assert (ids(change.leave), ids(change.gone), ids(change.unseen)) == ([1], [], [])


def test_who_is_not_shown_in_time_leaves_as_unseen() -> None:
    world = two_areas()
    world.show("north", 11, {2: 2.0}, now=100.0, south=[1])
    assert world.merge.wait(100.0 + HOLD_SECONDS - 0.1) is None
    change = world.merge.wait(100.0 + HOLD_SECONDS)
    assert change is not None
    world.take(change)
    assert (ids(change.leave), ids(change.unseen), world.values) == ([1], [1], {2: 2.0, 3: 3.0})
    change = world.show("south", 12, {3: 3.0, 1: 1.5}, now=110.0)
    assert (ids(change.enter.ids), world.values[1]) == ([1], 1.5)


def test_who_is_shown_in_the_last_moment_does_not_leave() -> None:
    world = two_areas()
    world.show("north", 11, {2: 2.0}, now=100.0, south=[1])
    change = world.show("south", 12, {3: 3.0, 1: 1.5}, now=100.0 + HOLD_SECONDS)
    assert (change.leave, ids(change.enter.ids), ids(change.update.ids)) == (b"", [], [1])


def test_the_entities_of_an_area_that_goes_are_waited_for() -> None:
    world = two_areas()
    world.merge.drop("north", 100.0)
    world.merge.drop("east", 100.0)
    change = world.show("south", 12, {3: 3.0, 1: 1.5}, now=101.0)
    assert (ids(change.update.ids), world.values[1]) == ([1], 1.5)
    change = world.show("south", 13, {3: 3.0, 1: 1.5}, now=100.0 + HOLD_SECONDS)
    assert ids(change.unseen) == [2]


def test_the_keyframe_has_each_entity_once() -> None:
    world = two_areas()
    world.show("south", 12, {3: 3.0, 1: 1.5})
    world.show("north", 13, {1: 1.0}, south=[2])
    content = apply(None, world.merge.keyframe(Frame(9, 1, True, Rows(), Rows(), b"", 7)))
    assert dict(zip(content.ids.tolist(), content.columns["value"].tolist(), strict=True)) == {1: 1.0, 3: 3.0}
    world.content = content
    change = world.show("south", 14, {3: 3.0, 2: 2.2})
    assert (ids(change.enter.ids), ids(change.leave)) == ([2], []), "it was on its way when the observation began"


class Storm:
    """Entities cross between three areas whose frames reach the observer late, over connections that break."""

    NAMES = ("a", "b", "c")

    def __init__(self, where: dict[int, str]) -> None:
        self.where, self.moves = where, dict.fromkeys(where, 0)
        self.clocks = {"a": 1, "b": 50, "c": 1000}
        self.ticks: dict[str, list[AreaSnapshot]] = {name: [] for name in self.NAMES}
        self.left: dict[str, dict[int, str]] = {name: {} for name in self.NAMES}
        self.world, self.sent = World(), dict.fromkeys(self.NAMES, 0)
        self.continuities = {name: Continuity() for name in self.NAMES}
        self.bases: dict[str, AreaSnapshot | None] = dict.fromkeys(self.NAMES)
        for name in self.NAMES:
            self.tick(name)
            self.deliver(name, 1)

    def tick(self, name: str) -> None:
        self.clocks[name] += 1
        values = {entity: float(self.moves[entity]) for entity, area in self.where.items() if area == name}
        left: dict[str, list[int]] = {}
        for entity, area in self.left[name].items():
            left.setdefault(area, []).append(entity)
        self.ticks[name].append(snapshot(len(self.ticks[name]) + 1, self.clocks[name], values, **left))

    def cross(self, entity: int, target: str) -> None:
        source = self.where[entity]
        if source == target:
            return
        self.where[entity], self.left[source][entity] = "", target
        self.tick(source)
        self.clocks[target] = max(self.clocks[target], self.clocks[source])
        self.where[entity], self.moves[entity] = target, self.moves[entity] + 1
        self.left[target].pop(entity, None)
        self.tick(target)

    def deliver(self, name: str, ticks: int, *, anew: bool = False) -> None:
        """Brings the observer the difference of so many ticks, over the same connection or over another one."""
        ticks = min(ticks, len(self.ticks[name]) - self.sent[name])
        if not ticks:
            return
        self.sent[name] += ticks
        after = self.ticks[name][self.sent[name] - 1]
        if anew:
            self.continuities[name].reconnected()
            self.bases[name] = None
        frame = self.continuities[name].accept(diff(self.bases[name], after, after_gap=True))
        self.bases[name], content = after, self.continuities[name].content
        assert frame is not None
        assert content is not None
        change = self.world.merge.take(name, frame, content, 0.0)
        if all(self.sent.values()):
            begun = self.world.content is not None
            self.world.take(change if begun else self.world.merge.keyframe(frame))
            assert self.world.values.keys() == self.where.keys(), "an entity is missing"

    def end(self) -> None:
        """Lets every frame arrive."""
        for name in self.NAMES:
            self.clocks[name] = max(self.clocks.values())
            self.tick(name)
            self.deliver(name, len(self.ticks[name]))


@settings(deadline=None, max_examples=400)
@given(data=st.data())
def test_no_order_of_frames_doubles_or_hides_an_entity(data: st.DataObject) -> None:
    names = st.sampled_from(Storm.NAMES)
    storm = Storm({entity: data.draw(names) for entity in range(4)})
    for _ in range(data.draw(st.integers(1, 25))):
        act, name = (
            data.draw(st.sampled_from(["cross", "cross", "tick", "deliver", "deliver", "anew"])),
            data.draw(names),
        )
        if act == "cross":
            storm.cross(data.draw(st.integers(0, 3)), name)
        elif act == "tick":
            storm.tick(name)
        else:
            storm.deliver(name, data.draw(st.integers(1, 5)), anew=act == "anew")
    storm.end()
    assert storm.world.values == {entity: float(count) for entity, count in storm.moves.items()}
    assert {entity: storm.world.noted[entity] for entity in storm.where} == storm.where


def test_who_moves_to_an_area_that_shows_nothing_stays_until_it_does() -> None:
    """The area is paused, say: its entities and those on their way to it are as they were seen last."""
    world = two_areas()
    world.show("north", 11, {2: 2.0}, now=100.0, south=[1])
    assert world.merge.wait(100.0 + 5 * HOLD_SECONDS, silent=("south",)) is None
    assert world.values == {1: 1.0, 2: 2.0, 3: 3.0}
    assert world.merge.wait(100.0 + 5.5 * HOLD_SECONDS) is None, "it has some time to show them"
    change = world.show("south", 12, {3: 3.0, 1: 1.5}, now=100.0 + 5.9 * HOLD_SECONDS)
    assert (ids(change.update.ids), change.leave, world.values[1]) == ([1], b"", 1.5)
