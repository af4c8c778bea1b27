"""What `decide` reports of members that the code of a simulator keeps from their work."""

from __future__ import annotations

import msgspec

from pairsim.model.status import Role, SimulatorPhase, SimulatorState
from pairsim_controller.plan.area import decide
from pairsim_controller.plan.view import ObservedProcess, Report, View
from tests.unit.controller.builders import assignment, dead, pair, process, replica, spare, view, witness

FIRST = assignment("sim-1", "sim-2", "witness-1")
NEXT = assignment("sim-1", "sim-3", "witness-1", generation=2, joins=("sim-3",))
WITNESS = pair(FIRST)[2]
EMPTY_WITNESS = process("witness-1", witness("witness-1"))


def kept(name: str, phase: SimulatorPhase, *, area: str = "west") -> ObservedProcess:
    status = msgspec.structs.replace(replica(name), simulator=SimulatorState(area, phase, 12.3, "tick 812"))
    return process(name, status)


def reports(seen: View) -> list[tuple[str, str]]:
    return [(action.reason, action.message) for action in decide(seen) if isinstance(action, Report)]


def test_first_members_that_compile_are_reported() -> None:
    compiling = kept("sim-1", SimulatorPhase.COMPILING), kept("sim-2", SimulatorPhase.COMPILING, area="east")
    assert reports(view(*compiling, EMPTY_WITNESS, recorded=(FIRST,))) == [
        ("Compiling", "sim-1 has been compiling for 12 s")
    ]


def test_a_newcomer_that_compiles_is_reported() -> None:
    seen = view(*pair(FIRST), kept("sim-3", SimulatorPhase.COMPILING), recorded=(NEXT,))
    assert ("Compiling", "sim-3 has been compiling for 12 s") in reports(seen)


def test_a_refusal_is_reported_by_the_request_that_failed() -> None:
    assert reports(view(kept("sim-1", SimulatorPhase.REFUSED), spare("sim-2"), EMPTY_WITNESS, recorded=(FIRST,))) == []


def test_the_reason_of_a_condition_is_one_word() -> None:
    state = SimulatorState("west", SimulatorPhase.OTHER_CODE, 0.0)
    passive = msgspec.structs.replace(replica("sim-2", FIRST, Role.PASSIVE), simulator=state)
    seen = view(pair(FIRST)[0], process("sim-2", passive), WITNESS, recorded=(FIRST,))
    assert [reason for reason, _message in reports(seen)] == ["OtherCode"]


def test_a_passive_that_is_stuck_in_its_replay_is_reported() -> None:
    stuck = msgspec.structs.replace(
        replica("sim-2", FIRST, Role.PASSIVE), simulator=SimulatorState("west", SimulatorPhase.STUCK, 4.0, "tick 812")
    )
    seen = view(dead("sim-1"), process("sim-2", stuck), WITNESS, recorded=(FIRST,))
    assert ("Stuck", "sim-2 has been stuck for 4 s in tick 812") in reports(seen)
