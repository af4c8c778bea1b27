"""A probe of several areas."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from pairsim.model.commands import Result, Status
from pairsim.model.geometry import Box
from pairsim_chaos.probe import probe as probe_module
from pairsim_chaos.probe.area_evidence import AreaEvidence
from pairsim_chaos.probe.probe import Probe
from pairsim_chaos.probe.writer import Writer
from pairsim_chaos.target import AreaView, Target, WorldError, WorldSnapshot

BOX = Box(min=(0.0, 0.0, 0.0), max=(1.0, 1.0, 1.0))


async def test_a_slow_area_does_not_delay_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    read = asyncio.Event()

    async def list_entities(_urls: Sequence[str], evidence: AreaEvidence, _area: str = "") -> list[int]:
        if evidence.area == "slow":
            await read.wait()
        read.set()
        return []

    monkeypatch.setattr(probe_module, "list_entities", list_entities)
    probe = Probe(cast("Target", None))
    probe._evidence = {area: AreaEvidence(area, BOX, now=0.0, unix=0.0) for area in ("slow", "quick")}
    async with asyncio.timeout(10):
        found = await probe.findings()
    assert [each.area for each in found] == ["slow", "quick"]


async def test_an_entity_that_crosses_while_areas_are_read_is_neither_lost_nor_doubled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evidence = AreaEvidence("west", BOX, now=0.0, unix=0.0)
    spawns = evidence.ledger.next_batch(3, {})
    evidence.ledger.on_answered(spawns, [Result(each.id, Status.APPLIED, 1) for each in spawns])
    here, crossing, lost = (each.entity for each in spawns)
    looks = {"": iter(([here], [here, crossing])), "east": iter(([], [crossing])), "far": iter(([], []))}

    async def list_entities(_urls: Sequence[str], _evidence: AreaEvidence, area: str = "") -> list[int]:
        return next(looks[area], [here] if not area else [crossing] if area == "east" else [])

    monkeypatch.setattr(probe_module, "list_entities", list_entities)
    monkeypatch.setattr(probe_module, "_POLL_SECONDS", 0.0)
    probe = Probe(cast("Target", None))
    probe.snapshot = WorldSnapshot((view("west"), view("east"), AreaView("other", "damage", BOX, redundant=True)), ())
    probe._evidence = {"west": evidence}
    (found,) = await probe.findings()
    assert found.reconciliation is not None
    assert (found.reconciliation.lost, found.reconciliation.doubled) == ((lost,), ())


def view(area: str, gap: str = "") -> AreaView:
    return AreaView(area, "physics", BOX, redundant=not gap, redundancy_gap=gap)


async def test_an_area_that_is_gone_is_not_redundant() -> None:
    probe = Probe(cast("Target", None))
    probe._evidence = {area: AreaEvidence(area, BOX, now=0.0, unix=0.0) for area in ("east", "west")}
    probe.snapshot = WorldSnapshot((view("west", "b is joining"),), ())
    assert probe.redundancy_gap == "west: b is joining; east: the area does not exist any more"
    probe.snapshot = WorldSnapshot((view("west"), view("east")), ())
    assert probe.redundancy_gap == ""


async def fail() -> None:
    raise ValueError("a part broke")


@pytest.mark.parametrize("part", ["_watches", "_writer_tasks"])
async def test_a_probe_of_which_a_part_failed_concludes_nothing(part: str) -> None:
    probe = Probe(cast("Target", None))
    task = asyncio.create_task(fail())
    await asyncio.wait({task})
    setattr(probe, part, [task])
    with pytest.raises(WorldError, match=r"^the probe failed, .*ValueError\('a part broke'\)"):
        await probe.conclude()


async def test_a_probe_of_which_a_delivery_failed_concludes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = AreaEvidence("west", BOX, now=0.0, unix=0.0)
    writer = Writer(evidence, ["http://127.0.0.1:1"], 0)
    monkeypatch.setattr(Writer, "_deliver", lambda *_: fail())
    writer._send([])
    await writer.finish()
    probe = Probe(cast("Target", None))
    probe._writers = {("west", 0): writer}
    with pytest.raises(WorldError, match=r"ValueError\('a part broke'\)"):
        probe.check_running()
