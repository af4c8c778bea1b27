"""The history of an area's active: who followed whom and why, and the times without an active."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.model.status import Role, Succession
from pairsim_controller.plan.view import View
from pairsim_controller.story.active_tracker import STANDSTILL_SECONDS, ActiveTracker
from pairsim_controller.story.area_story import AreaStory
from pairsim_controller.story.entry import HistoryEntry
from pairsim_controller.story.redundancy_tracker import STARTUP_SECONDS
from tests.unit.controller.builders import assignment, dead, pair, process, replica, silent, view

WALL = 1_700_000_000.0
FIRST = assignment("sim-1", "sim-2", "witness-1")
ACTIVE, PASSIVE, WITNESS = pair(FIRST)
KINDS = {"founded", "takeover", "switchover", "renewed", "standstill", "resumed"}


def area(
    active: str, term: int = 1, *, why: Succession | None = None, tick: int = 5, other: Role | None = None
) -> View:
    """A view with one replica as the active, and the other one dead or in a role."""
    names = ["sim-1", "sim-2"]
    first = replica(active, FIRST, Role.ACTIVE, term=term, tick=tick, peer_in_sync=other is Role.PASSIVE)
    name = next(n for n in names if n != active)
    second = dead(name) if other is None else process(name, replica(name, FIRST, other, term=term))
    return view(process(active, msgspec.structs.replace(first, succession=why)), second, WITNESS, recorded=(FIRST,))


NOBODY = view(dead("sim-1"), PASSIVE, WITNESS, recorded=(FIRST,))


def entries(*looks: tuple[float, View], tracker: ActiveTracker | None = None) -> list[HistoryEntry]:
    """Returns the entries about actives after an area was seen at these times in these states."""
    story = AreaStory("west", actives=tracker)
    found = [entry for now, look in looks for entry in story.observe(look, now, WALL + now).entries]
    return [entry for entry in found if entry.kind in KINDS]


def sentences(*looks: tuple[float, View]) -> list[str]:
    return [entry.sentence for entry in entries(*looks)]


def test_the_first_active_is_an_entry_with_its_time() -> None:
    (found,) = entries((1.0, area("sim-1")), (2.0, area("sim-1")))
    assert (found.kind, found.replica, found.term, found.tick, found.at) == ("founded", "sim-1", 1, 5, WALL + 1.0)
    assert found.line == "west: sim-1 is active, in term 1 at tick 5"


@pytest.mark.parametrize("other", [Role.PASSIVE, Role.JOINING, None])
@pytest.mark.parametrize(
    ("why", "kind", "text"),
    [
        (Succession.HANDED_OVER, "switchover", "it handed over"),
        (Succession.CLOSED, "takeover", "its connection closed"),
        (Succession.SILENT, "takeover", "nothing was heard of it"),
        (None, "takeover", "the cause is unknown"),
    ],
)
def test_only_a_handover_is_called_one_whatever_the_old_active_is_now(
    other: Role | None, why: Succession | None, kind: str, text: str
) -> None:
    """A replica that hung is a passive when it wakes, and a pod that handed over may be gone."""
    (_, found) = entries((1.0, area("sim-1")), (2.0, area("sim-2", 2, why=why, tick=6, other=other)))
    assert (found.kind, found.before, found.replica, found.about) == (kind, "sim-1", "sim-2", text)
    assert found.sentence == f"sim-2 is active in place of sim-1 ({text}), in term 2 at tick 6"


def test_a_new_term_of_the_same_active_has_a_cause() -> None:
    later = assignment("sim-1", "sim-3", "witness-1", generation=2)
    again = view(*pair(later), recorded=(later,))
    status = again.processes["sim-1"].replica
    assert status is not None
    renewed = process("sim-1", msgspec.structs.replace(status, term=2))
    looks = (1.0, area("sim-1")), (2.0, view(renewed, recorded=(later,))), (3.0, area("sim-1", 3))
    assert sentences(*looks)[1:] == [
        "sim-1 stays active, in term 2 at tick 5: generation 2 has begun",
        "sim-1 stays active, in term 3 at tick 5: it was elected again; the cause is unknown",
    ]


def test_a_missing_or_outdated_active_is_no_change() -> None:
    looks = (1.0, area("sim-1", 3)), (1.1, NOBODY), (1.2, area("sim-2", 2)), (1.3, area("sim-1", 3))
    assert [entry.kind for entry in entries(*looks)] == ["founded"]
    same_term = (1.0, area("sim-1")), (1.1, area("sim-2"))
    assert [entry.kind for entry in entries(*same_term)] == ["founded"]


def test_a_long_time_without_an_active_is_an_entry_and_ends_with_its_duration() -> None:
    story = AreaStory("west")
    found = story.observe(area("sim-1"), 10.0, WALL).entries
    assert story.due_at is None
    found += story.observe(NOBODY, 11.0, WALL).entries
    while (due_at := story.due_at) is not None:
        found += story.observe(NOBODY, due_at, WALL).entries
    taken = area("sim-2", 2, why=Succession.SILENT, tick=6)
    found += story.observe(taken, 23.25, WALL).entries
    story.observe(taken, 24.0, WALL)
    assert [entry.sentence for entry in found if entry.kind in KINDS] == [
        "sim-1 is active, in term 1 at tick 5",
        "no active for 2 s: sim-2 is passive, and no replica is active",
        "sim-2 is active in place of sim-1 (nothing was heard of it), in term 2 at tick 6",
        "active again after 12.25 s without an active: sim-2",
    ]
    assert [entry.seconds for entry in found if entry.kind in {"standstill", "resumed"}] == [2.0, 12.25]


def test_the_silence_of_a_hung_active_is_a_part_of_the_time_without_one() -> None:
    """A status every second: an active that was silent for 4 s has been missing for at least 3 s."""
    hung = view(silent("sim-1", 4.0), PASSIVE, WITNESS, recorded=(FIRST,))
    assert sentences((10.0, area("sim-1")), (14.0, hung))[1:] == [
        "no active for 3 s: sim-2 is passive, and no replica is active"
    ]


def test_a_short_time_without_an_active_is_no_entry() -> None:
    looks = (10.0, area("sim-1")), (11.0, NOBODY), (11.0 + STANDSTILL_SECONDS - 0.1, NOBODY), (13.5, area("sim-1"))
    assert [entry.kind for entry in entries(*looks)] == ["founded"]


def test_the_same_active_may_return() -> None:
    looks = (10.0, area("sim-1")), (11.0, NOBODY), (14.0, NOBODY), (15.0, area("sim-1")), (30.0, NOBODY)
    assert [entry.kind for entry in entries(*looks)] == ["founded", "standstill", "resumed"]


def test_an_area_that_has_not_begun_or_is_released_does_not_stand_still() -> None:
    assert entries((10.0, NOBODY), (99.0, NOBODY)) == []
    released = view(dead("sim-1"), PASSIVE, WITNESS, recorded=(FIRST,), areas=())
    assert [entry.kind for entry in entries((10.0, area("sim-1")), (11.0, released), (99.0, released))] == ["founded"]


def test_a_controller_that_continues_waits_for_the_active_that_it_knows() -> None:
    def told(*looks: tuple[float, View]) -> list[tuple[str, str, float]]:
        found = entries(*looks, tracker=ActiveTracker("sim-1", 1, 5))
        return [(entry.kind, entry.before, entry.seconds) for entry in found]

    assert told((10.0, NOBODY), (13.0, area("sim-1"))) == []
    assert told((10.0, NOBODY), (10.0 + STARTUP_SECONDS, NOBODY)) == [("standstill", "", STARTUP_SECONDS)]
    assert told((10.0, area("sim-2", 2, why=Succession.CLOSED))) == [("takeover", "sim-1", 0.0)]


def test_each_divergence_names_the_replica_that_differs() -> None:
    def diverged(count: int, role: Role, pid: int = 1) -> View:
        other = Role.PASSIVE if role is Role.ACTIVE else Role.ACTIVE
        odd = msgspec.structs.replace(replica("sim-1", FIRST, role), divergences=count, pid=pid)
        return view(process("sim-1", odd), process("sim-2", replica("sim-2", FIRST, other)), WITNESS, recorded=(FIRST,))

    story = AreaStory("west", log_of=lambda name: f"/data/{name}/log")
    looks = [diverged(n, role) for n, role in ((0, Role.PASSIVE), (1, Role.PASSIVE), (1, Role.PASSIVE))]
    looks += [diverged(2, Role.ACTIVE), diverged(0, Role.PASSIVE, pid=2), diverged(1, Role.PASSIVE, pid=2)]
    found = [e for look in looks for e in story.observe(look, 1.0, WALL).entries if e.kind == "diverged"]
    end = ": its simulator's step is not deterministic (log: /data/sim-1/log)"
    passive = f"sim-1 came to another state than the active sim-2{end}"
    assert [entry.sentence for entry in found] == [
        passive, f"sim-1, the active now, had computed another state than the active before it{end}", passive,
    ]  # fmt: skip
    assert {entry.replica for entry in found} == {"sim-1"}


def test_an_order_about_an_engine_is_told_once() -> None:
    def ordered(revision: int, order: str, other: int = 0) -> View:
        one = msgspec.structs.replace(replica("sim-1", FIRST, Role.ACTIVE), revision=revision, order=order)
        two = msgspec.structs.replace(replica("sim-2", FIRST, Role.PASSIVE), revision=other)
        return view(process("sim-1", one), process("sim-2", two), WITNESS, recorded=(FIRST,))

    story = AreaStory("west")
    looks = [ordered(1, "an order from before"), ordered(2, "a is left out"), ordered(2, "a is left out", 2)]
    looks += [ordered(3, ""), ordered(2, "a is left out", 3), ordered(4, "b is left out")]
    found = [e for look in looks for e in story.observe(look, 1.0, WALL).entries if e.kind == "ordered"]
    assert [(entry.replica, entry.sentence) for entry in found] == [
        ("sim-1", "a is left out"), ("sim-1", "b is left out"),
    ]  # fmt: skip
