"""What a state needs of memory, and what is refused for the lack of it."""

from __future__ import annotations

import numpy as np
import pytest

from pairsim.model.state.entity_index import EntityIndex
from pairsim.model.state.memory_need import (
    area_refusal,
    lookup_bytes,
    row_bytes,
    spawn_refusal,
    world_refusal,
)
from pairsim.model.state.schema import Component, Schema

GB = 10**9
ROW = 32


def test_a_row_is_the_id_and_all_columns() -> None:
    columns = Component("place", "float32", 3), Component("mass", "float64"), Component("kind", "uint8", 2)
    assert row_bytes(Schema(columns)) == 8 + 12 + 8 + 2


@pytest.mark.parametrize("count", [0, 1, 31, 32, 1000, 100_000, 131_072])
def test_the_lookup_takes_as_much_as_is_said(count: int) -> None:
    index = EntityIndex(np.arange(count))
    assert lookup_bytes(count) == index.nbytes


def test_an_area_that_cannot_fit_is_refused_with_what_it_needs() -> None:
    refusal = area_refusal("west", 12_000_000, ROW, int(1.5 * GB))
    assert refusal.startswith("area west with 12,000,000 entities of 32 bytes needs at least 1.7 GB of memory in each")
    assert "this process may use 1.5 GB" in refusal
    assert area_refusal("west", 9_000_000, ROW, int(1.5 * GB)) == ""


def test_a_world_is_refused_if_its_replicas_do_not_fit_together() -> None:
    needs = {f"area-{number}": number * 10**8 for number in range(1, 6)}
    assert world_refusal(needs, 3 * GB) == ""
    refusal = world_refusal(needs, 3 * GB - 1)
    assert "need at least 3.0 GB of memory in two replicas each" in refusal
    assert "(area-5 1.0 GB, area-4 800 MB, area-3 600 MB and 2 more)" in refusal


@pytest.mark.parametrize(
    ("entities", "more", "available", "fits"),
    [
        (100_000, 10_000, 110 * 10**6, True),
        (100_000, 10_000, 100 * 10**6, False),  # the reserve
        (3_000_000, 1_000, 110 * 10**6, True),
        (1_258_290, 1, 110 * 10**6, True),
        (1_258_291, 1, 150 * 10**6, False),  # the lookup is copied
        (0, 0, 0, False),
    ],
)
def test_spawns_are_refused_before_the_memory_is_used_up(entities: int, more: int, available: int, fits: bool) -> None:
    refusal = spawn_refusal(entities, more, ROW, limit=GB, available=available, own=GB // 2)
    assert (refusal == "") == fits
    assert fits or refusal.startswith("no memory for more entities: ")


def test_memory_that_other_processes_use_up_is_no_reason_to_refuse() -> None:
    assert spawn_refusal(10_000, 100, ROW, limit=GB, available=0, own=GB // 5) == ""
    assert spawn_refusal(10_000, 100, ROW, limit=GB, available=0, own=GB // 3) != ""


def test_small_worlds_are_not_refused() -> None:
    """A container with little memory goes on as before."""
    assert spawn_refusal(2_000, 100, ROW, limit=128 * 2**20, available=20 * 2**20, own=108 * 2**20) == ""
    assert spawn_refusal(200_000, 1_000, ROW, limit=256 * 2**20, available=40 * 2**20, own=216 * 2**20) == ""
