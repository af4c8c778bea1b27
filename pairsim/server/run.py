"""Runs a process's HTTP API until it is told to stop, and stops it in order.

An active hands over first, so that a stop is a switchover and not a takeover, unless the whole world stops; then
requests that are under way are answered, and the sockets close.
"""

from __future__ import annotations

import asyncio
import gc
import signal

import structlog

from pairsim.model.status import Role
from pairsim.model.stop_signals import HANDOVER, WORLD_SHUTDOWN
from pairsim.replication.service import ReplicaError, ReplicaPort, WitnessPort
from pairsim.server.app import SimulatorApi
from pairsim.server.http.listener import listening
from pairsim.server.witness_app import witness_app
from pairsim.settings import ProcessSettings

log = structlog.get_logger()

HANDOVER_SECONDS = 5.0
_COLLECT_AFTER = 50_000


async def run_simulator(settings: ProcessSettings, port: ReplicaPort) -> None:
    """Serves a simulator process until it is told to stop; the caller closes the port afterwards."""
    api = SimulatorApi(port, name=settings.name, token=settings.token, limit=settings.inbox_commands)
    async with listening(api.app(), settings.http):
        settle_memory()
        log.info("serves", replica=settings.name, http=settings.http)
        number = await _told_to_stop()
        api.probes.stopping = True
        if number != WORLD_SHUTDOWN:
            await hand_over(port)
    log.info("stopped with the whole world" if number == WORLD_SHUTDOWN else "stopped", replica=settings.name)


async def run_witness(settings: ProcessSettings, port: WitnessPort) -> None:
    """Serves a witness process until it is told to stop; the caller closes the port afterwards."""
    async with listening(witness_app(port, settings.token), settings.http):
        settle_memory()
        log.info("serves", witness=settings.name, http=settings.http)
        await _told_to_stop()
    log.info("stopped", witness=settings.name)


def settle_memory() -> None:
    """Keeps the collector away from what lives as long as the process.

    A full collection walks all modules and takes tens of milliseconds, which every client sees; commands that come
    and go make it run every second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)


async def hand_over(port: ReplicaPort) -> None:
    """Makes the passive the active, if this process is it; bounded in time, and no reason not to stop."""
    status = port.status()
    if status.role is not Role.ACTIVE:
        return
    try:
        async with asyncio.timeout(HANDOVER_SECONDS + 1.0):
            done = await asyncio.to_thread(port.switchover, HANDOVER_SECONDS)
    except (ReplicaError, TimeoutError) as error:
        log.warning("stops without handing over", area=status.area, reason=str(error))
    else:
        log.info("handed over", area=status.area, gap_ms=round(done.gap_ms, 1), term=done.term)


async def _told_to_stop() -> signal.Signals:
    """By which signal; see `stopping`."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[signal.Signals] = loop.create_future()
    signals = (*HANDOVER, WORLD_SHUTDOWN)

    def tell(number: signal.Signals) -> None:
        if not told.done():
            told.set_result(number)

    for number in signals:
        loop.add_signal_handler(number, tell, number)
    try:
        return await told
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
