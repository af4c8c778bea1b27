"""A local world of fakes that runs in a thread, for commands as a user runs them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from click.testing import CliRunner, Result

from pairsim.cli import main
from pairsim.model.command_schema import CommandSchema, Operation
from pairsim.model.state.schema import Component
from pairsim.server.http.listener import serve_app
from pairsim_controller.local.api import world_app
from pairsim_controller.local.world_status import world_status
from tests.unit.controller.local_worlds import WorldHarness, local_world, until
from tests.unit.server.fakes import SCHEMA

SECONDS = 20.0


class Running:
    """A running world, with the commands of its user."""

    def __init__(self, made: WorldHarness, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.made, self.port, self._loop = made, port, loop

    def run(self, *words: str, text: str | bytes | None = None) -> Result:
        """Runs `pairsim WORDS --port ...`; an exception other than an exit fails the test."""
        return pairsim(*words, "--port", str(self.port), text=text)

    def do(self, change: Callable[[], object], condition: Callable[[], object] = lambda: True) -> None:
        """Changes the world in its own thread, and waits for a condition."""

        async def work() -> None:
            change()
            await until(condition)

        asyncio.run_coroutine_threadsafe(work(), self._loop).result(SECONDS)


def pairsim(*words: str, text: str | bytes | None = None) -> Result:
    """Runs a command as a user does; an exception fails the test."""
    return CliRunner().invoke(main, words, input=text, catch_exceptions=False)


@asynccontextmanager
async def _world(path: Path) -> AsyncIterator[tuple[WorldHarness, int]]:
    async with local_world(path) as made:
        command_schema = CommandSchema(SCHEMA, [Operation("impulse", (Component("impulse", "float32", 3),))])
        for replica in made.replicas.values():
            replica.area_command_schema = command_schema
            replica.spawn(1, [[0.5, 0.5, 0.5]] * 3)
        app = world_app(made.world)
        async with serve_app(app, "127.0.0.1:0", drain=0.1) as port:
            await until(
                lambda: world_status(made.world).areas[0].redundant and len(world_status(made.world).spares) == 1
            )
            yield made, port


@contextmanager
def running(path: Path) -> Iterator[Running]:
    """Runs a world with the area north (active a, passive b, witness w) and the spare c."""
    started: list[Running] = []
    ready = threading.Event()
    failures: list[BaseException] = []

    async def live() -> None:
        try:
            async with _world(path) as (made, port):
                started.append(Running(made, port, asyncio.get_running_loop()))
                stop = asyncio.Event()
                stops.append(stop)
                ready.set()
                await stop.wait()
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            ready.set()

    stops: list[asyncio.Event] = []
    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    assert ready.wait(SECONDS)
    assert not failures, failures
    try:
        yield started[0]
    finally:
        started[0]._loop.call_soon_threadsafe(stops[0].set)
        thread.join(SECONDS)
