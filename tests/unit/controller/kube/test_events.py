from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pairsim_controller.kube.api import events
from pairsim_controller.kube.api.events import EventRecorder
from pairsim_controller.kube.api.port import Body
from tests.unit.controller.kube.fake_api import FakeApi, connected
from tests.unit.controller.kube.test_reflector import until

PATH = "/apis/events.k8s.io/v1/namespaces/worlds/events"
AREA: Body = {"kind": "Area", "name": "west", "namespace": "worlds", "uid": "u"}


async def test_repetitions_are_one_event_with_a_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_SERIES_UPDATE_SECONDS", 0.0)
    fake = FakeApi()
    async with connected(fake, tmp_path) as connection:
        recorder = EventRecorder(connection, "worlds", "me")
        task = asyncio.create_task(recorder.run())
        for _ in range(3):
            recorder.emit(AREA, "Takeover", "b is active", warning=False)
        recorder.emit(AREA, "Lost", "a is lost", warning=True)
        await until(lambda: len(fake.objects.get(PATH, {})) == 2)
        by_reason = {event["reason"]: event for event in fake.objects[PATH].values()}
        assert by_reason["Takeover"]["series"]["count"] == 3
        assert by_reason["Lost"]["type"] == "Warning"
        assert by_reason["Lost"]["regarding"] == AREA
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_repetitions_with_other_amounts_are_one_event_at_the_time_when_it_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_SERIES_UPDATE_SECONDS", 0.0)
    fake = FakeApi()
    async with connected(fake, tmp_path) as connection:
        recorder = EventRecorder(connection, "worlds", "me")
        task = asyncio.create_task(recorder.run())
        for seconds, entities in (("0.50", 7), ("12.25", 2000)):
            note = f"redundant again after {seconds} s: sim-1 (active) and sim-2 (passive), {entities} entities"
            recorder.emit(AREA, "Redundant", note, warning=False, at=7.0)
        recorder.emit(AREA, "Redundant", "redundant again after 0.50 s: sim-1 (active) and sim-3", warning=False)
        await until(lambda: len(fake.objects.get(PATH, {})) == 2)
        counts = {event["note"][-8:]: event.get("series", {}).get("count") for event in fake.objects[PATH].values()}
        assert counts == {"entities": 2, "nd sim-3": None}
        assert "1970-01-01T00:00:07.000000Z" in {event["eventTime"] for event in fake.objects[PATH].values()}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_events_that_cannot_be_queued_or_written_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_WAITING", 2)
    fake = FakeApi()
    async with connected(fake, tmp_path) as connection:
        recorder = EventRecorder(connection, "worlds", "me")
        for number in range(5):
            recorder.emit(AREA, "Noted", f"{number}", warning=False)
        assert recorder.dropped == 3
        fake.refuse = [(403, {})]
        task = asyncio.create_task(recorder.run())
        await until(lambda: len(fake.objects.get(PATH, {})) == 1)
        assert recorder.dropped == 4
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
