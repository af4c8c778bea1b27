"""Engines that hang, end, or raise: the signals and commands that make them do it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from pairsim.server.http.listener import serve_app
from pairsim_chaos.experiment.faults import EngineFault
from pairsim_chaos.experiment.loader import load_experiments
from pairsim_chaos.local.engines import EngineInjection, check_raising
from pairsim_chaos.local.selection import TargetProcess
from pairsim_chaos.target import UnsupportedFaultError, WorldError
from tests.unit.chaos.local.test_selection_and_links import process

FILE = """
apiVersion: pairsim.io/v1alpha1
kind: EngineChaos
metadata: {name: it}
spec:
  action: ACTION
  mode: one
  selector: {labelSelectors: {pairsim.io/role: active}}
"""
NO_ENGINE = "sim-1 has no engine at the moment"


def fault(action: str) -> EngineFault:
    text = FILE.replace("ACTION", action) + ("" if action == "crash" else "  duration: 5s\n")
    (made,) = load_experiments(text)
    assert isinstance(made.spec, EngineFault)
    return made.spec


def target(engine: int | None = 8, url: str = "") -> TargetProcess:
    return msgspec.structs.replace(process("sim-1", "active", area="west"), engine_pid=engine, url=url)


class World:
    """Takes the signals for engines.

    Attributes:
        gone: Whether the engine has ended.
    """

    def __init__(self) -> None:
        self.signals: list[tuple[str, int, str]] = []
        self.gone = False

    async def send_signal(self, process: str, engine: int, signal: str) -> None:
        self.signals.append((process, engine, signal))
        if self.gone:
            raise WorldError(NO_ENGINE)

    def injection(self, action: str, found: TargetProcess) -> EngineInjection:
        return EngineInjection(fault(action), (found,), 5.0, self.send_signal)


async def test_an_engine_that_hangs_is_stopped_and_goes_on_afterwards() -> None:
    world = World()
    injection = world.injection("hang", target())
    await injection.apply()
    assert world.signals == [("sim-1", 8, "SIGSTOP")]
    await injection.revert()
    assert world.signals[1:] == [("sim-1", 8, "SIGCONT")]


async def test_an_engine_that_its_node_has_killed_needs_no_end_of_the_fault() -> None:
    world = World()
    injection = world.injection("hang", target())
    await injection.apply()
    world.gone = True
    assert injection.failure_reason() == ""
    await injection.revert()


async def test_an_engine_that_crashes_ends_by_a_signal_and_is_left_alone() -> None:
    world = World()
    injection = world.injection("crash", target())
    await injection.apply()
    await injection.revert()
    assert world.signals == [("sim-1", 8, "SIGSEGV")]


@pytest.mark.parametrize("action", ["hang", "crash"])
async def test_a_process_without_an_engine_is_reported(action: str) -> None:
    world = World()
    with pytest.raises(WorldError, match="sim-1 has no engine"):
        await world.injection(action, target(None)).apply()
    world.gone = True
    with pytest.raises(WorldError, match=NO_ENGINE):
        await world.injection(action, target()).apply()


class Area:
    """The HTTP API of an area's active.

    Attributes:
        refusal: The sentence with which it refuses commands; empty if it takes them.
        paused: Whether answers wait, as while an area is paused.
    """

    def __init__(self) -> None:
        self.refusal, self.paused = "", False
        self.commands: list[dict[str, object]] = []
        self.received = asyncio.Event()

    async def commit(self, request: web.Request) -> web.Response:
        self.commands += (await request.json())["commands"]
        self.received.set()
        if self.refusal:
            return web.json_response({"error": self.refusal}, status=400)
        if self.paused:
            await asyncio.Event().wait()
        return web.json_response({})


@pytest_asyncio.fixture
async def area() -> Area:
    return Area()


@pytest_asyncio.fixture
async def url(area: Area) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/commands", area.commit)
    async with serve_app(app, "127.0.0.1:0", drain=0.1) as port:
        yield f"http://127.0.0.1:{port}"


async def test_a_simulator_gets_a_command_at_which_it_raises_for_a_while(area: Area, url: str) -> None:
    area.paused = True
    injection = World().injection("raise", target(url=url))
    await injection.apply()
    async with asyncio.timeout(20):
        await area.received.wait()
    assert injection.failure_reason() == ""
    async with asyncio.timeout(10):
        await injection.revert()  # without the answer, which the fault holds up
    (command,) = area.commands
    assert command["op"] == "raise"


async def test_whether_a_simulator_raises_on_command_is_asked_by_a_command_that_lets_none_raise(
    area: Area, url: str
) -> None:
    await check_raising([target(url=url), msgspec.structs.replace(target(url="http://nowhere.invalid"), area="")])
    assert area.commands[-1]["components"] == {"until": 0.0}


async def test_a_simulator_that_cannot_raise_on_command_is_unsupported(area: Area, url: str) -> None:
    area.refusal = "unknown command 'raise'"
    with pytest.raises(UnsupportedFaultError) as caught:
        await check_raising([target(url=url)])
    assert str(caught.value) == (
        "the simulator of west does not raise on command (unknown command 'raise'): put pairsim_chaos.raising:Raising"
        " in front of it"
    )
    injection = World().injection("raise", target(url=url))
    await injection.apply()
    async with asyncio.timeout(20):
        await asyncio.gather(*injection._commands)
    assert injection.failure_reason() == "unknown command 'raise'"


async def test_an_area_that_does_not_answer_is_asked_later() -> None:
    await check_raising([target(url="http://127.0.0.1:9")])
