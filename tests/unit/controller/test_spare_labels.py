"""The labels of spares: a few are written at a time, and one that fails holds up no other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pairsim.model.status import Role
from pairsim_controller.kube.api.port import ApiError
from pairsim_controller.plan.fleet_index import NO_AREA, FleetIndex
from pairsim_controller.plan.view import Label, SetLabel
from pairsim_controller.reconcile.reconciler import SPARES_AT_ONCE, Reconciler
from tests.unit.controller.builders import observe, spare
from tests.unit.controller.reconciler_rigs import QuietReporter

SPARES = 5 * SPARES_AT_ONCE


class Labels:
    """Writes labels, each in two turns of the event loop.

    Attributes:
        written: The spares in the order of their writes.
        most: The largest number of writes in flight.
    """

    def __init__(self, index: FleetIndex) -> None:
        self.index = index
        self.refused: set[str] = set()
        self.written: list[str] = []
        self.flying = self.most = 0

    async def apply(self, change: SetLabel) -> None:
        self.flying += 1
        self.most = max(self.most, self.flying)
        await asyncio.sleep(0)
        self.flying -= 1
        if change.replica in self.refused:
            raise ApiError(f"{change.replica} is refused")
        self.written.append(change.replica)
        self.index.set_label(change.replica, change.label)


def world() -> tuple[Reconciler, Labels]:
    """Returns a reconciler, and the labels of a world of spares that have none."""
    index = FleetIndex(lambda _area: None)
    labels = Labels(index)
    for number in range(SPARES):
        observe(index, spare(f"sim-{number:03d}"))
    # The label round of spares uses the index and the labels alone.
    unused: Any = None
    made = Reconciler(index, records=unused, labels=labels, processes=unused, reports=QuietReporter())
    return made, labels


async def test_spares_are_labelled_a_few_at_a_time() -> None:
    made, labels = world()
    assert await made.reconcile(NO_AREA)
    assert labels.most == SPARES_AT_ONCE
    assert len(labels.written) == SPARES


async def test_a_spare_whose_label_is_refused_holds_up_no_other() -> None:
    made, labels = world()
    labels.refused = {f"sim-{number:03d}" for number in range(SPARES_AT_ONCE)}
    with pytest.raises(ApiError, match="sim-000 is refused"):
        await made.reconcile(NO_AREA)
    assert len(labels.written) == SPARES - len(labels.refused)


async def test_a_spare_that_became_a_member_meanwhile_keeps_its_label() -> None:
    made, labels = world()
    joining = Label("west", Role.JOINING, 1)
    task = asyncio.create_task(made.reconcile(NO_AREA))
    await asyncio.sleep(0)
    labels.index.set_label(f"sim-{SPARES - 1:03d}", joining)
    await task
    assert labels.index.label(f"sim-{SPARES - 1:03d}") == joining
