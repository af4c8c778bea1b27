"""The console of the controller, reached through a forwarded port."""

from __future__ import annotations

import json

import pytest

from tests.cluster.world import World, eventually

pytestmark = pytest.mark.cluster

_REQUEST = """
import asyncio, aiohttp
async def main():
    async with aiohttp.ClientSession("http://127.0.0.1:8090") as http:
        async with http.get("/") as page:
            assert page.status == 200
        async with http.ws_connect("/v1/console") as socket:
            print((await socket.receive(5)).data)
asyncio.run(main())
"""


def test_the_leader_shows_the_world_and_the_other_controller_refers_to_it(world: World, pair: str) -> None:
    selector = "app.kubernetes.io/component=controller"

    def shown() -> tuple[list[list[str]], list[str]]:
        pods = world.kubectl("get", "pods", "-l", selector, "-o", "name").split()
        told = [json.loads(world.kubectl("exec", pod, "--", "python", "-c", _REQUEST)) for pod in pods]
        areas = [area for each in told for area in each["world"]["areas"] if area["area"] == pair]
        roles = [[replica["role"] for replica in area["replicas"]] for area in areas]
        return roles, [each["note"] for each in told if each["note"]]

    def is_shown() -> bool:
        roles, notes = shown()
        return roles == [["active", "passive"]] and len(notes) == 1 and "waits for the Lease" in notes[0]

    eventually("one shows the pair, the other one waits", is_shown, 30)
