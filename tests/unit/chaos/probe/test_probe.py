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
from pairsim_chaos.target import Target


async def test_a_slow_area_does_not_delay_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    read = asyncio.Event()

    async def list_entities(_urls: Sequence[str], evidence: AreaEvidence) -> list[int]:
        if evidence.area == "slow":
            await read.wait()
        read.set()
        return []

    monkeypatch.setattr(probe_module, "list_entities", list_entities)
    probe = Probe(cast("Target", None))
    box = Box(min=(0.0, 0.0, 0.0), max=(1.0, 1.0, 1.0))
    probe._evidence = {area: AreaEvidence(area, box, now=0.0, unix=0.0) for area in ("slow", "quick")}
    async with asyncio.timeout(10):
        found = await probe.findings()
    assert [each.area for each in found] == ["slow", "quick"]
