"""The console of a world in a cluster."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import aiohttp

from pairsim.server.http.listener import serve_app
from pairsim_controller.cli.cluster_console import console_app
from pairsim_controller.kube.manager import Manager
from pairsim_controller.story.history import History
from tests.unit.controller.cluster_harness import cluster_harness


async def test_the_console_shows_a_cluster_like_a_local_world() -> None:
    async with cluster_harness() as at:
        controller = await at.controller()
        await at.paired()
        await at.until(lambda: at.label("sim-3")[0] == "spare")
        await at.until(lambda: bool(controller.cluster.world_status().spares))
        seen = controller.cluster.world_status()
        (area,) = seen.areas
        assert (area.area, [(r.replica, r.role) for r in area.replicas]) == (
            "west",
            [("sim-1", "active"), ("sim-2", "passive")],
        )
        assert (area.witness.name, area.witness.pid) == ("witness-1", None)
        assert [spare.name for spare in seen.spares] == ["sim-3"]


async def responses(manager: object) -> tuple[dict[str, Any], dict[str, int]]:
    """Returns the first message to a viewer, and the statuses of requests."""
    statuses = {}
    async with (
        serve_app(console_app(cast("Manager", manager)), "127.0.0.1:0") as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(10)) as http,
    ):
        async with http.ws_connect("/v1/console") as socket:
            message = json.loads((await socket.receive(5)).data)
        for name, call in {
            "page": http.get("/"),
            "map": http.get("/v1/map"),
            "locate": http.get("/v1/locate/7"),
            "locate what is not valid": http.get("/v1/locate/-7"),
            "skip": http.post("/v1/skip", json={"area": "west", "command": "c1"}),
            "list": http.get("/v1/skip?area=west"),
            "restart": http.post("/v1/engines/restart", json={"area": "west"}),
            "switchover": http.post("/v1/switchover", json={"area": "west"}),
            "plain": http.post("/v1/switchover", data=b'{"area": "west"}', headers={"Content-Type": "text/plain"}),
            "kill": http.post("/v1/kill", json={"area": "west"}),
            "other": http.get("/", headers={"Host": "evil.example"}),
        }.items():
            async with call as answer:
                statuses[name] = answer.status
    return message, statuses


async def test_a_waiting_controller_names_the_lease() -> None:
    message, statuses = await responses(SimpleNamespace(cluster=None, history=History()))
    assert "waits for the Lease" in str(message["note"])
    assert statuses == {
        "page": 200,
        "map": 503,
        "locate": 503,
        "locate what is not valid": 400,
        "switchover": 409,
        "skip": 409,
        "list": 409,
        "restart": 409,
        "plain": 415,
        "kill": 404,
        "other": 403,
    }


async def test_the_leader_shows_the_world_and_cannot_kill() -> None:
    async with cluster_harness() as at:
        controller = await at.controller()
        await at.paired()
        await at.until(lambda: controller.cluster is not None and controller.cluster.world_map().planes)
        message, statuses = await responses(controller)
        kinds = [event["kind"] for event in message["events"]]
        assert kinds[:2] == ["members", "founded"]
        assert "redundant" in kinds
        assert (message["note"], message["kill"]) == ("", False)
        assert statuses == {
            "page": 200,
            "map": 200,
            "locate": 404,
            "locate what is not valid": 400,
            "switchover": 200,
            "skip": 200,
            "list": 200,
            "restart": 200,
            "plain": 415,
            "kill": 404,
            "other": 403,
        }
        await at.until(lambda: any("switchover" in str(fake.orders) for fake in at.replicas.fakes.values()))
