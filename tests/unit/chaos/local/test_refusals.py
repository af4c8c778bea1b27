"""What is not done to a local world: both copies of an area are not destroyed, whoever asks for it."""

from __future__ import annotations

import msgspec
import pytest

from pairsim_chaos.experiment.faults import PodFault
from pairsim_chaos.local.world import _both_copies
from tests.unit.chaos.local.test_selecting import WORLD, process


def kill(action: str = "pod-kill", mode: str = "all", **labels: str) -> PodFault:
    selector = {"labelSelectors": {f"pairsim.io/{key}": value for key, value in labels.items()}}
    return msgspec.convert({"action": action, "mode": mode, "selector": selector}, PodFault)


@pytest.mark.parametrize(
    ("fault", "refused"),
    [
        (kill(area="west"), True),
        (kill(), True),
        (kill(role="active"), False),
        (kill(area="west", mode="one"), False),
        (kill("container-kill", area="west"), False),
    ],
)
def test_a_pair_is_not_killed_with_its_data(fault: PodFault, refused: bool) -> None:
    assert ("both copies of west" in _both_copies(fault, WORLD)) is refused


def test_a_third_replica_makes_no_difference() -> None:
    assert _both_copies(kill(area="west"), [*WORLD, process("f", "joining", "west")])
