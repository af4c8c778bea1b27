"""The status of an `Area`, its events, its takeovers, and the objects that it owns."""

from __future__ import annotations

from typing import Any

import msgspec

from pairsim.model.crossings.border_status import BorderStatus
from pairsim.model.status import Role, SimulatorPhase, SimulatorState, Succession
from pairsim_controller.kube.api.objects import AreaBorders, AreaObject, AreaStatus, LastTakeover, body_of
from pairsim_controller.kube.owned_objects import is_subset, owned_objects
from pairsim_controller.kube.status.conditions import area_status, significant_status
from pairsim_controller.kube.status.status_events import AreaEvent, event_of, events_between
from pairsim_controller.kube.status.takeovers import last_takeover
from pairsim_controller.plan.view import Kind, Report, View
from pairsim_controller.story.active_tracker import ActiveTracker
from pairsim_controller.story.area_story import AreaStory
from pairsim_controller.story.membership import membership_entry
from tests.unit.controller.builders import (
    assignment,
    dead,
    pair,
    process,
    replica,
    silent,
    spare,
    view,
    without_joins,
    witness,
)

FIRST = assignment("sim-1", "sim-2", "witness-1")
NEXT = assignment("sim-2", "sim-3", "witness-1", generation=2, joins=("sim-3",))
ACTIVE, PASSIVE, WITNESS = pair(FIRST)
WHOLE = view(ACTIVE, PASSIVE, WITNESS, recorded=(FIRST,))
WALL = 1_700_000_000.0


def status(
    seen: View, before: AreaStatus | None = None, *, said: tuple[str, ...] = (), wall: float = WALL
) -> AreaStatus:
    return area_status(
        seen, before or AreaStatus(), warnings=[Report("west", s) for s in said], last=None, generation=3, wall=wall
    )


def verdicts(found: AreaStatus) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in found.conditions}


def test_the_status_of_a_redundant_pair() -> None:
    found = status(WHOLE)
    assert (found.active, found.passive, found.witness, found.term, found.tick, found.synced, found.generation) == (
        "sim-1", "sim-2", "witness-1", 1, 5, True, 1,
    )  # fmt: skip
    assert verdicts(found) == {
        "Ready": ("True", "Active"),
        "Redundant": ("True", "InSync"),
        "Degraded": ("False", "Whole"),
    }
    assert found.observed_generation == 3
    assert all(c.observed_generation == 3 for c in found.conditions)


def test_what_is_missing_is_named() -> None:
    seen = {
        "nobody": view(recorded=(FIRST,)),
        "cut": view(*(silent(n, 99) for n in ("sim-1", "sim-2", "witness-1")), recorded=(FIRST,)),
        "unfounded": view(spare("sim-1")),
        "no witness": view(ACTIVE, PASSIVE, silent("witness-1", 1), recorded=(FIRST,)),
        "alone": view(
            process("sim-1", replica("sim-1", FIRST, Role.ACTIVE)), dead("sim-2"), WITNESS, recorded=(FIRST,)
        ),
        "no active": view(dead("sim-1"), PASSIVE, WITNESS, recorded=(FIRST,)),
        "deleted": view(dead("sim-1"), PASSIVE, WITNESS, recorded=(FIRST,), areas=()),
    }
    found = {name: verdicts(status(look)) for name, look in seen.items()}
    assert {name: v["Ready"] for name, v in found.items()} == {
        "nobody": ("Unknown", "Unreachable"),
        "cut": ("Unknown", "Unreachable"),
        "unfounded": ("False", "NotFounded"),
        "no witness": ("True", "Active"),
        "alone": ("True", "Active"),
        "no active": ("False", "NoActive"),
        "deleted": ("False", "Releasing"),
    }
    assert found["no witness"]["Redundant"] == ("False", "NoWitness")
    assert found["alone"] == {
        "Ready": ("True", "Active"),
        "Redundant": ("False", "PassiveNotInSync"),
        "Degraded": ("True", "Repairing"),
    }


def test_during_a_transition_the_witness_in_force_must_be_reachable() -> None:
    """The active counts the vote of the old witness, which is replaced because it is lost."""
    following = assignment("sim-1", "sim-2", "witness-2", generation=2, joins=("witness-2",))
    for joined in (witness("witness-2"), witness("witness-2", following)):
        newcomer = process("witness-2", joined)
        assert verdicts(status(view(ACTIVE, PASSIVE, newcomer, recorded=(following,))))["Redundant"] == (
            "False", "NoWitness",
        )  # fmt: skip
        leaving = view(ACTIVE, PASSIVE, WITNESS, newcomer, recorded=(following,))
        assert verdicts(status(leaving))["Redundant"] == ("True", "InSync")


def test_warnings_and_a_pause_are_conditions() -> None:
    assert verdicts(status(WHOLE, said=("no spare", "no spare")))["Degraded"] == ("True", "Waiting")
    paused = msgspec.structs.replace(WHOLE, paused=True)
    assert verdicts(status(paused))["Degraded"] == ("False", "Paused")


def test_a_pool_without_pods_is_the_reason_of_an_area_that_waits_for_one() -> None:
    quota = "the Deployment pairsim-simulator cannot create pods: exceeded quota"
    waits = Report("west", f"no spare; {quota}", Kind.SIMULATOR, blocked=quota)
    alone = view(process("sim-1", replica("sim-1", FIRST, Role.ACTIVE)), dead("sim-2"), WITNESS, recorded=(FIRST,))
    for seen, expected in ((alone, ("False", "PoolBlocked")), (WHOLE, ("True", "InSync"))):
        found = area_status(seen, AreaStatus(), warnings=[waits], last=None, generation=3, wall=WALL)
        assert verdicts(found)["Redundant"] == expected
        assert verdicts(found)["Degraded"] == ("True", "Waiting")
        if seen is alone:
            assert [c.message for c in found.conditions if c.type == "Redundant"] == [
                f"sim-2 cannot be reached; {quota}"
            ]


def test_a_transition_has_its_time_and_ticks_are_not_significant() -> None:
    first = status(WHOLE)
    ticked = process("sim-1", replica("sim-1", FIRST, Role.ACTIVE, tick=99, peer_in_sync=True))
    later = status(view(ticked, PASSIVE, WITNESS, recorded=(FIRST,)), first, wall=WALL + 60)
    assert later.conditions == first.conditions
    assert later.tick == 99
    assert significant_status(later) == significant_status(first)
    lost = status(view(dead("sim-1"), PASSIVE, WITNESS, recorded=(FIRST,)), first, wall=WALL + 60)
    assert significant_status(lost) != significant_status(first)
    ready = lost.condition("Ready")
    assert ready is not None
    assert ready.last_transition_time == "2023-11-14T22:14:20.000Z"
    assert lost.tick == 5, "what is known is not taken back"


def test_what_crosses_borders_is_shown_and_never_a_reason_to_write() -> None:
    """It changes every second in every area: the API server would get a write for each."""

    def crossing(borders: BorderStatus) -> AreaStatus:
        moved = process("sim-1", msgspec.structs.replace(replica("sim-1", FIRST, Role.ACTIVE), borders=borders))
        return status(view(moved, PASSIVE, WITNESS, recorded=(FIRST,)))

    first, later = crossing(BorderStatus(born=9, in_per_second=2.5)), crossing(BorderStatus(born=12, waiting=3))
    assert first.borders == AreaBorders(born=9, in_per_second=2.5)
    assert significant_status(first) == significant_status(later)
    assert status(view(dead("sim-1"), PASSIVE, WITNESS, recorded=(FIRST,)), later).borders == later.borders
    body: Any = body_of(first)
    assert body["borders"]["inPerSecond"] == 2.5
    assert "borders" not in body_of(status(WHOLE))


def test_a_status_is_not_written_for_the_seconds_in_its_sentences() -> None:
    """Areas wait for their simulators all at once: a write a second for each would be too much for an API server."""

    def stuck(seconds: float, about: str) -> AreaStatus:
        state = SimulatorState("west", SimulatorPhase.STUCK, seconds, about)
        kept = process("sim-1", msgspec.structs.replace(replica("sim-1", FIRST, Role.ACTIVE), simulator=state))
        return status(view(kept, PASSIVE, WITNESS, recorded=(FIRST,)))

    first, later = stuck(4.2, "tick 812"), stuck(5.3, "tick 812")
    assert first.conditions != later.conditions
    assert significant_status(first) == significant_status(later)
    assert significant_status(first) != significant_status(stuck(5.3, "tick 813"))


def test_a_written_status_can_be_read() -> None:
    found = status(view(*pair(without_joins(NEXT)), recorded=(NEXT,)))
    body: Any = body_of(found)
    assert body["assignment"]["generation"] == 2
    assert "lastTakeover" not in body
    assert msgspec.json.decode(msgspec.json.encode(body), type=AreaStatus) == found
    away = LastTakeover(time="t", reason="Takeover", from_="sim-1", to="sim-2")
    body = body_of(msgspec.structs.replace(found, last_takeover=away, assignment=None))
    assert body["lastTakeover"] == {"time": "t", "reason": "Takeover", "ticksLost": 0, "from": "sim-1", "to": "sim-2"}
    assert "assignment" not in body


def takeover(*looks: tuple[float, View], before: AreaStatus | None = None) -> list[Any]:
    known = before or AreaStatus()
    story = AreaStory("west", actives=ActiveTracker(known.active, known.term, known.tick))
    changes = [story.observe(look, now, WALL).change for now, look in looks]
    return [found for change in changes if (found := last_takeover(change, WALL)) is not None]


NEW = process("sim-2", replica("sim-2", FIRST, Role.ACTIVE, term=2, tick=6))


def test_a_takeover_is_measured_from_the_first_sign_of_the_loss() -> None:
    (found,) = takeover(
        (10.0, WHOLE),
        (11.0, view(silent("sim-1", 0.1), PASSIVE, WITNESS, recorded=(FIRST,))),
        (11.2, view(dead("sim-1"), PASSIVE, WITNESS, recorded=(FIRST,))),
        (11.5, view(dead("sim-1"), NEW, WITNESS, recorded=(FIRST,))),
        (12.0, view(dead("sim-1"), NEW, WITNESS, recorded=(FIRST,))),
    )
    assert (found.time, found.reason, found.duration_ms, found.ticks_lost, found.from_, found.to) == (
        "2023-11-14T22:13:20.000Z", "Takeover", 500.0, 0, "sim-1", "sim-2",
    )  # fmt: skip


def test_the_new_active_says_whether_it_was_a_switchover() -> None:
    status = NEW.replica
    assert status is not None
    for why, reason in ((Succession.HANDED_OVER, "Switchover"), (Succession.CLOSED, "Takeover"), (None, "Takeover")):
        for old in (process("sim-1", replica("sim-1", FIRST, Role.PASSIVE, term=2)), dead("sim-1")):
            new = process("sim-2", msgspec.structs.replace(status, succession=why))
            (found,) = takeover((10.0, WHOLE), (10.0, view(old, new, WITNESS, recorded=(FIRST,))))
            assert found.reason == reason


def test_lost_ticks_are_counted() -> None:
    behind = process("sim-2", replica("sim-2", FIRST, Role.ACTIVE, term=2, tick=3))
    (found,) = takeover((10.0, WHOLE), (11.0, view(dead("sim-1"), behind, WITNESS, recorded=(FIRST,))))
    assert found.ticks_lost == 2


def test_a_change_while_the_controller_was_away_has_no_duration() -> None:
    (found,) = takeover((10.0, view(dead("sim-1"), NEW, WITNESS, recorded=(FIRST,))), before=status(WHOLE))
    assert (found.from_, found.to, found.duration_ms) == ("sim-1", "sim-2", None)


def test_another_term_of_the_same_active_is_not_a_takeover() -> None:
    again = process("sim-1", replica("sim-1", FIRST, Role.ACTIVE, term=4, peer_in_sync=True))
    stale = view(silent("sim-1", 1), NEW, WITNESS, recorded=(FIRST,))
    assert takeover((10.0, WHOLE), (11.0, view(again, PASSIVE, WITNESS, recorded=(FIRST,))), (12.0, stale)) == []


def test_a_returned_active_resets_the_measured_gap() -> None:
    lost = view(dead("sim-1"), PASSIVE, WITNESS, recorded=(FIRST,))
    taken = view(dead("sim-1"), NEW, WITNESS, recorded=(FIRST,))
    (found,) = takeover((10.0, WHOLE), (11.0, lost), (12.0, WHOLE), (20.0, lost), (20.5, taken))
    assert found.duration_ms == 500.0


def reasons(before: AreaStatus, after: AreaStatus) -> list[str]:
    return [event.reason for event in events_between(before, after)]


def test_what_lasts_becomes_an_event_when_it_changes() -> None:
    whole = status(WHOLE)
    assert reasons(AreaStatus(), whole) == reasons(whole, whole) == []
    waiting = status(WHOLE, said=("no spare",))
    assert reasons(whole, waiting) == ["Waiting"]
    assert reasons(waiting, waiting) == []
    assert reasons(waiting, status(WHOLE, waiting, said=("no witness",))) == ["Waiting"]


def test_what_happens_becomes_an_event_with_the_sentence_of_the_history() -> None:
    story = AreaStory("west")
    found = [*story.observe(WHOLE, 10.0, WALL).entries]
    lost, taken = (view(dead("sim-1"), p, WITNESS, recorded=(FIRST,)) for p in (PASSIVE, NEW))
    for now, look in ((11.0, lost), (14.0, lost), (14.5, taken)):
        found += story.observe(look, now, WALL).entries
    change = "sim-2 is active in place of sim-1 (the cause is unknown)"
    assert [(event.reason, event.note, event.warning) for e in found if (event := event_of(e)) is not None] == [
        ("Ready", "sim-1 is active, in term 1 at tick 5", False),
        ("Redundant", "redundant: sim-1 (active) and sim-2 (passive), 0 entities", False),
        ("NotReady", "no active for 3 s: sim-2 is passive, and no replica is active", True),
        ("NotRedundant", "not redundant for 3 s: sim-2 is passive, and no replica is active", True),
        ("Takeover", f"{change}, in term 2 at tick 6, after 3500.0 ms", True),
        ("Ready", "active again after 3.50 s without an active: sim-2", False),
    ]  # fmt: skip


def test_each_change_of_the_members_is_an_event() -> None:
    sealed = without_joins(NEXT)
    steps = (None, FIRST), (FIRST, FIRST), (FIRST, NEXT), (FIRST, sealed), (NEXT, FIRST), (NEXT, None), (None, NEXT)
    found = [(e.kind, e.sentence) for step in steps if (e := membership_entry("west", *step, WALL)) is not None]
    names = "sim-2 and sim-3, witness witness-1"
    assert found == [
        ("members", "founded with sim-1 and sim-2, witness witness-1"),
        ("replacing", f"generation 2: {names}"),
        ("adopted", f"generation 2 is in force: {names}"),
        ("adopted", "generation 1 is in force: sim-1 and sim-2, witness witness-1"),
        ("released", "no process holds it any more"),
        ("adopted", f"generation 2 is in force: {names}"),
    ]


def test_a_newcomer_that_gives_its_place_to_another_one_is_an_entry_with_the_reason() -> None:
    other = assignment("sim-2", "sim-4", "witness-1", generation=2, joins=("sim-4",))
    because = "sim-3 runs, but has made no progress for 61 s"
    entry = membership_entry("west", NEXT, other, WALL, because)
    assert entry is not None
    assert (entry.kind, entry.sentence) == (
        "replacing", f"generation 2: sim-2 and sim-4, witness witness-1 ({because})"
    )  # fmt: skip
    assert event_of(entry) == AreaEvent("Replacing", entry.sentence)


# --- Services and budget

AREA = msgspec.convert(
    {
        "metadata": {"name": "west", "uid": "u7"},
        "spec": {"plane": "physics", "bounds": {"min": [0, 0, 0], "max": [1, 1, 1]}},
    },
    AreaObject,
)


def test_an_area_owns_two_services_and_a_budget() -> None:
    made: Any = owned_objects(AREA)
    assert [(m["kind"], m["metadata"]["name"]) for m in made] == [
        ("Service", "west"),
        ("Service", "west-any"),
        ("PodDisruptionBudget", "west"),
    ]
    assert made[0]["spec"]["selector"] == {"pairsim.io/area": "west", "pairsim.io/role": "active"}
    assert made[1]["spec"]["selector"] == {"pairsim.io/area": "west"}
    assert made[2]["spec"]["minAvailable"] == 1
    assert all(m["metadata"]["ownerReferences"][0]["uid"] == "u7" for m in made)


def test_added_fields_do_not_matter_and_changed_fields_do() -> None:
    wanted: Any = owned_objects(AREA)[0]
    found: Any = msgspec.json.decode(msgspec.json.encode(wanted))
    found["spec"]["clusterIP"] = "10.0.0.7"
    found["spec"]["ports"][0]["nodePort"] = 7
    assert is_subset(wanted, found)
    found["spec"]["selector"]["pairsim.io/role"] = "passive"
    assert not is_subset(wanted, found)
    assert not is_subset(wanted, {**wanted, "spec": {**wanted["spec"], "ports": []}})
