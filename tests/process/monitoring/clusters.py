"""The real controller with an API server in memory, so that its metrics can be read without a cluster.

It runs in a thread, and its area changes the active periodically, so that its counters keep moving.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pairsim.server.http.listener import serve_app
from pairsim_controller.cli.main import probes
from tests.unit.controller.kube.test_manager import cluster, running_manager

_CHANGE_SECONDS = 0.5


@contextmanager
def controller(folder: Path, port: int) -> Iterator[None]:
    """Runs the controller, which serves its metrics at a port of loopback."""
    began, over = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    async def work() -> None:
        async with (
            cluster(folder) as (at, _server, file),
            running_manager(file, "controller-1") as (made, meters),
            serve_app(probes(made, meters), f"127.0.0.1:{port}"),
        ):
            await at.paired()
            began.set()
            while not over.is_set():
                await asyncio.sleep(_CHANGE_SECONDS)
                at.replicas.lead("west", next(name for name, role in at.roles("west").items() if role == "passive"))
                await at.until(lambda: "active" in at.roles("west").values())
                await at.paired()

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:  # noqa: BLE001 - the waiting thread reports it
            failures.append(error)
            began.set()

    thread = threading.Thread(target=run, name="controller", daemon=True)
    thread.start()
    try:
        assert began.wait(30), "the controller has made no pair"
        assert not failures, failures
        yield
        assert not failures, failures
    finally:
        over.set()
        thread.join(30)
