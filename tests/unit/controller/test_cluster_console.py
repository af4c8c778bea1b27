"""The console of a world in a cluster."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import cast

import aiohttp

from pairsim.server.http.listener import listening
from pairsim_controller.cli.cluster_console import console_app
from pairsim_controller.kube.manager import Manager
from tests.unit.controller.cluster import scene


async def test_a_cluster_is_shown_as_a_local_world_is() -> None:
    async with scene() as at:
        controller = await at.controller()
        await at.paired()
        await at.until(lambda: at.label("sim-3")[0] == "spare")
        await at.until(lambda: bool(controller.cluster.picture().spares))
        seen = controller.cluster.picture()
        (area,) = seen.areas
        assert (area.area, [(r.replica, r.role) for r in area.replicas]) == (
            "west",
            [("sim-1", "active"), ("sim-2", "passive")],
        )
        assert (area.witness.name, area.witness.pid) == ("witness-1", None)
        assert [spare.name for spare in seen.spares] == ["sim-3"]


async def served(candidate: object) -> tuple[dict[str, object], dict[str, int]]:
    """The first message to a viewer, and the statuses of requests."""
    statuses = {}
    async with (
        listening(console_app(cast("Manager", candidate)), "127.0.0.1:0") as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(10)) as http,
    ):
        async with http.ws_connect("/v1/console") as socket:
            message = json.loads((await socket.receive(5)).data)
        for name, call in {
            "page": http.get("/"),
            "order": http.post("/v1/switchover", json={"area": "west"}),
            "unasked": http.post("/v1/switchover", data=b'{"area": "west"}', headers={"Content-Type": "text/plain"}),
            "kill": http.post("/v1/kill", json={"area": "west"}),
            "other": http.get("/", headers={"Host": "evil.example"}),
        }.items():
            async with call as answer:
                statuses[name] = answer.status
    return message, statuses


async def test_a_controller_that_waits_says_so() -> None:
    message, statuses = await served(SimpleNamespace(cluster=None))
    assert "waits for the Lease" in str(message["note"])
    assert statuses == {"page": 200, "order": 409, "unasked": 415, "kill": 404, "other": 403}


async def test_the_controller_that_works_shows_the_world_and_takes_no_order_to_kill() -> None:
    async with scene() as at:
        controller = await at.controller()
        await at.paired()
        message, statuses = await served(controller)
        assert (message["note"], message["kill"]) == ("", False)
        assert statuses == {"page": 200, "order": 200, "unasked": 415, "kill": 404, "other": 403}
        await at.until(lambda: any("switchover" in str(fake.orders) for fake in at.replicas.fakes.values()))
