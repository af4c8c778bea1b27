"""Runs a process's HTTP API until a signal stops the process, and stops it in order.

An active hands over first, so that a stop is a switchover and not a takeover, unless the whole world stops. Then
requests that are under way are answered, and the sockets close.
"""

from __future__ import annotations

import gc

import structlog

from pairsim.replication.service import ReplicaService, WitnessService
from pairsim.server.app import SimulatorApi
from pairsim.server.http.listener import serve_app
from pairsim.server.http.origins import AccessRules
from pairsim.server.stopping import StopSignals, hand_over
from pairsim.server.witness_app import witness_app
from pairsim.settings import ProcessSettings

log = structlog.get_logger()

_COLLECT_AFTER = 50_000
"""How many objects may be allocated before the garbage collector runs."""


async def run_simulator(settings: ProcessSettings, service: ReplicaService) -> None:
    """Serves a simulator process until a signal stops it; the caller closes the service afterwards."""
    signals = StopSignals()  # before others can see that this process listens, and stop it
    api = SimulatorApi(service, name=settings.name, token=settings.token, limit=settings.inbox_commands)
    async with serve_app(api.app(), settings.http, access=_access_rules(settings)):
        tune_garbage_collector()
        log.info("listening", replica=settings.name, http=settings.http)
        await signals.requested.wait()
        api.probes.stopping = True
        if not signals.with_world:
            await hand_over(service, signals.at_once)
    log.info("stopped with the whole world" if signals.with_world else "stopped", replica=settings.name)


async def run_witness(settings: ProcessSettings, service: WitnessService) -> None:
    """Serves a witness process until a signal stops it; the caller closes the service afterwards."""
    signals = StopSignals()
    async with serve_app(witness_app(service, settings.token), settings.http, access=_access_rules(settings)):
        tune_garbage_collector()
        log.info("listening", witness=settings.name, http=settings.http)
        await signals.requested.wait()
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
