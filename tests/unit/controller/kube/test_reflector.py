from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pairsim_controller.kube.api.port import AREAS, Body, Resource
from pairsim_controller.kube.api.reflector import Reflector
from tests.unit.controller.kube.fake_api import FakeApi, connected

PATH = "/apis/pairsim.io/v1alpha1/namespaces/worlds/areas"


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.005)


class EventLog(dict[str, object]):
    """The specs of the reported objects by name; `events` has all reports in order."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, bool]] = []

    def on_event(self, resource: Resource, name: str, body: Body | None) -> None:
        assert resource == AREAS
        self.events.append((name, body is not None))
        if body is None:
            del self[name]
        else:
            assert body["kind"] == "Area"
            self[name] = body.get("spec")


@asynccontextmanager
async def watched(fake: FakeApi, folder: Path) -> AsyncIterator[EventLog]:
    log = EventLog()
    async with connected(fake, folder) as connection:
        reflector = Reflector(connection, "worlds", AREAS, log.on_event)
        task = asyncio.create_task(reflector.run())
        try:
            async with asyncio.timeout(15):
                await reflector.listed.wait()
            yield log
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def filled() -> FakeApi:
    fake = FakeApi()
    for number in range(5):
        await fake.put(PATH, f"a{number}", spec=number)
    return fake


async def test_a_reflector_lists_all_pages_and_then_follows_changes(tmp_path: Path) -> None:
    fake = await filled()
    async with watched(fake, tmp_path) as log:
        assert log == {f"a{n}": n for n in range(5)}
        await fake.put(PATH, "a1", spec="new")
        await fake.remove(PATH, "a2")
        await until(lambda: log.get("a1") == "new" and "a2" not in log)


async def test_a_deletion_between_two_watches_is_reported(tmp_path: Path) -> None:
    fake = await filled()
    async with watched(fake, tmp_path) as log:
        fake.refuse = [(500, {})] * 2
        fake.cut()
        await fake.remove(PATH, "a3")
        await fake.put(PATH, "a9", spec=9)
        fake.compact()
        await until(lambda: log.keys() == {"a0", "a1", "a2", "a4", "a9"})
        assert ("a3", False) in log.events


async def test_a_reflector_lists_again_when_its_version_is_forgotten(tmp_path: Path) -> None:
    fake = await filled()
    async with watched(fake, tmp_path) as log:
        fake.version += 100
        fake.compact()
        fake.cut()
        await fake.put(PATH, "a0", spec="later")
        await until(lambda: log["a0"] == "later")
        await fake.put(PATH, "a1", spec="latest")
        await until(lambda: log["a1"] == "latest")


async def test_a_busy_server_is_asked_again_after_its_retry_after(tmp_path: Path) -> None:
    fake = await filled()
    fake.refuse = [(429, {"Retry-After": "1"})]
    async with watched(fake, tmp_path) as log:
        assert len(log) == 5
    assert [r[1] for r in fake.requests[:2]] == [PATH, PATH]


async def test_watches_that_end_at_once_are_repeated_with_a_delay(tmp_path: Path) -> None:
    fake = FakeApi()
    await fake.put(PATH, "a", spec=1)
    fake.brief = True
    async with watched(fake, tmp_path) as log:
        await fake.put(PATH, "a", spec=2)
        await until(lambda: log["a"] == 2)
        before = len(fake.watched)
        await until(lambda: len(fake.watched) > before + 2)
    gaps = [later - sooner for sooner, later in itertools.pairwise(fake.watched[before:])]
    assert min(gaps) > 0.04


async def test_an_idle_world_costs_one_list_and_one_watch(tmp_path: Path) -> None:
    fake = FakeApi()
    await fake.put(PATH, "a", spec=1)
    async with watched(fake, tmp_path) as log:
        for number in range(20):
            await fake.put(PATH, "a", spec=number)
        await until(lambda: log["a"] == 19)
    assert len(fake.requests) == 2
