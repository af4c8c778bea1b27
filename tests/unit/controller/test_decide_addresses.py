"""The actions of `decide` for members that answer at other addresses than the ones that their peers know."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.model.status import Role, WitnessStatus
from pairsim_controller.plan.area import decide
from pairsim_controller.plan.view import (
    Action,
    AdoptReported,
    Assign,
    DropRecord,
    ObservedProcess,
    Release,
    ResendAssignment,
    View,
)
from tests.unit.controller.builders import assignment, pair, process, replica, silent, view, witness

FIRST = assignment("sim-1", "sim-2", "witness-1")
ACTIVE, PASSIVE, WITNESS = pair(FIRST)
OLD = ("sim-1:1", "sim-2:1", "witness-1:1")


def actions(seen: View) -> list[Action]:
    return list(decide(seen))


def addressed(seen: ObservedProcess, *peers: str, at: str = "") -> ObservedProcess:
    """Returns a process that knows its fellow members by these addresses, and answers at `at`."""
    status = seen.status
    if isinstance(status, WitnessStatus):
        groups = tuple(msgspec.structs.replace(group, addresses=peers) for group in status.areas)
        status = msgspec.structs.replace(status, areas=groups)
    elif status is not None:
        status = msgspec.structs.replace(status, addresses=peers)
    return msgspec.structs.replace(seen, status=status, peer=f"{at}:1" if at else seen.peer)


def test_members_that_answer_at_their_addresses_are_left_alone() -> None:
    seen = view(*(addressed(p, *OLD) for p in pair(FIRST)), recorded=(FIRST,))
    assert actions(seen) == []


@pytest.mark.parametrize("role", [Role.PASSIVE, Role.JOINING])
def test_members_that_came_back_at_other_addresses_are_made_known_to_all(role: Role) -> None:
    """Two of three have moved, so none of them reaches a majority; a report of a joining replica proves nothing."""
    second = assignment("sim-1", "sim-2", "witness-1", generation=2)
    seen = view(
        addressed(process("sim-1", replica("sim-1", second, role)), *OLD, at="new-1"),
        addressed(process("sim-2", replica("sim-2", second, role)), *OLD, at="new-2"),
        addressed(process("witness-1", witness("witness-1", second, term=0)), *OLD),
        recorded=(second,),
    )
    found = actions(seen)
    told = [a for a in found if isinstance(a, ResendAssignment)]
    assert [a.targets for a in told] == [("sim-1",), ("sim-2",), ("witness-1",)]
    for action in told:
        assert [m.peer for m in action.assignment.members()] == ["new-1:1", "new-2:1", "witness-1:1"]
        assert action.assignment.has_members_of(second)
    adopted = [a.assignment for a in found if isinstance(a, AdoptReported)]
    assert [[m.peer for m in a.members()] for a in adopted] == [["new-1:1", "new-2:1", "witness-1:1"]]
    assert not [a for a in found if isinstance(a, Assign | Release | DropRecord)]


def test_a_member_keeps_its_address_while_it_cannot_be_reached() -> None:
    moved = addressed(process("sim-2", replica("sim-2", FIRST, Role.JOINING)), *OLD, at="new-2")
    away = msgspec.structs.replace(silent("witness-1", 1.0), peer="elsewhere:1")
    found = actions(view(addressed(ACTIVE, *OLD), moved, away, recorded=(FIRST,)))
    told = [a.assignment for a in found if isinstance(a, ResendAssignment)]
    assert [[m.peer for m in a.members()] for a in told] == [["sim-1:1", "new-2:1", "witness-1:1"]] * 2


def test_an_address_that_passed_to_another_member_has_one_owner() -> None:
    """The address of a replica that is away belongs to the other one now."""
    moved = addressed(process("sim-2", replica("sim-2", FIRST, Role.JOINING)), *OLD, at="sim-1")
    found = actions(view(silent("sim-1", 1.0), moved, addressed(WITNESS, *OLD), recorded=(FIRST,)))
    told = [a.assignment for a in found if isinstance(a, ResendAssignment)]
    assert [m.peer for m in told[0].members()] == ["sim-1.invalid:1", "sim-1:1", "witness-1:1"]


def test_an_older_release_that_reports_no_addresses_is_left_alone() -> None:
    moved = msgspec.structs.replace(PASSIVE, peer="new-2:1")
    found = actions(view(ACTIVE, moved, WITNESS, recorded=(FIRST,)))
    assert [type(a) for a in found] == [AdoptReported]
