"""How soon `pairsim up` says, with the author's line, that a simulator raised, hangs, or ended its process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import threading
import time
import urllib.request
from pathlib import Path

import msgspec

from pairsim.client import AreaClient, ClientError, new_id
from pairsim.model.commands import Command
from pairsim.model.status import ReplicaStatus
from pairsim.model.world_status import WorldStatus
from tests.benchmarks.figures import Figure, times
from tests.process.world import troubled
from tests.process.world.running_worlds import RunningWorld, until

_WORLD = """
apiVersion: pairsim.io/v1alpha1
kind: Plane
metadata: {name: counts}
spec: {simulator: "troubled:Troubled", tickRate: 20, bounds: {min: [0, 0, 0], max: [1000, 1000, 1000]}}
---
apiVersion: pairsim.io/v1alpha1
kind: Area
metadata: {name: west}
spec: {plane: counts, bounds: {min: [0, 0, 0], max: [1000, 1000, 1000]}, entities: 3}
"""

_KINDS = {"raises": 1, "hangs": 2, "ends by SIGSEGV": 3}


async def sentences(folder: Path, n: int) -> list[Figure]:
    """From the command that does it to the line of `pairsim up`."""
    return await asyncio.to_thread(_sentences, folder / "sentences", n)


def _sentences(folder: Path, n: int) -> list[Figure]:
    folder.mkdir()
    shutil.copy(troubled.__file__, folder / "troubled.py")
    before, os.environ["PYTHONPATH"] = os.environ.get("PYTHONPATH"), str(folder)
    world = RunningWorld(folder)
    world.file.write_text(_WORLD)
    try:
        world.start()
        figures = []
        for name, kind in _KINDS.items():
            waits = [_wait(world, folder / "mended", kind) for _ in range(n)]
            figures.append(times(f"step {name}: to the sentence with the author's line", waits, p99=3000))
        return figures
    finally:
        world.close()
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _wait(world: RunningWorld, mended: Path, kind: int) -> float:
    """Milliseconds of one failure, after which the simulator is mended."""
    mended.unlink(missing_ok=True)
    urls = [replica.url for replica in _until_whole(world).areas[0].replicas]
    since = len(world.messages())
    line = re.compile(rf"west: .*{re.escape(str(mended.with_name('troubled.py')))}:\d+ in tick .*")
    sending = threading.Thread(target=lambda: asyncio.run(_send(urls, kind)))
    began = time.perf_counter()
    sending.start()
    while not any(line.fullmatch(message) for message in world.messages(since)):
        assert time.perf_counter() < began + 30, world.messages(since)
        time.sleep(0.01)
    waited = (time.perf_counter() - began) * 1e3
    sending.join()
    mended.touch()
    _until_whole(world)
    return waited


async def _send(urls: list[str], kind: int) -> None:
    async with AreaClient(urls, deadline=0.5) as client:
        with contextlib.suppress(ClientError):  # the area pauses before the tick of the command
            await client.send([Command(new_id(), "trouble", 1, {"kind": float(kind)})])


def _until_whole(world: RunningWorld) -> WorldStatus:
    """Waits until both replicas of the area have an engine that works."""

    def look() -> WorldStatus | None:
        try:
            status = world.status()
            areas = [area for area in status.areas if area.redundant]
            found = [_replica(replica.url) for area in areas for replica in area.replicas]
        except OSError:  # a process is starting
            return None
        return status if len(found) == 2 and all(one.engine_pid and not one.simulator for one in found) else None

    return until(look, "both replicas have an engine", world.messages, 120)


def _replica(url: str) -> ReplicaStatus:
    with urllib.request.urlopen(f"{url}/v1/status", timeout=5) as answer:  # noqa: S310 - a process of this world
        return msgspec.json.decode(answer.read(), type=ReplicaStatus)
