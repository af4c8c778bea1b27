"""A probe of several areas."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from pairsim.model.geometry import Box
from pairsim_chaos.probe import probe as probe_module
from pairsim_chaos.probe.area_evidence import AreaEvidence
from pairsim_chaos.probe.probe import Probe
from pairsim_chaos.probe.writer import Writer
from pairsim_chaos.target import AreaView, Target, WorldError, WorldSnapshot

BOX = Box(min=(0.0, 0.0, 0.0), max=(1.0, 1.0, 1.0))


async def test_a_slow_area_does_not_delay_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    read = asyncio.Event()

    async def list_entities(_urls: Sequence[str], evidence: AreaEvidence) -> list[int]:
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
