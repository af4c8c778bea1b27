"""Whether an area would survive a loss."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.model.status import ReplicaStatus, Role, SimulatorPhase, SimulatorState, WitnessStatus
from pairsim_controller.plan.redundancy import RedundancyGap, active_of, redundancy_gap
from pairsim_controller.plan.slow_time import slow_message
from tests.unit.controller.builders import assignment, replica, witness

PAIR = assignment("sim-1", "sim-2", "witness-1")
NEXT = assignment("sim-1", "sim-3", "witness-2", generation=2)
ACTIVE = replica("sim-1", PAIR, Role.ACTIVE, peer_in_sync=True)
PASSIVE = replica("sim-2", PAIR, Role.PASSIVE)
WITNESS = witness("witness-1", PAIR)
ALONE = msgspec.structs.replace(ACTIVE, peer_in_sync=False)
MUTE = msgspec.structs.replace(WITNESS, areas=(msgspec.structs.replace(WITNESS.areas[0], votes=False),))

ELSEWHERE = replica("sim-1", assignment("sim-1", "x", "y", area="east"), Role.ACTIVE)

Status = ReplicaStatus | WitnessStatus


STUCK = SimulatorState("west", SimulatorPhase.STUCK, 4.2, "tick 812, with command 9f (push of entity 7)")


def simulating(state: SimulatorState, status: ReplicaStatus) -> ReplicaStatus:
    return msgspec.structs.replace(status, simulator=state)


def of(*statuses: Status) -> RedundancyGap | None:
    return redundancy_gap("west", {s.replica: s for s in statuses})


def test_a_pair_in_sync_with_its_witness_is_redundant() -> None:
    assert of(ACTIVE, PASSIVE, WITNESS) is None
    assert of(WITNESS, PASSIVE, ACTIVE) is None


def test_the_active_vouches_for_its_passive() -> None:
    assert of(ACTIVE, WITNESS) is None


def test_a_pending_generation_does_not_affect_the_one_in_force() -> None:
    newcomers = replica("sim-3", NEXT, Role.JOINING), witness("witness-2", NEXT)
    assert of(ACTIVE, PASSIVE, WITNESS, *newcomers) is None
    assert of(ACTIVE, PASSIVE, *newcomers) == RedundancyGap("NoWitness", "witness-1, its witness, cannot be reached")


@pytest.mark.parametrize(
    ("statuses", "reason", "sentence"),
    [
        ([WITNESS], "NoActive", "no replica can be reached"),
        ([PASSIVE, WITNESS], "NoActive", "sim-2 is passive, and no replica is active"),
        ([ELSEWHERE, WITNESS], "NoActive", "no replica can be reached"),
        ([ALONE, WITNESS], "PassiveNotInSync", "sim-2 cannot be reached"),
        ([ALONE, replica("sim-2"), WITNESS], "PassiveNotInSync", "sim-2 has not joined yet"),
        ([ALONE, replica("sim-2", PAIR, Role.JOINING), WITNESS], "PassiveNotInSync", "sim-2 is joining"),
        ([ALONE, PASSIVE, WITNESS], "PassiveNotInSync", "sim-2 is not in sync"),
        ([ACTIVE, PASSIVE], "NoWitness", "witness-1, its witness, cannot be reached"),
        ([ACTIVE, PASSIVE, replica("witness-1")], "NoWitness", "witness-1, its witness, cannot be reached"),
        ([ALONE, PASSIVE], "NoWitness", "witness-1, its witness, cannot be reached"),
        ([ACTIVE, PASSIVE, witness("witness-1")], "NoWitness", "witness-1, its witness, has not joined yet"),
        ([ACTIVE, PASSIVE, witness("witness-1", NEXT)], "NoWitness", "witness-1, its witness, has not joined yet"),
        (
            [ACTIVE, PASSIVE, witness("witness-1", assignment("x", "y", "z", area="east"))],
            "NoWitness", "witness-1, its witness, has not joined yet",
        ),
        ([ACTIVE, PASSIVE, MUTE], "NoWitness", "witness-1, its witness, is new and does not vote yet"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(statuses: list[Status], reason: str, sentence: str) -> None:
    assert of(*statuses) == RedundancyGap(reason, sentence)


def test_a_replica_that_says_why_it_cannot_join_is_quoted() -> None:
    joining = msgspec.structs.replace(PASSIVE, role=Role.JOINING, problem="its columns are others")
    assert of(ALONE, joining, WITNESS) == RedundancyGap("PassiveNotInSync", "sim-2 is joining (its columns are others)")
    fine = replica("sim-1", PAIR, Role.JOINING)
    sentence = "sim-2 is joining (its columns are others), and no replica is active"
    assert of(fine, joining, WITNESS) == RedundancyGap("NoActive", sentence)


def test_the_active_with_the_higher_term_counts() -> None:
    newer = msgspec.structs.replace(PASSIVE, role=Role.ACTIVE, term=2)
    assert active_of("west", [ACTIVE, newer]) is newer
    assert active_of("east", [ACTIVE, newer]) is None
    assert of(ACTIVE, newer, WITNESS) == RedundancyGap(
        "PassiveNotInSync", "sim-1 does not know yet that sim-2 is active"
    )


@pytest.mark.parametrize(
    ("newcomer", "sentence"),
    [
        ([], "sim-3 cannot be reached; it takes the place of sim-2"),
        ([replica("sim-3")], "sim-3 has not joined yet; it takes the place of sim-2"),
        (
            [simulating(SimulatorState("west", SimulatorPhase.COMPILING, 12.3), replica("sim-3"))],
            "sim-3 has been compiling for 12 s; it takes the place of sim-2",
        ),
        ([replica("sim-3", NEXT, Role.JOINING)], "sim-3 is joining; it takes the place of sim-2"),
        ([replica("sim-3", NEXT, Role.PASSIVE)], "sim-3 is not in sync; it takes the place of sim-2"),
    ],
)
def test_a_replica_that_is_being_replaced_is_not_what_the_area_waits_for(newcomer: list[Status], sentence: str) -> None:
    """The generation in force still names it, while the recorded one does not."""
    statuses = {s.replica: s for s in (ALONE, WITNESS, *newcomer)}
    assert redundancy_gap("west", statuses, NEXT) == RedundancyGap("PassiveNotInSync", sentence)


@pytest.mark.parametrize(
    ("statuses", "reason", "sentence"),
    [
        (
            [simulating(STUCK, ACTIVE), PASSIVE, WITNESS],
            "SimulatorStuck",
            "sim-1 has been stuck for 4 s in tick 812, with command 9f (push of entity 7)",
        ),
        (
            [simulating(STUCK, PASSIVE), WITNESS],
            "NoActive",
            "sim-2 has been stuck for 4 s in tick 812, with command 9f (push of entity 7)",
        ),
        (
            [
                simulating(SimulatorState("west", SimulatorPhase.COMPILING, 12.3), replica("sim-1")),
                simulating(SimulatorState("west", SimulatorPhase.REFUSED, 1.0, "KeyError at f.py:3"), replica("sim-2")),
                simulating(SimulatorState("east", SimulatorPhase.COMPILING, 3.0), replica("sim-3")),
                WITNESS,
            ],
            "NoActive",
            "sim-1 has been compiling for 12 s; sim-2 cannot simulate west: KeyError at f.py:3",
        ),
    ],
)
def test_what_a_simulator_keeps_its_process_from_is_the_reason(
    statuses: list[Status], reason: str, sentence: str
) -> None:
    assert of(*statuses) == RedundancyGap(reason, sentence)


def test_time_that_stands_still_has_the_stuck_call_as_its_reason() -> None:
    spec = PAIR.spec
    active = msgspec.structs.replace(simulating(STUCK, ACTIVE), pace=0.0)
    assert slow_message(spec, active) == (
        "time stands still: sim-1 has been stuck for 4 s in tick 812, with command 9f (push of entity 7)"
    )


NOTES = {"sim-1": "ended with exit code 70 (step raised)", "sim-2": "is starting", "witness-1": "is starting"}


@pytest.mark.parametrize(
    ("statuses", "notes", "sentence"),
    [
        ([WITNESS], NOTES, "sim-1 ended with exit code 70 (step raised); sim-2 is starting"),
        ([WITNESS], dict.fromkeys(NOTES, "ended"), "sim-1 and sim-2 ended"),
        ([WITNESS], dict.fromkeys(NOTES, "was ended by signal 9"), "sim-1 and sim-2 were ended by signal 9"),
        ([], dict.fromkeys(NOTES, "is starting"), "sim-1, sim-2 and witness-1 are starting"),
        (
            [replica("sim-1", PAIR, Role.JOINING), WITNESS],
            NOTES,
            "sim-1 ended with exit code 70 (step raised); sim-2 is starting",
        ),
        ([ALONE, WITNESS], NOTES, "sim-2 is starting"),
        ([ALONE], NOTES, "witness-1, its witness, is starting"),
    ],
)
def test_what_the_backend_knows_about_a_member_is_the_reason(
    statuses: list[Status], notes: dict[str, str], sentence: str
) -> None:
    gap = redundancy_gap("west", {s.replica: s for s in statuses}, PAIR, notes)
    assert gap is not None
    assert gap.message == sentence
