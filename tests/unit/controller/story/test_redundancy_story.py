"""The history of an area's redundancy: when it begins, why it is missing, and when it is back."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.model.status import Role, SimulatorPhase, SimulatorState
from pairsim_controller.cli.progress import ReadinessReporter
from pairsim_controller.plan.view import View
from pairsim_controller.story.area_story import AreaStory
from pairsim_controller.story.entry import EntryKind, plain_entry
from pairsim_controller.story.history import MAX_ENTRIES, History
from pairsim_controller.story.redundancy_tracker import (
    REPORT_AFTER_SECONDS,
    REPORT_FAILURE_AFTER_SECONDS,
    STARTUP_SECONDS,
    RedundancyTracker,
)
from tests.unit.controller.builders import assignment, dead, process, replica, view, witness

BEGAN, WALL = 100.0, 1_700_000_000.0
KINDS = {"redundant", "swapped", "lost", "restored"}
BEGUN = "redundant after 3.00 s: a (active) and b (passive), 7 entities"


def pair(active: str, passive: str, *, in_sync: bool = True, generation: int = 1, role: Role = Role.PASSIVE) -> View:
    recorded = assignment(active, passive, "witness", generation=generation)
    first = replica(active, recorded, Role.ACTIVE, term=generation, peer_in_sync=in_sync)
    second = replica(passive, recorded, role)
    members = (
        process(name, msgspec.structs.replace(s, entities=7)) for name, s in ((active, first), (passive, second))
    )
    return view(*members, process("witness", witness("witness", recorded)), recorded=(recorded,))


PAIR, BEHIND = pair("a", "b"), pair("a", "b", in_sync=False)
ALONE = view(
    *(p for name, p in BEHIND.processes.items() if name != "b"), dead("b"), recorded=(assignment("a", "b", "witness"),)
)
UNREACHABLE = "b cannot be reached"


class Told:
    """A story, asked at times that are relative to the start."""

    def __init__(self, redundancy: RedundancyTracker | None = None) -> None:
        self.story = AreaStory("west", began=BEGAN, redundancy=redundancy)

    def at(self, seconds: float, seen: View) -> list[str]:
        found = self.story.observe(seen, BEGAN + seconds, WALL).entries
        return [entry.sentence for entry in found if entry.kind in KINDS]


def begun() -> Told:
    story = Told()
    assert story.at(3, PAIR) == [BEGUN]
    return story


def test_the_start_is_reported_once_when_it_is_done() -> None:
    story = Told()
    assert story.at(0, ALONE) == story.at(60, ALONE) == []
    assert story.at(61, PAIR) == [BEGUN.replace("3.00", "61.00")]
    assert story.at(62, PAIR) == []


def test_a_replacement_within_a_second_is_one_sentence() -> None:
    story = begun()
    assert story.at(10, ALONE) == []
    assert story.at(10.5, pair("a", "c", in_sync=False, generation=2, role=Role.JOINING)) == []
    assert story.at(10.7, pair("a", "c", generation=2)) == [
        "redundant again after 0.70 s: a (active) and c (passive), 7 entities"
    ]


def test_a_short_gap_with_the_same_members_is_not_reported() -> None:
    story = begun()
    assert story.at(10, BEHIND) == story.at(10.9, PAIR) == []
    assert story.at(12, BEHIND) == [], "it began anew"


def test_a_longer_gap_is_reported_when_it_is_due_with_its_reason_and_its_end() -> None:
    story = begun()
    assert story.at(10, ALONE) == []
    assert story.story.due_at == BEGAN + 10 + REPORT_AFTER_SECONDS
    assert story.at(10 + REPORT_AFTER_SECONDS, ALONE) == [f"not redundant for 1 s: {UNREACHABLE}"]
    assert story.story.due_at is None
    assert story.at(30, BEHIND) == []
    assert story.at(40.5, PAIR) == ["redundant again after 30.50 s: a (active) and b (passive), 7 entities"]
    assert story.at(41, PAIR) == []


@pytest.mark.parametrize(
    "state",
    [
        SimulatorState("west", SimulatorPhase.PAUSED, 1.0, "the engine gave no answer for 2.0 s, in step at w.py:24"),
        SimulatorState("west", SimulatorPhase.RESTARTING, 1.0, "invalid syntax (walker.py, line 3)", start_failed=True),
    ],
)
def test_a_simulator_that_fails_is_reported_sooner(state: SimulatorState) -> None:
    """Three seconds after a step that hangs its author knows the line, and two of them are the limit of a call."""
    failing = view(
        *(
            msgspec.structs.replace(p, status=msgspec.structs.replace(p.replica, simulator=state)) if p.replica else p
            for p in BEHIND.processes.values()
        ),
        recorded=(assignment("a", "b", "witness"),),
    )
    story = begun()
    assert story.at(10, failing) == []
    assert story.story.due_at == BEGAN + 10 + REPORT_FAILURE_AFTER_SECONDS
    (sentence,) = story.at(10 + REPORT_FAILURE_AFTER_SECONDS, failing)
    assert sentence.startswith("not redundant for 0.5 s: ")
    assert state.about in sentence
    assert story.at(12, failing) == []


def test_nothing_is_due_of_an_area_that_is_not_wanted_any_more() -> None:
    """It is released, and not observed after that: a time that stays in the past would keep the world busy."""
    story, working = begun(), PAIR.processes.values()
    story.at(10, ALONE)
    assert story.story.due_at is not None
    story.at(10.1, view(*working, recorded=(assignment("a", "b", "witness"),), areas=()))
    assert story.story.due_at is None
    story.at(10.2, view(areas=()))
    assert story.story.due_at is None


def test_a_change_of_roles_without_a_gap_is_reported() -> None:
    assert begun().at(10, pair("b", "a", generation=2)) == ["redundant: b (active) and a (passive), 7 entities"]


def test_a_controller_that_continues_says_only_what_is_new() -> None:
    known = {"a": "active", "b": "passive"}
    assert Told(RedundancyTracker(known)).at(3, PAIR) == []
    assert Told(RedundancyTracker(known)).at(3, pair("a", "c", generation=2)) == [
        "redundant: a (active) and c (passive), 7 entities"
    ]
    story = Told(RedundancyTracker(known))
    assert story.at(3, ALONE) == story.at(5, ALONE) == [], "it may not have heard all processes yet"
    assert story.at(3 + STARTUP_SECONDS, ALONE) == [f"not redundant for 10 s: {UNREACHABLE}"]


def test_the_world_is_ready_when_every_area_has_been_redundant() -> None:
    history, ready = History(), []
    history.readers.append(ReadinessReporter(("west", "east"), lambda: ready.append(len(history.entries))).read)
    kinds: tuple[tuple[EntryKind, str], ...] = (
        ("world", ""), ("redundant", "west"), ("lost", "west"), ("redundant", "east"), ("redundant", "east"),
    )  # fmt: skip
    history.extend(plain_entry(kind, area, "a sentence", WALL) for kind, area in kinds)
    assert ready == [4]


def test_entries_are_numbered_and_bounded_and_all_readers_get_the_same() -> None:
    history = History(clock=lambda: 7.0)
    seen: list[list[int]] = [[], []]
    history.readers += [lambda entry: seen[0].append(entry.number), lambda entry: seen[1].append(entry.number)]
    for _ in range(MAX_ENTRIES + 9):
        history.note("ended", "", "sim-3 was ended by signal 9 (Killed)")
    assert [entry.number for entry in history.entries] == list(range(10, MAX_ENTRIES + 10))
    assert seen[0] == seen[1] == list(range(1, MAX_ENTRIES + 10))
    assert (history.entries[-1].at, history.entries[-1].line) == (7.0, "sim-3 was ended by signal 9 (Killed)")
    later = History(history.entries)
    later.note("world", "", "starting")
    assert later.entries[-1].number == MAX_ENTRIES + 10
