"""Whether a pair would outlive a loss."""

from __future__ import annotations

import msgspec
import pytest

from controller.wholeness import Lack, active_of, lack
from pairsim.model.assignment import ReplicaStatus, Role, WitnessStatus
from tests.unit.controller.views import assignment, replica, witness

PAIR = assignment("sim-1", "sim-2", "witness-1")
NEXT = assignment("sim-1", "sim-2", "witness-1", generation=2)
ACTIVE = replica("sim-1", PAIR, Role.ACTIVE, peer_in_sync=True)
PASSIVE = replica("sim-2", PAIR, Role.PASSIVE)
WITNESS = witness("witness-1", PAIR)
ALONE = msgspec.structs.replace(ACTIVE, peer_in_sync=False)
NOT_SYNCED = msgspec.structs.replace(PASSIVE, in_sync=False)
MUTE = msgspec.structs.replace(WITNESS, areas=(msgspec.structs.replace(WITNESS.areas[0], votes=False),))


def test_a_pair_in_sync_with_its_witness_lacks_nothing() -> None:
    assert lack([ACTIVE, PASSIVE], WITNESS) is None
    assert lack([PASSIVE, ACTIVE], WITNESS) is None


@pytest.mark.parametrize(
    ("pair", "third", "reason", "sentence"),
    [
        ([], WITNESS, "NoActive", "no replica can be reached"),
        ([PASSIVE], WITNESS, "NoActive", "sim-2 is passive, and none is active"),
        ([ACTIVE], WITNESS, "PassiveNotInSync", "sim-1 is active alone"),
        ([ACTIVE, replica("sim-3", NEXT, Role.JOINING)], WITNESS, "PassiveNotInSync", "sim-3 is joining"),
        ([ALONE, PASSIVE], WITNESS, "PassiveNotInSync", "sim-2 is not in sync"),
        ([ACTIVE, NOT_SYNCED], WITNESS, "PassiveNotInSync", "sim-2 is not in sync"),
        ([ACTIVE, replica("sim-2", NEXT, Role.PASSIVE)], WITNESS, "PassiveNotInSync", "sim-2 is not in sync"),
        ([ACTIVE, PASSIVE], None, "NoWitness", "its witness cannot be reached"),
        ([ALONE, PASSIVE], None, "NoWitness", "its witness cannot be reached"),
        ([ACTIVE, PASSIVE], PASSIVE, "NoWitness", "its witness cannot be reached"),
        ([ACTIVE, PASSIVE], witness("witness-1"), "NoWitness", "witness-1, its witness, has not joined yet"),
        ([ACTIVE, PASSIVE], witness("witness-1", NEXT), "NoWitness", "witness-1, its witness, has not joined yet"),
        (
            [ACTIVE, PASSIVE], witness("witness-1", assignment("x", "y", "z", area="east")),
            "NoWitness", "witness-1, its witness, has not joined yet",
        ),
        ([ALONE, PASSIVE], MUTE, "NoWitness", "witness-1, its witness, is new and does not vote yet"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(
    pair: list[ReplicaStatus], third: WitnessStatus | None, reason: str, sentence: str
) -> None:
    assert lack(pair, third) == Lack(reason, sentence)


def test_of_two_actives_the_one_with_the_lower_term_is_over() -> None:
    newer = msgspec.structs.replace(PASSIVE, role=Role.ACTIVE, term=2)
    assert active_of([ACTIVE, newer]) is newer
    assert lack([ACTIVE, newer], WITNESS) == Lack("PassiveNotInSync", "sim-1 is active")
