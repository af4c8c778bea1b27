"""A probe of several areas."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from pairsim.model.geometry import Box
from pairsim_chaos.probe import probe as probing
from pairsim_chaos.probe.area import AreaNotes
from pairsim_chaos.probe.probe import Probe
from pairsim_chaos.target import World


async def test_no_area_waits_for_one_that_is_slow_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read = asyncio.Event()

    async def listed(_urls: Sequence[str], notes: AreaNotes) -> list[int]:
        if notes.area == "slow":
            await read.wait()
        read.set()
        return []

    monkeypatch.setattr(probing, "listed", listed)
    probe = Probe(cast("World", None))
    box = Box(min=(0.0, 0.0, 0.0), max=(1.0, 1.0, 1.0))
    probe._notes = {area: AreaNotes(area, box, now=0.0, unix=0.0) for area in ("slow", "quick")}
    async with asyncio.timeout(10):
        found = await probe.findings()
    assert [each.area for each in found] == ["slow", "quick"]
