"""What the controller writes into an `Area`, on which version, and how often."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pairsim.model.assignment import Assignment
from pairsim_controller.kube.api.object_store import ObjectStore
from pairsim_controller.kube.api.objects import AreaObject, AreaStatus
from pairsim_controller.kube.api.port import AREAS, BUDGETS, SERVICES, ApiError, Body, ChangedError, Resource
from pairsim_controller.kube.area_writer import AreaContext, AreaWriter
from pairsim_controller.kube.owned_objects import compared_part, is_subset, owned_objects
from pairsim_controller.plan.view import View
from pairsim_controller.story.entry import plain_entry
from pairsim_controller.story.history import History
from tests.unit.controller.builders import NOW, assignment, fleet_index, pair
from tests.unit.controller.memory_api import MemoryApi

FIRST = assignment("sim-1", "sim-2", "witness-1")
SECOND = assignment("sim-1", "sim-3", "witness-1", generation=2, joins=("sim-3",))
WALL = 1_800_000_000.0


class WrittenArea:
    """One area in an API server in memory, its copy, and its writer."""

    def __init__(self) -> None:
        self.api, self.areas = MemoryApi(), ObjectStore(AreaObject)
        self.put()
        area = self.areas.get("west")
        assert area is not None
        self.context, self.writer = AreaContext(area), AreaWriter(self.api, self.areas, History())

    def put(self, **metadata: Any) -> None:
        bounds = {"min": [0, 0, 0], "max": [1, 1, 1]}
        self.areas.apply_event(
            self.api.put(
                AREAS, {"metadata": {"name": "west", **metadata}, "spec": {"plane": "physics", "bounds": bounds}}
            )
        )

    def view(self, recorded: Assignment | None, *, tick: int = 5) -> View:
        seen = [
            msgspec.structs.replace(p, status=msgspec.structs.replace(p.status, tick=tick)) if p.replica else p
            for p in (pair(recorded) if recorded else ())
        ]  # fmt: skip
        return fleet_index(*seen, recorded=(recorded,) if recorded else ()).view("west", NOW)

    async def write_assignment(self, recorded: Assignment | None) -> None:
        await self.writer.write_assignment(self.context, self.view(recorded), NOW, WALL)

    async def write_status(self, recorded: Assignment | None, *, tick: int = 5) -> None:
        await self.writer.write_status(self.context, self.view(recorded, tick=tick), NOW, WALL)

    def status(self) -> AreaStatus:
        return msgspec.convert(self.api.get(AREAS, "west"), AreaObject).status


@pytest.fixture
def west() -> WrittenArea:
    return WrittenArea()


async def test_a_new_assignment_is_written_at_once_and_an_old_one_is_not(west: WrittenArea) -> None:
    for recorded, requests in ((FIRST, 1), (FIRST, 1), (SECOND, 2), (None, 3), (None, 3)):
        await west.write_assignment(recorded)
        assert len(west.api.requests) == requests
        assert west.writer.is_written(west.context, recorded)
    assert west.status().assignment is None


async def test_a_status_is_written_on_the_version_that_was_read(west: WrittenArea) -> None:
    """Another writer may have changed the object; its change must not be undone."""
    west.api.change(AREAS, "west", lambda area: area["metadata"].update(labels={"team": "a"}))
    with pytest.raises(ChangedError):
        await west.write_assignment(FIRST)
    assert not west.writer.is_written(west.context, FIRST)
    assert west.status().assignment is None


async def test_the_next_write_follows_the_answer_without_the_watch(west: WrittenArea) -> None:
    await west.write_assignment(FIRST)
    await west.write_assignment(SECOND)
    assert west.status().generation == 2


async def test_an_area_that_was_created_anew_gets_nothing_of_its_predecessor(west: WrittenArea) -> None:
    west.put(uid="another")
    await west.write_assignment(FIRST)
    assert west.api.requests == []
    west.areas.remove("west")
    await west.write_status(FIRST)
    assert west.api.requests == []


async def test_a_write_that_failed_is_repeated(west: WrittenArea) -> None:
    def fail(_resource: Resource, _body: dict[str, Any]) -> None:
        raise ApiError("500")

    west.api.fail = fail
    with pytest.raises(ApiError):
        await west.write_assignment(FIRST)
    west.api.fail = lambda _resource, _body: None
    await west.write_assignment(FIRST)
    assert west.status().assignment is not None


async def test_ticks_alone_are_not_written_until_a_refresh_is_due(west: WrittenArea) -> None:
    await west.write_status(FIRST)
    requests = len(west.api.requests)
    await west.write_status(FIRST, tick=99)
    assert len(west.api.requests) == requests
    west.context.refresh_due = True
    await west.write_status(FIRST, tick=99)
    await west.write_status(FIRST, tick=100)
    assert len(west.api.requests) == requests + 1
    assert west.status().tick == 99


async def test_what_happened_and_what_lasts_become_events_once_although_the_write_fails(west: WrittenArea) -> None:
    def fail(_resource: Resource, _body: dict[str, Any]) -> None:
        raise ApiError("500")

    west.api.fail = fail
    west.writer.tell(west.context, [plain_entry("lost", "west", "its passive is gone", WALL)])
    paused = msgspec.structs.replace(west.view(FIRST), paused=True)
    for _time in range(3):
        with pytest.raises(ApiError):
            await west.writer.write_status(west.context, paused, NOW, WALL)
    assert [reason for _area, reason, _note in west.api.events] == ["NotRedundant", "Paused"]


async def test_a_finalizer_belongs_to_one_object_and_not_to_its_name(west: WrittenArea) -> None:
    read = west.areas.get("west")
    assert read is not None
    west.put(uid="another")
    with pytest.raises(ChangedError):
        await west.writer.add_finalizer(read)
    assert west.api.get(AREAS, "west")["metadata"].get("finalizers") is None


async def test_owned_objects_are_written_when_they_differ_and_never_taken_from_others(west: WrittenArea) -> None:
    area = west.areas.get("west")
    assert area is not None
    forced: list[bool] = []
    apply = west.api.apply

    async def watched(resource: Resource, body: Body, *, subresource: str = "", force: bool = True) -> Body:
        forced.append(force)
        return await apply(resource, body, subresource=subresource, force=force)

    west.api.apply = watched  # type: ignore[method-assign]
    await west.writer.apply_owned(area)
    await west.writer.apply_owned(area)
    assert forced == [False] * 3
    service = west.api.get(SERVICES, "west")
    service["spec"]["selector"] = {"app": "another"}
    assert west.writer.on_owned_object(SERVICES, "west", service) == "west"
    await west.writer.apply_owned(area)
    assert len(forced) == 4
    assert west.writer.on_owned_object(BUDGETS, "west", None) == "west"
    await west.writer.apply_owned(area)
    assert len(forced) == 5


async def test_what_the_controller_never_compares_is_not_kept(west: WrittenArea) -> None:
    area = west.areas.get("west")
    assert area is not None
    for wanted in owned_objects(area):
        managed = {"managedFields": [{"manager": "another"}]}
        found = {**wanted, "metadata": {**wanted["metadata"], **managed}, "status": {}}  # type: ignore[dict-item]
        kept = compared_part(found)
        assert is_subset(wanted, kept) == is_subset(wanted, found)
        assert not {"status"} & kept.keys()
        assert "managedFields" not in kept["metadata"]  # type: ignore[operator]
        assert "managedFields" in found["metadata"], "the reader's object stays whole"
