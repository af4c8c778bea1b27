"""A process loads only what it needs, and stops in order."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from structlog.testing import CapturingLogger

from pairsim.model.status import Role
from pairsim.model.stop_signals import WORLD_SHUTDOWN
from pairsim.replication.service import RefusedError, SwitchoverResult
from pairsim.server import run, stopping
from pairsim.server.app import SimulatorApi
from pairsim.server.http.listener import serve_app
from pairsim.server.run import run_simulator, run_witness
from pairsim.server.stopping import hand_over
from pairsim.settings import ProcessSettings
from tests.unit.server.fakes import TOKEN, FakeReplica, FakeWitness, commands, member
from tests.unit.server.http_servers import api_of, soon, until

LONG_SECONDS = 600.0
"""Longer than any wait of a test: what ends before did not end by its own limit."""


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Restores the settings of the garbage collector, which a served process changes."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.fixture
def settings(tmp_path: Path) -> ProcessSettings:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    return ProcessSettings(
        name="a", http=f"127.0.0.1:{number}", peer="127.0.0.1:1", data=tmp_path, secret=b"s" * 16, token=TOKEN
    )


async def listens(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                async with http.get(f"{url}/readyz"):
                    return
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.005)


@pytest.fixture
async def passive() -> AsyncIterator[SimulatorApi]:
    """The API of a passive that stays, at the URL in its attribute `url`."""
    api = api_of(FakeReplica("b", Role.PASSIVE))
    async with serve_app(api.app(), "127.0.0.1:0") as port:
        api.url = f"http://127.0.0.1:{port}"  # type: ignore[attr-defined]
        yield api


def active(passive: SimulatorApi, *, auto: bool = True) -> FakeReplica:
    service = FakeReplica(auto=auto)
    service.other = member("b", passive.url)  # type: ignore[attr-defined]
    return service


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_hands_over_first_and_answers_requests_under_way(
    settings: ProcessSettings, http: aiohttp.ClientSession, number: signal.Signals, passive: SimulatorApi
) -> None:
    service = active(passive, auto=False)
    running = asyncio.ensure_future(run_simulator(settings, service))
    await listens(http, settings.url)
    asked = asyncio.ensure_future(
        http.post(f"{settings.url}/v1/commands", json=msgspec.to_builtins({"commands": commands(1)}))
    )
    await until(lambda: len(service.submitted) == 1)
    os.kill(os.getpid(), number)
    await until(lambda: service.orders == ["switchover"])
    service.commit()
    async with await soon(asked) as answer:
        assert answer.status == 200
    await soon(running)
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.get(f"{settings.url}/livez")


async def test_an_active_does_not_hand_over_to_a_passive_that_stops_too(
    settings: ProcessSettings, http: aiohttp.ClientSession, passive: SimulatorApi
) -> None:
    service = active(passive)
    running = asyncio.ensure_future(run_simulator(settings, service))
    await listens(http, settings.url)
    passive.probes.stopping = True
    os.kill(os.getpid(), signal.SIGTERM)
    await soon(running)
    assert service.orders == []


async def test_an_active_does_not_hand_over_to_a_passive_that_is_gone() -> None:
    service = FakeReplica()
    service.other = member("b", "http://127.0.0.1:1")
    await soon(hand_over(service, asyncio.Event()))
    assert service.orders == []


@pytest.mark.parametrize("end", ["passive", "signal"])
async def test_a_handover_is_given_up_when_there_is_no_use_in_it_any_more(
    passive: SimulatorApi, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "HANDOVER_SECONDS", LONG_SECONDS)
    service, at_once, ends = active(passive), asyncio.Event(), threading.Event()

    def switch(_timeout: float) -> SwitchoverResult:
        service.orders.append("switchover")
        ends.wait(30)
        raise TimeoutError("the passive did not take over")

    service.switchover = switch  # type: ignore[method-assign]
    handing_over = asyncio.ensure_future(hand_over(service, at_once))
    await until(lambda: service.orders == ["switchover"])
    if end == "passive":
        passive.probes.stopping = True
    else:
        at_once.set()
    await soon(handing_over)
    ends.set()


@pytest.mark.parametrize(
    ("second", "log_end"), [(WORLD_SHUTDOWN, "stopped with the whole world"), (signal.SIGTERM, "stopped")]
)
async def test_a_second_signal_ends_the_wait_and_not_the_process(
    settings: ProcessSettings, http: aiohttp.ClientSession, passive: SimulatorApi, monkeypatch: pytest.MonkeyPatch,
    second: signal.Signals, log_end: str,
) -> None:  # fmt: skip
    service, log, ends = active(passive), CapturingLogger(), threading.Event()
    monkeypatch.setattr(run, "log", log)
    monkeypatch.setattr(stopping, "HANDOVER_SECONDS", LONG_SECONDS)
    service.switchover = lambda _timeout: service.orders.append("switchover") or ends.wait(30)  # type: ignore[method-assign, func-returns-value, return-value]
    running = asyncio.ensure_future(run_simulator(settings, service))
    await listens(http, settings.url)
    os.kill(os.getpid(), signal.SIGTERM)
    await until(lambda: service.orders == ["switchover"])
    os.kill(os.getpid(), second)
    await soon(running)
    ends.set()
    assert log.calls[-1].args[0] == log_end


async def test_a_passive_stops_without_a_switchover(settings: ProcessSettings, http: aiohttp.ClientSession) -> None:
    service = FakeReplica(role=Role.PASSIVE)
    running = asyncio.ensure_future(run_simulator(settings, service))
    await listens(http, settings.url)
    os.kill(os.getpid(), signal.SIGTERM)
    await soon(running)
    assert service.orders == []


async def test_an_active_that_stops_with_the_whole_world_does_not_hand_over(
    settings: ProcessSettings, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, log = FakeReplica(), CapturingLogger()
    monkeypatch.setattr(run, "log", log)
    running = asyncio.ensure_future(run_simulator(settings, service))
    await listens(http, settings.url)
    os.kill(os.getpid(), WORLD_SHUTDOWN)
    await soon(running)
    assert service.orders == []
    assert [(call.method_name, call.args[0]) for call in log.calls] == [
        ("info", "listening"), ("info", "stopped with the whole world"),
    ]  # fmt: skip


async def test_a_failed_handover_does_not_keep_a_process_from_stopping(passive: SimulatorApi) -> None:
    service = active(passive)
    service.refuse = RefusedError("the passive is not in sync")
    await soon(hand_over(service, asyncio.Event()))
    service.refuse = TimeoutError("it did not happen in time")
    await soon(hand_over(service, asyncio.Event()))


async def test_a_witness_stops_at_a_signal(settings: ProcessSettings, http: aiohttp.ClientSession) -> None:
    running = asyncio.ensure_future(run_witness(settings, FakeWitness()))
    await listens(http, settings.url)
    os.kill(os.getpid(), signal.SIGTERM)
    await soon(running)


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def test_a_spare_does_not_load_what_only_an_area_needs() -> None:
    loaded = run_python(
        "import asyncio, sys\n"
        "from pairsim.replication.process.simulator import SimulatorProcess\n"
        "from pairsim.server.run import SimulatorApi\n"
        "class Service:\n"
        "    status = measurements = None\n    command_schema = staticmethod(lambda: None)\n"
        "async def main():\n"
        "    SimulatorApi(Service(), name='a', token='t', limit=1).app()\n"
        "asyncio.run(main())\n"
        "print(*sorted({'numpy', 'numba', 'pysyncobj'} & sys.modules.keys()))"
    )
    assert loaded.split() == []


@pytest.mark.parametrize("command", ["simulator", "witness"])
def test_a_process_does_not_load_what_draws_tables(command: str) -> None:
    """The library for logs would load it, with 60 modules and 3 MB."""
    loaded = run_python(
        "import sys\nfrom pairsim.cli import main\n"
        f"main.get_command(None, {command!r})\n"
        "print('structlog' in sys.modules, 'rich' in sys.modules)\nimport rich"
    )
    assert loaded.split() == ["True", "False"]
