"""A fault that would destroy both copies of an area of a local world is refused."""

from __future__ import annotations

import msgspec
import pytest

from pairsim_chaos.experiment.faults import PodFault
from pairsim_chaos.local.target import destroys_area
from tests.unit.chaos.local.test_selection_and_links import WORLD, process


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
def test_a_fault_that_kills_a_pair_with_its_data_is_refused(fault: PodFault, refused: bool) -> None:
    assert ("both copies of west" in destroys_area(fault, WORLD)) is refused


def test_a_third_replica_makes_no_difference() -> None:
    assert destroys_area(kill(area="west"), [*WORLD, process("f", "joining", "west")])
