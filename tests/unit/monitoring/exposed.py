"""What every kind of process tells Prometheus: scraped from the real objects, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from pairsim.model.crossings.border_status import BorderStatus, Mark, NeighbourStatus
from pairsim.model.crossings.conservation import Balance
from pairsim.model.status import WitnessGroup
from pairsim.replication.measurements import ReplicaMeasurements
from pairsim.server.http.listener import serve_app
from pairsim.server.witness_app import witness_app
from pairsim_controller.cli.main import probes
from pairsim_controller.kube.api.objects import LastTakeover
from pairsim_controller.kube.metrics import ControllerMetrics as ControllerMeters
from pairsim_controller.local.api import world_app
from pairsim_controller.reconcile.area_counts import count_areas
from tests.unit.controller.local_worlds import local_world
from tests.unit.server.fakes import TOKEN, FakeReplica, FakeWitness
from tests.unit.server.http_servers import api_of

GROUP = WitnessGroup(area="north", generation=1, term=4, tick=17, leader="a", members=("a", "b", "w"))
_UNITS = ("seconds", "bytes", "hertz", "ticks")


class Told(NamedTuple):
    """A metric as one kind of process tells it."""

    name: str
    kind: str
    labels: frozenset[str]
    meaning: str

    @property
    def unit(self) -> str:
        word = self.name.removesuffix("_total").rpartition("_")[2]
        return word if word in _UNITS else ""


class Measured(FakeReplica):
    """A replica that has meters."""

    def measurements(self) -> ReplicaMeasurements:  # type: ignore[override]
        meters = ReplicaMeasurements()
        meters.lag = 0
        meters.borders = BorderStatus(neighbours=(NeighbourStatus(number=2, area="east"),))
        return meters


def read(text: str) -> Iterator[Told]:
    """The project's own metrics in an exposition."""
    for family in text_string_to_metric_families(text):
        if family.name.startswith("pairsim_"):
            name = family.name + "_total" * (family.type == "counter")
            labels = frozenset(label for sample in family.samples for label in sample.labels) - {"le"}
            yield Told(name, family.type, labels, family.documentation)


async def scraped(app: web.Application) -> str:
    async with (
        serve_app(app, "127.0.0.1:0") as port,
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        assert answer.status == 200
        return await answer.text()


def used_controller() -> ControllerMeters:
    """In which everything has happened once."""
    meters = ControllerMeters()
    meters.observe_request("get", "/", 200, 0.01)
    meters.labels.labels(role="active").inc()
    meters.orders.labels(order="assign").inc()
    meters.timed("looks", lambda _area: _nothing())
    change = {"time": "2026-01-01T00:00:00Z", "duration_ms": 1.0, "ticks_lost": 0, "from_": "a", "to": "b"}
    meters.count_change(LastTakeover(reason="Takeover", **change))
    meters.balances = lambda: [Balance("physics", 9, 0, 9, 0, 0)]
    meters.area_counts = lambda: count_areas([(True, True)], 1)
    return meters


async def _nothing() -> None: ...


class _Ready:
    ready = True


async def everything(folder: Path) -> dict[str, list[Told]]:
    """By kind of process."""
    witness = FakeWitness()
    witness.become(GROUP)
    async with local_world(folder) as made:
        made.replicas["a"].border_status = BorderStatus(marks=(Mark(32, 9, 0, 9, 0),))
        await made.known()
        world = await scraped(world_app(made.world))
    texts = {
        "simulator": await scraped(api_of(Measured()).app()),
        "witness": await scraped(witness_app(witness, TOKEN)),
        "controller": await scraped(probes(_Ready(), used_controller())),
        "pairsim up": world,
    }
    return {kind: list(read(text)) for kind, text in texts.items()}
