"""The ids of the entities that areas create: exact in JSON for every reader, and unique in the world."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pairsim.model.area import AreaSpec
from pairsim.model.geometry import Box
from pairsim.model.simulation.entity_ids import IDS_PER_BLOCK, first_entity
from pairsim.model.simulation.simulator import load_simulator
from pairsim.model.simulation.tick import populate_initial
from pairsim.model.state.table import Table
from pairsim_chaos.probe.ledger import WriteLedger

BOX = Box((0, 0, 0), (10, 10, 10))
MAX_EXACT = 2**53
"""JavaScript's `Number.MAX_SAFE_INTEGER` is one less."""


def area(name: str, entities: int = 0) -> AreaSpec:
    return AreaSpec(area=name, plane="p", simulator="physics", bounds=BOX, world=BOX, entities=entities)


def test_the_ids_of_a_thousand_areas_are_exact_and_do_not_meet() -> None:
    firsts = sorted(first_entity(area(f"physics-{number}")) for number in range(1000))
    assert firsts[-1] + 50_000_000 < 2**52
    assert all(first % IDS_PER_BLOCK == 0 for first in firsts)
    assert all(b - a >= IDS_PER_BLOCK for a, b in itertools.pairwise(firsts))


def test_the_ids_of_an_area_stay_the_same() -> None:
    assert first_entity(area("west")) == first_entity(area("west", 2000)) == 4448849126000000


@pytest.mark.parametrize("name", ["west", "east"])
def test_physics_creates_entities_with_exact_ids(name: str) -> None:
    spec = area(name, 2000)
    simulator = load_simulator("physics")(spec)
    table = Table(simulator.components)
    populate_initial(simulator, table, spec)
    assert table.ids.tolist() == list(range(first_entity(spec), first_entity(spec) + 2000))
    assert np.array_equal(table.ids.astype(np.float64).astype(np.int64), table.ids)


def test_probes_use_exact_ids_that_areas_do_not_create() -> None:
    for _probe in range(50):
        ledger = WriteLedger()
        assert 2**52 <= ledger.first <= ledger.last < MAX_EXACT
