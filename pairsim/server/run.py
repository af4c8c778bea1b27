"""Runs a process's HTTP API until a signal stops the process, and stops it in order.

An active hands over first, so that a stop is a switchover and not a takeover, unless the whole world stops. Then
requests that are under way are answered, and the sockets close.
"""

from __future__ import annotations

import asyncio
import gc
import signal

import structlog

from pairsim.model.status import Role
from pairsim.model.stop_signals import HANDOVER, WORLD_SHUTDOWN
from pairsim.replication.service import ReplicaError, ReplicaService, WitnessService
from pairsim.server.app import SimulatorApi
from pairsim.server.http.listener import serve_app
from pairsim.server.http.origins import AccessRules
from pairsim.server.witness_app import witness_app
from pairsim.settings import ProcessSettings
from pairsim.system.inherited_signals import accepted_stop_signals

log = structlog.get_logger()

HANDOVER_SECONDS = 5.0
_COLLECT_AFTER = 50_000
"""How many objects may be allocated before the garbage collector runs."""


async def run_simulator(settings: ProcessSettings, service: ReplicaService) -> None:
    """Serves a simulator process until a signal stops it; the caller closes the service afterwards."""
    api = SimulatorApi(service, name=settings.name, token=settings.token, limit=settings.inbox_commands)
    async with serve_app(api.app(), settings.http, access=_access_rules(settings)):
        tune_garbage_collector()
        log.info("listening", replica=settings.name, http=settings.http)
        number = await _wait_for_stop_signal()
        api.probes.stopping = True
        if number != WORLD_SHUTDOWN:
            await hand_over(service)
    log.info("stopped with the whole world" if number == WORLD_SHUTDOWN else "stopped", replica=settings.name)


async def run_witness(settings: ProcessSettings, service: WitnessService) -> None:
    """Serves a witness process until a signal stops it; the caller closes the service afterwards."""
    async with serve_app(witness_app(service, settings.token), settings.http, access=_access_rules(settings)):
        tune_garbage_collector()
        log.info("listening", witness=settings.name, http=settings.http)
        await _wait_for_stop_signal()
    log.info("stopped", witness=settings.name)


def _access_rules(settings: ProcessSettings) -> AccessRules:
    return AccessRules.of_listener(
        settings.http,
        known=(settings.advertise_http,),
        origins=settings.allow_origins,
        advice="; --allow-origin admits further origins and their host names",
    )


def tune_garbage_collector() -> None:
    """Keeps the garbage collector away from objects that live as long as the process.

    A full collection walks all modules and takes tens of milliseconds, which every client would notice; without this
    the commands that come and go would trigger one every second.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)


async def hand_over(service: ReplicaService) -> None:
    """Makes the passive the active, if this process is the active; bounded in time.

    A handover that fails is logged and does not keep the process from stopping.
    """
    status = service.status()
    if status.role is not Role.ACTIVE:
        return
    try:
        async with asyncio.timeout(HANDOVER_SECONDS + 1.0):
            done = await asyncio.to_thread(service.switchover, HANDOVER_SECONDS)
    except (ReplicaError, TimeoutError) as error:
        log.warning("handover failed, stopping anyway", area=status.area, reason=str(error))
    else:
        log.info("handed over", area=status.area, gap_ms=round(done.gap_ms, 1), term=done.term)


async def _wait_for_stop_signal() -> signal.Signals:
    """Waits for one of the signals of `pairsim.model.stop_signals` and returns it."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[signal.Signals] = loop.create_future()
    signals = accepted_stop_signals((*HANDOVER, WORLD_SHUTDOWN))

    def on_signal(number: signal.Signals) -> None:
        if not stopped.done():
            stopped.set_result(number)

    for number in signals:
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await stopped
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
